"""A lens declared as data: each field from one field, as it is or by an exact transform."""

import math
import pickle
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

import atdata
from atdata import packable
from atdata._exceptions import SchemaError
from atdata.lens import Lens, LensNetwork, astype, cast, constant, default, mapping, unwrap
from atdata.lens._conversions import conversion
from atdata.model.lens_parts import CASTS, DTYPES, AsType, Cast, UnfitError


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    count: int
    size: str
    raw: bytes
    flag: bool
    score: float | None = None
    maybe: int | None = None
    area: int = field(init=False, default=0)


@dataclass(kw_only=True)
class Seen:
    title: str
    count: float
    size: int
    raw: str
    flag: int
    maybe: float | None
    area: int = field(init=False)
    kind: Literal["row", "column"] = "row"
    notes: list[str] = field(default_factory=list)


def seen() -> Lens[Row, Seen]:
    return mapping(
        Row,
        Seen,
        {
            "title": "name",
            "count": cast("count", "int->float"),
            "size": cast("size", "str->int"),
            "raw": cast("raw", "bytes->str"),
            "flag": cast("flag", "bool->int"),
            "maybe": cast("maybe", "int->float"),
            "area": "area",
            "kind": constant("row"),
        },
    )


exact = st.integers(-(2**53), 2**53)


@st.composite
def rows(draw: st.DrawFn) -> Row:
    row = Row(
        draw(st.text(max_size=5)),
        draw(exact),
        str(draw(st.integers())),
        draw(st.text(max_size=5)).encode(),
        draw(st.booleans()),
        draw(st.none() | st.floats()),
        draw(st.none() | exact),
    )
    object.__setattr__(row, "area", draw(st.integers()))
    return row


@given(samples=st.lists(rows(), min_size=1, max_size=4))
def test_a_lossless_mapping_keeps_the_laws(samples: list[Row]) -> None:
    """Fields as they are, casts and constants; frozen, slotted and computed fields."""
    report = seen().check(samples)

    assert report, str(report)


def test_each_field_is_what_its_rule_says() -> None:
    """Fields without a rule have their default; what the view does not have comes from before."""
    row = Row("a", 3, "-7", b"sea", flag=True, score=0.5, maybe=None)
    lens = seen()

    view = lens(row)

    assert lens.kind == "mapped"
    assert lens.name == "mapping(Row, Seen)"
    assert (view.title, view.count, view.size, view.raw, view.flag) == ("a", 3.0, -7, "sea", 1)
    assert (view.maybe, view.area, view.kind, view.notes) == (None, 0, "row", [])
    view.count, view.maybe, view.area = 4.0, 5.0, 9
    put = lens.put(view, row)
    assert (put.count, put.maybe, put.area, put.score) == (4, 5, 9, 0.5)
    assert type(put.count) is int


@pytest.mark.parametrize(
    ("name", "value"), [("kind", "column"), ("notes", ["new"])], ids=["constant", "default"]
)
def test_what_the_source_has_no_place_for_is_not_lost(name: str, value: Any) -> None:
    """Writing back another value than the constant or the default is refused."""
    row = Row("a", 3, "1", b"", flag=False)
    view = seen()(row)
    setattr(view, name, value)

    with pytest.raises(ValueError, match=f"cannot write back field '{name}': Row has no such"):
        seen().put(view, row)


def test_a_value_that_does_not_come_back_is_refused_by_field() -> None:
    """The error names the type, the field, both values and the lens."""
    row = Row("a", 3, "007", b"", flag=False)

    with pytest.raises(SchemaError) as caught:
        seen()(row)

    assert (caught.value.sample_type_name, caught.value.path) == ("Row", "size")
    assert "found   '007'" in str(caught.value)
    assert "mapping(Row, Seen)" in str(caught.value)
    view = seen()(Row("a", 3, "7", b"", flag=False))
    view.count = 3.5
    with pytest.raises(SchemaError, match=r"field   count\n.*a whole number\n.*3\.5"):
        seen().put(view, row)


plain = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.binary(max_size=4),
    st.integers().map(str),
    st.floats().map(repr),
    st.none(),
    st.sampled_from([2**53 + 1, 10**400, "1_0", "٣", "+1", " 1", "-0", "1e5", -0.0, "\ud800"]),
)


