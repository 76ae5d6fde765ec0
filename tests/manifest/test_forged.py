"""Manifests that are sealed as ours are, and say what cannot be, or too much."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3

import atdata
from atdata import ManifestError
from atdata.dataset._manifests import build_manifests
from atdata.manifest.document import MAX_JSON, FieldPart, read_document, write_document
from atdata.manifest.kinds import check_times
from atdata.manifest.manifest import Manifest
from atdata.manifest.reader import open_manifest
from atdata.predicate import F
from atdata.sources.url import URLSource


def opened(path: Path) -> Manifest:
    return open_manifest(URLSource(path), str(path))


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    samples = [atdata.DictSample(n=n, s=f"s{n}") for n in range(20)]
    atdata.write_samples(samples, tmp_path / "a.tar", manifest=True)
    return tmp_path / "a.tar"


def forged(shard: Path, change: Callable[[Any], None], table: Any = None, **options: Any) -> None:
    """Change what lies beside a shard, and make all digests right again."""
    text = shard.with_name("a.manifest.json")
    document: Any = read_document(text.read_bytes())
    if table is not None:
        rows = shard.with_name("a.manifest.parquet")
        pq.write_table(table, rows, **options)
        raw = rows.read_bytes()
        document.samples.n_bytes, document.samples.blake3 = len(raw), blake3(raw).hexdigest()
    change(document)
    text.write_bytes(write_document(document))


def table_of(shard: Path, **columns: Any) -> Any:
    table = pq.read_table(shard.with_name("a.manifest.parquet"))
    for name, values in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, values)
    return table


def why(shard: Path, use: Callable[[Manifest], object] = len) -> str:
    with pytest.raises(ManifestError) as caught:
        use(opened(shard))
    return caught.value.reasons[str(shard)]


def nothing(document: Any) -> None:
    del document


def _many_samples(document: Any) -> None:
    document.num_samples, document.samples.row_groups = 1 << 28, [1 << 20] * 256
    document.fields = {"n": FieldPart("int", min=7, max=7)}


def _many_rows(document: Any) -> None:
    document.num_samples, document.samples.row_groups = (1 << 21), [1 << 21]
    document.shard.index, document.shard.content = "", "0" * 32
    document.shard.end = (1 << 21) * 512
    document.shard.n_bytes = 1 << 20
    document.fields = {}


def _many_fields(document: Any) -> None:
    document.fields = {f"f{n}": FieldPart("int") for n in range(2000)}


def _far(document: Any) -> None:
    document.shard.end = 1 << 45


def _swollen(document: Any) -> None:
    document.shard.index, document.shard.content = "", "0" * 32
    document.shard.end = 1 << 45


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_many_samples, "do not fit"),
        (_many_rows, "row group has more"),
        (_many_fields, "2000 fields"),
        (_far, "end at"),
        (_swollen, "end at"),
    ],
)
def test_counts_that_nothing_bears_out_are_refused(
    shard: Path, change: Callable[[Any], None], said: str
) -> None:
    """Before anything is allocated for them."""
    forged(shard, change)

    assert said in why(shard)


def test_rows_that_swell_are_refused(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dictionary makes much of a few bytes."""
    monkeypatch.setattr("atdata.manifest.parquet.MAX_GROUP_BYTES", 100_000)
    forged(shard, nothing, table_of(shard, s=pa.array(["x" * 50_000] * 20)))

    assert "swells" in why(shard, lambda one: one.column("s"))


def test_row_groups_of_other_lengths_are_refused(shard: Path) -> None:
    """Also where there are as many, and as many rows in all."""

    def change(document: Any) -> None:
        document.samples.row_groups = [12, 8]

    forged(shard, change, table_of(shard), row_group_size=10)

    assert "has 10 rows" in why(shard, lambda one: one.column("n"))


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("datetime", 1 << 62),
        ("datetime_utc", -(1 << 62)),
        ("date", 1 << 30),
        ("time", 1 << 40),
        ("list[date]", -(1 << 30)),
    ],
)
def test_times_that_cannot_be_are_damage(shard: Path, kind: str, number: int) -> None:
    """They are refused as they are read, not when somebody makes Python values of them."""
    item = kind.removeprefix("list[").removesuffix("]")
    width = pa.int32() if item == "date" else pa.int64()
    types = {
        "datetime": pa.timestamp("us"),
        "datetime_utc": pa.timestamp("us", "UTC"),
        "date": pa.date32(),
        "time": pa.time64("us"),
    }
    values = pa.array([number] * 20, width).view(types[item])
    if kind != item:
        ends = pa.array(range(21), pa.int32())
        values = pa.ListArray.from_arrays(ends, values)

    def change(document: Any) -> None:
        document.fields["n"] = FieldPart(kind)

    with pytest.raises(ValueError, match="cannot be"):
        check_times(kind, values)
    if item != "time":  # Parquet's own writer refuses such
        forged(shard, change, table_of(shard, n=values))
        assert "damaged" in why(shard, lambda one: one.column("n"))


