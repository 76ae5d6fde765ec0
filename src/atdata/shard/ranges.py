"""Which bytes of a shard to ask for, where only some of its samples are wanted."""

from dataclasses import dataclass

import numpy as np

from atdata._typing import Int64Array

_NEIGHBOURS = 1 << 10
"""Between the payloads of neighbouring samples lie a header and less than a block of fill."""

_WASTE = 1 / 8
"""Bytes that may be read in vain for each that is wanted."""

_MOST = 8 << 20


@dataclass(frozen=True, slots=True)
class Ranges:
    """Ranges of bytes, each of which holds the payloads of some samples.

    Attributes:
        start: The first byte of each, shape `(n,)`.
        stop: The byte behind the last of each.
        first: The number of the first sample in each, and behind them the number of samples,
            shape `(n + 1,)`.
    """

    start: Int64Array
    stop: Int64Array
    first: Int64Array

    def __len__(self) -> int:
        return len(self.start)

    @property
    def n_bytes(self) -> int:
        """Bytes of all ranges."""
        return int((self.stop - self.start).sum())


def ranges_of(at: Int64Array, size: Int64Array) -> Ranges:
    """The ranges to ask for: neighbours together, and others as far as the gaps cost little.

    The smallest gaps are read in vain rather than spend a request on each, as long as they are no
    more than an eighth of what is wanted. A range has at most 8 MiB, or holds one sample.

    Args:
        at: Where each payload begins, rising.
        size: How many bytes each has.

    Examples:
        >>> found = ranges_of(np.array([512, 1536, 90_000]), np.array([300, 300, 300]))
        >>> found.start.tolist(), found.stop.tolist(), found.first.tolist()
        ([512, 90000], [1836, 90300], [0, 2, 3])
    """
    n = len(at)
    if n == 0:
        return Ranges(at, at, np.zeros(1, np.int64))
    ends = at + size
    gaps = at[1:] - ends[:-1]
    joined = gaps <= _NEIGHBOURS
    others = np.flatnonzero(~joined)
    by_size = others[np.argsort(gaps[others], kind="stable")]
    joined[by_size[np.cumsum(gaps[by_size]) <= _WASTE * int(size.sum())]] = True
    first = _bounded(np.append(0, np.flatnonzero(~joined) + 1), at, ends)
    return Ranges(at[first], ends[np.append(first[1:], n) - 1], np.append(first, n))


def _bounded(first: Int64Array, at: Int64Array, ends: Int64Array) -> Int64Array:
    """Cut the ranges that are too long, between samples."""
    last = np.append(first[1:], len(at)) - 1
    if (ends[last] - at[first] <= _MOST).all():
        return first
    found: list[int] = []
    for begin, stop in zip(first.tolist(), (last + 1).tolist(), strict=True):
        row = begin
        while row < stop:
            found.append(row)
            fits = int(np.searchsorted(ends[row:stop], at[row] + _MOST, "right"))
            row += max(1, fits)
    return np.array(found, np.int64)
