"""`check` finds the lenses that do not keep the laws, and only those."""

import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array

from atdata import DictSample
from atdata.lens import LawReport, Lens
from atdata.lens._laws import difference, same


@dataclass(frozen=True)
class Person:
    name: str
    age: int
    height: float = 0.0


@dataclass(frozen=True)
class Public:
    name: str
    height: float


@dataclass(frozen=True)
class Initial:
    letter: str


def public(person: Person) -> Public:
    return Public(person.name, person.height)


def put_public(view: Public, person: Person) -> Person:
    return replace(person, name=view.name, height=view.height)


def initial(view: Public) -> Initial:
    return Initial(view.name[:1])


def put_initial(letter: Initial, view: Public) -> Public:
    return replace(view, name=letter.letter + view.name[1:])


def only(initial: Initial) -> str:
    return initial.letter


to_public = Lens(public, put_public)
to_initial = Lens(initial, put_initial)
to_letter = Lens(only, lambda letter, initial: replace(initial, letter=letter))
lossy = Lens(public)  # without a putter

people = st.builds(Person, st.text(min_size=1), st.integers(), st.floats())
samples_of_people = st.lists(people, min_size=1, max_size=6)


@given(samples=samples_of_people)
def test_a_good_lens_keeps_the_laws(samples: list[Person]) -> None:
    """Whatever the samples, NaN among them."""
    report = to_public.check(samples)

    assert report, str(report)


@given(samples=samples_of_people)
def test_joining_keeps_the_laws(samples: list[Person]) -> None:
    """Lenses that keep the laws keep them joined."""
    for joined in (to_public | to_initial, to_public | to_initial | to_letter):
        report = joined.check(samples)
        assert report, str(report)


@given(samples=samples_of_people, letter=st.characters())
def test_joining_is_associative(samples: list[Person], letter: str) -> None:
    """However three lenses are bracketed, they read and write the same."""
    left = (to_public | to_initial) | to_letter
    right = to_public | (to_initial | to_letter)
    backwards = to_letter @ to_initial @ to_public

    for s in samples:
        assert left.get(s) == right.get(s) == backwards.get(s)
        assert same(left.put(letter, s), right.put(letter, s))
        assert same(left.put(letter, s), backwards.put(letter, s))
    assert left.name == right.name == backwards.name == "public | initial | only"


@given(samples=samples_of_people, name=st.text(min_size=1))
def test_the_identity_changes_nothing_it_is_joined_to(samples: list[Person], name: str) -> None:
    """`identity | f` and `f | identity` are `f`."""
    before = Lens.identity(Person) | to_public
    after = to_public | Lens.identity(Public)
    view = Public(name, 1.0)

    for s in samples:
        assert same(before.get(s), to_public.get(s))
        assert same(after.get(s), to_public.get(s))
        assert before.put(view, s) == after.put(view, s) == to_public.put(view, s)
    assert Lens.identity(Person).check(samples)


ADA, BOB = Person("ada", 36), Person("bob", 20)


def test_a_lens_without_a_putter_breaks_put_get() -> None:
    """What was written is not what is read, and the report says in which field."""
    report = lossy.check([ADA, BOB])

    assert not report
    assert report.get_put.holds
    assert report.put_put.holds
    failure = report.put_get.counterexample
    assert failure is not None
    assert (failure.sample, failure.field, failure.wanted, failure.found) == (
        0,
        "name",
        "bob",
        "ada",
    )
    assert "sample 0: field 'name' is 'ada' instead of 'bob'" in str(report)


def broken_get_put(view: Public, person: Person) -> Person:
    return Person(view.name, 0, view.height)


def broken_put_put(view: Public, person: Person) -> Person:
    changed = view != public(person)
    return replace(person, name=view.name, height=view.height, age=person.age + changed)


@pytest.mark.parametrize(
    ("put", "broken"), [(broken_get_put, "GetPut"), (broken_put_put, "PutPut")]
)
def test_each_law_is_told_apart(put: Callable[[Public, Person], Person], broken: str) -> None:
    """A putter that breaks one law is reported for that one, at the field it spoils."""
    carol = Person("carol", 5)

    report = Lens(public, put).check([ADA, BOB, carol])

    assert [law.law for law in report.laws if not law.holds] == [broken]
    failed = next(law for law in report.laws if not law.holds)
    assert failed.counterexample is not None
    assert failed.counterexample.field == "age"


def test_a_putter_that_changes_its_argument_cannot_hide() -> None:
    """Results are compared with what the sample was before the putter had it."""

    @dataclass
    class Cell:
        x: int
        writes: int = 0

    def write(x: int, cell: Cell) -> Cell:
        cell.x = x
        cell.writes += 1
        return cell

    cells = [Cell(1), Cell(2)]

    report = Lens(lambda cell: cell.x, write).check(cells)

    assert not report.get_put.holds
    assert not report.put_put.holds
    assert cells == [Cell(1), Cell(2)]


def test_views_may_be_given() -> None:
    """Each view meets a sample, even when there are more views than samples."""
    bad = Public("x", 13.0)

    def refuse_13(view: Public, person: Person) -> Person:
        return put_public(replace(view, height=0.0) if view.height == 13 else view, person)

    lens = Lens(public, refuse_13)

    assert lens.check([ADA])
    report = lens.check([ADA], views=[Public("a", 1.0), Public("b", 2.0), bad])
    assert report.put_get.counterexample is not None
    assert report.put_get.counterexample.field == "height"


