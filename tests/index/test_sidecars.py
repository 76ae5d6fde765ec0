"""What lies beside shards in the catalogue: kept, compared, and removed with them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.index.kinds import Point, is_empty, numbers, pending, points, shards
from tests.index.test_gc import left_behind

import atdata
from atdata import Dataset, Index, ShardError, StorageError
from atdata._exceptions import DamagedRecordError
from atdata._protocols import SupportsSidecars
from atdata.model.entry import DatasetEntry
from atdata.model.record import ENTRY, Put
from atdata.model.rows import entry_row, read_entry
from atdata.model.shard import SIDECARS, FinishedShard, StoredShard, StoredSidecar, beside
from atdata.predicate import F
from atdata.stores import LocalDiskStore
from atdata.stores.s3 import S3DataStore

JSON, PARQUET = SIDECARS


def described(folder: Path, n: int = 3) -> Dataset[Point]:
    """A dataset of two shards with manifests beside them."""
    return atdata.write_samples(points(n), folder / "v1.0.tar", maxcount=2, manifest=True)


def found(ds: Dataset[Any]) -> list[list[bytes | None]]:
    """What a dataset's source gives beside its shards."""
    source: Any = ds.source
    assert isinstance(source, SupportsSidecars)
    return [
        [source.read_sidecar(shard, suffix) for suffix in SIDECARS] for shard in ds.list_shards()
    ]


def here(ds: Dataset[Any]) -> list[list[bytes | None]]:
    """The files that lie beside a dataset's shards."""
    files = [[Path(beside(shard, suffix)) for suffix in SIDECARS] for shard in ds.list_shards()]
    return [[path.read_bytes() if path.exists() else None for path in pair] for pair in files]


def make_anew(ds: Dataset[Point]) -> None:
    """Another manifest of the first shard, which is as good."""
    again = described(Path(ds.list_shards()[0]).parent / "again")
    Path(beside(ds.list_shards()[0], JSON)).write_bytes(here(again)[0][0] or b"")


def test_copies_come_with_what_lies_beside_them(index: Index, tmp_path: Path) -> None:
    """The entry says what it is, the dataset's source gives it, and the originals stay."""
    ds = described(tmp_path / "given")
    before = here(ds)

    entry = index.insert_dataset(ds, name="copy", copy=True)

    sizes = [[(one.suffix, one.n_bytes) for one in shard.sidecars] for shard in entry.shards]
    assert sizes == [
        [(suffix, len(data or b"")) for suffix, data in zip(SIDECARS, pair, strict=True)]
        for pair in before
    ]
    assert index.get_dataset("copy") == entry
    assert found(index.open("copy")) == before == here(ds)
    assert numbers(index.open("copy")) == [0, 1, 2]
    assert len(index.query("copy", F.n > 0)) == 2
    assert len(shards(index)) == 6


def test_copies_between_repositories(tmp_path: Path) -> None:
    """From one store to the next nothing is lost; renaming and removing the first changes none."""
    lab = atdata.create_repository(path=tmp_path / "lab.db")
    with Index(path=tmp_path / "mine.db", repos={"lab": lab}) as index:
        ds = described(tmp_path / "given")
        index.insert_dataset(ds, name="a", copy=True)

        index.insert_dataset(index.open("a"), name="lab/b", copy=True)
        index.delete_dataset("a")

        assert shards(index) == []
        assert found(index.open("lab/b")) == here(ds)
        index.rename("lab/b", "lab/c")
        assert found(index.open("lab/c")) == here(ds)
        assert len(index.query("lab/c", F.n > 0)) == 2


def test_copies_in_a_bucket(tmp_path: Path, s3_store: S3DataStore) -> None:
    """A bucket keeps them as a folder does, and gives them back to a folder."""
    ds = described(tmp_path / "given")
    with Index(path=tmp_path / "a.db", data_store=s3_store) as index:
        entry = index.insert_dataset(ds, name="a", copy=True)

        assert found(index.open("a")) == here(ds)
        assert index.verify("a").ok
        assert len(list(s3_store.list_keys())) == 6
        with Index(path=tmp_path / "b.db") as other:
            other.insert_dataset(index.open("a"), name="back", copy=True)
            assert found(other.open("back")) == here(ds)
        assert [len(shard.sidecars) for shard in entry.shards] == [2, 2]
        index.delete_dataset("a")
        assert list(s3_store.list_keys()) == []


