"""What type checkers see of lenses. Checked by mypy and pyright; running it costs nothing."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_type

from atdata.lens import LawReport, Lens, LensKind, LensNetwork, lens


@dataclass
class A:
    x: int
    y: int


@dataclass
class B:
    x: int


@dataclass
class C:
    text: str


@lens
def f(s: A) -> B:
    """The first coordinate."""
    return B(s.x)


@f.putter
def put_f(v: B, s: A) -> A:
    """Write it back."""
    return replace(s, x=v.x)


@lens
def g(s: B) -> C:
    """As text."""
    return C(str(s.x))


def test_a_decorated_function_is_a_lens_of_its_types() -> None:
    """`@lens def f(s: A) -> B` is `Lens[A, B]`."""
    assert_type(f, Lens[A, B])
    assert_type(f(A(1, 2)), B)
    assert_type(f.get(A(1, 2)), B)
    assert_type(f.put(B(3), A(1, 2)), A)
    assert_type(f.source_type, type[A])
    assert_type(f.view_type, type[B])
    assert_type(f.name, str)
    assert_type(f.kind, LensKind)
    assert_type(put_f, Callable[[B, A], A])


def test_joined_lenses_lead_from_end_to_end() -> None:
    """`f | g` is `Lens[A, C]`, and so is `g @ f`."""
    assert_type(f | g, Lens[A, C])
    assert_type(g @ f, Lens[A, C])
    assert_type(Lens.identity(A), Lens[A, A])
    assert_type(Lens.identity(A) | f | g, Lens[A, C])


def test_the_network_gives_lenses_of_the_types_asked_for() -> None:
    """`transform(A, B)` is `Lens[A, B]`."""
    assert_type(LensNetwork().transform(A, C), Lens[A, C])


def test_a_check_is_a_report() -> None:
    """`check` takes samples, and views of the lens's view type."""
    assert_type(f.check([A(1, 2)], views=[B(1)]), LawReport)


def test_what_does_not_fit_is_refused_by_checkers() -> None:
    """A checker that let one of these pass would find the comment unused."""
    gap: Callable[[], object] = lambda: f | f  # type: ignore[operator]  # pyright: ignore
    wrong: Callable[[], object] = lambda: f.put(A(1, 2), A(1, 2))  # type: ignore[arg-type]  # pyright: ignore

    assert callable(gap)
    assert callable(wrong)
