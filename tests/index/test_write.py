"""Writing a dataset: one pass, one commit, and all of it can be read again."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.index.kinds import FILES, Point, Scan, is_empty, numbers, pending, points, shards

import atdata
from atdata import DictSample, Index, RecordExistsError, SchemaError, StorageError
from atdata.codec.payloads import encode_samples
from atdata.dataset import _write
from atdata.model.shard import FinishedShard, StoredShard
from atdata.services import Bucket
from atdata.stores import LocalDiskStore
from atdata.stores.keys import shard_of
from atdata.stores.s3 import S3DataStore


def test_what_was_written_is_found_and_read(index: Index) -> None:
    """A write gives the entry that the catalogue gives afterwards, and its samples come back."""
    entry = index.write(
        points(5),
        name="vision/points-2.b_C",
        version="1.0.0",
        description="Points of a line.",
        tags=["vision", "test", "vision"],
        license="CC0-1.0",
        metadata={"size": (28, 28), "nothing": None, "ü": {"deep": [1.5, True]}},
        pipeline={"commit": "abc"},
        maxcount=2,
    )

    found = index.get_dataset("vision/points-2.b_C")

    assert found == entry == index.get_dataset("local/vision/points-2.b_C@1.0.0")
    assert (found.n_samples, len(found.shards), found.version) == (5, 3, "1.0.0")
    assert found.tags == ("vision", "test")
    assert found.license == "CC0-1.0"
    assert found.metadata == {"size": [28, 28], "nothing": None, "ü": {"deep": [1.5, True]}}
    assert found.pipeline == {"commit": "abc"}
    assert found.created_at is not None
    assert found.created_at.utcoffset() is not None
    ds = index.open("vision/points-2.b_C", Point)
    assert list(ds) == points(5)
    assert pending(index) == []


def test_the_digests_in_the_entry_are_those_of_the_files(local: Index) -> None:
    """Sizes and SHA-256 of every shard are what `hashlib` says, and addresses are absolute."""
    entry = local.write(points(5), name="p", maxcount=2)

    for shard in entry.shards:
        data = Path(shard.url).read_bytes()
        assert shard.sha256 == hashlib.sha256(data).hexdigest()
        assert shard.n_bytes == len(data)
    assert entry.n_bytes == sum(shard.n_bytes or 0 for shard in entry.shards)


@pytest.mark.parametrize("maxcount", [2, 5, 100])
def test_the_shards_are_those_that_write_samples_makes(
    local: Index, tmp_path: Path, maxcount: int
) -> None:
    """Byte by byte, for the same limits and the same content metadata."""
    ds = atdata.write_samples(
        points(11), tmp_path / "p.tar", maxcount=maxcount, key="name", content_metadata={"a": 1}
    )

    entry = local.write(
        iter(points(11)), name="p", maxcount=maxcount, key="name", content_metadata={"a": 1}
    )

    ours = [Path(url).read_bytes() for url in entry.data_urls]
    assert ours == [Path(url).read_bytes() for url in ds.list_shards()]


def test_the_source_is_read_once_and_each_sample_encoded_once(
    local: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A generator is asked for each sample once, and nothing is read back to be written again."""
    asked: list[int] = []
    encoded: list[int] = []

    def counted(codec: Any, samples: Any) -> Any:
        encoded.extend(sample.n for sample in samples)
        return encode_samples(codec, samples)

    def samples() -> Iterator[Point]:
        for point in points(3000):
            asked.append(point.n)
            yield point

    monkeypatch.setattr(_write, "encode_samples", counted)
    local.write(samples(), name="p", maxcount=700)

    assert asked == encoded == list(range(3000))


def test_a_generator_may_fill_one_array_again_and_again(local: Index) -> None:
    """Each sample is taken as it was when it was given."""
    image = np.zeros((4, 4), np.uint8)

    def samples() -> Iterator[Scan]:
        for i in range(50):
            image[:] = i
            yield Scan(str(i), image)

    local.write(samples(), name="scans", maxcount=7)

    assert [int(s.image.sum()) for s in local.open("scans", Scan)] == [16 * i for i in range(50)]


def test_limits_are_kept(local: Index) -> None:
    """`maxcount` bounds the samples of a shard and `maxsize` the bytes of its file."""
    few = local.write(points(50), name="few", maxcount=10)
    small = local.write(points(500), name="small", maxsize=20_000)

    assert [shard.n_samples for shard in few.shards] == [10] * 5
    assert len(small.shards) > 2
    assert all(Path(url).stat().st_size <= 20_000 for url in small.data_urls)
    assert numbers(local.open("small")) == list(range(500))


def test_keys_come_from_a_field_or_a_function(local: Index) -> None:
    """And samples are found by them; two of one key are refused, and nothing stays."""
    local.write(points(4), name="field", key="name")
    local.write(points(4), name="function", key=lambda p: f"k{p.n}")

    assert local.open("field").get("p2").n == 2
    assert local.open("function").get("k3").n == 3
    with pytest.raises(ValueError, match="two samples have the key"):
        local.write([*points(4), *points(1)], name="twice", key="name")
    assert [entry.name for entry in local.datasets] == ["field", "function"]


