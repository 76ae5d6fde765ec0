"""What every store promises, as tests: for stores of one's own too.

class TestMine(DataStoreSuite):
    @pytest.fixture
    def store(self, tmp_path): return MyStore(tmp_path)
"""

import dataclasses
import hashlib
import multiprocessing
import os
import pickle
import secrets
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pytest

from atdata._exceptions import RecordExistsError, ShardNotFoundError, StorageError
from atdata._protocols import (
    AbstractDataStore,
    DataSource,
    SupportsCleaning,
    SupportsRange,
    SupportsSidecars,
)
from atdata.model.shard import SIDECARS, FinishedShard, StoredShard, StoredSidecar, beside

HOSTILE_KEYS = [
    "",
    ".",
    "..",
    "/etc/a.tar",
    "../a.tar",
    "a/../../b.tar",
    "a//b.tar",
    "a/./b.tar",
    "a/",
    "/a.tar",
    "a/.b.tar",
    "a\\b.tar",
    "a\0b.tar",
    "a\nb.tar",
    "a b.tar",
    "a%2e%2e.tar",
    "%s.tar",
    "a{1..3}.tar",
    "a,b.tar",
    "~/a.tar",
    "s3://bucket/a.tar",
    "file:a.tar",
    "a?b.tar",
    "a*.tar",
    "ä.tar",
    "a.txt",
    "a" * 500 + ".tar",
    ".staging/a.tar",
]


class CleanedStore(AbstractDataStore, SupportsCleaning, Protocol):
    """A store that also tells what it holds, as those that the suite tests do."""


