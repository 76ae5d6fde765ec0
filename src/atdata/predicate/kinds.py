"""What the annotations of a sample type say of its fields, as far as questions need it."""

import dataclasses
import datetime as dt
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from inspect import isclass
from pathlib import PurePath
from typing import Any, Literal, TypeVar, get_args, get_origin
from uuid import UUID

from atdata._exceptions import UnknownFieldError
from atdata._type_utils import bare, field_types, is_ndarray_type, union_members
from atdata.predicate.values import NotPlainError, plain
from atdata.sample.dynamic import DictSample

ANYTHING = "anything"
"""A kind of which nothing is known."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a field may hold.

    Attributes:
        annotation: How its class declares it.
        names: "bool", "int", "float", "str", "bytes", "datetime", "date", "time", "timedelta",
            "list", "null", "array", "object" for another class, or "anything"; of a union several.
        item: What the lists hold, where that is declared.
        within: The fields inside, by name; None if there are none, or any name will do.
        values: All that it may be besides None, where that is declared.
    """

    annotation: object
    names: frozenset[str]
    item: "Kind | None" = None
    within: "Any | None" = None
    values: tuple[object, ...] | None = None

    @property
    def shown(self) -> str:
        """The annotation, as an error shows it."""
        plain = isclass(self.annotation) and get_origin(self.annotation) is None
        return self.annotation.__name__ if plain else str(self.annotation)  # type: ignore[attr-defined]  # pyright: ignore


_SIMPLE: dict[Any, str] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    bytes: "bytes",
    bytearray: "object",
    dt.datetime: "datetime",
    dt.date: "date",
    dt.time: "time",
    dt.timedelta: "timedelta",
    type(None): "null",
    None: "null",
    Any: ANYTHING,
    object: ANYTHING,
    UUID: "str",
}
_LISTS = (list, tuple, set, frozenset, Sequence)
_NUMPY = {"b": "bool", "i": "int", "u": "int", "f": "float", "U": "str", "S": "bytes"}
_UNKNOWN = Kind(Any, frozenset((ANYTHING,)))
_SHAPE = Kind(tuple[int, ...], frozenset(("list",)), Kind(int, frozenset(("int",))))
_DTYPE = Kind(str, frozenset(("str",)))
_ARRAY = {"shape": _SHAPE, "dtype": _DTYPE}


def is_free(sample_type: Any) -> bool:
    """Whether samples of a type may have any field."""
    origin = get_origin(sample_type) or sample_type
    return origin in (Any, object) or (
        isclass(origin) and issubclass(origin, DictSample | Mapping)
    )


def fields_in(sample_type: Any) -> dict[str, Kind]:
    """The fields of a sample type.

    Raises:
        TypeError: It is no sample type.
    """
    origin = get_origin(sample_type) or sample_type
    if not isclass(origin) or not dataclasses.is_dataclass(origin):
        raise TypeError(
            f"{getattr(sample_type, '__name__', sample_type)!r} is no sample type\n"
            "  Decorate the class with @atdata.packable."
        )
    formats: Mapping[str, str] = getattr(origin, "__field_formats__", {})
    return {
        field.name: Kind(annotation, frozenset(("array",)))
        if field.name in formats
        else kind_of(annotation)
        for field, annotation in field_types(sample_type)
    }


def kind_of(annotation: object) -> Kind:
    """What an annotation allows."""
    kind, _ = bare(annotation)
    members = union_members(kind)
    if members is not None:
        return _union(annotation, [kind_of(member) for member in members])
    if isinstance(kind, TypeVar):
        found = kind_of(kind.__bound__) if kind.__bound__ is not None else _UNKNOWN
        return dataclasses.replace(found, annotation=annotation)
    try:
        if kind in _SIMPLE:
            return Kind(annotation, frozenset((_SIMPLE[kind],)))
    except TypeError:
        return _UNKNOWN
    origin: Any = get_origin(kind) or kind
    if origin is Literal:
        return _of_values(annotation, get_args(kind))
    if is_ndarray_type(kind):
        return Kind(annotation, frozenset(("array",)), within=_ARRAY)
    if not isclass(origin):
        return dataclasses.replace(_UNKNOWN, annotation=annotation)
    return _of_class(annotation, kind, origin)


