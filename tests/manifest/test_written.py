"""What is written beside shards says what the samples hold, and where they lie."""

import math
import tarfile
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from tests.manifest.kinds_of_samples import (
    Flat,
    expected,
    flat,
    same_values,
    samples_of_a_type,
)
from xxhash import xxh3_64_intdigest

import atdata
import atdata.manifest.build as building
from atdata.manifest.manifest import Manifest
from atdata.manifest.reader import open_manifest
from atdata.predicate import F
from atdata.shard.mapped import open_mapped
from atdata.sources.url import URLSource


def opened(path: Path) -> Manifest:
    return open_manifest(URLSource(path), str(path))


def written(samples: list[Any], folder: str | Path) -> Path:
    path = Path(folder, "a.tar")
    atdata.write_samples(samples, path, manifest=True)
    return path


def column(manifest: Manifest, path: str) -> list[Any]:
    """A column as plain values; decimals stand for wide ints."""
    found = manifest.column(path).to_pylist()
    if manifest.columns[path] in ("int", "list[int]"):
        return [
            [None if item is None else int(item) for item in one]
            if isinstance(one, list)
            else one
            if one is None
            else int(one)
            for one in found
        ]
    return [one.astimezone(__import__("datetime").UTC) if _is_aware(one) else one for one in found]


def _is_aware(value: object) -> bool:
    return getattr(value, "tzinfo", None) is not None


