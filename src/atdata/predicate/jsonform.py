"""A predicate as plain JSON data, for records and for other programs.

Each node is an object: `{"field": "box.left"}`, or one whose `op` says what it is, such as `{"op":
">", "left": {"field": "score"}, "right": 0.9}`. A value is itself where JSON has a form that every
reader keeps, and else an object that names its type: `{"timestamp": "2024-01-31 12:00:00"}`.
"""

import math
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Never, cast

from atdata._exceptions import PredicateSyntaxError, printable
from atdata.predicate.constants import constant, constants, expression, text
from atdata.predicate.nodes import (
    CONDITIONS,
    MAX_DEPTH,
    MIRRORED,
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
    all_of,
    any_of,
    compared,
    names,
    negated,
    negative,
)
from atdata.predicate.text import constant as written
from atdata.predicate.tokens import literal, real

_LARGEST = 2**53 - 1
"""Larger integers are text: many readers of JSON keep no more bits."""
_SIGNS = ("+", "-", "*", "/", "%")
_TAGS = ("timestamp", "date", "time", "duration", "x")


def to_json(node: Expression | Condition) -> Any:
    """A node as plain data.

    Examples:
        >>> to_json(IsIn(Name("label"), Constant(("cat", 2**60))))
        {'op': 'in', 'of': {'field': 'label'}, 'values': ['cat', {'int': '1152921504606846976'}]}
    """
    match node:
        case Name(path=path):
            return {"field": path}
        case Constant(value=value):
            return _value(value)
        case Compare(operator=sign, left=left, right=right):
            return {"op": sign, "left": to_json(left), "right": to_json(right)}
        case Computed(sign=sign, left=left, right=right):
            return {"op": sign, "left": to_json(left), "right": to_json(right)}
        case And(children=children):
            return {"op": "and", "all": [to_json(child) for child in children]}
        case Or(children=children):
            return {"op": "or", "any": [to_json(child) for child in children]}
        case Not(child=child):
            return {"op": "not", "of": to_json(child)}
        case _:
            return {"op": _WORDS[type(node)], "of": to_json(node.operand), **_rest(node)}


_WORDS: dict[type, str] = {
    IsIn: "in",
    Between: "between",
    Contains: "contains",
    IsNull: "is_null",
    IsNan: "is_nan",
    Truth: "is_true",
    StartsWith: "startswith",
    Matches: "matches",
    Negative: "negative",
}


def _rest(node: Expression | Condition) -> dict[str, Any]:
    match node:
        case IsIn(values=values):
            return {"values": [_value(value) for value in values.value]}
        case Between(low=low, high=high):
            return {"low": to_json(low), "high": to_json(high)}
        case Contains(item=item):
            return {"item": to_json(item)}
        case StartsWith(prefix=prefix):
            return {"prefix": prefix}
        case Matches(pattern=pattern):
            return {"pattern": pattern}
        case _:
            return {}


