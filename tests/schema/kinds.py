"""Sample types of every kind of field, and a strategy for schemas."""

import dataclasses
import enum
import string
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple, Optional
from uuid import UUID

import ml_dtypes
import numpy as np
import pandas as pd
import scipy.sparse
from hypothesis import strategies as st
from numpy.typing import NDArray

import atdata
from atdata import Format, Shape
from atdata.model.schema import (
    Constant,
    EnumMember,
    Schema,
    SchemaDefinition,
    SchemaField,
    SchemaFieldType,
)
from atdata.model.schema_names import field_flaw, member_flaw


class Colour(enum.Enum):
    """What light it throws back."""

    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2
    TOP = 2


class Mark(enum.Flag):
    A = 1
    B = 2


class Unit(str, enum.Enum):  # noqa: UP042 - an older spelling of StrEnum
    METRE = "m"
    FOOT = "ft"


class Place(NamedTuple):
    x: float
    name: str | None = None


@dataclasses.dataclass
class Inner:
    """Something inside.

    It has a mask.
    """

    label: str
    score: float = 0.0
    mask: NDArray[np.bool_] | None = None


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: int = 0


@atdata.packable
class Tree:
    value: int
    children: "list[Tree]" = dataclasses.field(default_factory=list)
    parent: "Tree | None" = None


@dataclasses.dataclass
class Box[T]:
    value: T
    more: list[T] = dataclasses.field(default_factory=list)


type Words = list[str]

ANNOTATIONS: list[Any] = [
    *(bool, int, float, str, bytes, bytearray, complex, None, Any, list, dict, tuple),
    *(datetime, date, time, timedelta, UUID, Decimal, Path, PurePosixPath),
    *(Optional[str], int | None, int | str | None, float | int, int | list[str] | bytes),  # noqa: UP045
    *(str | NDArray[np.float32], Inner | list[int] | None, Any | None),
    *(list[int], list[list[float]], list[int | None], list[datetime], Sequence[int], Words),
    *(tuple[int, str], tuple[int, ...], tuple[()], tuple[Decimal, NDArray[np.int8]]),
    *(set[str], frozenset[tuple[int, str]], set[Point], frozenset[Colour]),
    *(dict[str, int], dict[Colour, int], dict[Literal["a", "b"], str], dict[str, Inner]),
    *(Literal["a", 1, True, None], Literal[b"x", 2], Literal[Colour.RED, Level.LOW]),
    *(Colour, Level, Mark, Unit, Place, list[Place], Inner, list[Inner], Tree, Box[int]),
    *(Box[NDArray[np.float32]], list[Box[Colour]], Annotated[int, "note"], Box[Box[str]]),
    *(np.int8, np.uint64, np.float16, np.bool_, np.complex64, np.datetime64, np.str_),
    *(NDArray, NDArray[np.float32], np.ndarray, NDArray[Any] | None, list[NDArray[np.uint8]]),
    *(NDArray[np.floating], NDArray[np.str_], NDArray[ml_dtypes.bfloat16]),
    *(NDArray[np.float32 | np.float64], Annotated[NDArray[np.uint8], Shape("H", "W", 3)]),
    *(Annotated[NDArray | None, Shape(..., 2)], Annotated[NDArray, Shape()]),
    np.ndarray[tuple[int, int], np.dtype[np.float32]],
]
"""Annotations that `atdata.testing.values` has values for."""

FORMATS: list[Any] = [
    NDArray[np.void],
    *(pd.DataFrame, scipy.sparse.csr_array, pd.DataFrame | None, list[scipy.sparse.coo_array]),
    *(Annotated[dict[str, NDArray], Format("safetensors")], Annotated[Any, Format("sparse")]),
    *(Annotated[NDArray, Format("structured")], Annotated[NDArray, Format("ndarray")]),
]


class Everything(NamedTuple):
    """Defaults of every kind, by name."""

    a: Any
    b: Any


DEFAULTS: list[tuple[Any, Any]] = [
    *((int, 3), (float, float("nan")), (float, -0.0), (str, 'it\'s "so" \\'), (bytes, b"\x00'")),
    *((bool, True), (complex, 1j), (Any, None), (Any, (1, 2.5)), (None, None)),
    *((int | None, None), (int | None, 5), (Literal["a", None], None), (str | None, "")),
    *((datetime, datetime(2020, 1, 2, tzinfo=UTC)), (date, date(2020, 1, 2)), (time, time(1))),
    *((timedelta, timedelta(days=-1, microseconds=3)), (UUID, UUID(int=5))),
    *((Decimal, Decimal("1.50")), (Path, Path("a/b")), (Colour, Colour.BLUE), (Level, Level.TOP)),
    *((Mark, Mark.A | Mark.B), (Unit, Unit.FOOT), (Literal[Colour.RED], Colour.RED)),
    *((tuple[int, str], (1, "x")), (frozenset[int], frozenset((3, 1))), (Sequence[int], (1, 2))),
    *((Place, Place(1.0, "z")), (Point, Point(1, 2)), (np.float32, np.float32(1.5))),
    *((np.datetime64, np.datetime64("2020-01-01", "D")), (int | str, "x")),
]
"""Annotations with a default that a schema can hold."""

