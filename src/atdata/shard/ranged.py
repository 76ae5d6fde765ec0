"""Shards elsewhere that give parts of themselves: the index first, then blocks when needed."""

import threading

import numpy as np

from atdata._exceptions import ShardError
from atdata._protocols import SupportsRange
from atdata._typing import ByteArray, Int64Array
from atdata.shard.chunk import Chunk, Reading, Verify
from atdata.shard.index import (
    SUFFIX,
    IndexDamageError,
    ShardIndex,
    index_error,
    index_span,
    parse,
)
from atdata.shard.keys import Keys
from atdata.shard.mapped import check_block

_FIRST_READ = 256 << 10
_READ = 8 << 20
_KEPT_BLOCKS = 8


class RangedShard:
    """A shard whose index was read, and whose blocks are fetched and checked when asked for.

    Attributes:
        shard_id: The shard's id in its source.
        index: Where its samples lie.
    """

    damage: ShardError | None = None

    def __init__(self, source: SupportsRange, shard_id: str, index: ShardIndex) -> None:
        self.shard_id = shard_id
        self.index = index
        self.at: Int64Array = index.at
        self.size: Int64Array = index.size
        self.keys: Keys = index.keys
        self._source = source
        self._kept: dict[int, ByteArray] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.at)

    def _fetch(self, first: int, stop: int) -> ByteArray:
        at = self.index.blocks.at
        data = _read(self._source, self.shard_id, int(at[first]), int(at[stop] - at[first]))
        return np.frombuffer(bytearray(data), np.uint8)

    def chunks(self, *, start: int = 0, verify: Verify = "auto") -> Reading:
        """Read samples in order, some blocks a request, each checked before it is handed on."""
        blocks = self.index.blocks
        block = blocks.of_row(start) if start < len(self) else len(blocks)
        while block < len(blocks):
            far = int(np.searchsorted(blocks.at, int(blocks.at[block]) + _READ))
            stop = min(max(block + 1, far), len(blocks))
            data = self._fetch(block, stop)
            base = int(blocks.at[block])
            for one in range(block, stop):
                part = data[int(blocks.at[one]) - base : int(blocks.at[one + 1]) - base]
                error = self._check(one, part, verify)
                if error is not None:
                    yield error
                    continue
                first = max(start, int(blocks.first[one]))
                last = int(blocks.first[one + 1])
                yield Chunk(
                    self.shard_id, first, data, self.at[first:last] - base,
                    self.size[first:last], self.keys, 0, base,
                )  # fmt: skip
            block = stop

    def _check(self, block: int, data: ByteArray, verify: Verify) -> ShardError | None:
        if verify == "off":
            return None
        kind: Verify = "damage" if verify == "damage" else "proof"
        return check_block(self.index, block, data, kind, self.shard_id)

    def chunk_of(self, row: int, verify: Verify) -> Chunk:
        """One sample as a chunk of its own, checked.

        Raises:
            ShardError: Its block is damaged.
        """
        block = self.index.blocks.of_row(row)
        with self._lock:
            data = self._kept.get(block)
        if data is None:
            data = self._fetch(block, block + 1)
            error = self._check(block, data, verify)
            if error is not None:
                raise error
            if len(data) <= _READ:
                with self._lock:
                    self._kept[block] = data
                    while len(self._kept) > _KEPT_BLOCKS:
                        self._kept.pop(next(iter(self._kept)))
        base = int(self.index.blocks.at[block])
        at = int(self.at[row]) - base
        size = int(self.size[row])
        copy = data[at : at + size].copy()
        return Chunk(
            self.shard_id, row, copy, np.zeros(1, np.int64), self.size[row : row + 1],
            self.keys, 0, base + at,
        )  # fmt: skip


def open_ranged(source: SupportsRange, shard_id: str) -> RangedShard | None:
    """Read a shard's index from its end, with one request where it is of ordinary size.

    Returns:
        None where the shard has no index.

    Raises:
        ShardError: The index is damaged.
    """
    n_bytes = source.shard_size(shard_id)
    n = min(n_bytes, _FIRST_READ)
    if n < SUFFIX:
        return None
    tail = _read(source, shard_id, -n, n)
    try:
        span = index_span(tail, n_bytes)
        if span is None:
            return None
        if span > len(tail):
            tail = _read(source, shard_id, n_bytes - span, span)
        return RangedShard(source, shard_id, parse(memoryview(tail)[-span:]))
    except IndexDamageError as error:
        raise index_error(shard_id, n_bytes, error) from error


def _read(source: SupportsRange, shard_id: str, start: int, n_bytes: int) -> bytes:
    data = source.read_range(shard_id, start, n_bytes)
    if len(data) != n_bytes:
        raise ShardError(
            shard_id, f"its source gave {len(data)} bytes for {n_bytes}", offset=max(start, 0)
        )
    return data