def _value(value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST else {"int": str(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, tuple):
        return {"list": [_value(one) for one in value]}
    tag, _, quoted = written(value).partition("'")
    return {tag.strip(): quoted.removesuffix("'")}


def from_json(data: object) -> Condition:
    """Read a condition from what `to_json` gave.

    Raises:
        PredicateSyntaxError: It is nothing of the kind. The error names the place.
    """
    found = _condition(data, "$", 0)
    if next(names(found), None) is None:
        _fail("a condition without a field", "$")
    return found


def _fail(reason: str, path: str) -> Never:
    raise PredicateSyntaxError(f"no predicate: {reason}", path, -1)


def _condition(data: object, path: str, depth: int) -> Condition:
    found = _node(data, path, depth)
    if not isinstance(found, CONDITIONS):
        _fail("a condition is wanted, and this is a value", path)
    return found


def _expression(data: object, path: str, depth: int) -> Expression:
    found = _node(data, path, depth)
    if isinstance(found, CONDITIONS):
        _fail("a field or value is wanted, and this is a condition", path)
    return found


def _node(data: object, path: str, depth: int) -> Expression | Condition:
    if depth > MAX_DEPTH:
        _fail(f"it is nested more than {MAX_DEPTH} deep", path[:60])
    if not isinstance(data, dict) or "op" not in data:
        return _simple(data, path)
    given = cast("Mapping[str, object]", data)
    op = given["op"]
    if not isinstance(op, str) or op not in _PARTS:
        _fail(f"{str(op)[:40]!r} is no operation; there are {', '.join(_PARTS)}", path)
    wanted = {"op", *_PARTS[op]}
    if set(given) != wanted:
        there = printable(", ".join(map(str, islice(given, 20))))
        _fail(f"{op!r} has {', '.join(_PARTS[op])}, and here is {there}", path)
    try:
        return _made(op, given, path, depth + 1)
    except PredicateSyntaxError:
        raise
    except (TypeError, ValueError) as error:
        _fail(str(error), path)


_PARTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((*MIRRORED, *_SIGNS), ("left", "right")),
    **dict.fromkeys(("is_null", "is_nan", "is_true", "negative", "not"), ("of",)),
    "in": ("of", "values"),
    "between": ("of", "low", "high"),
    "contains": ("of", "item"),
    "startswith": ("of", "prefix"),
    "matches": ("of", "pattern"),
    "and": ("all",),
    "or": ("any",),
}


def _made(op: str, given: Mapping[str, object], path: str, depth: int) -> Expression | Condition:
    def value(key: str) -> Expression:
        return _expression(given[key], f"{path}.{key}", depth)

    if op in ("and", "or"):
        key = _PARTS[op][0]
        some = _list(given[key], f"{path}.{key}")
        parts = [_condition(one, f"{path}.{key}[{i}]", depth) for i, one in enumerate(some)]
        if not parts:
            _fail(f"{op!r} of nothing", path)
        return all_of(parts) if op == "and" else any_of(parts)
    if op == "not":
        return negated(_condition(given["of"], f"{path}.of", depth))
    if op in MIRRORED or op in _SIGNS:
        left, right = value("left"), value("right")
        if isinstance(left, Constant) and isinstance(right, Constant):
            _fail("both sides are values, and one must be a field", path)
        return compared(op, left, right) if op in MIRRORED else Computed(op, left, right)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    operand = value("of")
    if isinstance(operand, Constant):
        _fail("a value, where a field is wanted", f"{path}.of")
    match op:
        case "in":
            some = _list(given["values"], f"{path}.values")
            values = [_plain(one, f"{path}.values[{i}]") for i, one in enumerate(some)]
            return IsIn(operand, constants(values))
        case "between":
            return Between(operand, value("low"), value("high"))
        case "contains":
            return Contains(operand, value("item"))
        case "startswith":
            return StartsWith(operand, text(given["prefix"], op))
        case "matches":
            return Matches(operand, expression(given["pattern"]))
        case "negative":
            return negative(operand)
        case _:
            return _OF_ONE[op](operand)


_OF_ONE: dict[str, Callable[[Expression], Condition]] = {
    "is_null": IsNull,
    "is_nan": IsNan,
    "is_true": Truth,
}


def _simple(data: object, path: str) -> Expression:
    """A field, or a value."""
    if isinstance(data, dict) and "field" in data:
        name = cast("dict[str, object]", data)["field"]
        if len(data) > 1 or not isinstance(name, str) or not all(name.split(".")):
            _fail("a field has a name, and nothing else", path)
        return Name(name)
    try:
        return constant(_plain(data, path))
    except (TypeError, ValueError) as error:
        if isinstance(error, PredicateSyntaxError):
            raise
        _fail(str(error), path)


def _plain(data: object, path: str) -> Any:
    """A value of what stands for it."""
    if isinstance(data, float) and math.isinf(data):
        _fail("a number that no float holds; infinity is written {'float': 'inf'}", path)
    if data is None or isinstance(data, bool | int | str | float):
        return data
    if not isinstance(data, dict) or len(data) != 1:
        _fail(f"a {type(data).__name__} of no known form", path)
    ((tag, inner),) = cast("dict[str, object]", data).items()
    if tag == "list":
        return [_plain(one, f"{path}.list[{i}]") for i, one in enumerate(_list(inner, path))]
    if not isinstance(inner, str):
        _fail(f"{tag!r} is written as text", path)
    if tag in ("int", "float"):
        return _number(tag, inner, path)
    if tag not in _TAGS:
        _fail(f"{str(tag)[:40]!r} is no type of values", path)
    try:
        return literal(tag, inner, inner, 0)
    except PredicateSyntaxError as error:
        _fail(error.reason, path)


def _number(tag: str, written: str, path: str) -> float:
    try:
        if len(written) < 1300 and written.isascii() and "_" not in written:
            return int(written) if tag == "int" else real(written)
    except ValueError:
        pass
    _fail(f"{written[:40]!r} is no {tag}", path)


def _list(data: object, path: str) -> list[object]:
    if not isinstance(data, list):
        _fail(f"a list is wanted, not a {type(data).__name__}", path)
    return cast("list[object]", data)
