"""Classes of one name, as two modules of a program may have them, and lenses between some."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import atdata
from atdata import lens


def text_record() -> Any:
    """A class `Rec` with a text."""

    @atdata.packable
    class Rec:
        a: str

    return Rec


def number_record() -> Any:
    """A class `Rec` with a number of the same name."""

    @atdata.packable
    class Rec:
        a: int

    return Rec


def named(name: str) -> Any:
    """A class of that name with a number."""

    @atdata.packable
    class Made:
        n: int

    Made.__name__ = Made.__qualname__ = name
    return Made


@atdata.packable
class Odd:
    """Fields in an odd order, with defaults that are not None."""

    c: int = field(kw_only=True)
    a: int
    b: str | None = None
    d: list[int] = field(default_factory=list)
    e: float = 0.5
    image: NDArray[np.uint8] | None = None
    many: list[NDArray[np.float64]] = field(default_factory=list)


@atdata.packable
class NDArrayLike:
    """A class whose name says array, and that is none."""

    n: int


@atdata.packable
class Person:
    """A source of lenses."""

    name: str
    age: int


@atdata.packable
class Nick:
    """A view."""

    name: str


@dataclass(frozen=True)
class Loud:
    """Another view."""

    name: str


@lens
def shout(person: Person) -> Loud:
    """A view that is not what the fields' names say."""
    return Loud(person.name.upper())


@shout.putter
def _(view: Loud, person: Person) -> Person:
    return Person(view.name.lower(), person.age)
