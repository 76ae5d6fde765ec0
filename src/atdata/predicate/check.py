"""Whether a predicate fits a sample type: its fields are there, and its comparisons can hold."""

from collections.abc import Iterable
from typing import Any, Never

from atdata.predicate.kinds import ANYTHING, Kind, kind_at, name_of
from atdata.predicate.members import equal
from atdata.predicate.nodes import (
    Between,
    Compare,
    Computed,
    Constant,
    Contains,
    Expression,
    IsIn,
    IsNan,
    Matches,
    Name,
    Negative,
    StartsWith,
    Truth,
)
from atdata.predicate.predicate import Predicate
from atdata.predicate.show import shown

_NUMBERS = frozenset(("bool", "int", "float"))
_ADVICE = "Of an array there are .shape, .dtype and .is_null(); of another class, its fields."


def check(predicate: Predicate, sample_type: Any) -> None:
    """See that a predicate can be asked of the samples of a type.

    What cannot be judged passes: fields of any type, and those of a `DictSample`.

    Raises:
        UnknownFieldError: The type has no such field. The error names the closest.
        TypeError: A comparison can never hold, such as of text with a number, or a field holds
            what cannot be compared at all.

    Examples:
        >>> from dataclasses import dataclass
        >>> from atdata.predicate import F
        >>> @dataclass
        ... class Word:
        ...     text: str
        >>> check(F.text.startswith("a"), Word)
        >>> check(F.text > 3, Word)
        Traceback (most recent call last):
        TypeError: F.text > 3 can never hold
          F.text is declared as str
          3 is int
    """
    waiting: list[Any] = [predicate.node]
    while waiting:
        node = waiting.pop()
        waiting.extend(node.parts)
        if isinstance(node, Name):
            kind_at(sample_type, node.path)
        else:
            _judge(node, sample_type)


def _judge(node: Any, owner: Any) -> None:
    match node:
        case Compare(left=left, right=right, operator=sign):
            _pair(node, left, right, owner, ordered=sign not in ("==", "!="))
        case Between(operand=operand, low=low, high=high):
            _pair(node, operand, low, owner, ordered=True)
            _pair(node, operand, high, owner, ordered=True)
        case IsIn(operand=operand, values=values):
            for value in values.value:
                _pair(node, operand, Constant(value), owner, ordered=False)
        case Contains(operand=operand, item=item):
            _contains(node, operand, item, owner)
        case StartsWith(operand=operand) | Matches(operand=operand):
            _need(node, operand, owner, ("str",))
        case IsNan(operand=operand):
            _need(node, operand, owner, ("float",))
        case Truth(operand=operand):
            _need(node, operand, owner, ("bool",))
        case Negative(operand=operand):
            _need(node, operand, owner, (*_NUMBERS, "timedelta"))
        case Computed():
            _computed(node, owner)
        case _:
            pass


def kind(node: Expression, owner: Any) -> Kind:
    """What an expression may be."""
    match node:
        case Name(path=path):
            return kind_at(owner, path)
        case Constant(value=value):
            inner = None
            if isinstance(value, tuple):
                names = frozenset(name_of(one) for one in value)
                inner = Kind(None, names or frozenset((ANYTHING,)))
            return Kind(type(value), frozenset((name_of(value),)), inner)
        case Negative(operand=operand):
            return kind(operand, owner)
        case Computed(sign=sign, left=left, right=right):
            return Kind("a number", _result(sign, kind(left, owner), kind(right, owner)))


def _result(sign: str, left: Kind, right: Kind) -> frozenset[str]:
    one, other = left.names - {"null"}, right.names - {"null"}
    if one <= _NUMBERS and other <= _NUMBERS:
        if sign == "/" or ("float" in one and "float" in other):
            return frozenset(("float",))
        return frozenset(("int", "float"))
    return frozenset((ANYTHING,))


def _pair(node: Any, left: Expression, right: Expression, owner: Any, *, ordered: bool) -> None:
    one, other = kind(left, owner), kind(right, owner)
    for side, found in ((left, one), (right, other)):
        if not found.names - {"null", "array", "object"}:
            _refuse(node, [(side, found)], _ADVICE)
    if not _may_meet(one, other, ordered=ordered):
        day = "date" in one.names and "datetime" in other.names
        hint = "A date is compared with a date, without a time of day." if day else ""
        _refuse(node, [(left, one), (right, other)], hint)
    if one.values is not None and isinstance(right, Constant) and not ordered:
        value = right.value
        if not any(equal(value, known) for known in one.values):
            _refuse(node, [(left, one)], f"Its values are {one.values!r:.300}.")


def _may_meet(one: Kind, other: Kind, *, ordered: bool) -> bool:
    left, right = one.names - {"null"}, other.names - {"null"}
    if ANYTHING in left | right:
        return True
    if ordered and "list" in left & right and len(left & right) == 1:
        return False
    return bool(left & right or (left & _NUMBERS and right & _NUMBERS))


def _contains(node: Any, operand: Expression, item: Expression, owner: Any) -> None:
    container, wanted = kind(operand, owner), kind(item, owner)
    if ANYTHING in container.names:
        return
    _need(node, operand, owner, ("str", "list"))
    if "list" in container.names and (
        container.item is None or _may_meet(container.item, wanted, ordered=False)
    ):
        return
    if "str" in container.names and wanted.names & {"str", ANYTHING}:
        return
    _refuse(node, [(operand, container), (item, wanted)])


def _need(node: Any, operand: Expression, owner: Any, names: Iterable[str]) -> None:
    found = kind(operand, owner)
    if not found.names & {ANYTHING, *names}:
        hint = _ADVICE if found.names & {"array", "object"} else f"This is for {', '.join(names)}."
        _refuse(node, [(operand, found)], hint)


def _computed(node: Computed, owner: Any) -> None:
    times = ("datetime", "date", "timedelta")
    for side in (node.left, node.right):
        _need(node, side, owner, ("bool", "int", "float", *(times if node.sign in "+-" else ())))
    left, right = kind(node.left, owner), kind(node.right, owner)
    one, other = left.names, right.names
    if ANYTHING in one | other or (one & _NUMBERS and other & _NUMBERS):
        return
    if not (one.intersection(times) and other.intersection(times)):
        _refuse(node, [(node.left, left), (node.right, right)])


def _refuse(node: Any, sides: list[tuple[Expression, Kind]], hint: str = "") -> Never:
    lines = [f"{shown(node)[:300]} can never hold"]
    for side, found in sides:
        is_value = isinstance(side, Constant)
        lines.append(
            f"  {shown(side)[:100]} {'is' if is_value else 'is declared as'} {found.shown}"
        )
    lines += [f"  {hint}"] if hint else []
    raise TypeError("\n".join(lines))
