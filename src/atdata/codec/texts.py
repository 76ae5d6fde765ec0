"""Values that are written as text: times, durations, UUIDs, decimals and paths."""

import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path, PurePath, PurePosixPath
from typing import Any
from uuid import UUID

from atdata.codec.misfit import wrong
from atdata.codec.values import ValueCodec, to_str


def text_codec(py: type, write: Callable[[Any], str], read: Callable[[str], Any]) -> ValueCodec:
    """A codec for values that are written as text.

    Args:
        py: The type of the values.
        write: Gives the text; raises `Misfit` for what is no such value.
        read: Gives the value; raises `ValueError`, `ArithmeticError` or `Misfit`.
    """

    def from_wire(value: Any, _: bool) -> Any:
        if type(value) is not str:
            write(value)
            return value
        try:
            return read(value)
        except (ValueError, ArithmeticError):
            raise wrong(f"{py.__name__} as text", value) from None

    return ValueCodec(
        label=py.__name__,
        kinds=frozenset(("str",)),
        to_wire=write,
        from_wire=from_wire,
        wire_type=lambda: str,
        natural=(py,),
    )


def _write_datetime(value: Any) -> str:
    if type(value) is not datetime:
        if not isinstance(value, datetime):
            raise wrong("datetime", value)
        # A subclass, such as a pandas Timestamp, may be finer than a datetime can say.
        if datetime.fromisoformat(value.isoformat()) != value:
            raise wrong("datetime to the microsecond", value)
    return value.isoformat()


def _write_date(value: Any) -> str:
    if type(value) is date:
        return value.isoformat()
    hint = "Take the date of a datetime with .date()." if isinstance(value, datetime) else ""
    raise wrong("date", value, hint)


def _write_time(value: Any) -> str:
    if type(value) is time:
        return value.isoformat()
    raise wrong("time", value)


def _to_the_microsecond(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Refuse a text that is finer than a microsecond, which the standard library would cut."""

    def read_exact(text: str) -> Any:
        if re.search(r"[.,]\d{7}", text):
            raise ValueError(text)
        return read(text)

    return read_exact


_DURATION = re.compile(
    r"(?P<sign>-?)P(?:(?P<days>\d{1,9})D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d{1,15})H)?(?:(?P<minutes>\d{1,15})M)?"
    r"(?:(?P<seconds>\d{1,15})(?:\.(?P<fraction>\d{1,6}))?S)?)?",
    re.ASCII,
)


def write_timedelta(value: Any) -> str:
    """A duration in ISO 8601, exact to the microsecond.

    Examples:
        >>> write_timedelta(timedelta(days=1, seconds=61, microseconds=5))
        'P1DT1M1.000005S'
        >>> write_timedelta(timedelta(seconds=-90))
        '-PT1M30S'
    """
    if not isinstance(value, timedelta):
        raise wrong("timedelta", value)
    whole = timedelta(value.days, value.seconds, value.microseconds)
    if whole != value:
        raise wrong("timedelta to the microsecond", value)
    sign, size = ("-", -whole) if whole < timedelta(0) else ("", whole)
    minutes, seconds = divmod(size.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    day = f"{size.days}D" if size.days else ""
    clock = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
    if size.microseconds:
        clock += f"{seconds}.{size.microseconds:06}".rstrip("0") + "S"
    elif seconds or not (day or clock):
        clock += f"{seconds}S"
    return f"{sign}P{day}{'T' if clock else ''}{clock}"


def read_timedelta(text: str) -> timedelta:
    """Read a duration in ISO 8601, without years, months and weeks.

    Raises:
        ValueError: It is no such text.
        OverflowError: A `timedelta` cannot hold it.

    Examples:
        >>> read_timedelta("-PT1M30.5S") == timedelta(seconds=-90.5)
        True
    """
    found = _DURATION.fullmatch(text)
    if found is None or text.endswith("P"):
        raise ValueError(text)
    size = timedelta(
        days=int(found["days"] or 0),
        hours=int(found["hours"] or 0),
        minutes=int(found["minutes"] or 0),
        seconds=int(found["seconds"] or 0),
        microseconds=int((found["fraction"] or "0").ljust(6, "0")),
    )
    return -size if found["sign"] else size


def _write_uuid(value: Any) -> str:
    if isinstance(value, UUID):
        return str(value)
    raise wrong("UUID", value)


def _read_uuid(text: str) -> UUID:
    value = UUID(text)
    if str(value) != text.lower():
        raise ValueError(text)
    return value


_DECIMAL = re.compile(
    r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:E[+-]?\d+)?|inf(?:inity)?|s?nan\d*)", re.ASCII | re.IGNORECASE
)


def _write_decimal(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise wrong("Decimal", value)


def _read_decimal(text: str) -> Decimal:
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError(text)
    return Decimal(text)


def _path_codec(py: type[PurePath]) -> ValueCodec:
    def write(value: Any) -> str:
        if isinstance(value, py):
            return to_str(str(value))
        raise wrong(py.__name__, value)

    return text_codec(py, write, py)


TEXTS: dict[Any, ValueCodec] = {
    datetime: text_codec(datetime, _write_datetime, _to_the_microsecond(datetime.fromisoformat)),
    date: text_codec(date, _write_date, date.fromisoformat),
    time: text_codec(time, _write_time, _to_the_microsecond(time.fromisoformat)),
    timedelta: text_codec(timedelta, write_timedelta, read_timedelta),
    UUID: text_codec(UUID, _write_uuid, _read_uuid),
    Decimal: text_codec(Decimal, _write_decimal, _read_decimal),
    **{py: _path_codec(py) for py in (Path, PurePath, PurePosixPath)},
}
"""The codec of each type that is written as text."""