@settings(max_examples=40, deadline=None)
@given(samples=samples_of_a_type)
def test_columns_and_facts_are_those_of_the_samples(samples: list[Any]) -> None:
    """For any types and data, columns hold what samples hold, and facts say what is true of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = written(samples, folder)
        manifest = opened(path)
        read = list(atdata.Dataset(path, sample_type=type(samples[0])))

        assert manifest.n_samples == len(manifest) == len(read)
        for name in manifest.columns:
            wanted = expected(read, name)
            assert same_values(column(manifest, name), wanted), name
            _check_facts(manifest, name, wanted)


def _check_facts(manifest: Manifest, name: str, wanted: list[Any]) -> None:
    facts = manifest.facts[name]
    present = [one for one in wanted if one is not None]
    items = [i for one in present for i in one if i is not None] if facts.is_list else present
    real = [one for one in items if not (isinstance(one, float) and math.isnan(one))]
    assert (facts.n, facts.nulls) == (len(wanted), wanted.count(None))
    assert facts.nans == (0 if facts.is_list else len(items) - len(real))
    assert facts.is_list == facts.kind.startswith("list[")
    assert (facts.low, facts.high) == ((min(real), max(real)) if real else (None, None))
    if facts.values is not None:
        assert facts.values == frozenset(real)
        assert manifest.value_counts(name) == Counter(real)
    if facts.bloom is not None:
        assert all(map(facts.bloom, real))


@settings(max_examples=20, deadline=None)
@given(samples=samples_of_a_type)
def test_offsets_sizes_and_digests_are_those_that_tarfile_finds(samples: list[Any]) -> None:
    """Any tool that reads ranges finds the payload at the offset, and its digest is right."""
    with tempfile.TemporaryDirectory() as folder:
        path = written(samples, folder)
        manifest = opened(path)
        data = path.read_bytes()
        with tarfile.open(path) as archive:
            members = [one for one in archive.getmembers() if one.name.endswith(".msgpack")]

        assert manifest.at.tolist() == [one.offset_data for one in members]
        assert manifest.size.tolist() == [one.size for one in members]
        assert list(manifest.keys) == [one.name.removesuffix(".msgpack") for one in members]
        spans = zip(manifest.at.tolist(), manifest.size.tolist(), strict=True)
        payloads = [data[at : at + n] for at, n in spans]
        assert manifest.payload_digest.tolist() == [xxh3_64_intdigest(one) for one in payloads]
        assert [type(samples[0]).from_bytes(one).packed for one in payloads] == payloads
        assert manifest.digest == open_mapped(path, str(path)).digest()
        assert manifest.n_bytes == len(data)


@settings(max_examples=20, deadline=None)
@given(samples=flat)
def test_bulk_and_general_path_agree(samples: Flat) -> None:
    """What is read in bulk from payloads is what is found sample by sample."""
    many = [samples, samples]
    with tempfile.TemporaryDirectory() as folder:
        fast = written(many, folder).with_name("a.manifest.parquet").read_bytes()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(building, "columns_of", lambda *_: None)
            slow = written(many, folder).with_name("a.manifest.parquet").read_bytes()

        assert fast == slow


def test_bulk_and_general_path_agree_on_many(tmp_path: Path, monkeypatch: Any) -> None:
    """Also on thousands of samples, byte for byte, JSON facts included."""
    samples = [
        Flat(i, i / 3, i % 2 == 0, f"é{i}", i if i % 3 else None, None if i % 5 else "w",
             np.zeros((i % 4, 2), np.uint8), b"x" * (i % 7))
        for i in range(5000)
    ]  # fmt: skip
    fast = opened(written(samples, tmp_path)).document
    quick = (tmp_path / "a.manifest.parquet").read_bytes()
    monkeypatch.setattr(building, "columns_of", lambda *_: None)
    slow = opened(written(samples, tmp_path)).document

    assert quick == (tmp_path / "a.manifest.parquet").read_bytes()
    assert (fast.fields, fast.left_out, fast.aggregates) == (
        slow.fields,
        slow.left_out,
        slow.aggregates,
    )


def test_the_same_samples_make_the_same_parquet_bytes(tmp_path: Path) -> None:
    """From a list, from a generator that reuses one object, and when it is built afterwards."""
    samples = [atdata.DictSample(n=i, name=f"s{i}") for i in range(3000)]

    def reused() -> Any:
        data: dict[str, Any] = {}
        for i in range(3000):
            data.update(n=i, name=f"s{i}")
            yield atdata.DictSample(data)

    first = written(samples, tmp_path).with_name("a.manifest.parquet").read_bytes()
    again = written(reused(), tmp_path)  # type: ignore[arg-type]
    second = again.with_name("a.manifest.parquet").read_bytes()

    assert first == second


def test_row_groups_end_in_time_and_columns_may_widen(tmp_path: Path, monkeypatch: Any) -> None:
    """Ints that need more bits, fields that come late, and kinds that turn out mixed."""
    monkeypatch.setattr(building, "GROUP_ROWS", 1000)
    samples = [
        atdata.DictSample(
            {"n": i, "mixed": i, "wide": -1} | ({"late": f"l{i}"} if i > 2500 else {})
        )
        for i in range(3000)
    ]
    samples.append(atdata.DictSample(n=2**64 - 1, mixed="text", wide=2**63))
    manifest = opened(written(samples, tmp_path))

    assert manifest.document.samples.row_groups == [1000, 1000, 1000, 1]
    assert manifest.columns == {"n": "int", "wide": "int", "late": "str"}
    assert manifest.left_out == {"mixed": "it holds int and str"}
    assert manifest.column("n").type == pa.uint64()
    assert manifest.column("wide").type == pa.decimal128(20, 0)
    for name in manifest.columns:
        assert column(manifest, name) == expected(samples, name)
        _check_facts(manifest, name, expected(samples, name))
    assert manifest.rows(F.n == 2500).tolist() == [2500]
    assert manifest.rows(F.late.startswith("l29")).tolist() == list(range(2900, 3000))


def test_any_parquet_reader_reads_the_rows(tmp_path: Path) -> None:
    """Pandas and DuckDB find native columns: lists are lists, times are times."""
    samples = [atdata.DictSample(n=i, tags=["a", str(i)], score=i / 2) for i in range(10)]
    path = str(written(samples, tmp_path).with_name("a.manifest.parquet"))

    frame = pd.read_parquet(path)
    rows = duckdb.execute(
        f"select __key__, n, tags[2] from '{path}' where list_contains(tags, '7')"
    ).fetchall()

    assert frame["n"].tolist() == list(range(10))
    assert [list(one) for one in frame["tags"]] == [["a", str(i)] for i in range(10)]
    assert rows == [("000000007", 7, "7")]


def test_long_text_is_no_column_and_is_known_all_the_same(tmp_path: Path) -> None:
    """Free text of 1 KB makes small files, and a filter tells which shards have a text."""
    samples = [atdata.DictSample(text=f"{i} " * 300, n=i) for i in range(2000)]
    manifest = opened(written(samples, tmp_path))
    size = (tmp_path / "a.manifest.json").stat().st_size

    assert manifest.columns == {"n": "int"}
    assert manifest.left_out == {"text": "it holds long text"}
    facts = manifest.facts["text"]
    assert facts.bloom is not None
    assert facts.bloom("7 " * 300)
    assert sum(map(facts.bloom, (f"other {i}" for i in range(1000)))) < 20
    assert size < 64 << 10


def test_many_values_are_a_filter_and_not_a_list(tmp_path: Path) -> None:
    """The JSON stays small however many values a field has."""
    samples = [atdata.DictSample(id=f"{i:06d}-abcdef", odd=i * i * 7919) for i in range(5000)]
    manifest = opened(written(samples, tmp_path))

    for name, other in (("id", "x"), ("odd", 3)):
        facts = manifest.facts[name]
        assert facts.values is None
        assert facts.bloom is not None
        assert all(map(facts.bloom, expected(samples, name)))
        assert not facts.bloom(other)
    assert (tmp_path / "a.manifest.json").stat().st_size < 100_000


def test_sharded_manifests_count_every_sample(tmp_path: Path) -> None:
    """Each shard has one of its own, the last one too, and says whose it is."""
    ds = atdata.write_samples(
        [atdata.DictSample(n=i) for i in range(10)],
        tmp_path / "v1.0-data.tar",
        maxcount=4,
        manifest=True,
    )
    ids = ds.list_shards()
    manifests = [open_manifest(URLSource(ids), one) for one in ids]

    assert [len(one) for one in manifests] == [4, 4, 2]
    assert [one.document.shard_id for one in manifests] == [
        f"v1.0-data-00000{number}" for number in range(3)
    ]
    assert sorted(one.name for one in tmp_path.glob("*.json")) == [
        f"v1.0-data-00000{number}.manifest.json" for number in range(3)
    ]
    assert [m for one in manifests for m in one.column("n").to_pylist()] == list(range(10))
    assert [one.keys[0] for one in manifests] == ["000000000", "000000004", "000000008"]


def test_json_is_strict_and_begins_as_manifests_always_did(tmp_path: Path) -> None:
    """NaN and infinity are no JSON, and the mean is one of numbers."""
    import json

    values = [1.0, float("nan"), None, 3.0]
    written([atdata.DictSample(x=x, y=float("inf"), z=float("nan")) for x in values], tmp_path)
    raw = (tmp_path / "a.manifest.json").read_text()

    def refuse(name: str) -> None:
        raise AssertionError(name)

    found = json.loads(raw, parse_constant=refuse)
    assert list(found)[:7] == [
        "manifest_version", "shard_id", "schema_type", "schema_version", "num_samples",
        "size_bytes", "created_at",
    ]  # fmt: skip
    assert found["manifest_version"] == "2.0.0"
    assert found["aggregates"]["x"] == {
        "type": "numeric", "min": 1.0, "max": 3.0, "mean": 2.0, "count": 2,
    }  # fmt: skip
    assert found["aggregates"]["z"]["mean"] is None
    manifest = opened(tmp_path / "a.tar")
    assert (manifest.facts["x"].nans, manifest.facts["x"].nulls) == (1, 1)
    assert manifest.facts["y"].high == math.inf
