"""Manifests of catalogued datasets: written in the same pass, asked, and never of other shards."""

from pathlib import Path
from typing import Any

import pytest
from tests.index.kinds import Point, files, is_empty, numbers, points, shards
from tests.index.shapes import Loud, Person

import atdata
from atdata import Dataset, Index, ManifestError, load_dataset
from atdata._exceptions import UnknownFieldError
from atdata.model.shard import SIDECARS, beside
from atdata.predicate import F
from atdata.stores.s3 import S3DataStore

JSON, PARQUET = SIDECARS


def keys(index: Index, name: str, question: Any) -> list[str]:
    """The keys of the samples that answer a question."""
    return [found.key for found in index.query(name, question)]


def test_a_write_keeps_manifests_and_says_so(index: Index) -> None:
    """Each shard has both files beside it, the entry has their digests, and they answer."""
    entry = index.write(points(7), name="ds", maxcount=3)

    assert [[one.suffix for one in shard.sidecars] for shard in entry.shards] == [[*SIDECARS]] * 3
    assert len(shards(index)) == 9
    assert index.verify("ds").ok
    assert keys(index, "ds", F.n >= 5) == ["000000005", "000000006"]
    assert numbers(index.open("ds", Point, where=F.name == "p4")) == [4]
    assert [found.shard for found in index.query("ds", F.n == 6)] == entry.data_urls[2:]


def test_without_manifests_there_are_none(local: Index) -> None:
    """Then a question is an error that says so, or is answered by reading everything."""
    entry = local.write(points(4), name="ds", manifest=False)

    assert entry.shards[0].sidecars == ()
    assert len(shards(local)) == 1
    with pytest.raises(ManifestError, match="manifest is missing"):
        local.query("ds", F.n > 1)
    with pytest.raises(ManifestError, match="manifest is missing"):
        list(local.open("ds", where=F.n > 1))
    assert len(local.query("ds", F.n > 1, missing="scan")) == 2
    assert numbers(local.open("ds", where=F.n > 1, missing="scan")) == [2, 3]


def test_what_is_appended_goes_on_counting(index: Index) -> None:
    """A key is that of one sample, however often something was added."""
    index.write(points(3), name="log")
    index.append(points(4, 3), name="log", maxcount=2)
    index.append(points(2, 7), name="log", manifest=False)

    ds = index.open("log", Point)

    assert [ds.get(f"{n:09d}").n for n in range(9)] == list(range(9))
    assert [len(shard.sidecars) for shard in index.get_dataset("log").shards] == [2, 2, 2, 0]


def test_own_keys_are_kept_when_something_is_appended(local: Index) -> None:
    """Counting is for those that have no keys."""
    local.write(points(2), name="log", key="name")
    local.append(points(2, 2), name="log", key="name")

    assert keys(local, "log", F.n > 0) == ["p1", "p2", "p3"]


def test_appending_to_shards_whose_counts_nobody_knows(local: Index, tmp_path: Path) -> None:
    """They are counted first."""
    ds = atdata.write_samples(points(5), tmp_path / "five.tar")
    local.insert_dataset(ds, name="log")
    local.append(points(2, 5), name="log")

    assert local.open("log", Point).get("000000006").n == 6


def test_a_question_goes_through_a_lens(local: Index) -> None:
    """What the lens works out is asked of the samples, what is stored of the manifests."""
    local.write([Person("ann", 30), Person("bob", 40)], name="people")

    assert list(local.open("people", Loud, where=F.name == "BOB")) == [Loud("BOB")]
    with pytest.raises(UnknownFieldError, match="nam"):
        local.open("people", where=F.nam == "bob")


def test_load_dataset_takes_a_question(local: Index, tmp_path: Path) -> None:
    """Of a name and of a folder, of one split and of all; a slice is cut before."""
    local.write(points(10), name="ds", maxcount=4)
    folder = tmp_path / "files"
    for split, start in (("train", 0), ("test", 100)):
        atdata.write_samples(points(4, start), folder / f"{split}.tar", manifest=True)

    named = load_dataset("@local/ds", Point, split="train[:5]", index=local, where=F.n > 2)
    splits = load_dataset(folder, Point, where=F.n % 2 == 1)
    both = load_dataset(folder, Point, split="train+test", where=F.n.isin([3, 100]))

    assert numbers(named) == [3, 4]
    assert {name: numbers(ds) for name, ds in splits.items()} == {
        "train": [1, 3],
        "test": [101, 103],
    }
    assert splits.num_shards == {"train": 1, "test": 1}
    assert numbers(both) == [3, 100]
    for suffix in SIDECARS:
        Path(beside(str(folder / "train.tar"), suffix)).unlink()
    scanned = load_dataset(folder, Point, split="train", where=F.n == 3, missing="scan")
    assert numbers(scanned) == [3]


def test_another_shards_manifest_is_never_believed(local: Index) -> None:
    """Not where the entry knows better, though the file is a manifest and fresh of itself."""
    entry = local.write(points(4), name="ds", maxcount=2)
    first, second = (Path(url) for url in entry.data_urls)
    for suffix in SIDECARS:
        Path(beside(str(first), suffix)).write_bytes(
            Path(beside(str(second), suffix)).read_bytes()
        )

    with pytest.raises(ManifestError):
        local.query("ds", F.n == 0)
    assert not local.verify("ds").ok


