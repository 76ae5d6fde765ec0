"""The values that questions compare: plain ones, whatever a sample holds them as."""

import datetime as dt
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from atdata._exceptions import UnknownFieldError
from atdata.sample.dynamic import DictSample


class NotPlainError(ValueError):
    """A value that questions cannot look at, such as an array or a dictionary."""


def plain(value: object) -> Any:
    """A value as what it is compared as.

    Args:
        value: None, a bool, number, text, bytes, time, enum member, UUID, path or numpy scalar, or
            a list, tuple or set of such values.

    Returns:
        None, bool, int, float, str, bytes, `datetime` (UTC if it is aware), `date`, `time`,
        `timedelta`, or a list of these; a set as a list in a fixed order.

    Raises:
        NotPlainError: It is something else.

    Examples:
        >>> import numpy as np
        >>> plain(np.float32(0.5)), plain((1, "a")), plain({"b", "a"})
        (0.5, [1, 'a'], ['a', 'b'])
        >>> plain({"a": 1})
        Traceback (most recent call last):
        atdata.predicate.values.NotPlainError: a dict cannot be compared
    """
    kind = type(value)
    if kind in AS_THEY_ARE:
        return value
    if kind is list or kind is tuple:
        try:
            return [one if type(one) in AS_THEY_ARE else plain(one) for one in value]  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        except RecursionError:
            raise NotPlainError("a list nested this deep cannot be compared") from None
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, dt.date | dt.time | dt.timedelta):
        return _time(value)
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(one) for one in value), key=repr)
    if isinstance(value, UUID | PurePath):
        return str(value)
    bases: tuple[Any, ...] = (int, float, str, bytes)
    for base in bases:
        if isinstance(value, base):  # a class derived from it, numpy's float64 too
            return base(value)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.generic):
        return _scalar(value)
    raise NotPlainError(f"a {kind.__name__} cannot be compared")


AS_THEY_ARE = frozenset((type(None), bool, int, float, str, bytes, dt.date))
"""The types whose values are plain already."""


def _time(value: dt.date | dt.time | dt.timedelta) -> object:
    """A value of time as the standard library has it."""
    if value != value:  # noqa: PLR0124 - what pandas has in place of a missing time
        return None
    if getattr(value, "nanosecond", 0) or getattr(value, "nanoseconds", 0):
        raise NotPlainError("a time with nanoseconds cannot be compared; round it to microseconds")
    if isinstance(value, dt.datetime):
        if value.tzinfo is not None and value.utcoffset() is not None:
            try:
                value = value.astimezone(dt.UTC)
            except OverflowError:
                raise NotPlainError(f"{value} cannot be compared: UTC has no such year") from None
        at = value
        if type(at) is dt.datetime and (at.tzinfo is None or at.tzinfo is dt.UTC) and not at.fold:
            return at
        day = (at.year, at.month, at.day)
        zone = None if at.utcoffset() is None else dt.UTC
        return dt.datetime(*day, at.hour, at.minute, at.second, at.microsecond, zone)
    if isinstance(value, dt.time):
        if value.tzinfo is not None:
            raise NotPlainError("a time of day with a time zone cannot be compared")
        return dt.time(value.hour, value.minute, value.second, value.microsecond)
    if isinstance(value, dt.timedelta):
        return dt.timedelta(value.days, value.seconds, value.microseconds)
    return dt.date(value.year, value.month, value.day)


def _scalar(value: Any) -> Any:
    """A scalar of numpy's as the value of Python that is equal to it."""
    if value.dtype.kind in "mM":
        if str(value) == "NaT":
            return None
        fine = value.astype("M8[us]" if value.dtype.kind == "M" else "m8[us]")
        found = value.item()
        if isinstance(found, int):  # of a unit that Python has no type for
            if fine != value:
                raise NotPlainError(f"{value} cannot be compared: it is finer than microseconds")
            found = fine.item()
        if isinstance(found, int):
            raise NotPlainError(f"{value} cannot be compared: Python has no such time")
        return plain(found)
    found = value.item()
    if type(found) is not type(value) and not isinstance(found, tuple):
        return plain(found)
    raise NotPlainError(f"a {type(value).__name__} cannot be compared")


def kind_of(value: object) -> str:
    """What kind of column would hold a plain value, as a manifest says it; "list" for lists.

    Examples:
        >>> kind_of(True), kind_of(dt.datetime(2024, 1, 1, tzinfo=dt.UTC)), kind_of((1, 2))
        ('bool', 'datetime_utc', 'list')
    """
    if isinstance(value, dt.datetime):
        return "datetime" if value.tzinfo is None else "datetime_utc"
    return "list" if isinstance(value, tuple) else type(value).__name__


def get_path(sample: object, path: str) -> object:
    """What a sample holds under a dotted path.

    `.shape` and `.dtype` of an array are its shape, a tuple of ints, and the name of its dtype. A
    None on the way, or a key that a dictionary does not have, gives None.

    Raises:
        UnknownFieldError: A class on the way has no such field. It is an AttributeError.

    Examples:
        >>> from atdata.sample.dynamic import DictSample
        >>> get_path(DictSample(box={"left": 2}), "box.left"), get_path(DictSample(a=1), "b")
        (2, None)
    """
    found: Any = sample
    walked: list[str] = []
    try:
        for step in path.split("."):
            if found is None:
                return None
            if isinstance(found, dict | DictSample):
                found = found.get(step)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            elif hasattr(found, "__dataclass_fields__"):
                found = getattr(found, step)
            elif isinstance(found, Mapping):
                found = found.get(step)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            elif step == "dtype" and hasattr(found, "shape"):
                found = str(found.dtype)
            else:
                found = getattr(found, step)
            walked.append(step)
    except AttributeError as error:
        raise _unknown(sample, path, walked, found) from error
    return found


def _unknown(sample: object, path: str, walked: Sequence[str], found: object) -> UnknownFieldError:
    """The error for what a value does not have that is found on a path."""
    owner = type(sample).__name__
    if walked:
        article = "an" if type(found).__name__[0].lower() in "aeiou" else "a"
        owner += f" with {article} {type(found).__name__} at {'.'.join(walked)!r}"
    inside = [".".join([*walked, name]) for name in getattr(found, "__dataclass_fields__", ())]
    return UnknownFieldError(path, owner, inside, get_close_matches(path, inside, 3))