class DataStoreSuite:
    """Tests that any store passes which takes shards whole or not at all.

    A subclass named `Test…` gives a fixture `store`: an empty store, which can be pickled, and
    can list and remove what it holds.

    Attributes:
        decides_at_once: Whether of two different shards that are put under one key at the same
            moment exactly one is taken. Without, both may be, and the later one is kept.
        large: Bytes of the shard whose writing is interrupted.

    Examples:
        >>> class TestDisk(DataStoreSuite):
        ...     @pytest.fixture
        ...     def store(self, tmp_path):
        ...         from atdata.stores import LocalDiskStore
        ...         return LocalDiskStore(tmp_path / "store")
    """

    decides_at_once: ClassVar[bool] = True
    large: ClassVar[int] = 24 << 20

    def test_it_is_a_store_that_can_be_cleaned(self, store: CleanedStore) -> None:
        """It offers what the protocols ask for."""
        assert isinstance(store, AbstractDataStore)
        assert isinstance(store, SupportsCleaning)

    def test_what_is_put_is_read_back(self, store: CleanedStore, tmp_path: Path) -> None:
        """The facts are those of the shard, and its bytes come back, whole and in part."""
        data = secrets.token_bytes(100_000)

        kept = store.put(finished(tmp_path / "a.tar", data, n_samples=7), key="set/a-000000.tar")

        digest = hashlib.sha256(data).hexdigest()
        assert kept == StoredShard("set/a-000000.tar", 7, len(data), digest)
        assert contents(store.source([kept])) == [data]
        source, (shard_id,) = store.source([kept]), store.source([kept]).list_shards()
        if isinstance(source, SupportsRange):
            assert source.shard_size(shard_id) == len(data)
            assert source.read_range(shard_id, 10, 20) == data[10:30]
            assert source.read_range(shard_id, -20, 10) == data[-20:-10]

    def test_the_shard_that_was_put_stays(self, store: CleanedStore, tmp_path: Path) -> None:
        """A file that is no part of the store is left as it is."""
        shard = finished(tmp_path / "a.tar", b"x" * 1000)

        store.put(shard, key="set/a.tar")

        assert shard.path.read_bytes() == b"x" * 1000

    def test_a_digest_is_taken_where_none_is_known(
        self, store: CleanedStore, tmp_path: Path
    ) -> None:
        """A shard without a digest has one once it is kept."""
        (tmp_path / "a.tar").write_bytes(b"abc")

        kept = store.put(FinishedShard(tmp_path / "a.tar", 1, 3, None), key="set/a.tar")

        assert kept.sha256 == hashlib.sha256(b"abc").hexdigest()

    def test_an_empty_file_is_kept(self, store: CleanedStore, tmp_path: Path) -> None:
        """No bytes at all are whole too."""
        kept = store.put(finished(tmp_path / "a.tar", b""), key="set/a.tar")

        assert [(one.key, one.n_bytes) for one in store.list_keys("set/")] == [("set/a.tar", 0)]
        assert kept.n_bytes == 0

    def test_putting_the_same_again_changes_nothing(
        self, store: CleanedStore, tmp_path: Path
    ) -> None:
        """Who repeats a write after a lost answer is told that all is well."""
        shard = finished(tmp_path / "a.tar", b"abc" * 1000)

        first = store.put(shard, key="set/a.tar")

        assert store.put(shard, key="set/a.tar") == first
        assert contents(store.source([first])) == [b"abc" * 1000]

    @pytest.mark.parametrize("other", [b"xyz" * 1000, b"abc" * 999, b""])
    def test_what_is_kept_is_not_replaced(
        self, store: CleanedStore, tmp_path: Path, other: bytes
    ) -> None:
        """Another shard under the same key is refused, and the first stays."""
        first = store.put(finished(tmp_path / "a.tar", b"abc" * 1000), key="set/a.tar")

        with pytest.raises(RecordExistsError, match=r"set/a\.tar"):
            store.put(finished(tmp_path / "b.tar", other), key="set/a.tar")

        assert contents(store.source([first])) == [b"abc" * 1000]
        assert keys(store) == ["set/a.tar"]

    @pytest.mark.parametrize("key", HOSTILE_KEYS, ids=lambda key: ascii(key[:20]))
    def test_a_key_that_could_lead_elsewhere_is_refused(
        self, store: CleanedStore, tmp_path: Path, key: str
    ) -> None:
        """Nothing is written anywhere under a key that is none."""
        shard = finished(tmp_path / "a.tar", b"abc")

        with pytest.raises(ValueError, match="is no key"):
            store.put(shard, key=key)

        assert keys(store) == []

    @pytest.mark.parametrize("key", ["../a.tar", "a/../../b.tar", "a//b.tar", "a\0b.tar", ""])
    def test_nothing_is_read_or_removed_outside(self, store: CleanedStore, key: str) -> None:
        """A key from elsewhere that leads out is refused by all that take one."""
        for use in (store.url, store.remove, lambda key: store.source([StoredShard(key)])):
            with pytest.raises(ValueError, match="is no key"):
                use(key)

    def test_a_shard_that_changed_is_refused(self, store: CleanedStore, tmp_path: Path) -> None:
        """Bytes that are not those that were finished are not kept."""
        shard = finished(tmp_path / "a.tar", b"abc" * 1000)
        shard.path.write_bytes(b"abd" * 1000)

        with pytest.raises(StorageError, match="not what it was"):
            store.put(shard, key="set/a.tar")

        assert keys(store) == []

    def test_a_shard_that_was_cut_is_refused(self, store: CleanedStore, tmp_path: Path) -> None:
        """A file that lost its end is not kept."""
        shard = finished(tmp_path / "a.tar", b"abc" * 1000)
        shard.path.write_bytes(b"abc" * 999)

        with pytest.raises(StorageError, match="not what it was"):
            store.put(shard, key="set/a.tar")

        assert keys(store) == []

    def test_a_shard_that_is_gone_is_refused(self, store: CleanedStore, tmp_path: Path) -> None:
        """A file that is not there is an error of the store, and nothing is kept."""
        shard = FinishedShard(tmp_path / "none.tar", 1, 3, "00" * 32)

        with pytest.raises(StorageError):
            store.put(shard, key="set/a.tar")

        assert keys(store) == []

    def test_keys_are_listed_by_how_they_begin(self, store: CleanedStore, tmp_path: Path) -> None:
        """A listing holds all keys that begin so, with size and time, and no others."""
        began = time.time() - 2
        names = ["a/x-0.tar", "a/x-1.tar", "a/y.manifest.json", "ab/x.tar", "b.tar"]
        for number, key in enumerate(names):
            store.put(finished(tmp_path / f"{number}", b"x" * (number + 1)), key=key)

        found = {one.key: one for one in store.list_keys("a/")}

        assert sorted(found) == ["a/x-0.tar", "a/x-1.tar", "a/y.manifest.json"]
        assert [found[key].n_bytes for key in sorted(found)] == [1, 2, 3]
        assert all(began < one.modified < time.time() + 2 for one in found.values())
        assert keys(store, "a/x") == ["a/x-0.tar", "a/x-1.tar"]
        assert keys(store) == sorted(names)
        assert keys(store, "none/") == []

    def test_what_is_removed_is_gone(self, store: CleanedStore, tmp_path: Path) -> None:
        """Removing takes one key away, does nothing a second time, and frees the key."""
        kept = store.put(finished(tmp_path / "a.tar", b"abc"), key="set/a.tar")
        store.put(finished(tmp_path / "b.tar", b"b"), key="set/b.tar")

        store.remove("set/a.tar")
        store.remove("set/a.tar")

        assert keys(store) == ["set/b.tar"]
        source = store.source([kept])
        with pytest.raises(ShardNotFoundError):
            source.open_shard(source.list_shards()[0])
        store.put(finished(tmp_path / "c.tar", b"other"), key="set/a.tar")
        assert contents(store.source([kept])) == [b"other"]

    def test_what_lies_beside_a_shard_is_kept_beside_it(
        self, store: CleanedStore, tmp_path: Path
    ) -> None:
        """It is told of with its digest, read through the source, and listed; its files stay."""
        shard = with_sidecars(finished(tmp_path / "v1.0-0.tar", b"abc"), b"{}", b"PAR1" * 999)
        bare = finished(tmp_path / "b.tar", b"b")

        kept = store.put(shard, key="set/v1.0-0.tar")
        alone = store.put(bare, key="set/b.tar")

        assert [one.suffix for one in kept.sidecars] == list(SIDECARS)
        assert kept.sidecars[0] == StoredSidecar(SIDECARS[0], 2, hashlib.sha256(b"{}").hexdigest())
        assert alone.sidecars == ()
        source = store.source([kept, alone])
        assert sidecars(source) == [[b"{}", b"PAR1" * 999], [None, None]]
        found = {one.key: one.n_bytes for one in store.list_keys("set/v1.0-0.")}
        assert found == {
            "set/v1.0-0.tar": 3,
            "set/v1.0-0.manifest.json": 2,
            "set/v1.0-0.manifest.parquet": 3996,
        }
        assert all(path.exists() for path in shard.sidecars)

    def test_what_lies_beside_a_shard_goes_with_it(
        self, store: CleanedStore, tmp_path: Path
    ) -> None:
        """Removing a shard leaves nothing of it; what lies beside it may be removed alone."""
        shard = with_sidecars(finished(tmp_path / "a.tar", b"abc"), b"{}", b"PAR1")
        store.put(shard, key="set/a.tar")
        kept = store.put(shard, key="set/b.tar")

        store.remove("set/a.tar")
        store.remove("set/b.manifest.json")

        assert keys(store) == ["set/b.manifest.parquet", "set/b.tar"]
        assert sidecars(store.source([kept])) == [[None, b"PAR1"]]

    def test_putting_all_of_it_again_changes_nothing(
        self, store: CleanedStore, tmp_path: Path
    ) -> None:
        """Who repeats a write is told that all is well; what was missing is added."""
        bare = finished(tmp_path / "a.tar", b"abc")
        shard = with_sidecars(bare, b"{}", b"PAR1")
        store.put(bare, key="set/a.tar")

        first = store.put(shard, key="set/a.tar")

        assert store.put(shard, key="set/a.tar") == first
        assert sidecars(store.source([first])) == [[b"{}", b"PAR1"]]

    @pytest.mark.parametrize("fault", ["other shard", "other manifest", "changed", "no file"])
    def test_a_shard_that_is_refused_leaves_nothing_beside_it(
        self, store: CleanedStore, tmp_path: Path, fault: str
    ) -> None:
        """All of it is kept or nothing, and what was there before stays as it was."""
        first = with_sidecars(finished(tmp_path / "a.tar", b"abc"), b"{}", None)
        other = with_sidecars(finished(tmp_path / "b.tar", b"xyz"), b"[]", b"PAR1")
        before: list[str] = []
        if fault == "other shard":
            store.put(finished(tmp_path / "c.tar", b"abc"), key="set/a.tar")
            before = ["set/a.tar"]
        elif fault == "other manifest":
            store.put(first, key="set/a.tar")
            before = ["set/a.manifest.json", "set/a.tar"]
            other = with_sidecars(finished(tmp_path / "b.tar", b"abc"), b"[]", b"PAR1")
        elif fault == "changed":
            other.path.write_bytes(b"xy!")
        else:
            other.sidecars[0].unlink()

        with pytest.raises((RecordExistsError, StorageError)):
            store.put(other, key="set/a.tar")

        assert keys(store) == before

    def test_only_a_shard_has_something_beside_it(
        self, store: CleanedStore, tmp_path: Path
    ) -> None:
        """What belongs to no shard is refused before anything is kept."""
        shard = finished(tmp_path / "a.tar", b"abc")
        (tmp_path / "a.txt").write_bytes(b"text")
        stray = dataclasses.replace(shard, sidecars=(tmp_path / "a.txt",))

        with pytest.raises(ValueError, match="cannot be kept beside"):
            store.put(stray, key="set/a.tar")
        with pytest.raises(ValueError, match="cannot be kept beside"):
            store.put(with_sidecars(shard, b"{}", None), key="set/a.manifest.json")

        assert keys(store) == []

    def test_an_address_is_left_as_it_is(self, store: CleanedStore) -> None:
        """What says by itself where it leads is not taken for a key."""
        for address in ("https://example.org/a.tar", "/data/a.tar", "s3://elsewhere/a.tar"):
            assert store.url(address) == address

    def test_shards_of_several_places_are_one_source(
        self, store: CleanedStore, tmp_path: Path
    ) -> None:
        """Keys and addresses may be mixed, and keep their order."""
        first = store.put(finished(tmp_path / "a.tar", b"first"), key="set/a.tar")
        (tmp_path / "elsewhere.tar").write_bytes(b"second")
        second = StoredShard(str(tmp_path / "elsewhere.tar"))
        third = store.put(finished(tmp_path / "c.tar", b"third"), key="set/c.tar")

        source = store.source([first, second, third])

        assert contents(source) == [b"first", b"second", b"third"]
        assert contents(pickle.loads(pickle.dumps(source))) == [b"first", b"second", b"third"]  # noqa: S301
        with pytest.raises(KeyError, match="Shard not found"):
            source.open_shard("none.tar")

    def test_no_shards_are_no_source(self, store: CleanedStore) -> None:
        """A dataset without shards is an error and not an empty one."""
        with pytest.raises(ValueError, match="no shards"):
            store.source([])

    def test_a_pickled_store_is_the_same_store(self, store: CleanedStore, tmp_path: Path) -> None:
        """Worker processes get the store itself."""
        again: CleanedStore = pickle.loads(pickle.dumps(store))  # noqa: S301

        kept = again.put(finished(tmp_path / "a.tar", b"abc"), key="set/a.tar")

        assert again == store
        assert hash(again) == hash(store)
        assert contents(store.source([kept])) == [b"abc"]

    def test_threads_put_at_once(self, store: CleanedStore, tmp_path: Path) -> None:
        """Eight threads that put many shards lose none and mix none up."""
        shards = [finished(tmp_path / f"{i}.tar", bytes([i]) * 5000) for i in range(24)]

        with ThreadPoolExecutor(8) as pool:
            kept = list(
                pool.map(lambda i: store.put(shards[i], key=f"set/{i % 3}/{i:03d}.tar"), range(24))
            )

        assert contents(store.source(kept)) == [bytes([i]) * 5000 for i in range(24)]

    @pytest.mark.parametrize(("how", "n"), [("fork", 4), ("spawn", 2)])
    def test_processes_put_at_once(
        self, store: CleanedStore, tmp_path: Path, how: str, n: int
    ) -> None:
        """Processes put and read, whether they were forked from one that did so or not."""
        first = store.put(finished(tmp_path / "first.tar", b"first"), key="set/first.tar")

        ended = run(how, [(put_some, (store, tmp_path, first, k)) for k in range(n)])

        assert ended == [0] * n
        kept = [StoredShard(f"set/{k}-{i}.tar") for k in range(n) for i in range(3)]
        expected = [f"{k} {i}".encode() * 999 for k in range(n) for i in range(3)]
        assert contents(store.source(kept)) == expected

    def test_writers_of_one_key_do_not_mix(self, store: CleanedStore, tmp_path: Path) -> None:
        """Of different shards under one key at the same moment one is kept, whole.

        Where the store decides at once, all others are refused. Where it does not, a later one
        may replace an earlier one, but what is there is always one of them.
        """
        for number in range(3):
            key = f"set/{number}.tar"
            shards = [finished(tmp_path / f"{i}", bytes([i]) * 20_000) for i in range(8)]

            outcomes = together(store, shards, key)

            refused = [one for one in outcomes if isinstance(one, RecordExistsError)]
            (found,) = contents(store.source([StoredShard(key)]))
            assert found in [shard.path.read_bytes() for shard in shards]
            assert [one for one in outcomes if isinstance(one, Exception)] == refused
            assert len(refused) == 7 or (not self.decides_at_once and len(refused) < 7)
            if self.decides_at_once:
                winner = next(i for i in range(8) if not isinstance(outcomes[i], Exception))
                assert found == shards[winner].path.read_bytes()

    def test_equal_writers_of_one_key_all_succeed(
        self, store: CleanedStore, tmp_path: Path
    ) -> None:
        """The same shard put by several at the same moment is kept, and each is told so."""
        shard = finished(tmp_path / "a.tar", b"same" * 5000)

        outcomes = together(store, [shard] * 8, "set/a.tar")

        assert [one for one in outcomes if isinstance(one, Exception)] == []
        assert contents(store.source([StoredShard("set/a.tar")])) == [b"same" * 5000]

    def test_a_killed_put_shows_nothing(self, store: CleanedStore, tmp_path: Path) -> None:
        """After kill -9 a key is whole or not there, and a cleaner finds what is left."""
        data = secrets.token_bytes(1 << 20) * (self.large >> 20)
        shard = with_sidecars(finished(tmp_path / "large.tar", data), b"{}", b"PAR1" * 999)
        began = time.monotonic()
        store.put(shard, key="killed/whole.tar")
        seconds = time.monotonic() - began

        for number in range(4):
            started = tmp_path / f"started-{number}"
            arguments = (store, shard, f"killed/{number}.tar", started)
            process = begin("fork", put_one, arguments)
            wait_for(started.exists)
            time.sleep(seconds * number / 4)
            kill(process)

        for one in list(store.list_keys("killed/")):
            if one.key in {f"killed/{number}.tar" for number in range(4)}:
                assert one.n_bytes == len(data)
                assert contents(store.source([StoredShard(one.key)])) == [data]
                assert sidecars(store.source([StoredShard(one.key)])) == [[b"{}", b"PAR1" * 999]]
        assert contents(store.source([StoredShard("killed/whole.tar")])) == [data]
        for one in list(store.list_keys("killed/")):
            store.remove(one.key)
        assert keys(store) == []


