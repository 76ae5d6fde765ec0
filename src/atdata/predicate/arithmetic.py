"""Arithmetic of whole Arrow columns, exact or refused with `InexactError`."""

from typing import Any

import numpy as np
import pyarrow as pa

from atdata.predicate.arrow import (
    NUMBERS,
    InexactError,
    kind_of_column,
    no_bool,
    normal,
    pc,
    signed,
    whole_floats,
)
from atdata.predicate.nodes import Sign


def repeated(value: Any, n: int) -> Any:
    """A constant as a column."""
    if isinstance(value, tuple):
        raise InexactError
    try:
        return normal(pa.repeat(pa.scalar(value), n))
    except (pa.ArrowException, OverflowError):
        raise InexactError from None


def opposite(column: Any) -> Any:
    """Numbers with the other sign."""
    kind = kind_of_column(column)
    if kind == "float":
        return pc.negate(column)
    if kind not in ("int", "bool"):
        raise InexactError
    return _checked("negate_checked", signed(no_bool(column)))


def compute(sign: Sign, left: Any, right: Any) -> Any:
    """Sums, differences, products, quotients or remainders."""
    kind, other = kind_of_column(left), kind_of_column(right)
    if sign == "-" and kind == other and kind in ("datetime", "datetime_utc", "date"):
        if kind == "date":
            left, right = left.cast(pa.timestamp("us")), right.cast(pa.timestamp("us"))
        return pc.subtract(left, right)
    if kind not in NUMBERS or other not in NUMBERS:
        raise InexactError
    left, right = no_bool(left), no_bool(right)
    floats = "float" in (kind, other)
    if floats:
        left, right = (one.cast(pa.float64(), safe=False) for one in (left, right))
    elif sign == "/":
        left, right = whole_floats(left), whole_floats(right)
    else:
        left, right = signed(left), signed(right)
    if sign in ("/", "%"):
        return _divided(sign, left, right)
    name = {"+": "add", "-": "subtract", "*": "multiply"}[sign]
    return (
        pc.call_function(name, [left, right])
        if floats
        else _checked(f"{name}_checked", left, right)
    )


def _checked(name: str, *columns: Any) -> Any:
    try:
        return pc.call_function(name, list(columns))
    except pa.ArrowInvalid:  # it overflows
        raise InexactError from None


def _divided(sign: Sign, left: Any, right: Any) -> Any:
    """Quotients or remainders as Python's, null where the divisor is 0."""
    valid = pc.and_(
        pc.and_(left.is_valid(), right.is_valid()),
        pc.fill_null(pc.not_equal(right, pa.scalar(0, right.type)), False),
    )
    ok = valid.to_numpy(zero_copy_only=False)
    one, other = (pc.fill_null(c, 0).to_numpy(zero_copy_only=False) for c in (left, right))
    other = np.where(ok, other, other.dtype.type(1))
    with np.errstate(all="ignore"):
        found = one / other if sign == "/" else np.mod(one, other)
    return pa.array(found, mask=~ok)
