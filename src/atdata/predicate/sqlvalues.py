"""Values in DuckDB's SQL: names, constants and arithmetic, exact or refused."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Never

from atdata.predicate.exact import neighbours, whole
from atdata.predicate.nodes import (
    Computed,
    Condition,
    Constant,
    Expression,
    Name,
    Negative,
    Operator,
)
from atdata.predicate.show import shown
from atdata.predicate.values import kind_of

NUMBERS = ("bool", "int", "float")
_COLUMN = 2.0**64
_HUGE = 2.0**127
_EXACT = 2**53
_LONGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Value:
    """An expression in SQL.

    Attributes:
        sql: Its text, in brackets where it needs them.
        kind: What it holds, as a manifest says it; empty if that is not known.
        bound: No integer that it holds is larger in size.
    """

    sql: str
    kind: str
    bound: float = _COLUMN


def refuse(what: str, node: Expression | Condition, *values: Value) -> Never:
    """Raise the error for what has no exact form."""
    lines = [f"DuckDB's SQL has no exact form of {what}: {shown(node)[:200]}"]
    if any(not value.kind for value in values):
        lines.append("  Say what the columns hold: to_sql({'x': 'int', 'y': 'float'})")
    raise ValueError("\n".join(lines))


def short(sql: str, node: Expression | Condition) -> str:
    """A text of SQL, unless nested arithmetic made it too long."""
    if len(sql) > _LONGEST:
        refuse("arithmetic nested so deep", node)
    return sql


def value(node: Expression, kinds: Mapping[str, str]) -> Value:
    """An expression as SQL."""
    match node:
        case Name(path=path):
            return Value(_name(path), kinds.get(path, ""))
        case Constant(value=constant):
            kind = kind_of(constant)
            bound = _power(constant) if kind == "int" else 1.0
            sql = literal(constant, node)
            return Value(f"({sql}::HUGEINT)" if kind == "int" else sql, kind, bound)
        case Negative(operand=operand):
            inner = value(operand, kinds)
            if inner.kind == "float":
                return Value(f"(-{inner.sql})", "float")
            if inner.kind not in ("int", "bool"):
                refuse("a sign", node, inner)
            return Value(f"(-{wide(inner)})", "int", inner.bound)
        case Computed():
            return _computed(node, value(node.left, kinds), value(node.right, kinds))


def _computed(node: Computed, left: Value, right: Value) -> Value:
    if left.kind not in NUMBERS or right.kind not in NUMBERS:
        refuse("arithmetic with anything but numbers of known kinds", node, left, right)
    if node.sign == "/":
        return Value(short(_quotient(left, right, node), node), "float")
    if "float" in (left.kind, right.kind):
        one, other = _float(left, node), _float(right, node)
        if node.sign == "%":
            rest = f"({one} % nullif({other}, 0))"
            unlike = f"{rest} <> 0 AND ({other} < 0) <> ({rest} < 0)"
            found = f"(CASE WHEN {unlike} THEN {rest} + {other} ELSE {rest} END)"
            return Value(short(found, node), "float")
        return Value(short(f"({one} {node.sign} {other})", node), "float")
    one, other = wide(left), wide(right)
    if node.sign == "%":
        rest = f"(({one} % nullif({other}, 0) + {other}) % nullif({other}, 0))"
        bound = right.bound
    else:
        rest = f"({one} {node.sign} {other})"
        bound = left.bound * right.bound if node.sign == "*" else left.bound + right.bound
    if bound >= _HUGE or left.bound + right.bound >= _HUGE:
        refuse("integers that may be so large", node)
    return Value(short(rest, node), "int", bound)


def _quotient(left: Value, right: Value, node: Computed) -> str:
    """Python's quotient of two integers is exact where both are floats too."""
    checks = [
        f"abs({wide(one)}) > {_EXACT}"
        for one in (left, right)
        if one.kind == "int" and one.bound > _EXACT
    ]
    both = left.kind != "float" and right.kind != "float"
    one, other = _float(left, node), _float(right, node)
    found = f"({one} / nullif({other}, 0))"
    if not both or not checks:
        return found
    message = "integers beyond 2**53 cannot be divided exactly"
    return f"(CASE WHEN {' OR '.join(checks)} THEN error('{message}')::DOUBLE ELSE {found} END)"


