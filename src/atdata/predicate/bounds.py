"""What a predicate says of many rows at once, from what is known of their values.

Each part of a predicate is given the answers that it may have: whether some row may say yes, no or
unknown. Too many are allowed for, never too few, so "none" and "all" are proofs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from atdata.predicate.members import Members, equal
from atdata.predicate.nodes import (
    MIRRORED,
    And,
    Between,
    Compare,
    Condition,
    Constant,
    Contains,
    Expression,
    IsIn,
    IsNan,
    IsNull,
    Matches,
    Not,
    Operator,
    Or,
    StartsWith,
    Truth,
    limits,
)
from atdata.predicate.rows import holds, relation, true
from atdata.predicate.spans import Facts, Span, is_number, span_of


@dataclass(frozen=True, slots=True)
class _Answers:
    """The answers that may occur among the rows."""

    yes: bool
    no: bool
    unknown: bool


_ANY = _Answers(True, True, True)


def verdict(node: Condition, facts: Facts) -> Literal["none", "some", "all"]:
    """Whether a condition is true of no row, of all, or of some as far as is known."""
    if any(known.n == 0 for known in facts.values()):
        return "none"
    found = _answers(node, facts)
    if not found.yes:
        return "none"
    return "some" if found.no or found.unknown else "all"


def _answers(node: Condition, facts: Facts) -> _Answers:
    match node:
        case And(children=children):
            parts = [_answers(child, facts) for child in children]
            return _Answers(
                all(part.yes for part in parts),
                any(part.no for part in parts),
                any(part.unknown for part in parts)
                and all(part.yes or part.unknown for part in parts),
            )
        case Or(children=children):
            parts = [_answers(child, facts) for child in children]
            return _Answers(
                any(part.yes for part in parts),
                all(part.no for part in parts),
                any(part.unknown for part in parts)
                and all(part.no or part.unknown for part in parts),
            )
        case Not(child=child):
            inner = _answers(child, facts)
            return _Answers(inner.no, inner.yes, inner.unknown)
        case Compare(operator=sign, left=left, right=right):
            return _compare(sign, span_of(left, facts), span_of(right, facts))
        case Between():
            low, high = limits(node)
            return _answers(And((low, high)), facts)
        case IsNull(operand=operand):
            span = span_of(operand, facts)
            return _Answers(span.null, span.nan or span.ordinary, False)
        case IsNan(operand=operand):
            span = span_of(operand, facts)
            return _Answers(span.nan, span.ordinary, span.null)
        case Contains(operand=operand, item=item):
            return _contains(span_of(operand, facts), item)
        case IsIn(operand=operand, values=values):
            return _is_in(span_of(operand, facts), values.members)
        case Truth(operand=operand):
            return _truth(span_of(operand, facts))
        case StartsWith(operand=operand, prefix=prefix):
            return _startswith(span_of(operand, facts), prefix)
        case Matches(operand=operand):
            span = span_of(operand, facts)
            texts = span.ordinary and (span.lists or not span.is_known or _is(span, str))
            return _Answers(texts, texts, True)


def _is(span: Span, kind: type) -> bool:
    return isinstance(span.low, kind) and isinstance(span.high, kind)


def _joined(span: Span, answers: Iterable[bool | None]) -> _Answers:
    """The answers of ordinary values, and of None."""
    found = set(answers)
    return _Answers(True in found, False in found, None in found or span.null)


def _compare(sign: Operator, left: Span, right: Span) -> _Answers:
    null = left.null or right.null
    possible = (left.nan or left.ordinary) and (right.nan or right.ordinary)
    if not possible:
        return _Answers(False, False, null)
    if left.lists or right.lists:
        return _ANY
    nan = left.nan or right.nan
    found = _Answers(False, False, null)
    if left.ordinary and right.ordinary:
        found = _ordinary(sign, left, right)
        found = replace(found, unknown=found.unknown or null)
    if nan:  # differs from all there is, and stands in no order
        found = replace(found, yes=found.yes or sign == "!=", no=found.no or sign != "!=")
        if sign not in ("==", "!=") and not (_is_numeric(left) and _is_numeric(right)):
            found = replace(found, unknown=True)
    return found


_PAIRS = 10_000
"""So many pairs of known values are compared one by one."""


def _is_numeric(span: Span) -> bool:
    return not span.ordinary or (is_number(span.low) and is_number(span.high))


def _ordinary(sign: Operator, left: Span, right: Span) -> _Answers:
    """How values that are neither None nor NaN may stand to each other."""
    ones, others = left.values, right.values
    if ones is not None and others is not None and len(ones) * len(others) <= _PAIRS:
        found = {relation(sign, a, b) for a in ones for b in others}
        return _Answers(True in found, False in found, None in found)
    if sign == "!=":
        same = _ordinary("==", left, right)
        return _Answers(same.no, same.yes, False)
    if sign == "==":
        return _equal(left, right)
    if not left.is_known or not right.is_known:
        return _ANY
    if relation("<=", left.low, right.low) is None:  # of unlike types, which have no order
        return _Answers(False, False, True)
    if sign in (">", ">="):
        return _ordinary(MIRRORED[sign], right, left)
    yes = relation(sign, left.low, right.high) is True
    no = relation(sign, left.high, right.low) is not True
    return _Answers(yes, no, False)


def _equal(left: Span, right: Span) -> _Answers:
    yes = no = True
    for one, other in ((left, right), (right, left)):
        if (
            other.values is not None
            and len(other.values) == 1
            and not one.may_hold(other.values[0])
        ):
            yes = False
    if left.is_known and right.is_known:
        if (
            relation("<=", left.low, right.low) is None
            or relation("<", left.high, right.low)
            or relation("<", right.high, left.low)
        ):
            yes = False
        elif equal(left.low, left.high) and equal(right.low, right.high):
            no = not equal(left.low, right.low)
    return _Answers(yes, no, False)


def _is_in(span: Span, members: Members) -> _Answers:
    if not span.ordinary:
        return _Answers(False, span.nan, span.null)
    if span.lists:
        return _Answers(True, True, span.null)
    if span.values is not None:
        found = {members.has(one) for one in span.values}
        return _Answers(True in found, False in found or span.nan, span.null)
    if not span.is_known:
        bloom = span.bloom
        yes = bloom is None or len(members.values) > _ASKED or _any_in(span, members.values)
        return _Answers(yes, True, span.null)
    near = members.within(span.low, span.high)
    yes = bool(near) and (len(near) > _ASKED or _any_in(span, near))
    only = equal(span.low, span.high)
    return _Answers(yes, span.nan or not (yes and only), span.null)


_ASKED = 1000
"""A Bloom filter is asked for this many values; of more it hardly excludes all."""


def _any_in(span: Span, values: Sequence[Any]) -> bool:
    return any(span.may_hold(value) for value in values)


def _contains(span: Span, item: Expression) -> _Answers:
    if not isinstance(item, Constant):
        return _ANY
    if span.lists:
        # `nan` says nothing here, as no item of a list is equal to NaN.
        yes = span.ordinary and span.may_hold(item.value)
        return _Answers(yes, span.ordinary, span.null)
    if span.values is not None and not span.nan and span.ordinary:
        return _joined(span, (holds(one, item.value) for one in span.values))
    if span.is_known:
        texts = span.ordinary and _is(span, str)
        return _Answers(texts, texts, not texts or span.null or span.nan)
    return _ANY


def _truth(span: Span) -> _Answers:
    if span.values is not None and span.ordinary and not span.lists:
        found = _joined(span, map(true, span.values))
    elif span.is_known and not span.lists and _is(span, int | float):  # type: ignore[arg-type]
        yes = not (span.low == 0 and span.high == 0)
        found = _Answers(yes, span.low <= 0 <= span.high, span.null)
    elif not span.ordinary:
        found = _Answers(False, False, span.null)
    else:
        found = _ANY
    return replace(found, yes=found.yes or span.nan)


def _startswith(span: Span, prefix: str) -> _Answers:
    if span.lists or not span.is_known or span.nan or not span.ordinary:
        return _ANY
    if not _is(span, str):
        return _Answers(False, False, True)
    yes = span.high >= prefix and span.low[: len(prefix)] <= prefix
    no = not (span.low.startswith(prefix) and span.high.startswith(prefix))
    return _Answers(yes, no, span.null)
