"""Differences between schemas, and what they mean for versions, data and lenses."""

import dataclasses
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.schema.kinds import ANNOTATIONS, Colour, Inner, Tree, sample_type

import atdata
from atdata import SchemaError, pack, unpack
from atdata.lens import LensNetwork
from atdata.model.schema import Schema
from atdata.sample.same import same
from atdata.schema.build import type_of
from atdata.schema.diff import diff, next_version
from atdata.schema.infer import schema_of
from atdata.testing import values


def schema(name: str = "Word", **fields: Any) -> Schema:
    """Fields by annotation, or by annotation and default."""
    declared = [(n, *f) if isinstance(f, tuple) else (n, f) for n, f in fields.items()]
    return schema_of(dataclasses.make_dataclass(name, declared, kw_only=True))


@dataclasses.dataclass
class WiderInner:
    label: str | None
    score: float = 0.0
    mask: NDArray[np.bool_] | None = None


def test_a_difference_reads_like_one() -> None:
    """Added, removed and changed fields have a line each, and the verdict stands last."""
    old = schema(text=str, count=int, lang=str, image=NDArray[np.uint8])
    new = schema(text=str, count=float, language=str, image=NDArray[np.int8], stars=(int, 0))

    assert str(diff(old, new)).splitlines() == [
        "+ language: str",
        "+ stars: int = 0",
        "- lang: str",
        "~ count: int -> float",
        "~ image: NDArray[uint8] -> NDArray[int8]",
        "? lang may have been renamed to language",
        "major: breaking",
    ]


@pytest.mark.parametrize(
    ("old", "new", "bump"),
    [
        ({"x": int}, {"x": int}, "none"),
        ({"x": (int, 1)}, {"x": (int, 2)}, "patch"),
        ({"x": int}, {"x": (int, 2)}, "patch"),
        ({"x": (int, 1)}, {"x": int}, "minor"),
        ({"x": int}, {"x": int, "y": (int, 1)}, "minor"),
        ({"x": int}, {"x": int, "y": (int | None, None)}, "minor"),
        ({"x": int}, {"x": int, "y": int}, "major"),
        ({"x": int}, {"x": int, "y": int | None}, "major"),
        ({"x": int, "y": int}, {"x": int}, "major"),
        ({"x": int, "y": int}, {"y": int, "x": int}, "minor"),
        ({"x": int}, {"x": int | None}, "minor"),
        ({"x": int | None}, {"x": int}, "major"),
        ({"x": int}, {"x": float}, "minor"),
        ({"x": float}, {"x": int}, "major"),
        ({"x": int}, {"x": str}, "major"),
        ({"x": int}, {"x": int | str}, "minor"),
        ({"x": int | str}, {"x": int}, "major"),
        ({"x": list[int]}, {"x": list[float]}, "minor"),
        ({"x": list[int]}, {"x": list[int | None]}, "minor"),
        ({"x": list[int]}, {"x": list[Any]}, "minor"),
        ({"x": list[Any]}, {"x": list[int]}, "major"),
        ({"x": tuple[int, int]}, {"x": tuple[int, ...]}, "minor"),
        ({"x": tuple[int, int]}, {"x": tuple[int, int, int]}, "major"),
        ({"x": Literal["a"]}, {"x": Literal["a", "b"]}, "minor"),
        ({"x": Literal["a"]}, {"x": str}, "minor"),
        ({"x": Literal["a", "b"]}, {"x": Literal["a"]}, "major"),
        ({"x": Colour}, {"x": str}, "major"),
        ({"x": NDArray[np.uint8]}, {"x": NDArray}, "minor"),
        ({"x": NDArray[np.float32]}, {"x": NDArray[np.floating]}, "minor"),
        ({"x": NDArray}, {"x": NDArray[np.uint8]}, "major"),
        ({"x": np.int8}, {"x": np.int16}, "minor"),
        ({"x": np.int16}, {"x": np.int8}, "major"),
        ({"x": np.uint8}, {"x": np.int8}, "major"),
        ({"x": dict[str, int]}, {"x": dict[str, float]}, "minor"),
        ({"x": dict[Literal["a"], int]}, {"x": dict[str, int]}, "minor"),
        ({"x": dict[str, int]}, {"x": dict[Literal["a"], int]}, "major"),
        ({"x": list[Inner]}, {"x": list[WiderInner]}, "minor"),
        ({"x": list[WiderInner]}, {"x": list[Inner]}, "major"),
        ({"x": Inner}, {"x": dict[str, Any]}, "major"),
        ({"x": set[int]}, {"x": list[int]}, "major"),
        ({"x": Tree}, {"x": Tree, "y": (int, 0)}, "minor"),
    ],
    ids=repr,
)
def test_what_a_change_means_for_the_version(
    old: dict[str, Any], new: dict[str, Any], bump: str
) -> None:
    """Descriptions and defaults patch, widening is minor, and what narrows or goes breaks."""
    assert diff(schema(**old), schema(**new)).bump == bump


