"""Many samples decoded together, field by field, without touching them one by one.

Samples of one type are msgpack maps of one layout: the same keys in the same order, most values
of the same width. So all samples of a chunk are walked in lockstep: every header is compared with
the first sample's in one operation, and lengths, numbers and array positions are read as arrays.
What differs between samples (the width of an int, the length of a text, a ragged shape, a None)
is handled with masks. Whatever else comes up makes `decode_columns` return None, and the
samples are decoded one by one; both ways give equal samples or the same refusal.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from atdata._typing import ByteArray, Int64Array
from atdata.codec.columns import (
    Arrays,
    Bytes,
    Column,
    Columns,
    Defaults,
    Memory,
    Numbers,
    RaggedArrays,
    Sparse,
    Texts,
)
from atdata.codec.compile import FieldPlan, SampleCodec
from atdata.codec.dtypes import n_bytes as size_of
from atdata.codec.formats.ndarray import dtype_from_name
from atdata.codec.positions import Positions, Spaced, array, positions, taken, values_at


class NotInLockstepError(Exception):
    """These samples must be decoded one by one."""


def decode_columns[T](
    codec: SampleCodec[T], at: Int64Array, size: Int64Array, memory: Memory
) -> Columns[T] | None:
    """Decode samples together.

    Args:
        codec: Their type's codec.
        at: Offset of each payload in the memory.
        size: Length of each payload.
        memory: The bytes.

    Returns:
        None where they must be decoded one by one.
    """
    if len(at) == 0 or not reads_in_lockstep(codec.fields):
        return None
    try:
        plans = {plan.name: plan for plan in codec.fields}
        end, columns = _Lockstep(memory.data).read_map(positions(at), plans)
        if (array(end) != at + size).any():
            return None
    except (NotInLockstepError, IndexError, ValueError):
        return None
    ordered: dict[str, Column] = {}
    for plan in codec.fields:
        column = columns.get(plan.name)
        if column is None:
            if plan.required:
                return None
            column = Defaults(len(at), plan.default)
        ordered[plan.name] = column
    return Columns(codec, len(at), ordered, memory)


def reads_in_lockstep(fields: Sequence[FieldPlan]) -> bool:
    """Whether every field is of a plain kind, and no dimension's name ties two of them."""
    names = [dim for plan in fields for dim in plan.shape or () if isinstance(dim, str)]
    plain = all(plan.kind != "other" and plan.init for plan in fields)
    return bool(fields) and plain and len(names) == len(set(names))


type _DTypes = dict[int, np.dtype[Any]]

_INTS: _DTypes = {
    0xCC: np.dtype(">u1"), 0xCD: np.dtype(">u2"), 0xCE: np.dtype(">u4"), 0xCF: np.dtype(">u8"),
    0xD0: np.dtype(">i1"), 0xD1: np.dtype(">i2"), 0xD2: np.dtype(">i4"), 0xD3: np.dtype(">i8"),
}  # fmt: skip
_STR: _DTypes = {0xD9: np.dtype(">u1"), 0xDA: np.dtype(">u2"), 0xDB: np.dtype(">u4")}
_BIN: _DTypes = {0xC4: np.dtype(">u1"), 0xC5: np.dtype(">u2"), 0xC6: np.dtype(">u4")}
_BYTE = np.dtype("u1")
_WORDS: _DTypes = {1: _BYTE, 2: np.dtype("<u2"), 4: np.dtype("<u4"), 8: np.dtype("<u8")}
_SIZE = np.dtype("<i8")
_NIL, _FALSE, _TRUE, _FLOAT64 = 0xC0, 0xC2, 0xC3, 0xCB
_FLOAT = np.dtype(">f8")


