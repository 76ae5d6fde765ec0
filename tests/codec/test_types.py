"""Every supported kind of field: round trips, and what is refused."""

import dataclasses
import enum
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional
from uuid import UUID

import ml_dtypes
import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from atdata import SchemaError, UnsupportedTypeError
from atdata.codec.compile import codec_of
from atdata.codec.markers import Format, Shape
from atdata.codec.texts import read_timedelta, write_timedelta
from atdata.sample.same import same
from atdata.testing import values


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Place(NamedTuple):
    x: float
    name: str


@dataclasses.dataclass
class Inner:
    label: str
    score: float = 0.0
    mask: NDArray[np.bool_] | None = None


@dataclasses.dataclass
class Tree:
    value: int
    children: "list[Tree]" = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Box[T]:
    value: T
    more: list[T] = dataclasses.field(default_factory=list)


Score = NewType("Score", float)
type Words = list[str]
type Json = int | dict[str, Json] | list[Json]

ANNOTATIONS: list[Any] = [
    *(Optional[str], Optional[NDArray[np.int64]]),  # noqa: UP045 - the spelling is what is tested
    *(bool, int, float, str, bytes, bytearray, complex, None, Any, list, dict, tuple),
    *(datetime, date, time, timedelta, UUID, Decimal, Path),
    *(int | None, int | str | None, float | int, int | list[str] | bytes),
    *(bool | int | float, str | NDArray[np.float32], Inner | list[int] | None),
    *(list[int], list[float], list[str], list[bytes], list[list[float]], list[datetime]),
    *(tuple[int, str], tuple[int, ...], tuple[()], tuple[Decimal, NDArray[np.int8]]),
    *(set[str], set[int], frozenset[tuple[int, str]], set[UUID], Sequence[int]),
    *(dict[str, int], dict[str, list[float]], dict[Colour, int], dict[Literal["a", "b"], str]),
    *(dict[str, NDArray[np.float64]], list[NDArray[np.uint8]], Mapping[str, datetime]),
    *(Literal["a", 1, True, None], Literal[b"x", 2], Literal[Colour.RED, Level.LOW]),
    *(Colour, Level, Score, Words, Place, Inner, list[Inner], dict[str, Inner], Tree, Box[int]),
    *(Box[list[str]], Box[NDArray[np.float32]], list[Box[Colour]], Annotated[int, "note"]),
    *(np.int8, np.uint64, np.float16, np.float32, np.float64, np.bool_, np.complex64),
    *(np.datetime64, np.timedelta64, np.str_, list[np.float32], dict[str, np.int16]),
    *(NDArray, NDArray[np.float32], np.ndarray, NDArray | None),
    *(NDArray[Any], NDArray[np.floating], NDArray[np.str_], NDArray[np.complex128]),
    *(NDArray[np.float32] | None, NDArray[ml_dtypes.bfloat16], NDArray[np.float32 | np.float64]),
    *(Annotated[NDArray[np.uint8], Shape("H", "W", 3)], Annotated[NDArray | None, Shape(..., 2)]),
    *(np.ndarray[tuple[int, int], np.dtype[np.float32]], Annotated[NDArray, Shape()]),
]


def sample_type(**annotations: Any) -> Any:
    """A new dataclass with these fields."""
    return dataclasses.make_dataclass("Sample", list(annotations.items()))


def roundtrip(annotation: Any, value: Any) -> Any:
    kind = sample_type(x=annotation)
    codec = codec_of(kind)
    return codec.decode(codec.encode(kind(value))).x


