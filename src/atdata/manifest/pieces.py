"""Values of a field of some samples as an Arrow array: the general path, one value at a time."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from atdata.manifest.kinds import (
    INT_TYPES,
    SCALAR_TYPES,
    is_list,
    item_kind,
    list_of,
    to_number,
)
from atdata.predicate.values import NotPlainError, get_path, plain

_INT64 = 1 << 63
MAX_TEXT = 1 << 20
"""A field with a longer text than this many bytes is no column."""


class NotAColumnError(ValueError):
    """The values of a field do not make a column; the text says why."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A field of some samples that follow each other.

    Attributes:
        kind: What the values are; empty where all are None.
        values: Them, of an Arrow type that fits the kind.
        repeats: How many samples have the one value there is; 0 where each has its own.
    """

    kind: str
    values: Any
    repeats: int = 0

    def __len__(self) -> int:
        return self.repeats or len(self.values)

    def all(self) -> Any:
        """The value of each sample."""
        if not self.repeats:
            return self.values
        return self.values.take(pa.array(np.zeros(self.repeats, np.int32)))

    def part(self, start: int, stop: int) -> "Piece":
        """Some of the samples."""
        stop = min(stop, len(self))
        if self.repeats and stop > start:
            return Piece(self.kind, self.values, stop - start)
        return Piece(self.kind, self.values[start:stop])


def nothing(n: int) -> Piece:
    """A field that is None in n samples."""
    return Piece("", pa.nulls(n))


def values_at(samples: Sequence[object], path: str) -> list[Any]:
    """What samples hold under a path, as plain values.

    Raises:
        NotAColumnError: A sample holds something that is not plain there, or has no such field.
    """
    try:
        return [plain(_without_units(get_path(sample, path))) for sample in samples]
    except NotPlainError as error:
        raise NotAColumnError(f"it holds {str(error).partition(' cannot')[0]}") from error
    except (AttributeError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise NotAColumnError(f"it cannot be looked at: {type(error).__name__}") from error


def _without_units(value: object) -> object:
    """Refuse numpy's own times and complex numbers, which payloads hold as arrays."""
    dtype = getattr(value, "dtype", None)
    if isinstance(value, np.generic) and getattr(dtype, "kind", "") in "mMcV":
        raise NotPlainError(f"a {type(value).__name__} cannot be compared")
    return value


def piece_of(values: Sequence[Any]) -> Piece:
    """Plain values as a column.

    Raises:
        NotAColumnError: They are of unlike kinds, or of one that has no column.

    Examples:
        >>> piece_of([1, None, 3]).kind, piece_of([["a"], [], None]).kind, piece_of([None]).kind
        ('int', 'list[str]', '')
        >>> piece_of([1, "a"])
        Traceback (most recent call last):
        atdata.manifest.pieces.NotAColumnError: it holds int and str
    """
    kinds = set(map(type, values))
    kinds.discard(type(None))
    if kinds == {list}:
        return _lists(values)
    return _scalars(values, kinds)


def _lists(values: Sequence[list[Any] | None]) -> Piece:
    lengths = [0 if one is None else len(one) for one in values]
    items = [item for one in values if one is not None for item in one]
    kinds = set(map(type, items)) - {type(None)}
    if list in kinds:
        raise NotAColumnError("it holds lists of lists")
    inner = _scalars(items, kinds)
    ends = np.zeros(len(values) + 1, np.int32)
    if sum(lengths) >= 1 << 31:
        raise NotAColumnError("its lists are too long")
    np.cumsum(lengths, out=ends[1:])
    mask = np.fromiter((one is None for one in values), np.bool_, len(values))
    offsets = pa.array(ends)
    nulls = pa.array(mask) if mask.any() else None
    made = pa.ListArray.from_arrays(
        offsets, inner.values, type=list_of(inner.values.type), mask=nulls
    )
    return Piece(f"list[{inner.kind}]", made)