def test_a_manifest_that_was_made_anew_is_not_the_catalogued_one(
    local: Index, tmp_path: Path
) -> None:
    """Of a local store too, and though somebody read it as a plain file before."""
    (url,) = local.write(points(4), name="ds").data_urls
    again = atdata.write_samples(points(4), tmp_path / "again.tar", manifest=True).list_shards()[0]
    Path(beside(url, JSON)).write_bytes(Path(beside(again, JSON)).read_bytes())

    assert len(Dataset[Point](url).query(F.n == 0)) == 1
    with pytest.raises(ManifestError, match="that the catalogue says"):
        local.query("ds", F.n == 0)
    assert len(local.query("ds", F.n == 0, missing="scan")) == 1


def test_a_bucket_answers_by_manifests(tmp_path: Path, s3_store: S3DataStore) -> None:
    """Written, asked, copied back and removed; nothing stays."""
    with Index(path=tmp_path / "index.db", data_store=s3_store) as index:
        index.write(points(9), name="ds", maxcount=4)
        assert len(list(s3_store.list_keys())) == 9
        assert keys(index, "ds", F.n >= 7) == ["000000007", "000000008"]
        assert numbers(index.open("ds", where=F.n.between(3, 4))) == [3, 4]
        assert index.verify("ds").ok
        with Index(path=tmp_path / "other.db") as other:
            other.insert_dataset(index.open("ds"), name="copy", copy=True)
            assert keys(other, "copy", F.n >= 7) == ["000000007", "000000008"]
        index.delete_dataset("ds")
        assert list(s3_store.list_keys()) == []


def test_a_view_is_written_with_manifests(local: Index) -> None:
    """What is copied of a filtered dataset is a dataset of its own; it is no place for shards."""
    local.write(points(6), name="all")
    some = local.open("all", Point, where=F.n > 3)

    local.insert_dataset(some, name="some", copy=True)

    assert numbers(local.open("some")) == [4, 5]
    with pytest.raises(ValueError, match="only whole shards"):
        local.insert_dataset(some, name="same")
    assert keys(local, "some", F.n == 5) == ["000000001"]


def test_a_write_that_fails_leaves_no_manifest(local: Index, tmp_path: Path) -> None:
    """Neither in the store nor where it was made."""

    def samples() -> Any:
        yield from points(5)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        local.write(samples(), name="ds", maxcount=2)

    assert is_empty(local)
    assert [name for name in files(tmp_path) if "manifest" in name] == []


@pytest.mark.parametrize("copy", [False, True])
def test_missing_manifests_are_made_when_shards_are_catalogued(
    local: Index, tmp_path: Path, copy: bool
) -> None:
    """With the copies, or beside the shards that stay; where there is one, it is kept."""
    some = atdata.write_samples(points(2), tmp_path / "a" / "x.tar", manifest=True)
    others = atdata.write_samples(points(2, 2), tmp_path / "b" / "x.tar")
    ds = Dataset[Point]([*some.list_shards(), *others.list_shards()])
    before = Path(beside(some.list_shards()[0], JSON)).read_bytes()

    local.insert_dataset(ds, name="ds", copy=copy, manifest=True)

    assert keys(local, "ds", F.n.isin([1, 2])) == ["000000001", "000000000"]
    assert Path(beside(some.list_shards()[0], JSON)).read_bytes() == before
    assert Path(beside(others.list_shards()[0], JSON)).exists() == (not copy)
    assert local.verify("ds").ok


def test_manifests_may_be_left_behind(local: Index, tmp_path: Path) -> None:
    """Then neither copies nor what is written anew have any."""
    ds = atdata.write_samples(points(3), tmp_path / "x.tar", manifest=True)

    local.insert_dataset(ds, name="copy", copy=True, manifest=False)
    local.insert_dataset(ds.where(F.n > 0), name="view", copy=True, manifest=False)
    local.insert_dataset(ds, name="stays", checksums=True, manifest=False)

    assert [entry.shards[0].sidecars for entry in local.list_datasets()] == [()] * 3
    assert len(shards(local)) == 2


def test_beside_shards_elsewhere_nothing_is_made(local: Index, s3_store: S3DataStore) -> None:
    """They are copied instead, and then their manifests lie with the copies."""
    local.write(points(3), name="far", data_store=s3_store, manifest=False)
    far = local.open("far", Point, data_store=s3_store)

    with pytest.raises(ValueError, match="no manifest can be kept beside s3://"):
        local.insert_dataset(far, name="near", manifest=True)
    local.insert_dataset(far, name="near", copy=True, manifest=True)

    assert keys(local, "near", F.n == 2) == ["000000002"]


def test_the_command_that_mends_a_recorded_manifest_names_the_entry(tmp_path: Path) -> None:
    """The shard's own address would not do: the catalogue has the digests of its manifest."""
    index = Index(path=tmp_path / "index.db")
    samples = [atdata.DictSample(n=i) for i in range(3)]
    index.write(samples, name="lab/n", version="1.0.0")
    shard = index.open("lab/n").list_shards()[0]
    Path(shard).with_suffix(".manifest.json").unlink()
    with pytest.raises(ManifestError, match=r"atdata manifest build @local/lab/n@1\.0\.0"):
        index.query("lab/n", atdata.F.n > 0)