def test_samples_without_a_declared_type(local: Index) -> None:
    """Dictionaries of fields are written and read as they are."""
    entry = local.write((DictSample(n=i, text="é") for i in range(3)), name="d")

    assert entry.schema_ref == "atdata://local/schema/DictSample@1.0.0"
    assert [(s.n, s.text) for s in local.open("d")] == [(0, "é"), (1, "é"), (2, "é")]


def test_a_dataset_is_written_like_any_samples(local: Index) -> None:
    """Also one that is filtered; what it was made from is remembered."""
    local.write(points(9), name="all", version="1.0.0")
    even = local.open("all", Point).filter(lambda p: p.n % 2 == 0)

    entry = local.write(even, name="even", parents="all@1.0.0", pipeline="halve")

    assert numbers(local.open("even")) == [0, 2, 4, 6, 8]
    assert entry.parents == (local.get_dataset("all").cid,)
    assert [found.name for found in local.provenance("even")] == ["all"]


def test_parents_by_name_entry_and_cid(local: Index) -> None:
    """All three mean the same, a name that looks like the beginning of a CID is a name."""
    first = local.write(points(1), name="bafyfirst")

    for parents in (["bafyfirst"], [first], [first.cid], first, "bafyfirst"):
        entry = local.write(points(1), name="child", parents=parents)
        assert entry.parents == (first.cid,)
    with pytest.raises(KeyError, match="no dataset 'nothing'"):
        local.write(points(1), name="child", parents=["nothing"])


def test_another_store_may_be_given(local: Index, tmp_path: Path) -> None:
    """Its shards have addresses of their own, which the catalogue holds in full."""
    other = LocalDiskStore(tmp_path / "elsewhere")

    entry = local.write(points(3), name="p", data_store=other)

    assert entry.data_urls[0].startswith(str(tmp_path / "elsewhere/p/"))
    assert shards(local) == []
    assert numbers(local.open("p")) == [0, 1, 2]


def test_the_own_store_given_again_stays_the_own_store(local: Index, tmp_path: Path) -> None:
    """So the addresses are relative, and may move with the catalogue."""
    local.write(points(3), name="p", data_store=LocalDiskStore(tmp_path / "index-data"))

    (row,) = local.provider.rows("entry")
    assert '"url":"p/' in row.body