@pytest.mark.parametrize("annotation", ANNOTATIONS, ids=str)
@given(data=st.data())
def test_any_value_of_a_supported_type_comes_back(annotation: Any, data: st.DataObject) -> None:
    """What is written is read back equal by every way in, and gives the same bytes again."""
    value = data.draw(values(annotation))
    kind = sample_type(x=annotation)
    codec = codec_of(kind)

    payload = codec.encode(kind(value))

    assert same(codec.decode(payload).x, value)
    assert type(codec.decode(payload).x) is type(value) or annotation in (Any, list, dict, tuple)
    assert same(codec.decode(memoryview(payload), copy=False).x, value)
    assert same(codec.from_data(msgspec.msgpack.decode(payload)).x, value)
    assert same(codec.from_data({"x": value}).x, value)
    assert codec.encode(codec.decode(payload)) == payload
    (plan,) = codec.fields
    wire = plan.to_wire(value, "x")
    assert msgspec.msgpack.encode({"x": wire}) == payload
    assert same(plan.from_wire(msgspec.msgpack.decode(msgspec.msgpack.encode(wire)), "x"), value)


@given(data=st.data())
def test_samples_of_many_fields_come_back(data: st.DataObject) -> None:
    """Any mixture of supported fields makes a sample type that round-trips."""
    chosen = data.draw(st.lists(st.sampled_from(ANNOTATIONS), max_size=20))
    kind = sample_type(**{f"f{i}": annotation for i, annotation in enumerate(chosen)})
    sample = kind(*(data.draw(values(annotation)) for annotation in chosen))

    read = codec_of(kind).decode(codec_of(kind).encode(sample))

    assert same(dataclasses.asdict(read), dataclasses.asdict(sample))


