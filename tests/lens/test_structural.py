"""Without a declared lens, a view follows from fields of the same name and type."""

import pickle
from dataclasses import InitVar, dataclass, field, make_dataclass
from datetime import date
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from atdata import DictSample, packable
from atdata._exceptions import LensNotFoundError, SchemaError
from atdata.lens import Lens, LensNetwork
from atdata.lens._structural import fits, is_untyped

transform = LensNetwork().transform


@dataclass
class Full:
    name: str
    value: int
    image: NDArray[np.uint8]
    tags: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    tags: list[str]
    value: int | None
    score: float = 0.5
    notes: list[str] = field(default_factory=list)


FULL = Full("a", 3, np.zeros((2, 2), np.uint8), ["x"])


def test_fields_are_read_by_name() -> None:
    """The view takes the fields it shares, in its own order; the others have their defaults."""
    found = transform(Full, Part)

    assert found.kind == "structural"
    assert found.name == "structural(Full, Part)"
    assert found(FULL) == Part(tags=["x"], value=3, score=0.5, notes=[])


def test_the_way_back_replaces_the_shared_fields() -> None:
    """What the view does not have comes from the sample it was read from."""
    found = transform(Full, Part)

    put = found.put(Part(tags=[], value=7), FULL)

    assert (put.name, put.value, put.tags) == ("a", 7, [])
    assert put.image is FULL.image
    assert FULL.value == 3


@pytest.mark.parametrize("extra", [{"score": 0.9}, {"notes": ["new"]}])
def test_what_the_source_has_no_place_for_is_not_lost(extra: dict[str, Any]) -> None:
    """Writing back a field that the source lacks is refused, unless it is at its default."""
    found = transform(Full, Part)

    with pytest.raises(ValueError, match=r"cannot write back field '(score|notes)': Full has no"):
        found.put(Part(tags=[], value=7, **extra), FULL)


def test_a_field_of_another_type_is_told() -> None:
    """The error names the field and both types; numbers are not converted."""

    @dataclass
    class Wrong:
        value: float
        name: bytes = b""

    with pytest.raises(LensNotFoundError) as caught:
        transform(Full, Wrong)

    assert "field 'value': Full has int, Wrong wants float" in str(caught.value)
    assert "field 'name': Full has str, Wrong wants bytes" in str(caught.value)


def test_a_missing_field_is_told() -> None:
    """A view field that is nowhere and has no default keeps the view from following."""

    @dataclass
    class More:
        name: str
        weight: float

    with pytest.raises(LensNotFoundError, match="field 'weight': Full does not have it"):
        transform(Full, More)


def test_a_constructor_that_wants_more_is_told() -> None:
    """A view that is made from more than its fields does not follow from fields."""

    @dataclass
    class Scaled:
        value: int
        scale: InitVar[int]

    with pytest.raises(LensNotFoundError, match=r"not made from its fields alone.*'scale'"):
        transform(Full, Scaled)


def test_only_dataclasses_have_fields_to_go_by() -> None:
    """Any other class is refused by name."""
    with pytest.raises(LensNotFoundError, match="str is not a dataclass"):
        transform(Full, str)


def test_annotations_that_cannot_be_read_are_told() -> None:
    """A field whose type is not defined is no reason to guess."""
    broken = make_dataclass("Broken", [("name", "Nowhere")])

    with pytest.raises(LensNotFoundError, match=r"annotations.*'Nowhere' is not defined"):
        transform(Full, broken)


class Base(NamedTuple):
    x: int


@dataclass
class Animal:
    legs: int


@dataclass
class Bird(Animal):
    wings: int


Metres = NewType("Metres", float)
Feet = NewType("Feet", float)

type Number = int
type Pair[A, B] = dict[B, list[A]]


