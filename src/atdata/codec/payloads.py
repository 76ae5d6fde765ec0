"""Many samples encoded together: their payloads' sizes first, then their bytes, field by field.

The bytes are those that `SampleCodec.encode` gives. Each field of a plain kind is a column: types,
dtypes and shapes are checked for all samples at once, widths of ints and lengths of texts are
worked out as arrays, and every part is written to all payloads in one operation. Samples that do
not fit go through the general encoder, which also words the refusal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Protocol, get_origin

import numpy as np

from atdata._exceptions import SchemaError
from atdata._typing import ByteArray, Int64Array
from atdata.codec.compile import FieldPlan, SampleCodec
from atdata.codec.formats.ndarray import array_header
from atdata.codec.lockstep import reads_in_lockstep
from atdata.codec.recycled import empty

_STAGED_BYTES = 4096


class _CannotError(Exception):
    """These samples must be encoded one by one."""


class _Part(Protocol):
    """One field of many samples, about to be written."""

    @property
    def sizes(self) -> Int64Array | int:
        """Bytes in each payload, or in all of them."""
        ...

    def fill(self, buffer: ByteArray, at: Int64Array, rows: slice) -> None:
        """Write the field of some samples at these offsets."""
        ...


class EncodedSamples:
    """Payloads that were encoded one by one."""

    def __init__(self, payloads: Sequence[bytes]) -> None:
        self._payloads = payloads
        self.sizes: Int64Array = np.fromiter(map(len, payloads), np.int64, len(payloads))

    def fill(self, buffer: ByteArray, at: Int64Array, first: int, last: int) -> None:
        """Write the payloads of rows `[first, last)` at these offsets."""
        target = memoryview(buffer)
        for start, payload in zip(at.tolist(), self._payloads[first:last], strict=True):
            target[start : start + len(payload)] = payload


class ColumnPayloads:
    """Payloads that are laid out field by field."""

    def __init__(self, head: bytes, parts: Sequence[_Part], n: int) -> None:
        self._head = _Constant(head, n)
        self._parts = parts
        sizes = np.full(n, len(head), np.int64)
        for part in parts:
            sizes += part.sizes
        self.sizes: Int64Array = sizes

    def fill(self, buffer: ByteArray, at: Int64Array, first: int, last: int) -> None:
        """Write the payloads of rows `[first, last)` at these offsets."""
        rows = slice(first, last)
        position = at.copy()
        for part in (self._head, *self._parts):
            part.fill(buffer, position, rows)
            position += part.sizes[rows] if isinstance(part.sizes, np.ndarray) else part.sizes


def encode_samples[T](
    codec: SampleCodec[T], samples: Sequence[T]
) -> EncodedSamples | ColumnPayloads:
    """Encode samples of one type.

    Raises:
        SchemaError: A sample does not fit its type; the message names the field.
    """
    try:
        return _encode_columns(codec, samples)
    except (_CannotError, AttributeError):
        return EncodedSamples([_encode(codec, sample) for sample in samples])


def _encode[T](codec: SampleCodec[T], sample: T) -> bytes:
    return codec.encode(sample)


def _encode_columns[T](codec: SampleCodec[T], samples: Sequence[T]) -> ColumnPayloads:
    fields = codec.fields
    kinds = set(map(type, samples))
    if (
        not reads_in_lockstep(fields)
        or len(fields) > 15
        or kinds != {get_origin(codec.sample_type) or codec.sample_type}
    ):
        raise _CannotError
    parts = [_part(plan, list(map(attrgetter(plan.name), samples))) for plan in fields]
    return ColumnPayloads(bytes([0x80 | len(fields)]), parts, len(samples))


def _part(plan: FieldPlan, values: list[Any]) -> _Part:
    kinds = set(map(type, values))
    prefix = _text(plan.name)
    match plan.kind:
        case "int" if kinds == {int}:
            return _ints(prefix, values)
        case "float" if kinds == {float}:
            return _Records(prefix + b"\xcb", np.array(values, ">f8"))
        case "bool" if kinds == {bool}:
            return _Records(prefix, np.where(np.array(values), 0xC3, 0xC2).astype(np.uint8))
        case "str" if kinds == {str}:
            return _Strings(prefix, _encoded(values), text=True)
        case "bytes" if kinds == {bytes}:
            return _Strings(prefix, values, text=False)
        case "ndarray" if kinds == {np.ndarray}:
            return _arrays(plan, prefix, values)
        case _:
            raise _CannotError


def _encoded(values: list[str]) -> list[bytes]:
    try:
        return [value.encode() for value in values]
    except UnicodeEncodeError as error:
        raise _CannotError from error


def _text(text: str) -> bytes:
    raw = text.encode()
    return _string_head(len(raw), text=True) + raw


def _string_head(n: int, *, text: bool) -> bytes:
    if text and n < 32:
        return bytes([0xA0 | n])
    small, middle, large = (0xD9, 0xDA, 0xDB) if text else (0xC4, 0xC5, 0xC6)
    if n < 1 << 8:
        return bytes([small, n])
    if n < 1 << 16:
        return bytes([middle]) + n.to_bytes(2, "big")
    if n < 1 << 32:
        return bytes([large]) + n.to_bytes(4, "big")
    raise _CannotError


def _cells(buffer: ByteArray, width: int) -> np.ndarray[Any, Any]:
    """An array whose element p is the `width` bytes that begin at byte p."""
    n = max(0, len(buffer) - width + 1)
    return np.ndarray((n,), np.dtype(f"V{width}"), buffer, 0, (1,))


def _scatter(buffer: ByteArray, at: Int64Array, rows: ByteArray) -> None:
    """Write each row of a `(n, width)` array at an offset of its own."""
    n, width = rows.shape
    if n == 0 or width == 0:
        return
    step = int(at[1] - at[0]) if n > 1 else width
    if step >= width and (n < 2 or (np.diff(at) == step).all()):
        np.ndarray((n, width), np.uint8, buffer, int(at[0]), (step, 1))[:] = rows
        return
    _cells(buffer, width)[at] = rows.view(np.dtype(f"V{width}")).reshape(n)


@dataclass(frozen=True, slots=True)
class _Constant:
    """The same bytes in every payload."""

    value: bytes
    n: int

    @property
    def sizes(self) -> int:
        return len(self.value)

    def fill(self, buffer: ByteArray, at: Int64Array, rows: slice) -> None:
        del rows
        value = np.frombuffer(self.value, np.uint8)
        _scatter(buffer, at, np.broadcast_to(value, (len(at), len(value))).copy())


class _Records:
    """A prefix and a value of fixed width."""

    def __init__(self, prefix: bytes, values: np.ndarray[Any, Any]) -> None:
        raw = values.view(np.uint8).reshape(len(values), -1)
        self._rows = empty((len(values), len(prefix) + raw.shape[1]), np.dtype(np.uint8))
        self._rows[:, : len(prefix)] = np.frombuffer(prefix, np.uint8)
        self._rows[:, len(prefix) :] = raw
        self.sizes: Int64Array | int = self._rows.shape[1]

    def fill(self, buffer: ByteArray, at: Int64Array, rows: slice) -> None:
        _scatter(buffer, at, self._rows[rows])


class _Rows:
    """The same head and a row of bytes in every payload."""

    def __init__(self, head: bytes, rows: ByteArray) -> None:
        self._head = _Constant(head, len(rows))
        self._rows = rows
        self.sizes: Int64Array | int = len(head) + rows.shape[1]

    def fill(self, buffer: ByteArray, at: Int64Array, rows: slice) -> None:
        self._head.fill(buffer, at, rows)
        _scatter(buffer, at + self._head.sizes, self._rows[rows])


class _Widths:
    """Values of which each is one of a few fixed widths."""

    def __init__(self, parts: Sequence[tuple[Int64Array, _Records]], n: int) -> None:
        self._parts = [part for _, part in parts]
        self._which = np.empty(n, np.int64)
        self._row = np.empty(n, np.int64)
        self.sizes: Int64Array | int = np.empty(n, np.int64)
        for number, (rows, part) in enumerate(parts):
            self._which[rows] = number
            self._row[rows] = np.arange(len(rows))
            self.sizes[rows] = part.sizes

    def fill(self, buffer: ByteArray, at: Int64Array, rows: slice) -> None:
        which, row = self._which[rows], self._row[rows]
        for number, part in enumerate(self._parts):
            mine = np.flatnonzero(which == number)
            if len(mine):
                first, last = int(row[mine[0]]), int(row[mine[-1]])
                part.fill(buffer, at[mine], slice(first, last + 1))


_UNSIGNED = [
    (0xCC, 1 << 8, ">u1"),
    (0xCD, 1 << 16, ">u2"),
    (0xCE, 1 << 32, ">u4"),
    (0xCF, 1 << 63, ">u8"),
]
_SIGNED = [
    (0xD0, -(1 << 7), ">i1"),
    (0xD1, -(1 << 15), ">i2"),
    (0xD2, -(1 << 31), ">i4"),
    (0xD3, -(1 << 63), ">i8"),
]


def _ints(prefix: bytes, values: list[int]) -> _Part:
    try:
        numbers = np.array(values, np.int64)
    except OverflowError as error:
        raise _CannotError from error
    low, high = int(numbers.min()), int(numbers.max())
    parts: list[tuple[Int64Array, _Records]] = []

    def add(mask: np.ndarray[Any, Any], head: bytes, dtype: str) -> None:
        rows = np.flatnonzero(mask)
        if len(rows):
            parts.append((rows, _Records(prefix + head, numbers[rows].astype(dtype))))

    if low < 128 and high >= -32:
        add((numbers >= -32) & (numbers < 128), b"", ">i1")
    floor = 128
    for code, ceiling, dtype in _UNSIGNED:
        if high >= floor:
            top = numbers <= ceiling - 1 if ceiling < 1 << 63 else numbers >= floor
            add((numbers >= floor) & top, bytes([code]), dtype)
        floor = ceiling
    roof = -32
    for code, bottom, dtype in _SIGNED:
        if low < roof:
            add((numbers < roof) & (numbers >= bottom), bytes([code]), dtype)
        roof = bottom
    if len(parts) == 1:
        return parts[0][1]
    return _Widths(parts, len(numbers))


class _Strings:
    """A prefix, a head that depends on the length, and bytes of any length."""

    def __init__(self, prefix: bytes, values: list[bytes], *, text: bool) -> None:
        heads = {n: prefix + _string_head(n, text=text) for n in set(map(len, values))}
        self._heads = [heads[len(value)] for value in values]
        self._values = values
        n = len(values)
        self.sizes: Int64Array | int = np.fromiter(map(len, self._heads), np.int64, n)
        self.sizes += np.fromiter(map(len, values), np.int64, n)

    def fill(self, buffer: ByteArray, at: Int64Array, rows: slice) -> None:
        target = memoryview(buffer)
        for start, head, value in zip(
            at.tolist(), self._heads[rows], self._values[rows], strict=True
        ):
            middle = start + len(head)
            target[start:middle] = head
            target[middle : middle + len(value)] = value


def _arrays(plan: FieldPlan, prefix: bytes, values: list[Any]) -> _Part:
    dtypes = set(map(attrgetter("dtype"), values))
    if len(dtypes) != 1:
        raise _CannotError
    dtype: np.dtype[Any] = dtypes.pop()
    if dtype.kind not in "biufcMm" or dtype.char in "gG":
        raise _CannotError
    if plan.dtype is not None and dtype != plan.dtype:
        raise _CannotError
    shapes = set(map(attrgetter("shape"), values))
    for shape in shapes:
        _check_shape(plan, shape)
    heads: dict[tuple[int, ...], bytes] = {}
    for shape in shapes:
        header = array_header(dtype, shape)
        n_bytes = len(header) + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        heads[shape] = prefix + _string_head(n_bytes, text=False) + header
    if len(shapes) == 1:
        shape = shapes.pop()
        n_bytes = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        if shape and 0 < n_bytes < _STAGED_BYTES:
            stacked = empty((len(values) * shape[0], *shape[1:]), dtype)
            np.concatenate(values, out=stacked)
            return _Rows(heads[shape], stacked.reshape(len(values), -1).view(np.uint8))
    return _BigArrays(values, heads, dtype)


def _check_shape(plan: FieldPlan, shape: tuple[int, ...]) -> None:
    if plan.shape is None:
        return
    if len(plan.shape) != len(shape):
        raise _CannotError
    for wanted, found in zip(plan.shape, shape, strict=True):
        if isinstance(wanted, int) and wanted != found:
            raise _CannotError


class _BigArrays:
    """Arrays that are copied one by one, each after its head."""

    def __init__(
        self, values: list[Any], heads: dict[tuple[int, ...], bytes], dtype: np.dtype[Any]
    ) -> None:
        self._values = values
        self._heads = [heads[value.shape] for value in values]
        self._dtype = dtype
        n = len(values)
        self.sizes: Int64Array | int = np.fromiter(map(len, self._heads), np.int64, n)
        self.sizes += np.fromiter((value.nbytes for value in values), np.int64, n)

    def fill(self, buffer: ByteArray, at: Int64Array, rows: slice) -> None:
        target = memoryview(buffer)
        for start, head, value in zip(
            at.tolist(), self._heads[rows], self._values[rows], strict=True
        ):
            middle = start + len(head)
            target[start:middle] = head
            if value.nbytes:
                flat = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
                target[middle : middle + len(flat)] = flat.data


def sample_error(number: int, error: SchemaError) -> SchemaError:
    """Say which sample of an iterable it was."""
    error.add_note(f"in sample {number}")
    return error
