"""What is known of the values that an expression has in many rows: its span."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from atdata.predicate.exact import neighbours, whole
from atdata.predicate.facts import FieldFacts
from atdata.predicate.members import equal
from atdata.predicate.nodes import Computed, Constant, Expression, Name, Negative
from atdata.predicate.rows import as_float, compute, opposite, relation

type Facts = Mapping[str, FieldFacts]


@dataclass(frozen=True, slots=True)
class Span:
    """The values that an expression may have among the rows.

    Attributes:
        null: Some may be None.
        nan: Some may be NaN.
        ordinary: Some may be neither.
        low: None of these is smaller; None if that is not known.
        high: None is larger.
        values: All of them, or all items of lists, where they are known.
        bloom: Says False of a value that none has.
        lists: They are lists, and `low`, `high`, `values` and `bloom` are about their items.
    """

    null: bool = True
    nan: bool = True
    ordinary: bool = True
    low: Any = None
    high: Any = None
    values: Sequence[Any] | None = None
    bloom: Callable[[object], bool] | None = None
    lists: bool = False

    @property
    def is_known(self) -> bool:
        """Whether the smallest and the largest are known."""
        return self.low is not None and self.high is not None

    def may_hold(self, value: Any) -> bool:
        """Whether a value, or an item of a list, may be equal to one."""
        if self.values is not None:
            return any(equal(one, value) for one in self.values)
        if self.is_known:
            if relation("<=", self.low, value) is not True:
                return False
            if relation(">=", self.high, value) is not True:
                return False
        return self.bloom is None or any(map(self.bloom, _forms(value, self)))


def span_of(node: Expression, facts: Facts) -> Span:
    """What is known of the values of an expression."""
    match node:
        case Name(path=path):
            return _of_field(facts[path]) if path in facts else Span()
        case Constant(value=tuple()):
            return Span(null=False, nan=False)
        case Constant(value=value):
            return Span(null=False, nan=False, low=value, high=value, values=(value,))
        case Negative(operand=operand):
            span = span_of(operand, facts)
            low, high = opposite(span.high), opposite(span.low)
            if not is_number(low) or not is_number(high) or span.lists:
                return Span()
            return replace(span, low=low, high=high, values=None, bloom=None)
        case Computed():
            return _computed(node, facts)


def _of_field(known: FieldFacts) -> Span:
    there = known.n - known.nulls
    bounded = known.low is not None and known.high is not None
    return Span(
        null=known.nulls > 0,
        nan=known.nans > 0 and not known.is_list,
        ordinary=there > (0 if known.is_list else known.nans),
        low=known.low if bounded else None,
        high=known.high if bounded else None,
        values=None if known.values is None else tuple(known.values),
        bloom=known.bloom,
        lists=known.is_list,
    )


def _computed(node: Computed, facts: Facts) -> Span:
    """The span of a computation: each of `+ - *` is monotone in both, rounding included."""
    left, right = span_of(node.left, facts), span_of(node.right, facts)
    null = left.null or right.null
    ends = (left.low, left.high, right.low, right.high)
    if left.lists or right.lists or not all(map(_is_finite, ends)) or node.sign in ("%", "/"):
        return Span()
    corners = [
        compute(node.sign, a, b) for a in (left.low, left.high) for b in (right.low, right.high)
    ]
    return Span(
        null=null,
        nan=left.nan or right.nan,
        ordinary=left.ordinary and right.ordinary,
        low=min(corners),
        high=max(corners),
    )


def is_number(value: object) -> bool:
    """Whether a value is a number, `True` and `False` included."""
    return isinstance(value, int | float)


def _is_finite(value: Any) -> bool:
    """Whether a value is a number, and one that is finite as a float too.

    An integer beyond all floats is infinite beside one, and infinities make NaN of other numbers.
    """
    return is_number(value) and math.isfinite(as_float(value))


def _forms(value: Any, span: Span) -> list[Any]:
    """The values that are equal to one, of the type that a span has or of all if it is not known.

    A filter may know a number by its bits, by which 1, 1.0, True and even -0.0 and 0.0 differ.
    """
    if not is_number(value):
        return [value]
    ends = {type(span.low), type(span.high)} if span.is_known else {bool, int, float}
    found: list[Any] = []
    number, (below, above) = whole(value), neighbours(value)
    if float in ends and below == above:
        found += [below, -below] if below == 0 else [below]
    if int in ends and number is not None:
        found.append(number)
    if bool in ends and number in (0, 1):
        found.append(bool(number))
    return found
