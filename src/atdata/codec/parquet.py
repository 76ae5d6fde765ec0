"""How much memory a Parquet file would take, found without unpacking it.

The footer of a Parquet file may lie, and a few bytes of a page can stand for any number of values.
So the footer and the header of every page are read here, as Arrow will read them, and what they
claim is added up. Both are structs of Thrift's compact protocol; what is doubtful in one is
refused, so that nothing means one thing here and another thing to Arrow.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_MAGIC = b"PAR1"
_DICTIONARY_PAGE = 2
_NARROWEST = 8  # bytes for a value, whatever its type: what a null or a bool takes in pandas
# Each value may repeat the one before it and add to it, which grows as the square of the page.
_DELTA_BYTE_ARRAY = 7
_DEEPEST = 12
_MOST_VALUES = 1_000_000

# Kinds of values in the compact protocol.
_TRUE, _FALSE, _I8, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)

type Fields = dict[int, tuple[int, Any]]
"""The numbers, structs and lists of a struct: kind and value, by the field's id."""


@dataclass(frozen=True, slots=True)
class Page:
    """What the header of a page says of the page."""

    n_values: int
    n_bytes: int
    encoding: int
    is_dictionary: bool


@dataclass(frozen=True, slots=True)
class Chunk:
    """Where the pages of one column lie, in one group of rows."""

    start: int
    end: int
    n_values: int


def check_expansion(data: memoryview, limit: int) -> None:
    """Refuse a Parquet file that claims to unpack to more than `limit` bytes.

    Args:
        data: The whole file.
        limit: Bytes allowed for the unpacked pages and for the values in them, together.

    Raises:
        ValueError: It claims more, or a page lies outside of the file or is damaged.
    """
    footer = _footer(data)
    schema = [_fields(element) for element in _list(footer, 2)]
    # A column that is only nulls has no pages' worth of bytes, and takes memory all the same.
    _check(_NARROWEST * max(1, len(schema)) * _number(footer, 3, _I64), limit)
    width = max([_NARROWEST, *(_number(element, 2, _I32) for element in schema)])
    claimed = 0
    for group in _list(footer, 4):
        for column in _list(_fields(group), 1):
            for page in pages(data, _chunk(_fields(column), len(data))):
                claimed += page.n_bytes + (0 if page.is_dictionary else width * page.n_values)
                _check(claimed, limit)


def chunks(data: memoryview) -> list[Chunk]:
    """Every column of every group of rows, as the footer tells."""
    groups = [_fields(group) for group in _list(_footer(data), 4)]
    return [_chunk(_fields(column), len(data)) for group in groups for column in _list(group, 1)]


def pages(data: memoryview, chunk: Chunk) -> Iterator[Page]:
    """The pages of a column, until they hold as many values as it has: there Arrow stops too."""
    reader = _Reader(data, chunk.start, chunk.end)
    n_values = 0
    while reader.at < chunk.end and n_values < chunk.n_values:
        header = reader.struct()
        n_packed = _number(header, 3, _I32)
        reader.skip(n_packed)
        page = _page(header)
        if page.encoding == _DELTA_BYTE_ARRAY:
            raise ValueError(
                f"the page before {reader.at} is encoded as DELTA_BYTE_ARRAY, which is not read"
            )
        yield page
        n_values += 0 if page.is_dictionary else page.n_values


def _check(claimed: int, limit: int) -> None:
    if claimed > limit:
        raise ValueError(f"it claims to unpack to {claimed} bytes or more, {limit} allowed")


def _footer(data: memoryview) -> Fields:
    if len(data) < 12 or bytes(data[-4:]) != _MAGIC:
        raise ValueError("no Parquet file: it does not end with the magic bytes")
    n_footer = int.from_bytes(data[-8:-4], "little")
    if n_footer > len(data) - 12:
        raise ValueError(f"the footer claims {n_footer} bytes, and {len(data) - 12} are left")
    return _Reader(data, len(data) - 8 - n_footer, len(data) - 8).struct()


