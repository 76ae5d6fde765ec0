"""Where values lie in a buffer: at equal distances, or anywhere."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from atdata._typing import ByteArray, Int64Array

type Rows = slice | Int64Array


@dataclass(frozen=True, slots=True)
class Spaced:
    """Positions at equal distances: what they are reached by is a stride, and no index."""

    first: int
    step: int
    n: int

    def __len__(self) -> int:
        return self.n

    def __add__(self, n_bytes: int) -> "Spaced":
        return Spaced(self.first + n_bytes, self.step, self.n)

    def take(self, rows: Rows) -> "Positions":
        """Some of the positions."""
        if isinstance(rows, slice):
            chosen = range(self.n)[rows]
            return Spaced(self.first + self.step * chosen.start, self.step, len(chosen))
        return self.first + self.step * rows

    def array(self) -> Int64Array:
        """The positions one by one."""
        return np.arange(self.n, dtype=np.int64) * self.step + self.first


type Positions = Spaced | Int64Array


def positions(at: Int64Array) -> Positions:
    """Positions as a stride where they have one.

    Examples:
        >>> positions(np.array([3, 5, 7]))
        Spaced(first=3, step=2, n=3)
    """
    if len(at) < 2:
        return at
    step = int(at[1] - at[0])
    if step <= 0 or not (at[1:] - at[:-1] == step).all():
        return at
    return Spaced(int(at[0]), step, len(at))


def listed(at: Positions) -> list[int]:
    """The positions as a list."""
    if isinstance(at, Spaced):
        return list(range(at.first, at.first + at.step * at.n, at.step))
    found: list[int] = at.tolist()
    return found


def array(at: Positions) -> Int64Array:
    """The positions as an array."""
    return at.array() if isinstance(at, Spaced) else at


def taken(at: Positions, rows: Rows) -> Positions:
    """Some of the positions."""
    return at.take(rows) if isinstance(at, Spaced) else at[rows]


def values_at(data: ByteArray, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """An array whose element p is the value that begins at byte p."""
    return np.ndarray((max(0, len(data) - dtype.itemsize + 1),), dtype, data, 0, (1,))
