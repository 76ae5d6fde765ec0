"""What must happen around `os.fork`, for every object that asks for it."""

import os
import threading
import weakref


class ForkAware:
    """Is called before a fork in the parent, and after it in the parent and the child."""

    def follow_forks(self) -> None:
        """From now on be called around forks, for as long as this object lives."""
        _FOLLOWING.add(self)

    def before_fork(self) -> None:
        """Come to a state that can be copied."""

    def after_fork(self) -> None:
        """Go on from there, in the parent and in the child."""


_FOLLOWING: weakref.WeakSet[ForkAware] = weakref.WeakSet()


_FORKING = threading.Lock()
_TOLD: list[ForkAware] = []
"""Who was told of the fork that is under way; one at a time, under the lock."""


def _before() -> None:
    _FORKING.acquire()
    _TOLD.extend(_FOLLOWING)
    for one in _TOLD:
        one.before_fork()


def _after() -> None:
    for one in reversed(_TOLD):
        one.after_fork()
    _TOLD.clear()
    _FORKING.release()


os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
