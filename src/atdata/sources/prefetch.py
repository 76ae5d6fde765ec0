"""Fetching shards in threads before they are needed."""

import atexit
import os
import time
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from threading import Thread
from typing import Any, Self
from weakref import WeakSet, finalize

from atdata._logging import get_logger
from atdata.transport.halt import Halt, Halted

_PATIENCE = 10.0
"""Seconds that closing waits for threads, in which a source's own code may run."""


class Prefetch[T]:
    """Fetches shards in threads, until it is closed; `ShardCache.prefetch` makes one.

    What cannot be fetched is passed over: whoever needs the shard tries again and meets the
    error.

    Args:
        fetch: Fetches a shard, given its id, or whatever else it is known by.
        wanted: What to fetch, in this order.
        threads: How many to fetch at once.

    Examples:
        >>> fetched = []
        >>> with Prefetch(fetched.append, ["a.tar"], threads=1) as prefetch:
        ...     prefetch.add(["b.tar"])
        ...     while len(fetched) < 2:
        ...         time.sleep(0.01)
        >>> fetched
        ['a.tar', 'b.tar']
    """

    def __init__(
        self, fetch: Callable[[T], object], wanted: Iterable[T] = (), *, threads: int = 4
    ) -> None:
        if threads < 1:
            raise ValueError(f"threads is {threads}; at least one must fetch")
        self._pid = os.getpid()
        self._todo: SimpleQueue[T | None] = SimpleQueue()
        self._halt = Halt()
        finalize(self, self._halt.stop).atexit = False
        todo = self._todo
        self._halt.watch(lambda: todo.put(None))
        self.add(wanted)
        self._threads = [
            Thread(
                target=_fetch_all,
                args=(fetch, todo, self._halt),
                name="atdata-prefetch",
                daemon=True,  # or the interpreter would wait for it before it tells it to end
            )
            for _ in range(threads)
        ]
        _open.add(self)
        for thread in self._threads:
            thread.start()

    def add(self, wanted: Iterable[T]) -> None:
        """Fetch more, after what was given before."""
        for one in wanted:
            self._todo.put(one)

    def close(self) -> None:
        """Fetch no more. What is under way is given up, and the threads end."""
        if self._pid != os.getpid():
            return  # the threads stayed in the parent
        self._halt.stop()
        until = time.monotonic() + _PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                get_logger().warning("thread %s did not end in %.0f s", thread.name, _PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _fetch_all[T](fetch: Callable[[T], object], todo: "SimpleQueue[T | None]", halt: Halt) -> None:
    try:
        with halt.running():
            while (wanted := todo.get()) is not None:
                halt.check()
                try:
                    fetch(wanted)
                except Exception as error:  # which names the shard
                    get_logger().debug("could not fetch ahead: %s", error)
    except Halted:
        pass
    finally:
        todo.put(None)  # let the other threads end too


_open: WeakSet[Prefetch[Any]] = WeakSet()


@atexit.register
def _close_all() -> None:
    for prefetch in list(_open):
        prefetch.close()
