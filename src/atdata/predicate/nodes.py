"""What a predicate is made of: small frozen values, expressions below and conditions above.

They are made by the functions at the end of this file, which keep one form for each meaning: a
constant stands on the right of a comparison, `not not p` is `p`, and `a and (b and c)` is one node
with three children. Every node knows its depth and size, so none can be too deep to walk.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from atdata.predicate.members import Members

type Operator = Literal["==", "!=", "<", "<=", ">", ">="]
type Sign = Literal["+", "-", "*", "/", "%"]

MAX_DEPTH = 64
MAX_SIZE = 20_000
MIRRORED: dict[Operator, Operator] = {
    "==": "==",
    "!=": "!=",
    "<": ">",
    "<=": ">=",
    ">": "<",
    ">=": "<=",
}
"""What each comparison is with its sides exchanged."""


class TooLargeError(ValueError):
    """A predicate is nested too deep, or has too many parts."""

    def __init__(self) -> None:
        super().__init__(
            f"a predicate may be nested {MAX_DEPTH} deep and have {MAX_SIZE} parts\n"
            "  For many values of one field write .isin([...])."
        )


@dataclass(frozen=True, slots=True)
class _Node:
    """What all nodes share: how deep they are, and of how many they consist."""

    depth: int = field(init=False, repr=False, compare=False)
    size: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = self.parts
        depth = 1 + max((part.depth for part in parts), default=0)
        size = 1 + sum(part.size for part in parts)
        if depth > MAX_DEPTH or size > MAX_SIZE:
            raise TooLargeError
        object.__setattr__(self, "depth", depth)
        object.__setattr__(self, "size", size)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it is made of; it is checked again when it is read."""
        return type(self), tuple(getattr(self, one.name) for one in fields(self) if one.init)

    @property
    def parts(self) -> "tuple[_Node, ...]":
        """The nodes right beneath this one."""
        return ()


@dataclass(frozen=True, slots=True)
class Name(_Node):
    """The value of a field, by its dotted path."""

    path: str


@dataclass(frozen=True, slots=True, eq=False)
class Constant(_Node):
    """A plain value, never None or NaN; a list is a tuple here, and may hold None."""

    value: Any
    _members: Members | None = field(init=False, repr=False, default=None)

    @property
    def members(self) -> Members:
        """The values of a tuple, ready to be searched."""
        if self._members is None:
            object.__setattr__(self, "_members", Members(self.value))
        assert self._members is not None
        return self._members

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Constant):
            return NotImplemented
        return _identity(self.value) == _identity(other.value)

    def __hash__(self) -> int:
        return hash(_identity(self.value))


def _identity(value: Any) -> object:
    """What tells values apart that Python holds to be equal, such as 1, 1.0 and True."""
    if isinstance(value, tuple):
        return tuple(_identity(one) for one in value)
    return type(value), repr(value) if isinstance(value, float) else value


@dataclass(frozen=True, slots=True)
class Computed(_Node):
    """A sum, difference, product, quotient or remainder."""

    sign: Sign
    left: "Expression"
    right: "Expression"

    @property
    def parts(self) -> tuple[_Node, ...]:
        """Both sides."""
        return (self.left, self.right)


@dataclass(frozen=True, slots=True)
class Negative(_Node):
    """A value with the other sign."""

    operand: "Expression"

    @property
    def parts(self) -> tuple[_Node, ...]:
        """The operand."""
        return (self.operand,)


@dataclass(frozen=True, slots=True)
class Compare(_Node):
    """How two values stand to each other; a constant is on the right."""

    operator: Operator
    left: "Expression"
    right: "Expression"

    @property
    def parts(self) -> tuple[_Node, ...]:
        """Both sides."""
        return (self.left, self.right)


@dataclass(frozen=True, slots=True)
class IsIn(_Node):
    """A value is equal to one of some; they are a constant tuple."""

    operand: "Expression"
    values: Constant

    @property
    def parts(self) -> tuple[_Node, ...]:
        """The operand; the values are no nodes."""
        return (self.operand,)


@dataclass(frozen=True, slots=True)
class Between(_Node):
    """A value lies between two, or is one of them."""

    operand: "Expression"
    low: "Expression"
    high: "Expression"

    @property
    def parts(self) -> tuple[_Node, ...]:
        """The operand and both limits."""
        return (self.operand, self.low, self.high)


@dataclass(frozen=True, slots=True)
class Contains(_Node):
    """A list has an item that is equal, or a text has the part."""

    operand: "Expression"
    item: "Expression"

    @property
    def parts(self) -> tuple[_Node, ...]:
        """The operand and the item."""
        return (self.operand, self.item)


@dataclass(frozen=True, slots=True)
class _OfOne(_Node):
    operand: "Expression"

    @property
    def parts(self) -> tuple[_Node, ...]:
        """The operand."""
        return (self.operand,)