FACTORIES: list[tuple[Any, Any]] = [
    *((list[int], list), (dict[str, int], dict), (set[str], set), (bytearray, bytearray)),
    *((list[Inner], list[Inner]), (list[int] | None, list), (dict[str, list[Any]], dict)),
]
"""Annotations with a default factory that a schema can hold."""


def sample_type(**annotations: Any) -> Any:
    """A new dataclass with these fields."""
    return dataclasses.make_dataclass("Sample", list(annotations.items()))


def primitive(name: str) -> SchemaFieldType:
    return SchemaFieldType("primitive", primitive=name)


# What the names of a generated module are, and what is a name and means something elsewhere.
NAMES = st.one_of(
    st.sampled_from(
        [
            *("int", "str", "list", "np", "Any", "NDArray", "field", "packable", "Colour"),
            *("Inner", "typing", "Annotated", "cls", "type", "match", "_x", "größe", "id", "x_"),
        ]
    ),
    st.text(string.ascii_lowercase, min_size=1, max_size=6).filter(
        lambda name: not field_flaw(name) and not member_flaw(name)
    ),
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
CLASSES = ["Colour", "Inner", "Place", "Any", "list", "Literal"]
_SCALARS = ["str", "int", "float", "bool", "bytes", "datetime", "uuid", "decimal", "complex"]
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "str": TEXTS,
    "int": st.integers(-(2**63), 2**64 - 1),
    "float": st.floats(),
    "bool": st.booleans(),
    "bytes": st.binary(max_size=8),
    "datetime": st.datetimes().map(datetime.isoformat),
    "uuid": st.uuids().map(str),
    "decimal": st.integers().map(str),
    "complex": st.lists(st.floats(), min_size=2, max_size=2),
}


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """Schemas with nested definitions, odd names, defaults and descriptions."""
    enum_name, record_name, root = draw(st.permutations(CLASSES))[:3]
    members = draw(st.dictionaries(NAMES, st.text("ab", max_size=3), min_size=1, max_size=3))
    members = {name: text for name, text in members.items() if not name.endswith("_")}
    members["A"] = "unlike the others"
    an_enum = SchemaFieldType("ref", ref=f"#{enum_name}")
    leaves = st.one_of(
        st.sampled_from([primitive(name) for name in _SCALARS]),
        st.sampled_from([an_enum, SchemaFieldType("ref", ref=f"#{record_name}")]),
        st.sampled_from(
            [SchemaFieldType("ref", ref="#"), SchemaFieldType("scalar", dtype="int8")]
        ),
        st.builds(
            lambda dtype, exact: SchemaFieldType("ndarray", dtype=dtype, exact=exact),
            st.sampled_from(["uint8", "float32|float64", "floating", None]),
            st.booleans(),
        ),
        st.sampled_from([SchemaFieldType("sparse"), SchemaFieldType("dataframe")]),
        st.just(SchemaFieldType("literal", values=(EnumMember(f"#{enum_name}", "A"),))),
    )
    types = st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(lambda t: SchemaFieldType("array", items=t), inner),
            st.builds(lambda t: SchemaFieldType("sequence", items=t), inner),
            st.builds(lambda t: SchemaFieldType("map", items=t), inner),
            st.builds(lambda t: SchemaFieldType("map", items=t, keys=an_enum), inner),
            st.builds(lambda t, u: SchemaFieldType("tuple", members=(t, u)), inner, inner),
        ),
        max_leaves=4,
    )
    fields = st.lists(_fields(types), min_size=1, max_size=4, unique_by=lambda field: field.name)
    said = st.none() | TEXTS
    forced = [
        SchemaField("the_enum", an_enum),
        SchemaField("the_record", SchemaFieldType("ref", ref=f"#{record_name}")),
    ]
    return Schema(
        root,
        "1.0.0",
        (*draw(fields), *forced),
        draw(said),
        definitions=(
            SchemaDefinition(
                enum_name,
                "enum",
                members=tuple(members.items()),
                base="Enum",
                description=draw(said),
            ),
            SchemaDefinition(record_name, "record", tuple(draw(fields)), description=draw(said)),
        ),
    )


@st.composite
def _fields(draw: st.DrawFn, types: st.SearchStrategy[SchemaFieldType]) -> SchemaField:
    kind = draw(types)
    choice = draw(st.sampled_from(["none", "optional", "required", "default", "not stored"]))
    default = None
    if choice == "default" and kind.primitive in _VALUES:
        default = Constant.of(draw(_VALUES[kind.primitive]))
    elif choice == "default" and kind.kind in ("array", "map"):
        default = Constant.of([] if kind.kind == "array" else {})
    return SchemaField(
        draw(NAMES),
        kind,
        optional=choice in ("optional", "required"),
        required=choice == "required",
        default=default,
        default_not_stored=choice == "not stored",
        kw_only=draw(st.booleans()),
        description=draw(st.none() | TEXTS),
    )