@pytest.mark.parametrize(
    ("has", "wants"),
    [
        (int, int),
        (int, int | None),
        (int, Optional[int]),  # noqa: UP045 - another spelling
        (int | None, None | int),
        (int | str, int | str | None),
        (None, None | int),
        (Number, int),
        (Pair[int, str], dict[str, list[int]]),
        (Pair[int, str], Pair[Any, str]),
        (int, Number),
        (int, Any),
        (int, object),
        (list[int], list),
        (list, list[Any]),
        (dict[str, int], dict[str, Any]),
        (np.ndarray, NDArray),
        (NDArray, np.ndarray),
        (NDArray[np.float32], NDArray),
        (NDArray[np.float32], np.ndarray),
        (NDArray[np.float32], NDArray | None),
        (Annotated[int, "pixels"], int),
        (Annotated[int, "pixels", "x"], Annotated[int, "pixels"]),
        (Metres, float),
        (Bird, Animal),
        (Bird, Animal | None),
        (Literal["a"], Literal["a"]),
    ],
)
def test_annotations_that_fit(has: Any, wants: Any) -> None:
    """Each value of the one is obviously a value of the other."""
    assert fits(has, wants)


@pytest.mark.parametrize(
    ("has", "wants"),
    [
        (int, float),
        (bool, int),
        (int | None, int),
        (str, bytes),
        (list, list[int]),
        (list[int], list[str]),
        (list[int], tuple[int]),
        (dict[str, Any], dict[str, int]),
        (NDArray, NDArray[np.float32]),
        (NDArray[np.float64], NDArray[np.float32]),
        (np.ndarray, NDArray[np.float32]),
        (int, Annotated[int, "pixels"]),
        (Annotated[int, "feet"], Annotated[int, "pixels"]),
        (Animal, Bird),
        (float, Metres),
        (Feet, Metres),
        (list[int], list[int | None]),
        (Base, tuple),
        (Pair[int, str], Pair[str, int]),
        (int | str, int | None),
    ],
)
def test_annotations_that_do_not_fit(has: Any, wants: Any) -> None:
    """Nothing is converted and nothing is narrowed."""
    assert not fits(has, wants)


@dataclass(frozen=True, slots=True)
class Box:
    width: int
    height: int
    label: str = "?"
    area: int = field(init=False)
    seen: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "area", self.width * self.height)


@dataclass(frozen=True, slots=True)
class Size:
    width: int
    height: int


@dataclass
class Counted:
    seen: int = field(init=False, default=0)


@dataclass(kw_only=True)
class Kept:
    label: str
    width: int


def box(width: int, height: int, seen: int = 0) -> Box:
    made = Box(width, height, "b")
    object.__setattr__(made, "seen", seen)
    return made


def test_what_a_class_works_out_is_worked_out_again() -> None:
    """A field that the constructor computes follows the fields that were written."""
    put = transform(Box, Size).put(Size(5, 6), box(2, 3, seen=4))

    assert put == box(5, 6, seen=4)
    assert put.area == 30


def test_fields_that_are_no_arguments_are_read_and_written() -> None:
    """State that the constructor does not take is set after it."""
    found = transform(Box, Counted)
    view = Counted()
    view.seen = 9

    assert found(box(2, 3, seen=4)).seen == 4
    assert found.put(view, box(2, 3, seen=4)) == box(2, 3, seen=9)


boxes = st.builds(box, st.integers(), st.integers(), st.integers())


@given(samples=st.lists(boxes, min_size=1, max_size=5))
@pytest.mark.parametrize("view", [Size, Counted, Kept])
def test_structural_lenses_keep_the_laws(samples: list[Box], view: type) -> None:
    """Frozen, slotted, keyword-only or computed: any sample is read and written back truly."""
    report = transform(Box, view).check(samples)

    assert report, str(report)


@given(samples=st.lists(boxes, min_size=1, max_size=5))
def test_structural_lenses_join(samples: list[Box]) -> None:
    """A structural lens joined with another keeps the laws too."""

    @dataclass
    class Width:
        width: int

    report = (transform(Box, Size) | transform(Size, Width)).check(samples)

    assert report, str(report)


