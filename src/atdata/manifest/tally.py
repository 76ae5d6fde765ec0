"""What is known of a column: nulls, extremes, distinct values, taken while it goes by."""

from collections import Counter
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np
import pyarrow as pa

from atdata.manifest.bloom import MAX_VALUES, Bloom, Hashes, hash_ints, hash_texts
from atdata.manifest.kinds import INT_TYPES, from_number, is_list, item_kind

pc: Any = import_module("pyarrow.compute")  # its functions are made when it is loaded

MOST_TEXTS = 1000
MOST_INTS = 256
"""More distinct values than this are not listed; a Bloom filter stands for them."""

MAX_EXTREME = 256
"""A longer text is not given as the smallest or largest."""

_CAPS = {"str": MOST_TEXTS, "int": MOST_INTS, "bool": 2}


@dataclass(frozen=True, slots=True)
class Extent:
    """What is known of a column in one row group.

    Attributes:
        nulls: Rows that are None.
        nans: Rows that are not a number.
        low: The smallest value or item; None if there is none, or it is too long.
        high: The largest.
        total: The sum of the numbers among them.
        count: How many numbers that is.
    """

    nulls: int
    nans: int = 0
    low: Any = None
    high: Any = None
    total: float = 0.0
    count: int = 0


class Tally:
    """What is known of a column so far.

    Args:
        kind: What it holds.
        listed: Whether its distinct values may be listed.

    Attributes:
        groups: What is known of each row group.
        counts: How often each value or item occurs; None where they are too many, or too long.
    """

    def __init__(self, kind: str, *, listed: bool = True) -> None:
        self.kind = kind
        self.groups: list[Extent] = []
        self.counts: Counter[Any] | None = None
        self._hashes: Hashes | None = None
        self._fresh: list[Hashes] = []
        self._n_fresh = 0
        if item_kind(kind) in _CAPS:
            self.counts = Counter() if listed else None
            self._hashes = np.zeros(0, np.uint64)

    def add(self, values: Any, repeats: int = 0) -> None:
        """Take the rows of one row group.

        Args:
            values: An Arrow array of the kind.
            repeats: How many rows have the one value of it; 0 where each has its own.
        """
        items = values.flatten() if is_list(self.kind) else values
        item = item_kind(self.kind)
        present = items.drop_null() if items.null_count else items
        found = _extent(item, values.null_count, present, self.kind)
        if repeats:
            found = replace(found, total=found.total * repeats, count=found.count * repeats)
        self.groups.append(found)
        if self._hashes is not None and len(present):
            self._count(item, present, repeats or 1)

    def _count(self, item: str, present: Any, times: int) -> None:
        if item == "int" and _is_rising(present):
            found = pa.StructArray.from_arrays([present, pa.repeat(1, len(present))], ["", "n"])
        else:
            found = pc.value_counts(present)
        distinct, counts = found.field(0), found.field(1)
        if self.counts is not None:
            if len(distinct) <= _CAPS[item] and not _has_long(distinct):
                for value, n in zip(distinct.to_pylist(), counts.to_pylist(), strict=True):
                    self.counts[int(value) if item == "int" else value] += n * times
                if len(self.counts) <= _CAPS[item]:
                    return
            known, self.counts = list(self.counts), None
            if known:
                self._hash(item, _array_of(item, known))
        self._hash(item, distinct)

    def _hash(self, item: str, distinct: Any) -> None:
        fresh = hash_ints(_words(distinct)) if item == "int" else hash_texts(_utf8(distinct))
        self._fresh.append(fresh)
        self._n_fresh += len(fresh)
        if self._n_fresh > MAX_VALUES:
            self._settle()

    def _settle(self) -> None:
        if self._hashes is not None and len(self.groups) == 1 and len(self._fresh) == 1:
            self._hashes = self._fresh[0]  # of distinct values
        elif self._hashes is not None:
            self._hashes = np.unique(np.concatenate([self._hashes, *self._fresh]))
        if self._hashes is not None and len(self._hashes) > MAX_VALUES:
            self._hashes = None
        self._fresh, self._n_fresh = [], 0

    def bloom(self) -> Bloom | None:
        """A filter of the values, where they were too many to be listed and not far too many."""
        if self.counts is not None:
            return None
        self._settle()
        if self._hashes is None or self._is_dense(self._hashes):
            return None
        return Bloom.of(item_kind(self.kind), self._hashes)

    def _is_dense(self, hashes: Hashes) -> bool:
        """Whether most ints between the extremes occur: then a filter would tell little more."""
        if item_kind(self.kind) != "int":
            return False
        low, high = self.low(), self.high()
        return low is not None and bool(high - low < 2 * len(hashes))

    @property
    def nulls(self) -> int:
        """Rows that are None."""
        return sum(one.nulls for one in self.groups)

    @property
    def nans(self) -> int:
        """Rows that are not a number."""
        return sum(one.nans for one in self.groups)

    def low(self) -> Any:
        """The smallest value or item; None if there is none, or it is not known."""
        return self._extreme("low", min)

    def high(self) -> Any:
        """The largest."""
        return self._extreme("high", max)

    def _extreme(self, name: str, choose: Any) -> Any:
        found = [getattr(one, name) for one in self.groups if one.count]
        return choose(found) if found and None not in found else None


