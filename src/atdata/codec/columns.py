"""Fields of many samples, as what the buffer says of them: numbers, and where the rest lies.

A column makes Python values, or one array of a batch, when it is asked to.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import numpy as np

from atdata._typing import ByteArray, Int64Array
from atdata.codec.compile import SampleCodec
from atdata.codec.positions import Positions, Rows, Spaced, listed, taken, values_at
from atdata.codec.recycled import empty

VIEW_BYTES = 16 << 10
"""Arrays of at least this many bytes are views of the file, if their dtype needs no alignment."""

_OWNED_BYTES = 1 << 20
_SLICE_ROWS = 512  # below the 700 new objects at which the garbage collector looks at them all


class Memory:
    """The bytes that columns point into.

    Args:
        data: The buffer that offsets count in.
        writable: Gives the same bytes in memory that may be written to, and what to subtract from
            offsets there.
        copy: Whether arrays must be writable and aligned; otherwise they are read-only views.
        unchanged: Raises an error if the file behind the buffer was changed in place.
    """

    def __init__(
        self,
        data: ByteArray,
        writable: Callable[[], tuple[ByteArray, int]],
        *,
        copy: bool,
        unchanged: Callable[[], None] | None = None,
    ) -> None:
        self.data = data
        self.copy = copy
        self._unchanged = unchanged
        self._writable = writable
        self._private: tuple[ByteArray, int] | None = None
        if copy:
            self.shared = data
        else:
            self.shared = data.view()
            self.shared.flags.writeable = False

    def check(self) -> None:
        """Refuse to read what was changed in place since it was checked.

        Raises:
            ShardError: The file is not what it was.
        """
        if self._unchanged is not None:
            self._unchanged()

    def private(self) -> tuple[ByteArray, int]:
        """Memory whose views may be handed out, with the shift of offsets in it."""
        if not self.copy:
            return self.shared, 0
        if self._private is None:
            self._private = self._writable()
        return self._private


class Column(Protocol):
    """One field of many samples."""

    def take(self, rows: Rows) -> "Column":
        """The column of some of the samples."""
        ...

    def values(self, memory: Memory) -> Sequence[Any]:
        """The values as the samples hold them."""
        ...

    def stacked(self, memory: Memory) -> Any:
        """The values as a batch holds them: one array where they make one, else a list."""
        ...

    @property
    def owned_bytes(self) -> float:
        """Bytes that `values` copies for each sample."""
        ...


@dataclass(frozen=True, slots=True)
class Numbers:
    """Ints, floats or bools."""

    array: np.ndarray[Any, Any]
    owned_bytes: float = 0

    def take(self, rows: Rows) -> "Numbers":
        return Numbers(self.array[rows])

    def values(self, memory: Memory) -> list[Any]:
        del memory
        values: list[Any] = self.array.tolist()
        return values

    def stacked(self, memory: Memory) -> np.ndarray[Any, Any]:
        del memory
        return self.array.copy()


@dataclass(frozen=True, slots=True)
class Texts:
    """Strings, as offset and length of their UTF-8."""

    start: Positions
    length: Int64Array
    owned_bytes: float = 0

    def take(self, rows: Rows) -> "Texts":
        return Texts(taken(self.start, rows), self.length[rows])

    def values(self, memory: Memory) -> list[str]:
        if len(self.length) == 0:
            return []
        cells = _cells(memory.data, self.start, int(self.length.max()))
        if cells is None:
            data = memoryview(memory.data)
            spans = zip(listed(self.start), self.length.tolist(), strict=True)
            return [data[start : start + n].tobytes().decode() for start, n in spans]
        if (self.length == self.length[0]).all():
            return list(map(bytes.decode, cells))
        return [cell[:n].decode() for cell, n in zip(cells, self.length.tolist(), strict=True)]

    def stacked(self, memory: Memory) -> list[str]:
        return self.values(memory)


@dataclass(frozen=True, slots=True)
class Listed:
    """Values that are Python objects already."""

    items: Sequence[Any]
    owned_bytes: float = 0

    def take(self, rows: Rows) -> "Listed":
        if isinstance(rows, slice):
            return Listed(self.items[rows])
        return Listed([self.items[row] for row in rows.tolist()])

    def values(self, memory: Memory) -> Sequence[Any]:
        del memory
        return self.items

    def stacked(self, memory: Memory) -> list[Any]:
        del memory
        return list(self.items)


@dataclass(frozen=True, slots=True)
class Bytes:
    """Byte strings, as offset and length."""

    start: Positions
    length: Int64Array

    @property
    def owned_bytes(self) -> float:
        return float(self.length.mean()) if len(self.length) else 0.0

    def take(self, rows: Rows) -> "Bytes":
        return Bytes(taken(self.start, rows), self.length[rows])

    def values(self, memory: Memory) -> list[bytes]:
        data = memoryview(memory.data)
        spans = zip(listed(self.start), self.length.tolist(), strict=True)
        return [bytes(data[start : start + n]) for start, n in spans]

    def stacked(self, memory: Memory) -> list[bytes]:
        return self.values(memory)


@dataclass(frozen=True, slots=True)
class Arrays:
    """Dense arrays of one dtype and one shape."""

    start: Positions
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def n_bytes(self) -> int:
        """Bytes of one array."""
        return self.dtype.itemsize * prod(self.shape)

    @property
    def owned_bytes(self) -> float:
        return 0 if self.viewed else self.n_bytes

    @property
    def viewed(self) -> bool:
        """Whether values are views of the buffer rather than copies."""
        return self.n_bytes >= VIEW_BYTES and self.dtype.alignment == 1

    def take(self, rows: Rows) -> "Arrays":
        return Arrays(taken(self.start, rows), self.dtype, self.shape)

    def values(self, memory: Memory) -> list[Any]:
        if self.viewed or not memory.copy:
            data, shift = memory.private()
            shape, dtype = self.shape, self.dtype
            return [np.ndarray(shape, dtype, data, at - shift) for at in listed(self.start)]
        if self.n_bytes < VIEW_BYTES:
            stacked = self.stacked(memory)
            return list(stacked) if self.shape else [stacked[i, ...] for i in range(len(stacked))]
        return [self.take(slice(i, i + 1)).stacked(memory)[0] for i in range(len(self.start))]

    def stacked(self, memory: Memory) -> np.ndarray[Any, Any]:
        out = empty((len(self.start), *self.shape), self.dtype)
        self.place(out, None, memory)
        return out

    def place(self, out: np.ndarray[Any, Any], rows: Int64Array | None, memory: Memory) -> None:
        """Copy the arrays into some rows, or all, of an array of shape `(n, *shape)`."""
        n_bytes, start, data = self.n_bytes, self.start, memory.data
        if n_bytes == 0 or len(start) == 0:
            return
        target = out.reshape(-1).view(np.uint8).reshape(len(out), n_bytes)
        if n_bytes >= VIEW_BYTES:
            numbers = range(len(start)) if rows is None else rows.tolist()
            for row, begin in zip(numbers, listed(start), strict=True):
                target[row] = data[begin : begin + n_bytes]
        elif isinstance(start, Spaced):
            spaced = np.ndarray((start.n, n_bytes), np.uint8, data, start.first, (start.step, 1))
            target[slice(None) if rows is None else rows] = spaced
        else:
            cells = values_at(data, np.dtype(f"V{n_bytes}"))
            target.view(cells.dtype)[slice(None) if rows is None else rows, 0] = cells[start]


@dataclass(frozen=True, slots=True)
class RaggedArrays:
    """Dense arrays of one dtype and rank whose shapes differ; `shapes` is `(n, rank)`."""

    start: Positions
    dtype: np.dtype[Any]
    shapes: Int64Array

    @property
    def owned_bytes(self) -> float:
        sizes = self.shapes.prod(axis=1)
        return float(sizes.mean()) * self.dtype.itemsize if len(sizes) else 0.0

    def take(self, rows: Rows) -> "RaggedArrays":
        return RaggedArrays(taken(self.start, rows), self.dtype, self.shapes[rows])

    def values(self, memory: Memory) -> list[Any]:
        dtype, shapes = self.dtype, self.shapes
        if not memory.copy:
            pairs = zip(map(tuple, shapes.tolist()), listed(self.start), strict=True)
            return [np.ndarray(shape, dtype, memory.shared, at) for shape, at in pairs]
        # One aligned buffer for all, cut into the arrays.
        lengths = shapes.prod(axis=1)
        ends = np.cumsum(lengths)
        flat = empty((int(ends[-1]) if len(ends) else 0,), dtype)
        target, data = memoryview(flat.view(np.uint8)), memoryview(memory.data)
        begin = 0
        # No list of memoryviews: the garbage collector would look at them all.
        for at, end in zip(listed(self.start), (ends * dtype.itemsize).tolist(), strict=True):
            target[begin:end] = data[at : at + end - begin]
            begin = end
        cuts = map(slice, (ends - lengths).tolist(), ends.tolist())
        rows = map(flat.__getitem__, cuts)
        if shapes.shape[1] == 1:
            return list(rows)
        return [row.reshape(shape) for row, shape in zip(rows, shapes.tolist(), strict=True)]

    def stacked(self, memory: Memory) -> Any:
        values = self.values(memory)
        if len(values) and (self.shapes == self.shapes[0]).all():
            return np.stack(values)
        return values


@dataclass(frozen=True, slots=True)
class Sparse:
    """A column of which some values are None: the others, and the row of each."""

    n: int
    rows: Int64Array
    inner: Column | None

    @property
    def owned_bytes(self) -> float:
        return self.inner.owned_bytes * len(self.rows) / max(self.n, 1) if self.inner else 0.0

    def take(self, rows: Rows) -> "Sparse":
        place = np.full(self.n, -1, np.int64)
        place[self.rows] = np.arange(len(self.rows))
        chosen = place[rows]
        present = np.flatnonzero(chosen >= 0)
        inner = self.inner.take(chosen[present]) if self.inner is not None else None
        return Sparse(len(chosen), present, inner)

    def values(self, memory: Memory) -> list[Any]:
        out: list[Any] = [None] * self.n
        if self.inner is not None:
            for row, value in zip(self.rows.tolist(), self.inner.values(memory), strict=True):
                out[row] = value
        return out

    def stacked(self, memory: Memory) -> list[Any]:
        return self.values(memory)


@dataclass(frozen=True, slots=True)
class Defaults:
    """A field that the samples do not have: each gets a default of its own."""

    n: int
    make: Callable[[], Any]
    owned_bytes: float = 0

    def take(self, rows: Rows) -> "Defaults":
        return Defaults(len(np.arange(self.n)[rows]), self.make)

    def values(self, memory: Memory) -> list[Any]:
        del memory
        return [self.make() for _ in range(self.n)]

    def stacked(self, memory: Memory) -> Any:
        return stack(self.values(memory))


def _is_viewed(column: Column | None) -> bool:
    if isinstance(column, Sparse):
        return _is_viewed(column.inner)
    return isinstance(column, Arrays) and column.viewed


def stack(values: Sequence[Any]) -> Any:
    """One array of arrays of one shape and dtype, of ints, floats or bools; else a list.

    Examples:
        >>> stack([1, 2]), stack(["a"]), stack([1, None])
        (array([1, 2]), ['a'], [1, None])
    """
    kinds = set(map(type, values))
    if len(kinds) != 1:
        return list(values)
    kind = kinds.pop()
    if kind is bool:
        return np.array(values, np.bool_)
    if kind is float:
        return np.array(values, np.float64)
    if kind is int:
        low, high = min(values), max(values)
        if low >= -(2**63) and high < 2**63:
            return np.array(values, np.int64)
        return np.array(values, np.uint64) if low >= 0 and high < 2**64 else list(values)
    if issubclass(kind, np.ndarray):
        first = values[0]
        if all(v.shape == first.shape and v.dtype == first.dtype for v in values):
            out = np.empty((len(values), *first.shape), first.dtype)
            for row, value in enumerate(values):
                out[row] = value
            return out
    if issubclass(kind, np.generic):
        return np.array(values)
    return list(values)


def joined(parts: Sequence[tuple[Column, Memory]]) -> Any:
    """One field of a batch that lies in several pieces, as `Column.stacked` gives it for one."""
    columns = [column for column, _ in parts]
    first = columns[0]
    if isinstance(first, Arrays) and all(
        isinstance(one, Arrays) and one.dtype == first.dtype and one.shape == first.shape
        for one in columns
    ):
        arrays = [one for one in columns if isinstance(one, Arrays)]
        out = empty((sum(len(one.start) for one in arrays), *first.shape), first.dtype)
        row = 0
        for column, (_, memory) in zip(arrays, parts, strict=True):
            column.place(out[row : row + len(column.start)], None, memory)
            row += len(column.start)
        return out
    if all(isinstance(column, Numbers) for column in columns):
        return np.concatenate([column.stacked(memory) for column, memory in parts])
    if len(parts) == 1:
        return first.stacked(parts[0][1])
    return stack([value for column, memory in parts for value in column.values(memory)])


def place(
    fields: dict[str, Any],
    name: str,
    column: Column,
    memory: Memory,
    *,
    rows: Int64Array,
    n: int,
) -> bool:
    """Put a field of some samples into rows of a field that is being gathered.

    Args:
        fields: What is gathered; the field is made when it is first seen.
        name: The field.
        column: Its values.
        memory: The bytes they are in.
        rows: Where each of them belongs.
        n: Samples that are gathered in all.

    Returns:
        False where the values do not make one array with those that are there.
    """
    target = fields.get(name)
    if isinstance(column, Arrays):
        if target is None:
            target = fields[name] = empty((n, *column.shape), column.dtype)
        if not isinstance(target, np.ndarray) or target.dtype != column.dtype:
            return False
        if target.shape[1:] != column.shape:
            return False
        column.place(target, rows, memory)
        return True
    values = column.stacked(memory)
    if target is None:
        if isinstance(values, np.ndarray):
            target = np.empty((n, *values.shape[1:]), values.dtype)
        else:
            target = [None] * n
        fields[name] = target
    if isinstance(values, np.ndarray):
        if not isinstance(target, np.ndarray) or target.dtype != values.dtype:
            return False
        if target.shape[1:] != values.shape[1:]:
            return False
        target[rows] = values
        return True
    if not isinstance(target, list):
        return False
    for row, value in zip(rows.tolist(), values, strict=True):
        target[row] = value
    return True


class Columns[T]:
    """Samples of one type as columns, in the order of the type's fields.

    Args:
        codec: The type's codec.
        n: How many samples there are.
        columns: Their fields, of these samples or of more.
        memory: The bytes that the fields point into.
        rows: Which rows of the columns the samples are; None for all.
        texts: Texts of these samples that are decoded already.
    """

    def __init__(
        self,
        codec: SampleCodec[T],
        n: int,
        columns: Mapping[str, Column],
        memory: Memory,
        *,
        rows: Rows | None = None,
        texts: Mapping[str, Listed] | None = None,
    ) -> None:
        self.codec = codec
        self.memory = memory
        self._n = n
        self._columns = columns
        self._rows = rows
        self._texts = texts or {}

    def __len__(self) -> int:
        return self._n

    @property
    def layout(self) -> Mapping[str, Column] | None:
        """What may be kept of the samples: where their fields lie, if that is all there is."""
        made = any(isinstance(column, Defaults) for column in self._columns.values())
        return None if made or self._rows is not None else self._columns

    def take(self, rows: Rows) -> "Columns[T]":
        """Some of the samples; their fields are looked up when they are asked for."""
        n = len(range(self._n)[rows]) if isinstance(rows, slice) else len(rows)
        texts = {name: text.take(rows) for name, text in self._texts.items()}
        mine = self._rows
        if isinstance(mine, slice) and isinstance(rows, slice):
            chosen = range(mine.start, mine.stop)[rows]
            rows = slice(chosen.start, chosen.stop)
        elif isinstance(mine, slice):
            rows = rows + mine.start
        elif mine is not None:
            rows = mine[rows]
        elif isinstance(rows, slice):
            rows = slice(*rows.indices(self._n)[:2])
        return Columns(self.codec, n, self._columns, self.memory, rows=rows, texts=texts)

    def slices(self) -> Iterable["Columns[T]"]:
        """The samples in runs short enough that what is copied for one stays in the cache."""
        owned = sum(column.owned_bytes for column in self._columns.values())
        step = max(16, min(_SLICE_ROWS, int(_OWNED_BYTES / max(owned, 1.0))))
        for first in range(0, self._n, step):
            yield self.take(slice(first, min(first + step, self._n)))

    def samples(self) -> list[T]:
        """The samples as objects of their type.

        Raises:
            UnicodeDecodeError: A text is not UTF-8.
        """
        values = [self.column(name).values(self.memory) for name in self._columns]
        return list(map(self.codec.construct, *values))

    def column(self, name: str) -> Column:
        """One field of these samples."""
        if name in self._texts:
            return self._texts[name]
        column = self._columns[name]
        return column if self._rows is None else column.take(self._rows)

    def names(self) -> Sequence[str]:
        """Names of the fields."""
        return list(self._columns)

    @property
    def has_views(self) -> bool:
        """Whether samples hold views of memory that is handed out once, and not copies."""
        return self.memory.copy and any(map(_is_viewed, self._columns.values()))

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def with_texts(self) -> "Columns[T]":
        """The same samples with their texts decoded.

        Raises:
            UnicodeDecodeError: A text is not UTF-8.
        """
        texts = {
            name: Listed(self.column(name).values(self.memory))
            for name, column in self._columns.items()
            if isinstance(column, Texts)
            or (isinstance(column, Sparse) and isinstance(column.inner, Texts))
        }
        if not texts:
            return self
        return Columns(
            self.codec, self._n, self._columns, self.memory, rows=self._rows, texts=texts
        )


_CELL_BYTES = 256


def _cells(data: ByteArray, start: Positions, width: int) -> list[bytes] | None:
    """The `width` bytes at each position; None where that many are not worth it or not there."""
    if not 0 < width <= _CELL_BYTES:
        return None
    last = start.first + start.step * (start.n - 1) if isinstance(start, Spaced) else start.max()
    if int(last) + width > len(data):
        return None
    dtype = np.dtype(f"V{width}")
    if isinstance(start, Spaced):
        cells = np.ndarray((start.n,), dtype, data, start.first, (start.step,))
    else:
        cells = values_at(data, dtype)[start]
    return cells.tolist()  # type: ignore[no-any-return]  # bytes, of a dtype without fields
