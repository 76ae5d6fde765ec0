"""Comparisons of whole Arrow columns, exact or refused with `InexactError`.

All functions take normal columns (`arrow.normal`) and give boolean columns in which null is
unknown.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from atdata.predicate.arrow import NUMBERS, InexactError, alike, kind_of_column, normal, pc
from atdata.predicate.exact import neighbours, parting, whole
from atdata.predicate.nodes import Operator
from atdata.predicate.rows import relation
from atdata.predicate.values import kind_of

_COMPARE: dict[str, str] = {
    "==": "equal",
    "!=": "not_equal",
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
}


def selected(answers: Any) -> Any:
    """The rows whose answer is yes, as a numpy array of bool."""
    if answers.null_count:
        answers = answers.fill_null(False)
    return answers.to_numpy(zero_copy_only=False).astype(bool, copy=False)


def _always(column: Any, answer: bool | None) -> Any:
    """One answer for every row, unknown for those that are null."""
    if answer is None:
        return pa.nulls(len(column), pa.bool_())
    same = pa.repeat(pa.scalar(answer), len(column))
    return _but_null(same, column)


def _but_null(answers: Any, *columns: Any) -> Any:
    for column in columns:
        if column.null_count:
            answers = pc.if_else(column.is_valid(), answers, pa.scalar(None, pa.bool_()))
    return answers


def _unlike(sign: Operator, column: Any) -> Any:
    return _always(column, {"==": False, "!=": True}.get(sign))


def compare(sign: Operator, column: Any, value: Any) -> Any:
    """How each value of a column stands to one constant."""
    kind, other = kind_of_column(column), kind_of(value)
    if kind == "bool" and other in NUMBERS:
        column, kind = column.cast(pa.int64()), "int"
    if kind == "int" and other in NUMBERS:
        return _ints(sign, column, value)
    if kind == "float" and other in NUMBERS:
        return _floats(sign, column, value)
    if kind == "null":
        return pa.nulls(len(column), pa.bool_())
    if kind == "":
        raise InexactError
    if kind == other == "list":
        return _lists(sign, column, value)
    if kind != other:
        return _unlike(sign, column)
    return pc.call_function(_COMPARE[sign], [column, _scalar(value, column.type)])


def _scalar(value: Any, kind: Any) -> Any:
    try:
        return pa.scalar(value, kind)
    except (pa.ArrowException, OverflowError, ValueError, TypeError):
        raise InexactError from None


def _ints(sign: Operator, column: Any, value: float) -> Any:
    """Integers beside a number, which is replaced by the integer that parts them alike."""
    parted = parting(sign, value)
    if parted is None:
        return _always(column, sign == "!=" if sign in ("==", "!=") else relation(sign, 0, value))
    sign, number = parted
    low, high = _range(column.type)
    if not low <= number <= high:
        return _always(column, relation(sign, 0, number))
    return pc.call_function(_COMPARE[sign], [column, pa.scalar(number, column.type)])


def _range(kind: Any) -> tuple[int, int]:
    """The integers that a type holds."""
    return (0, 2**64 - 1) if kind == pa.uint64() else (-(2**63), 2**63 - 1)


def _floats(sign: Operator, column: Any, value: float) -> Any:
    """Floats beside a number, which is replaced by the float that parts them alike."""
    below, above = neighbours(value)
    if below == above:
        return pc.call_function(_COMPARE[sign], [column, pa.scalar(below, pa.float64())])
    if sign in ("==", "!="):
        return _always(column, sign == "!=")
    if sign in ("<", "<="):
        return pc.less_equal(column, pa.scalar(below, pa.float64()))
    return pc.greater_equal(column, pa.scalar(above, pa.float64()))


def _lists(sign: Operator, column: Any, value: Sequence[Any]) -> Any:
    if sign not in ("==", "!="):
        return _always(column, None)
    lengths = pc.fill_null(pc.list_value_length(column), -1)
    candidates = np.flatnonzero(lengths.to_numpy(zero_copy_only=False) == len(value))
    found = np.zeros(len(column), bool)
    if candidates.size:
        part = column.take(pa.array(candidates))
        same = np.ones(candidates.size, bool)
        for i, item in enumerate(value):
            items = normal(pc.list_element(part, i))
            same &= selected(items.is_null() if item is None else compare("==", items, item))
        found[candidates] = same
    return _but_null(pa.array(found if sign == "==" else ~found), column)


def compare_columns(sign: Operator, left: Any, right: Any) -> Any:
    """How the values of two columns stand to each other."""
    kind, other = kind_of_column(left), kind_of_column(right)
    if "null" in (kind, other):
        return pa.nulls(len(left), pa.bool_())
    if "" in (kind, other) or "list" in (kind, other):
        raise InexactError
    if kind in NUMBERS and other in NUMBERS:
        left, right = alike(left, right)
    elif kind != other:
        return _but_null(_unlike(sign, left), right)
    return pc.call_function(_COMPARE[sign], [left, right])


def is_in(column: Any, values: Sequence[Any]) -> Any:
    """Whether each value is equal to one of some."""
    kind = kind_of_column(column)
    if kind == "null":
        return pa.nulls(len(column), pa.bool_())
    if kind == "bool":
        column, kind = column.cast(pa.int64()), "int"
    if kind == "list" and len([one for one in values if isinstance(one, tuple)]) <= 16:
        found = _always(column, False)
        for one in values:
            found = pc.or_kleene(found, compare("==", column, one))
        return found
    if kind in ("", "list"):
        raise InexactError
    wanted = [one for value in values for one in _of_kind(kind, column.type, value)]
    try:
        known = pa.array(wanted, column.type)
    except (pa.ArrowException, OverflowError):
        raise InexactError from None
    return _but_null(pc.is_in(column, value_set=known), column)


def _of_kind(kind: str, arrow: Any, value: Any) -> list[Any]:
    """A value as a column of some kind holds it; empty if it cannot."""
    other = kind_of(value)
    if other in NUMBERS and kind == "int":
        number, (low, high) = whole(value), _range(arrow)
        return [number] if number is not None and low <= number <= high else []
    if other in NUMBERS and kind == "float":
        below, above = neighbours(value)
        if below != above:
            return []
        return [0.0, -0.0] if below == 0 else [below]  # they are told apart by their bits
    return [value] if kind == other else []


def contains(column: Any, item: Any) -> Any:
    """Whether each list has an equal item, or each text the part."""
    kind = kind_of_column(column)
    if kind == "str":
        if not isinstance(item, str):
            return _always(column, False)
        return pc.match_substring(column, item)
    if kind == "":
        raise InexactError
    if kind != "list":
        return _always(column, None)
    # Both leave out the items that Arrow may keep beneath a list that is null.
    hits = selected(compare("==", normal(column.flatten()), item))
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    found = np.zeros(len(column), bool)
    found[np.repeat(np.arange(len(column)), lengths)[hits]] = True
    return _but_null(pa.array(found), column)


def is_nan(column: Any) -> Any:
    """Whether each value is NaN."""
    kind = kind_of_column(column)
    if kind == "":
        raise InexactError
    return pc.is_nan(column) if kind == "float" else _always(column, False)


def truth(column: Any) -> Any:
    """What each value says by itself."""
    kind = kind_of_column(column)
    if kind == "bool":
        return column
    if kind == "":
        raise InexactError
    return compare("!=", column, 0) if kind in NUMBERS else _always(column, None)


def of_text(function: Callable[..., Any], column: Any, pattern: str) -> Any:
    """What a function of Arrow's says of each text."""
    if kind_of_column(column) == "":
        raise InexactError
    return function(column, pattern) if kind_of_column(column) == "str" else _always(column, None)
