"""Ending what a thread does from outside: it is told, and what it waits for is cut.

A thread that reads ahead may be in the middle of a request, or asleep until it tries again, when
nobody wants what it reads any more. It runs under a `Halt`; whatever waits within it says how to
be woken. The thread then ends with `Halted` where it waits, and its `finally` clauses run.
"""

import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager


class Halted(BaseException):
    """What a thread was doing is not wanted any more.

    No `Exception`: it says nothing about the data, so no policy for errors may take it for one.
    """


class _Here(threading.local):
    halt: "Halt | None" = None


_here = _Here()


class Halt:
    """Tells threads to end; made in a thread that runs under another, it ends with that one.

    Examples:
        >>> halt = Halt()
        >>> with halt.running():
        ...     pause(0.001)
        >>> halt.stop()
        >>> with halt.running():
        ...     pause(3600)
        Traceback (most recent call last):
        atdata.transport.halt.Halted
    """

    def __init__(self) -> None:
        self.stopped = False
        # Reentrant, as all here may be called by the garbage collector, wherever a thread is.
        self._changed = threading.Condition()
        self._watchers: dict[object, Callable[[], object]] = {}
        self._outer = _here.halt
        self._place: object = None
        if self._outer is not None:
            self._place = self._outer.watch(self.stop)

    def stop(self) -> None:
        """Tell the threads, and wake what they wait for; may be called from any thread."""
        self.stopped = True
        if self._outer is not None:
            self._outer.unwatch(self._place)
        with self._changed:
            self._changed.notify_all()
        for wake in list(self._watchers.values()):
            wake()

    def watch(self, wake: Callable[[], object]) -> object:
        """Have a function called by `stop`, at once if that was before.

        It is called in another thread, perhaps more than once, and must not raise.

        Returns:
            What `unwatch` takes.
        """
        place = object()
        self._watchers[place] = wake
        if self.stopped:
            wake()
        return place

    def unwatch(self, place: object) -> None:
        """Take back a `watch`."""
        self._watchers.pop(place, None)

    def check(self) -> None:
        """Go no further if told to stop.

        Raises:
            Halted: `stop` was called.
        """
        if self.stopped:
            raise Halted

    def sleep(self, seconds: float) -> None:
        """Sleep, but not longer than wanted.

        Raises:
            Halted: `stop` was called.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.stopped, seconds)
        self.check()

    @contextmanager
    def running(self) -> Generator[None]:
        """For the time of a block, let this be what the calling thread runs under."""
        before, _here.halt = _here.halt, self
        try:
            yield
        finally:
            _here.halt = before


def is_under_halt() -> bool:
    """Whether the calling thread is one that can be told to end."""
    return _here.halt is not None


def check() -> None:
    """Go no further in a thread that was told to end.

    Raises:
        Halted: It was.
    """
    if _here.halt is not None:
        _here.halt.check()


def pause(seconds: float) -> None:
    """Sleep, but in a thread that is told to end not longer than that.

    Raises:
        Halted: It was told.
    """
    if _here.halt is None:
        time.sleep(seconds)
    else:
        _here.halt.sleep(seconds)


@contextmanager
def waking(wake: Callable[[], object]) -> Generator[None]:
    """For the time of a block that waits, say how to end the wait from another thread.

    Raises:
        Halted: This thread was told to end, before or meanwhile.
    """
    halt = _here.halt
    if halt is None:
        yield
        return
    halt.check()
    place = halt.watch(wake)
    try:
        yield
    finally:
        halt.unwatch(place)
    halt.check()


def _forget() -> None:
    """In a process that a thread forked, nobody is left who could tell it to end."""
    _here.halt = None


os.register_at_fork(after_in_child=_forget)