def _of_class(annotation: object, kind: Any, origin: type[Any]) -> Kind:
    if issubclass(origin, Enum):
        return _of_values(annotation, list(origin))
    if origin in _LISTS:
        arguments = [one for one in get_args(kind) if one is not ...]
        items = [kind_of(one) for one in arguments] or [_UNKNOWN]
        return Kind(annotation, frozenset(("list",)), _union(annotation, items))
    if dataclasses.is_dataclass(origin):
        return Kind(annotation, frozenset(("object",)), within=kind)
    if issubclass(origin, PurePath):
        return Kind(annotation, frozenset(("str",)))
    if issubclass(origin, Mapping | tuple):
        return Kind(
            annotation,
            frozenset(("object",)) if issubclass(origin, Mapping) else frozenset(("list",)),
        )
    numpy = sys.modules.get("numpy")
    if numpy is not None and issubclass(origin, numpy.generic):
        letter = "" if origin is numpy.generic else numpy.dtype(origin).kind
        return Kind(annotation, frozenset((_NUMPY.get(letter, ANYTHING),)))
    return dataclasses.replace(_UNKNOWN, annotation=annotation)


def _union(annotation: object, kinds: Sequence[Kind]) -> Kind:
    within = [one.within for one in kinds if one.within is not None]
    items = [one.item for one in kinds if one.item is not None]
    there = [one for one in kinds if one.names - {"null"}]
    known = [value for one in there for value in one.values or ()]
    return Kind(
        annotation,
        frozenset().union(*(one.names for one in kinds)),
        items[0] if len(items) == 1 else _UNKNOWN if items else None,
        within[0] if len(within) == 1 else None,
        tuple(known) if all(one.values is not None for one in there) else None,
    )


def _of_values(annotation: object, values: Iterable[object]) -> Kind:
    try:
        found = tuple(plain(value) for value in values)
    except NotPlainError:
        return Kind(annotation, frozenset((ANYTHING,)))
    there = tuple(value for value in found if value is not None)
    return Kind(annotation, frozenset(map(name_of, found)), values=there)


def name_of(value: object) -> str:
    """The kind of a plain value."""
    if isinstance(value, list | tuple):
        return "list"
    return _SIMPLE.get(type(value), ANYTHING)


def kind_at(sample_type: Any, path: str) -> Kind:
    """What a sample type says of a field by its dotted path.

    Raises:
        UnknownFieldError: There is no such field. The error names the closest.
        TypeError: It is no sample type.
    """
    if is_free(sample_type):
        return _UNKNOWN
    there: Mapping[str, Kind] | None = fields_in(sample_type)
    found = _UNKNOWN
    walked: list[str] = []
    for step in path.split("."):
        if there is None:
            return _UNKNOWN
        if step not in there:
            raise _unknown(sample_type, path, walked, there)
        walked.append(step)
        found = there[step]
        there = _inside(found)
    return found


def within(sample_type: Any, path: str) -> tuple[str, ...]:
    """The names of the fields inside a field, as far as they are declared."""
    return tuple(_inside(kind_at(sample_type, path)) or ())


def _inside(kind: Kind) -> Mapping[str, Kind] | None:
    """The fields inside a field; None if there may be any."""
    if kind.within is not None:
        return kind.within if isinstance(kind.within, dict) else fields_in(kind.within)
    return None if kind.names & {ANYTHING, "object", "array"} else {}


def _unknown(
    sample_type: Any, path: str, walked: Sequence[str], there: Mapping[str, object]
) -> UnknownFieldError:
    """The error for a field that is not there, with the closest that is."""
    owner = getattr(get_origin(sample_type) or sample_type, "__name__", str(sample_type))
    step = path.split(".")[len(walked)]
    close = get_close_matches(step, list(there), 3)
    full = [".".join([*walked, name]) for name in close]
    return UnknownFieldError(path, owner, [".".join([*walked, name]) for name in there], full)
