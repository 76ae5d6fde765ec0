"""Samples as Arrow tables that Ray Data gives back as the same values.

What Arrow would change is not given to it: dictionaries whose keys differ, tuples, sets, times and
the like become columns of Python objects, which Ray pickles. Which field becomes what follows from
its declared type where it has one, so that all blocks of a dataset agree.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from datetime import date
from enum import Enum
from inspect import isclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import numpy as np
from numpy.typing import NDArray

from atdata._lazy import require
from atdata._type_utils import bare, field_types, union_members
from atdata.codec.compile import FieldPlan, codec_of
from atdata.dataset._export import row_of

_ROWS = 1024
_BYTES = 32 << 20
_ATOMS = (NoneType, bool, int, float, str, bytes)
_ALIASES: dict[Any, str] = {
    bool: "bool",
    int: "int64",
    float: "float64",
    str: "string",
    bytes: "binary",
    date: "date32",
}

_ARRAYS = "arrays"
_OBJECTS = "objects"

# Under this name Ray Data itself keeps count of rows where no column is wanted.
_NO_COLUMNS = "__bsp_stub"


class Columns:
    """Makes tables of the fields of samples.

    Args:
        sample_type: The samples' type; what it does not declare is told by the values.
    """

    def __init__(self, sample_type: Any) -> None:
        self._arrow = require("pyarrow", extra="ray")
        try:
            plans = codec_of(sample_type).fields
        except TypeError:  # results of `map` may be of any type
            plans = ()
        self._kinds = {plan.name: self._kind(plan) for plan in plans}

    def checked(self, fields: Iterable[str] | None) -> list[str] | None:
        """Names of fields, each once; None stands for all.

        Raises:
            ValueError: One is the name of no field.
        """
        if fields is None:
            return None
        names = list(dict.fromkeys(fields))
        for name in names if self._kinds else ():
            if name not in self._kinds:
                raise ValueError(
                    f"there is no field {name!r}\n  Fields there are: {', '.join(self._kinds)}"
                )
        return names

    def tables(self, rows: Iterable[Mapping[str, Any]], fields: list[str] | None) -> Iterator[Any]:
        """Tables of moderate size.

        Args:
            rows: Field names and values of each sample; a field that is missing is None.
            fields: The fields that are wanted; None for all.
        """
        names = dict.fromkeys(self._kinds if fields is None else fields)
        for some in _chunks(iter(rows)):
            if fields is None:
                names |= dict.fromkeys(name for row in some for name in row)
            columns = {name: self._column([row.get(name) for row in some], name) for name in names}
            yield self._arrow.table(columns or {_NO_COLUMNS: self._arrow.nulls(len(some))})

    def _column(self, values: list[Any], name: str) -> Any:
        kind = self._kinds.get(name)
        if kind == _OBJECTS:
            return _objects(values)
        if kind == _ARRAYS or any(isinstance(value, np.ndarray) for value in values):
            return _tensors(values)
        plain = list(map(_plain, values))
        try:
            found = self._told_by(plain) if kind is None else kind
            return _objects(values) if found is None else self._arrow.array(plain, type=found)
        except (TypeError, ValueError, OverflowError):  # Arrow's errors derive from these
            return _objects(values)

    def _kind(self, plan: FieldPlan) -> Any:
        """An Arrow type, or arrays, or objects."""
        if plan.kind == "ndarray":
            return _OBJECTS if plan.optional else _ARRAYS
        return self._declared(plan.annotation, ()) or _OBJECTS

    def _scalar(self, kind: Any) -> Any:
        """The Arrow type of values of a plain type, or None."""
        arrow = self._arrow
        if isclass(kind) and issubclass(kind, np.generic):
            dtype = np.dtype(kind)
            return arrow.from_numpy_dtype(dtype) if dtype.kind in "biuf" else None
        return arrow.type_for_alias(_ALIASES[kind]) if kind in _ALIASES else None

    def _declared(self, annotation: object, within: tuple[Any, ...]) -> Any:
        """The Arrow type that holds all values of an annotation as they are, or None."""
        kind, _ = bare(annotation)
        members = union_members(kind)
        if members is not None:
            rest = [one for one in members if bare(one)[0] not in (None, NoneType)]
            return self._declared(rest[0], within) if len(rest) == 1 else None
        origin: Any = get_origin(kind) or kind
        if origin is Literal or (isclass(origin) and issubclass(origin, Enum)):
            given: Any = get_args(kind) if origin is Literal else origin
            types = {type(_plain(one)) for one in given} - {NoneType}
            return self._scalar(types.pop()) if len(types) == 1 else None
        if origin in (list, Sequence):
            items = [self._declared(one, within) for one in get_args(kind)]
            return self._arrow.list_(items[0]) if items and items[0] is not None else None
        if is_dataclass(origin):
            if kind in within:
                return None
            inner = [(f.name, self._declared(a, (*within, kind))) for f, a in field_types(kind)]
            return None if any(one is None for _, one in inner) else self._arrow.struct(inner)
        return self._scalar(kind)

    def _told_by(self, values: list[Any]) -> Any:
        """The Arrow type that holds these values as they are, or None."""
        kinds = set(map(type, values)) - {NoneType}
        if not kinds:
            return self._arrow.null()
        kind = kinds.pop()
        if kinds:
            return None
        if kind is not list:
            return self._scalar(kind)
        items = [item for value in values for item in value or ()]
        types = set(map(type, items))
        item = self._scalar(types.pop()) if len(types) == 1 else None
        if item is None and items:
            return None
        return self._arrow.list_(self._arrow.null() if item is None else item)


def _chunks(rows: Iterator[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Rows in lists of moderate length and size."""
    some: list[Mapping[str, Any]] = []
    n_bytes = 0
    for row in rows:
        some.append(row)
        for value in row.values():
            n_bytes += getattr(
                value, "nbytes", len(value) if isinstance(value, bytes | str) else 8
            )
        if len(some) >= _ROWS or n_bytes >= _BYTES:
            yield some
            some, n_bytes = [], 0
    if some:
        yield some


def _tensors(values: list[Any]) -> Any:
    """Arrays of one dtype and as many dimensions, in Ray's types for them; others are objects."""
    arrays: list[NDArray[Any]] = [
        _native(value)
        for value in values
        if isinstance(value, np.ndarray) and value.ndim and value.dtype.kind in "biuf"
    ]
    if len(arrays) < len(values) or len({(array.dtype, array.ndim) for array in arrays}) > 1:
        return _objects(values)
    extensions = require("ray.data.extensions", extra="ray")
    if len({array.shape for array in arrays}) == 1:
        return extensions.ArrowTensorArray.from_numpy(np.stack(arrays))
    return extensions.ArrowVariableShapedTensorArray.from_numpy(arrays)


def _native(array: NDArray[Any]) -> NDArray[Any]:
    """An array in this machine's byte order; Ray would misread tensors in the other."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _objects(values: list[Any]) -> Any:
    """Values of any kind, as Ray keeps Python objects."""
    extensions = require("ray.data.extensions", extra="ray")
    return extensions.ArrowPythonObjectArray.from_objects(list(map(_plain, values)))


def _plain(value: Any) -> Any:
    """A value without classes of one's own, which need not be known wherever rows are read."""
    if type(value) in _ATOMS:
        return value
    if isinstance(value, np.ndarray):
        return _native(value)
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(one) for name, one in row_of(value).items()}
    if isinstance(value, list):
        return list(map(_plain, value))
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, set | frozenset):
        return type(value)(map(_plain, value))
    if isinstance(value, dict):
        return {_plain(name): _plain(one) for name, one in value.items()}
    return value
