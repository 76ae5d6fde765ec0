"""Writing shards: headers, payloads, digests and index in one pass, and all or nothing.

Samples come encoded, many at a time. They are laid out in a buffer of a few mebibytes that stays
in the processor's cache while it is filled, hashed and handed to the file; SHA-256 and BLAKE3
follow in threads of their own.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from atdata._typing import ByteArray, Int64Array
from atdata.model.shard import FinishedShard
from atdata.shard import index as shard_index
from atdata.shard.digest import SHIFT, ShardDigests
from atdata.shard.headers import running_headers
from atdata.shard.keys import EXTENSION
from atdata.shard.tar import BLOCK, END, member_header
from atdata.transport.file import commit_all, temporary_beside

_STAGE = 4 << 20
_BUFFERS = 4
MAX_SAMPLE = (1 << 32) - 1
"""Payload bytes of one sample: what the index and msgpack's `bin 32` can count."""


MAX_SHARD = 1 << 41
"""Bytes of samples in one shard: what the index can count in blocks."""


class Payloads(Protocol):
    """Encoded samples, ready to be laid out: what the codec hands to the writer."""

    @property
    def sizes(self) -> Int64Array:
        """Bytes of each payload."""
        ...

    def fill(self, buffer: ByteArray, at: Int64Array, first: int, last: int) -> None:
        """Write the payloads of rows `[first, last)` at these offsets of the buffer."""
        ...


class ShardObserver(Protocol):
    """Looks at one shard while it is written, and may leave files beside it."""

    def add(
        self,
        data: ByteArray,
        at: Int64Array,
        size: Int64Array,
        base: int,
        keys: Sequence[str] | int,
    ) -> None:
        """Take samples that follow those before.

        Args:
            data: A buffer that holds their payloads until this returns.
            at: Offset of each payload in the buffer.
            size: Bytes of each.
            base: Where the buffer begins in the shard.
            keys: Their keys, or the number of the first where they count up.
        """
        ...

    def end(self) -> None:
        """Take note that there are no more samples, while the digests are being computed."""
        ...

    def finish(
        self, shard: FinishedShard, *, end: int, mark: int, digest: int
    ) -> Sequence[tuple[Path, Path]]:
        """Complete what is left beside the shard.

        Args:
            shard: The shard, complete.
            end: Where its samples end.
            mark: The digest that ends its index.
            digest: What tells shards of other samples apart, as a reader of the index has it.

        Returns:
            The files, each with the name that it is to have, in the order in which they get it.
        """
        ...

    def abandon(self) -> None:
        """Stop, and remove what was written under other names than final ones."""
        ...


