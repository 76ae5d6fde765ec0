"""What a fork does to pools, also where it comes at a bad moment."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from atdata.model.record import LABEL, Put, Row
from atdata.providers import MemoryProvider, _fork, _pool
from atdata.providers._fork import ForkAware
from atdata.providers._pool import Pool

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


def in_a_child(act: Callable[[], None]) -> int:
    """What a fork exits with: 0 if nothing was raised, and a signal's number if it hung."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            threading.Timer(10, os._exit, (7,)).start()
            act()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[type[BaseException] | None]:
    """What was raised around a fork and could only be shown."""
    seen: list[type[BaseException] | None] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda shown: seen.append(shown.exc_type))
    return seen


class Interrupted(ForkAware):
    """Is interrupted when it is told of a fork."""

    def __init__(self) -> None:
        self.n_after = 0
        self.follow_forks()

    def before_fork(self) -> None:
        """As when Ctrl-C is pressed."""
        raise KeyboardInterrupt

    def after_fork(self) -> None:
        """Be told of a fork that was never announced."""
        self.n_after += 1


def closing_pool() -> tuple[Pool[list[str]], list[list[str]]]:
    """A pool, and the connections that it closed."""
    closed: list[list[str]] = []
    return Pool[list[str]](list, closed.append), closed


@contextmanager
def used_elsewhere(pool: Pool[list[str]]) -> Iterator[list[str]]:
    """A connection that another thread has in use."""
    taken, done = threading.Event(), threading.Event()
    found: list[list[str]] = []

    def use() -> None:
        with pool.use() as connection:
            found.append(connection)
            taken.set()
            done.wait(20)

    thread = threading.Thread(target=use)
    thread.start()
    taken.wait(20)
    try:
        yield found[0]
    finally:
        done.set()
        thread.join()


def test_an_interrupt_before_a_fork_locks_nobody_out(
    unraisable: list[type[BaseException] | None],
) -> None:
    """The others go on in parent and child, and the next fork goes as well."""
    one = Interrupted()
    pool, _ = closing_pool()
    memory = MemoryProvider()

    def use() -> None:
        with pool.use():
            memory.commit([Put(Row(LABEL, "a", "", "{}"))])

    for _ in range(2):
        assert in_a_child(use) == 0
        use()

    assert unraisable == [KeyboardInterrupt] * 2
    assert one.n_after == 0
    other = threading.Thread(target=lambda: in_a_child(use))
    other.start()
    other.join(20)
    assert not other.is_alive()


def test_a_failure_after_a_fork_stops_no_other(
    unraisable: list[type[BaseException] | None],
) -> None:
    """Every pool is released, whoever fails."""
    pools = [closing_pool()[0] for _ in range(3)]

    class Failing(ForkAware):
        def after_fork(self) -> None:
            raise OSError

    failing = Failing()
    failing.follow_forks()

    def use() -> None:
        for pool in pools:
            with pool.use():
                pass

    assert in_a_child(use) == 0
    use()
    assert unraisable == [OSError]
    assert _fork._TOLD.all == []


def test_an_interrupted_wait_leaves_the_connection_to_the_parent(
    unraisable: list[type[BaseException] | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child opens its own; the parent goes on with the one that is in use."""
    pool, closed = closing_pool()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    def use() -> None:
        with pool.use() as connection:
            assert connection is not busy
        assert closed == []

    with used_elsewhere(pool) as busy:
        monkeypatch.setattr(pool._change, "wait_for", interrupted)
        assert in_a_child(use) == 0
        assert unraisable == [KeyboardInterrupt]
        use()

    assert closed == []


def test_a_connection_still_in_use_is_the_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the patience is over: whoever has it in use, the child neither uses nor closes it."""
    monkeypatch.setattr(_pool, "_PATIENCE", 0.05)
    pool, closed = closing_pool()

    def own() -> None:
        with pool.use() as connection:
            assert all(connection is not one for one in (busy, mine))

    with used_elsewhere(pool) as busy:
        with pool.use() as mine:
            pid = os.fork()
            if pid == 0:
                with pool.use() as connection:
                    new = connection is not busy and connection is not mine
        if pid == 0:  # the block has ended in the child as well
            os._exit(0 if new and closed == [] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert in_a_child(own) == 0

    assert all(connection is not busy for connection in closed)


def test_pools_are_made_while_forks_are_listed() -> None:
    """A thread that opens providers disturbs no fork."""
    kept: list[Pool[list[str]]] = []
    over = threading.Event()

    def make() -> None:
        while not over.is_set() and len(kept) < 20_000:
            kept.append(closing_pool()[0])

    thread = threading.Thread(target=make)
    thread.start()
    try:
        for _ in range(200):
            assert all(isinstance(one, ForkAware) for one in _fork._following())
    finally:
        over.set()
        thread.join()