@dataclass(frozen=True, slots=True)
class IsNull(_OfOne):
    """A value is None."""


@dataclass(frozen=True, slots=True)
class IsNan(_OfOne):
    """A value is the float that is no number."""


@dataclass(frozen=True, slots=True)
class Truth(_OfOne):
    """A bool field by itself; a number is true if it is not 0."""


@dataclass(frozen=True, slots=True)
class StartsWith(_OfOne):
    """A text begins with another."""

    prefix: str


@dataclass(frozen=True, slots=True)
class Matches(_OfOne):
    """A regular expression of RE2 is found in a text."""

    pattern: str


@dataclass(frozen=True, slots=True)
class And(_Node):
    """All of some conditions, which are two at least and no `And`s."""

    children: "tuple[Condition, ...]"

    @property
    def parts(self) -> tuple[_Node, ...]:
        """The conditions."""
        return self.children


@dataclass(frozen=True, slots=True)
class Or(_Node):
    """One of some conditions, which are two at least and no `Or`s."""

    children: "tuple[Condition, ...]"

    @property
    def parts(self) -> tuple[_Node, ...]:
        """The conditions."""
        return self.children


@dataclass(frozen=True, slots=True)
class Not(_Node):
    """A condition does not hold; it is no `Not` itself."""

    child: "Condition"

    @property
    def parts(self) -> tuple[_Node, ...]:
        """The condition."""
        return (self.child,)


type Expression = Name | Constant | Computed | Negative
type Leaf = Compare | IsIn | Between | Contains | IsNull | IsNan | Truth | StartsWith | Matches
type Condition = Leaf | And | Or | Not
LEAVES = (Compare, IsIn, Between, Contains, IsNull, IsNan, Truth, StartsWith, Matches)
CONDITIONS = (*LEAVES, And, Or, Not)


def compared(operator: Operator, left: Expression, right: Expression) -> Condition:
    """A comparison, with a constant on its right."""
    if isinstance(left, Constant) and not isinstance(right, Constant):
        return Compare(MIRRORED[operator], right, left)
    return Compare(operator, left, right)


def all_of(conditions: Sequence[Condition]) -> Condition:
    """Conditions joined by `and`; of one it is that one."""
    flat: list[Condition] = []
    for one in conditions:
        flat.extend(one.children if isinstance(one, And) else (one,))
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def any_of(conditions: Sequence[Condition]) -> Condition:
    """Conditions joined by `or`; of one it is that one."""
    flat: list[Condition] = []
    for one in conditions:
        flat.extend(one.children if isinstance(one, Or) else (one,))
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def negated(condition: Condition) -> Condition:
    """The opposite of a condition."""
    return condition.child if isinstance(condition, Not) else Not(condition)


def negative(operand: Expression) -> Expression:
    """An expression with the other sign; of a constant it is a constant.

    Raises:
        TypeError: The constant has no sign.
    """
    if not isinstance(operand, Constant):
        return Negative(operand)
    if not isinstance(operand.value, int | float | dt.timedelta):
        raise TypeError(f"{operand.value!r} has no sign")
    return Constant(-operand.value)


def limits(node: Between) -> tuple[Compare, Compare]:
    """The two comparisons that `between` stands for."""
    return Compare(">=", node.operand, node.low), Compare("<=", node.operand, node.high)


def names(node: Expression | Condition) -> Iterator[str]:
    """The paths of all fields in a node, in order, as often as they occur."""
    waiting: list[Any] = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Name):
            yield one.path
        waiting.extend(reversed(one.parts))


def rebuilt(node: Any, leaf: Callable[[Name], Expression]) -> Any:
    """A node with other names in it."""
    match node:
        case Name():
            return leaf(node)
        case Constant():
            return node
        case Computed(sign=sign, left=left, right=right):
            return Computed(sign, rebuilt(left, leaf), rebuilt(right, leaf))
        case Compare(operator=operator, left=left, right=right):
            return Compare(operator, rebuilt(left, leaf), rebuilt(right, leaf))
        case IsIn(operand=operand, values=values):
            return IsIn(rebuilt(operand, leaf), values)
        case Between(operand=operand, low=low, high=high):
            return Between(rebuilt(operand, leaf), rebuilt(low, leaf), rebuilt(high, leaf))
        case Contains(operand=operand, item=item):
            return Contains(rebuilt(operand, leaf), rebuilt(item, leaf))
        case StartsWith(operand=operand, prefix=prefix):
            return StartsWith(rebuilt(operand, leaf), prefix)
        case Matches(operand=operand, pattern=pattern):
            return Matches(rebuilt(operand, leaf), pattern)
        case And(children=children) | Or(children=children):
            return type(node)(tuple(rebuilt(child, leaf) for child in children))
        case Not(child=child):
            return Not(rebuilt(child, leaf))
        case _:
            return type(node)(rebuilt(node.operand, leaf))
