"""What a predicate says of one sample. All other ways of asking must answer the same.

Conditions are True, False or None for unknown (Kleene's logic): a comparison with None is unknown,
and so is the opposite of what is unknown. Numbers are compared exactly, as Python does, and NaN is
equal to nothing. Values of unlike types are unequal, and neither is the smaller one.
"""

import datetime as dt
import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any

from atdata.predicate.members import NUMBERS, Members, equal
from atdata.predicate.nodes import (
    And,
    Between,
    Compare,
    Computed,
    Condition,
    Constant,
    Contains,
    Expression,
    IsIn,
    IsNan,
    IsNull,
    Matches,
    Name,
    Negative,
    Not,
    Operator,
    Or,
    Sign,
    StartsWith,
    Truth,
    limits,
)
from atdata.predicate.values import AS_THEY_ARE, NotPlainError, plain

type Get = Callable[[str], object]
"""Gives the value of a field by its path, as a sample holds it."""
type Answer = Callable[[Get], bool | None]

_ORDERS: dict[Operator, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def relation(sign: Operator, one: Any, other: Any) -> bool | None:
    """How two plain values stand to each other, or None if one is None or they have no order."""
    if one is None or other is None:
        return None
    if sign == "==":
        return equal(one, other)
    if sign == "!=":
        return not equal(one, other)
    kind, other_kind = type(one), type(other)
    if kind is not other_kind and not (kind in NUMBERS and other_kind in NUMBERS):
        return None
    if kind in (list, tuple):
        return None
    try:
        return _ORDERS[sign](one, other)
    except TypeError:  # of two times one has a zone
        return None


def compute(sign: Sign, one: Any, other: Any) -> Any:
    """A sum, difference, product, quotient or remainder of plain values.

    Returns:
        The number, time or duration; None where there is none: of None, of what cannot be
        computed with, or by a division by zero. A float that is too large is infinite.

    Examples:
        >>> compute("/", 1, 2), compute("%", -1, 3), compute("/", 1, 0)
        (0.5, 2, None)
        >>> compute("+", 2**63, 1), compute("*", 10**400, 0.5)
        (9223372036854775809, inf)
    """
    if type(one) in NUMBERS and type(other) in NUMBERS:
        return _number(sign, one, other)
    if one is None or other is None or sign not in ("+", "-"):
        return None
    if isinstance(one, _TIMES) and isinstance(other, _TIMES):
        try:
            return one + other if sign == "+" else one - other  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue, reportUnknownVariableType]
        except (TypeError, OverflowError):
            return None
    return None


_TIMES = (dt.date, dt.timedelta)


def _number(sign: Sign, one: float, other: float) -> float | None:
    if type(one) is float or type(other) is float:
        one, other = as_float(one), as_float(other)
    match sign:
        case "+":
            return one + other
        case "-":
            return one - other
        case "*":
            return one * other
        case _ if other == 0:
            return None
        case "%":
            return one % other
        case "/":
            try:
                return one / other
            except OverflowError:
                return float("inf") if (one < 0) == (other < 0) else float("-inf")


def as_float(number: float) -> float:
    """The nearest float; infinite where a number is too large for one."""
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


def holds(container: Any, item: Any) -> bool | None:
    """Whether a list has an equal item, or a text has the part; None if it is neither."""
    if container is None or item is None:
        return None
    if isinstance(container, list | tuple):
        return any(one is not None and equal(one, item) for one in container)
    if isinstance(container, str):
        return isinstance(item, str) and item in container
    return None


def true(value: Any) -> bool | None:
    """What a bool field says by itself; a number is true if it is not 0."""
    return value != 0 if type(value) in NUMBERS else None


@lru_cache(256)
def _found(pattern: str) -> Callable[[str], bool]:
    return import_module("atdata.predicate.regex").finder(pattern)  # type: ignore[no-any-return]


def answer(node: Condition) -> Answer:
    """A condition as a function that says what it is for one sample."""
    match node:
        case And(children=children):
            return _and([answer(child) for child in children])
        case Or(children=children):
            return _or([answer(child) for child in children])
        case Not(child=child):
            return _not(answer(child))
        case Compare(operator=sign, left=left, right=right):
            return _compare(sign, value(left), value(right))
        case Between():
            return _and([answer(one) for one in limits(node)])
        case IsIn(operand=operand, values=values):
            return _is_in(value(operand), values.members)
        case Contains(operand=operand, item=item):
            container, wanted = value(operand), value(item)
            return lambda get: holds(container(get), wanted(get))
        case IsNull(operand=operand):
            return _is_null(operand)
        case _:
            return _of_one(node)


def _of_one(node: IsNan | Truth | StartsWith | Matches) -> Answer:
    operand = value(node.operand)
    match node:
        case Truth():
            return lambda get: true(operand(get))
        case IsNan():
            return lambda get: None if (v := operand(get)) is None else v != v  # noqa: PLR0124
        case StartsWith(prefix=prefix):
            return lambda get: v.startswith(prefix) if isinstance(v := operand(get), str) else None
        case Matches(pattern=pattern):
            return lambda get: _found(pattern)(v) if isinstance(v := operand(get), str) else None


def value(node: Expression) -> Callable[[Get], Any]:
    """An expression as a function that gives its plain value for one sample."""
    match node:
        case Name(path=path):
            return lambda get: v if type(v := get(path)) in AS_THEY_ARE else _plain(path, v)
        case Constant(value=constant):
            return lambda _: constant
        case Negative(operand=operand):
            inner = value(operand)
            return lambda get: opposite(inner(get))
        case Computed(sign=sign, left=left, right=right):
            one, other = value(left), value(right)
            return lambda get: compute(sign, one(get), other(get))


def opposite(number: Any) -> Any:
    """A number or duration with the other sign, or None for what has no sign."""
    if type(number) not in NUMBERS and not isinstance(number, dt.timedelta):
        return None
    try:
        return -number
    except OverflowError:  # the longest duration has no opposite
        return None


def _plain(path: str, found: object) -> Any:
    try:
        return plain(found)
    except NotPlainError as error:
        raise NotPlainError(
            f"cannot ask for field {path!r}: {error}\n"
            f"  What can be asked of an array: .shape, .dtype and .is_null()."
        ) from None


def _compare(sign: Operator, left: Callable[[Get], Any], right: Callable[[Get], Any]) -> Answer:
    return lambda get: relation(sign, left(get), right(get))


def _is_in(operand: Callable[[Get], Any], members: Members) -> Answer:
    return lambda get: None if (found := operand(get)) is None else members.has(found)


def _is_null(operand: Expression) -> Answer:
    if not isinstance(operand, Name):
        inner = value(operand)
        return lambda get: inner(get) is None
    path = operand.path

    def asked(get: Get) -> bool:
        found = get(path)
        try:
            return found is None or plain(found) is None
        except NotPlainError:  # an array is there, whatever it holds
            return False

    return asked


def _and(children: Sequence[Answer]) -> Answer:
    def asked(get: Get) -> bool | None:
        found: bool | None = True
        for child in children:
            one = child(get)
            if one is False:
                return False
            if one is None:
                found = None
        return found

    return asked


def _or(children: Sequence[Answer]) -> Answer:
    def asked(get: Get) -> bool | None:
        found: bool | None = False
        for child in children:
            one = child(get)
            if one is True:
                return True
            if one is None:
                found = None
        return found

    return asked


def _not(child: Answer) -> Answer:
    return lambda get: None if (found := child(get)) is None else not found