@pytest.mark.parametrize(
    ("annotation", "value", "path", "part"),
    [
        (int, "3", "x", "str"),
        (int, True, "x", "bool"),
        (int, 1.0, "x", "float"),
        (int, 2**64, "x", "2**64-1"),
        (int, -(2**63) - 1, "x", "-2**63"),
        (int, 10**300, "x", "bits"),
        (float, "1", "x", "str"),
        (float, True, "x", "bool"),
        (float, 2**53 + 1, "x", "exactly"),
        (float, np.int64(2**53 + 1), "x", "exactly"),
        (float, 10**400, "x", "float"),
        (bool, 1, "x", "int"),
        (bool, None, "x", "None"),
        (str, b"x", "x", "bytes"),
        (str, "\ud800", "x", "surrogate"),
        (list[str], ["a", "\ud800"], "x[1]", "surrogate"),
        (bytes, "x", "x", "str"),
        (list[int], (1, 2), "x", "tuple"),
        (list[int], [1, "2"], "x[1]", "str"),
        (list[int], [1, 2**64], "x[1]", "2**64-1"),
        (list[list[int]], [[1], [2, None]], "x[1][1]", "None"),
        (tuple[int, str], (1,), "x", "tuple"),
        (tuple[int, str], (1, 2), "x[1]", "int"),
        (dict[str, int], {"a": 1, "b": "2"}, "x.b", "str"),
        (dict[str, int], {1: 1}, "x", "text"),
        (dict[Literal["a"], int], {"b": 1}, "x.b", "str"),
        (set[int], [1], "x", "list"),
        (Literal["a", 1], "b", "x", "'b'"),
        (Literal[1], True, "x", "True"),
        (Colour, "red", "x", "str"),
        (datetime, "2020-01-01", "x", "str"),
        (datetime, pd.Timestamp("2020-01-01T00:00:00.000000001"), "x", "microsecond"),
        (date, datetime(2020, 1, 1), "x", "datetime"),
        (Inner, Inner("a", score="x"), "x.score", "str"),  # type: ignore[arg-type]
        (list[Inner], [Inner("a"), Inner(5)], "x[1].label", "int"),  # type: ignore[arg-type]
        (dict[str, list[Inner]], {"k": [Inner(5)]}, "x.k[0].label", "int"),  # type: ignore[arg-type]
        (int | str, 1.5, "x", "float"),
        (Any, {1: 2}, "x", "int"),
        (Any, {"a": [1, {2}]}, "x.a[1]", "set"),
        (Any, [np.float32(1)], "x[0]", "item()"),
        (Any, {"a": np.zeros(3)}, "x.a", "ndarray of float64, shape (3,)"),
        (list, [np.int64(1)], "x[0]", "int64"),
        (np.int8, 200, "x", "200"),
        (np.float32, 0.1, "x", "exactly"),
        (np.float16, 1e10, "x", "float"),
        (NDArray, [1, 2], "x", "np.asarray"),
        (NDArray, b"raw jpeg", "x", "bytes"),
        (NDArray[np.float32], np.zeros(2), "x", ".astype(np.float32)"),
        (NDArray[np.floating], np.zeros(2, int), "x", "int64"),
        (NDArray, np.array([object()]), "x", "object"),
        (NDArray, np.ma.array([1], mask=[True]), "x", "mask"),
        (NDArray, np.zeros(1, np.longdouble), "x", "float64"),
        (list[NDArray[np.uint8]], [np.zeros(1, "u1"), np.zeros(1)], "x[1]", "float64"),
        (Annotated[NDArray, Shape("H", "W", 3)], np.zeros((4, 4)), "x", "shape (4, 4)"),
        (Annotated[NDArray, Shape("N", "N")], np.zeros((4, 5)), "x", "(N, N)"),
        (np.ndarray[tuple[int, int], np.dtype[np.float64]], np.zeros(3), "x", "(*, *)"),
        (pd.DataFrame, {"a": [1]}, "x", "dict"),
        (scipy.sparse.csr_matrix, scipy.sparse.coo_matrix((2, 2)), "x", "coo_matrix"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_on_write(
    annotation: Any, value: Any, path: str, part: str
) -> None:
    """The error names the path, what was wanted and what was found; no byte is written."""
    kind = sample_type(x=annotation)

    with pytest.raises(SchemaError) as caught:
        codec_of(kind).encode(kind(value))

    assert caught.value.path == path
    assert caught.value.wanted
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "wire", "part"),
    [
        (int, "x", "str"),
        (int, True, "bool"),
        (float, "1", "str"),
        (str, 1, "int"),
        (str, b"", "bytes"),
        (bytes, "", "str"),
        (list[int], {"a": 1}, "dict"),
        (list[int], [1, None], "None"),
        (set[int], [1, 1], "each once"),
        (set[Any], [[1]], "hashable"),
        (Colour, "green", "green"),
        (Level, 9, "int 9"),
        (Level, True, "bool"),
        (Literal["a", 1], True, "bool"),
        (datetime, "yesterday", "datetime"),
        (datetime, "2020-01-01T00:00:00.1234567", "datetime"),
        (time, "25:00", "time"),
        (timedelta, "P1Y", "timedelta"),
        (timedelta, "P", "timedelta"),
        (timedelta, "PT", "timedelta"),
        (timedelta, "P999999999DT86400S", "timedelta"),
        (UUID, "{00000000-0000-0000-0000-000000000000}", "UUID"),
        (Decimal, "1_0", "Decimal"),
        (Decimal, "\u0661", "Decimal"),
        (complex, [1.0], "list of 1"),
        (tuple[int, str], [1, "a", 2], "list of 3"),
        (Place, [1.0], "list of 1"),
        (Inner, {"score": 1.0}, "label"),
        (Inner, [1], "list"),
        (np.uint8, 300, "300"),
        (np.float32, 1e300, "float"),
        (NDArray, "x", "str"),
        (NDArray, b"\x03<f4\x01", "too short"),
        (NDArray[np.float32], bytes.fromhex("033c6638000000000000004540"), "float64"),
        (Annotated[NDArray, Shape(3)], bytes.fromhex("033c6638000000000000004540"), "shape ()"),
        (np.datetime64, bytes.fromhex("033c6638000000000000004540"), "datetime64"),
        (pd.DataFrame, b"PAR1", "bytes"),
        (scipy.sparse.csr_matrix, b"PK", "bytes"),
        (pa.Tensor, b"\xff\xff\xff\xff", "bytes"),
    ],
)
def test_a_payload_that_does_not_fit_is_refused_on_read(
    annotation: Any, wire: Any, part: str
) -> None:
    """A wire value of another kind is an error that names the field, not a wrong value."""
    payload = msgspec.msgpack.encode({"x": wire})

    with pytest.raises(SchemaError) as caught:
        codec_of(sample_type(x=annotation)).decode(payload)

    assert caught.value.path.startswith("x")
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "part"),
    [
        (int | np.int64, "both may be int"),
        (str | datetime, "str"),
        (list[int] | tuple[str, ...], "array"),
        (Inner | dict[str, int], "Inner"),
        (bytes | NDArray, "bin"),
        (dict[int, str], "dict[str, ...]"),
        (dict[UUID, str], "text"),
        (dict[Level, str], "text"),
        (Literal[1.5], "1.5"),  # type: ignore[valid-type]
        (type, "type"),
        (type[int], "plain types"),
        (range, "range"),
        (list[range], "range"),
        (enum.Enum("Odd", {"A": 1.5}), "int or a str"),
        (np.longdouble, "np.float64"),
        (np.floating, "np.float64"),
        (NDArray[np.object_], "Python objects"),
        (NDArray[np.longdouble], "np.float64"),
        (Annotated[int, Shape(3)], "Shape"),
        (Annotated[Any, Shape(3)], "Shape"),
        (Json, "holds itself"),
        (Literal[Colour.RED, "red"], "same form"),
        (Annotated[int, Format("nonsense")], "nonsense"),
        (memoryview, "memoryview"),
        (3, "type"),
    ],
    ids=str,
)
def test_an_annotation_without_a_form_is_refused_when_it_is_compiled(
    annotation: Any, part: str
) -> None:
    """The error names class, field and annotation, and what to use instead."""
    kind = dataclasses.make_dataclass("Sample", [("x", int)])
    kind.__dataclass_fields__["x"].type = annotation

    with pytest.raises(UnsupportedTypeError, match="Sample") as caught:
        codec_of(kind)

    assert caught.value.path == "x"
    assert part in str(caught.value)


