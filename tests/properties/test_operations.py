"""Operations on a dataset are those on a plain list, in any order and read in any way."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.dataset.places import KINDS, put

import atdata
from atdata import Dataset, SampleBatch


@atdata.packable
class Item:
    """What is stored."""

    n: int
    text: str
    x: NDArray[Any]


@atdata.packable
class View:
    """What it can be viewed as."""

    n: int
    text: str
    x: NDArray[Any]
    twice: int = 0


@atdata.lens
def viewed(s: Item) -> View:
    """Another type of the same names, so that a lens that was left out would show."""
    return View(s.n, s.text, s.x, 2 * s.n + 1)


def item(n: int) -> Item:
    """A sample whose array's shape depends on its number."""
    return Item(n, f"t{n}", np.arange(n % 3, dtype=np.int32))


def add_hundred(s: Any) -> Any:
    return type(s)(**{**vars(s), "n": s.n + 100})


def negate(s: Any) -> Any:
    return type(s)(**{**vars(s), "n": -s.n})


MAPS = [add_hundred, negate]
FILTERS: list[Callable[[Any], object]] = [
    lambda s: s.n % 2,
    lambda s: s.n > 3,
    lambda s: len(s.x),
    lambda s: None,
]


@dataclass
class Both:
    """A dataset, and the keys and samples that it should have."""

    ds: Dataset[Any]
    model: list[tuple[str, Any]]


type Op = tuple[str, int]

OPS: st.SearchStrategy[Op] = st.one_of(
    st.tuples(st.just("filter"), st.integers(0, len(FILTERS) - 1)),
    st.tuples(st.just("map"), st.integers(0, len(MAPS) - 1)),
    st.tuples(st.just("as_type"), st.just(0)),
    st.tuples(st.sampled_from(["take", "skip"]), st.integers(0, 14)),
    st.tuples(st.just("repeat"), st.integers(0, 3)),
    st.tuples(st.just("concat"), st.integers(0, 9)),
)


def apply(op: Op, both: Both) -> Both:
    """The same operation on the dataset and on the list."""
    name, n = op
    ds, model = both.ds, both.model
    match name:
        case "filter":
            kept = [(key, s) for key, s in model if FILTERS[n](s)]
            return Both(ds.filter(FILTERS[n]), kept)
        case "map":
            made = [(key, MAPS[n](s)) for key, s in model]
            kind = ds.sample_type
            mapped = ds.map(MAPS[n])
            return Both(mapped.as_type(kind) if kind is not object else mapped, made)
        case "as_type":
            if ds.sample_type is not Item:
                return both
            return Both(ds.as_type(View), [(key, viewed(s)) for key, s in model])
        case "take":
            return Both(ds.take(n), model[:n])
        case "skip":
            return Both(ds.skip(n), model[n:])
        case "repeat":
            return Both(ds.repeat(n), model * n)
        case _:
            if len(model) > 60:
                return both
            more = ds.take(n)
            return Both(ds.concat(more, ds), model + model[:n] + model)


def counted(samples: list[Any]) -> Counter[str]:
    return Counter(f"{type(s).__name__} {vars(s)}" for s in samples)


def flat(batches: Any) -> list[Any]:
    return [sample for batch in batches for sample in batch]


def check(both: Both, size: int) -> None:
    """Every way of reading the dataset gives what the list holds."""
    ds, wanted = both.ds, [s for _, s in both.model]
    n = len(wanted)

    assert list(ds.ordered()) == wanted
    assert list(ds.items()) == both.model
    assert len(ds) == len(ds.ordered()) == n

    batches = list(ds.ordered(batch_size=size))
    assert all(isinstance(batch, SampleBatch) for batch in batches)
    assert [len(b) for b in batches] == [size] * (n // size) + [n % size] * (n % size > 0)
    assert flat(batches) == wanted
    assert [v for b in batches for v in np.asarray(b.n).tolist()] == [s.n for s in wanted]
    assert [v for b in batches for v in b.text] == [s.text for s in wanted]

    assert [ds[i] for i in range(n)] == wanted
    assert [ds[i - n] for i in range(n)] == wanted
    assert ds[:] == wanted
    assert ds[5:1:-2] == wanted[5:1:-2]
    chosen = [i % n for i in (7, 0, 7, 3)] if n else []
    assert ds.select(chosen) == [wanted[i] for i in chosen]
    with pytest.raises(IndexError, match="not found in dataset"):
        ds[n]

    first: dict[str, Any] = {}
    for key, sample in both.model:
        first.setdefault(key, sample)
    for key in list(first)[:3]:
        assert ds.get(key) == first[key]
    with pytest.raises(atdata.SampleKeyError):
        ds.get("none")

    shuffled = ds.shuffled(buffer_shards=2, buffer_samples=5, seed=1)
    assert counted(list(shuffled)) == counted(wanted)
    assert list(shuffled) == list(shuffled)
    in_batches = ds.shuffled(buffer_shards=2, buffer_samples=5, seed=1, batch_size=size)
    assert flat(in_batches) == list(shuffled)
    assert ds.head(4) == wanted[:4]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=max(10, settings.default.max_examples // 2))
@given(
    n=st.integers(1, 12),
    maxcount=st.integers(1, 5),
    ops=st.lists(OPS, max_size=5),
    size=st.integers(1, 7),
)
def test_operations_are_those_of_a_list(
    kind: str, n: int, maxcount: int, ops: list[Op], size: int
) -> None:
    """Any operations in any order give what they give on a list, read in any way, anywhere."""
    samples = [item(i) for i in range(n)]
    with TemporaryDirectory() as folder:
        both = Both(
            put(Path(folder), samples, kind, maxcount=maxcount),
            [(f"{i:09d}", s) for i, s in enumerate(samples)],
        )

        for op in ops:
            both = apply(op, both)
            if len(both.model) > 200:
                return

        check(both, size)
