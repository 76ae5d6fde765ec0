"""Finding the samples of a shard that has no index.

The general way walks from header to header. Where every member is an ordinary one, all headers
are found and checked together as arrays, which is some fifty times as fast; both give the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from atdata._exceptions import ShardError, printable
from atdata._typing import ByteArray, Int64Array
from atdata.shard.keys import (
    EXTENSION,
    INDEX_NAME,
    Keys,
    StoredKeys,
    has_key,
    is_meta,
    split_name,
    stored_keys,
)
from atdata.shard.tar import BLOCK, END, MAX_FILL, Cursor, Member, TarError, walk

_SMALL_MEMBER = 64 * BLOCK
_ROWS_AT_ONCE = 1024
_TAIL = b"." + EXTENSION.encode()

MAX_PARTS = 1000
"""A sample of more members than this is refused."""

MAX_FAULTS = 10_000
"""Reading ends where more samples than this could not be read: it is no shard of samples."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The samples of a mapped shard, and what is wrong with it.

    Attributes:
        at: Byte offset of each sample's payload.
        size: Payload bytes of each sample.
        keys: Key of each sample.
        faults: Samples that cannot be read, each with the row it would have had.
        damage: Why reading must stop after the last sample, or None.
    """

    at: Int64Array
    size: Int64Array
    keys: Keys
    faults: list[tuple[int, ShardError]]
    damage: ShardError | None


@dataclass(frozen=True, slots=True)
class Found:
    """One sample met while walking: where its payload lies, or why it has none."""

    key: str
    header_at: int
    at: int
    size: int
    fault: str = ""


class MappedCursor:
    """Reads a mapped file in order."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self.at = 0

    def take(self, n_bytes: int) -> bytes:
        """The next bytes; fewer only at the end."""
        piece = bytes(self._data[self.at : self.at + n_bytes])
        self.at += len(piece)
        return piece

    def skip_to(self, at: int) -> bool:
        """Move on to an offset; False if the file ends before it."""
        if at > len(self._data):
            return False
        self.at = at
        return True


class Grouping:
    """Puts neighbouring members with one key together and finds each sample's payload.

    A sample is handed on when the next begins, so that bytes before a header that makes no sense
    are never taken for good.

    Attributes:
        payload: The member that holds the open sample's payload, once it is met.
        index_at: Where the index begins, if that was the last member met.
    """

    def __init__(self) -> None:
        self.payload: Member | None = None
        self.index_at: int | None = None
        self._key: str | None = None
        self._header_at = 0
        self._extensions: set[str] = set()
        self._fault = ""
        self._n_faults = 0

    def add(self, member: Member) -> Found | None:
        """Take a member; return the sample that it shows to be complete."""
        self.index_at = member.header_at if member.name == INDEX_NAME else None
        if is_meta(member.name) or not (member.fault or has_key(member.name)):
            return None
        key, ext = split_name(member.name)
        done = None
        if key != self._key:
            done = self.close()
            self._key, self._header_at = key, member.header_at
        if ext in self._extensions:
            self._wrong(f"has two members named {member.shown}")
        elif len(self._extensions) == MAX_PARTS:
            self._wrong(f"has more than {MAX_PARTS} members")
        else:
            self._extensions.add(ext)
            if ext == EXTENSION:
                self.payload = member
        if member.fault and (ext == EXTENSION or not has_key(member.name)):
            self._wrong(f"{member.shown} {member.fault}")
        return done

    def _wrong(self, fault: str) -> None:
        self._fault = self._fault or fault

    def close(self) -> Found | None:
        """Return the sample that is open, if any.

        Raises:
            TarError: Too many samples cannot be read.
        """
        key, payload, fault = self._key, self.payload, self._fault
        if key is None:
            return None
        if payload is None:
            others = ", ".join("." + ext for ext in sorted(self._extensions)[:5])
            fault = fault or f"has no .{EXTENSION} member, only {printable(others)}"
        self._key, self.payload, self._fault = None, None, ""
        self._extensions.clear()
        self._n_faults += bool(fault)
        if self._n_faults > MAX_FAULTS:
            raise TarError(
                f"more than {MAX_FAULTS} samples cannot be read; the last {fault}", self._header_at
            )
        if fault or payload is None:
            return Found(key, self._header_at, self._header_at, 0, fault)
        return Found(key, self._header_at, payload.at, payload.size)