def test_numpy_scalars_become_plain_numbers() -> None:
    """A numpy scalar in a plain field is written as the number that it is."""
    assert type(roundtrip(int, np.uint8(3))) is int
    assert roundtrip(float, np.float32(0.1)) == float(np.float32(0.1))
    assert roundtrip(bool, np.bool_(True)) is True
    assert type(roundtrip(str, np.str_("a"))) is str
    assert roundtrip(list[int], [np.int64(1)]) == [1]
    assert roundtrip(complex, np.complex64(1 + 2j)) == 1 + 2j


def test_a_whole_number_in_a_float_field_is_written_as_a_float() -> None:
    """`1` in a float field comes back as `1.0`, from old data too."""
    kind = sample_type(x=float)

    assert codec_of(kind).encode(kind(1)).hex() == "81a178cb3ff0000000000000"
    old = codec_of(kind).decode(bytes.fromhex("81a17801"))
    assert type(old.x) is float
    assert roundtrip(list[float], [1, 2.5]) == [1.0, 2.5]


@pytest.mark.parametrize("annotation", [float, float | None, list[float], dict[str, float]])
def test_a_number_that_a_float_cannot_hold_is_not_rounded_on_read(annotation: Any) -> None:
    """2**53 + 1 in old data of a float field is an error, and 2**53 is not."""
    wrap = {list[float]: lambda n: [n], dict[str, float]: lambda n: {"k": n}}
    make = wrap.get(annotation, lambda n: n)
    codec = codec_of(sample_type(x=annotation))

    assert codec.decode(msgspec.msgpack.encode({"x": make(2**53)})).x == make(2.0**53)
    assert codec.decode(msgspec.msgpack.encode({"x": make(1e300)})).x == make(1e300)
    with pytest.raises(SchemaError, match="exactly"):
        codec.decode(msgspec.msgpack.encode({"x": make(2**53 + 1)}))


def test_nan_infinity_and_minus_zero_keep_their_bits() -> None:
    """Every float is written as its own 64 bits."""
    for value in (float("nan"), float("inf"), -0.0, 5e-324):
        kind = sample_type(x=float)
        codec = codec_of(kind)
        assert codec.encode(codec.decode(codec.encode(kind(value)))) == codec.encode(kind(value))