def _scalars(values: Sequence[Any], kinds: set[type]) -> Piece:
    if not kinds:
        return nothing(len(values))
    if len(kinds) > 1:
        raise NotAColumnError("it holds " + " and ".join(sorted(one.__name__ for one in kinds)))
    kind = kinds.pop()
    if kind is int:
        return Piece("int", _ints(values))
    if kind is str:
        return Piece("str", _texts(values))
    if kind in (bool, float):
        return Piece(kind.__name__, pa.array(values, SCALAR_TYPES[kind.__name__]))
    if kind is dt.datetime:
        aware = {one.tzinfo is not None for one in values if one is not None}
        if len(aware) > 1:
            raise NotAColumnError("it holds times with a zone and times without one")
        return _times("datetime_utc" if aware.pop() else "datetime", values)
    if kind is dt.time and any(one is not None and one.tzinfo is not None for one in values):
        raise NotAColumnError("it holds times of day with a zone")
    if kind in (dt.date, dt.time, dt.timedelta):
        return _times(kind.__name__, values)
    raise NotAColumnError(f"it holds {kind.__name__}")


def _ints(values: Sequence[int | None]) -> Any:
    present = [one for one in values if one is not None]
    low, high = min(present), max(present)
    if low < -_INT64 or high >= 2 * _INT64:
        raise NotAColumnError("it holds ints beyond 64 bits")
    if high < _INT64:
        return pa.array(values, pa.int64())
    return pa.array(values, INT_TYPES[1] if low >= 0 else INT_TYPES[2])


def _texts(values: Sequence[str | None]) -> Any:
    try:
        made = pa.array(values, pa.string())
    except (UnicodeEncodeError, pa.ArrowInvalid, pa.ArrowCapacityError) as error:
        raise NotAColumnError("it holds text that is no UTF-8, or too much of it") from error
    if not isinstance(made, pa.StringArray):
        raise NotAColumnError("it holds too much text")
    if any(one is not None and len(one) > MAX_TEXT // 4 for one in values):
        raise NotAColumnError("it holds very long text")
    return made


def _times(kind: str, values: Sequence[Any]) -> Piece:
    numbers = [None if one is None else to_number(one) for one in values]
    if any(one is not None and abs(one) >= _INT64 for one in numbers):
        raise NotAColumnError("it holds durations beyond 64 bits of microseconds")
    width = pa.int32() if kind == "date" else pa.int64()
    return Piece(kind, pa.array(numbers, width).cast(SCALAR_TYPES[kind]))


def joined(pieces: Sequence[Piece]) -> Piece:
    """Pieces one after the other.

    Raises:
        NotAColumnError: They are of unlike kinds.
    """
    kinds = {one.kind for one in pieces} - {""}
    if any(map(is_list, kinds)) and kinds != {"list[]"}:
        kinds.discard("list[]")  # lists that are empty are lists of anything
    if len(kinds) > 1:
        raise NotAColumnError("it holds " + " and ".join(sorted(kinds)))
    if not kinds:
        return nothing(sum(map(len, pieces)))
    kind = kinds.pop()
    if len(pieces) == 1:
        return pieces[0]
    if all(one.repeats and one.values.equals(pieces[0].values) for one in pieces):
        return Piece(kind, pieces[0].values, sum(map(len, pieces)))
    arrays = [one.all() for one in pieces]
    wanted = wider(arrays, kind)
    arrays = [one if one.type == wanted else one.cast(wanted) for one in arrays]
    return Piece(kind, pa.concat_arrays(arrays))


def wider(arrays: Sequence[Any], kind: str) -> Any:
    """The first Arrow type of a kind that holds what all these arrays hold."""
    if not kind:
        return pa.null()
    item = item_kind(kind)
    best = SCALAR_TYPES.get(item, pa.null())
    if item == "int":
        inner = {_inner(one.type) for one in arrays}
        best = next(one for one in reversed(INT_TYPES) if one in inner)
        if best == INT_TYPES[1] and any(map(_has_negative, arrays)):
            best = INT_TYPES[2]
    return list_of(best) if is_list(kind) else best


def _inner(found: Any) -> Any:
    return found.value_type if pa.types.is_list(found) else found


def _has_negative(array: Any) -> bool:
    items = array.flatten() if pa.types.is_list(array.type) else array
    if items.type != INT_TYPES[0] or items.null_count == len(items):
        return False
    present = items.drop_null().to_numpy()
    return bool(present.min() < 0)
