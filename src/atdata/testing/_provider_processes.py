"""Threads, forks and processes that use one store at once, and some that are killed."""

import multiprocessing
import os
import pickle
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from multiprocessing.context import ForkServerContext
from typing import Any

from atdata._exceptions import ConflictError
from atdata.model.record import (
    ENTRY,
    LABEL,
    LENS,
    PENDING,
    SCHEMA,
    Change,
    Delete,
    Put,
    Row,
    SearchText,
)
from atdata.providers import IndexProvider

type ProviderFactory = Callable[[], IndexProvider]
"""Opens a store; each call opens the same one."""


class ProcessTests:
    """Nothing is lost, given twice or half done, however many are at work.

    Attributes:
        is_shared: Whether several processes see one store.
    """

    is_shared = True

    def test_a_closed_provider_opens_again(self, provider_factory: ProviderFactory) -> None:
        """What was stored is there, through the same object and through another."""
        with provider_factory() as provider:
            provider.store_label("a", "cid")
            provider.close()
            provider.close()
            assert provider.get_label("a") == ("cid", None)

        with provider_factory() as again:
            assert again.get_label("a") == ("cid", None)
            assert type(again).__name__ in repr(again)

    def test_threads_share_a_provider(self, provider: IndexProvider) -> None:
        """Each thread's rows are there, and nobody reads half a commit."""
        errors: list[BaseException] = []

        def work(number: int) -> None:
            try:
                for i in range(20):
                    rows = [Row(LABEL, f"{number}-{i}", tag, "{}", ("r",)) for tag in "xy"]
                    provider.commit([Put(row, 0) for row in rows])
                    found = provider.page(LABEL, name=f"{number}-{i}", ref="r")
                    assert [row.tag for row in found] == ["x", "y"]
                    assert len({row.seq for row in found}) == 1
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert errors == []
        assert len(list(provider.rows(LABEL))) == 160

    def test_a_provider_works_on_both_sides_of_a_fork(self, provider: IndexProvider) -> None:
        """Parent and child read and write, also while another thread of the parent writes."""
        provider.store_label("before", "cid")
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                provider.store_label("meanwhile", "cid")

        writer = threading.Thread(target=write)
        writer.start()
        try:
            exits = [_in_a_fork(lambda: _use(provider, f"child{i}")) for i in range(3)]  # noqa: B023
        finally:
            stop.set()
            writer.join()

        assert exits == [0, 0, 0]
        provider.store_label("after", "cid")
        names = {name for name, _, _ in provider.iter_labels()}
        children = {"child0", "child1", "child2"} if self.is_shared else set[str]()
        assert names == {"before", "meanwhile", "after"} | children

    def test_a_provider_can_be_pickled(self, provider: IndexProvider) -> None:
        """What comes out finds what is there; it is the same store where processes share one."""
        provider.store_label("a", "cid")

        with pickle.loads(pickle.dumps(provider)) as copy:  # noqa: S301 - made here
            assert copy.get_label("a") == ("cid", None)
            copy.store_label("b", "cid")

        assert len(list(provider.iter_labels())) == (2 if self.is_shared else 1)

    def test_processes_that_open_a_new_store_at_once_all_succeed(
        self, provider_factory: ProviderFactory
    ) -> None:
        """Twelve make the same store at the same moment; each one's row is there."""
        n_openers = 12 if self.is_shared else 1

        seqs = _in_processes(_open_and_put, [(provider_factory, i) for i in range(n_openers)])

        assert sorted(seqs) == list(range(1, n_openers + 1))

    def test_processes_that_want_the_same_key_get_one_each(
        self, provider_factory: ProviderFactory
    ) -> None:
        """Each version is given once, and a counter loses no increment."""
        n_processes, n_each = (4, 50) if self.is_shared else (1, 50)
        with provider_factory() as provider:
            provider.commit([Put(Row(PENDING, "counter", "", "0"))])

            took = _in_processes(_contend, [(provider_factory, n_each)] * n_processes)

            versions = [version for some in took for version in some]
            assert sorted(versions) == list(range(n_processes * n_each))
            assert len(list(provider.rows(SCHEMA))) == n_processes * n_each
            counter = provider.get(PENDING, "counter")
            assert counter is not None
            assert int(counter.body) == n_processes * n_each

    def test_a_killed_process_leaves_the_old_state_or_the_new(
        self, provider_factory: ProviderFactory
    ) -> None:
        """After `kill -9` in the middle of commits, all that a commit changed fits together."""
        kills = (0.0, 0.013, 0.05, 0.11) if self.is_shared else ()

        for delay in kills:
            with provider_factory() as provider:
                seen = provider.newest()
                worker = _context().Process(target=_keep_changing, args=(provider_factory,))
                worker.start()
                end = time.monotonic() + 30
                while provider.get(LABEL, "a") is None or provider.newest() == seen:
                    assert time.monotonic() < end
                    time.sleep(0.002)
                time.sleep(delay)
                assert worker.pid is not None
                os.kill(worker.pid, signal.SIGKILL)
                worker.join()
                worker.close()
                _assert_whole(provider)