def test_times_are_written_as_iso_8601() -> None:
    """The text of a time is the standard's, and an offset is kept as it is."""
    kind = sample_type(at=datetime, on=date, span=timedelta)
    zone = timezone(timedelta(hours=-3, minutes=-30))
    sample = kind(datetime(2020, 1, 2, 3, 4, 5, 6, zone), date(1, 1, 1), timedelta(1, 1, 1))

    wire = msgspec.msgpack.decode(codec_of(kind).encode(sample))

    assert wire == {
        "at": "2020-01-02T03:04:05.000006-03:30",
        "on": "0001-01-01",
        "span": "P1DT1.000001S",
    }
    assert roundtrip(datetime, datetime.max.replace(tzinfo=UTC)).utcoffset() == timedelta(0)


@given(st.timedeltas())
def test_durations_are_exact_to_the_microsecond(value: timedelta) -> None:
    """Any timedelta, the largest and negative ones too, comes back from its text."""
    assert read_timedelta(write_timedelta(value)) == value


def test_sets_give_the_same_bytes_in_every_process() -> None:
    """The order of a set does not depend on the hash seed."""
    program = (
        "import dataclasses\n"
        "from atdata.codec.compile import codec_of\n"
        "@dataclasses.dataclass\n"
        "class S:\n"
        "    tags: set[str]\n"
        "    pairs: frozenset[tuple[str, int]]\n"
        "s = S({str(i) for i in range(99)}, frozenset((str(i), i) for i in range(99)))\n"
        "print(codec_of(S).encode(s).hex())\n"
    )

    seen = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "7")
    }

    assert len(seen) == 1


def test_arrays_keep_what_numpy_can_hold() -> None:
    """0-d, empty, big-endian, strided, Fortran and structured arrays come back equal."""
    structured = np.array([(1, 2.5)], dtype=[("n", "<i4"), ("x", "<f8")])
    for array in (
        np.array(42.0),
        np.zeros((0, 3), "i2"),
        np.array([1, 2], ">f4"),
        np.arange(10)[::-2],
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.broadcast_to(np.float32(1), (2, 2)),
        np.array(["ab", "c"]),
        np.array(["2020-01-01"], "M8[D]"),
        structured,
    ):
        assert same(roundtrip(NDArray, array), array)
        assert same(roundtrip(NDArray, array), array)  # alike arrays take a shorter way


@given(st.lists(values(NDArray), min_size=2, max_size=6))
def test_arrays_of_one_field_do_not_depend_on_each_other(arrays: list[Any]) -> None:
    """What the codec remembers of the last array never shows in the next one."""
    kind = sample_type(x=NDArray)
    codec = codec_of(kind)

    payloads = [codec.encode(kind(array)) for array in arrays]

    for payload, array in zip(payloads, arrays, strict=True):
        alone = sample_type(x=NDArray)
        assert payload == codec_of(alone).encode(alone(array))
        assert same(codec.decode(payload).x, array)


def test_arrays_are_fresh_unless_views_are_asked_for() -> None:
    """A decoded array is writable, aligned and its own; with copy=False a read-only view."""
    kind = sample_type(x=NDArray[np.float64], odd=str)
    payload = bytearray(codec_of(kind).encode(kind(np.arange(4.0), "a")))

    for _ in range(2):
        owned = codec_of(kind).decode(payload).x
        view = codec_of(kind).decode(payload, copy=False).x
        assert owned.flags.writeable
        assert owned.flags.aligned
        assert not view.flags.writeable
        assert np.shares_memory(view, np.frombuffer(payload, "u1"))
        assert not np.shares_memory(owned, np.frombuffer(payload, "u1"))