@pytest.mark.parametrize("fault", ["stale", "no table", "no manifest", "nonsense"])
def test_a_manifest_that_cannot_be_used_is_not_copied(
    local: Index, tmp_path: Path, fault: str
) -> None:
    """The shards are, and nothing false is kept beside them."""
    ds = described(tmp_path / "given")
    text, table = (Path(beside(ds.list_shards()[0], suffix)) for suffix in SIDECARS)
    if fault == "stale":
        for other, path in zip(here(ds)[1], (text, table), strict=True):
            path.write_bytes(other or b"")
    elif fault == "no table":
        table.unlink()
    elif fault == "nonsense":
        text.write_bytes(b"{}")
    else:
        text.unlink()

    copied = local.insert_dataset(ds, name="copied", copy=True)
    stays = local.insert_dataset(ds, name="stays", checksums=True)

    for entry in (copied, stays):
        assert [len(shard.sidecars) for shard in entry.shards] == [0, 2]
    assert found(local.open("copied"))[0] == [None, None]
    assert numbers(local.open("copied")) == [0, 1, 2]


def test_what_stays_is_found_where_it_lies(local: Index, tmp_path: Path) -> None:
    """It is recorded with the digests of shards, and else may be made anew at any time."""
    ds = described(tmp_path / "given")

    loose = local.insert_dataset(ds, name="loose")
    fixed = local.insert_dataset(ds, name="fixed", checksums=True)
    make_anew(ds)

    assert [shard.sidecars for shard in loose.shards] == [(), ()]
    assert found(local.open("loose")) == here(ds)
    assert len(local.query("loose", F.n > 0)) == 2
    assert [len(shard.sidecars) for shard in fixed.shards] == [2, 2]
    with pytest.raises(ShardError, match=r"v1\.0-000000\.manifest\.json\n.*the catalogue says"):
        found(local.open("fixed"))


def test_what_was_made_anew_is_catalogued_again(local: Index, tmp_path: Path) -> None:
    """A version stays what it is, though what lies beside its shards has other bytes now."""
    ds = described(tmp_path / "given")
    first = local.insert_dataset(ds, name="a", version="1.0.0", checksums=True)
    make_anew(ds)

    again = local.insert_dataset(ds, name="a", version="1.0.1", checksums=True)

    assert again.cid == first.cid
    assert local.get_dataset("a@1.0.0").shards == again.shards != first.shards
    assert found(local.open("a@1.0.0")) == here(ds)


def test_verify_says_which_file_differs(local: Index, tmp_path: Path) -> None:
    """What lies beside shards is compared too, and a missing file is not passed over."""
    entry = local.insert_dataset(described(tmp_path / "given"), name="a", copy=True)
    first, second = entry.data_urls
    assert str(local.verify("a")) == "a: 2 ok; beside them 4 ok"

    text = Path(beside(first, JSON))
    text.write_bytes(text.read_bytes()[:-2] + b"}}")
    Path(beside(second, PARQUET)).unlink()
    report = local.verify("a")

    assert not report.ok
    assert list(report.statuses.values()) == ["ok", "ok"]
    kinds = {Path(name).name: one.partition(":")[0] for name, one in report.sidecars.items()}
    assert kinds == {
        Path(beside(first, JSON)).name: "mismatch",
        Path(beside(first, PARQUET)).name: "ok",
        Path(beside(second, JSON)).name: "ok",
        Path(beside(second, PARQUET)).name: "error",
    }
    assert str(report) == "a: 2 ok; beside them 2 ok, 1 mismatch, 1 error"
    with pytest.raises(ShardError, match="that the catalogue says"):
        found(local.open("a"))


def test_removal_takes_all_of_a_shard(index: Index, tmp_path: Path) -> None:
    """What another entry needs stays with all that lies beside it; the rest leaves nothing."""
    ds = described(tmp_path / "given")
    index.insert_dataset(ds, name="a", copy=True)
    before = shards(index)
    index.insert_dataset(index.open("a"), name="b")

    kept = index.delete_dataset("a")
    assert (kept.keys, shards(index)) == ((), before)
    assert found(index.open("b")) == here(ds)

    removed = index.delete_dataset("b")
    assert len(removed.keys) == 2
    assert is_empty(index)