def find_samples(cursor: Cursor) -> Iterator[Found]:
    """Walk an archive without a readable index and yield its samples.

    Raises:
        TarError: The archive is damaged. The sample before bytes that make no sense is held back.
    """
    grouping = Grouping()
    try:
        for member in walk(cursor):
            found = grouping.add(member)
            if found is not None:
                yield found
    except TarError as error:
        last = None if error.suspect else grouping.close()
        if last is not None and not last.fault and last.at + last.size <= error.at:
            yield last
        raise
    last = grouping.close()
    if last is not None:
        yield last
    if grouping.index_at is not None:
        raise TarError("its index cannot be read", grouping.index_at)


def shard_error(shard_id: str, error: TarError) -> ShardError:
    """The error a reader sees for damage in an archive."""
    return ShardError(shard_id, error.reason, offset=error.at)


def scan(data: ByteArray, shard_id: str) -> Scan:
    """Find the samples of a mapped shard.

    Args:
        data: The whole file.
        shard_id: For messages.
    """
    return scan_together(data) or scan_one_by_one(data, shard_id)


def scan_one_by_one(data: ByteArray, shard_id: str) -> Scan:
    """Find samples by walking from header to header: any archive."""
    at: list[int] = []
    size: list[int] = []
    keys: list[str] = []
    faults: list[tuple[int, ShardError]] = []
    damage = None
    try:
        for found in find_samples(MappedCursor(memoryview(data))):
            if found.fault:
                error = ShardError(shard_id, found.fault, offset=found.header_at, key=found.key)
                faults.append((len(at), error))
                continue
            at.append(found.at)
            size.append(found.size)
            keys.append(found.key)
    except TarError as error:
        damage = shard_error(shard_id, error)
    return Scan(
        np.array(at, np.int64), np.array(size, np.int64), stored_keys(keys), faults, damage
    )


def scan_together(data: ByteArray) -> Scan | None:
    """Find samples by checking all headers at once; None where any member is out of the ordinary.

    Ordinary is: plain files named `key.msgpack`, each after one ustar header or after a pax
    header that says nothing but the time; a chain of headers without a gap from the first byte to
    the zero blocks; nothing but zeros after those.
    """
    n_blocks = len(data) // BLOCK
    if n_blocks < 3 or len(data) % BLOCK:
        return None
    rows = data.reshape(n_blocks, BLOCK)
    if not _small_members(rows):
        return None
    magic = np.ndarray((n_blocks,), "<u4", data, 257, (BLOCK,)) == 0x61747375  # b"usta"
    heads = np.flatnonzero(magic)
    if len(heads) == 0 or heads[0] != 0:
        return None
    sizes = _sizes(rows, heads)
    if sizes is None:
        return None
    after = heads + 1 + ((sizes + (BLOCK - 1)) >> 9)
    if not np.array_equal(after[:-1], heads[1:]):
        return None
    end = int(after[-1]) * BLOCK
    if not len(END) <= len(data) - end <= MAX_FILL or data[end:].any():
        return None
    flags = rows[:, 156][heads]
    if not _checksums_hold(rows, heads):
        return None
    pax = flags == ord("x")
    if pax.any():
        if not _pax_says_only_time(rows, heads, sizes, pax):
            return None
        heads, sizes, flags = heads[~pax], sizes[~pax], flags[~pax]
    if not (flags == ord("0")).all():
        return None
    keys = _keys(rows, heads)
    if keys is None:
        return None
    return Scan((heads + 1) * BLOCK, sizes, keys, [], None)


def _small_members(rows: ByteArray) -> bool:
    """Whether looking at every block costs less than hopping from member to member."""
    sizes = _sizes(rows, np.zeros(1, np.int64))
    return sizes is not None and int(sizes[0]) < _SMALL_MEMBER


def _octal(digits: ByteArray) -> Int64Array | None:
    """Numbers of octal digits, shape `(n, width)`; None where one is something else."""
    if not ((digits >= ord("0")) & (digits <= ord("7"))).all():
        return None
    value = np.zeros(len(digits), np.int64)
    for column in range(digits.shape[1]):
        value = value * 8 + (digits[:, column] - ord("0"))
    return value