@given(kind=st.sampled_from(CASTS), value=plain)
def test_any_cast_comes_back_as_it_was_or_is_refused(kind: Any, value: object) -> None:
    """There and back is the same value of the same type, to its sign."""
    does = conversion(Cast(kind))

    try:
        made = does.read(value)
    except UnfitError as error:
        assert error.wanted
        assert type(value) is not bool or not kind.startswith("bool")
    else:
        back = does.write(made, value)
        assert type(back) is type(value)
        assert repr(back) == repr(value)
        assert value is None or type(made).__name__ == kind.partition("->")[2]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int->float", 2**53 + 1),
        ("int->float", 10**400),
        ("int->float", True),
        ("float->int", 0.5),
        ("float->int", -0.0),
        ("float->int", math.nan),
        ("float->int", math.inf),
        ("int->bool", 2),
        pytest.param("int->str", 10**5000, id="digits"),
        ("str->int", "1" * 5000),
        ("str->int", "٣"),
        ("str->int", "1_0"),
        ("str->float", "1"),
        ("str->float", "1e999"),
        ("str->bytes", "\ud800"),
        ("bytes->str", b"\xff"),
        ("float->int", np.float64(1)),
    ],
)
def test_what_a_cast_would_change_is_refused(kind: Any, value: Any) -> None:
    """Too large, not whole, spelt otherwise, not of the type."""
    with pytest.raises(UnfitError):
        conversion(Cast(kind)).read(value)


numeric = arrays.arrays(
    dtype=st.sampled_from(DTYPES),
    shape=arrays.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3),
)


@given(array=numeric, dtype=st.sampled_from(DTYPES))
def test_any_array_keeps_each_element_or_is_refused(array: Any, dtype: Any) -> None:
    """An exact `astype` gives the numbers that were there, and takes them back."""
    does = conversion(AsType(dtype))
    numbers = [plain_number(x) for x in array.ravel().tolist()]

    try:
        made = does.read(array)
    except UnfitError:
        with np.errstate(all="ignore"):
            wrapped = array.astype(dtype)
        assert [plain_number(x) for x in wrapped.ravel().tolist()] != numbers
    else:
        assert made.dtype == dtype
        assert [plain_number(x) for x in made.ravel().tolist()] == numbers
        back = does.write(made, array)
        assert back.dtype == array.dtype
        assert [plain_number(x) for x in back.ravel().tolist()] == numbers


def plain_number(x: float) -> object:
    """A number so that only equal numbers are equal, of whatever type: NaN, and -0.0, too."""
    if isinstance(x, float) and (math.isnan(x) or math.isinf(x) or (x == 0 and repr(x)[0] == "-")):
        return repr(x)
    return int(x) if x == int(x) else x


@pytest.mark.parametrize(
    ("values", "has", "wants"),
    [
        ([-1], "int8", "uint16"),
        ([2**64 - 1], "uint64", "int64"),
        ([2**53 + 1], "int64", "float64"),
        ([2**63 - 1], "int64", "float64"),
        ([2**64 - 1], "uint64", "float32"),
        ([2.0**63], "float64", "int64"),
        ([2.0**64], "float64", "uint64"),
        ([1e39], "float64", "float32"),
        ([0.1], "float64", "float32"),
        ([np.nan], "float64", "int32"),
        ([np.inf], "float32", "uint8"),
        ([-0.0], "float32", "int8"),
        ([-0.0], "float32", "bool"),
        ([0.5], "float16", "bool"),
        ([70000], "int32", "float16"),
        ([2], "uint8", "bool"),
    ],
)
def test_elements_that_would_change_are_refused(values: list[Any], has: str, wants: Any) -> None:
    """Also where a machine's own conversion would come back by chance."""
    array = np.array(values, has)

    with pytest.raises(UnfitError, match=f"elements that {wants} holds exactly"):
        conversion(AsType(wants)).read(array)


@packable
class Image:
    pixels: NDArray[np.uint8]
    depth: NDArray[np.float64] | None = None
    label: int | None = None
    score: float | None = None


@packable
class Input:
    pixels: NDArray[np.float32]
    label: int
    depth: NDArray[np.float32] | None = None
    score: float = 0.0


def inputs() -> Lens[Image, Input]:
    return mapping(
        Image,
        Input,
        {
            "pixels": astype("pixels", "float32"),
            "depth": astype("depth", "float32", lossy=True),
            "label": unwrap("label"),
            "score": default("score", 0.5),
        },
    )


