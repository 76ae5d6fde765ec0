"""Whether rules are a lens between two types: each field is there, and its values fit."""

import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from functools import reduce
from operator import or_
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from atdata._exceptions import printable
from atdata._type_utils import bare, field_types, union_members
from atdata.lens._lens import type_name
from atdata.lens._mapped import dataclass_fields, has_default
from atdata.lens._structural import fits
from atdata.model.lens_parts import AsType, Cast, Constant, Default, FieldRule, Transform, shown

_PLAIN: dict[str, type] = {kind.__name__: kind for kind in (bool, int, float, str, bytes)}


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps rules from being a lens between two types.

    Attributes:
        at: Number of the rule and its part, such as `[3].source_field`; empty for all rules.
        field: The field.
        wanted: What would do.
        found: What there is.
    """

    at: str
    field: str
    wanted: str
    found: str

    def __str__(self) -> str:
        where = f"field {printable(self.field)!r}: " if self.field else ""
        return f"{where}wanted {self.wanted}; found {self.found}"


def obstacles(source: Any, view: Any, rules: list[FieldRule]) -> Iterator[Obstacle]:
    """Say what keeps rules from being a lens from one type to another.

    Examples:
        >>> [str(o) for o in obstacles(Obstacle, Obstacle, [FieldRule("found", "fuond")])]
        ["field 'found': wanted a field of Obstacle to read it from; found 'fuond'",
         "field 'at': wanted a rule, for Obstacle has no default; found none",
         "field 'field': wanted a rule, for Obstacle has no default; found none",
         "field 'wanted': wanted a rule, for Obstacle has no default; found none"]
    """
    for kind in (source, view):
        if not is_dataclass(get_origin(kind) or kind):
            yield Obstacle("", "", "two dataclasses", type_name(kind))
            return
    a, b = type_name(source), type_name(view)
    try:
        has = {field.name: kind for field, kind in field_types(source)}
        wants = {field.name: kind for field, kind in field_types(view)}
    except (NameError, AttributeError, TypeError) as error:
        yield Obstacle("", "", "fields whose annotations can be read", printable(error))
        return
    read: set[str] = set()
    written: set[str | None] = set()
    for i, rule in enumerate(rules):
        name, origin = rule.view_field, rule.source_field
        if name not in wants:
            yield Obstacle(f"[{i}].view_field", name, f"a field of {b}", shown(name))
        elif name in read:
            yield Obstacle(f"[{i}].view_field", name, "one rule for it", "another")
        elif origin in written - {None}:
            found = f"{origin!r} again"
            yield Obstacle(f"[{i}].source_field", name, "a field no other rule reads", found)
        elif origin not in has and not isinstance(rule.transform, Constant):
            wanted = f"a field of {a} to read it from"
            yield Obstacle(f"[{i}].source_field", name, wanted, shown(origin))
        else:
            misfit = _misfit(has.get(origin or ""), wants[name], rule.transform)
            if misfit:
                yield Obstacle(f"[{i}]", name, *misfit)
        read.add(name)
        written.add(origin)
    lacking = [f for f in dataclass_fields(view) if f.init and f.name not in read]
    for field in lacking:
        if not has_default(field):
            yield Obstacle("", field.name, f"a rule, for {b} has no default", "none")
    given = dict.fromkeys(f.name for f in dataclass_fields(view) if f.init)
    try:
        inspect.signature(view).bind(**given)
    except TypeError as error:
        yield Obstacle("", "", f"{b} to be made from its fields alone", printable(error))


def _misfit(has: Any, wants: Any, transform: Transform | None) -> tuple[str, str] | None:
    """What a rule wants of both types and what they are, unless they fit."""
    rest, optional = _without_none(has)
    found = f"{type_name(has)} for {type_name(wants)}"
    match transform:
        case None:
            return None if fits(has, wants) else (type_name(wants), type_name(has))
        case Constant(value) | Default(value) if not _is_value_of(value, wants):
            return f"a value of {type_name(wants)}", shown(value)
        case Constant():
            return None
        case Cast(kind):
            a, b = (_PLAIN[name] for name in kind.split("->"))
            gives = b | None if optional else b
            fit = bare(rest)[0] is a and fits(gives, _without_marks(wants))
            return None if fit else (f"{kind}, with None on both sides or neither", found)
        case AsType(dtype):
            fit = _is_array(rest) and (not optional or fits(None, wants))
            target = _without_none(wants)[0]
            fit = fit and fits(_array_of(dtype), _without_marks(target))
            return None if fit else (f"an array for one of {dtype}", found)
        case _:
            fit = optional and fits(rest, wants)
            return None if fit else ("a type or None for that type", found)


def _without_none(kind: Any) -> tuple[Any, bool]:
    """An annotation without `| None`, and whether it had it."""
    members = union_members(bare(kind)[0])
    if members is None or NoneType not in members:
        return kind, False
    return reduce(or_, [member for member in members if member is not NoneType]), True


def _without_marks(kind: Any) -> Any:
    """An annotation without `Annotated` and `NewType`, around it and around a union's members."""
    plain = bare(kind)[0]
    members = union_members(plain)
    return plain if members is None else reduce(or_, [bare(member)[0] for member in members])


def _is_array(kind: Any) -> bool:
    plain = bare(kind)[0]
    origin = get_origin(plain) or plain
    return getattr(origin, "__module__", "") == "numpy" and origin.__name__ == "ndarray"


def _array_of(dtype: str) -> Any:
    """The annotation of arrays of a dtype. numpy is loaded: an annotation names it."""
    numpy: Any = sys.modules["numpy"]
    return numpy.ndarray[tuple[Any, ...], numpy.dtype[numpy.dtype(dtype).type]]


def _is_value_of(value: Any, kind: Any) -> bool:
    plain = bare(kind)[0]
    members = union_members(plain)
    if members is not None:
        return any(_is_value_of(value, member) for member in members)
    if get_origin(plain) is Literal:
        return any(type(value) is type(one) and value == one for one in get_args(plain))
    return plain in (Any, object, type(value)) or (value is None and plain is None)
