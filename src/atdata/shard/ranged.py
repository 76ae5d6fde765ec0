"""Shards elsewhere that give parts of themselves: the index first, then blocks when needed."""

import sys
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

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
_INDEX_SHARE = 256
_MOST_FIRST_READ = 4 << 20
"""An index of samples of 2 KiB or more has less than this share of its shard's bytes, so it comes
with the first request."""

_READ = 8 << 20
_KEPT_BLOCKS = 8


@dataclass(frozen=True, slots=True)
class Fetched:
    """Some blocks of a shard, one after the other, as they were fetched and checked.

    Attributes:
        first: The first block.
        stop: The block behind the last.
        data: Their bytes.
        errors: Which of them are damaged.
        failure: Why the block behind the last could not be fetched, if that was tried.
    """

    first: int
    stop: int
    data: ByteArray = field(repr=False)
    errors: Mapping[int, ShardError]
    failure: Exception | None = None


class RangedShard:
    """A shard whose index was read, and whose blocks are fetched and checked when asked for.

    It may be used by several threads at once, and in processes that were forked.

    Attributes:
        shard_id: The shard's id in its source.
        index: Where its samples lie.
        n_index_bytes: About how much memory the index takes.
    """

    damage: ShardError | None = None

    def __init__(
        self, source: SupportsRange, shard_id: str, index: ShardIndex, n_index_bytes: int = 0
    ) -> None:
        self.shard_id = shard_id
        self.index = index
        self.n_index_bytes = n_index_bytes
        self.at: Int64Array = index.at
        self.size: Int64Array = index.size
        self.keys: Keys = index.keys
        self._source = source
        # Without a lock, which a fork might copy while it is held: each step is one operation.
        self._kept: OrderedDict[int, ByteArray] = OrderedDict()

    def __len__(self) -> int:
        return len(self.at)

    def _fetch(self, first: int, stop: int) -> ByteArray:
        at = self.index.blocks.at
        data = _read(self._source, self.shard_id, int(at[first]), int(at[stop] - at[first]))
        return np.frombuffer(data, np.uint8).copy()

    def chunks(
        self,
        *,
        start: int = 0,
        stop: int = sys.maxsize,
        verify: Verify = "auto",
        n_bytes: int = _READ,
    ) -> Reading:
        """Read samples in order, some blocks a request, each checked before it is handed on.

        Args:
            start: Row to begin with.
            stop: Row to end before.
            verify: Which digests to check.
            n_bytes: How much to ask for at once; one block at least.
        """
        block, last = self.blocks_of(start, stop)
        while block < last:
            fetched = self.fetch(block, self.reach(block, last, n_bytes), verify)
            yield from self.handed(fetched, start, stop)
            block = fetched.stop

    def blocks_of(self, start: int, stop: int) -> tuple[int, int]:
        """The first block that holds rows of `[start, stop)`, and the one behind the last."""
        blocks = self.index.blocks
        stop = min(stop, len(self))
        if start >= stop:
            return len(blocks), len(blocks)
        return blocks.of_row(start), blocks.of_row(stop - 1) + 1

    def reach(self, first: int, last: int, n_bytes: int) -> int:
        """How far to fetch at once: to the block behind those that fit, at least one, in order."""
        at = self.index.blocks.at
        far = int(np.searchsorted(at, int(at[first]) + n_bytes, "right")) - 1
        return min(max(first + 1, far), last)

    def n_bytes_of(self, first: int, stop: int) -> int:
        """Bytes of the blocks `[first, stop)`."""
        return int(self.index.blocks.at[stop] - self.index.blocks.at[first])

    def fetch(self, first: int, stop: int, verify: Verify) -> Fetched:
        """Fetch the blocks `[first, stop)` with one request, and check each of them.

        If that fails, they are fetched one by one, so that what can be had does not depend on how
        much is asked for at once.
        """
        at = self.index.blocks.at
        failure: Exception | None = None
        try:
            data = self._fetch(first, stop)
        except Exception as error:
            data, stop, failure = self._fetch_singly(first, stop, error)
        errors: dict[int, ShardError] = {}
        base = int(at[first])
        for block in range(first, stop):
            part = data[int(at[block]) - base : int(at[block + 1]) - base]
            damage = self._check(block, part, verify)
            if damage is not None:
                errors[block] = damage
        return Fetched(first, stop, data, errors, failure)

    def _fetch_singly(
        self, first: int, stop: int, error: Exception
    ) -> tuple[ByteArray, int, Exception | None]:
        """The blocks up to the first that fails, the one behind them, and its error."""
        parts = [np.empty(0, np.uint8)]
        if stop - first == 1:
            return parts[0], first, error
        for block in range(first, stop):
            try:
                parts.append(self._fetch(block, block + 1))
            except Exception as failure:
                return np.concatenate(parts), block, failure
        return np.concatenate(parts), stop, None

    def handed(self, fetched: Fetched, start: int, stop: int) -> Reading:
        """The samples of fetched blocks whose rows lie in `[start, stop)`.

        Raises:
            Exception: What came behind them could not be fetched.
        """
        rows = self.index.blocks.first
        base = int(self.index.blocks.at[fetched.first])
        block = fetched.first
        for damaged in [*fetched.errors, fetched.stop]:
            first, last = max(start, int(rows[block])), min(stop, int(rows[damaged]))
            if first < last:
                yield Chunk(
                    self.shard_id, first, fetched.data, self.at[first:last] - base,
                    self.size[first:last], self.keys, 0, base,
                )  # fmt: skip
            if damaged < fetched.stop and start < rows[damaged + 1] and rows[damaged] < stop:
                yield fetched.errors[damaged]
            block = damaged + 1
        if fetched.failure is not None:
            raise fetched.failure

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
        data = self._kept.get(block)
        if data is None:
            data = self._fetch(block, block + 1)
            error = self._check(block, data, verify)
            if error is not None:
                raise error
            if len(data) <= _READ:
                self._kept[block] = data
                while len(self._kept) > _KEPT_BLOCKS:
                    with suppress(KeyError):  # another thread was quicker
                        self._kept.popitem(last=False)
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
    n = min(n_bytes, max(_FIRST_READ, min(n_bytes // _INDEX_SHARE, _MOST_FIRST_READ)))
    if n < SUFFIX:
        return None
    tail = _read(source, shard_id, -n, n)
    try:
        span = index_span(tail, n_bytes)
        if span is None:
            return None
        if span > n:
            tail = _read(source, shard_id, n_bytes - span, span - n) + tail
        # A copy, for the index keeps what it is parsed from.
        return RangedShard(source, shard_id, parse(tail[-span:]), 3 * span)
    except IndexDamageError as error:
        raise index_error(shard_id, n_bytes, error) from error


def _read(source: SupportsRange, shard_id: str, start: int, n_bytes: int) -> bytes:
    data = source.read_range(shard_id, start, n_bytes)
    if len(data) != n_bytes:
        raise ShardError(
            shard_id, f"its source gave {len(data)} bytes for {n_bytes}", offset=max(start, 0)
        )
    return data
