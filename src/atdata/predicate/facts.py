"""What is known of a field's values without looking at them."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldFacts:
    """What is known of one field in some rows.

    Attributes:
        n: How many rows.
        nulls: Rows in which it is None.
        nans: Rows in which it is not a number.
        low: The smallest value, exact, without None and NaN; of a list the smallest item. None if
            there is none, or it is not known.
        high: The largest, likewise.
        values: Every value that occurs, or every item of the lists, without None and NaN; None if
            they are too many to be known.
        bloom: Says False of a value that no row has, or no list holds; None if there is no filter.
        is_list: Whether the field holds lists.
        kind: What it holds, as in a manifest; empty if that is not known.
    """

    n: int
    nulls: int = 0
    nans: int = 0
    low: object = None
    high: object = None
    values: frozenset[object] | None = None
    bloom: Callable[[object], bool] | None = None
    is_list: bool = False
    kind: str = ""
