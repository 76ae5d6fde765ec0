"""Fields of many payloads as Arrow arrays, without making samples; equal to the general path."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from atdata._typing import ByteArray, Int64Array
from atdata.codec.columns import (
    Arrays,
    Column,
    Columns,
    Memory,
    Numbers,
    RaggedArrays,
    Sparse,
    Texts,
)
from atdata.codec.compile import SampleCodec
from atdata.codec.lockstep import decode_columns
from atdata.codec.positions import Spaced, array
from atdata.manifest.fields import FieldSpec
from atdata.manifest.kinds import list_of
from atdata.manifest.pieces import MAX_TEXT, Piece, nothing


class NotPackedError(Exception):
    """These payloads must be looked at one by one."""


def columns_of(
    codec: SampleCodec[Any], data: ByteArray, at: Int64Array, size: Int64Array
) -> Columns[Any] | None:
    """Payloads as columns, where all look alike."""
    return decode_columns(codec, at, size, Memory(data, lambda: (data, 0), copy=False))


def packed_pieces(
    columns: Columns[Any], data: ByteArray, specs: Sequence[FieldSpec]
) -> dict[str, Piece]:
    """The columns of a manifest from those of payloads.

    Raises:
        NotPackedError: A field must be looked at sample by sample.
    """
    if columns.layout is None:
        raise NotPackedError
    found: dict[str, Piece] = {}
    for spec in specs:
        name, _, rest = spec.path.partition(".")
        column = columns.layout.get(name)
        if column is None:
            raise NotPackedError
        found[spec.path] = _piece(column, data, rest)
    return found


def _piece(column: Column, data: ByteArray, rest: str) -> Piece:
    if isinstance(column, Sparse):
        if column.inner is None:
            return nothing(column.n)
        inner = _piece(column.inner, data, rest)
        places = np.full(column.n, -1, np.int64)
        places[column.rows] = np.arange(len(column.rows))
        return Piece(inner.kind, inner.all().take(pa.array(places, mask=places < 0)))
    if isinstance(column, Numbers):
        return _numbers(column.array)
    if isinstance(column, Texts):
        return Piece("str", _texts(column, data))
    if isinstance(column, Arrays | RaggedArrays) and rest:
        return _shapes(column) if rest == "shape" else _constant(str(column.dtype), column)
    raise NotPackedError


def _numbers(values: np.ndarray[Any, Any]) -> Piece:
    kind = {"b": "bool", "i": "int", "f": "float"}[values.dtype.kind]
    return Piece(kind, pa.array(np.ascontiguousarray(values)))


def _constant(text: str, column: Arrays | RaggedArrays) -> Piece:
    return Piece("str", pa.array([text]), len(column.start))


def _shapes(column: Arrays | RaggedArrays) -> Piece:
    if isinstance(column, Arrays):
        one = _lists(np.array([column.shape], np.int64).reshape(1, -1))
        return Piece(one.kind, one.values, len(column.start))
    return _lists(column.shapes)


def _lists(rows: Int64Array) -> Piece:
    n, rank = rows.shape
    if rank * n >= 1 << 31:
        raise NotPackedError
    flat = pa.array(np.ascontiguousarray(rows.reshape(-1))) if rank else pa.nulls(0)
    ends = pa.array(np.arange(n + 1, dtype=np.int32) * np.int32(rank))
    made = pa.ListArray.from_arrays(ends, flat, type=list_of(flat.type))
    return Piece("list[int]" if rank else "list[]", made)


def _texts(column: Texts, data: ByteArray) -> Any:
    length = column.length
    if len(length) and int(length.max()) > MAX_TEXT // 4:
        raise NotPackedError
    ends = np.zeros(len(length) + 1, np.int64)
    np.cumsum(length, out=ends[1:])
    text = _gathered(column, data, int(ends[-1]))
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise NotPackedError from error
    cuts = ends[:-1][length > 0]
    if (np.frombuffer(text, np.uint8)[cuts] & 0xC0 == 0x80).any():
        raise NotPackedError  # a text begins inside a character
    buffers = [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(text)]
    return pa.Array.from_buffers(pa.string(), len(length), buffers)


def _gathered(column: Texts, data: ByteArray, n_bytes: int) -> bytes:
    start, length = column.start, column.length
    if len(length) and isinstance(start, Spaced) and (length == length[0]).all():
        shape = (start.n, int(length[0]))
        return np.ndarray(shape, np.uint8, data, start.first, (start.step, 1)).tobytes()
    if n_bytes < 32 * len(length):  # an index for each byte costs less than a slice for each text
        before = np.cumsum(length) - length
        return data[np.repeat(array(start) - before, length) + np.arange(n_bytes)].tobytes()
    view = memoryview(data)
    spans = zip(array(start).tolist(), length.tolist(), strict=True)
    return b"".join([view[a : a + n] for a, n in spans])
