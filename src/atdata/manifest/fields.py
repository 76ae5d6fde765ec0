"""Which fields of a sample type a manifest has columns for, and why it has none for the others."""

import dataclasses
import datetime as dt
import sys
from collections.abc import Iterator, Mapping, MutableSequence, Sequence
from dataclasses import dataclass
from enum import Enum
from inspect import isclass
from pathlib import PurePath
from typing import Any, Literal, get_args, get_origin
from uuid import UUID

from atdata._type_utils import bare, field_types, is_ndarray_type, union_members
from atdata.sample.holding import holds_what_it_is_given

type AggregateKind = Literal["categorical", "numeric", "set"]
"""How the values of a field are summed up."""

_AGGREGATES = ("categorical", "numeric", "set")
RESERVED = frozenset({"__key__", "__offset__", "__size__", "__digest__"})
"""Columns that every manifest has, and that no field can be."""


@dataclass(frozen=True)
class ManifestField:
    """What a field's annotation says to manifests: `Annotated[str, ManifestField("categorical")]`.

    Attributes:
        aggregate: How values are summed up. It also says that a field is wanted: long text stays a
            column where it is given.
        exclude: Leave the field out.

    Examples:
        >>> ManifestField("numeric")
        ManifestField(aggregate='numeric', exclude=False)
        >>> ManifestField("number")
        Traceback (most recent call last):
        ValueError: Unknown aggregate kind: 'number'; there are categorical, numeric, set
    """

    aggregate: AggregateKind
    exclude: bool = False

    def __post_init__(self) -> None:
        check_aggregate(self.aggregate)


