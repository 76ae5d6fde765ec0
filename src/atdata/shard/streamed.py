"""Shards that come as a stream, compressed or not: read in order through one bounded buffer."""

import bz2
import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

import numpy as np
from blake3 import blake3
from xxhash import xxh3_64

from atdata._exceptions import AtdataError, ShardError
from atdata.shard.chunk import MIN_ROWS, Chunk, Reading, Verify
from atdata.shard.digest import SHIFT
from atdata.shard.index import IndexDamageError, ShardIndex, index_span, parse
from atdata.shard.keys import INDEX_NAME
from atdata.shard.scan import Found, Grouping, shard_error
from atdata.shard.tar import BLOCK, END, Member, TarError, header, walk

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_BUFFER = 8 << 20
_PIECE = 1 << 20

MAX_MEMBER = 1 << 29
"""A streamed member beyond this many bytes is refused: it would have to be held in memory."""

_MAX_UNASKED = 256 << 20
_MAX_RATIO = 4000
"""Beyond the first of these, a shard that swells by more than the second is refused: gzip cannot,
and samples with keys of their own do not."""

_XZ_MEMORY = 128 << 20
"""Twice what the highest level of xz asks for."""

_DAMAGED = (EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError, gzip.BadGzipFile)

_MAGIC_SIZE = 6
_MAGIC = {
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zst",
}


def compression_of(head: bytes) -> str:
    """How a stream is compressed, from its first six bytes; empty if it is not.

    Examples:
        >>> compression_of(bytes([0x1F, 0x8B, 8, 0, 0, 0])), compression_of(b"000000")
        ('gz', '')
    """
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "")


class Decompressed:
    """The bytes of an archive, whatever it is compressed with.

    Args:
        stream: The shard as it comes.
    """

    def __init__(self, stream: BinaryIO) -> None:
        head = b""
        while len(head) < _MAGIC_SIZE and (piece := stream.read(_MAGIC_SIZE - len(head))):
            head += piece
        self._source = _Source(stream, head)
        self._archive = _decoder(compression_of(head), io.BufferedReader(self._source, _PIECE))
        self._n_bytes = 0

    def read(self, n_bytes: int) -> bytes:
        """The next bytes; none only at the end.

        Raises:
            TarError: Much more comes out than samples would ever give.
        """
        piece = self._archive.read(n_bytes)
        self._n_bytes += len(piece)
        if _MAX_UNASKED < self._n_bytes > _MAX_RATIO * self._source.n_bytes:
            raise TarError(
                f"it swells to more than {_MAX_RATIO} times its compressed size",
                self._n_bytes - len(piece),
            )
        return piece


def _decoder(compression: str, stream: io.BufferedReader) -> BinaryIO:
    match compression:
        case "gz":
            return cast(BinaryIO, gzip.GzipFile(fileobj=stream, mode="rb"))
        case "bz2":
            return cast(BinaryIO, bz2.BZ2File(stream))
        case "xz":
            return io.BufferedReader(_XZ(stream), _PIECE)
        case "zst":
            return cast(BinaryIO, zstd.ZstdFile(stream))
        case _:
            return stream


class _Source(io.RawIOBase):
    """Gives any object with `read` the methods of a raw stream, and counts what is read."""

    def __init__(self, stream: BinaryIO, head: bytes) -> None:
        self._stream = stream
        self._head = head
        self.n_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]  # any buffer
        piece = self._head[: len(target)] or self._stream.read(len(target))
        self._head = self._head[len(target) :]
        target[: len(piece)] = piece
        self.n_bytes += len(piece)
        return len(piece)