def image(*depth: float, label: int | None = 1, score: float | None = None) -> Image:
    return Image(
        np.arange(4, dtype=np.uint8).reshape(2, 2),
        np.array(depth) if depth else None,
        label,
        score,
    )


def test_arrays_are_read_and_written_in_their_dtypes() -> None:
    """What a lossy field or a default has lost is not written back, unless it was changed."""
    before = image(0.1, 0.2)
    lens = inputs()

    view = lens(before)
    same = lens.put(view, before)
    changed = lens.put(Input(view.pixels * 2, 7, np.array([0.5], np.float32), 0.75), before)

    assert (view.pixels.dtype, view.score) == (np.float32, 0.5)
    assert view.depth is not None
    assert view.depth.dtype == np.float32
    assert same.depth is before.depth
    assert same.score is None
    assert same.pixels.dtype == np.uint8
    assert changed.pixels.tolist() == [[0, 2], [4, 6]]
    assert changed.depth is not None
    assert (changed.depth.dtype, changed.depth.tolist()) == (np.float64, [0.5])
    assert (changed.label, changed.score) == (7, 0.75)


def test_an_array_where_none_was_has_the_declared_dtype() -> None:
    """There is no array in the sample to go by."""
    put = inputs().put(Input(image().pixels.astype("f4"), 1, np.ones(2, np.float32)), image())

    assert put.depth is not None
    assert put.depth.dtype == np.float64
    assert Image.from_bytes(put.packed).depth is not None


@given(depths=st.lists(st.lists(st.floats(), min_size=1, max_size=2), min_size=1, max_size=3))
def test_lossy_fields_keep_get_put_and_put_get(depths: list[list[float]]) -> None:
    """Writing back what was read changes nothing, and what was written is read."""
    report = inputs().check([image(*depth, score=depth[0]) for depth in depths])

    assert report.get_put.holds, str(report)
    assert report.put_get.holds, str(report)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("label", None, "wanted  a value\n  found   None"),
        ("pixels", [1, 2], "wanted  an array of bools, ints or floats\n  found   a list"),
        ("pixels", np.array(["a"]), "found   a ndarray of <U1"),
        ("depth", np.ones(1, np.complex64), "found   a ndarray of complex64"),
    ],
)
def test_a_sample_without_what_the_view_needs_is_refused(name: str, value: Any, told: str) -> None:
    """None where a value must be, or no array of numbers where one must be."""
    bad = image()
    object.__setattr__(bad, name, value)

    with pytest.raises(SchemaError, match=f"field   {name}\n  {told}" if "\n" in told else told):
        inputs()(bad)


def test_a_dataset_is_viewed_through_a_registered_mapping(tmp_path: Any) -> None:
    """It is registered only on demand, and then found as any other lens."""

    @packable
    class Small:
        pixels: NDArray[np.float32]

    ds = atdata.write_samples([image(0.5), image(0.25)], str(tmp_path / "images.tar"))
    lens = mapping(Image, Small, {"pixels": astype("pixels", "float32")})

    LensNetwork().register(lens)

    assert LensNetwork().transform(Image, Small) is lens
    assert [view.pixels.dtype for view in ds.as_type(Small)] == [np.float32, np.float32]


def test_mapped_lenses_pickle_and_join() -> None:
    """They travel as types and rules, to workers too."""
    again = pickle.loads(pickle.dumps(seen()))
    row = Row("a", 3, "1", b"", flag=False)

    assert again.rules == seen().rules
    assert (again | Lens.identity(Seen))(row).title == "a"
    assert repr(again) == "<Lens mapping(Row, Seen): Row → Seen>"
    with pytest.raises(TypeError, match="takes no putter"):
        again.putter(lambda v, s: s)


def test_each_field_of_a_type_as_itself_is_the_identity() -> None:
    """Nothing is left to do then."""
    assert mapping(Named, Named, {"name": "name"}).kind == "identity"


@dataclass
class Named:
    name: str


@dataclass
class Wants[T]:
    it: T


@dataclass
class Has[T]:
    it: T
    other: int = 0


type Count = int