def finished(path: Path, data: bytes, *, n_samples: int = 1) -> FinishedShard:
    """A file as a shard that was finished; stores do not look into it."""
    path.write_bytes(data)
    return FinishedShard(path, n_samples, len(data), hashlib.sha256(data).hexdigest())


def with_sidecars(
    shard: FinishedShard, header: bytes | None, samples: bytes | None
) -> FinishedShard:
    """A shard with files beside it; stores do not look into them."""
    files: list[Path] = []
    for suffix, data in zip(SIDECARS, (header, samples), strict=True):
        if data is not None:
            path = Path(beside(str(shard.path), suffix))
            path.write_bytes(data)
            files.append(path)
    return dataclasses.replace(shard, sidecars=tuple(files))


def sidecars(source: DataSource) -> list[list[bytes | None]]:
    """What lies beside each shard, in order."""
    assert isinstance(source, SupportsSidecars)
    return [
        [source.read_sidecar(shard_id, suffix) for suffix in SIDECARS]
        for shard_id in source.list_shards()
    ]


def contents(source: DataSource) -> list[bytes]:
    """The bytes of all shards, in order."""
    found: list[bytes] = []
    for shard_id in source.list_shards():
        with source.open_shard(shard_id) as stream:
            found.append(stream.read())
    return found


