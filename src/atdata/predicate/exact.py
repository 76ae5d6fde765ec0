"""How numbers of one type stand to those of another, without rounding."""

import math

from atdata.predicate.nodes import Operator


def whole(number: float) -> int | None:
    """The integer that is equal to a number, if there is one.

    Examples:
        >>> whole(2.0), whole(2.5), whole(True), whole(float("inf"))
        (2, None, 1, None)
    """
    if isinstance(number, int):
        return int(number)
    return int(number) if math.isfinite(number) and number.is_integer() else None


def neighbours(number: float) -> tuple[float, float]:
    """The nearest floats that are not above and not below a number; the same if one is equal.

    Examples:
        >>> neighbours(2), neighbours(2**53 + 1), neighbours(10**400)
        ((2.0, 2.0), (9007199254740992.0, 9007199254740994.0), (1.7976931348623157e+308, inf))
    """
    try:
        near = float(number)
    except OverflowError:
        near = math.inf if number > 0 else -math.inf
    if near == number:
        return near, near
    if near < number:
        return near, math.nextafter(near, math.inf)
    return math.nextafter(near, -math.inf), near


def parting(sign: Operator, number: float) -> tuple[Operator, int] | None:
    """The comparison with an integer that says the same of all integers.

    Returns:
        None if all integers stand to the number alike.

    Examples:
        >>> parting("<=", 2.5), parting(">", -2.5), parting("==", 2.5), parting("==", 2.0)
        (('<', 3), ('>', -3), None, ('==', 2))
    """
    equal = whole(number)
    if equal is not None:
        return sign, equal
    if math.isinf(number) or sign in ("==", "!="):
        return None
    return ("<", math.ceil(number)) if sign in ("<", "<=") else (">", math.floor(number))