class ShardWriter:
    """Writes samples to one shard, or to as many as the limits ask for.

    Nothing is visible under its final name before `close`, and nothing is left if the `with`
    block is left by an exception. With `deliver`, each shard gets its name as soon as it is
    complete and is the receiver's from then on; whether it reached the disk is theirs to see to.

    Args:
        name: Gives the final path of shard number n.
        maxcount: Most samples in a shard.
        maxsize: Most bytes in a shard, everything counted. None: no limit.
        head: What each shard's index says of the dataset.
        digest: Compute SHA-256 of shards and BLAKE3 of blocks. XXH3 is always computed.
        deliver: Is given each shard when it is complete.
        observe: Begins to look at a shard that is to have that path.
        first_key: The number of the first sample, where keys count up.
    """

    def __init__(
        self,
        name: Callable[[int], Path],
        *,
        maxcount: int | None = None,
        maxsize: int | None = None,
        head: shard_index.Head | None = None,
        digest: bool = True,
        deliver: Callable[[FinishedShard], object] | None = None,
        observe: Callable[[Path], ShardObserver] | None = None,
        first_key: int = 0,
    ) -> None:
        if maxcount is not None and maxcount < 1:
            raise ValueError(f"maxcount is {maxcount}; a shard holds at least one sample")
        if maxsize is not None and maxsize < 1:
            raise ValueError(f"maxsize is {maxsize}; a shard needs at least some bytes")
        self._name = name
        self._maxcount = maxcount
        self._maxsize = maxsize
        self._head = head or shard_index.Head()
        self._digest = digest
        self._deliver = deliver
        self._observe = observe
        self._first_key = first_key
        self._open: _OpenShard | None = None
        self._n_shards = 0
        self._done: list[_Written] = []
        self.n_samples = 0

    def add(self, payloads: Payloads, keys: Sequence[str] | None) -> None:
        """Write encoded samples.

        Args:
            payloads: The samples.
            keys: Their keys; None: they count up.

        Raises:
            ValueError: One sample alone is larger than `maxsize` or than a payload may be.
        """
        sizes = payloads.sizes
        if len(sizes) and int(sizes.max()) > MAX_SAMPLE:
            row = int(sizes.argmax())
            number, n_bytes = self.n_samples + row, int(sizes[row])
            raise ValueError(f"sample {number} has {n_bytes} bytes; the limit is {MAX_SAMPLE}")
        done = 0
        while done < len(sizes):
            if self._open is None:
                self._open = self._start()
            fits = self._open.fits(sizes[done:], None if keys is None else keys[done:])
            if fits:
                self._open.add(payloads, keys, done, done + fits)
                done += fits
                self.n_samples += fits
            elif self._open.n_samples == 0:
                raise ValueError(
                    f"sample {self.n_samples} alone makes a shard larger than maxsize="
                    f"{self._maxsize}; raise maxsize or split the sample"
                )
            else:
                self._finish()

    def _start(self) -> "_OpenShard":
        path = self._name(self._n_shards)
        self._n_shards += 1
        shard = _OpenShard(
            path,
            self._head,
            self._first_key + self.n_samples,
            self._maxcount,
            self._maxsize,
            digest=self._digest,
        )
        if self._observe is not None:
            try:
                shard.observer = self._observe(path)
            except BaseException:
                shard.abandon()
                raise
        return shard

    def _finish(self) -> None:
        if self._open is not None:
            shard, self._open = self._open, None
            try:
                written = shard.finish()
                if self._deliver is not None:
                    for temporary, final in written.files:
                        temporary.replace(final)
            except BaseException:
                shard.abandon()
                raise
            if self._deliver is None:
                self._done.append(written)
            else:
                self._deliver(written.shard)

    def close(self) -> list[FinishedShard]:
        """Finish the last shard and give all their names.

        Returns:
            The shards in order; empty if no sample was added, or if they were delivered.
        """
        try:
            self._finish()
            commit_all([written.files[0] for written in self._done])
            # Of what lies beside them a crash may leave less: that is noticed, and made anew.
            for temporary, path in (pair for one in self._done for pair in one.files[1:]):
                temporary.replace(path)
        except BaseException:
            self.abort()
            raise
        shards = [written.shard for written in self._done]
        self._done = []
        return shards

    def abort(self) -> None:
        """Remove everything that was written."""
        if self._open is not None:
            self._open.abandon()
            self._open = None
        for written in self._done:
            for temporary, _ in written.files:
                temporary.unlink(missing_ok=True)
        self._done = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


@dataclass(frozen=True, slots=True)
class _Written:
    """A shard that is complete, under another name than its own.

    Attributes:
        shard: It, with the names that its files are to have.
        files: The files, each with its final name; what lies beside the shard comes after it.
    """

    shard: FinishedShard
    files: Sequence[tuple[Path, Path]]


