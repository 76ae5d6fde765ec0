"""A predicate as a condition of DuckDB's SQL that has the same answer for every row.

DuckDB holds NaN to be the largest number and equal to itself, rounds integers to floats to compare
them, and reports overflow as an error. What is written here asks in such a way that none of that
changes an answer; what cannot be asked so is refused.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from atdata.predicate import sqlvalues
from atdata.predicate.exact import neighbours, parting
from atdata.predicate.nodes import (
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
from atdata.predicate.rows import relation
from atdata.predicate.sqlvalues import NUMBERS, Value, refuse, text
from atdata.predicate.values import kind_of

_SIGNS: dict[Operator, str] = {
    "==": "=",
    "!=": "<>",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
}
_MEANT: dict[type, str] = {IsNan: "float", Truth: "bool"}
"""What a field of no known kind is taken to hold where it is asked so."""
_ROUND = {"<": "ceil", ">=": "ceil", "<=": "floor", ">": "floor", "==": "floor", "!=": "floor"}
_LIMIT = 2.0**100
"""Beyond every integer that a column holds; a float that is larger is brought down to it."""


def sql(node: Condition, kinds: Mapping[str, str]) -> str:
    """A condition as SQL.

    Raises:
        ValueError: There is no exact form. The error names the part.
    """
    return _Writer(kinds).condition(node)


class _Writer:
    def __init__(self, kinds: Mapping[str, str]) -> None:
        self._kinds = kinds

    def condition(self, node: Condition) -> str:
        """A condition, in brackets where it needs them."""
        match node:
            case And(children=children):
                return f"({' AND '.join(map(self.condition, children))})"
            case Or(children=children):
                return f"({' OR '.join(map(self.condition, children))})"
            case Not(child=child):
                return f"(NOT {self.condition(child)})"
            case Between():
                return f"({' AND '.join(map(self.condition, limits(node)))})"
            case Compare(operator=sign, left=left, right=Constant(value=value)):
                return compare(sign, self._value(left), value, node)
            case Compare(operator=sign, left=left, right=right):
                return _columns(sign, self._value(left), self._value(right), node)
            case IsIn(operand=operand, values=values):
                return _is_in(self._value(operand), values.value, node)
            case Contains(operand=operand, item=item):
                return self._contains(self._value(operand), item, node)
            case IsNull(operand=operand):
                return f"({self._value(operand).sql} IS NULL)"
            case _:
                return self._of_one(node)

    def _of_one(self, node: IsNan | Truth | StartsWith | Matches) -> str:
        value = self._value(node.operand)
        known = value.kind or _MEANT.get(type(node), "str")
        match node:
            case IsNan():
                return f"isnan({value.sql})" if known == "float" else _always(False, value)
            case Truth():
                if known in NUMBERS:
                    return value.sql if known == "bool" else f"({value.sql} <> 0)"
            case StartsWith(prefix=prefix):
                if known == "str":
                    return f"starts_with({value.sql}, {text(prefix)})"
            case Matches(pattern=pattern):
                if known == "str":
                    return f"regexp_matches({value.sql}, {text(pattern)})"
        return _always(None)

    def _value(self, node: Expression) -> Value:
        return sqlvalues.value(node, self._kinds)

    def _contains(self, value: Value, item: Expression, node: Condition) -> str:
        if not isinstance(item, Constant):
            other = self._value(item)
            inner = value.kind.removeprefix("list[").removesuffix("]")
            if value.kind == other.kind == "str":
                return f"contains({value.sql}, {other.sql})"
            if value.kind.startswith("list") and other.kind == inner != "float":
                return f"list_contains({value.sql}, {other.sql})"
            refuse("a search for the value of another field", node, value, other)
        wanted = item.value
        if not value.kind and isinstance(wanted, str):
            return f"contains({value.sql}, {text(wanted)})"  # DuckDB's takes a list and a text
        if value.kind == "str":
            if not isinstance(wanted, str):
                return _always(False, value)
            return f"contains({value.sql}, {text(wanted)})"
        if value.kind and not value.kind.startswith("list"):
            return _always(None)
        inner = value.kind.removeprefix("list[").removesuffix("]")
        found = sqlvalues.exact(wanted, inner, node)
        return f"list_contains({value.sql}, {found})" if found else _always(False, value)


def _always(answer: bool | None, *values: Value) -> str:
    """One answer for every row; unknown where one of some values is NULL."""
    if answer is None:
        return "NULL::BOOLEAN"
    null = " OR ".join(f"{value.sql} IS NULL" for value in values)
    return f"(CASE WHEN {null} THEN NULL ELSE {str(answer).lower()} END)"


def compare(sign: Operator, value: Value, constant: Any, node: Condition) -> str:
    """How a column stands to a constant."""
    other = kind_of(constant)
    kind = value.kind or other
    if kind in NUMBERS and other in NUMBERS:
        return _number(sign, value, constant, node)
    if kind.startswith("list") and other == "list":
        return _list(sign, value, constant, node)
    if kind != other:
        return _always({"==": False, "!=": True}.get(sign), value)
    return f"({value.sql} {_SIGNS[sign]} {sqlvalues.literal(constant, node)})"


def _number(sign: Operator, value: Value, number: float, node: Condition) -> str:
    kind = value.kind
    if kind == "int" or (kind == "bool" and not isinstance(number, bool)):
        column = value.sql if kind == "int" else f"{value.sql}::INTEGER"
        return _with_int(sign, Value(column, "int", value.bound), number)
    if kind == "bool":
        return f"({value.sql} {_SIGNS[sign]} {str(number).lower()})"
    written = sqlvalues.exact(number, kind, node)
    if written is None:  # it lies between two floats, which part the others as it does
        if sign in ("==", "!="):
            return _always(sign == "!=", value)
        below, above = neighbours(number)
        upward = sign in (">", ">=")
        return _number(">=" if upward else "<=", value, above if upward else below, node)
    asked = f"({value.sql} {_SIGNS[sign]} {written})"
    return f"({asked} AND NOT isnan({value.sql}))" if sign in (">", ">=") else asked


def _with_int(sign: Operator, value: Value, number: float) -> str:
    """Integers beside a number, which is replaced by the integer that parts them alike."""
    parted = parting(sign, number)
    if parted is None:
        return _always(sign == "!=" if sign in ("==", "!=") else relation(sign, 0, number), value)
    sign, whole = parted
    if abs(whole) > value.bound:
        return _always(relation(sign, 0, whole), value)
    return f"({value.sql} {_SIGNS[sign]} {sqlvalues.integer(whole)})"


def _list(sign: Operator, value: Value, items: Sequence[Any], node: Condition) -> str:
    if sign not in ("==", "!="):
        return _always(None)
    inner = value.kind.removeprefix("list").strip("[]")
    found = ["NULL" if one is None else sqlvalues.exact(one, inner, node) for one in items]
    if None in found:
        return _always(sign == "!=", value)
    return f"({value.sql} {_SIGNS[sign]} [{', '.join(map(str, found))}])"


def _is_in(value: Value, values: Sequence[Any], node: Condition) -> str:
    if value.kind.startswith("list"):
        asked = [compare("==", value, one, node) for one in values]
        return f"({' OR '.join(asked)})" if asked else _always(False, value)
    families = {kind_of(one) for one in values}
    if not value.kind and (len(families - set(NUMBERS)) > (0 if families & set(NUMBERS) else 1)):
        refuse("values of several types, where the field's is not known", node, value)
    if not value.kind and not families <= {"int", "str"}:
        asked = [compare("==", value, one, node) for one in values]
        return f"({' OR '.join(asked)})" if asked else _always(False, value)
    found = [one for v in values if (one := sqlvalues.exact(v, value.kind, node)) is not None]
    return f"({value.sql} IN ({', '.join(found)}))" if found else _always(False, value)


def _columns(sign: Operator, left: Value, right: Value, node: Condition) -> str:
    """How the values of two columns stand to each other."""
    if not left.kind or not right.kind:
        refuse("a comparison of fields whose kinds are not known", node, left, right)
    if left.kind.startswith("list") and right.kind.startswith("list"):
        if sign not in ("==", "!="):
            return _always(None)
        refuse("a comparison of lists", node, left, right)
    if left.kind in NUMBERS and right.kind in NUMBERS:
        return _numbers(sign, left, right, node)
    if left.kind != right.kind:
        return _always({"==": False, "!=": True}.get(sign), left, right)
    return f"({left.sql} {_SIGNS[sign]} {right.sql})"


def _numbers(sign: Operator, left: Value, right: Value, node: Condition) -> str:
    floats = [one for one in (left, right) if one.kind == "float"]
    if not floats:
        return f"({sqlvalues.wide(left)} {_SIGNS[sign]} {sqlvalues.wide(right)})"
    asked = f"{left.sql} {_SIGNS[sign]} {right.sql}"
    if len(floats) == 1:
        if max(left.bound, right.bound) >= _LIMIT:
            refuse("a comparison of so large an integer with a float", node, left, right)
        one, other = sqlvalues.parts(sign, left, right, _LIMIT, _ROUND)
        asked = f"{one} {_SIGNS[sign]} {other}"
        if sign in ("==", "!="):
            number = floats[0].sql
            fits = f"{number} = floor({number})"
            asked = f"{fits} AND {asked}" if sign == "==" else f"NOT ({fits}) OR {asked}"
    null = f"{left.sql} IS NULL OR {right.sql} IS NULL"
    nan = " OR ".join(f"isnan({one.sql})" for one in floats)
    other_answer = str(sign == "!=").lower()
    found = f"(CASE WHEN {null} THEN NULL WHEN {nan} THEN {other_answer} ELSE {asked} END)"
    return sqlvalues.short(found, node)