def _chunk(column: Fields, size: int) -> Chunk:
    if 3 not in column:
        raise ValueError("a column does not say where its pages are")
    about = _fields(column[3])
    start = _number(about, 9, _I64)
    dictionary = _number(about, 11, _I64)
    if 0 < dictionary < start:
        start = dictionary
    end = start + _number(about, 7, _I64)
    if end > size:
        raise ValueError(f"a column lies at {start} to {end}, outside of {size} bytes")
    return Chunk(start, end, _number(about, 5, _I64))


def _page(header: Fields) -> Page:
    is_dictionary = _number(header, 1, _I32) == _DICTIONARY_PAGE
    if 5 in header or is_dictionary:
        about, encoding = header.get(7 if is_dictionary else 5), 2
    else:
        about, encoding = header.get(8), 4
    if about is None:
        raise ValueError("a page header does not say what the page holds")
    fields = _fields(about)
    return Page(
        n_values=_number(fields, 1, _I32),
        n_bytes=_number(header, 2, _I32),
        encoding=_number(fields, encoding, _I32),
        is_dictionary=is_dictionary,
    )


def _number(fields: Fields, field: int, wanted: int) -> int:
    kind, value = fields.get(field, (wanted, 0))
    if kind != wanted or value < 0:
        raise ValueError(f"field {field} is no positive number of the right width")
    return int(value)


def _fields(found: tuple[int, Any]) -> Fields:
    kind, value = found
    if kind != _STRUCT:
        raise ValueError("a number stands where a struct is wanted")
    fields: Fields = value
    return fields


def _list(fields: Fields, field: int) -> list[tuple[int, Any]]:
    kind, value = fields.get(field, (_LIST, []))
    if kind != _LIST:
        raise ValueError(f"field {field} is no list")
    items: list[tuple[int, Any]] = value
    return items


class _Reader:
    """Reads Thrift's compact protocol between two offsets; text is passed over."""

    def __init__(self, data: memoryview, at: int, end: int) -> None:
        self.at = at
        self._data = data
        self._end = end
        self._n_values = 0

    def struct(self, depth: int = 0) -> Fields:
        if depth > _DEEPEST:
            raise ValueError(f"a struct at {self.at} is nested too deeply")
        fields: Fields = {}
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._zigzag()
            if field in fields:
                raise ValueError(f"field {field} is there twice, at {self.at}")
            kind = head & 15
            fields[field] = kind, (None if kind in {_TRUE, _FALSE} else self._value(kind, depth))
        return fields

    def skip(self, length: int) -> None:
        if length > self._end - self.at:
            left = self._end - self.at
            raise ValueError(f"{length} bytes are claimed at {self.at}, and {left} are left")
        self.at += length

    def _value(self, kind: int, depth: int) -> Any:
        self._n_values += 1
        if self._n_values > _MOST_VALUES:
            raise ValueError(f"more than {_MOST_VALUES} values describe the file")
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in {_I16, _I32, _I64}:
            return self._zigzag()
        if kind == _LIST:
            return self._list(depth)
        if kind in {_TRUE, _FALSE, _I8}:  # within a list, a truth value is one byte
            self.skip(1)
        elif kind == _DOUBLE:
            self.skip(8)
        elif kind == _BINARY:
            self.skip(self._varint())
        else:
            raise ValueError(f"a value of unknown kind {kind} stands at {self.at}")
        return None

    def _list(self, depth: int) -> list[tuple[int, Any]]:
        head = self._byte()
        kind, length = head & 15, head >> 4
        if length == 15:
            length = self._varint()
        if length > self._end - self.at:  # each takes a byte or more
            raise ValueError(f"a list claims {length} entries at {self.at}")
        if depth >= _DEEPEST:
            raise ValueError(f"a list at {self.at} is nested too deeply")
        return [(kind, self._value(kind, depth + 1)) for _ in range(length)]

    def _byte(self) -> int:
        self.skip(1)
        return self._data[self.at - 1]

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError(f"a number never ends, at {self.at}")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
