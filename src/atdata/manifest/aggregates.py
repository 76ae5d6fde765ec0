"""What the values of a field sum up to, one value at a time."""

import math
from collections import Counter
from typing import Any, Protocol

from atdata.manifest.fields import AggregateKind, check_aggregate


class Aggregate(Protocol):
    """Sums up the values of a field."""

    def add(self, value: Any) -> None:
        """Take a value."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """What is known, as strict JSON can hold it."""
        ...


class CategoricalAggregate:
    """Counts how often each value occurs, by its text.

    Attributes:
        value_counts: How often each occurs.
        null_count: How many were None.

    Examples:
        >>> counts = CategoricalAggregate()
        >>> for label in ("cat", "dog", "cat", None):
        ...     counts.add(label)
        >>> counts.value_counts, counts.cardinality, counts.null_count
        ({'cat': 2, 'dog': 1}, 2, 1)
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self.null_count = 0

    @property
    def value_counts(self) -> dict[str, int]:
        """How often each value occurs."""
        return dict(self._counts)

    @property
    def cardinality(self) -> int:
        """How many values there are."""
        return len(self._counts)

    def add(self, value: Any) -> None:
        """Take a value; None is counted apart."""
        if value is None:
            self.null_count += 1
        else:
            self._counts[str(value)] += 1

    def to_dict(self) -> dict[str, Any]:
        """What is known, as strict JSON can hold it."""
        return {
            "type": "categorical",
            "cardinality": self.cardinality,
            "value_counts": self.value_counts,
        }


class NumericAggregate:
    """Keeps the extremes and the mean of numbers; ints stay exact.

    Attributes:
        min: The smallest number; None if there is none.
        max: The largest.
        count: How many numbers there are, NaN and None left out.
        nan_count: How many were not a number.
        null_count: How many were None.

    Examples:
        >>> scores = NumericAggregate()
        >>> for score in (2**63 - 1, 1, float("nan"), None):
        ...     scores.add(score)
        >>> scores.min, scores.max, scores.count, scores.nan_count
        (1, 9223372036854775807, 2, 1)
    """

    def __init__(self) -> None:
        self.min: Any = None
        self.max: Any = None
        self.count = 0
        self.nan_count = 0
        self.null_count = 0
        self._total: Any = 0

    @property
    def mean(self) -> float:
        """The mean of the numbers; 0.0 where there are none."""
        try:
            return float(self._total / self.count) if self.count else 0.0
        except OverflowError:
            return math.inf if self._total > 0 else -math.inf

    def add(self, value: Any) -> None:
        """Take a number; None and NaN are counted apart.

        Raises:
            TypeError: It is no number.
        """
        if value is None:
            self.null_count += 1
            return
        if isinstance(value, str | bytes) or not hasattr(value, "__float__"):
            raise TypeError(f"a {type(value).__name__} is no number: {value!r:.80}")
        if value != value:  # noqa: PLR0124 - only NaN differs from itself
            self.nan_count += 1
            return
        self.min = value if self.min is None else min(self.min, value)
        self.max = value if self.max is None else max(self.max, value)
        self._total += value
        self.count += 1

    def to_dict(self) -> dict[str, Any]:
        """What is known, as strict JSON can hold it; None where there is no number."""
        found = {"min": self.min, "max": self.max, "mean": self.mean if self.count else None}
        finite = {name: value if _is_finite(value) else None for name, value in found.items()}
        return {"type": "numeric", **finite, "count": self.count}


class SetAggregate:
    """Gathers the items of lists, by their text.

    Attributes:
        all_values: The text of every item.
        null_count: How many lists were None.

    Examples:
        >>> tags = SetAggregate()
        >>> tags.add(["b", "a"])
        >>> sorted(tags.all_values)
        ['a', 'b']
    """

    def __init__(self) -> None:
        self.all_values: set[str] = set()
        self.null_count = 0

    def add(self, value: Any) -> None:
        """Take a list; None is counted apart."""
        if value is None:
            self.null_count += 1
        else:
            self.all_values.update(map(str, value))

    def to_dict(self) -> dict[str, Any]:
        """What is known, as strict JSON can hold it."""
        return {"type": "set", "all_values": sorted(self.all_values)}


def create_aggregate(
    kind: AggregateKind,
) -> CategoricalAggregate | NumericAggregate | SetAggregate:
    """A new aggregate.

    Raises:
        ValueError: There is none of that kind.

    Examples:
        >>> create_aggregate("set").to_dict()
        {'type': 'set', 'all_values': []}
        >>> create_aggregate("sum")
        Traceback (most recent call last):
        ValueError: Unknown aggregate kind: 'sum'; there are categorical, numeric, set
    """
    check_aggregate(kind)
    if kind == "categorical":
        return CategoricalAggregate()
    return NumericAggregate() if kind == "numeric" else SetAggregate()


def _is_finite(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))