def test_places_and_keys_are_those_of_the_shard(shard: Path) -> None:
    """What an index says of its shard is compared before places are used."""
    table = table_of(shard)
    size = table.column("__size__").to_numpy().copy()
    size[3], size[4] = size[3] + 1, size[4] - 1
    forged(shard, nothing, table_of(shard, __size__=pa.array(size)))
    elsewhere = why(shard, lambda one: one.at)
    keys = [f"{n:09d}" for n in range(20)]
    forged(shard, nothing, table.set_column(0, "__key__", pa.array([*keys[1:], keys[0]])))
    moved = why(shard, lambda one: one.keys)
    forged(shard, nothing, table)

    assert "stale" in elsewhere
    assert "keys are not those" in moved
    assert list(opened(shard).keys) == keys


def test_keys_of_shards_without_an_index_hold_no_control_characters(tmp_path: Path) -> None:
    """Nothing else vouches for them."""
    path = tmp_path / "a.tar"
    vectors = Path(__file__).parents[1] / "vectors"
    path.write_bytes((vectors / "scalars.tar").read_bytes())
    build_manifests(path)
    assert len(opened(path).keys) == 10
    forged(path, nothing, table_of(path, __key__=pa.array([f"\x1b[2J{n}" for n in range(10)])))

    assert "control characters" in why(path, lambda one: one.keys)


def test_stored_keys_are_compared_too(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    samples = [atdata.DictSample(n=n) for n in range(3)]
    names = iter(["a", "\t", "é"])
    atdata.write_samples(samples, path, key=lambda _: next(names), manifest=True)

    assert list(opened(path).keys) == ["a", "\t", "é"]


def test_a_manifest_is_never_too_big_to_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is biggest is left out, and what is left still answers."""
    monkeypatch.setattr("atdata.manifest.budget.BUDGET", 100_000)
    path = tmp_path / "a.tar"
    wide = {f"f{n}": "x" * 100 for n in range(20)}
    samples = [
        atdata.DictSample({name: f"{i}-{text}" for name, text in wide.items()} | {"n": i})
        for i in range(500)
    ]
    atdata.write_samples(samples, path, manifest=True)
    manifest = opened(path)

    assert path.with_name("a.manifest.json").stat().st_size < 130_000 < MAX_JSON
    assert manifest.facts["n"].high == 499
    assert manifest.rows(F.f3 == f"7-{wide['f3']}").tolist() == [7]
    assert manifest.rows(F.n == 7).tolist() == [7]


def test_values_are_not_listed_twice(shard: Path) -> None:
    """Aggregates are for few values; many are listed with their field alone."""
    samples = [atdata.DictSample(n=n, s=f"s{n}", few=f"{n % 3}") for n in range(400)]
    atdata.write_samples(samples, shard, manifest=True)
    document = opened(shard).document

    assert [*document.aggregates] == ["n", "few"]
    assert len(document.fields["s"].values or []) == 400


def test_long_and_many_names_are_left_out(tmp_path: Path) -> None:
    """They are text that others chose; the manifest stays one that is read."""
    path = tmp_path / "a.tar"
    samples = [
        atdata.DictSample({"n": k, "x" * 20_000: k, **{f"c{k}_{j}": j for j in range(600)}})
        for k in range(4)
    ]
    arrays = {f"a{n}": np.zeros(1) for n in range(700)}
    atdata.write_samples([*samples, atdata.DictSample(arrays)], path, manifest=True)
    manifest = opened(path)

    assert manifest.rows(F.n == 2).tolist() == [2]
    assert "more than 10000 characters" in manifest.left_out["x" * 80 + "…"]
    assert len(manifest.document.fields) <= 1000