def keys(store: SupportsCleaning, prefix: str = "") -> list[str]:
    """What lies in a store, sorted."""
    return sorted(one.key for one in store.list_keys(prefix))


def together(
    store: AbstractDataStore, shards: Sequence[FinishedShard], key: str
) -> list[StoredShard | BaseException]:
    """Put shards under one key at the same moment; what each gave, a result or an error."""
    barrier = threading.Barrier(len(shards))

    def put(shard: FinishedShard) -> StoredShard:
        barrier.wait()
        return store.put(shard, key=key)

    with ThreadPoolExecutor(len(shards)) as pool:
        futures = [pool.submit(put, shard) for shard in shards]
        return [future.exception() or future.result() for future in futures]


def put_some(store: CleanedStore, folder: Path, first: StoredShard, number: int) -> None:
    """Read a shard and put others: what a worker process does."""
    assert contents(store.source([first])) == [b"first"]
    for i in range(3):
        data = f"{number} {i}".encode() * 999
        store.put(finished(folder / f"{number}-{i}", data), key=f"set/{number}-{i}.tar")


def put_one(store: CleanedStore, shard: FinishedShard, key: str, started: Path) -> None:
    """Put a shard, and say before that this begins."""
    started.touch()
    store.put(shard, key=key)


def begin(how: str, act: Callable[..., None], arguments: tuple[Any, ...]) -> BaseProcess:
    """Start a process, by forking or anew."""
    context: Any = multiprocessing.get_context(how)
    process: BaseProcess = context.Process(target=act, args=arguments)
    process.start()
    return process


def run(
    how: str, tasks: Sequence[tuple[Callable[..., None], tuple[Any, ...]]]
) -> list[int | None]:
    """Run functions in processes, and give the processes' exit codes."""
    processes = [begin(how, act, arguments) for act, arguments in tasks]
    until = time.monotonic() + 60
    for process in processes:
        process.join(max(0.0, until - time.monotonic()))
    codes = [process.exitcode for process in processes]
    for process in processes:
        kill(process)
    return codes


def kill(process: BaseProcess) -> None:
    """End a process at once, without a word to it."""
    if process.is_alive() and process.pid is not None:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    process.close()


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)