@dataclass
class Holder[T]:
    item: T
    label: str


@dataclass
class Item[T]:
    item: T


def test_types_with_arguments_are_read() -> None:
    """The fields of `Holder[int]` are those of `Holder`, with `int` put in."""
    found = transform(Holder[int], Item[int])

    assert found(Holder(3, "a")) == Item(3)
    assert found.put(Item(4), Holder(3, "a")) == Holder(4, "a")
    with pytest.raises(LensNotFoundError, match=r"field 'item': .*Holder.int. has int, .* str"):
        transform(Holder[int], Item[str])


def test_registered_paths_come_before_structural_lenses() -> None:
    """A structural lens is the last resort."""
    a = make_dataclass("A", [("x", int)])
    b = make_dataclass("B", [("y", int)])
    c = make_dataclass("C", [("x", int)])
    assert transform(a, c).kind == "structural"

    def a_to_b(s):
        return b(s.x)

    def b_to_c(s):
        return c(-s.y)

    a_to_b.__annotations__ = {"s": a, "return": b}
    b_to_c.__annotations__ = {"s": b, "return": c}
    LensNetwork().register(Lens(a_to_b))
    LensNetwork().register(Lens(b_to_c))

    assert transform(a, c)(a(1)) == c(-1)


def test_structural_lenses_pickle() -> None:
    """They travel as the two types."""
    again = pickle.loads(pickle.dumps(transform(Box, Size)))

    assert again(box(1, 2)) == Size(1, 2)


@packable
class Dated:
    day: date
    pixels: NDArray[np.uint8]
    count: int = 0


def dated(day: date, count: int = 0) -> Dated:
    return Dated(day, np.arange(3, dtype=np.uint8), count)


def loose(day: str, **fields: Any) -> DictSample:
    return DictSample({"other": [1], "day": day, "pixels": np.arange(3, dtype=np.uint8), **fields})


def test_samples_without_a_type_are_read_as_any_packable_type() -> None:
    """What else they hold is passed over, and what they lack has its default."""
    found = transform(DictSample, Dated)

    assert found.kind == "structural"
    assert found(loose("2024-02-29")) == dated(date(2024, 2, 29))
    assert found(DictSample.from_bytes(loose("2024-02-29").packed)) == dated(date(2024, 2, 29))
    assert pickle.loads(pickle.dumps(found)).name == "structural(DictSample, Dated)"


def test_a_sample_without_a_type_that_does_not_fit_is_told() -> None:
    """What a sample without a type holds is only known when it is read."""
    with pytest.raises(SchemaError, match="day"):
        transform(DictSample, Dated)(DictSample(count=3))


def test_what_is_written_to_a_sample_without_a_type_is_what_changed() -> None:
    """Fields the view does not know, or did not change, stay as they were."""
    found = transform(DictSample, Dated)
    sample = loose("2024-02-29")

    same = found.put(dated(date(2024, 2, 29)), sample)
    counted = found.put(dated(date(2024, 2, 29), 5), sample)
    moved = found.put(dated(date(2024, 3, 1)), sample)

    assert same == sample
    assert counted == loose("2024-02-29", count=5)
    assert moved == loose("2024-03-01")


@given(days=st.lists(st.tuples(st.dates(), st.integers(0, 99)), min_size=1, max_size=5))
def test_samples_without_a_type_keep_the_laws(days: list[tuple[date, int]]) -> None:
    """Reading and writing them as a type is a lens."""
    samples = [loose(day.isoformat(), count=n) for day, n in days]

    report = transform(DictSample, Dated).check(samples)

    assert report, str(report)


def test_a_dataclass_is_not_taken_for_a_sample_without_type() -> None:
    """Only a class that keeps whatever it is given is read through its payload."""
    assert is_untyped(DictSample)
    assert not is_untyped(Full)
    assert not is_untyped(Dated)
    assert not is_untyped(dict)