def test_files_beside_shards_go_though_nobody_recorded_them(local: Index, tmp_path: Path) -> None:
    """A manifest that was made later for a stored shard does not outlive it."""
    ds = atdata.write_samples(points(3), tmp_path / "bare.tar")
    entry = local.insert_dataset(ds, name="a", copy=True)
    Path(beside(entry.data_urls[0], JSON)).write_bytes(b"later")

    assert found(local.open("a")) == [[b"later", None]]
    local.delete_dataset("a")

    assert is_empty(local)


def test_gc_finds_what_lies_beside_shards(local: Index, tmp_path: Path) -> None:
    """What a killed write left goes; what an entry needs stays, recorded or not."""
    ds = described(tmp_path / "given")
    local.insert_dataset(ds, name="ds", copy=True)
    before = shards(local)
    work = left_behind(local)
    root = Path(next(local.entries).data_urls[0]).parent
    for name in (f"{work.token}-000000", f"{work.token}-000001"):
        for suffix in SIDECARS:  # of the second, the shard itself did not get there
            (root / f"{name}{suffix}").write_bytes(b"x" * 10)
    lying = replace(work, token="f" * 16, keys=tuple(f"ds/{name}" for name in before))
    local.provider.commit([Put(lying.row())])

    trial = local.gc()
    done = local.gc(dry_run=False)

    assert trial.n_bytes == done.n_bytes == 2040
    assert shards(local) == before
    assert pending(local) == []
    assert found(local.open("ds")) == here(ds)


class Failing(LocalDiskStore):
    """A store whose disk is full for the second shard."""

    def put(self, shard: FinishedShard, *, key: str) -> StoredShard:
        if key.endswith("1.tar"):
            raise StorageError(key, "no space left on device")
        return super().put(shard, key=key)


def test_a_copy_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Neither shards nor what lies beside them."""
    store = Failing(tmp_path / "store")
    with Index(path=tmp_path / "index.db", data_store=store) as index:
        with pytest.raises(StorageError, match="no space left"):
            index.insert_dataset(described(tmp_path / "given"), name="a", copy=True)

        assert is_empty(index)


def test_records_keep_what_lies_beside_shards() -> None:
    """It comes back as it was, records of before are read, and a CID is of the shards alone."""
    sidecar = StoredSidecar(JSON, 9, "0f" * 32)
    bare = DatasetEntry("s", "atdata://local/schema/S@1.0.0", shards=(StoredShard("a.tar"),))
    entry = replace(bare, shards=(StoredShard("a.tar", sidecars=(sidecar,)),))

    assert read_entry(entry_row(entry)) == entry
    assert read_entry(entry_row(bare)).shards[0].sidecars == ()
    assert entry.cid == bare.cid
    assert "sidecars" not in entry_row(bare).body


@pytest.mark.parametrize(
    "sidecars",
    [
        {"/../x": {"bytes": 1, "sha256": "0f" * 32}},
        {JSON: {"bytes": -1, "sha256": "0f" * 32}},
        {JSON: {"bytes": True, "sha256": "0f" * 32}},
        {JSON: {"bytes": 1, "sha256": "0f"}},
        {JSON: {"bytes": 1}},
        {JSON: "0f"},
        {JSON: None},
        [JSON],
        JSON,
    ],
    ids=str,
)
def test_a_record_that_says_nonsense_is_damaged(local: Index, sidecars: object) -> None:
    """It is told as such, and not read as an entry without manifests."""
    entry = DatasetEntry("s", "atdata://local/schema/S@1.0.0", ["a.tar"])
    row = entry_row(entry)
    body = json.loads(row.body)
    body["shards"][0]["sidecars"] = sidecars
    local.provider.commit([Put(replace(row, body=json.dumps(body)))])

    with pytest.raises(DamagedRecordError, match="entry 's@"):
        local.open(f"s@{entry.cid}")
    assert local.provider.get(ENTRY, "s", entry.cid) is not None