@pytest.mark.parametrize("new", ANNOTATIONS, ids=str)
@settings(max_examples=5)
@given(data=st.data(), old=st.sampled_from(ANNOTATIONS))
def test_any_step_that_does_not_break_lets_old_data_be_read(
    new: Any, data: st.DataObject, old: Any
) -> None:
    """Where the verdict is not `breaking`, the new type reads each value as what it was."""
    one, other = sample_type(x=old), sample_type(x=new)
    if diff(schema_of(one), schema_of(other)).bump == "major":
        return
    sample = one(data.draw(values(old)))

    try:
        read = unpack(other, pack(sample))
    except SchemaError as error:
        assert "float" in error.wanted
        return

    assert same(read.x, sample.x) or read.x == sample.x or pack(other(read.x)) == pack(sample)


def test_changes_inside_of_nested_types_have_a_path() -> None:
    """A field of a field is named with dots, and a type that holds itself ends."""
    old, new = schema(boxes=list[Inner]), schema(boxes=list[WiderInner])
    renamed = diff(old, new)

    assert [change.path for change in renamed.changed] == ["boxes", "boxes.label"]
    assert [str(change) for change in renamed.changed if "." in change.path] == [
        "~ boxes.label: str -> str | None"
    ]
    assert not diff(schema_of(Tree), schema_of(Tree))


def test_a_description_is_a_patch() -> None:
    """It says something about data and changes none."""
    word = schema(text=str)
    described = dataclasses.replace(word, description="A word.")

    found = diff(word, described)

    assert (found.bump, found.verdict, found.notes) == ("patch", "compatible", ("description",))
    assert str(found) == "~ description\npatch: compatible"


def test_the_next_version_follows_from_what_changed() -> None:
    """The first is 1.0.0; what was published keeps its version; else the highest one is raised."""
    first = schema(text=str)
    wider = schema(text=str, count=(int, 0))
    other = schema(text=bytes)

    published = [first, wider.with_version("1.1.0"), first.with_version("weird")]

    assert next_version([], first) == "1.0.0"
    assert next_version([first], wider) == "1.1.0"
    assert next_version(published, other) == "2.0.0"
    assert next_version(published, wider.with_version("9.9.9")) == "1.1.0"
    assert next_version([first.with_version("weird")], other) == "1.0.0"
    assert (
        next_version([other.with_version("1.10.0"), first.with_version("1.9.0")], first) == "1.9.0"
    )


def lens_of(text: str, old: Schema, new: Schema) -> Any:
    """Run a suggested lens, as someone would who took it over."""
    names = {"Old_1_0_0": type_of(old), "New_1_0_0": type_of(new)}
    space: dict[str, Any] = {**names, "atdata": atdata}
    exec(text.replace("@atdata.lens\n", ""), space)
    return next(value for key, value in space.items() if "_to_" in key)


def test_a_suggested_lens_converts_and_renames() -> None:
    """The text is a lens as it stands, where everything is known."""
    old = schema("Old", text=str, count=int, image=NDArray[np.uint8])
    new = schema("New", label=str, count=float, image=NDArray[np.uint8], stars=(int, 3))
    text = diff(old, new).suggest_lens()

    found = lens_of(text, old, new)(type_of(old)(text="sea", count=2, image=np.zeros(2, "u1")))

    assert (found.label, found.count, found.stars) == ("sea", 2.0, 3)
    assert "label=s.text,  # renamed?" in text


def test_a_suggested_lens_leaves_open_what_nobody_knows() -> None:
    """What has to be written by hand is `...`, with the type that it needs."""
    old, new = schema("Old", x=str), schema("New", x=list[int], y=bytes)

    assert diff(old, new).suggest_lens().splitlines() == [
        "@atdata.lens",
        "def old_1_0_0_to_new_1_0_0(s: Old_1_0_0) -> New_1_0_0:",
        "    return New_1_0_0(",
        "        x=...,  # from s.x: str",
        "        y=...,  # bytes: not in Old_1_0_0",
        "    )",
    ]


def test_no_lens_is_suggested_where_the_view_is_found_by_itself() -> None:
    """The text says so, and so it is."""
    old, new = schema("Old", x=str, y=int), schema("New", x=str)

    text = diff(old, new).suggest_lens()
    found = LensNetwork().transform(type_of(old), type_of(new))

    assert text.startswith("# No lens is needed")
    assert found(type_of(old)(x="a", y=1)).x == "a"
