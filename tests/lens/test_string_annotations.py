"""Annotations that are strings mean what they say."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from atdata.lens import Lens, LensNetwork, lens

if TYPE_CHECKING:
    from fractions import Fraction


@dataclass
class P:
    n: int


@dataclass
class Q:
    n: int


@lens
def plus_hundred(p: P) -> Q:
    return Q(p.n + 100)


@lens
def to_later(p: P) -> Later:
    return Later(str(p.n))


@lens
def from_later(later: Later) -> Last:
    return Last(len(later.text))


@dataclass
class Later:
    text: str


@dataclass
class Last:
    size: int


def test_a_lens_in_a_module_with_string_annotations_is_found() -> None:
    """The declared lens is used, not one made up from equal field names."""
    found = LensNetwork().transform(P, Q)

    assert found is plus_hundred
    assert found(P(1)) == Q(101)


def test_types_that_are_defined_later_are_found() -> None:
    """A lens may stand above the classes it names, alone and in a path."""
    network = LensNetwork()

    assert network.transform(P, Later) is to_later
    assert network.transform(P, Last).name == "to_later | from_later"


def test_classes_of_a_function_are_found() -> None:
    """A lens and the classes it names may all be inside one function."""

    @dataclass
    class Inner:
        n: int

    @dataclass
    class View:
        n: int

    @lens
    def inner(s: Inner) -> View:
        return View(-s.n)

    assert LensNetwork().transform(Inner, View) is inner


def test_a_putter_with_string_annotations_is_checked() -> None:
    """The order of the putter's arguments is compared by name."""

    def swapped(p: P, q: Q) -> P:
        return p

    with pytest.raises(TypeError, match="takes the sample first"):
        Lens(lambda_free_getter, swapped)


def lambda_free_getter(p: P) -> Q:
    return Q(p.n)


def test_an_undefined_name_is_told_at_first_use() -> None:
    """A name that only type checkers see cannot be resolved, and the error says so."""

    def exact(p: P) -> Fraction:
        raise NotImplementedError

    unresolved = Lens(exact)

    assert not unresolved.resolve()
    assert repr(unresolved) == "<Lens exact: P → Fraction>"
    with pytest.raises(TypeError, match=r"P → Fraction.*not defined\n.*TYPE_CHECKING"):
        _ = unresolved.view_type


HIDDEN = """
from __future__ import annotations
from atdata.lens import lens
@lens
def plus_one(s: Source) -> View:
    return VIEW(s.n + 1)
"""


def test_a_lens_that_cannot_be_resolved_is_not_passed_over() -> None:
    """Equal fields do not stand in for a declared lens whose types are not imported."""

    @dataclass
    class Source:
        n: int

    @dataclass
    class View:
        n: int

    module = ModuleType("made_by_a_test")
    module.__dict__["VIEW"] = View
    exec(HIDDEN, module.__dict__)

    with pytest.raises(TypeError, match="plus_one is annotated Source → View"):
        LensNetwork().transform(Source, View)

    module.__dict__.update(Source=Source, View=View)
    assert LensNetwork().transform(Source, View)(Source(1)) == View(2)


def test_a_string_that_is_no_type_is_refused_at_once() -> None:
    """A slip in a quoted annotation is not taken for a type that is still to come."""

    def slip(p: P) -> Q:
        return Q(p.n)

    slip.__annotations__["return"] = "Q or"

    with pytest.raises(TypeError, match="an annotation is no type"):
        Lens(slip)


def test_unresolved_lenses_join_and_are_resolved_together() -> None:
    """Lenses can be joined before their types are defined."""
    names: dict[str, Any] = {}
    exec(
        "from __future__ import annotations\n"
        "from atdata.lens import Lens\n"
        "def first(a: A) -> B: return B(a)\n"
        "def second(b: B) -> C: return C(b)\n"
        "joined = Lens(first) | Lens(second)\n",
        names,
    )
    joined = names["joined"]
    assert not joined.resolve()

    names.update(A=int, B=float, C=str)

    assert (joined.source_type, joined.view_type) == (int, str)
    assert joined(3) == "3.0"
