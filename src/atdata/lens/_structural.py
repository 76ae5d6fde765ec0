"""Lenses that follow from the types alone: a view whose fields the source has, by name and type.

They are the last resort, taken when nobody declared a lens. A field that both have must mean the
same in both; a field whose type differs is never converted.
"""

import inspect
from dataclasses import is_dataclass
from typing import Annotated, Any, NewType, TypeAliasType, TypeVar, get_args, get_origin

from atdata._type_utils import field_types, union_members
from atdata.lens._laws import same
from atdata.lens._lens import DerivedLens, LensKind, type_name
from atdata.lens._mapped import MappedLens, dataclass_fields, has_default
from atdata.model.lens_parts import FieldRule


def unlike(source: type[Any], view: type[Any]) -> list[str]:
    """Say why a view does not follow from the fields of a source.

    Args:
        source: The type of the samples.
        view: The type to view them as.

    Returns:
        One line for each obstacle. None, if `StructuralLens(source, view)` is sound: each field of
        the view is in the source, with a type that fits, or has a default.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Full:
        ...     text: str
        ...     label: int
        >>> @dataclass
        ... class Labelled:
        ...     label: float
        ...     score: float = 0.0
        >>> unlike(Full, Labelled)
        ["field 'label': Full has int, Labelled wants float"]
    """
    for kind in (source, view):
        if not is_dataclass(get_origin(kind) or kind):
            return [f"{type_name(kind)} is not a dataclass, so it has no fields to go by"]
    try:
        has = {field.name: kind for field, kind in field_types(source)}
        wants = {field.name: kind for field, kind in field_types(view)}
    except (NameError, AttributeError, TypeError) as error:
        return [f"the annotations of the fields cannot be read: {error}"]
    a, b = type_name(source), type_name(view)
    obstacles: list[str] = []
    for field in dataclass_fields(view):
        name = field.name
        if name in has and not fits(has[name], wants[name]):
            found, wanted = type_name(has[name]), type_name(wants[name])
            obstacles.append(f"field {name!r}: {a} has {found}, {b} wants {wanted}")
        elif name not in has and field.init and not has_default(field):
            obstacles.append(
                f"field {name!r}: {a} does not have it, and {b} has no default for it"
            )
    given = dict.fromkeys(field.name for field in dataclass_fields(view) if field.init)
    try:
        inspect.signature(view).bind(**given)
    except TypeError as error:
        obstacles.append(f"{b} is not made from its fields alone: {error}")
    return obstacles


def fits(has: Any, wants: Any) -> bool:
    """Whether each value of one annotation is obviously a value of the other.

    So it is for equal annotations, members of a union, `list[int]` for `list`, an array of some
    dtype for one of any dtype, an annotated type for the bare one, and a derived sample type for
    its base. Numbers of one kind are not numbers of another.

    Examples:
        >>> fits(int, int | None), fits(int | None, int), fits(int, float)
        (True, False, False)
    """
    has, wants = _plain(has), _plain(wants)
    if has == wants or wants is Any or wants is object:
        return True
    if isinstance(has, NewType):
        return fits(has.__supertype__, wants)
    if members := union_members(has):
        return all(fits(member, wants) for member in members)
    if members := union_members(wants):
        return any(fits(has, member) for member in members)
    if get_origin(has) is Annotated:
        base, *extras = get_args(has)
        if get_origin(wants) is not Annotated:
            return fits(base, wants)
        wanted_base, *wanted = get_args(wants)
        return fits(base, wanted_base) and all(extra in extras for extra in wanted)
    has_class, wants_class = get_origin(has) or has, get_origin(wants) or wants
    if has_class is wants_class:
        return _arguments_fit(get_args(has), get_args(wants))
    # Only a sample type shows all there is to its base; bool and int are more than a base apart.
    return is_dataclass(wants_class) and wants_class in getattr(has_class, "__mro__", ())