def test_nothing_to_check_is_an_error() -> None:
    """A report on no samples would hold for every lens."""
    with pytest.raises(ValueError, match="no samples"):
        to_public.check([])
    with pytest.raises(ValueError, match="no views"):
        to_public.check([ADA], views=[])


def test_an_error_in_the_lens_says_where() -> None:
    """What the getter or the putter raises comes through, with the law and the sample."""

    def put(view: Public, person: Person) -> Person:
        raise RuntimeError("no way back")

    with pytest.raises(RuntimeError, match="no way back") as caught:
        Lens(public, put).check([ADA])

    assert caught.value.__notes__ == ["while trying GetPut of lens public on sample 0"]


def test_reports_read_and_pickle() -> None:
    """A report prints as four lines or more, and travels."""
    report = to_public.check([ADA, BOB])

    again: LawReport = pickle.loads(pickle.dumps(report))

    assert again == report
    assert str(report).splitlines() == [
        "lens public",
        "  GetPut  put(get(s), s) = s             holds on 2",
        "  PutGet  get(put(v, s)) = v             holds on 2",
        "  PutPut  put(w, put(v, s)) = put(w, s)  holds on 2",
    ]


@dataclass
class Image:
    pixels: NDArray[np.float64]
    boxes: list[Person] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)
    cache: int = field(default=0, compare=False)


@dataclass
class Shaped:
    """Its fields are named as what arrays and tables have."""

    shape: tuple[int, ...] = ()
    equals: Any = None
    dtype: str = "f4"


def image(*values: float, **rest: Any) -> Image:
    return Image(np.array(values), **rest)


def test_samples_with_arrays_can_be_checked() -> None:
    """Arrays are compared by element, in the lens and in the report."""
    inverted = Lens(
        lambda s: 1 - s.pixels,
        lambda v, s: replace(s, pixels=1 - v),
    )
    rounded = Lens(lambda s: s.pixels, lambda v, s: replace(s, pixels=np.round(v)))

    assert inverted.check([image(0.0, 0.25), image(1.0, math.nan)])
    failure = rounded.check([image(0.0), image(0.25)]).get_put.counterexample
    assert failure is not None
    assert (failure.sample, failure.field) == (1, "pixels")


@pytest.mark.parametrize(
    ("a", "b", "path"),
    [
        (image(1.0), image(2.0), "pixels"),
        (image(1.0), image(1.0, 1.0), "pixels"),
        (image(1.0, boxes=[ADA, ADA]), image(1.0, boxes=[ADA, BOB]), "boxes[1].name"),
        (image(1.0, boxes=[ADA]), image(1.0, boxes=[]), "boxes"),
        (image(1.0, meta={"k": (1, 2)}), image(1.0, meta={"k": (1, 3)}), "meta['k'][1]"),
        (image(1.0, meta={"k": 1}), image(1.0, meta={"l": 1}), "meta"),
        ({"k": ADA}, {"k": BOB}, "['k'].name"),
        (1, "1", ""),
        (np.float32([1]), np.float64([1]), ""),
        (np.zeros(1), 0.0, ""),
        (math.nan, 1.0, ""),
        (csr_array([[1, 0]]), csr_array([[0, 1]]), ""),
        (pd.DataFrame({"x": [1, 2]}), pd.DataFrame({"x": [1, 3]}), "['x'][1]"),
        (DictSample(x=1, y=[2]), DictSample(x=1, y=[3]), "['y'][0]"),
        (Shaped((2,), np.arange(2)), Shaped((2,), np.ones(2)), "equals"),
    ],
)
def test_the_first_difference_is_found(a: Any, b: Any, path: str) -> None:
    """The path leads through fields, lists and mappings."""
    found = difference(a, b)

    assert found is not None
    assert found[0] == path


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (image(1.0, math.nan), image(1.0, math.nan)),
        (image(1.0, cache=1), image(1.0, cache=2)),
        (image(0.0), image(-0.0)),
        ([np.arange(3)], [np.arange(3)]),
        ({"a": np.arange(3)}, {"a": np.arange(3)}),
        (np.array([(1, 2.0)], "i4,f8"), np.array([(1, 2.0)], "i4,f8")),
        (np.array(["a", "b"]), np.array(["a", "b"])),
        (np.array(["NaT"], "M8[s]"), np.array(["NaT"], "M8[s]")),
        (np.float32("nan"), np.float32("nan")),
        (csr_array([[1, 0]]), csr_array([[1, 0]])),
        (pd.DataFrame({"x": [1.0, math.nan]}), pd.DataFrame({"x": [1.0, math.nan]})),
        (pa.Tensor.from_numpy(np.arange(3)), pa.Tensor.from_numpy(np.arange(3))),
        (DictSample(x=math.nan, y=np.arange(3)), DictSample(x=math.nan, y=np.arange(3))),
        (Shaped((2,), np.arange(2)), Shaped((2,), np.arange(2))),
        (math.nan, float("nan")),
    ],
)
def test_what_is_the_same(a: Any, b: Any) -> None:
    """NaN is NaN, arrays are their elements, and fields that do not count do not count."""
    assert same(a, b)
    assert not same(a, None)
