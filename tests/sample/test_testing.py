"""Samples that are made up for tests."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import atdata.testing
from atdata.codec.markers import Shape
from atdata.sample import pack, packable, unpack
from atdata.testing import make_samples, samples, values


@packable
class Everything:
    name: str
    count: int
    share: float
    ok: bool
    raw: bytes
    tags: list[str]
    image: NDArray[np.uint8]
    plain: NDArray
    sized: Annotated[NDArray[np.float32], Shape(2, "N", None)]
    note: str | None = None
    maybe: NDArray | None = None
    kind: str = "k"


@dataclass
class Pair:
    image: Annotated[NDArray[np.uint8], Shape("H", "W", 3)]
    mask: Annotated[NDArray[np.bool_] | None, Shape("H", "W")]
    other: Annotated[NDArray[np.floating], Shape(..., "W")]


def test_made_samples_are_recognisable_and_can_be_written() -> None:
    """Names, numbers, shapes and dtypes are as described, and the seed repeats them."""
    made = make_samples(Everything, 3, seed=5)

    assert [s.name for s in made] == ["name_0", "name_1", "name_2"]
    assert [s.count for s in made] == [0, 1, 2]
    assert [s.ok for s in made] == [True, False, True]
    assert all(0 <= s.share < 1 and len(s.raw) == 16 for s in made)
    assert made[0].tags == ["tags_0_0", "tags_0_1", "tags_0_2"]
    assert (made[0].plain.shape, made[0].plain.dtype) == ((4, 4), np.float32)
    assert made[0].image.dtype == np.uint8
    assert made[0].sized.shape == (2, 4, 4)
    assert made[0].note is None
    assert made[0].maybe is None
    assert made == make_samples(Everything, 3, seed=5)
    assert [unpack(Everything, pack(s)) for s in made] == made
    assert len(make_samples(Everything)) == 10


@given(samples(Pair))
def test_strategies_keep_to_named_dimensions(pair: Pair) -> None:
    """Dimensions that share a name share their size, also across fields."""
    assert pair.image.shape[2:] == (3,)
    assert pair.mask is None or pair.mask.shape == pair.image.shape[:2]
    assert pair.other.shape[-1] == pair.image.shape[1]
    assert pack(pair)


@given(st.data())
def test_strategies_refuse_what_cannot_be_written(data: st.DataObject) -> None:
    """At once, and not when an example is drawn."""
    with pytest.raises(TypeError):
        samples(int)
    with pytest.raises(TypeError, match="no strategy"):
        values(range)
    assert isinstance(data.draw(values(Any)), object)


def test_unknown_names_are_attribute_errors() -> None:
    """The strategies are loaded on use, and other names are not there."""
    with pytest.raises(AttributeError, match="nonsense"):
        atdata.testing.nonsense  # type: ignore[attr-defined]


def test_lists_hold_what_they_declare() -> None:
    """What is made can be written: items have the declared type, and an absent one is given."""

    @atdata.packable
    class Listed:
        numbers: list[int]
        flags: list[bool]
        words: list[str]
        some: int | None
        none: int | None = None

    made = make_samples(Listed, 2)

    assert made[1] == Listed(
        [1, 2, 3], [False, True, False], [f"words_1_{j}" for j in range(3)], 1
    )
    assert atdata.unpack(Listed, atdata.pack(made[1])) == made[1]