def test_named_dimensions_agree_across_the_fields_of_a_sample() -> None:
    """Two arrays that share a name must share the size, on write and on read."""
    kind = sample_type(
        image=Annotated[NDArray, Shape("H", "W", 3)],
        mask=Annotated[NDArray | None, Shape("H", "W")],
    )
    loose = sample_type(image=NDArray, mask=NDArray | None)
    codec = codec_of(kind)
    good = kind(np.zeros((2, 4, 3)), np.zeros((2, 4)))

    assert codec.decode(codec.encode(good)).mask.shape == (2, 4)
    assert codec.decode(codec.encode(kind(good.image, None))).mask is None
    with pytest.raises(SchemaError, match="dimension W to be 4, as in image") as caught:
        codec.encode(kind(good.image, np.zeros((2, 5))))
    assert caught.value.path == "mask"
    bad = codec_of(loose).encode(loose(good.image, np.zeros((2, 5))))
    with pytest.raises(SchemaError, match="dimension W"):
        codec.decode(bad)
    with pytest.raises(SchemaError, match="dimension W"):
        codec.from_data({"image": good.image, "mask": np.zeros((2, 5))})


def test_formats_are_chosen_by_annotation() -> None:
    """Tables, sparse arrays, tensors and safetensors come back as what they were."""
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    sparse = scipy.sparse.csr_matrix(np.eye(3))
    tensor = pa.Tensor.from_numpy(np.arange(4).reshape(2, 2))
    weights = {"w": np.ones((2, 2), "f4")}

    assert roundtrip(pd.DataFrame, frame).equals(frame)
    assert (roundtrip(scipy.sparse.csr_matrix, sparse) != sparse).nnz == 0
    assert roundtrip(pa.Tensor, tensor).equals(tensor)
    assert same(roundtrip(Annotated[dict[str, NDArray], Format("safetensors")], weights), weights)
    assert roundtrip(pd.DataFrame | None, None) is None


def test_formats_are_chosen_by_field_formats() -> None:
    """A class attribute names the format of a field, whatever its annotation."""

    @dataclasses.dataclass
    class Graph:
        edges: Any
        weights: dict[str, NDArray]
        image: Any = None
        __field_formats__ = {"edges": "sparse", "weights": "safetensors", "image": "ndarray"}

    sample = Graph(scipy.sparse.coo_array(np.eye(2)), {"w": np.zeros(2)}, np.zeros(3))

    read = codec_of(Graph).decode(codec_of(Graph).encode(sample))

    assert type(read.edges) is type(sample.edges)
    assert same(read.weights, sample.weights)
    assert same(read.image, sample.image)


def test_a_dict_of_arrays_is_a_plain_map_of_blobs() -> None:
    """Without a format each array is a blob of its own under its own key."""
    kind = sample_type(x=dict[str, NDArray])

    wire = msgspec.msgpack.decode(codec_of(kind).encode(kind({"w": np.zeros(2)})))

    assert list(wire["x"]) == ["w"]
    assert wire["x"]["w"][:4] == b"\x03<f8"


def test_unions_keep_the_member_that_a_value_has() -> None:
    """An int in `float | int` stays an int, and a bool stays a bool."""
    assert type(roundtrip(float | int, 1)) is int
    assert type(roundtrip(float | int, np.int64(1))) is int
    assert type(roundtrip(float | bool | None, True)) is bool
    assert type(roundtrip(int | bool, True)) is bool
    assert type(roundtrip(Inner | list[int] | None, Inner("a"))) is Inner


def test_plans_tell_bulk_readers_what_is_plain() -> None:
    """Plain kinds, dtypes and shapes are told; everything else is `other`."""
    kind = sample_type(
        a=int,
        b=float | None,
        c=NDArray[np.float32],
        d=Annotated[NDArray[np.uint8] | None, Shape("H", None, 3)],
        e=NDArray,
        f=list[int],
        g=NDArray[np.floating],
        h=Annotated[NDArray, Shape(..., 3)],
        i=Literal["a"],
        j=NDArray[np.str_],
    )

    plans = {plan.name: plan for plan in codec_of(kind).fields}

    told = [(p.kind, p.optional, str(p.dtype), p.shape) for p in plans.values()]
    assert told == [
        ("int", False, "None", None),
        ("float", True, "None", None),
        ("ndarray", False, "float32", None),
        ("ndarray", True, "uint8", ("H", None, 3)),
        ("ndarray", False, "None", None),
        ("other", False, "None", None),
        ("other", False, "None", None),
        ("other", False, "None", None),
        ("other", False, "None", None),
        ("other", False, "None", None),
    ]
