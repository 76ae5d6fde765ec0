"""What type checkers see of sample types."""

from dataclasses import dataclass
from typing import assert_type

import numpy as np
from numpy.typing import NDArray

from atdata.sample import DictSample, PackableSample, pack, packable, unpack
from atdata.testing import make_samples


@packable
class Digit:
    """Decorated without options."""

    image: NDArray[np.uint8]
    label: int = 0


@packable(frozen=True, kw_only=True)
class Point:
    """Decorated with options."""

    x: float
    y: float = 0.0


@packable
class Box[T]:
    """With a type parameter."""

    value: T


@dataclass
class Word(PackableSample):
    """By the base class."""

    text: str


def test_constructors_and_functions_are_typed() -> None:
    """The decorator keeps the class and its constructor; `unpack` gives the type asked for."""
    digit = Digit(np.zeros((8, 8), dtype=np.uint8), label=3)

    assert_type(digit, Digit)
    assert_type(digit.label, int)
    assert_type(pack(digit), bytes)
    assert_type(unpack(Digit, pack(digit)), Digit)
    assert_type(Point(x=1.0).y, float)
    assert_type(unpack(Box[int], pack(Box[int](3))), Box[int])
    assert_type(Word.from_bytes(Word("a").packed), Word)
    assert_type(DictSample.from_bytes(pack(digit)), DictSample)
    assert_type(make_samples(Word, 2), list[Word])
