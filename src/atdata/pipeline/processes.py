"""Samples made in processes: each takes every so manieth block, and blocks come back in order.

A process waits with a block until it is asked for, so what is held is one block for each of them.
"""

import multiprocessing
import pickle
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from atdata._exceptions import AtdataError
from atdata.pipeline.gather import Gatherer
from atdata.pipeline.layout import Layout
from atdata.pipeline.plan import Located, Plan
from atdata.pipeline.policy import Ledger
from atdata.pipeline.share import Share
from atdata.pipeline.stages import Tagged

_PATIENCE = 2.0


@dataclass(frozen=True, slots=True)
class Reader:
    """Where the samples of a worker's share are.

    Attributes:
        plan: The order.
        share: What of it is delivered.
    """

    plan: Plan
    share: Share

    def places(self, start: int, stop: int) -> Located:
        """Where some of them are, by their numbers in the share."""
        return self.plan.locate(self.share.positions(self.share.numbers(start, stop)))


@dataclass(frozen=True, slots=True)
class Blocks:
    """A share's samples from one of them on, cut into blocks.

    Attributes:
        layout: What is read.
        reader: Says where the samples are.
        start: The first one.
        size: Samples in a block.
        again: The same sample may be asked for more than once.
        keyed: Make the tags pairs of tag and key.
    """

    layout: Layout
    reader: Reader
    start: int
    size: int
    again: bool
    keyed: bool

    def __len__(self) -> int:
        return (max(0, len(self.reader.share) - self.start) + self.size - 1) // self.size

    def block(self, number: int, gatherer: Gatherer) -> list[Tagged]:
        """The samples of one block."""
        start = self.start + number * self.size
        stop = min(start + self.size, len(self.reader.share))
        tags = range(start, stop)
        return list(gatherer.samples(self.reader.places(start, stop), tags, keyed=self.keyed))


def in_processes(blocks: Blocks, n: int, ledger: Ledger) -> Iterator[Tagged]:
    """The samples of all blocks in order, made by `n` processes.

    Leaving early ends the processes. They are started as `multiprocessing` starts its own: where
    that is not by forking, the dataset and its functions have to be picklable.

    Args:
        blocks: What to make.
        n: How many processes.
        ledger: What to do with what cannot be read; it is asked in this process.

    Raises:
        RuntimeError: A process ended before it was done.
    """
    total = len(blocks)
    with _Team(blocks, min(n, total)) as team:
        for number in range(total):
            found, errors = team.receive(number)
            for error in errors:
                ledger.meet(error)
            yield from found


class _Team:
    """Processes, each with the end of a pipe."""

    def __init__(self, blocks: Blocks, n: int) -> None:
        self._blocks = blocks
        self._n = n
        self._pipes: list[Connection[Any, Any]] = []
        self._processes: list[BaseProcess] = []

    def __enter__(self) -> "_Team":
        context = multiprocessing.get_context()
        try:
            for number in range(self._n):
                self._start(context, number)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self, context: BaseContext, number: int) -> None:
        ours, theirs = context.Pipe(duplex=False)
        self._pipes.append(ours)
        arguments = (self._blocks, number, self._n, theirs, self._pipes)
        if context.get_start_method() != "fork":
            arguments = (_picklable(self._blocks), number, self._n, theirs, [])
        process = context.Process(target=_work, args=arguments, daemon=True)  # type: ignore[attr-defined]
        with theirs, warnings.catch_warnings():
            # Our threads hold no lock that the child needs; others' are theirs to mind.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        self._processes.append(process)

    def receive(self, number: int) -> tuple[list[Tagged], Sequence[AtdataError]]:
        """A block, when the process whose turn it is has made it."""
        who = number % self._n
        try:
            result = pickle.loads(self._pipes[who].recv_bytes())  # noqa: S301  it comes from our own child
        except EOFError:
            process = self._processes[who]
            process.join(_PATIENCE)
            raise RuntimeError(
                f"worker process {who} of {self._n} ended with exit code {process.exitcode}\n"
                "  Negative codes are signals: -9 is often a lack of memory. Read with fewer "
                "workers, or see what the functions of the dataset do."
            ) from None
        if isinstance(result, BaseException):
            raise result
        found: tuple[list[Tagged], Sequence[AtdataError]] = result
        return found

    def __exit__(self, *_: object) -> None:
        for pipe in self._pipes:
            pipe.close()  # whoever waits to send ends with an error
        for process in self._processes:
            process.join(_PATIENCE)
            if process.is_alive():
                process.terminate()
                process.join(_PATIENCE)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()


def _work(
    blocks: Blocks,
    number: int,
    n: int,
    pipe: "Connection[Any, Any]",
    others: "Sequence[Connection[Any, Any]]",
) -> None:
    """Make every so manieth block, in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends us
    for other in others:
        other.close()  # or the pipe would outlive the parent
    errors: list[AtdataError] = []
    first = next(iter(blocks.layout.segments), None)
    raises = first is None or first.part.on_error == "raise"
    ledger = Ledger("raise" if raises else errors.append)
    gatherer = Gatherer(blocks.layout.segments, ledger, again=blocks.again)
    with suppress(BrokenPipeError), pipe:
        for one in range(number, len(blocks), n):
            errors.clear()
            try:
                result: object = (blocks.block(one, gatherer), errors)
                data = pickle.dumps(result, protocol=5)
            except BaseException as error:
                pipe.send_bytes(_pickled(error))
                return
            pipe.send_bytes(data)


def _pickled(error: BaseException) -> bytes:
    """An error as bytes; one that cannot be sent, as another that says what it was."""
    try:
        data = pickle.dumps(error, protocol=5)
        pickle.loads(data)  # noqa: S301  some errors pickle and cannot be made again
    except Exception:
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return data


def _picklable(blocks: Blocks) -> Blocks:
    """The same blocks, if they can be sent to a process that was not forked.

    Raises:
        TypeError: A function of the dataset cannot be sent.
    """
    try:
        pickle.dumps(blocks)
    except Exception as error:
        raise TypeError(
            f"the dataset cannot be sent to worker processes: {error}\n"
            "  Use functions that are defined at the top of a module, and no lambdas."
        ) from error
    return blocks
