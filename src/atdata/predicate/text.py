"""A predicate as text that people read and write, close to SQL; `parse` reads it."""

import datetime as dt
import re
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

WORDS = frozenset(
    (
        *("and", "or", "not", "in", "is", "between", "contains", "startswith", "matches"),
        *("null", "none", "nan", "true", "false", "inf", "infinity"),
    )
)
"""What a name must not be in any case, unless it is quoted."""

PLAIN_NAME = re.compile(r"[^\W\d]\w*")

# How tightly a part binds; what binds less than its place needs stands in brackets.
_OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _SIGN, _ATOM = range(8)


def written(node: Expression | Condition) -> str:
    r"""A node as text.

    Examples:
        >>> written(IsIn(Name("a b.c"), Constant(("it's", 2))))
        '"a b".c in (\'it\'\'s\', 2)'
    """
    return _write(node)[0]


def _at(node: Expression | Condition, least: int) -> str:
    text, binds = _write(node)
    return text if binds >= least else f"({text})"


def _write(node: Expression | Condition) -> tuple[str, int]:
    match node:
        case Name(path=path):
            return ".".join(map(_step, path.split("."))), _ATOM
        case Constant(value=value):
            text = constant(value)
            return text, _SIGN if text.startswith("-") else _ATOM
        case Negative(operand=operand):
            return f"-{_at(operand, _ATOM)}", _SIGN
        case Computed(sign=sign, left=left, right=right):
            binds = _SUM if sign in "+-" else _PRODUCT
            return f"{_at(left, binds)} {sign} {_at(right, binds + 1)}", binds
        case Or(children=children):
            return " or ".join(_at(child, _AND) for child in children), _OR
        case And(children=children):
            return " and ".join(_at(child, _NOT) for child in children), _AND
        case Not(child=child):
            return f"not {_at(child, _COMPARISON)}", _NOT
        case Truth(operand=operand):
            return _at(operand, _ATOM), _COMPARISON
        case Compare(operator=sign, left=left, right=right):
            return f"{_at(left, _SUM)} {sign} {_at(right, _SUM)}", _COMPARISON
        case _:
            return f"{_at(node.operand, _SUM)} {_rest(node)}", _COMPARISON


def _rest(node: IsIn | Between | Contains | IsNull | IsNan | StartsWith | Matches) -> str:
    match node:
        case IsIn(values=values):
            return f"in ({', '.join(map(constant, values.value))})"
        case Between(low=low, high=high):
            return f"between {_at(low, _SUM)} and {_at(high, _SUM)}"
        case Contains(item=item):
            return f"contains {_at(item, _SUM)}"
        case IsNull():
            return "is null"
        case IsNan():
            return "is nan"
        case StartsWith(prefix=prefix):
            return f"startswith {constant(prefix)}"
        case Matches(pattern=pattern):
            return f"matches {constant(pattern)}"


def _step(step: str) -> str:
    if PLAIN_NAME.fullmatch(step) and step.lower() not in WORDS:
        return step
    doubled = step.replace('"', '""')
    return f'"{doubled}"'


def constant(value: Any) -> str:
    """A plain value as text.

    Examples:
        >>> constant(dt.date(2024, 2, 29)), constant((28, None)), constant(True)
        ("date '2024-02-29'", '[28, null]', 'true')
    """
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            doubled = value.replace("'", "''")
            return f"'{doubled}'"
        case bytes():
            return f"x'{value.hex()}'"
        case tuple():
            return f"[{', '.join(map(constant, value))}]"
        case dt.datetime():
            return f"timestamp '{value.isoformat(sep=' ')}'"
        case dt.date():
            return f"date '{value.isoformat()}'"
        case dt.time():
            return f"time '{value.isoformat()}'"
        case dt.timedelta():
            return f"duration '{_seconds(value)}'"
        case _:
            return repr(value)


def _seconds(value: dt.timedelta) -> str:
    """A duration in seconds, exact to the microsecond."""
    total = value // dt.timedelta(microseconds=1)
    whole, rest = divmod(abs(total), 1_000_000)
    fraction = f".{rest:06}".rstrip("0") if rest else ""
    return f"{'-' if total < 0 else ''}{whole}{fraction}"
