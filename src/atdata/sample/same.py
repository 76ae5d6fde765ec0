"""Equality and display of samples, whose fields may be arrays."""

import dataclasses
import inspect
import sys
from collections.abc import Mapping
from reprlib import Repr, recursive_repr
from typing import Any


def same(one: Any, other: Any) -> bool:
    """Compare two values, arrays by dtype, shape and contents, and what is inside containers too.

    NaN equals NaN at the same place of an array, and no other NaN but itself.

    Examples:
        >>> import numpy as np
        >>> same({"x": [np.array([1.0, np.nan])]}, {"x": [np.array([1.0, np.nan])]})
        True
        >>> same(np.zeros(3, "f4"), np.zeros(3, "f8"))
        False
    """
    if one is other:
        return True
    numpy = sys.modules.get("numpy")
    if numpy is not None and (isinstance(one, numpy.ndarray) or isinstance(other, numpy.ndarray)):
        return type(one) is type(other) and _same_array(one, other)
    if type(one) is type(other):
        if isinstance(one, (list, tuple)):
            return len(one) == len(other) and all(map(same, one, other))
        if isinstance(one, dict):
            return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
        if hasattr(type(one), "__dataclass_fields__") and is_generated(type(one).__eq__):
            return bool(equal_samples(one, other))
        if hasattr(one, "equals"):  # tables and tensors
            return bool(one.equals(other))
        if hasattr(one, "nnz"):  # sparse arrays
            alike = one.dtype == other.dtype and one.shape == other.shape
            return bool(alike and (one != other).nnz == 0)
    return bool(one == other)


def is_generated(method: Any) -> bool:
    """Whether a method is one that dataclasses wrote, and not the user's own."""
    code = getattr(inspect.unwrap(method), "__code__", None)
    return code is not None and code.co_qualname.startswith("__create_fn__")


def _same_array(one: Any, other: Any) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype.names is not None:
        return all(_same_array(one[name], other[name]) for name in one.dtype.names)
    equal = one == other
    # Only NaN and NaT differ from themselves.
    return bool(equal.all()) or bool((equal | ((one != one) & (other != other))).all())  # noqa: PLR0124


def equal_samples(one: Any, other: Any) -> Any:
    """`==` of two samples: of the same class, and every compared field the same."""
    parameters = getattr(one, "__dataclass_params__", None)
    if type(one) is not type(other):
        return NotImplemented
    if parameters is None or not parameters.eq:
        return NotImplemented
    return all(
        same(getattr(one, field.name), getattr(other, field.name))
        for field in dataclasses.fields(one)
        if field.compare
    )


class _Short(Repr):
    """Values in few words: arrays by shape and dtype, long ones cut."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxstring = self.maxother = self.maxlong = 120
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdict = 12

    def repr_ndarray(self, array: Any, _: int) -> str:
        """An array by its shape and dtype."""
        return f"array(shape={array.shape}, dtype={array.dtype})"

    repr_memmap = repr_ndarray

    def repr_bytes(self, data: bytes, _: int) -> str:
        """The first bytes, and how many there are."""
        return repr(data) if len(data) <= 40 else f"{data[:24]!r}... ({len(data)} bytes)"

    def repr_instance(self, x: Any, level: int) -> str:
        """Anything else, in one line."""
        text = super().repr_instance(x, level)
        return text if "\n" not in text else f"<{type(x).__qualname__}>"


short = _Short()


@recursive_repr()
def repr_sample(sample: Any) -> str:
    """One line for a sample: `Digit(image=array(shape=(8, 8), dtype=uint8), label=3)`."""
    inner = ", ".join(
        f"{field.name}={short.repr(getattr(sample, field.name))}"
        for field in dataclasses.fields(sample)
        if field.repr
    )
    return f"{type(sample).__qualname__}({inner})"


def repr_mapping(name: str, fields: Mapping[str, Any]) -> str:
    """One line for named values of no defined type."""
    return f"{name}({', '.join(f'{key}={short.repr(value)}' for key, value in fields.items())})"
