"""Cataloguing shards that are there already."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from tests.dataset.places import Memory
from tests.index.kinds import Point, files, is_empty, numbers, pending, points, shards

import atdata
from atdata import Dataset, DictSample, Index, RecordExistsError, RecordNotFoundError, ShardError
from atdata.sources.s3 import S3Source
from atdata.stores import LocalDiskStore
from atdata.stores.s3 import S3DataStore


def written(folder: Path, n: int = 5, **limits: Any) -> Dataset[Point]:
    """Shards that somebody else wrote."""
    return atdata.write_samples(points(n), folder / "mine/p.tar", **limits)


def test_shards_stay_where_they_are(index: Index, tmp_path: Path) -> None:
    """Their addresses are absolute, their counts and sizes known, and nothing is copied."""
    ds = written(tmp_path, maxcount=2)

    entry = index.insert_dataset(ds, name="p", version="1.0.0", tags=["t"], description="Points.")

    assert entry == index.get_dataset("p@1.0.0")
    assert entry.data_urls == ds.list_shards()
    assert [shard.n_samples for shard in entry.shards] == [2, 2, 1]
    assert entry.n_bytes == sum(Path(url).stat().st_size for url in entry.data_urls)
    assert list(index.open("p", Point)) == points(5)
    assert shards(index) == []
    assert [hit.name for hit in index.search("points", tags=["t"]).items] == ["p"]


def test_one_dataset_under_two_names(index: Index, tmp_path: Path) -> None:
    """Each name keeps what was said of it, though both have the same shards and CID."""
    ds = written(tmp_path)

    alpha = index.insert_dataset(ds, name="alpha", metadata={"who": "a"})
    beta = index.insert_dataset(ds, name="beta", metadata={"who": "b"})

    assert alpha.cid == beta.cid
    assert index.get_dataset("alpha") == alpha
    assert index.get_dataset("beta") == beta
    assert [entry.name for entry in index.list_datasets()] == ["alpha", "beta"]
    assert [entry.name for entry in index.entries] == ["alpha", "beta"]
    index.delete_dataset("beta")
    assert numbers(index.open("alpha")) == list(range(5))


def test_a_relative_path_is_stored_in_full(
    local: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it does not matter later which folder one is in."""
    written(tmp_path)
    monkeypatch.chdir(tmp_path)
    local.insert_dataset(Dataset("mine/p.tar"), name="p", schema_ref=None)
    monkeypatch.chdir(os.sep)

    assert numbers(local.open("p")) == list(range(5))
    assert local.get_dataset("p").data_urls == [str(tmp_path / "mine/p.tar")]


def test_copies_lie_in_the_store(local: Index, tmp_path: Path) -> None:
    """Byte by byte the same, with digests, and independent of the originals."""
    ds = written(tmp_path, maxcount=2)
    before = [Path(url).read_bytes() for url in ds.list_shards()]

    entry = local.insert_dataset(ds, name="p", copy=True)
    for url in ds.list_shards():
        Path(url).unlink()

    assert [Path(url).read_bytes() for url in entry.data_urls] == before
    assert [s.sha256 for s in entry.shards] == [hashlib.sha256(b).hexdigest() for b in before]
    assert numbers(local.open("p")) == list(range(5))
    assert local.verify("p").ok
    assert pending(local) == []


def test_copies_in_a_store_that_was_given(local: Index, tmp_path: Path) -> None:
    """A store says by itself that shards are to be copied into it."""
    local.insert_dataset(written(tmp_path), name="p", data_store=LocalDiskStore(tmp_path / "o"))

    assert len(files(tmp_path / "o")) == 1
    assert shards(local) == []
    assert numbers(local.open("p")) == list(range(5))


def test_several_keys_of_a_bucket_are_all_kept(
    local: Index, s3_store: S3DataStore, tmp_path: Path
) -> None:
    """In their order, with counts and sizes; and all are copied from there."""
    urls = s3_store.write_shards(written(tmp_path), prefix="three", maxcount=2)
    keys = [url.removeprefix(f"s3://{s3_store.bucket}/") for url in urls]
    source = S3Source.of(s3_store.bucket, keys, s3_store.settings)
    ds = Dataset[Point](source)

    entry = local.insert_dataset(ds, name="there")
    copied = local.insert_dataset(ds, name="here", copy=True)

    assert entry.data_urls == list(urls)
    assert entry.n_samples == 5
    assert [s.n_bytes for s in entry.shards] == [s.n_bytes for s in copied.shards]
    assert numbers(local.open("here")) == list(range(5))


def test_a_view_has_no_shards_of_its_own(local: Index, tmp_path: Path) -> None:
    """It is refused, unless it is to be copied: then it is written anew."""
    view = written(tmp_path, 9).filter(lambda p: p.n % 3 == 0)

    with pytest.raises(ValueError, match="view"):
        local.insert_dataset(view, name="view")
    entry = local.insert_dataset(view, name="view", copy=True)

    assert entry.n_samples == 3
    assert numbers(local.open("view")) == [0, 3, 6]