def wide(value: Value) -> str:
    """A number that is no float as a wide integer."""
    return f"{value.sql}::HUGEINT" if value.kind in ("int", "bool") else value.sql


def _float(value: Value, node: Expression) -> str:
    """A number as a float, rounded as Python rounds it."""
    if value.kind == "float":
        return value.sql
    if value.kind == "bool":
        return f"{value.sql}::INTEGER::DOUBLE"
    if value.bound > _COLUMN:
        refuse("a float of so large an integer", node)
    return f"{value.sql}::DOUBLE"


def _name(path: str) -> str:
    if "\0" in path:
        raise ValueError(f"DuckDB's SQL has no form of the name {path!r}")
    doubled = path.replace('"', '""')
    return f'"{doubled}"'


def text(value: str) -> str:
    """A text as a literal."""
    doubled = value.replace("'", "''")
    return f"'{doubled}'"


def literal(constant: Any, node: Expression | Condition) -> str:
    """A constant of any kind."""
    match constant:
        case bool():
            return str(constant).lower()
        case int():
            return integer(constant)
        case float():
            return f"'{constant!r}'::DOUBLE"
        case str():
            return text(constant)
        case dt.datetime():
            zone = "" if constant.tzinfo is None else "TZ"
            return f"TIMESTAMP{zone} '{constant.isoformat(sep=' ')}'"
        case dt.date():
            return f"DATE '{constant.isoformat()}'"
        case dt.time():
            return f"TIME '{constant.isoformat()}'"
        case dt.timedelta():
            micro = constant // dt.timedelta(microseconds=1)
            if abs(micro) >= 2**63:
                refuse("so long a duration", node)
            return f"to_microseconds({micro})"
        case _:
            return refuse(f"a {type(constant).__name__}", node)


def integer(number: int) -> str:
    """An integer; DuckDB must be told to compare a long one as such."""
    return str(number) if -(2**63) <= number < 2**63 else f"{number}::HUGEINT"


def exact(constant: Any, kind: str, node: Condition) -> str | None:
    """A constant as a column of some kind holds it; None if no value of it is equal.

    Where the kind is not known it is an integer if it can be: DuckDB compares that exactly with
    integers, and with floats if one has its value.
    """
    other = kind_of(constant)
    if kind and kind != other and not (kind in NUMBERS and other in NUMBERS):
        return None
    if other not in NUMBERS:
        return literal(constant, node)
    if kind == "bool":
        return None if constant not in (0, 1) else str(bool(constant)).lower()
    number = whole(constant)
    if kind == "int":
        return integer(number) if number is not None and -(2**63) <= number < 2**64 else None
    below, above = neighbours(constant)
    if kind == "float":
        return f"'{below!r}'::DOUBLE" if below == above else None
    if isinstance(constant, bool):
        return str(constant).lower()
    if below != above:
        refuse(
            "an integer that no float has, where the field's kind is not known",
            node,
            Value("", ""),
        )
    if number is not None and abs(number) < 2**63:
        return integer(number)
    return f"'{below!r}'::DOUBLE"


def parts(
    sign: Operator, left: Value, right: Value, limit: float, rounding: Mapping[str, str]
) -> tuple[str, str]:
    """An integer and a float as two integers that stand to each other as these do."""
    mirrored = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
    if left.kind == "float":
        return _rounded(left.sql, limit, rounding[mirrored.get(sign, sign)]), wide(right)
    return wide(left), _rounded(right.sql, limit, rounding[sign])


def _rounded(sql: str, limit: float, function: str) -> str:
    return (
        f"{function}(least(greatest({sql}, '{-limit!r}'::DOUBLE), '{limit!r}'::DOUBLE))::HUGEINT"
    )


def _power(number: int) -> float:
    """A bound of an integer, and of its sum with others, as a float."""
    return float(2 ** min(number.bit_length(), 200))
