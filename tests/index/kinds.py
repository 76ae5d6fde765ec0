"""Samples that the tests of the index write, and what they look for afterwards."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import atdata
from atdata import Index
from atdata.model.record import ENTRY, KINDS, LABEL, PENDING, Row
from atdata.providers.base import IndexProvider


@atdata.packable
class Point:
    """A small sample."""

    name: str
    n: int


@atdata.packable
class Scan:
    """A sample with an array."""

    label: str
    image: NDArray[np.uint8]


def points(n: int = 4, start: int = 0) -> list[Point]:
    """Points that can be told apart."""
    return [Point(f"p{i}", i) for i in range(start, start + n)]


def numbers(ds: Any) -> list[int]:
    """What tells the points of a dataset apart."""
    return [sample.n for sample in ds]


FILES = 3
"""What a store keeps of each shard that is written: itself, and the two files of its manifest."""


def files(folder: Path) -> list[str]:
    """All files in a folder and below."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def shards(index: Index) -> list[str]:
    """The files in the store of an index on this machine, unfinished ones included."""
    store: Any = index.repos["local"].store
    return files(store.root)


def pending(index: Index) -> list[Row]:
    """What the catalogue says of work under way."""
    return list(index.provider.rows(PENDING))


def is_empty(index: Index) -> bool:
    """Whether neither entries, labels, pieces of work nor shards are there."""
    kinds: Sequence[str] = (ENTRY, LABEL, PENDING)
    return not shards(index) and not any(list(index.provider.rows(kind)) for kind in kinds)


def contents(provider: IndexProvider) -> dict[tuple[str, str, str], int]:
    """All rows of a catalogue, with the commit that wrote each."""
    return {row.key: row.seq for kind in KINDS for row in provider.rows(kind)}
