"""Which fields a manifest has columns for, and what is refused before anything is written."""

import datetime as dt
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import atdata
from atdata.manifest import (
    CategoricalAggregate,
    ManifestField,
    NumericAggregate,
    SetAggregate,
    create_aggregate,
    open_manifest,
    resolve_manifest_fields,
)
from atdata.manifest.bloom import Bloom, hash_ints, hash_texts
from atdata.manifest.fields import plan_fields
from atdata.sources.url import URLSource


@dataclass
class Inner:
    left: float
    more: "Inner | None" = None


@atdata.packable
class Many:
    name: str
    score: Annotated[float, "in points"]
    either: int | str
    tags: list[str]
    bare: list
    hidden: Annotated[str, ManifestField("categorical", exclude=True)]
    level: Annotated[int, ManifestField("categorical")]
    inner: Inner
    image: NDArray[np.uint8] | None
    when: dt.datetime | None
    raw: bytes


def test_fields_are_resolved_in_their_order() -> None:
    """Unions of unlike types, arrays and bytes are left out, and are no error."""
    found = resolve_manifest_fields(Many)

    assert {name: field.aggregate for name, field in found.items()} == {
        "name": "categorical",
        "score": "numeric",
        "tags": "set",
        "level": "categorical",
    }
    with pytest.raises(TypeError, match="dataclass"):
        resolve_manifest_fields(int)


def test_columns_are_planned_with_paths_and_reasons() -> None:
    """Fields inside others are dotted, arrays give shape and dtype, the rest says why not."""
    plan = plan_fields(Many)

    assert {one.path: one.kind for one in plan.columns} == {
        "name": "str",
        "score": "float",
        "tags": "list[str]",
        "level": "int",
        "inner.left": "float",
        "image.shape": "list[int]",
        "image.dtype": "str",
        "when": "datetime",
    }
    assert plan.left_out == {
        "either": "it holds int | str",
        "bare": "it holds list",
        "hidden": "its annotation excludes it",
        "inner.more": "it holds itself, or lies too deep",
        "raw": "it holds bytes",
    }


def test_a_kind_of_aggregate_that_is_none_is_refused_when_it_is_written_down() -> None:
    """Not when the first sample comes."""
    with pytest.raises(ValueError, match="Unknown aggregate kind"):
        ManifestField("sum")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Unknown aggregate kind"):
        create_aggregate("sum")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "aggregate"), [(str, "numeric"), (int, "set"), (list[str], "categorical")]
)
def test_an_aggregate_that_does_not_fit_is_refused_before_anything_is_written(
    tmp_path: Path, kind: Any, aggregate: Any
) -> None:
    """The error names the field and what would fit."""

    @atdata.packable
    class Wrong:
        field: Annotated[kind, ManifestField(aggregate)]  # type: ignore[valid-type]  # pyright: ignore[reportInvalidTypeForm]

    value = {str: "a", int: 1}.get(kind, ["a"])
    with pytest.raises(TypeError, match="field: aggregate"):
        atdata.write_samples([Wrong(value)], tmp_path / "a.tar", manifest=True)
    assert list(tmp_path.iterdir()) == []
    atdata.write_samples([Wrong(value)], tmp_path / "a.tar")


def test_unions_and_samples_without_a_type_have_manifests(tmp_path: Path) -> None:
    """What cannot be a column is left out, and all the rest is there."""

    @atdata.packable
    class Either:
        n: int
        either: int | str

    atdata.write_samples([Either(1, 2), Either(2, "x")], tmp_path / "a.tar", manifest=True)
    data = [{"n": 1, "x": b"raw"}, {"m": 2.5, "n": None, "a.b": 1, "": 2}]
    samples = [atdata.DictSample(one) for one in data]
    atdata.write_samples(samples, tmp_path / "b.tar", manifest=True)
    one, other = (
        open_manifest(URLSource(tmp_path / name), str(tmp_path / name))
        for name in ("a.tar", "b.tar")
    )

    assert (dict(one.columns), dict(one.left_out)) == (
        {"n": "int"},
        {"either": "it holds int | str"},
    )
    assert dict(other.columns) == {"n": "int", "m": "float"}
    assert set(other.left_out) == {"x", "a.b", ""}


def test_long_text_that_is_asked_for_stays_a_column(tmp_path: Path) -> None:
    """An explicit ManifestField says so."""

    @atdata.packable
    class Text:
        one: str
        other: Annotated[str, ManifestField("categorical")]

    texts = [Text("x" * 300, f"{i}" + "y" * 300) for i in range(5)]
    atdata.write_samples(texts, tmp_path / "a.tar", manifest=True)
    manifest = open_manifest(URLSource(tmp_path / "a.tar"), str(tmp_path / "a.tar"))

    assert dict(manifest.columns) == {"other": "str"}
    assert manifest.column("other").to_pylist() == [one.other for one in texts]


def test_aggregates_take_what_they_are_given() -> None:
    """None and NaN are counted apart, ints stay exact, and nothing has a mean of nothing."""
    categorical, numeric, items = CategoricalAggregate(), NumericAggregate(), SetAggregate()
    for one in (True, True, False, None):
        categorical.add(one)
    for number in (2**63, -1, math.nan, None, 0.5):
        numeric.add(number)
    for many in (["a", 1], [], None):
        items.add(many)

    assert (categorical.value_counts, categorical.cardinality) == ({"True": 2, "False": 1}, 2)
    assert (numeric.min, numeric.max, numeric.count, numeric.nan_count) == (-1, 2**63, 3, 1)
    assert items.to_dict() == {"type": "set", "all_values": ["1", "a"]}
    assert NumericAggregate().mean == 0.0
    assert NumericAggregate().to_dict() == {
        "type": "numeric", "min": None, "max": None, "mean": None, "count": 0,
    }  # fmt: skip
    with pytest.raises(TypeError, match="no number"):
        numeric.add("1")


@given(numbers=st.lists(st.integers(-(2**63), 2**64 - 1), min_size=1), other=st.integers())
def test_a_filter_of_ints_never_denies_what_is_there(numbers: list[int], other: int) -> None:
    """Also where the value that is asked for is an equal float or bool."""
    words = np.array([one & (2**64 - 1) for one in numbers], np.uint64)
    known = Bloom.of("int", np.unique(hash_ints(words)))
    again = Bloom.from_base64("int", known.n_hashes, known.to_base64())

    assert all(map(known, numbers))
    assert all(known(float(one)) for one in numbers if abs(one) < 2**53)
    assert known(other) or other not in numbers
    assert again == known
    assert not known("1")
    assert not known(0.5)


@given(texts=st.lists(st.text(st.characters(codec="utf-8")), min_size=1))
def test_a_filter_of_texts_never_denies_what_is_there(texts: list[str]) -> None:
    """And says False of nearly all else."""
    known = Bloom.of("str", np.unique(hash_texts([one.encode() for one in texts])))

    assert all(map(known, texts))
    assert sum(known(f"\0{i}") for i in range(1000)) < 50
