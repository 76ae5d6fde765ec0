"""Datasets as columns of other libraries."""

import datetime
import tracemalloc
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import atdata
from atdata import Dataset, DictSample, SchemaError, Shape


class Colour(Enum):
    """Two colours."""

    RED = "red"
    BLUE = "blue"


@atdata.packable
class Row:
    """Fields of many kinds."""

    text: str
    n: int
    x: float | None
    yes: bool
    raw: bytes
    vector: Annotated[NDArray[np.float32], Shape(3)]
    image: Annotated[NDArray[np.uint8], Shape(2, 2)]
    ragged: NDArray[Any]
    maybe: NDArray[np.int16] | None
    tags: list[str]
    when: datetime.datetime
    colour: Colour
    id: UUID


def row(i: int) -> Row:
    return Row(
        f"t{i}", i, None if i < 3 else i / 2, bool(i % 2), bytes([i % 256]),
        np.full(3, i, np.float32), np.full((2, 2), i % 256, np.uint8),
        np.arange(2 * (i % 3), dtype=">i4").reshape(i % 3, 2),
        None if i < 2 else np.arange(i % 4, dtype=np.int16), ["a"] * (i % 3),
        datetime.datetime(2020, 1, 1) + datetime.timedelta(days=i), list(Colour)[i % 2],
        UUID(int=i),
    )  # fmt: skip


@pytest.fixture
def ds(tmp_path: Path) -> Dataset[Row]:
    """Twenty rows in three shards."""
    return atdata.write_samples([row(i) for i in range(20)], tmp_path / "r.tar", maxcount=8)


def check_table(table: pa.Table, first: int = 0) -> None:
    """A table that holds these rows from a first one on."""
    rows = [row(first + i) for i in range(len(table))]
    columns = table.to_pydict()
    for name in ("text", "n", "x", "yes", "raw", "tags", "when"):
        assert columns[name] == [getattr(r, name) for r in rows]
    assert columns["vector"] == [r.vector.tolist() for r in rows]
    assert [np.ravel(v).tolist() for v in columns["image"]] == [
        r.image.ravel().tolist() for r in rows
    ]
    assert columns["ragged"] == [r.ragged.tolist() for r in rows]
    assert columns["maybe"] == [None if r.maybe is None else r.maybe.tolist() for r in rows]
    assert columns["colour"] == [r.colour.value for r in rows]
    assert columns["id"] == [str(r.id) for r in rows]


def test_to_dict_gives_columns(ds: Dataset[Row]) -> None:
    """Of the values themselves; a limit says how many."""
    columns = ds.to_dict()

    assert list(columns) == ds.column_names
    assert columns["n"] == list(range(20))
    assert columns["image"][7].tolist() == [[7, 7], [7, 7]]
    assert ds.to_dict(limit=3)["text"] == ["t0", "t1", "t2"]
    assert ds.to_dict(limit=0) == {}
    with pytest.raises(ValueError, match="limit is -1"):
        ds.to_dict(limit=-1)


def test_rows_that_differ_have_none_for_what_they_lack(tmp_path: Path) -> None:
    """In every form."""
    ds = atdata.write_samples([DictSample(a=1), DictSample(b="x")], tmp_path / "d.tar")

    assert ds.to_dict() == {"a": [1, None], "b": [None, "x"]}
    assert ds.to_arrow().to_pydict() == {"a": [1, None], "b": [None, "x"]}
    assert ds.to_pandas()["b"].isna().tolist() == [True, False]
    ds.to_parquet(tmp_path / "d.parquet")
    assert pq.read_table(tmp_path / "d.parquet").to_pydict() == {"a": [1, None], "b": [None, "x"]}


def test_mapped_datasets_are_exported(ds: Dataset[Row], tmp_path: Path) -> None:
    """Whatever the function returns: mappings are rows, other values a column `value`."""
    of_dicts, of_ints = ds.map(lambda r: {"twice": 2 * r.n}), ds.map(lambda r: r.n)

    for mapped, name in ((of_dicts, "twice"), (of_ints, "value")):
        wanted = [2 * i if name == "twice" else i for i in range(20)]
        mapped.to_parquet(tmp_path / "m.parquet")
        assert mapped.to_dict() == {name: wanted}
        assert mapped.to_pandas()[name].tolist() == wanted
        assert mapped.to_arrow().to_pydict() == {name: wanted}
        assert pq.read_table(tmp_path / "m.parquet").to_pydict() == {name: wanted}


def test_to_pandas_keeps_arrays_as_cells(ds: Dataset[Row]) -> None:
    """Of any shape, and lists too."""
    frame = ds.to_pandas()

    assert list(frame.columns) == ds.column_names
    assert frame["n"].dtype == np.int64
    assert frame["image"][3].tolist() == row(3).image.tolist()
    assert frame["vector"][3].dtype == np.float32
    assert frame["tags"][2] == ["a", "a"]
    assert len(ds.to_pandas(limit=2)) == 2
    assert isinstance(ds.take(0).to_pandas(), pd.DataFrame)


def test_to_arrow_has_declared_types(ds: Dataset[Row]) -> None:
    """Whatever the first values are; arrays of a declared shape are tensors, others lists."""
    table = ds.to_arrow()

    check_table(table)
    kinds = {field.name: field.type for field in table.schema}
    assert table.column_names == ds.column_names
    assert kinds["x"] == pa.float64()
    assert kinds["vector"] == pa.list_(pa.float32(), 3)
    assert kinds["image"] == pa.fixed_shape_tensor(pa.uint8(), [2, 2])
    assert kinds["ragged"] == pa.list_(pa.list_(pa.int32()))
    assert kinds["maybe"] == pa.list_(pa.int16())
    assert ds.to_arrow(limit=2).schema.field("x").type == pa.float64()
    assert len(ds.take(0).to_arrow()) == 0