class _Lockstep:
    """Reads msgpack values that start at many positions of one buffer."""

    def __init__(self, data: ByteArray) -> None:
        self._data = data

    def _read(self, p: Positions, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        """The values of a dtype that are stored at the positions."""
        if isinstance(p, Spaced):
            last = p.first + p.step * (p.n - 1) + dtype.itemsize
            if last > len(self._data):
                raise NotInLockstepError
            return np.ndarray((p.n,), dtype, self._data, p.first, (p.step,))
        return values_at(self._data, dtype)[p]

    def read_map(
        self, p: Positions, plans: Mapping[str, FieldPlan]
    ) -> tuple[Positions, dict[str, Column]]:
        """Read one map at each position; return where they end, and their fields."""
        n_fields = self._same_byte(p)
        if n_fields & 0xF0 == 0x80:
            n_fields &= 0x0F
            p = p + 1
        elif n_fields == 0xDE:
            n_fields = int.from_bytes(self._same_bytes(p + 1, 2), "big")
            p = p + 3
        else:
            raise NotInLockstepError
        columns: dict[str, Column] = {}
        for _ in range(n_fields):
            name, p = self._key(p)
            plan = plans.get(name)
            if plan is None or name in columns:
                raise NotInLockstepError
            columns[name], p = self._field(plan, p)
        return p, columns

    def _same_byte(self, p: Positions) -> int:
        found = self._read(p, _BYTE)
        first = int(found[0])
        if not (found == first).all():
            raise NotInLockstepError
        return first

    def _same_bytes(self, p: Positions, n: int) -> bytes:
        """What stands at every position, `n` bytes long; compared eight bytes at a time."""
        first = self._first(p)
        wanted = self._data[first : first + n].tobytes()
        done = 0
        while done < n:
            size = min(8, 1 << ((n - done).bit_length() - 1))
            found = self._read(p + done, _WORDS[size])
            if not (found == found[0]).all():
                raise NotInLockstepError
            done += size
        return wanted

    def _first(self, p: Positions) -> int:
        return p.first if isinstance(p, Spaced) else int(p[0])

    def _key(self, p: Positions) -> tuple[str, Positions]:
        first = self._first(p)
        head = int(self._data[first])
        if head & 0xE0 == 0xA0:
            n, skip = head & 0x1F, 1
        elif head == 0xD9:
            n, skip = int(self._data[first + 1]), 2
        else:
            raise NotInLockstepError
        raw = self._same_bytes(p, n + skip)
        return raw[skip:].decode(), p + (n + skip)

    def _field(self, plan: FieldPlan, p: Positions) -> tuple[Column, Positions]:
        head = self._read(p, _BYTE)
        if plan.optional:
            nil = head == _NIL
            if nil.any():
                rows = np.flatnonzero(~nil)
                after = array(p) + 1
                if len(rows) == 0:
                    return Sparse(len(p), rows, None), after
                inner, ends = self._value(plan, taken(p, rows), head[rows])
                after[rows] = array(ends)
                return Sparse(len(p), rows, inner), after
        return self._value(plan, p, head)

    def _value(self, plan: FieldPlan, p: Positions, head: ByteArray) -> tuple[Column, Positions]:
        match plan.kind:
            case "int":
                return self._ints(p, head)
            case "float":
                if not (head == _FLOAT64).all():
                    raise NotInLockstepError
                return Numbers(self._read(p + 1, _FLOAT).astype(np.float64)), p + 9
            case "bool":
                if not ((head == _TRUE) | (head == _FALSE)).all():
                    raise NotInLockstepError
                return Numbers(head == _TRUE), p + 1
            case "str":
                start, length, after = self._lengths(p, head, _STR, fixed=True)
                return Texts(start, length), after
            case "bytes":
                start, length, after = self._lengths(p, head, _BIN, fixed=False)
                return Bytes(start, length), after
            case "ndarray":
                start, length, after = self._lengths(p, head, _BIN, fixed=False)
                return self._arrays(plan, start, length), after
            case _:
                raise NotInLockstepError

    def _ints(self, p: Positions, head: ByteArray) -> tuple[Column, Positions]:
        first = int(head[0])
        if first in _INTS and (head == first).all():
            return Numbers(self._int(p, first)), p + (1 + _INTS[first].itemsize)
        # Heads of small ints are the ints: 0 to 127, and -32 to -1 as a signed byte.
        values = head.astype(np.int8).astype(np.int64)
        left = values < -32
        if not left.any():
            return Numbers(values), p + 1
        p = array(p)
        after = p + 1
        for code in np.unique(head[left]).tolist():
            if code not in _INTS:
                raise NotInLockstepError
            rows = np.flatnonzero(head == code)
            values[rows] = self._int(p[rows], code)
            after[rows] += _INTS[code].itemsize
        return Numbers(values), after

    def _int(self, p: Positions, code: int) -> Int64Array:
        values: Int64Array = self._read(p + 1, _INTS[code]).astype(np.int64)
        if code == 0xCF and (values < 0).any():  # beyond 63 bits
            raise NotInLockstepError
        return values

    def _lengths(
        self, p: Positions, head: ByteArray, codes: Mapping[int, np.dtype[Any]], *, fixed: bool
    ) -> tuple[Positions, Int64Array, Positions]:
        """Where the contents of strings start, how long they are, and where they end."""
        first = int(head[0])
        start: Positions
        if first in codes and (head == first).all():
            dtype = codes[first]
            start = p + (1 + dtype.itemsize)
            length = self._read(p + 1, dtype).astype(np.int64)
        else:
            p = array(p)
            short = (head & 0xE0) == 0xA0 if fixed else np.zeros(len(p), np.bool_)
            length = (head & 0x1F).astype(np.int64)
            start = p + 1
            for code in np.unique(head[~short]).tolist():
                if code not in codes:
                    raise NotInLockstepError
                rows = np.flatnonzero(head == code)
                length[rows] = self._read(p[rows] + 1, codes[code])
                start[rows] += codes[code].itemsize
        if isinstance(start, Spaced) and (length == length[0]).all():
            return start, length, start + int(length[0])
        return start, length, array(start) + length

    def _arrays(self, plan: FieldPlan, start: Positions, length: Int64Array) -> Column:
        first = self._first(start)
        name_size = int(self._data[first])
        head = self._same_bytes(start, name_size + 2)
        dtype = dtype_from_name(head[1:-1])
        rank = head[-1]
        if plan.dtype is not None and dtype != plan.dtype:
            raise NotInLockstepError
        if rank > 32:
            raise NotInLockstepError
        at = start + len(head)
        end = at + 8 * rank
        sizes = [self._read(at + 8 * axis, _SIZE) for axis in range(rank)]
        if all((size == size[0]).all() for size in sizes):
            shape = tuple(int(size[0]) for size in sizes)
            n_bytes = size_of(shape, dtype.itemsize)
            if (length != n_bytes + len(head) + 8 * rank).any():
                raise NotInLockstepError
            _check_shapes(plan, np.array([shape], np.int64).reshape(1, rank))
            return Arrays(end, dtype, shape)
        shapes = np.stack(sizes, axis=1).astype(np.int64)
        if (shapes < 0).any() or (np.maximum(shapes, 1.0).prod(axis=1) > 2.0**53).any():
            raise NotInLockstepError
        if (shapes.prod(axis=1) * dtype.itemsize != length - (len(head) + 8 * rank)).any():
            raise NotInLockstepError
        _check_shapes(plan, shapes)
        return RaggedArrays(end, dtype, shapes)


def _check_shapes(plan: FieldPlan, shapes: Int64Array) -> None:
    """Leave what a declared shape does not plainly allow to the general decoder."""
    if plan.shape is None:
        return
    if len(plan.shape) != shapes.shape[1]:
        raise NotInLockstepError
    for axis, wanted in enumerate(plan.shape):
        if isinstance(wanted, int) and not (shapes[:, axis] == wanted).all():
            raise NotInLockstepError
