"""Sample types made of any fields."""

import dataclasses
import datetime
from typing import Annotated, Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

import atdata
from atdata import Shape
from atdata.testing import samples

PLAIN: list[Any] = [
    int,
    float,
    bool,
    str,
    bytes,
    int | None,
    float | None,
    bool | None,
    str | None,
    bytes | None,
    NDArray[Any],
    NDArray[np.float32],
    NDArray[np.uint8] | None,
    Annotated[NDArray[np.float32], Shape(3)],
    Annotated[NDArray[np.int16], Shape(None, 2)],
    Annotated[NDArray[np.float64], Shape("n")],
]
"""What may be read and written in bulk."""

OTHER: list[Any] = [
    list[int],
    dict[str, float],
    set[str],
    tuple[int, str],
    datetime.datetime,
    list[NDArray[np.float32]],
    np.int16,
    int | str,
]

DTYPES = ["<i2", ">i4", "<u8", "|b1", "<f2", ">f8", "<c8", "<U3", "|S2", "<M8[us]", "|u1"]


def types(pool: list[Any]) -> st.SearchStrategy[type[Any]]:
    """Packable types with one to four fields of a pool; some have defaults."""
    return st.lists(st.sampled_from(pool), min_size=1, max_size=4).map(_made)


def _made(annotations: list[Any]) -> type[Any]:
    fields = [(f"f{i}", annotation) for i, annotation in enumerate(annotations)]
    made: type[Any] = dataclasses.make_dataclass("Made", fields)
    return atdata.packable(made)


@st.composite
def lists_of(draw: st.DrawFn, pool: list[Any], max_size: int = 12) -> list[Any]:
    """Some samples of one type."""
    kind = draw(types(pool))
    return draw(st.lists(samples(kind), min_size=1, max_size=max_size))


@st.composite
def alike(draw: st.DrawFn, pool: list[Any]) -> list[Any]:
    """Many samples of which most are the same, so that they are read in bulk."""
    kind = draw(types(pool))
    few = draw(st.lists(samples(kind), min_size=1, max_size=3))
    return [few[i] for i in draw(st.lists(st.integers(0, len(few) - 1), min_size=1, max_size=80))]