@pytest.mark.parametrize(
    ("has", "wants", "taken"),
    [
        (int, int, "it"),
        (int, int | None, "it"),
        (int, float, cast("it", "int->float")),
        (int | None, float | None, cast("it", "int->float")),
        (int, float | str | None, cast("it", "int->float")),
        (Annotated[int, "m"], Annotated[float, "km"], cast("it", "int->float")),
        (Count, float, cast("it", "int->float")),
        (str, Any, cast("it", "str->bytes")),
        (NDArray[np.uint8], NDArray[np.float32], astype("it", "float32")),
        (NDArray[np.uint8], NDArray, astype("it", "float32")),
        (NDArray, NDArray[np.bool_], astype("it", "bool")),
        (NDArray[np.uint8] | None, NDArray[np.int64] | None, astype("it", "int64")),
        (np.ndarray, np.ndarray, astype("it", "float32")),
        (int | None, int, default("it", 3)),
        (int | str | None, int | str, default("it", "3")),
        (Literal["a"] | None, Literal["a"], default("it", "a")),
        (int | None, int, unwrap("it")),
        (int, str, constant("x")),
        (int, None | str, constant(None)),
        (int, Literal[1, 2], constant(2)),
        (int, object, constant(2)),
    ],
)
def test_rules_that_fit(has: Any, wants: Any, taken: Any) -> None:
    """The types are those that the transform leads between."""
    assert mapping(Has[has], Wants[wants], {"it": taken}).kind == "mapped"


@pytest.mark.parametrize(
    ("has", "wants", "taken", "told"),
    [
        (int, float, "it", "wanted float; found int"),
        (int, int, "its", "wanted a field of .*Has.*; found 'its'"),
        (int, int, "__class__", "found '__class__'"),
        (int, int, 3, "found 3"),
        (int, int, None, "found None"),
        (int, int, cast("it", "int->float"), "int->float"),
        (str, float, cast("it", "int->float"), "int->float"),
        (bool, float, cast("it", "int->float"), "int->float"),
        (int | None, float, cast("it", "int->float"), "None on both sides"),
        (int | str, float, cast("it", "int->float"), "int->float"),
        (int, float, astype("it", "float32"), "an array for one of float32"),
        (NDArray[np.uint8], list[int], astype("it", "float32"), "an array"),
        (NDArray[np.uint8], NDArray[np.float64], astype("it", "float32"), "an array"),
        (NDArray[np.uint8], NDArray[np.complex64], astype("it", "float32"), "an array"),
        (NDArray[np.uint8] | None, NDArray[np.float32], astype("it", "float32"), "an array"),
        (int, int, default("it", 3), "or None"),
        (int | None, int, default("it", 3.0), "a value of int; found 3.0"),
        (int | None, int, default("it", True), "a value of int; found True"),
        (str | None, int, default("it", 3), "or None"),
        (int, int, unwrap("it"), "or None"),
        (int | None, str, unwrap("it"), "or None"),
        (int, int, constant(None), "a value of int; found None"),
        (int, Literal[1, 2], constant(3), "found 3"),
        (int, Literal[1, 2], constant(True), "found True"),
    ],
)
def test_rules_that_do_not_fit(has: Any, wants: Any, taken: Any, told: str) -> None:
    """The field is named, with what was wanted and what is there."""
    with pytest.raises(ValueError, match=rf"cannot map .*\n  field 'it': .*{told}"):
        mapping(Has[has], Wants[wants], {"it": taken})


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "field 'title': wanted a rule, for Pair has no default"),
        ({"title": "name", "again": "name"}, "field 'again': .* a field no other rule reads"),
        ({"title": "name", "agian": "name"}, "field 'agian': wanted a field of Pair"),
    ],
)
def test_rules_that_are_no_lens(fields: dict[str, str], told: str) -> None:
    """A view must be whole, and each field go back to one place."""

    @dataclass
    class Pair:
        title: str
        again: str = ""

    with pytest.raises(ValueError, match=told):
        mapping(Named, Pair, fields)


def test_only_dataclasses_are_mapped() -> None:
    """Other classes have no fields to name."""
    with pytest.raises(ValueError, match="wanted two dataclasses; found dict"):
        mapping(dict, Named, {"name": "name"})


@pytest.mark.parametrize(
    "make",
    [
        lambda: cast("a", "int->complex"),  # type: ignore[arg-type]
        lambda: astype("a", "object"),  # type: ignore[arg-type]
        lambda: default("a", None),  # type: ignore[arg-type]
        lambda: constant([1]),  # type: ignore[arg-type]
    ],
)
def test_a_transform_that_is_none_is_refused_at_once(make: Any) -> None:
    """The error says which there are."""
    with pytest.raises(ValueError, match="wanted"):
        make()
