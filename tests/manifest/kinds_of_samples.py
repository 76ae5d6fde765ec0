"""Sample types of these tests, and samples of them."""

import datetime as dt
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal
from uuid import UUID

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

import atdata
from atdata.predicate.values import get_path, plain


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Box:
    left: float
    name: str | None


@atdata.packable
class Flat:
    """Every field is read in bulk."""

    n: int
    x: float
    ok: bool
    name: str
    maybe: int | None
    word: str | None
    array: NDArray[np.uint8]
    raw: bytes


@atdata.packable
class Rich:
    """Fields that are looked at one by one."""

    n: int
    x: float | None
    when: dt.datetime
    day: dt.date | None
    clock: dt.time
    lasting: dt.timedelta
    colour: Colour
    which: Literal["a", "b"]
    id: UUID
    tags: list[str]
    numbers: list[int | None] | None
    unique: set[int]
    pair: tuple[int, ...]
    box: Box | None
    either: int | str
    anything: Any
    data: dict[str, int]
    image: NDArray[np.float32] | None


texts = st.text(st.characters(codec="utf-8"), max_size=12)
ints = st.integers(-(2**63), 2**64 - 1) | st.integers(-3, 3)
floats = st.floats() | st.sampled_from([0.0, -0.0, float("nan"), float("inf")])
arrays = st.lists(st.integers(0, 3), max_size=3).map(lambda shape: np.zeros(shape, np.uint8))
zones = st.builds(
    dt.timezone, st.integers(-1439, 1439).map(lambda minutes: dt.timedelta(minutes=minutes))
)
naive = st.datetimes()
aware = st.datetimes(dt.datetime(2, 1, 1), dt.datetime(9998, 1, 1), timezones=zones)

flat = st.builds(
    Flat,
    ints,
    floats,
    st.booleans(),
    texts,
    st.none() | ints,
    st.none() | texts,
    arrays,
    st.binary(max_size=4),
)
rich = st.builds(
    Rich,
    n=ints,
    x=st.none() | floats,
    when=naive | aware,
    day=st.none() | st.dates(),
    clock=st.times(),
    lasting=st.timedeltas(),
    colour=st.sampled_from(Colour),
    which=st.sampled_from(["a", "b"]),
    id=st.uuids(),
    tags=st.lists(texts, max_size=3),
    numbers=st.none() | st.lists(st.none() | ints, max_size=3),
    unique=st.sets(st.integers(0, 9), max_size=3),
    pair=st.lists(ints, max_size=3).map(tuple),
    box=st.none() | st.builds(Box, floats, st.none() | texts),
    either=ints | texts,
    anything=st.none() | ints | texts,
    data=st.dictionaries(texts, st.integers(0, 3), max_size=2),
    image=st.none() | arrays.map(lambda array: array.astype(np.float32)),
)
fields = st.sampled_from(["a", "b", "c", "d.e", "__key__"])
values = st.none() | ints | floats | texts | st.booleans() | st.lists(texts, max_size=2) | arrays
untyped = st.dictionaries(fields, values, max_size=4).map(lambda data: atdata.DictSample(data))
samples_of_a_type = st.one_of(
    *(st.lists(kind, min_size=1, max_size=12) for kind in (flat, rich, untyped))
)


def expected(samples: list[Any], path: str) -> list[Any]:
    """What a column of these samples holds."""
    return [plain(get_path(sample, path)) for sample in samples]


def same_values(one: list[Any], other: list[Any]) -> bool:
    """Whether two columns are equal, in type as well, and NaN in the same places."""
    return repr(one) == repr(other)