def check_aggregate(kind: object) -> None:
    """Refuse what is no kind of aggregate.

    Raises:
        ValueError: It is none.
    """
    if kind not in _AGGREGATES:
        raise ValueError(f"Unknown aggregate kind: {kind!r}; there are {', '.join(_AGGREGATES)}")


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One column that a sample type may have.

    Attributes:
        path: The field's name, dotted where it lies inside another.
        kind: What the annotation says it holds, as columns name it; `"datetime"` also where some
            are aware, which only the values tell.
        form: How the payload holds it where that differs from what the sample holds, such as
            `"uuid"` for text that becomes one; empty where both are the same.
        aggregate: How it is summed up.
        is_explicit: Whether the annotation asks for it.
        may_lack: Whether payloads of other writers may lack it, because it has a default.
        is_set_by_class: Whether also our own may, because `init=False` leaves it to the class.
    """

    path: str
    kind: str
    form: str = ""
    aggregate: AggregateKind = "categorical"
    is_explicit: bool = False
    may_lack: bool = False
    is_set_by_class: bool = False


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """The columns of a sample type.

    Attributes:
        columns: Them, in the order of the fields.
        left_out: Fields that have no column, each with the reason.
        is_open: The type declares no fields, so that samples tell which there are.
    """

    columns: tuple[FieldSpec, ...] = ()
    left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)
    is_open: bool = False


_PLAIN: dict[Any, tuple[str, str]] = {
    bool: ("bool", ""),
    int: ("int", ""),
    float: ("float", ""),
    str: ("str", ""),
    dt.datetime: ("datetime", "datetime"),
    dt.date: ("date", "date"),
    dt.time: ("time", "time"),
    dt.timedelta: ("timedelta", "timedelta"),
    UUID: ("str", "uuid"),
}
_LISTS = (list, tuple, set, frozenset, Sequence, MutableSequence)
_OF_KIND = {"bool": "categorical", "str": "categorical"}
_MAX_DEPTH = 8
MAX_FIELDS = 1000
MAX_NAME = 10_000
"""More fields than this, and longer names, are in no manifest."""

TOO_LONG = f"its name has more than {MAX_NAME} characters"


def plan_fields(sample_type: Any) -> FieldPlan:
    """The columns of a type's manifests.

    Raises:
        TypeError: It is no dataclass, or an annotation asks for an aggregate that does not fit.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Box:
        ...     left: float
        >>> @dataclass
        ... class Photo:
        ...     label: str
        ...     box: Box
        ...     data: bytes
        >>> plan = plan_fields(Photo)
        >>> [(one.path, one.kind) for one in plan.columns], dict(plan.left_out)
        ([('label', 'str'), ('box.left', 'float')], {'data': 'it holds bytes'})
    """
    cls: Any = get_origin(sample_type) or sample_type
    if isclass(cls) and hasattr(cls, "__sample_codec__"):
        return FieldPlan(is_open=True)
    if not isclass(cls) or not dataclasses.is_dataclass(cls):
        raise TypeError(
            f"{getattr(cls, '__name__', cls)} is no dataclass, so it has no fields for a manifest"
        )
    columns: list[FieldSpec] = []
    left_out: dict[str, str] = {}
    for one in _walk(sample_type, "", ()):
        if isinstance(one, FieldSpec) and len(one.path) > MAX_NAME:
            left_out[f"{one.path[:80]}…"] = TOO_LONG
        elif isinstance(one, FieldSpec) and len(columns) < MAX_FIELDS:
            columns.append(one)
        elif isinstance(one, FieldSpec):
            left_out[one.path] = f"there are more than {MAX_FIELDS} fields"
        else:
            left_out[one[0]] = one[1]
    return FieldPlan(tuple(columns), left_out)


def resolve_manifest_fields(sample_type: type[Any]) -> dict[str, ManifestField]:
    """How a manifest sums up the fields of a type, in their order; those it leaves out are not in.

    Fields inside other dataclasses and shapes of arrays have columns too, and are not listed here.

    Raises:
        TypeError: It is no dataclass.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Photo:
        ...     label: str
        ...     score: float | None
        ...     either: int | str
        >>> {name: field.aggregate for name, field in resolve_manifest_fields(Photo).items()}
        {'label': 'categorical', 'score': 'numeric'}
    """
    if not isclass(sample_type) or not dataclasses.is_dataclass(sample_type):
        name = getattr(sample_type, "__name__", repr(sample_type))
        raise TypeError(f"{name} is no dataclass, so it has no fields for a manifest")
    found: dict[str, ManifestField] = {}
    for field, annotation in field_types(sample_type):
        kind, metadata = _without_none(annotation)
        given = _given(metadata)
        if given is not None:
            if not given.exclude:
                found[field.name] = given
            continue
        if kind in (str, bool):
            found[field.name] = ManifestField("categorical")
        elif kind in (int, float):
            found[field.name] = ManifestField("numeric")
        elif get_origin(kind) is list:
            found[field.name] = ManifestField("set")
    return found


def _walk(
    sample_type: Any, before: str, above: tuple[Any, ...]
) -> Iterator[FieldSpec | tuple[str, str]]:
    for field, annotation in field_types(sample_type):
        path = f"{before}{field.name}"
        kind, metadata = _without_none(annotation)
        given = _given(metadata)
        if given is not None and given.exclude:
            yield path, "its annotation excludes it"
        elif field.name in RESERVED:
            yield path, "manifests have a column of that name"
        elif is_ndarray_type(kind) and given is None:
            yield _within(field, FieldSpec(f"{path}.shape", "list[int]", "", "set"))
            yield _within(field, FieldSpec(f"{path}.dtype", "str", "", "categorical"))
        elif isclass(get_origin(kind) or kind) and dataclasses.is_dataclass(
            get_origin(kind) or kind
        ):
            if kind in above or len(above) >= _MAX_DEPTH:
                yield path, "it holds itself, or lies too deep"
            elif not holds_what_it_is_given(kind):
                yield path, f"{_shown(kind)} may change what it is given"
            else:
                for one in _walk(kind, f"{path}.", (*above, kind)):
                    yield _within(field, one)
        else:
            yield _within(field, _column(path, kind, given))


def _within(
    field: "dataclasses.Field[Any]", one: FieldSpec | tuple[str, str]
) -> FieldSpec | tuple[str, str]:
    """A column in a field that payloads may lack."""
    if not isinstance(one, FieldSpec):
        return one
    no_default = (
        field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    )
    return dataclasses.replace(
        one,
        may_lack=one.may_lack or not no_default or not field.init,
        is_set_by_class=one.is_set_by_class or not field.init,
    )


def _column(path: str, kind: Any, given: ManifestField | None) -> FieldSpec | tuple[str, str]:
    found = _kind_of(kind)
    if found is None:
        if given is not None:
            raise TypeError(
                f"{path}: a manifest cannot hold {_shown(kind)}\n"
                "  Take the ManifestField away, or keep what it holds in a field of a plain type."
            )
        return path, f"it holds {_shown(kind)}"
    name, form = found
    is_list = name.startswith("list[")
    usual: AggregateKind = (
        "set" if is_list else "categorical" if name in ("str", "bool") else "numeric"
    )
    if given is None:
        return FieldSpec(path, name, form, usual)
    inner = name[5:-1] if is_list else name
    fits = {
        "set": is_list,
        "numeric": not is_list and inner in ("int", "float"),
        "categorical": not is_list,
    }[given.aggregate]
    if not fits:
        raise TypeError(
            f"{path}: aggregate {given.aggregate!r} does not fit {_shown(kind)}; "
            f"use ManifestField({usual!r})"
        )
    return FieldSpec(path, name, form, given.aggregate, is_explicit=True)


def _kind_of(kind: Any) -> tuple[str, str] | None:
    """The column kind and the form of a plain type, or of lists of one."""
    found = _scalar(kind)
    if found is not None:
        return found
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if origin not in _LISTS or not arguments:
        return None
    items = [_without_none(one)[0] for one in arguments if one is not ...]
    inner = {_scalar(item) for item in items}
    if len(inner) != 1 or None in inner:
        return None
    name, form = next(one for one in inner if one is not None)
    # What a set holds comes in no order of its own, so that a sample and its payload may differ.
    of_set = "set" if origin in (set, frozenset) else ""
    return f"list[{name}]", f"{of_set} {form}".strip()


def _scalar(kind: Any) -> tuple[str, str] | None:
    try:
        if kind in _PLAIN:
            return _PLAIN[kind]
    except TypeError:
        return None
    if get_origin(kind) is Literal:
        choices = [one for one in get_args(kind) if one is not None]
        if any(isinstance(one, Enum) for one in choices):
            return None if not all(map(_is_member, choices)) else _of_members(choices)
        return _of_values(choices)
    if not isclass(kind):
        return None
    if issubclass(kind, Enum):
        return _of_members(list(kind))
    if issubclass(kind, PurePath):
        return "str", "path"
    numpy = sys.modules.get("numpy")
    if numpy is not None and issubclass(kind, numpy.generic):
        if issubclass(kind, numpy.bool_):
            return "bool", ""
        if issubclass(kind, numpy.integer) and not issubclass(kind, numpy.timedelta64):
            return "int", ""
        if issubclass(kind, numpy.floating) and numpy.dtype(kind).itemsize <= 8:
            return "float", numpy.dtype(kind).name
    return None


def _is_member(value: object) -> bool:
    """Whether this is a member of an enum that has a value of its own for each of them.

    An enum with `_missing_`, as flags have, makes members of other values than it lists.
    """
    missing: Any = getattr(type(value), "_missing_", None)
    own: Any = Enum._missing_
    return isinstance(value, Enum) and missing.__func__ is own.__func__


def _of_members(members: Sequence[Any]) -> tuple[str, str] | None:
    """The kind of an enum's values; samples hold members, which texts and numbers are not."""
    if not all(map(_is_member, members)):
        return None
    found = _of_values([member.value for member in members])
    return None if found is None else (found[0], "enum")


def _of_values(values: Sequence[object]) -> tuple[str, str] | None:
    kinds = {type(value) for value in values}
    if len(kinds) != 1:
        return None
    found = _PLAIN.get(kinds.pop())
    return found if found is not None and not found[1] else None


def _without_none(annotation: object) -> tuple[Any, tuple[object, ...]]:
    """An annotation without None, aliases and metadata, and the metadata."""
    kind, metadata = bare(annotation)
    members = union_members(kind)
    if members is None:
        return kind, metadata
    rest = [member for member in members if bare(member)[0] is not type(None)]
    if len(rest) != 1:
        return kind, metadata
    inner, more = _without_none(rest[0])
    return inner, more + metadata


def _given(metadata: Sequence[object]) -> ManifestField | None:
    return next((one for one in reversed(metadata) if isinstance(one, ManifestField)), None)


def _shown(kind: Any) -> str:
    return kind.__name__ if isclass(kind) and get_origin(kind) is None else str(kind)
