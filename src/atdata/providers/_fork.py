"""What must happen around `os.fork`, for every object that asks for it."""

import os
import threading
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress


class ForkAware:
    """Is called before a fork in the parent, and after it in the parent and the child."""

    def follow_forks(self) -> None:
        """From now on be called around forks, for as long as this object lives."""
        _FOLLOWING.add(self)

    def before_fork(self) -> None:
        """Come to a state that can be copied, or be as before where an error is raised."""

    def after_fork(self) -> None:
        """Go on from there, in the parent and in the child."""

    def unready_fork(self) -> None:
        """Begin anew in a child that came to be while this was in the middle of something."""


class _Told(threading.local):
    """Who was told of the fork that this thread makes."""

    def __init__(self) -> None:
        self.all: list[ForkAware] = []


_FOLLOWING: weakref.WeakSet[ForkAware] = weakref.WeakSet()
_TOLD = _Told()
_FORKING = [threading.RLock()]
"""One fork at a time; renewed in a child."""


def _before() -> None:
    # What is raised here is shown and does not stop the fork.
    _FORKING[0].acquire()
    _each(_tell, _following())


def _tell(one: ForkAware) -> None:
    one.before_fork()
    _TOLD.all.append(one)


def _after_in_parent() -> None:
    try:
        _each(_go_on, reversed(_TOLD.all))
    finally:
        _TOLD.all.clear()
        with suppress(RuntimeError):  # the wait for it was interrupted: another's fork has it
            _FORKING[0].release()


def _after_in_child() -> None:
    told = _TOLD.all.copy()
    _TOLD.all.clear()
    _FORKING[0] = threading.RLock()
    known = set(map(id, told))
    _each(_begin_anew, [one for one in _following() if id(one) not in known])
    _each(_go_on, reversed(told))


def _begin_anew(one: ForkAware) -> None:
    one.unready_fork()


def _go_on(one: ForkAware) -> None:
    one.after_fork()


def _following() -> list[ForkAware]:
    """Those there are now; where another thread makes one meanwhile, they are listed again."""
    while True:
        with suppress(RuntimeError):  # the set changed its size
            return list(_FOLLOWING)


def _each(act: Callable[[ForkAware], None], those: Iterable[ForkAware]) -> None:
    """Do it for all, also where it fails for one; the first error is raised at the end."""
    first: BaseException | None = None
    for one in those:
        try:
            act(one)
        except BaseException as error:
            first = first or error
    if first is not None:
        try:
            raise first
        finally:
            del first  # it holds this frame, and so all that it told


os.register_at_fork(
    before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
)
