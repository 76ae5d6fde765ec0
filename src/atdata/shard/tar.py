"""Tar headers: written from numbers, and read with every claim checked.

The format is POSIX.1-2001 pax over ustar, with the GNU long-name and base-256 forms that other
writers use. Names and sizes are the only facts a shard needs; owners, modes and times are ignored
when read and zero when written.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from atdata._exceptions import printable

BLOCK = 512
END = bytes(2 * BLOCK)
"""Two zero blocks end an archive."""

MAX_EXTENDED = 1 << 20
"""An extended header or long name beyond this many bytes is refused."""

MAX_NAME = 1 << 16
"""A member's name beyond this many bytes is refused."""

MAX_FILL = 4 << 20
"""More zeros than this behind the end are refused; tar fills up to its blocking factor only."""

_DIRECTORY, _PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK = b"5", b"x", b"g", b"L", b"K"
_REFUSED = {
    b"1": "is a hard link",
    b"2": "is a symbolic link",
    b"3": "is a character device",
    b"4": "is a block device",
    b"6": "is a named pipe",
    b"S": "is a sparse file",
}


class TarError(Exception):
    """What is wrong with an archive, and at which byte."""

    def __init__(self, reason: str, at: int, *, suspect: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.at = at
        # The bytes before a header that makes no sense may be shifted: the member that ended
        # there cannot be trusted. A clean end of the file says nothing of the kind.
        self.suspect = suspect


@dataclass(frozen=True, slots=True)
class Member:
    """One regular file in an archive.

    Attributes:
        name: Its path in the archive.
        header_at: Byte offset of its first header, extended headers included.
        at: Byte offset of its contents.
        size: Length of its contents in bytes.
        fault: Why it cannot be read (a link, say), or an empty string.
    """

    name: str
    header_at: int
    at: int
    size: int
    fault: str = ""

    @property
    def shown(self) -> str:
        """Its name for messages."""
        return printable(repr(self.name))


def padded(n_bytes: int) -> int:
    """Round up to whole blocks.

    Examples:
        >>> padded(0), padded(1), padded(512)
        (0, 512, 512)
    """
    return -(-n_bytes // BLOCK) * BLOCK


def header(name: bytes, size: int, *, typeflag: bytes = b"0") -> bytes:
    """One ustar header with zero times and owners.

    Args:
        name: At most 100 bytes.
        size: Contents in bytes, below 8 GiB.
        typeflag: `b"0"` for a regular file.

    Returns:
        512 bytes.

    Examples:
        >>> header(b"a.msgpack", 3)[:9], len(header(b"a", 0))
        (b'a.msgpack', 512)
    """
    block = bytearray(BLOCK)
    block[: len(name)] = name
    block[100:108] = b"0000644\0"
    block[108:116] = block[116:124] = b"0000000\0"
    block[124:136] = b"%011o\0" % size
    block[136:148] = b"00000000000\0"
    block[148:156] = b" " * 8
    block[156:157] = typeflag
    block[257:265] = b"ustar\x0000"
    block[329:337] = block[337:345] = b"0000000\0"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def member_header(name: str, size: int) -> bytes:
    """All headers of a regular file: one block, or three where the name needs a pax record.

    Examples:
        >>> len(member_header("a.msgpack", 3)), len(member_header("a" * 101, 3))
        (512, 1536)
    """
    raw = name.encode()
    if len(raw) <= 100:
        return header(raw, size)
    record = _pax_record(b"path", raw)
    pax = header(b"././@PaxHeader", len(record), typeflag=_PAX)
    return pax + record.ljust(padded(len(record)), b"\0") + header(_cut(raw), size)


def _cut(raw: bytes) -> bytes:
    """The first 100 bytes of a name, ending at a whole character."""
    return raw[:100].decode(errors="ignore").encode()


def _pax_record(key: bytes, value: bytes) -> bytes:
    body = b" " + key + b"=" + value + b"\n"
    size = len(body) + 1
    while len(str(size)) + len(body) != size:
        size = len(str(size)) + len(body)
    return str(size).encode() + body


class Cursor(Protocol):
    """Bytes read in order: what `walk` needs of a mapped file or a stream."""

    @property
    def at(self) -> int:
        """Byte offset of what is read next."""
        ...

    def take(self, n_bytes: int) -> bytes:
        """The next bytes; fewer only at the end."""
        ...

    def skip_to(self, at: int) -> bool:
        """Move on to an offset; False if the archive ends before it."""
        ...


def walk(cursor: Cursor) -> Iterator[Member]:
    """Yield an archive's regular files, one at a time, in order.

    The caller may take a member's contents from the cursor before it asks for the next.
    Directories are passed over; what else is no regular file comes with its `fault`.

    Raises:
        TarError: The archive is damaged, or ends without its two zero blocks.
    """
    extended: dict[str, bytes] = {}
    first_at = None
    n_extended = 0
    while True:
        at = cursor.at
        block = cursor.take(BLOCK)
        if len(block) < BLOCK:
            what = "a header is cut short" if block else "the end-of-archive blocks are missing"
            raise TarError(f"{what}: the shard ends at byte {at + len(block)}", at)
        if not any(block):
            _check_end(cursor, at, pending=first_at is not None)
            return
        if first_at is None:
            first_at = at
        name, size, flag = _parse(block, at)
        if flag in (_PAX, b"X", _PAX_GLOBAL, _GNU_NAME, _GNU_LINK):
            n_extended += BLOCK + size
            data = _extended_data(cursor, at, size, n_extended)
            if flag in (_PAX, b"X"):
                extended.update(_pax_records(data, at))
            elif flag == _GNU_NAME:
                extended["path"] = data.rstrip(b"\0")
            elif flag == _PAX_GLOBAL:
                _refuse_global(_pax_records(data, at), at)
                if first_at == at:
                    first_at, n_extended = None, 0
            continue
        member = _member(name, size, flag, extended, header_at=first_at, at=cursor.at)
        extended, first_at, n_extended = {}, None, 0
        end = member.at + padded(member.size)
        if flag != _DIRECTORY:
            yield member
        elif member.size:
            raise TarError(f"the directory {member.shown} claims contents", member.header_at)
        if not cursor.skip_to(end):
            raise TarError(
                f"the contents of {member.shown} are cut short: {member.size} bytes are promised",
                member.header_at,
            )


def _member(
    name: bytes, size: int, flag: bytes, extended: dict[str, bytes], *, header_at: int, at: int
) -> Member:
    """Put a header and its extended records together."""
    fault = ""
    name = extended.get("path", name)
    if "size" in extended:
        digits = extended["size"]
        if not digits.isdigit() or len(digits) > 19:
            raise TarError(f"an extended header gives the size as {digits[:40]!r}", header_at)
        size = int(digits)
    if len(name) > MAX_NAME:
        raise TarError(f"a name has {len(name)} bytes; the limit is {MAX_NAME}", header_at)
    if any(key.startswith("GNU.sparse") for key in extended):
        fault = _REFUSED[b"S"]
    elif flag not in (b"0", b"\0", b"7", b"5"):
        fault = _REFUSED.get(flag, f"is of the unknown type {flag!r}")
        if flag in (b"1", b"2", b"3", b"4", b"6"):
            size = 0  # links and devices have no contents, whatever the size says
    try:
        text = name.decode()
    except UnicodeDecodeError:
        text = name.decode(errors="backslashreplace")
        fault = fault or "has a name that is not UTF-8"
    if "\0" in text:
        fault = fault or "has a name with a zero byte"
    return Member(text, header_at, at, size, fault)


def _check_end(cursor: Cursor, at: int, *, pending: bool) -> None:
    """Two zero blocks, then nothing but zeros."""
    if pending:
        raise TarError("an extended header is followed by no member", at, suspect=True)
    second = cursor.take(BLOCK)
    if len(second) < BLOCK:
        raise TarError(f"the shard ends inside its end-of-archive blocks, at byte {at}", at)
    rest = second
    while rest:
        if rest.count(0) != len(rest):
            raise TarError("there is data after the end of the archive", at + BLOCK)
        if cursor.at - at > MAX_FILL:
            raise TarError(f"more than {MAX_FILL} bytes of zeros follow the archive", at)
        rest = cursor.take(1 << 16)


def _parse(block: bytes, at: int) -> tuple[bytes, int, bytes]:
    """Name, size and type of one header block."""
    stored = _number(block[148:156], "checksum", at)
    total = sum(block) - sum(block[148:156]) + 8 * 32
    if stored != total and stored != total - 256 * sum(b > 127 for b in block[:148] + block[156:]):
        raise TarError("a header does not match its checksum", at, suspect=True)
    name = block[:100].partition(b"\0")[0]
    if block[257:263] == b"ustar\0" and block[345]:
        name = block[345:500].partition(b"\0")[0] + b"/" + name
    return name, _number(block[124:136], "size", at), block[156:157]


def _number(field: bytes, what: str, at: int) -> int:
    """An octal or base-256 number."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=False) & ((1 << (8 * len(field) - 1)) - 1)
        if field[0] & 0x40 or value >= 1 << 62:
            raise TarError(f"a header's {what} is negative or beyond 62 bits", at, suspect=True)
        return value
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        raise TarError(f"a header's {what} is not octal: {field!r}", at, suspect=True)
    return int(digits or b"0", 8)


def _extended_data(cursor: Cursor, at: int, size: int, n_extended: int) -> bytes:
    if size > MAX_EXTENDED:
        raise TarError(f"an extended header claims {size} bytes; the limit is {MAX_EXTENDED}", at)
    if n_extended > 2 * MAX_EXTENDED:
        raise TarError(f"one member's extended headers exceed {2 * MAX_EXTENDED} bytes", at)
    data = cursor.take(padded(size))
    if len(data) < padded(size):
        raise TarError("an extended header is cut short", at)
    return data[:size]


def _pax_records(data: bytes, at: int) -> dict[str, bytes]:
    """Parse `length key=value` records (POSIX.1-2001, pax extended header)."""
    records: dict[str, bytes] = {}
    start = 0
    while start < len(data):
        space = data.find(b" ", start, start + 20)
        digits = data[start:space]
        if space < 0 or not digits.isdigit():
            raise TarError("an extended header is malformed", at, suspect=True)
        end = start + int(digits)
        key, equals, value = data[space + 1 : end].partition(b"=")
        if end > len(data) or end <= space or not equals or not value.endswith(b"\n"):
            raise TarError("an extended header is malformed", at, suspect=True)
        records[key.decode(errors="replace")] = value[:-1]
        start = end
    return records


def _refuse_global(records: dict[str, bytes], at: int) -> None:
    for key in records:
        if key in ("path", "size") or key.startswith("GNU.sparse"):
            raise TarError(f"a global header sets {key!r} for all members", at)