def test_to_parquet_writes_all_rows(ds: Dataset[Row], tmp_path: Path) -> None:
    """In one file, with the fields as columns in their order."""
    ds.to_parquet(tmp_path / "out/r.parquet", compression="zstd")

    table = pq.read_table(tmp_path / "out/r.parquet")
    check_table(table)
    assert table.column_names == ds.column_names


def test_to_parquet_in_files_of_a_size(ds: Dataset[Row], tmp_path: Path) -> None:
    """Numbered, of at most so many rows, the rest in the last."""
    ds.to_parquet(str(tmp_path / "r.parquet"), maxcount=8)

    files = sorted(tmp_path.glob("*.parquet"))
    assert [f.name for f in files] == [f"r-00000{i}.parquet" for i in range(3)]
    tables = [pq.read_table(f) for f in files]
    assert [len(t) for t in tables] == [8, 8, 4]
    for first, table in zip((0, 8, 16), tables, strict=True):
        check_table(table, first)
    with pytest.raises(ValueError, match="maxcount is 0"):
        ds.to_parquet(tmp_path / "r.parquet", maxcount=0)


def test_rows_of_ones_own_are_exported(ds: Dataset[Row], tmp_path: Path) -> None:
    """`sample_map` makes them."""
    ds.to_parquet(tmp_path / "r.parquet", sample_map=lambda r: {"n": r.n, "sum": r.vector.sum()})

    assert pq.read_table(tmp_path / "r.parquet").to_pydict() == {
        "n": list(range(20)),
        "sum": [3.0 * i for i in range(20)],
    }


def test_no_rows_make_an_empty_file(ds: Dataset[Row], tmp_path: Path) -> None:
    """And no numbered files."""
    ds.take(0).to_parquet(tmp_path / "r.parquet")
    ds.take(0).to_parquet(tmp_path / "s.parquet", maxcount=5)

    assert len(pq.read_table(tmp_path / "r.parquet")) == 0
    assert list(tmp_path.glob("s*")) == []


@pytest.mark.parametrize("maxcount", [None, 5])
def test_an_export_that_fails_leaves_what_was_there(
    ds: Dataset[Row], tmp_path: Path, maxcount: int | None
) -> None:
    """No new file, no part of one, nothing temporary."""
    ds.to_parquet(tmp_path / "out/r.parquet", maxcount=maxcount)
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def failing(r: Row) -> dict[str, Any]:
        if r.n == 17:
            raise RuntimeError("no more")
        return {"n": r.n}

    with pytest.raises(RuntimeError, match="no more"):
        ds.to_parquet(tmp_path / "out/r.parquet", sample_map=failing, maxcount=maxcount)

    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize(
    "values",
    [
        [1, "text"], [np.arange(2), np.zeros((2, 2))], [np.arange(2), "text"], [1 + 2j, None, "x"],
        [object(), object()], [np.array([1j]), np.array([2j])], [1] * 1500 + ["late"],
        [1] * 1500 + [{"a": 1}],
    ],
)  # fmt: skip
def test_values_that_make_no_column_are_refused_by_name(tmp_path: Path, values: list[Any]) -> None:
    """With what to do, however late they come; no file is left."""
    source = atdata.write_samples(
        [DictSample(i=i) for i in range(len(values))], tmp_path / "d.tar"
    )
    rows = source.map(lambda s: {"bad": values[s.i]})

    with pytest.raises(SchemaError, match="sample_map") as found:
        rows.to_parquet(tmp_path / "out/r.parquet")
    assert found.value.path in ("bad", "")
    with pytest.raises(SchemaError):
        rows.to_arrow()
    assert list((tmp_path / "out").iterdir()) == []


def test_a_column_that_comes_late_is_not_lost(tmp_path: Path) -> None:
    """Parquet cannot take it any more, and says so; Arrow can."""
    source = atdata.write_samples([DictSample(n=i) for i in range(1500)], tmp_path / "d.tar")
    rows = source.map(lambda s: {"n": s.n} | ({"late": s.n} if s.n > 1400 else {}))

    assert rows.to_arrow()["late"].to_pylist()[-1] == 1499
    with pytest.raises(SchemaError, match="late"):
        rows.to_parquet(tmp_path / "r.parquet")


def test_what_is_none_in_the_first_rows_may_come_later(tmp_path: Path) -> None:
    """Because the type is declared."""
    late = [row(i) for i in range(1100)]
    for one in late:
        one.x = None if one.n < 1050 else 1.5
    ds = atdata.write_samples(late, tmp_path / "r.tar")

    ds.to_parquet(tmp_path / "r.parquet")

    assert pq.read_table(tmp_path / "r.parquet")["x"].to_pylist()[-1] == 1.5
    assert ds.to_arrow()["x"].to_pylist()[-1] == 1.5


def test_export_streams(tmp_path: Path) -> None:
    """What is held at once does not grow with the dataset."""

    @atdata.packable
    class Large:
        data: NDArray[np.uint8]

    def many() -> Iterator[Large]:
        for i in range(400):
            yield Large(np.full(500_000, i % 250, np.uint8))

    ds = atdata.write_samples(many(), tmp_path / "l.tar")
    tracemalloc.start()
    try:
        ds.to_parquet(tmp_path / "l.parquet", use_dictionary=False, compression="none")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert pq.read_metadata(tmp_path / "l.parquet").num_rows == 400
    assert peak < 130_000_000
