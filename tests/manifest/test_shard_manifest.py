"""Manifests in memory: made, written, read in either layout, and asked."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import atdata
from atdata import ManifestError
from atdata.manifest import (
    MANIFEST_FORMAT_VERSION,
    F,
    ManifestBuilder,
    ManifestWriter,
    QueryExecutor,
    SampleLocation,
    ShardManifest,
)

VECTORS = Path(__file__).parents[1] / "vectors"


@dataclass
class Item:
    label: str
    score: float | None
    tags: list[str]
    image: NDArray[np.uint8] | None = None


def built(shard_id: str = "items", n: int = 4) -> ShardManifest:
    builder = ManifestBuilder(Item, shard_id, parent_shards=["before"])
    for i in range(n):
        score = None if i == 1 else float("nan") if i == 2 else i / 2
        sample = Item("ab"[i % 2], score, [f"t{i}"])
        builder.add_sample(key=f"k{i}", offset=512 + 1024 * i, size=100, sample=sample)
    return builder.build()


def test_a_builder_sums_up_what_it_is_given() -> None:
    """None is neither summed up nor in the row, and NaN does not spoil the mean."""
    manifest = built()

    assert (manifest.num_samples, manifest.size_bytes) == (4, 400)
    assert manifest.aggregates["label"]["value_counts"] == {"a": 2, "b": 2}
    assert manifest.aggregates["score"] == {
        "type": "numeric", "min": 0.0, "max": 1.5, "mean": 0.75, "count": 2,
    }  # fmt: skip
    assert list(manifest.samples.columns) == [
        "__key__", "__offset__", "__size__", "label", "score", "tags",
    ]  # fmt: skip
    empty = ManifestBuilder(Item, "none").build()
    assert (empty.num_samples, len(empty.samples)) == (0, 0)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """Strict JSON, lists as lists, and folders are made."""
    writer = ManifestWriter(tmp_path / "new" / "v1.0-items")
    text, rows = writer.write(built("v1.0-items"))
    found = json.loads(text.read_text(), parse_constant=pytest.fail)
    again = ShardManifest.from_files(text, rows)

    assert text.name == "v1.0-items.manifest.json"
    assert found["manifest_version"] == MANIFEST_FORMAT_VERSION == "1.0.0"
    assert again.header_dict() == found
    assert [list(one) for one in again.samples["tags"]] == [["t0"], ["t1"], ["t2"], ["t3"]]
    assert len(ShardManifest.from_json_only(text).samples) == 0
    empty = ManifestWriter(tmp_path / "empty")
    empty.write(ManifestBuilder(Item, "empty").build())
    assert len(ShardManifest.from_files(empty.json_path, empty.parquet_path).samples) == 0


@pytest.mark.parametrize("name", ["scalars", "arrays-000000", "arrays-000001", "arrays-000002"])
def test_manifests_of_the_older_layout_are_read(name: str) -> None:
    """Rows, aggregates and lists, as they were written."""
    text, rows = (VECTORS / f"{name}.manifest.{end}" for end in ("json", "parquet"))
    manifest = ShardManifest.from_files(text, rows)

    assert len(manifest.samples) == manifest.num_samples
    if name == "scalars":
        assert manifest.samples["tags"].iloc[1] == ["t1", "t0"] or isinstance(
            manifest.samples["tags"].iloc[1], list
        )
        assert manifest.aggregates["value"]["max"] == 43.0


def test_numbers_that_are_no_json_are_read(tmp_path: Path) -> None:
    """The older layout wrote NaN and Infinity as they are."""
    text = (VECTORS / "scalars.manifest.json").read_text().replace("-20.0", "-Infinity")
    (tmp_path / "a.manifest.json").write_text(text)

    found = ShardManifest.from_json_only(tmp_path / "a.manifest.json")
    assert found.aggregates["value"]["min"] == float("-inf")


def test_a_query_finds_rows_in_all_shards(tmp_path: Path) -> None:
    """By a predicate or a function, in reading order, and the location can be read."""
    samples = [atdata.DictSample(n=i, score=i / 10) for i in range(10)]
    ds = atdata.write_samples(samples, tmp_path / "v1.0-d.tar", maxcount=4, manifest=True)
    for executor in (
        QueryExecutor.from_directory(tmp_path),
        QueryExecutor.from_shard_urls(ds.list_shards()),
    ):
        found = executor.query(F.score > 0.25)
        same = executor.query(lambda table: table["score"] > 0.25)

        assert found == same
        assert [one.key for one in found] == [f"{n:09d}" for n in range(3, 10)]
        place = found[4]
        data = Path(place.shard).read_bytes()[place.offset : place.offset + place.size]
        assert atdata.DictSample.from_bytes(data) == samples[7]


def test_nothing_to_ask_is_an_error(tmp_path: Path) -> None:
    """A missing folder, a folder without manifests, shards without them, half a manifest."""
    for given in (tmp_path / "none", tmp_path):
        with pytest.raises(ManifestError, match="holds no manifests"):
            QueryExecutor.from_directory(given)
    with pytest.raises(ManifestError, match="missing"):
        QueryExecutor.from_shard_urls([str(tmp_path / "a.tar")])
    text, rows = ManifestWriter(tmp_path / "items").write(built())
    rows.unlink()
    executor = QueryExecutor.from_directory(tmp_path)
    with pytest.raises(ManifestError, match="partial"):
        executor.query(lambda table: table["score"] > 0)
    assert text.exists()


@pytest.mark.parametrize("name", ["arrays-000000", "arrays-000002"])
def test_manifests_that_are_of_another_shard_or_empty_are_refused(
    tmp_path: Path, name: str
) -> None:
    """They would give an answer of fewer samples than there are."""
    for end in (".tar", ".manifest.json", ".manifest.parquet"):
        shutil.copy(VECTORS / f"{name}{end}", tmp_path)

    with pytest.raises(ManifestError, match="atdata manifest build"):
        QueryExecutor.from_shard_urls([str(tmp_path / f"{name}.tar")])


def test_damage_is_an_error_that_names_the_shard(tmp_path: Path) -> None:
    """Whichever of the two files it is in."""
    samples: list[Any] = [atdata.DictSample(n=1)]
    atdata.write_samples(samples, tmp_path / "a.tar", manifest=True)
    text, rows = (tmp_path / f"a.manifest.{end}" for end in ("json", "parquet"))
    raw = rows.read_bytes()
    rows.write_bytes(raw[:-1] + b"x")
    with pytest.raises(ManifestError, match="a.tar"):
        ShardManifest.from_files(text, rows)
    rows.write_bytes(raw)
    text.write_bytes(text.read_bytes()[:-3])
    with pytest.raises(ManifestError, match="a.tar"):
        ShardManifest.from_files(text, rows)


def test_locations_are_facts() -> None:
    """They compare, hash and do not change."""
    place = SampleLocation("a.tar", "k", 512, 10)

    assert {place} == {SampleLocation("a.tar", "k", 512, 10)}
    with pytest.raises(AttributeError):
        place.key = "l"  # type: ignore[misc]