class StructuralLens[S, V](MappedLens[S, V]):
    """The mapped lens of two types whose rules are their fields of one name."""

    def __init__(self, source_type: type[S], view_type: type[V]) -> None:
        name = f"structural({type_name(source_type)}, {type_name(view_type)})"
        has = {field.name for field in dataclass_fields(source_type)}
        shared = [f.name for f in dataclass_fields(view_type) if f.name in has]
        super().__init__(name, source_type, view_type, [FieldRule(n, n) for n in shared])

    @property
    def kind(self) -> LensKind:
        """`structural`."""
        return "structural"

    def __reduce__(self) -> tuple[Any, ...]:
        return StructuralLens, (self._source, self._view)


class UntypedLens(DerivedLens[Any, Any]):
    """Reads samples without a type, such as `DictSample`, as a type, through their payload.

    `put` writes only the fields that differ from what `get` reads, so whatever the type does not
    know, or knows in another spelling, stays as it is.
    """

    def __init__(self, source_type: type[Any], view_type: type[Any]) -> None:
        name = f"structural({type_name(source_type)}, {type_name(view_type)})"
        super().__init__(name, source_type, view_type)

    @property
    def kind(self) -> LensKind:
        """`structural`."""
        return "structural"

    def get(self, s: Any) -> Any:
        """Decode the sample's payload as the type."""
        return self._view.from_bytes(s.packed)

    def put(self, v: Any, s: Any) -> Any:
        """Write the fields that were changed into the sample."""
        before, after = self._fields(self.get(s)), self._fields(v)
        changed = {n: x for n, x in after.items() if n not in before or not same(x, before[n])}
        return self._source.from_data({**s.to_dict(), **changed})

    def __reduce__(self) -> tuple[Any, ...]:
        return UntypedLens, (self._source, self._view)

    def _fields(self, view: Any) -> dict[str, Any]:
        """A view's fields as the samples without a type hold them."""
        fields: dict[str, Any] = self._source.from_bytes(view.packed).to_dict()
        return fields


def is_untyped(kind: Any) -> bool:
    """Whether a type holds samples as they come, as `DictSample` does, without declared fields."""
    abilities = ("to_dict", "from_data", "from_bytes", "packed")
    return all(hasattr(kind, name) for name in abilities) and not is_dataclass(kind)


def is_packable(kind: Any) -> bool:
    """Whether samples of a type can be read from a payload and written to one."""
    return hasattr(kind, "from_bytes") and hasattr(kind, "packed")


def _plain(annotation: Any) -> Any:
    """What a `type X = ...` alias stands for, such as `NDArray`; None's type for None."""
    while isinstance(alias := get_origin(annotation) or annotation, TypeAliasType):
        given = dict(zip(alias.__type_params__, get_args(annotation), strict=False))
        annotation = alias.__value__
        if given:
            annotation = annotation[tuple(given[p] for p in annotation.__parameters__)]
    return type(None) if annotation is None else annotation


def _arguments_fit(has: tuple[Any, ...], wants: tuple[Any, ...]) -> bool:
    """Whether the arguments of a generic type are those wanted, or any would do."""
    if not has:
        return all(map(_is_any, wants))
    if len(has) != len(wants):
        return not wants
    return all(map(_argument_fits, has, wants))


def _argument_fits(has: Any, wants: Any) -> bool:
    """As `fits`, but within a type that can be written to, where wider is not good enough."""
    has, wants = _plain(has), _plain(wants)
    if has == wants or _is_any(wants):
        return True
    generic = get_origin(wants)
    if generic is None or generic is not (get_origin(has) or has) or union_members(wants):
        return False
    return _arguments_fit(get_args(has), get_args(wants))


def _is_any(annotation: Any) -> bool:
    """Whether an argument is left open: `Any`, a type variable, `...`, or made of these."""
    annotation = _plain(annotation)
    if annotation is Any or annotation is ... or isinstance(annotation, TypeVar):
        return True
    arguments = get_args(annotation)
    return bool(arguments) and all(map(_is_any, arguments))
