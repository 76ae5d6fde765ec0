"""Work on shards in processes of this machine, which may die without taking anything along."""

import os
import pickle
import signal
from collections.abc import Generator
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

from atdata._exceptions import printable, shard_name
from atdata.dataset._workers import (
    Job,
    Outcome,
    ShardQueue,
    ShardTask,
    attempt,
    outcome_of,
    packed_error,
    refuse,
)

_LAST_MOMENTS = 5.0


def in_processes(job: Job, queue: ShardQueue, workers: int | None) -> Generator[Outcome]:
    """Work on shards in processes of this machine; each shard that ends is given at once.

    Raises:
        TypeError: The job cannot be sent to other processes.
        RuntimeError: No process can be started.
    """
    packed = _pickled(job)
    most = min(workers or os.cpu_count() or 1, queue.n_tasks)
    pool: list[_Worker] = []
    try:
        while True:
            pool = [worker for worker in pool if not worker.gone]
            for worker in pool:
                if queue and worker.task is None:
                    worker.begin(queue.take())
            while queue and len(pool) < most:
                pool.append(_Worker(packed, queue.take()))
            if not any(worker.task for worker in pool):
                return
            signs = set(wait([sign for worker in pool for sign in worker.signs]))
            for worker in pool:
                outcome = worker.look(queue) if signs.intersection(worker.signs) else None
                if outcome is not None:
                    yield outcome
    finally:
        for worker in pool:
            worker.end()
        for worker in pool:
            worker.join()


def _pickled(job: Job) -> bytes:
    """A job as bytes for new processes.

    Raises:
        TypeError: Part of it cannot be pickled.
    """
    for what, value in (
        (f"the function {_named(job.fn)}", job.fn),
        ("on_error", job.on_error),
        ("the dataset, with what is done to its samples,", job.parts),
    ):
        try:
            pickle.dumps(value)
        except Exception as error:  # a class may raise anything
            raise TypeError(
                f"{what} cannot be sent to another process: {error}\n"
                "  Define functions and classes at the top of a module, without lambda, or use "
                "engine='ray', which takes any."
            ) from error
    return pickle.dumps(job)


def _named(fn: object) -> str:
    return str(getattr(fn, "__qualname__", type(fn).__name__))


class _Worker:
    """A process that works on one shard at a time.

    Each has a pipe of its own, so one that dies is known together with its shard.

    Args:
        packed: The job.
        task: The shard to begin with.

    Attributes:
        task: What it works on, or None.
        gone: It has died.
    """

    def __init__(self, packed: bytes, task: ShardTask) -> None:
        # Not forked: a fork takes the locks of this process's threads along, but not the threads.
        context = get_context("spawn")
        self.task: ShardTask | None = task
        self.gone = False
        self._is_ready = False
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, packed), name="atdata-shards")
        self._process.start()
        theirs.close()

    @property
    def signs(self) -> tuple[Any, ...]:
        """What to wait for: a message, or its end."""
        return self._pipe, self._process.sentinel

    def begin(self, task: ShardTask) -> None:
        """Work on another shard."""
        self.task = task
        with suppress(OSError):  # it is dead, which `look` will notice
            self._pipe.send(task)

    def look(self, queue: ShardQueue) -> Outcome | None:
        """See what has happened, and say so if that is the end of a shard."""
        try:
            message = self._pipe.recv() if self._pipe.poll() else None
        except (EOFError, OSError):
            message = None
        task = self.task
        if message is None:
            return self._died(queue)
        if not self._is_ready:
            if message[0] != "ready":
                refuse(message)
            self._is_ready = True
            if task is not None:
                self.begin(task)
            return None
        assert task is not None
        self.task = None
        return outcome_of(task, message, queue)

    def _died(self, queue: ShardQueue) -> Outcome | None:
        self._process.join()
        self._pipe.close()
        code = self._process.exitcode or 0
        self.gone = True
        task, self.task = self.task, None
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        if not self._is_ready and code >= 0:
            raise RuntimeError(
                f"a worker process cannot start: it {how}\n"
                "  New processes import the program's main file: what it does when it is run "
                "belongs under\n      if __name__ == '__main__':"
            )
        if task is None or queue.again(task, died=True):
            return None
        where = printable(shard_name(task.shard_id))
        return (
            task,
            None,
            RuntimeError(
                f"the process that worked on {where} was {how}, in the last of "
                f"{queue.deaths + 1} tries\n"
                "  It may have needed more memory than there is: give fewer workers, or write "
                "smaller shards."
            ),
        )

    def end(self) -> None:
        """Tell it to end: at once if it works, else as soon as it sees that its pipe has ended."""
        if self.task is not None:
            self._process.terminate()
        self._pipe.close()

    def join(self) -> None:
        """Wait until it has ended."""
        self._process.join(_LAST_MOMENTS)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        self._process.close()


def _serve(pipe: Connection, packed: bytes) -> None:
    """What a worker process does: one shard after the other, until its pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    with suppress(EOFError, OSError):  # that process has ended
        try:
            job: Job = pickle.loads(packed)  # noqa: S301 - from the process that started this one
        except BaseException as error:
            pipe.send(("unfit", packed_error(error, pickle.dumps)))
            raise
        pipe.send(("ready", b""))
        while True:
            pipe.send(attempt(job, pipe.recv(), pickle.dumps))
