"""Where samples lie, as Arrow columns: keys, offsets, sizes, and a digest of each payload."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from xxhash import xxh3_64_intdigest

from atdata._typing import ByteArray, Int64Array
from atdata.codec.positions import Spaced, positions
from atdata.manifest.table import DIGEST, KEY, OFFSET, SIZE
from atdata.shard.keys import RUNNING_WIDTH, running_key

_SMALL = 4096
"""Bytes of a payload that is rather copied than sliced."""


def digests(data: ByteArray, at: Int64Array, size: Int64Array) -> Any:
    """XXH3-64 of each payload."""
    n = len(at)
    spaced = positions(at)
    if isinstance(spaced, Spaced) and 0 < size[0] <= _SMALL and (size == size[0]).all():
        # Payloads of one size at equal distances become bytes much sooner than slices.
        cells = np.ndarray((n,), f"V{size[0]}", data, spaced.first, (spaced.step,))
        return np.fromiter(map(xxh3_64_intdigest, cells.tolist()), np.uint64, n)
    view = memoryview(data)
    cuts = map(slice, at.tolist(), (at + size).tolist())
    return np.fromiter(map(xxh3_64_intdigest, map(view.__getitem__, cuts)), np.uint64, n)


_DIGITS = np.frombuffer(b"".join(b"%03d" % number for number in range(1000)), np.uint8)
_THREE_DIGITS = _DIGITS.reshape(1000, 3)


def running_keys(first: int, n: int) -> Any:
    """Keys that count up, as an Arrow array.

    Examples:
        >>> running_keys(8, 3).to_pylist()
        ['000000008', '000000009', '000000010']
    """
    if first + n > 10**RUNNING_WIDTH:
        return pa.array([running_key(number) for number in range(first, first + n)], pa.string())
    numbers = np.arange(first, first + n, dtype=np.int32)
    digits = np.empty((n, 3, 3), np.uint8)
    for place in (2, 1, 0):
        numbers, rest = np.divmod(numbers, 1000)
        digits[:, place] = _THREE_DIGITS[rest]
    ends = np.arange(n + 1, dtype=np.int32) * np.int32(RUNNING_WIDTH)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(digits)]
    return pa.Array.from_buffers(pa.string(), n, buffers)


_NO_PLACES = {
    KEY: pa.array([], pa.string()),
    OFFSET: pa.array([], pa.int64()),
    SIZE: pa.array([], pa.int64()),
    DIGEST: pa.array([], pa.uint64()),
}


def cut(parts: Sequence[Mapping[str, Any]], n: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first n rows of arrays that follow each other, and the others."""
    whole = {
        name: pa.concat_arrays([part[name] for part in parts]) if parts else empty
        for name, empty in _NO_PLACES.items()
    }
    first = {name: values[:n] for name, values in whole.items()}
    return first, {name: values[n:] for name, values in whole.items()}