def test_shards_go_to_a_bucket(
    local: Index, s3_bucket: Bucket, s3_store: S3DataStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else lies there; who has keys in the environment reads what was written."""
    entry = local.write(points(7), name="far", data_store=s3_store, maxcount=3)

    kept = [found.key for found in s3_store.list_keys()]
    assert sorted({s3_store.url(shard_of(key)) for key in kept}) == entry.data_urls
    assert len(kept) == FILES * len(entry.data_urls)
    assert entry.data_urls[0].startswith(f"s3://{s3_store.bucket}/team/far/")
    for name, value in s3_bucket.credentials.items():
        monkeypatch.setenv(name, value)
    assert numbers(local.open("far")) == list(range(7))
    assert local.verify("far").ok


def test_a_repository_with_a_bucket_of_its_own(tmp_path: Path, s3_store: S3DataStore) -> None:
    """Reading, verifying, adding and removing use the store's own keys."""
    with Index(path=tmp_path / "index.db", data_store=s3_store) as index:
        index.write(points(7), name="far", maxcount=3)
        index.append(points(2, 7), name="far")

        assert numbers(index.open("far")) == list(range(9))
        assert index.verify("far").ok
        assert len(index.delete_dataset("far").keys) == 4
        assert list(s3_store.list_keys()) == []


def test_a_missing_bucket_is_an_error_and_leaves_no_entry(
    tmp_path: Path, s3_store: S3DataStore
) -> None:
    """Success is said when the shards are there, and never before."""
    typo = S3DataStore(s3_store.settings, bucket="typo-of-a-bucket")
    with Index(path=tmp_path / "index.db", data_store=typo) as index:
        with pytest.raises(StorageError, match="typo-of-a-bucket"):
            index.write(points(20), name="lost", maxcount=5)

        assert index.list_datasets() == []
        assert index.list_labels() == []


@pytest.mark.parametrize("samples", [[], iter(())])
def test_nothing_to_write_is_an_error(local: Index, samples: Any) -> None:
    """And nothing is left behind."""
    with pytest.raises(ValueError, match="non-empty"):
        local.write(samples, name="p")

    assert is_empty(local)


def test_samples_of_two_types_are_refused(local: Index) -> None:
    """With both types named, and which sample it was; nothing stays."""
    with pytest.raises(SchemaError) as caught:
        local.write([*points(3), DictSample(n=1)], name="p")

    assert "Point" in str(caught.value)
    assert "DictSample as sample 3" in str(caught.value)
    assert is_empty(local)


def test_a_version_that_is_there_is_refused_before_samples_are_written(index: Index) -> None:
    """What was written under it stays what it is, and the latest as well."""
    index.write(points(1), name="p", version="1.0.0")
    asked: list[int] = []

    def samples() -> Iterator[Point]:
        for point in points(5000):
            asked.append(1)
            yield point

    with pytest.raises(RecordExistsError, match="p@1.0.0"):
        index.write(samples(), name="p", version="1.0.0")

    assert len(asked) == 1
    assert numbers(index.open("p")) == [0]


def failing(n: int, error: Exception) -> Iterator[Point]:
    """Points, and then an error."""
    yield from points(n)
    raise error


def test_an_error_of_the_source_leaves_nothing(index: Index) -> None:
    """The error comes out as it is, and the catalogue and the store are as before."""
    with pytest.raises(RuntimeError, match="no more"):
        index.write(failing(2500, RuntimeError("no more")), name="p", maxcount=500)

    assert is_empty(index)


def test_a_bad_sample_at_the_end_leaves_nothing(local: Index) -> None:
    """Also when most shards are in the store already."""
    bad: Any = Point("bad", "seven")  # type: ignore[arg-type]

    with pytest.raises(SchemaError, match="number 3000"):
        local.write([*points(3000), bad], name="p", maxcount=500)

    assert is_empty(local)


def test_ending_a_write_by_hand_leaves_nothing(local: Index) -> None:
    """Control-C is an exception like any other here."""
    with pytest.raises(KeyboardInterrupt):
        local.write(failing(2500, KeyboardInterrupt()), name="p", maxcount=500)  # type: ignore[arg-type]

    assert is_empty(local)


class Failing(LocalDiskStore):
    """A store whose disk is full after two shards."""

    n_put = 0

    def put(self, shard: FinishedShard, *, key: str) -> StoredShard:
        self.n_put += 1
        if self.n_put > 2:
            raise StorageError(str(self.root), "no space left on device")
        return super().put(shard, key=key)


def test_an_error_of_the_store_leaves_nothing(tmp_path: Path) -> None:
    """Shards that were put already are removed again."""
    with Index(path=tmp_path / "index.db", data_store=Failing(tmp_path / "shards")) as index:
        with pytest.raises(StorageError, match="no space left"):
            index.write(points(500), name="p", maxcount=20)

        assert is_empty(index)


def test_a_plain_store_of_ones_own(tmp_path: Path) -> None:
    """`put`, `url` and `source` are all that a store must have."""

    class Plain:
        def __init__(self) -> None:
            self.inner = LocalDiskStore(tmp_path / "plain")

        def put(self, shard: FinishedShard, *, key: str) -> StoredShard:
            return self.inner.put(shard, key=key)

        def url(self, key: str) -> str:
            return self.inner.url(key)

        def source(self, shards: Any) -> Any:
            return self.inner.source(shards)

    with Index("memory", data_store=Plain()) as index:
        index.write(points(9), name="p", maxcount=2)

        assert numbers(index.open("p")) == list(range(9))
        assert pending(index) == []


def test_metadata_that_no_record_can_hold_is_refused_before_anything(local: Index) -> None:
    """So that no entry exists that could not be read."""
    said: list[dict[str, Any]] = [
        {"metadata": {1: "a"}},
        {"metadata": {"when": object()}},
        {"metadata": {"x": np.float64(1)}},
        {"metadata": {"x": float("nan")}},
        {"metadata": {"x": "\ud800"}},
        {"metadata": ["a"]},
        {"tags": "one"},
        {"tags": [1]},
        {"tags": ["x" * 5000]},
        {"tags": [str(i) for i in range(5000)]},
        {"description": 7},
        {"license": b"MIT"},
        {"pipeline": {"x": {1, 2}}},
        {"parents": ["bafyrei" + "a" * 52] * 5000},
        {"parents": [7]},
        {"version": ""},
        {"version": "1 0"},
        {"schema_version": "a@b"},
    ]
    for facts in said:
        with pytest.raises((TypeError, ValueError)):
            local.write(failing(0, AssertionError("was read")), name="p", **facts)

    assert is_empty(local)


def test_arguments_that_are_none_of_ours_are_refused(local: Index) -> None:
    """Nothing that was said is passed over."""
    with pytest.raises(TypeError, match="verison"):
        local.write(points(1), name="p", verison="1.0.0")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="no store"):
        local.write(points(1), name="p", data_store="here")  # type: ignore[arg-type]
    assert is_empty(local)


def test_a_write_says_nothing(local: Index, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither on stdout nor on stderr, where that is no terminal."""
    local.write(points(2500), name="p", maxcount=500)

    assert capfd.readouterr() == ("", "")


def test_a_sample_with_an_unknown_type_is_refused_before_anything(local: Index) -> None:
    """A type that no schema describes is refused when the write begins."""

    class Plain:
        n = 1

    with pytest.raises((TypeError, ValueError), match="dataclass"):
        local.write([Plain()], name="p")

    assert is_empty(local)
