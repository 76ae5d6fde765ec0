"""Memory for large results that is used again once nobody holds them.

Fresh memory costs a page fault and a zeroing for every four kilobytes, which takes longer than the
copy that fills it. So buffers of some size go back to a pool when the last array that views them
is gone, and are handed out again.
"""

from collections import deque
from collections.abc import Sequence
from math import prod
from typing import Any
from weakref import ref

import numpy as np

_SMALLEST = 64 << 10
_LARGEST = 40 << 20
_KEPT = 16
_KEPT_BYTES = 40 << 20


class _Pool:
    """Idle buffers, none of them referred to by any array."""

    def __init__(self) -> None:
        # Buffers come back from finalizers, which may run in any thread and between any two steps
        # here. So each step on the deque is a single one, and nothing is counted beside it.
        self._idle: deque[bytearray] = deque(maxlen=_KEPT)
        self._lent: dict[int, Any] = {}

    def take(self, n_bytes: int) -> bytearray:
        """A buffer of at least this many bytes, and not of very many more."""
        for _ in range(_KEPT):
            try:
                buffer = self._idle.pop()
            except IndexError:
                break
            if n_bytes <= len(buffer) <= 2 * n_bytes:
                return buffer
            self._idle.appendleft(buffer)
        return bytearray(n_bytes)

    def lend(self, array: np.ndarray[Any, Any], buffer: bytearray) -> None:
        """Take a buffer back when an array and all views of it are gone."""
        number = id(array)

        def back(_: Any) -> None:
            self._lent.pop(number, None)
            self._idle.append(buffer)
            while sum(map(len, tuple(self._idle))) > _KEPT_BYTES:
                self._idle.popleft()

        self._lent[number] = ref(array, back)


_pool = _Pool()

# glibc gives every free run of 128 KiB at the top of its heap back to the system, and batches of
# byte strings would fault it in again each time. Once it has seen a larger block freed, it keeps
# twice as much (mallopt(3), M_TRIM_THRESHOLD). The block itself is never touched.
np.empty(16 << 20, np.uint8)


def empty(shape: Sequence[int], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """An array of arbitrary contents, as `numpy.empty` gives, in memory that is recycled if large.

    Examples:
        >>> empty((2, 3), np.dtype("f4")).shape
        (2, 3)
    """
    n_bytes = prod(shape) * dtype.itemsize
    if not _SMALLEST <= n_bytes <= _LARGEST:
        return np.empty(shape, dtype)
    buffer = _pool.take(n_bytes)
    # Views of this array refer to it, and not past it to the buffer, as that is no array: so it
    # lives as long as any of them.
    array: np.ndarray[Any, Any] = np.ndarray(shape, dtype, buffer)
    _pool.lend(array, buffer)
    return array
