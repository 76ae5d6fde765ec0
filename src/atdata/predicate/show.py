"""A predicate as Python shows it: an expression that makes it again."""

from keyword import iskeyword
from typing import Any

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
    Or,
    StartsWith,
    Truth,
)

OWN: set[str] = set()
"""The methods of fields; a field of such a name is shown in brackets."""


def shown(node: Expression | Condition) -> str:
    """A node as Python source, with `F` for the fields.

    Examples:
        >>> shown(Compare(">", Name("box.left"), Constant(3)))
        'F.box.left > 3'
    """
    match node:
        case Name(path=path):
            return _field(path)
        case Constant(value=value):
            return _constant(value)
        case Computed(sign=sign, left=left, right=right):
            return f"{_part(left)} {sign} {_part(right)}"
        case Negative(operand=operand):
            return f"-{_part(operand)}"
        case Compare(operator=sign, left=left, right=right):
            return f"{_part(left)} {sign} {_part(right)}"
        case Not(child=child):
            return f"~{_part(child)}"
        case And(children=children):
            return " & ".join(map(_part, children))
        case Or(children=children):
            return " | ".join(map(_part, children))
        case _:
            return _method(node)


def _method(
    node: IsIn | Between | Contains | IsNull | IsNan | Truth | StartsWith | Matches,
) -> str:
    field = _part(node.operand)
    match node:
        case IsIn(values=values):
            return f"{field}.isin({_constant(values.value)})"
        case Between(low=low, high=high):
            return f"{field}.between({shown(low)}, {shown(high)})"
        case Contains(item=item):
            return f"{field}.contains({shown(item)})"
        case StartsWith(prefix=prefix):
            return f"{field}.startswith({prefix!r})"
        case Matches(pattern=pattern):
            return f"{field}.matches({pattern!r})"
        case IsNull():
            return f"{field}.is_null()"
        case IsNan():
            return f"{field}.is_nan()"
        case Truth():
            return f"{field}.is_true()"


def _part(node: Expression | Condition) -> str:
    """A node as a part of another: in brackets, unless it is one thing anyway."""
    text = shown(node)
    match node:
        case Compare() | Computed() | Negative() | And() | Or():
            return f"({text})"
        case Constant() if text.startswith("-"):
            return f"({text})"
        case _:
            return text


def _field(path: str) -> str:
    plain = all(
        step.isidentifier() and not step.startswith("_") and not iskeyword(step)
        for step in path.split(".")
    )
    if plain and not OWN.intersection(path.split(".")[1:]) and path.isascii():
        return f"F.{path}"
    return f"F[{path!r}]"


def _constant(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_constant, value))}]"
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return f"float({str(value)!r})"
    return repr(value)