def _use(provider: IndexProvider, name: str) -> None:
    provider.store_label(name, "cid")
    assert provider.get_label("before") == ("cid", None)
    assert provider.get_label(name) == ("cid", None)


def _in_a_fork(act: Callable[[], None]) -> int:
    """What a forked child that acts exits with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # there is a second thread: on purpose
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.alarm(30)
            act()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _in_processes[T](work: Callable[..., T], arguments: Iterable[tuple[Any, ...]]) -> list[T]:
    """What each of several processes returns that work at once; one alone is this process."""
    given = list(arguments)
    if len(given) == 1:
        _Meeting.barrier = threading.Barrier(1)
        return [work(*given[0])]
    context = _context()
    barrier = context.Barrier(len(given))
    with context.Pool(len(given), initializer=_meet, initargs=(barrier,)) as pool:
        waiting = [pool.apply_async(work, some) for some in given]
        results = [one.get(60) for one in waiting]
        pool.close()
        pool.join()
    return results


class _Meeting:
    barrier: Any = None


def _meet(barrier: Any) -> None:
    _Meeting.barrier = barrier


def _open_and_put(factory: ProviderFactory, number: int) -> int:
    _Meeting.barrier.wait(30)
    with factory() as provider:
        return provider.commit([Put(Row(LABEL, str(number), "", "{}"), 0)])


def _contend(factory: ProviderFactory, n_wanted: int) -> list[int]:
    _Meeting.barrier.wait(30)
    took: list[int] = []
    version = 0
    with factory() as provider:
        while len(took) < n_wanted:
            try:
                provider.commit([Put(Row(SCHEMA, "S", str(version), "{}"), 0)])
            except ConflictError:
                pass
            else:
                took.append(version)
                _count(provider)
            version += 1
    return took


def _count(provider: IndexProvider) -> None:
    while True:
        row = provider.get(PENDING, "counter")
        assert row is not None
        try:
            provider.commit([Put(Row(*row.key, str(int(row.body) + 1)), row.seq)])
        except ConflictError:
            continue
        return


def _keep_changing(factory: ProviderFactory) -> None:
    """Commit again and again what belongs together, until killed."""
    with factory() as provider:
        row = provider.get(LABEL, "a")
        i = 0 if row is None else int(row.body) + 1
        while True:
            text = SearchText(f"w{i}", "", "", "always")
            steps: list[Change] = [
                Put(Row(LABEL, "a", "", str(i), (f"r{i}",), text)),
                Put(Row(LENS, "b", "", str(i), (f"r{i}",), text)),
            ]
            key = (PENDING, "even", "")
            steps.append(Delete(key) if i % 2 else Put(Row(*key, str(i), (f"r{i}",))))
            steps.append(Put(Row(ENTRY, str(i), "", str(i))))
            provider.commit(steps)
            i += 1


def _assert_whole(provider: IndexProvider) -> None:
    a, b, even = provider.get(LABEL, "a"), provider.get(LENS, "b"), provider.get(PENDING, "even")
    assert a is not None
    assert b is not None
    assert (a.body, a.seq) == (b.body, b.seq)
    i = int(a.body)
    assert (even is None) == (i % 2 == 1)
    assert even is None or (even.body, even.seq) == (a.body, a.seq)
    assert [row.name for row in provider.page(LABEL, ref=f"r{i}")] == ["a"]
    assert provider.page(LABEL, ref=f"r{i - 1}") == []
    assert {hit.row.key for hit in provider.search(f"w{i}").hits} >= {a.key, b.key}
    assert {hit.row.key for hit in provider.search("always").hits} == {a.key, b.key}
    assert sum(1 for _ in provider.rows(ENTRY)) == i + 1