def test_a_source_of_ones_own_is_copied(local: Index, tmp_path: Path) -> None:
    """Its shards are read through it; where they lie, nobody else could."""
    data = Path(written(tmp_path).list_shards()[0]).read_bytes()
    ds = Dataset[Point](Memory({"a.tar": data, "b.tar": data}))

    with pytest.raises(ValueError, match="copy=True"):
        local.insert_dataset(ds, name="p")
    local.insert_dataset(ds, name="p", copy=True)

    assert numbers(local.open("p")) == [*range(5), *range(5)]
    assert pending(local) == []


def test_digests_are_taken_if_asked(local: Index, tmp_path: Path) -> None:
    """So that shards which stay elsewhere can be verified too."""
    ds = written(tmp_path, maxcount=2)
    local.insert_dataset(ds, name="p", checksums=True)

    assert local.verify("p").ok
    victim = Path(ds.list_shards()[1])
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    assert set(local.verify("p").statuses.values()) == {"ok", "mismatch"}


def test_shards_that_cannot_be_read_are_refused(local: Index, tmp_path: Path) -> None:
    """Missing, damaged, or no shards at all: with the reason, and nothing is catalogued."""
    (tmp_path / "bad.tar").write_bytes(b"no tar" * 1000)
    for path in ("none.tar", "bad.tar"):
        for copies in (False, True):
            with pytest.raises(ShardError, match=path):
                local.insert_dataset(Dataset[Point](tmp_path / path), name="p", copy=copies)

    assert is_empty(local)


def test_only_what_is_a_dataset_is_inserted(local: Index, tmp_path: Path) -> None:
    """And arguments that mean nothing here are refused."""
    with pytest.raises(TypeError, match="Dataset"):
        local.insert_dataset(points(3), name="p")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="verison"):
        local.insert_dataset(written(tmp_path), name="p", verison="1")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="maxcount"):
        local.insert_dataset(written(tmp_path), name="p", maxcount=1)  # type: ignore[call-arg]


def test_a_schema_that_is_named_must_be_there(local: Index, tmp_path: Path) -> None:
    """In this repository; it is then the entry's."""
    ds = written(tmp_path)
    with pytest.raises(RecordNotFoundError, match="Point@7"):
        local.insert_dataset(ds, name="p", schema_ref="atdata://local/schema/Point@7.0.0")
    with pytest.raises(ValueError, match="schema"):
        local.insert_dataset(ds, name="p", schema_ref="Point")
    with pytest.raises(ValueError, match="'lab'"):
        local.insert_dataset(ds, name="p", schema_ref="atdata://lab/schema/Point@1.0.0")
    ref = local.publish_schema(Point, version="7.0.0")

    entry = local.insert_dataset(ds, name="p", schema_ref=ref)

    assert entry.schema_ref == ref
    assert len(local.list_schemas()) == 1


def test_the_same_shards_under_a_second_version(index: Index, tmp_path: Path) -> None:
    """What was said under the first version stays what it was."""
    ds = written(tmp_path)
    index.insert_dataset(ds, name="p", description="draft")
    first = index.insert_dataset(ds, name="p", version="1.0.0", description="old")

    with pytest.raises(RecordExistsError, match="p@1.0.0"):
        index.insert_dataset(ds, name="p", version="2.0.0", description="new")
    index.insert_dataset(ds, name="p", version="1.0.1", description="old")

    assert index.get_dataset("p@1.0.0") == index.get_dataset("p@1.0.1") == first
    assert [one.version for one in index.versions("p")] == ["1.0.0", "1.0.1"]


def test_untyped_shards(local: Index, tmp_path: Path) -> None:
    """A dataset without a type is catalogued without one."""
    ds = atdata.write_samples([DictSample(n=1)], tmp_path / "d.tar")

    entry = local.insert_dataset(Dataset(ds.list_shards()), name="d")

    assert entry.schema_ref.endswith("DictSample@1.0.0")
    assert local.open("d")[0].n == 1


@pytest.mark.parametrize("kind", ["disk", "s3"])
def test_shards_of_the_store_under_a_second_name(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """They stay as long as one of the names needs them."""
    bucket = request.getfixturevalue("s3_store") if kind == "s3" else None
    with Index(path=tmp_path / "i.db", data_store=bucket) as index:
        index.write(points(3), name="one", maxcount=2)
        index.insert_dataset(index.open("one"), name="two")

        assert index.delete_dataset("one").keys == ()
        assert numbers(index.open("two")) == [0, 1, 2]
        assert len(index.delete_dataset("two").keys) == 2
