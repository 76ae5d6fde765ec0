"""What columns hold: the kinds of values, their Arrow types, and how JSON writes single values."""

import datetime as dt
import math
from typing import Any

import pyarrow as pa

SCALAR_TYPES: dict[str, Any] = {
    "bool": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "str": pa.string(),
    "datetime": pa.timestamp("us"),
    "datetime_utc": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timedelta": pa.duration("us"),
}
"""The Arrow type of each kind; wider ints have two more, see `INT_TYPES`."""

INT_TYPES: tuple[Any, ...] = (pa.int64(), pa.uint64(), pa.decimal128(20, 0))
"""What ints are kept in: the first of these that holds all of a shard."""

_EPOCH = dt.datetime(1970, 1, 1)
_DAY = dt.date(1970, 1, 1)
_MICROSECOND = dt.timedelta(microseconds=1)


def item_kind(kind: str) -> str:
    """The kind of a list's items; of anything else its own.

    Examples:
        >>> item_kind("list[str]"), item_kind("int")
        ('str', 'int')
    """
    return kind[5:-1] if is_list(kind) else kind


def is_list(kind: str) -> bool:
    """Whether values of a kind are lists.

    Examples:
        >>> is_list("list[str]")
        True
    """
    return kind.startswith("list[")


def is_kind(kind: str) -> bool:
    """Whether this names a kind that a column can have.

    Examples:
        >>> is_kind("list[int]"), is_kind("list[list[int]]")
        (True, False)
    """
    return item_kind(kind) in SCALAR_TYPES and kind in (
        item_kind(kind),
        f"list[{item_kind(kind)}]",
    )


def arrow_type(kind: str) -> Any:
    """The Arrow type of a kind.

    Examples:
        >>> arrow_type("list[int]")
        ListType(list<element: int64>)
    """
    inner = SCALAR_TYPES[item_kind(kind)]
    return list_of(inner) if is_list(kind) else inner


def list_of(inner: Any) -> Any:
    """Lists of a type, with the name that Parquet gives their items."""
    return pa.list_(pa.field("element", inner))


def fits(kind: str, found: Any) -> bool:
    """Whether a column of an Arrow type may hold values of a kind.

    Examples:
        >>> fits("int", pa.uint64()), fits("int", pa.float64())
        (True, False)
    """
    if is_list(kind) != pa.types.is_list(found):
        return False
    inner = found.value_type if is_list(kind) else found
    item = item_kind(kind)
    return inner in INT_TYPES if item == "int" else inner == SCALAR_TYPES[item]


def to_number(value: Any) -> int:
    """A time of any kind as the integer that Arrow keeps for it.

    Examples:
        >>> to_number(dt.date(1970, 1, 2)), to_number(dt.timedelta(milliseconds=1))
        (1, 1000)
    """
    if isinstance(value, dt.datetime):
        return (value.replace(tzinfo=None) - _EPOCH) // _MICROSECOND
    if isinstance(value, dt.date):
        return (value - _DAY).days
    if isinstance(value, dt.time):
        return (dt.datetime.combine(_DAY, value) - _EPOCH) // _MICROSECOND
    number: int = value // _MICROSECOND
    return number


def from_number(kind: str, number: int) -> Any:
    """The time that an integer of Arrow stands for.

    Examples:
        >>> from_number("date", 1), from_number("datetime_utc", 0).isoformat()
        (datetime.date(1970, 1, 2), '1970-01-01T00:00:00+00:00')
    """
    match kind:
        case "datetime":
            return _EPOCH + number * _MICROSECOND
        case "datetime_utc":
            return (_EPOCH + number * _MICROSECOND).replace(tzinfo=dt.UTC)
        case "date":
            return _DAY + dt.timedelta(days=number)
        case "time":
            return (_EPOCH + number * _MICROSECOND).time()
        case _:
            return number * _MICROSECOND


_FIRST, _LAST = to_number(dt.datetime.min), to_number(dt.datetime.max)
_RANGES = {
    "datetime": (_FIRST, _LAST),
    "datetime_utc": (_FIRST, _LAST),
    "date": (to_number(dt.date.min), to_number(dt.date.max)),
    "time": (0, to_number(dt.time.max)),
}


def check_times(kind: str, array: Any) -> None:
    """Refuse times that Python has none for.

    Raises:
        ValueError: There is such.

    Examples:
        >>> check_times("time", pa.array([-1], pa.time64("us")))
        Traceback (most recent call last):
        ValueError: it holds a time that cannot be
    """
    item = item_kind(kind)
    if item not in _RANGES:
        return
    present = (array.flatten() if is_list(kind) else array).drop_null()
    if len(present) == 0:
        return
    numbers = present.view(pa.int32() if item == "date" else pa.int64()).to_numpy()
    low, high = _RANGES[item]
    if numbers.min() < low or numbers.max() > high:
        raise ValueError("it holds a time that cannot be")


def to_json(value: Any) -> Any:
    """A plain value as JSON holds it, exactly.

    Examples:
        >>> to_json(2**64 - 1), to_json(math.inf), to_json(dt.timedelta(seconds=1))
        (18446744073709551615, 'inf', 1000000)
    """
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, dt.timedelta):
        return to_number(value)
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return value


def from_json(kind: str, value: object) -> Any:
    """A value of a scalar kind as `to_json` wrote it.

    Raises:
        ValueError: It is none.

    Examples:
        >>> from_json("float", "-inf"), from_json("date", "2026-01-31")
        (-inf, datetime.date(2026, 1, 31))
        >>> from_json("int", "7")
        Traceback (most recent call last):
        ValueError: 'str' stands where a value of kind int belongs
    """
    if kind in _NATIVE:
        if type(value) is _NATIVE[kind]:
            return value
        if kind == "float" and value in ("inf", "-inf"):
            return float(str(value))
    elif kind == "timedelta":
        if type(value) is int and abs(value) < 1 << 63:
            return from_number(kind, value)
    elif isinstance(value, str):
        found = _TIMES[kind].fromisoformat(value)
        aware = getattr(found, "tzinfo", None) is not None
        if aware == (kind == "datetime_utc"):
            return found.astimezone(dt.UTC) if kind == "datetime_utc" else found
    raise ValueError(f"{type(value).__name__!r} stands where a value of kind {kind} belongs")


_NATIVE: dict[str, type] = {"bool": bool, "int": int, "float": float, "str": str}
_TIMES: dict[str, Any] = {
    "datetime": dt.datetime,
    "datetime_utc": dt.datetime,
    "date": dt.date,
    "time": dt.time,
}