class _XZ(io.RawIOBase):
    """Reads xz within a limit of memory, which `lzma.LZMAFile` cannot be given."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self._held = b""
        self._begin()

    def _begin(self) -> None:
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]  # any buffer
        piece = b""
        while not piece:
            if self._decoder.eof and not self._next():
                return 0
            data = b""
            if self._decoder.needs_input:
                data, self._held = self._held or self._stream.read1(_PIECE), b""
                if not data:
                    raise EOFError("the xz stream ends too early")
            piece = self._decoder.decompress(data, len(target))
        target[: len(piece)] = piece
        return len(piece)

    def _next(self) -> bool:
        """Go on to the next of several streams, which zeros may lie between."""
        rest = self._decoder.unused_data.lstrip(b"\0")
        while not rest:
            more = self._stream.read1(_PIECE)
            if not more:
                return False
            rest = more.lstrip(b"\0")
        self._held = rest
        self._begin()
        return True


class StreamCursor:
    """Reads a stream in order, and keeps what was read since the last mark for its digest."""

    def __init__(self, stream: Decompressed, *, proof: bool) -> None:
        self._stream = stream
        self.at = 0
        self._since_mark: list[bytes] = []
        self._proof = proof
        self._block = 0
        self._open_block()
        self.digests: list[tuple[int, bytes | None]] = []

    def _open_block(self) -> None:
        self._damage_hash = xxh3_64()
        self._proof_hash = blake3() if self._proof else None

    def _hash(self, piece: bytes) -> None:
        self._damage_hash.update(piece)
        if self._proof_hash is not None:
            self._proof_hash.update(piece)

    def take(self, n_bytes: int) -> bytes:
        """The next bytes; fewer only at the end."""
        pieces: list[bytes] = []
        while n_bytes > 0:
            piece = self._stream.read(min(n_bytes, _PIECE))
            if not piece:
                break
            pieces.append(piece)
            n_bytes -= len(piece)
            self.at += len(piece)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._since_mark.append(data)
        return data

    def take_large(self, n_bytes: int) -> bytearray:
        """The next bytes, which belong to the sample that is open, held only once."""
        self._settle()
        data = bytearray()
        while len(data) < n_bytes:
            piece = self._stream.read(min(n_bytes - len(data), _PIECE))
            if not piece:
                break
            data += piece
            self._hash(piece)
            self.at += len(piece)
        return data

    def skip_to(self, at: int) -> bool:
        """Move on to an offset; False if the stream ends before it."""
        while self.at < at:
            if not self.take(min(at - self.at, _PIECE)):
                return False
            if len(self._since_mark) > 8:
                self._settle()
        return True

    def sample_starts(self, header_at: int) -> None:
        """Say that a header that was just read is the first of a sample."""
        held = self._held_before(header_at)
        if header_at >> SHIFT != self._block:
            self._close(held)
            self._block = header_at >> SHIFT
        else:
            self._hash(held)

    def samples_end(self, header_at: int) -> None:
        """Say that a header that was just read comes after the last sample."""
        held = self._held_before(header_at)
        if header_at:
            self._close(held)

    def _held_before(self, at: int) -> bytes:
        """What was read since the last mark and lies before an offset; the rest is kept."""
        held = b"".join(self._since_mark)
        before = len(held) - (self.at - at)
        self._since_mark = [held[before:]]
        return held[:before]

    def _close(self, held: bytes) -> None:
        self._hash(held)
        proof = self._proof_hash.digest() if self._proof_hash is not None else None
        self.digests.append((self._damage_hash.intdigest(), proof))
        self._open_block()

    def _settle(self) -> None:
        """Hash what was read: it belongs to the sample that is open."""
        for piece in self._since_mark:
            self._hash(piece)
        self._since_mark.clear()


class _Filling:
    """The samples of the next chunk."""

    def __init__(self, shard_id: str) -> None:
        self._shard_id = shard_id
        self._row = 0
        self._empty()

    def _empty(self) -> None:
        self._payloads: list[bytes | bytearray] = []
        self._keys: list[str] = []
        self._places: list[int] = []
        self._n_bytes = 0

    def __len__(self) -> int:
        return len(self._payloads)

    def add(self, found: Found, payload: bytes | bytearray) -> None:
        self._payloads.append(payload)
        self._keys.append(found.key)
        self._places.append(found.at)
        self._n_bytes += len(payload) + len(found.key)

    def full(self) -> bool:
        return len(self) >= MIN_ROWS or self._n_bytes >= _BUFFER

    def take(self) -> Chunk:
        """What was added since the last chunk."""
        size = np.fromiter(map(len, self._payloads), np.int64, len(self))
        whole = self._payloads[0]
        if len(self) > 1 or isinstance(whole, bytes):
            whole = bytearray().join(self._payloads)
        data = np.frombuffer(whole, np.uint8)
        places = np.array(self._places, np.int64)
        row, keys = self._row, self._keys
        self._row += len(self)
        self._empty()
        return Chunk(
            self._shard_id, row, data, np.cumsum(size) - size, size, keys, row, places=places
        )


class StreamedShard:
    """A shard that can only be read from its start to its end.

    Where it ends in an index, the digests of all blocks are compared when the end is reached. So a
    stream shows damage late, after samples were delivered; and who stops before its end is told
    of none.
    """

    def __init__(self, stream: BinaryIO, shard_id: str) -> None:
        self.shard_id = shard_id
        self._stream = stream

    def chunks(self, *, start: int = 0, verify: Verify = "auto") -> Reading:
        """Read samples in order.

        Args:
            start: Row to begin with; those before are read and dropped.
            verify: `"off"` leaves the digests alone.
        """
        for item in self._read(verify):
            if isinstance(item, ShardError):
                yield item
            elif item.row + len(item) > start:
                yield item.within(start, item.row + len(item))

    def _read(self, verify: Verify) -> Reading:
        filling = _Filling(self.shard_id)
        cursor: StreamCursor | None = None
        problem: ShardError | None = None
        try:
            cursor = StreamCursor(Decompressed(self._stream), proof=verify in ("auto", "proof"))
            index: ShardIndex | None = None
            for found, payload, met in _samples(cursor):
                index = met
                if found is None:
                    continue
                if not found.fault:
                    filling.add(found, payload)
                if len(filling) and (found.fault or filling.full()):
                    yield filling.take()
                if found.fault:
                    yield ShardError(
                        self.shard_id, found.fault, offset=found.header_at, key=found.key
                    )
            if index is not None and verify != "off":
                yield from _sound(filling, index, cursor)
                problem = _compare(index, cursor, self.shard_id)
        except (TarError, IndexDamageError, AtdataError, OSError, *_DAMAGED) as error:
            problem = self._problem(error, 0 if cursor is None else cursor.at)
        finally:
            self._stream.close()
        if len(filling):
            yield filling.take()
        if problem is not None:
            yield problem

    def _problem(self, error: Exception, at: int) -> ShardError:
        """The error a reader sees, whatever went wrong."""
        if isinstance(error, ShardError):
            return error
        if isinstance(error, TarError):
            return shard_error(self.shard_id, error)
        reason = str(error)
        if isinstance(error, _DAMAGED):
            reason = f"its compression is damaged: {error}"
        elif isinstance(error, OSError) and not isinstance(error, AtdataError):
            reason = f"reading failed: {error}"
        problem = ShardError(self.shard_id, reason, offset=at)
        problem.__cause__ = error
        return problem


type _Met = tuple[Found | None, bytes | bytearray, ShardIndex | None]


def _samples(cursor: StreamCursor) -> Iterator[_Met]:
    """Samples with their payloads, and at last the index, if there is one."""
    grouping = Grouping()
    index: ShardIndex | None = None
    payload: bytes | bytearray = b""
    try:
        for member in walk(cursor):
            if member.name == INDEX_NAME:
                cursor.samples_end(member.header_at)
                index = _read_index(cursor, member)
                continue
            index = None  # members behind an index make it stale
            cursor.sample_starts(member.header_at)
            done = grouping.add(member)
            if done is not None:
                yield done, payload, None
            if grouping.payload is member and not member.fault:
                payload = _contents(cursor, member)
    except TarError as error:
        last = None if error.suspect else grouping.close()
        if last is not None and not last.fault and last.at + last.size <= error.at:
            yield last, payload, None
        raise
    last = grouping.close()
    if last is not None:
        yield last, payload, None
    yield None, b"", index


def _contents(cursor: StreamCursor, member: Member) -> bytes | bytearray:
    if member.size > MAX_MEMBER:
        raise TarError(
            f"{member.shown} claims {member.size} bytes; a stream may bring {MAX_MEMBER}",
            member.header_at,
        )
    small = member.size <= _PIECE
    payload = cursor.take(member.size) if small else cursor.take_large(member.size)
    if len(payload) < member.size:
        raise TarError(
            f"the contents of {member.shown} are cut short: {member.size} bytes are promised",
            member.header_at,
        )
    return payload


def _read_index(cursor: StreamCursor, member: Member) -> ShardIndex:
    body = _contents(cursor, member)
    span = header(INDEX_NAME.encode(), member.size) + body + END
    n_bytes = member.header_at + len(span)
    if member.size % BLOCK or index_span(span, n_bytes) != len(span):
        raise IndexDamageError("its index cannot be read")
    return parse(span)


def _damaged(index: ShardIndex, cursor: StreamCursor) -> list[int]:
    """The blocks whose digests are not those that were written."""
    proofs = [None] * len(index.damage) if index.proof is None else list(map(bytes, index.proof))
    wanted = zip(index.damage.tolist(), proofs, strict=True)
    return [
        block
        for block, ((damage, proof), found) in enumerate(zip(wanted, cursor.digests, strict=False))
        if damage != found[0] or (proof is not None and found[1] not in (None, proof))
    ]


def _sound(filling: _Filling, index: ShardIndex, cursor: StreamCursor) -> Iterator[Chunk]:
    """What is not handed on yet, without the samples of damaged blocks."""
    blocks = _damaged(index, cursor)
    if not blocks or not len(filling):
        return
    chunk = filling.take()
    edges = index.blocks.first
    row, stop = chunk.row, chunk.row + len(chunk)
    while row < stop:
        block = index.blocks.of_row(row) if row < len(index) else -1
        end = min(stop, int(edges[block + 1])) if block >= 0 else stop
        if block not in blocks:
            yield chunk.within(row, end)
        row = end


def _compare(index: ShardIndex, cursor: StreamCursor, shard_id: str) -> ShardError | None:
    blocks = _damaged(index, cursor)
    if blocks:
        return ShardError(
            shard_id,
            f"block {blocks[0]} is damaged ({len(blocks)} in all): its digest is not the one that "
            "was written; some of its samples may be out already, for a stream shows its digests "
            "last",
            offset=int(index.blocks.at[blocks[0]]),
        )
    if len(cursor.digests) != len(index.damage):
        n = len(cursor.digests)
        return ShardError(shard_id, f"it has {n} blocks, and {len(index.damage)} were written")
    return None
