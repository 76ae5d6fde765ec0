"""Working ahead in threads: what comes next is made while what came is used.

How much is made before it is wanted is bounded in bytes, order is kept, errors come in their
place, and threads end with whoever wanted what they make.
"""

import atexit
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextvars import copy_context
from functools import partial
from threading import Condition, Thread, current_thread

from atdata._logging import get_logger
from atdata.transport.halt import Halt, Halted, is_under_halt

_PATIENCE = 10.0
"""Seconds that leaving waits for threads; what runs in them may be anyone's code."""

_AT_EXIT = 2.0
"""The same for the exit of the interpreter."""


class Threads:
    """Threads that end when they are told to, and at the latest when the interpreter exits.

    They are daemons, for no thread may keep the interpreter from exiting; but it tells them first,
    and waits as `stop` does.

    Args:
        name: For people who look at a list of threads.
    """

    def __init__(self, name: str) -> None:
        self.halt = Halt()
        self._name = name
        self._threads: list[Thread] = []
        self._owner = current_thread()
        self._pid = os.getpid()

    @property
    def are_here(self) -> bool:
        """Whether the threads are of this process, and not of the one it was forked from."""
        return self._pid == os.getpid()

    def start(self, target: Callable[[], None]) -> None:
        """Run a function in another thread, until it returns or lets `Halted` pass."""
        context = copy_context()

        def run() -> None:
            try:
                with self.halt.running():
                    context.run(target)
            except Halted:
                pass

        thread = Thread(target=run, name=f"atdata-{self._name}", daemon=True)
        _running.add(self)
        self._threads.append(thread)
        thread.start()

    def stop(self, patience: float = _PATIENCE) -> None:
        """Tell all threads to end, cut what they wait for, and wait until they have ended.

        Args:
            patience: How many seconds to wait for code that cannot be cut; its thread ends later.
        """
        if not self.are_here:
            return  # they stayed in the parent, perhaps with a lock in hand
        self.halt.stop()
        _running.discard(self)
        if is_under_halt() and current_thread() is not self._owner:
            return  # the garbage collector brought us here, in a thread that others wait for
        until = time.monotonic() + patience
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                get_logger().warning("thread %s did not end in %.0f s", thread.name, patience)


_running: set[Threads] = set()


@atexit.register
def _stop_all() -> None:
    running = [threads for threads in _running if threads.are_here]
    for threads in running:
        threads.halt.stop()
    for threads in running:
        threads.stop(_AT_EXIT)


def ahead[T](
    items: Iterator[T], *, n_bytes: int, size_of: Callable[[T], int]
) -> Generator[T, None, None]:
    """Run an iterator in a thread of its own, ahead of whoever wants its items.

    What comes out is what would come without it, errors included. The thread starts with the
    first item that is asked for. Leaving early, by `close` or because nobody holds the generator
    any more, ends the thread and closes the iterator there, if it has `close`.

    Args:
        items: Where items come from; nobody else may use it from now on.
        n_bytes: How much may wait to be asked for. One item may, whatever its size; whether
            another fits is judged by the size of the last.
        size_of: How many bytes an item holds.

    Raises:
        RuntimeError: The process was forked after the first item was asked for.

    Examples:
        >>> list(ahead(iter(["a", "bc"]), n_bytes=100, size_of=len))
        ['a', 'bc']
    """
    shelf = _Shelf(items, n_bytes, size_of)
    del items
    try:
        shelf.open()
        while shelf.has_more():
            yield shelf.take()
    finally:
        shelf.close()


class _Shelf[T]:
    """What was made and not yet asked for; `_fill` runs in the thread, the rest does not."""

    def __init__(self, items: Iterator[T], n_bytes: int, size_of: Callable[[T], int]) -> None:
        self._items = items
        self._n_bytes = n_bytes
        self._size_of = size_of
        self._ready: deque[tuple[T, int]] = deque()
        self._held = 0
        self._finished = False
        self._error: BaseException | None = None
        self._closing_error: BaseException | None = None
        # Reentrant: the garbage collector may close a shelf in any thread, also in this one's.
        self._changed = Condition()
        self._threads = Threads("ahead")
        self._threads.halt.watch(self._wake)

    def open(self) -> None:
        self._threads.start(self._fill)

    def has_more(self) -> bool:
        """Wait until there is an item, or none will come."""
        if not self._threads.are_here:
            raise RuntimeError(
                "this reading began in the process that this one was forked from; begin it anew"
            )
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._finished or self._stopped)
            if self._ready:
                return True
        self._threads.halt.check()
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # or the error would hold this frame, which holds the error
        return False

    def take(self) -> T:
        with self._changed:
            item, n_bytes = self._ready.popleft()
            self._held -= n_bytes
            self._changed.notify_all()
            return item

    def close(self) -> None:
        self._threads.stop()
        if self._threads.are_here:
            self._ready.clear()
            error, self._closing_error, self._error = self._closing_error, None, None
            if error is not None:
                raise error

    @property
    def _stopped(self) -> bool:
        return self._threads.halt.stopped

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _fill(self) -> None:
        items = self._items
        del self._items
        try:
            for item in items:
                n_bytes = self._size_of(item)
                with self._changed:
                    self._ready.append((item, n_bytes))
                    del item  # or it would be held while the next one is made
                    self._held += n_bytes
                    self._changed.notify_all()
                    self._changed.wait_for(partial(self._has_room, n_bytes))
                if self._stopped:
                    break
        except BaseException as error:
            self._error = error
        finally:
            self._close(items)
            with self._changed:
                self._finished = True
                self._changed.notify_all()

    def _has_room(self, n_bytes: int) -> bool:
        return self._stopped or not self._ready or self._held + n_bytes <= self._n_bytes

    def _close(self, items: Iterator[T]) -> None:
        close = getattr(items, "close", None)
        try:
            if close is not None:
                close()
        except BaseException as error:
            self._closing_error = error
