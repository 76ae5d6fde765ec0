"""Tar headers of many members at once: the same bytes as `tar.header`, written as arrays."""

import numpy as np

from atdata._typing import ByteArray, Int64Array
from atdata.shard.keys import EXTENSION, RUNNING_WIDTH, running_key
from atdata.shard.tar import BLOCK, header

_LAST_RUNNING = 10**RUNNING_WIDTH


def running_headers(first: int, sizes: Int64Array) -> ByteArray:
    """Headers of members whose keys count up.

    Args:
        first: Number of the first key.
        sizes: Payload bytes of each member, shape `(n,)`.

    Returns:
        Shape `(n, 512)`.

    Examples:
        >>> bytes(running_headers(7, np.array([3]))[0, :17])
        b'000000007.msgpack'
    """
    n = len(sizes)
    numbers = np.arange(first, first + n, dtype=np.int64)
    if first + n > _LAST_RUNNING:
        names = [f"{running_key(int(i))}.{EXTENSION}".encode() for i in numbers]
        blocks = b"".join(map(header, names, sizes.tolist()))
        return np.frombuffer(bytearray(blocks), np.uint8).reshape(n, BLOCK)
    zeros = f"{running_key(0)}.{EXTENSION}".encode()
    template = np.frombuffer(header(zeros, 0), np.uint8)
    rows = np.empty((n, BLOCK), np.uint8)
    rows[:] = template
    name = _digits(numbers, RUNNING_WIDTH, 10)
    size = _digits(sizes, 11, 8)
    rows[:, :RUNNING_WIDTH] += name
    rows[:, 124:135] += size
    base = int(header(zeros, 0)[148:154], 8)
    checksum = base + name.sum(axis=1, dtype=np.int64) + size.sum(axis=1, dtype=np.int64)
    rows[:, 148:154] = _digits(checksum, 6, 8) + ord("0")
    return rows


def _digits(values: Int64Array, width: int, base: int) -> ByteArray:
    """Digits of each value, most significant first, shape `(n, width)`."""
    out = np.zeros((len(values), width), np.uint8)
    rest = values
    for column in range(width - 1, -1, -1):
        if not rest.any():
            break
        rest, digit = np.divmod(rest, base)
        out[:, column] = digit
    return out