def _blank(field: ByteArray) -> bool:
    """Whether all bytes are what may follow a number: a zero or a space."""
    return bool(((field == 0) | (field == ord(" "))).all())


def _sizes(rows: ByteArray, heads: Int64Array) -> Int64Array | None:
    """Sizes in some headers; None where one is not eleven plain octal digits."""
    field = rows[:, 124:136][heads]
    return _octal(field[:, :11]) if _blank(field[:, 11]) else None


def _checksums_hold(rows: ByteArray, heads: Int64Array) -> bool:
    for start in range(0, len(heads), _ROWS_AT_ONCE):
        block = rows[heads[start : start + _ROWS_AT_ONCE]]
        field = block[:, 148:156]
        stored = _octal(field[:, :6])
        if stored is None or not _blank(field[:, 6:]):
            return False
        # Bytes summed four at a time: 64 additions to a 16-bit lane cannot overflow it.
        words = block.view("<u8")
        low = np.uint64(0x00FF00FF00FF00FF)
        lanes = ((words & low) + ((words >> np.uint64(8)) & low)).sum(axis=1, dtype=np.uint64)
        total = lanes.view("<u2").reshape(-1, 4).sum(axis=1, dtype=np.int64)
        if not np.array_equal(total - field.sum(axis=1, dtype=np.int64) + 8 * 32, stored):
            return False
    return True


def _pax_says_only_time(
    rows: ByteArray, heads: Int64Array, sizes: Int64Array, pax: np.ndarray
) -> bool:
    """Whether each pax header is one block `NN mtime=…` and a plain member follows it."""
    if pax[-1] or (pax[1:] & pax[:-1]).any():
        return False
    heads, sizes = heads[pax], sizes[pax]
    if not ((sizes >= 10) & (sizes <= 99)).all():
        return False
    for start in range(0, len(heads), _ROWS_AT_ONCE):
        size = sizes[start : start + _ROWS_AT_ONCE]
        text = rows[:, :99][heads[start : start + _ROWS_AT_ONCE] + 1]
        digits = text[:, :2].astype(np.int64) - ord("0")
        newline = text == ord("\n")
        if not (
            ((digits >= 0) & (digits <= 9)).all()
            and np.array_equal(digits @ [10, 1], size)
            and (text[:, 2:9] == np.frombuffer(b" mtime=", np.uint8)).all()
            and (newline.sum(axis=1) == 1).all()
            and newline[np.arange(len(size)), size - 1].all()
        ):
            return False
    return True


def _keys(rows: ByteArray, heads: Int64Array) -> Keys | None:
    """Keys of members that are all named `key.msgpack`, no two neighbours alike."""
    lengths: list[Int64Array] = []
    texts: list[bytes] = []
    last = b""
    for start in range(0, len(heads), _ROWS_AT_ONCE):
        found = _some_keys(rows, heads[start : start + _ROWS_AT_ONCE])
        if found is None:
            return None
        keys, length = found
        if keys[0].tobytes() == last:
            return None
        last = keys[-1].tobytes()
        lengths.append(length)
        texts.append(keys[np.arange(100) < length[:, None]].tobytes())
    return StoredKeys(np.cumsum(np.concatenate(lengths)), b"".join(texts))


def _some_keys(rows: ByteArray, heads: Int64Array) -> tuple[ByteArray, Int64Array] | None:
    """Keys filled up with zeros, shape `(n, 100)`, and their lengths."""
    if rows[:, 345][heads].any():
        return None
    names = rows[:, :100][heads]
    zero = names == 0
    length = np.where(zero.any(axis=1), zero.argmax(axis=1), 100) - len(_TAIL)
    if (length < 1).any():
        return None
    each = np.arange(len(names))
    tail = names[each[:, None], length[:, None] + np.arange(len(_TAIL))]
    keys = names * (np.arange(100) < length[:, None])
    whole = np.ascontiguousarray(keys).view("V100").ravel()
    if (
        (tail != np.frombuffer(_TAIL, np.uint8)).any()
        or (keys == ord(".")).any()
        or (keys >= 128).any()  # UTF-8 is checked the general way
        or (keys[:, :2] == ord("_")).all(axis=1).any()
        or (names[each, length - 1] == ord("/")).any()
        or (whole[1:] == whole[:-1]).any()
    ):
        return None
    return keys, length