class _OpenShard:
    """The shard that is being written."""

    observer: ShardObserver | None = None

    def __init__(
        self,
        path: Path,
        head: shard_index.Head,
        first_key: int,
        maxcount: int | None,
        maxsize: int | None,
        *,
        digest: bool,
    ) -> None:
        self.path = path
        self.n_samples = 0
        self._head = head
        self._first_key = first_key
        self._maxcount = maxcount
        self._maxsize = maxsize
        self._digest = digest
        self._end = 0
        self._last_block = -1
        self._at: list[Int64Array] = []
        self._size: list[Int64Array] = []
        self._keys: list[str] = []
        self._n_key_bytes = 0
        self._n_blocks = 0
        self._in_hand: deque[tuple[ByteArray, Callable[[], None]]] = deque()
        self.temporary = temporary_beside(path)
        self._fd = os.open(self.temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        self._digests = ShardDigests(proof=digest)

    def fits(self, sizes: Int64Array, keys: Sequence[str] | None) -> int:
        """How many of the next samples this shard can take."""
        n = len(sizes)
        if self._maxcount is not None:
            n = min(n, self._maxcount - self.n_samples)
        if self._maxsize is None or n == 0:
            return n
        sizes = sizes[:n]
        heads = _header_sizes(keys, n)
        ends = self._end + np.cumsum(heads + ((sizes + (BLOCK - 1)) & -BLOCK))
        starts = np.concatenate([[self._end], ends[:-1]]) >> SHIFT
        fresh = np.diff(starts, prepend=self._last_block) != 0
        counts = np.arange(1, n + 1) + self.n_samples
        blocks = np.cumsum(fresh) + self._n_blocks
        key_bytes = np.zeros(n, np.int64)
        if keys is not None:
            lengths = np.fromiter((len(key.encode()) for key in keys[:n]), np.int64, n)
            key_bytes = np.cumsum(lengths) + self._n_key_bytes
        n_head = len(self._encoded_head(running=keys is None))
        for row in range(int(np.searchsorted(ends, self._maxsize, "right")), -1, -1):
            if row < n and self._maxsize >= int(ends[row]) + BLOCK + len(END) + (
                shard_index.payload_size(
                    int(counts[row]),
                    int(blocks[row]),
                    int(key_bytes[row]) if keys is not None else None,
                    n_head,
                    proof=self._digest,
                )
            ):
                return row + 1
        return 0

    def add(self, payloads: Payloads, keys: Sequence[str] | None, first: int, last: int) -> None:
        """Lay out and write rows `[first, last)`, a few mebibytes at a time."""
        sizes = payloads.sizes[first:last]
        if keys is None:
            headers = running_headers(self._first_key + self.n_samples, sizes)
            lengths = np.full(len(sizes), BLOCK, np.int64)
        else:
            mine = keys[first:last]
            self._keys.extend(mine)
            self._n_key_bytes += sum(len(key.encode()) for key in mine)
            names = [f"{key}.{EXTENSION}" for key in mine]
            heads = list(map(member_header, names, sizes.tolist()))
            lengths = np.fromiter(map(len, heads), np.int64, len(heads))
            headers = np.frombuffer(b"".join(heads), np.uint8).reshape(-1, BLOCK)
        ends = np.cumsum(((sizes + (BLOCK - 1)) & -BLOCK) + lengths)
        if len(ends) and self._end + int(ends[-1]) > MAX_SHARD:
            raise ValueError(f"a shard holds at most {MAX_SHARD} bytes; give maxsize for several")
        rows = np.cumsum(lengths // BLOCK)
        start = 0
        while start < len(sizes):
            before = int(ends[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, before + _STAGE, "right")))
            part = slice(start, stop)
            at = ends[part] - before - ((sizes[part] + (BLOCK - 1)) & -BLOCK)
            above = headers[int(rows[start - 1]) if start else 0 : int(rows[stop - 1])]
            total = int(ends[stop - 1]) - before
            buffer = self._buffer(total)
            rows_of_buffer = buffer[:total].reshape(-1, BLOCK)
            # What a payload leaves of its last block is zero.
            rows_of_buffer[((at + sizes[part] - 1) // BLOCK)[sizes[part] > 0]] = 0
            rows_of_buffer[_header_rows(at - lengths[part], at)] = above
            payloads.fill(buffer[:total], at, first + start, first + stop)
            self._write(buffer, total, at - lengths[part] + self._end)
            if self.observer is not None:  # now, while the digests are being computed
                some: Sequence[str] | int = self._first_key + self.n_samples + start
                if keys is not None:
                    some = keys[first + start : first + stop]
                self.observer.add(buffer[:total], at, sizes[part], self._end, some)
            self._at.append(at + self._end)
            self._end += total
            start = stop
        self._size.append(sizes)
        self.n_samples += len(sizes)

    def _buffer(self, n_bytes: int) -> ByteArray:
        """Memory to lay samples out in; what was used before is used again once it is hashed."""
        whole = np.empty(0, np.uint8)
        if len(self._in_hand) >= _BUFFERS:
            whole, hashed = self._in_hand.popleft()
            hashed()
        if len(whole) < n_bytes:
            whole = np.empty(max(n_bytes, _STAGE + _STAGE // 4), np.uint8)
        return whole

    def _write(self, whole: ByteArray, total: int, header_at: Int64Array) -> None:
        """Hash and write a buffer in which samples start at `header_at` of the shard."""
        number = header_at >> SHIFT
        fresh = np.flatnonzero(np.diff(number, prepend=self._last_block))
        self._last_block = int(number[-1])
        self._n_blocks += len(fresh)
        data = whole[:total]
        hashed = self._digests.update(data, (header_at[fresh] - self._end).tolist())
        _write_all(self._fd, data, self.temporary)
        self._in_hand.append((whole, hashed))

    def _encoded_head(self, *, running: bool) -> bytes:
        head = self._head
        return shard_index.encode_head(
            shard_index.Head(
                head.sample_type, self._first_key if running else None, head.content_metadata
            )
        )

    def finish(self) -> _Written:
        """Write the index and the end blocks, and bring everything to the disk."""
        if self.observer is not None:
            self.observer.end()
        empty = [np.zeros(0, np.int64)]
        damage, proof = self._digests.blocks()
        tail = shard_index.build(
            head=self._encoded_head(running=not self._keys),
            at=np.concatenate(empty + self._at),
            size=np.concatenate(empty + self._size),
            keys=self._keys or None,
            end=self._end,
            damage=damage,
            proof=proof,
        )
        _write_all(self._fd, np.frombuffer(tail, np.uint8), self.temporary)
        sha256 = self._digests.whole(tail)
        os.close(self._fd)
        self._fd = -1
        shard = FinishedShard(self.path, self.n_samples, self._end + len(tail), sha256)
        files = [(self.temporary, self.path)]
        if self.observer is not None:
            beside = self.observer.finish(
                shard,
                end=self._end,
                mark=int.from_bytes(tail[-len(END) - 8 : -len(END)], "little"),
                digest=shard_index.samples_digest(np.array(damage, "<u8"), self.n_samples),
            )
            shard = replace(shard, sidecars=tuple(final for _, final in beside))
            files += beside
        return _Written(shard, files)

    def abandon(self) -> None:
        """Stop, and remove what was written."""
        if self.observer is not None:
            self.observer.abandon()
        self._digests.stop()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self.temporary.unlink(missing_ok=True)


def _header_sizes(keys: Sequence[str] | None, n: int) -> Int64Array:
    if keys is None:
        return np.full(n, BLOCK, np.int64)
    lengths = (len(member_header(f"{key}.{EXTENSION}", 0)) for key in keys[:n])
    return np.fromiter(lengths, np.int64, n)


def _header_rows(starts: Int64Array, at: Int64Array) -> Int64Array:
    """Numbers of the 512-byte rows that headers fill."""
    counts = (at - starts) // BLOCK
    if (counts == 1).all():
        return starts // BLOCK
    within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    rows: Int64Array = np.repeat(starts // BLOCK, counts) + within
    return rows


def _write_all(fd: int, data: ByteArray, path: Path) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # says which disk is full
