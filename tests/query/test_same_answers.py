"""Manifest, full scan and SQL give one answer: for any data, any question, through lenses too."""

import datetime as dt
import tempfile
from collections.abc import Iterator
from dataclasses import fields, make_dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.predicate.tables import KINDS, Rows, predicates, rows

import atdata
from atdata import Dataset, DictSample, F, Predicate
from atdata.lens import mapping


@atdata.packable
class Box:
    """What is inside another sample."""

    left: int | None


@atdata.packable
class Wide:
    """Fields of every kind that a manifest has a column for."""

    b: bool | None
    i: int | None
    j: int | None
    u: int | None
    dec: int | None
    f: float | None
    g: float | None
    s: str | None
    r: str | None
    at: dt.datetime | None
    utc: dt.datetime | None
    d: dt.date | None
    clock: dt.time | None
    span: dt.timedelta | None
    tags: list[str | None] | None
    li: list[int | None] | None
    lf: list[float | None] | None
    box: Box | None


View: Any = atdata.packable(
    make_dataclass("View", [(f"v_{field.name}", field.type) for field in fields(Wide)])
)
"""The same under other names."""

RENAMED = {f"v_{field.name}": field.name for field in fields(Wide)}
atdata.LensNetwork().register(mapping(Wide, View, RENAMED))

_FIELDS = [name for name in KINDS if name not in ("strange name", "box.left")]
_QUICK = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def samples_of(data: Rows) -> list[Wide]:
    n = len(data["b"])
    boxes = [None if left is None else Box(left) for left in data["box.left"]]
    return [
        Wide(**{name: data[name][row] for name in _FIELDS}, box=boxes[row]) for row in range(n)
    ]


def written(samples: list[Any], folder: Path, maxcount: int) -> Dataset[Any]:
    for file in folder.iterdir():
        file.unlink()
    return atdata.write_samples(samples, folder / "w.tar", maxcount=maxcount, manifest=True)


def asked(ds: Dataset[Any], question: Predicate) -> Dataset[Any]:
    """The dataset, unless the question is refused because it can never hold."""
    try:
        return ds.where(question)
    except TypeError as refused:
        assert "  " in str(refused)  # it says what to do
        assume(False)
        raise


def by_sql(folder: Path, question: Predicate) -> list[str] | None:
    """The keys of what DuckDB selects in the same Parquet files; None where it refuses."""
    kinds = {name: kind for name, (kind, _, _) in KINDS.items()}
    try:
        condition = question.to_sql(kinds)
    except ValueError:
        return None
    files = sorted(map(str, folder.glob("*.parquet")))
    query = f"select __key__ from read_parquet(?, union_by_name=true) where {condition} order by 1"
    try:
        return [key for (key,) in duckdb.execute(query, [files]).fetchall()]
    except duckdb.InvalidInputException as refused:  # it says so where it cannot be exact
        assert "exactly" in str(refused)
        return None


@_QUICK
@given(data=rows(most=9), question=predicates(), maxcount=st.integers(1, 4))
def test_typed_samples(folder: Path, data: Rows, question: Predicate, maxcount: int) -> None:
    assume("strange name" not in question.fields)
    samples = samples_of(data)
    assume(samples)
    ds = written(samples, folder, maxcount)
    chosen = asked(ds, question)
    wanted = [f"{row:09d}" for row, sample in enumerate(samples) if question.test(sample)]
    assert [key for key, _ in chosen.items()] == wanted
    assert len(chosen) == ds.count(question) == len(wanted)
    assert [place.key for place in ds.query(question)] == wanted
    sql = by_sql(folder, question)
    assert sql is None or sql == wanted


@_QUICK
@given(data=rows(most=6), question=predicates(), maxcount=st.integers(1, 3))
def test_samples_without_a_type(
    folder: Path, data: Rows, question: Predicate, maxcount: int
) -> None:
    names = [*_FIELDS, "strange name"]
    plain = (bool, int, float, str, list, type(None))
    samples = [
        DictSample(
            **{name: data[name][row] for name in names if isinstance(data[name][row], plain)}
        )
        for row in range(len(data["b"]))
    ]
    assume(samples)
    ds = written(samples, folder, maxcount)
    wanted = [f"{row:09d}" for row, sample in enumerate(samples) if question.test(sample)]
    assert [key for key, _ in asked(ds, question).items()] == wanted


@_QUICK
@given(data=rows(most=6), question=predicates(), maxcount=st.integers(1, 3))
def test_through_a_lens(folder: Path, data: Rows, question: Predicate, maxcount: int) -> None:
    back = {there: here for here, there in RENAMED.items()}
    assume("strange name" not in question.fields)
    samples = samples_of(data)
    assume(samples)
    ds = written(samples, folder, maxcount)
    views = asked(ds.as_type(View), question.renamed(back))
    wanted = [f"{row:09d}" for row, sample in enumerate(samples) if question.test(sample)]
    assert [key for key, _ in views.items()] == wanted
    told = views.explain()
    assert told.by_samples == ()


@_QUICK
@given(data=rows(most=8), question=predicates(), seed=st.integers(0, 5))
def test_what_was_chosen_is_shuffled_cut_and_ordered_alike(
    folder: Path, data: Rows, question: Predicate, seed: int
) -> None:
    assume("strange name" not in question.fields)
    samples = samples_of(data)
    assume(samples)
    ds = written(samples, folder, 3)
    chosen = asked(ds, question)
    rows_left = [row for row, sample in enumerate(samples) if question.test(sample)]
    keys = [f"{row:09d}" for row in rows_left]
    assert sorted(key for key, _ in chosen.shuffled(seed=seed).items()) == keys
    assert [key for key, _ in chosen.skip(1).take(3).items()] == keys[1:4]
    by_text = sorted(rows_left, key=lambda row: (samples[row].s is None, samples[row].s or ""))
    assert [key for key, _ in chosen.order_by("s").items()] == [f"{row:09d}" for row in by_text]
    parts = chosen.split({"a": 2, "b": 1}, by="r", seed=seed)
    both = sorted(key for part in parts.values() for key, _ in part.items())
    assert both == keys


def test_none_of_the_fields_is_forgotten() -> None:
    assert set(_FIELDS) | {"box", "strange name"} == {*Wide.__dataclass_fields__, "strange name"}
    assert F.b.is_true().fields == {"b"}
