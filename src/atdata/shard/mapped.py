"""Shards that are files on this machine, read through the page cache without copying."""

import mmap
import os
import resource
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from stat import S_ISREG
from weakref import WeakSet, finalize

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from atdata._exceptions import ShardError, ShardNotFoundError
from atdata._typing import ByteArray, Int64Array
from atdata.shard import digest
from atdata.shard.chunk import MAX_BYTES, MIN_ROWS, Chunk, Reading, Verify
from atdata.shard.index import (
    SUFFIX,
    IndexDamageError,
    ShardIndex,
    index_error,
    index_span,
    parse,
)
from atdata.shard.keys import Keys
from atdata.shard.memo import Memo
from atdata.shard.scan import scan
from atdata.shard.tar import END, MAX_FILL, padded
from atdata.transport.file import is_scarcity, scarcity

_LIMIT = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
MAY_OPEN = 1024 if _LIMIT == resource.RLIM_INFINITY else _LIMIT
_OPEN_SHARDS = min(128, MAY_OPEN // 8)  # two descriptors each
_PRIVATE_MAPPINGS = min(256, MAY_OPEN // 4)
"""Each mapping holds a file descriptor while an array views it; beyond this many we copy."""

_private: WeakSet[mmap.mmap] = WeakSet()


class MappedShard:
    """A shard in a local file: where its samples lie, and which of its blocks have been checked.

    Attributes:
        shard_id: The shard's id in its source.
        at: Byte offset of each payload.
        size: Payload bytes of each sample.
        keys: Key of each sample.
        index: The shard's own index, if it has one.
        damage: Why reading ends after the last sample, or None.
        faults: Samples that cannot be read, each with the row it would have had.
    """

    def __init__(self, path: Path, shard_id: str) -> None:
        self.shard_id = shard_id
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        finalize(self, os.close, self._fd)
        stat = os.fstat(self._fd)
        if not S_ISREG(stat.st_mode):
            hint = "Give the path of a shard."
            raise ShardError(shard_id, "it is not a regular file", hint=hint)
        self.identity = _identity(stat)
        self.n_bytes = stat.st_size
        self.data = self._map(self._fd, mmap.ACCESS_READ)
        self._block_of: NDArray[np.uint32] | None = None
        self._memo = Memo()
        self.index = self._read_index()
        self.damage: ShardError | None = None
        self.faults: list[tuple[int, ShardError]] = []
        self.at: Int64Array
        self.size: Int64Array
        self.keys: Keys
        if self.index is not None:
            self.at, self.size, self.keys = self.index.at, self.index.size, self.index.keys
            self._checked = bytearray(2 * len(self.index.blocks))
        else:
            found = scan(self.data, shard_id)
            self.at, self.size, self.keys = found.at, found.size, found.keys
            self.damage, self.faults = found.damage, found.faults

    def __len__(self) -> int:
        return len(self.at)

    def digest(self) -> int:
        """A number that tells shards of other samples apart.

        Without an index it follows from where the samples lie, and not from what they hold.
        """
        if self.index is not None:
            return self.index.digest()
        return xxh3_64_intdigest(self.at.tobytes() + self.size.tobytes(), seed=self.n_bytes)

    def _map(self, fd: int, access: int) -> ByteArray:
        if self.n_bytes == 0:
            return np.empty(0, np.uint8)
        mapping = mmap.mmap(fd, 0, access=access)
        if len(mapping) != self.n_bytes:
            raise self._changed()
        return np.frombuffer(mapping, np.uint8)

    def _changed(self) -> ShardError:
        return ShardError(
            self.shard_id,
            "the file changed while it was read",
            hint="Open the dataset again; replace shards by renaming, never in place.",
        )

    def _read_index(self) -> ShardIndex | None:
        try:
            found = self._index_before(self.n_bytes)
            return self._index_before(self._without_fill()) if found is None else found
        except IndexDamageError as error:
            raise index_error(self.shard_id, self.n_bytes, error) from error

    def _index_before(self, end: int) -> ShardIndex | None:
        span = index_span(memoryview(self.data[max(0, end - SUFFIX) : end]), end)
        return None if span is None else parse(memoryview(self.data[end - span : end]))

    def _without_fill(self) -> int:
        """Where the archive ends if tar filled the file up with zeros."""
        tail = bytes(self.data[-MAX_FILL:])
        used = self.n_bytes - len(tail) + len(tail.rstrip(b"\0"))
        return min(self.n_bytes, padded(used) + len(END))

    def unchanged(self) -> None:
        """Refuse to read on in a file that was changed in place.

        Raises:
            ShardError: Its size or time is not what it was.
        """
        if _identity(os.fstat(self._fd)) != self.identity:
            raise self._changed()

    def private_data(self, start: int, stop: int) -> tuple[ByteArray, int]:
        """Part of the file in memory that nothing else reads, so that arrays in it may be changed.

        Returns:
            The bytes, and the offset in the file of the first of them.
        """
        if len(_private) < _PRIVATE_MAPPINGS:
            first = start // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
            try:
                mapping = mmap.mmap(self._fd, stop - first, access=mmap.ACCESS_COPY, offset=first)
            except OSError as error:
                if not is_scarcity(error):
                    raise
            else:
                _private.add(mapping)
                return np.frombuffer(mapping, np.uint8), first
        return self.data[start:stop].copy(), start

    def check(self, first: int, last: int, verify: Verify) -> tuple[int, ShardError] | None:
        """Compare the blocks of rows `[first, last)` with their digests, each once.

        Returns:
            None if all is well, else the block that is damaged and its error.
        """
        index = self.index
        if index is None or verify == "off" or first >= last:
            return None
        kind = 1 if verify == "proof" and index.proof is not None else 0
        blocks = index.blocks
        for block in range(blocks.of_row(first), blocks.of_row(last - 1) + 1):
            slot = 2 * block + kind
            if not self._checked[slot]:
                error = check_block(index, block, self._block(block), verify, self.shard_id)
                if error is not None:
                    return block, error
                self._checked[slot] = 1
        return None

    def check_rows(self, rows: Int64Array, verify: Verify) -> dict[int, ShardError]:
        """Compare the blocks of any rows with their digests.

        Returns:
            The damaged blocks, each with its error.
        """
        bad: dict[int, ShardError] = {}
        if self.index is None or verify == "off":
            return bad
        kind = 1 if verify == "proof" and self.index.proof is not None else 0
        if 0 not in self._checked[kind::2]:
            return bad  # all of the shard is sound
        first = self.index.blocks.first
        for block in np.unique(self.blocks_of_rows(rows)).tolist():
            found = self.check(int(first[block]), int(first[block + 1]), verify)
            if found is not None:
                bad[block] = found[1]
        return bad

    def blocks_of_rows(self, rows: Int64Array) -> Int64Array:
        """The block of each row; all 0 where the shard has no index."""
        if self.index is None:
            return np.zeros(len(rows), np.int64)
        return np.searchsorted(self.index.blocks.first, rows, "right") - 1

    def sound(self, row: int, verify: Verify) -> bool:
        """Whether a row's block was checked before, in a file that has not changed since."""
        if self.index is None or verify == "off":
            checked = True
        else:
            if self._block_of is None:
                first = self.index.blocks.first
                blocks = np.arange(len(first) - 1, dtype=np.uint32)
                self._block_of = np.repeat(blocks, np.diff(first))
            kind = verify == "proof" and self.index.proof is not None
            checked = bool(self._checked[2 * int(self._block_of[row]) + kind])
        return checked and _identity(os.fstat(self._fd)) == self.identity

    def _block(self, block: int) -> ByteArray:
        at = self.index.blocks.at if self.index else np.zeros(0, np.int64)
        return self.data[int(at[block]) : int(at[block + 1])]

    def chunks(self, *, start: int = 0, verify: Verify = "auto") -> Reading:
        """Read samples in order.

        Args:
            start: Row to begin with.
            verify: Which digests to check.
        """
        faults = iter([fault for fault in self.faults if fault[0] >= start])
        fault = next(faults, None)
        for first, last in self._spans(start):
            while fault is not None and fault[0] <= first:
                yield fault[1]
                fault = next(faults, None)
            yield from self._checked_chunks(first, last, verify)
        while fault is not None:
            yield fault[1]
            fault = next(faults, None)
        if self.damage is not None:
            yield self.damage

    def _spans(self, start: int) -> Iterator[tuple[int, int]]:
        """Row ranges to read together: whole blocks, and no fault inside."""
        if self.index is not None:
            edges = self.index.blocks.first
            at = self.index.blocks.at
            n = len(edges) - 1
            block = self.index.blocks.of_row(start) if start < len(self) else n
            while block < n:
                stop = int(np.searchsorted(edges, int(edges[block]) + MIN_ROWS))
                far = int(np.searchsorted(at, int(at[block]) + MAX_BYTES))
                stop = max(block + 1, min(stop, far, n))
                yield max(start, int(edges[block])), int(edges[stop])
                block = stop
            return
        cuts = sorted({row for row, _ in self.faults} | {len(self)})
        row = start
        while row < len(self):
            far = int(np.searchsorted(self.at, int(self.at[row]) + MAX_BYTES))
            cut = cuts[bisect_right(cuts, row)]
            stop = min(row + 4 * MIN_ROWS, max(far, row + 1), cut)
            yield row, stop
            row = stop

    def _checked_chunks(self, first: int, last: int, verify: Verify) -> Reading:
        """The samples of a row range, without those of damaged blocks."""
        try:
            self.unchanged()
        except ShardError as error:
            yield error
            return
        while first < last:
            bad = self.check(first, last, verify)
            good = last
            if bad is not None and self.index is not None:
                good = max(first, int(self.index.blocks.first[bad[0]]))
            if good > first:
                yield self.chunk(first, good)
            if bad is None or self.index is None:
                return
            yield bad[1]
            first = int(self.index.blocks.first[bad[0] + 1])

    def chunk(self, first: int, last: int) -> Chunk:
        """The samples of a row range, not checked."""
        at, size = self.at[first:last], self.size[first:last]
        own = partial(self.private_data, int(at[0]), int(at[-1] + size[-1]))
        return Chunk(
            self.shard_id,
            first,
            self.data,
            at,
            size,
            self.keys,
            own=own,
            unchanged=self.unchanged,
            memo=self._memo,
        )


def check_block(
    index: ShardIndex, block: int, data: ByteArray, verify: Verify, shard_id: str
) -> ShardError | None:
    """Compare one block with its digest."""
    if verify == "proof" and index.proof is not None:
        wanted, found = index.proof[block].tobytes().hex(), digest.proof_digest(data).hex()
    else:
        wanted, found = f"{int(index.damage[block]):016x}", f"{digest.damage_digest(data):016x}"
    if wanted == found:
        return None
    rows = index.blocks.first
    return ShardError(
        shard_id,
        f"block {block} (samples {int(rows[block])} to {int(rows[block + 1]) - 1}) is damaged: "
        f"its digest is {found}, and {wanted} was written",
        offset=int(index.blocks.at[block]),
    )


def _identity(stat: os.stat_result) -> tuple[int, ...]:
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _refusal(shard_id: str, error: OSError) -> OSError | ShardError:
    """What to raise where a file cannot be opened; too few descriptors are no fault of it."""
    if is_scarcity(error):
        return scarcity(shard_id, error)
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return ShardNotFoundError(shard_id)
    return ShardError(shard_id, error.strerror or str(error), hint="Check what lies at that path.")


class _OpenShards:
    """The shards that were read last, so that headers and digests are read once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shards: OrderedDict[tuple[str, str, tuple[int, ...]], MappedShard] = OrderedDict()

    def open(self, path: Path, shard_id: str) -> MappedShard:
        try:
            identity = _identity(os.stat(path))
        except OSError as error:
            raise _refusal(shard_id, error) from error
        key = (str(path), shard_id, identity)
        with self._lock:
            shard = self._shards.get(key)
            if shard is not None:
                self._shards.move_to_end(key)
                return shard
        try:
            shard = MappedShard(path, shard_id)
        except OSError as error:
            if isinstance(error, ShardError):
                raise
            raise _refusal(shard_id, error) from error
        with self._lock:
            self._shards[key] = shard
            while len(self._shards) > _OPEN_SHARDS:
                self._shards.popitem(last=False)
        return shard

    def clear(self) -> None:
        """Close what is kept open."""
        with self._lock:
            self._shards.clear()


_shards = _OpenShards()
open_mapped = _shards.open
forget_open_shards = _shards.clear
os.register_at_fork(after_in_child=lambda: setattr(_shards, "_lock", threading.Lock()))
