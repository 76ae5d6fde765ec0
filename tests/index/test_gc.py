"""Cleaning up after writes that ended early, and nothing else."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.index.kinds import FILES, Point, is_empty, numbers, pending, points, shards

from atdata import ConflictError, Index, StorageError
from atdata.index._journal import Maker, Pending
from atdata.model.entry import now
from atdata.model.record import ENTRY, Change, Delete, Put, Row
from atdata.model.shard import FinishedShard
from atdata.providers import MemoryProvider
from atdata.stores import LocalDiskStore
from atdata.stores.keys import with_sidecars
from atdata.stores.s3 import S3DataStore

DEAD = replace(Maker.this(), pid=2**22 + 1, born=1)
FAR = Maker("elsewhere/boot/pid:[1]", 1, 1)


def left_behind(index: Index, name: str = "ds", maker: Maker = DEAD) -> Pending:
    """What a process that was killed leaves: shards, unfinished parts, and the record of it."""
    store = index.repos["local"].store
    assert isinstance(store, LocalDiskStore)
    token = "0123456789abcdef"
    found = Pending(name, token, repr(store), True, maker, now() - timedelta(hours=1))
    for folder, file in ((store.root / name, f"{token}-000000.tar"), (
        store.staging(f"{name}/{token}"), "000001.tar",
    )):  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"x" * 1000)
    index.provider.commit([Put(found.row())])
    return found


def test_what_a_killed_write_left_is_found_and_removed(index: Index) -> None:
    """First it is only said; datasets and foreign files stay."""
    index.write(points(3), name="ds", maxcount=2)
    store = index.repos["local"].store
    assert isinstance(store, LocalDiskStore)
    (store.root / "ds/foreign.tar").write_bytes(b"mine")
    before = shards(index)
    left_behind(index)

    trial = index.gc()

    assert (trial.works, trial.n_bytes, len(trial.orphans), trial.removed) == (1, 2000, 2, False)
    assert len(shards(index)) == len(before) + 2
    done = index.gc(dry_run=False)
    assert (done.n_bytes, done.removed) == (2000, True)
    assert shards(index) == before
    assert pending(index) == []
    assert index.gc().orphans == ()
    assert numbers(index.open("ds")) == [0, 1, 2]


def test_a_write_that_goes_on_is_left_alone(local: Index) -> None:
    """Of this process and of another machine; the latter until it has had enough time."""
    reports = []

    def samples() -> Iterator[Point]:
        yield from points(2000)
        reports.append(local.gc(dry_run=False, older_than=timedelta(0)))
        yield from points(2000, 2000)

    local.write(samples(), name="ds", maxcount=100)
    left_behind(local, "far", FAR)

    assert [(report.running, report.orphans) for report in reports] == [(1, ())]
    assert numbers(local.open("ds")) == list(range(4000))
    assert local.gc(dry_run=False).running == 1
    assert len(local.gc(dry_run=False, older_than=timedelta(minutes=1)).orphans) == 2


def test_what_an_entry_needs_is_never_removed(local: Index) -> None:
    """Whatever a record of a write says, and under whatever name the entry is now."""
    entry = local.write(points(3), name="ds")
    (row,) = local.provider.rows(ENTRY)
    token = Path(entry.data_urls[0]).name[:16]
    local.rename("ds", "other")
    store = repr(local.repos["local"].store)
    lying = Pending("ds", token, store, True, DEAD, now())
    removal = Pending("ds", "f" * 16, store, True, DEAD, now(), (f"ds/{token}-000000.tar",))
    local.provider.commit([Put(lying.row()), Put(removal.row())])

    assert local.gc(dry_run=False).orphans == ()

    assert numbers(local.open("other")) == [0, 1, 2]
    assert pending(local) == []
    assert row.name == "ds"


def test_a_removal_that_was_cut_is_finished(local: Index) -> None:
    """The commit that hides a dataset says which shards are to go."""
    entry = local.write(points(3), name="ds")
    key = f"ds/{Path(entry.data_urls[0]).name}"
    removal = Pending("ds", "f" * 16, repr(local.repos["local"].store), True, DEAD, now(), (key,))
    local.delete_dataset("ds", keep_shards=True)
    local.provider.commit([Put(removal.row())])

    assert [one.key for one in local.gc(dry_run=False).orphans] == with_sidecars(key)
    assert shards(local) == []


def test_damaged_records_of_writes_are_left_alone(local: Index) -> None:
    """And do not keep others from being cleaned up after."""
    bodies = ("{}", "[]", "no json", '{"store":1}', '{"keys":["../../x"]}')
    local.provider.commit(
        [Put(Row("pending", "bad", str(i), body)) for i, body in enumerate(bodies)]
    )
    left_behind(local)

    assert local.gc(dry_run=False).works == 1

    assert shards(local) == []


def test_a_record_that_names_foreign_files_removes_nothing(local: Index, tmp_path: Path) -> None:
    """Neither outside of the store nor in folders that are not of a write."""
    local.write(points(1), name="a")
    before = shards(local)
    theirs = tmp_path / "index-data/theirs"
    theirs.mkdir()
    (theirs / "x.tar").write_bytes(b"x")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file.tar").write_bytes(b"x")
    store = repr(local.repos["local"].store)
    keys = ("../precious/file.tar", str(tmp_path / "precious/file.tar"), "", "..", "t")
    for folder in (None, str(tmp_path / "precious"), "/tmp"):
        lying = Pending("x", "f" * 16, store, True, DEAD, now(), keys, folder)
        local.provider.commit([Put(lying.row())])
        local.gc(dry_run=False)

    for name, tag in (("theirs", "x"), ("theirs/x.tar", ""), ("", "f" * 16)):
        row = Pending("x", "f" * 16, store, True, DEAD, now()).row()
        local.provider.commit([Put(replace(row, name=name, tag=tag))])
        local.gc(dry_run=False)

    assert (tmp_path / "precious/file.tar").exists()
    assert shards(local) == sorted([*before, "theirs/x.tar"])


def test_a_bucket_is_cleaned(tmp_path: Path, s3_store: S3DataStore) -> None:
    """Also one that was only given for a write, if it is given again."""
    (tmp_path / "a.tar").write_bytes(bytes(1024))
    with Index(path=tmp_path / "i.db") as index:
        index.write(points(3), name="ds", data_store=s3_store)
        key = f"ds/{'f' * 16}-000000.tar"
        s3_store.put(FinishedShard(tmp_path / "a.tar", 0, 1024, None), key=key)
        left = Pending("ds", "f" * 16, repr(s3_store), False, DEAD, now())
        index.provider.commit([Put(left.row())])

        assert index.gc(dry_run=False).elsewhere == (repr(s3_store),)
        report = index.gc(dry_run=False, data_store=s3_store)

        assert [orphan.key for orphan in report.orphans] == [key]
        assert len(list(s3_store.list_keys())) == FILES


def test_only_one_repository_if_it_is_named(local: Index) -> None:
    """And none that is not mounted."""
    left_behind(local)

    with pytest.raises(KeyError, match="Unknown repository"):
        local.gc(repo="lab")
    assert local.gc(repo="local").works == 1


def test_a_write_that_was_taken_for_dead_ends_at_once(local: Index) -> None:
    """Its samples are in no dataset, the error says so, and its shards are removed."""

    def samples() -> Iterator[Point]:
        yield from points(2000)
        (row,) = pending(local)
        local.provider.commit([Delete(row.key)])
        yield from points(2000, 2000)

    began = time.monotonic()
    with pytest.raises(ConflictError):
        local.write(samples(), name="ds", maxcount=100)

    assert time.monotonic() - began < 30
    assert is_empty(local)


def test_a_commit_whose_answer_was_lost_keeps_its_shards(tmp_path: Path) -> None:
    """What the catalogue shows is never removed, though the write ended with an error."""

    class Deaf(MemoryProvider):
        def commit(self, changes: Sequence[Change]) -> int:
            number = super().commit(changes)
            if any(change.key[0] == ENTRY for change in changes):
                raise StorageError("the database", "the connection was lost")
            return number

    with Index(Deaf(), data_store=LocalDiskStore(tmp_path / "s")) as index:
        with pytest.raises(StorageError, match="connection"):
            index.write(points(3), name="ds")

        assert numbers(index.open("ds")) == [0, 1, 2]
        assert index.gc().orphans == ()
