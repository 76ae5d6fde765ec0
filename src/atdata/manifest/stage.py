"""Payloads of several calls put together, because many are looked at as quickly as few."""

from collections.abc import Sequence

import numpy as np

from atdata._typing import ByteArray, Int64Array

STAGE_BYTES = 4 << 20


class Stage:
    """A buffer that payloads are copied to, with where they were.

    Attributes:
        n_rows: How many there are.
    """

    def __init__(self) -> None:
        self.n_rows = 0
        self._data = np.empty(0, np.uint8)
        self._used = 0
        self._at: list[Int64Array] = []
        self._size: list[Int64Array] = []
        self._places: list[Int64Array] = []
        self._keys: list[str] | int = 0  # or the first number, where they count up

    def has_room(self, n_bytes: int, keys: Sequence[str] | int) -> bool:
        """Whether more payloads fit that lie in so many bytes."""
        if self._used + n_bytes > STAGE_BYTES or 2 * n_bytes > STAGE_BYTES:
            return False
        return not self.n_rows or isinstance(keys, int) == isinstance(self._keys, int)

    def put(
        self,
        data: ByteArray,
        at: Int64Array,
        size: Int64Array,
        places: Int64Array,
        keys: Sequence[str] | int,
    ) -> None:
        """Copy payloads, for which there is room."""
        if len(self._data) == 0:
            self._data = np.empty(STAGE_BYTES, np.uint8)
        self._data[self._used : self._used + len(data)] = data
        self._at.append(at + self._used)
        self._size.append(size)
        self._places.append(places)
        if self.n_rows == 0:
            self._keys = keys if isinstance(keys, int) else list(keys)
        elif not isinstance(self._keys, int) and not isinstance(keys, int):
            self._keys.extend(keys)
        self._used += len(data)
        self.n_rows += len(at)

    def take(
        self,
    ) -> tuple[ByteArray, Int64Array, Int64Array, Int64Array, Sequence[str] | int]:
        """All payloads with their offsets, sizes, places and keys; then there are none."""
        at, size, places = map(np.concatenate, (self._at, self._size, self._places))
        found = self._data[: self._used], at, size, places, self._keys
        self._at, self._size, self._places = [], [], []
        self._used, self.n_rows, self._keys = 0, 0, 0
        return found
