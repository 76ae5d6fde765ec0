"""The values that a predicate compares with, read from what a caller gave or refused."""

import datetime as dt
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, cast

from atdata.predicate.nodes import Constant
from atdata.predicate.values import NotPlainError, plain

_LONGEST_INT = 4096
"""In bits. Python refuses to write out longer ones in time."""


def constant(value: object) -> Constant:
    """A value to compare with.

    Args:
        value: Anything that `plain` reads except None and NaN, or a list of such values, in which
            there may be None.

    Raises:
        TypeError: It is of a kind that fields are not compared with.
        ValueError: It is NaN, or text that UTF-8 cannot hold.
    """
    if isinstance(value, dict):
        raise TypeError(
            "a field cannot be compared with a dict\n  Ask for a part of it: F.box.left > 3"
        )
    if callable(value):
        raise TypeError(
            f"a field cannot be compared with {_called(value)}\n"
            "  Call it first, or give the function itself to ds.filter(...)."
        )
    try:
        found = plain(value)
    except NotPlainError:
        raise TypeError(
            f"a field cannot be compared with a {type(value).__name__}\n"
            "  Compare with a number, text, bool, time, or a list of these; with one of several "
            "by F.x.isin([...]), and with another field by F.x > F.y."
        ) from None
    if found is None:
        raise TypeError("None has no order\n  Write F.x.is_null() or ~F.x.is_null().")
    if isinstance(found, list):
        return Constant(tuple(map(_item, cast("list[object]", found))))
    return Constant(_scalar(found))


def constants(values: object, ask: str = "F.x") -> Constant:
    """The values of `isin`: each of them once, in their order."""
    if isinstance(values, str | bytes):
        raise TypeError(
            f"isin takes the values, and this is one\n  Write {ask}.isin([{values!r}])."
        )
    try:
        given = list(cast("Iterable[object]", values))
    except TypeError:
        raise TypeError(
            f"isin takes the values, not a {type(values).__name__}\n"
            f"  Write {ask}.isin([...]); whether a list field has an item: {ask}.contains(item)."
        ) from None
    found: dict[Constant, None] = {}
    for one in given:
        if one is None:
            raise TypeError(
                "None is equal to nothing, also in isin\n"
                f"  Write {ask}.isin([...]) | {ask}.is_null()."
            )
        found[constant(one)] = None
    return Constant(tuple(one.value for one in found))


def text(value: object, what: str) -> str:
    """The text that a method such as `startswith` takes."""
    found = constant(value).value
    if not isinstance(found, str):
        raise TypeError(f"{what} takes text, not a {type(value).__name__}")
    return found


def expression(value: object) -> str:
    """The regular expression that `matches` takes.

    Raises:
        ValueError: It is none of RE2's.
    """
    found = text(value, "matches")
    import_module("atdata.predicate.regex").check(found)
    return found


def _item(value: object) -> Any:
    if isinstance(value, list):
        raise TypeError("a field cannot be compared with a list of lists")
    return None if value is None else _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - only NaN differs from itself
        raise ValueError("NaN is equal to nothing\n  Write F.x.is_nan() or ~F.x.is_nan().")
    if isinstance(value, int) and value.bit_length() > _LONGEST_INT:
        raise ValueError(f"a number of {value.bit_length()} bits; {_LONGEST_INT} are enough")
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{value!a} has a lone surrogate, which no field holds") from None
    if isinstance(value, dt.datetime) and value.tzinfo is not None and value.utcoffset() is None:
        return value.replace(tzinfo=None)
    return value


def _called(value: Callable[..., object]) -> str:
    name = getattr(value, "__name__", type(value).__name__)
    return "a lambda" if name == "<lambda>" else f"{name}, which is a function or class"
