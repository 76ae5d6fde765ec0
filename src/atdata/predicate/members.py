"""The values of an `isin`, ready to be searched; and when two values are equal."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

NUMBERS = frozenset((bool, int, float))
"""The types whose values are compared as numbers."""


def equal(one: Any, other: Any) -> bool:
    """Whether two plain values are equal; lists are if all of their items are.

    Examples:
        >>> equal(1, 1.0), equal(1, "1"), equal([1, None], (1, None))
        (True, False, True)
        >>> equal(2**53 + 1, 2.0**53)
        False
    """
    kind, other_kind = type(one), type(other)
    if kind in (list, tuple) and other_kind in (list, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if kind is other_kind or (kind in NUMBERS and other_kind in NUMBERS):
        return bool(one == other)
    return False


def _same(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return equal(one, other)


def family(value: object) -> object:
    """What two values have in common that can be equal or in an order."""
    kind = type(value)
    if kind in NUMBERS:
        return float
    return (kind, True) if getattr(value, "tzinfo", None) is not None else kind


class Members:
    """Some plain values, to be searched by equality and by order.

    Examples:
        >>> members = Members((1, 2.5, "a"))
        >>> members.has(1.0), members.has("b"), members.within(2, 9), members.within("b", "z")
        (True, False, [2.5], [])
    """

    __slots__ = ("_lists", "_ordered", "_scalars", "values")

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = values
        self._lists = [one for one in values if isinstance(one, tuple)]
        scalars = [one for one in values if not isinstance(one, tuple)]
        self._scalars = frozenset((family(one), one) for one in scalars)
        self._ordered: dict[object, list[Any]] | None = None

    def has(self, value: Any) -> bool:
        """Whether a value that is not None is equal to one of these."""
        if isinstance(value, list | tuple):
            return any(equal(value, one) for one in self._lists)
        return (family(value), value) in self._scalars

    def within(self, low: Any, high: Any) -> list[Any]:
        """Those from `low` to `high`, both included; without what has no order with them."""
        if self._ordered is None:
            self._ordered = {}
            for kind, one in self._scalars:
                self._ordered.setdefault(kind, []).append(one)
            for some in self._ordered.values():
                some.sort()
        there = self._ordered.get(family(low), [])
        return there[bisect_left(there, low) : bisect_right(there, high)]