def _extent(item: str, nulls: int, present: Any, kind: str) -> Extent:
    n = len(present)
    if n == 0:
        return Extent(nulls)
    match item:
        case "float":
            numbers = present.to_numpy()
            real = numbers[~np.isnan(numbers)]
            nans = 0 if is_list(kind) else n - len(real)
            if len(real) == 0:
                return Extent(nulls, nans)
            with np.errstate(all="ignore"):
                total = float(real.sum())
            return Extent(nulls, nans, float(real.min()), float(real.max()), total, len(real))
        case "int":
            if present.type == INT_TYPES[2]:
                exact = [int(one) for one in present.to_pylist()]
                return Extent(nulls, 0, min(exact), max(exact), float(sum(exact)), n)
            numbers = present.to_numpy()
            total = float(numbers.sum(dtype=np.float64))
            return Extent(nulls, 0, int(numbers.min()), int(numbers.max()), total, n)
        case "bool":
            ones = pc.sum(present).as_py()
            return Extent(nulls, 0, ones == n, ones > 0, 0.0, n)
        case "str":
            edges = pc.min_max(present)
            low, high = (_short(edges[name].as_py()) for name in ("min", "max"))
            return Extent(nulls, 0, low, high, 0.0, n)
        case _:
            width = pa.int32() if item == "date" else pa.int64()
            numbers = present.view(width).to_numpy()
            low, high = (from_number(item, int(one)) for one in (numbers.min(), numbers.max()))
            return Extent(nulls, 0, low, high, 0.0, n)


def _is_rising(present: Any) -> bool:
    """Whether ints rise, and so are distinct; they often number the samples."""
    if present.type == INT_TYPES[2]:
        return False
    numbers = present.to_numpy()
    return bool((numbers[1:] > numbers[:-1]).all())


def _has_long(distinct: Any) -> bool:
    """Whether a text is too long to be listed."""
    texts = pa.types.is_string(distinct.type)
    return bool(texts) and bool(pc.max(pc.binary_length(distinct)).as_py() > MAX_EXTREME)


def _short(text: str) -> str | None:
    return text if len(text) <= MAX_EXTREME else None


def _array_of(item: str, values: list[Any]) -> Any:
    if item != "int":
        return pa.array(values, pa.string())
    return pa.array([value & 0xFFFFFFFFFFFFFFFF for value in values], pa.uint64())


def _words(numbers: Any) -> Any:
    """Ints as the two's complement of 64 bits."""
    if numbers.type == INT_TYPES[2]:
        words = [int(one) & 0xFFFFFFFFFFFFFFFF for one in numbers.to_pylist()]
        return np.array(words, np.uint64)
    return numbers.to_numpy().view(np.uint64)


def _utf8(texts: Any) -> Any:
    """Each text of an array without nulls, as a view of its bytes."""
    ends = np.frombuffer(texts.buffers()[1], np.int32)[
        texts.offset : texts.offset + len(texts) + 1
    ]
    held = texts.buffers()[2]
    view = memoryview(held) if held is not None else memoryview(b"")
    cuts = ends.tolist()
    return map(view.__getitem__, map(slice, cuts[:-1], cuts[1:]))
