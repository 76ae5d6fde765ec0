"""Columns of Arrow's, brought to few types, and numbers to one."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pyarrow as pa

from atdata.predicate.values import NotPlainError

pc: Any = import_module("pyarrow.compute")  # its functions are made when it is loaded
NUMBERS = ("bool", "int", "float")
EXACT = 2**53
"""Up to here a float holds every integer."""


class InexactError(Exception):
    """Arrow may not give the exact answer here; the rows must be asked."""


def normal(column: Any) -> Any:
    """A column as one array, of one of few types.

    Raises:
        NotPlainError: It holds times that are finer than microseconds, or beyond them.
    """
    column = one_array(column)
    wanted = _plainer(column.type)
    if wanted == column.type:
        return column
    try:
        return column.cast(wanted)
    except pa.ArrowInvalid as error:
        if not pa.types.is_temporal(_item(wanted)):
            raise
        reason = "times finer than microseconds, or too far off for them, cannot be compared"
        raise NotPlainError(f"{reason}: {error}") from None


def one_array(column: Any) -> Any:
    """A column as one array, without a dictionary."""
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _item(kind: Any) -> Any:
    return _item(kind.value_type) if pa.types.is_list(kind) else kind


def _plainer(kind: Any) -> Any:
    """The type as which a column is compared, of one of few; it may be the same."""
    wanted = kind
    if pa.types.is_integer(kind) and kind not in (pa.int64(), pa.uint64()):
        wanted = pa.int64()
    elif pa.types.is_floating(kind) and kind != pa.float64():
        wanted = pa.float64()
    elif pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        wanted = pa.string()
    elif pa.types.is_timestamp(kind) and (kind.unit, kind.tz) not in _TIMESTAMPS:
        wanted = pa.timestamp("us", None if kind.tz is None else "UTC")
    elif pa.types.is_date64(kind):
        wanted = pa.date32()
    elif pa.types.is_time(kind) and kind != pa.time64("us"):
        wanted = pa.time64("us")
    elif pa.types.is_duration(kind) and kind.unit != "us":
        wanted = pa.duration("us")
    elif any(is_such(kind) for is_such in _LISTS):
        inner = _plainer(kind.value_type)
        same = pa.types.is_list(kind) and inner == kind.value_type
        wanted = kind if same else pa.list_(inner)
    return wanted


_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
_TIMESTAMPS = (("us", None), ("us", "UTC"))


def kind_of_column(column: Any) -> str:
    """What a column holds: "int", "float", "bool", "str", "datetime" …; "" for anything else."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        return "datetime" if kind.tz is None else "datetime_utc"
    for name, is_such in _KINDS:
        if is_such(kind):
            return name
    return ""


_KINDS: list[tuple[str, Callable[[Any], bool]]] = [
    ("int", pa.types.is_integer),
    ("float", pa.types.is_floating),
    ("bool", pa.types.is_boolean),
    ("str", pa.types.is_string),
    ("date", pa.types.is_date),
    ("time", pa.types.is_time),
    ("timedelta", pa.types.is_duration),
    ("list", pa.types.is_list),
    ("null", pa.types.is_null),
]


def alike(left: Any, right: Any) -> tuple[Any, Any]:
    """Two columns of numbers as two of one type, if each keeps its values."""
    left, right = no_bool(left), no_bool(right)
    if left.type == right.type:
        return left, right
    if pa.float64() in (left.type, right.type):
        return whole_floats(left), whole_floats(right)
    return signed(left), signed(right)


def no_bool(column: Any) -> Any:
    """A column of numbers, `True` and `False` being 1 and 0."""
    return column.cast(pa.int64()) if pa.types.is_boolean(column.type) else column


def signed(column: Any) -> Any:
    """Integers with a sign.

    Raises:
        InexactError: One is too large.
    """
    if column.type == pa.int64():
        return column
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        raise InexactError from None


def whole_floats(column: Any) -> Any:
    """A column as floats, if a float holds each of its values."""
    if column.type == pa.float64():
        return column
    ends = pc.min_max(column).as_py()
    if any(end is not None and abs(end) > EXACT for end in ends.values()):
        raise InexactError
    return column.cast(pa.float64(), safe=False)


def plain_list(column: Any) -> list[Any]:
    """The values of a column as samples hold them; integers that Arrow holds as decimals are ints.

    Examples:
        >>> plain_list(pa.array([[2**64, None], None], pa.list_(pa.decimal128(20, 0))))
        [[18446744073709551616, None], None]
    """
    found: list[Any] = column.to_pylist()
    inner = _item(column.type)
    if pa.types.is_decimal(inner) and inner.scale <= 0:
        return [_whole(one, column.type) for one in found]
    return found


def _whole(value: Any, kind: Any) -> Any:
    if value is None:
        return None
    return (
        [_whole(one, kind.value_type) for one in value] if pa.types.is_list(kind) else int(value)
    )
