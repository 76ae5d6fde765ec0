"""From annotations to codecs, and what is said of those that no payload can represent."""

import dataclasses
import sys
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from enum import Enum
from importlib import import_module
from inspect import isclass
from itertools import combinations
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from atdata._exceptions import UnsupportedTypeError
from atdata._protocols import ArrayFormat
from atdata._type_utils import (
    UnreadableAnnotationError,
    bare,
    evaluate,
    field_types,
    union_members,
)
from atdata.codec import containers
from atdata.codec.markers import Format, Shape
from atdata.codec.misfit import Misfit, describe, wrong
from atdata.codec.record import FieldPlan, Record, field_plan
from atdata.codec.registry import format_for_annotation, format_named
from atdata.codec.texts import TEXTS
from atdata.codec.values import ANY, SCALARS, STR, ValueCodec

_ARRAYS = "atdata.codec.arrays"  # loaded by name, so that numpy stays out until it is needed
_SEQUENCES = (Sequence, MutableSequence)
_MAPPINGS = (Mapping, MutableMapping)
_LITERALS = (type(None), bool, int, str, bytes)
_BY_TYPE = {**SCALARS, **TEXTS}


class _Unsupported(Exception):  # noqa: N818 - becomes an UnsupportedTypeError with the field's name
    """An annotation cannot be represented; the text says what to use instead."""


class Compiler:
    """Finds codecs for the annotations of one sample type and of the types inside it."""

    def __init__(self) -> None:
        self.records: dict[Any, Record] = {}

    def record(self, kind: Any) -> Record:
        """The record of a dataclass, the same one wherever it appears."""
        if kind in self.records:
            return self.records[kind]
        cls: Any = get_origin(kind) or kind
        if not isclass(cls) or not dataclasses.is_dataclass(cls):
            raise UnsupportedTypeError(
                getattr(cls, "__qualname__", repr(cls)),
                wanted="a sample type",
                found=describe(kind) if not isclass(cls) else "a class that is no dataclass",
                hint="Decorate the class with @atdata.packable.",
            )
        record = self.records[kind] = Record(kind)
        formats: Mapping[str, str] = getattr(cls, "__field_formats__", {})
        plans: list[FieldPlan] = []
        for field, annotation in self._types(kind, cls):
            codec = self.field(cls, field.name, annotation, formats.get(field.name))
            plans.append(field_plan(record.name, field, annotation, codec))
        record.fill(plans)
        return record

    def field(
        self, cls: type[Any], name: str, annotation: object, format_name: str | None = None
    ) -> ValueCodec:
        """The codec of a field, or the error that names class, field and annotation."""
        try:
            if format_name is not None:
                return self._chosen(annotation, format_name)
            return self.value(annotation)
        except RecursionError:
            hint = "A type alias that holds itself cannot be represented: use Any or a dataclass."
            raise _unsupported(cls, name, annotation, hint) from None
        except (_Unsupported, TypeError) as error:
            if isinstance(error, UnsupportedTypeError):
                raise
            raise _unsupported(cls, name, annotation, str(error)) from None

    def value(self, annotation: object) -> ValueCodec:
        """The codec of an annotation."""
        kind, metadata = bare(annotation)
        marked = next((m.name for m in reversed(metadata) if isinstance(m, Format)), None)
        shape = next((m for m in reversed(metadata) if isinstance(m, Shape)), None)
        members = union_members(kind)
        if marked is not None:
            return self._chosen(kind, marked)
        if members is not None:
            return self._union(members, shape)
        codec = self._plain(kind) or self._container(kind) or self._array(kind, shape)
        if codec is None:
            raise _Unsupported(_advice(kind))
        if shape is not None and codec.shape is None:
            raise _Unsupported("Only an array has a Shape.")
        return codec

    def _types(self, kind: Any, cls: type[Any]) -> Sequence[tuple[Any, object]]:
        try:
            return list(field_types(kind))
        except UnreadableAnnotationError:
            raise
        except (SyntaxError, TypeError, AttributeError) as error:
            raise UnsupportedTypeError(
                cls.__qualname__,
                wanted="annotations that can be read",
                found=str(error),
                hint="Every field needs a type.",
            ) from error

    def _plain(self, kind: Any) -> ValueCodec | None:
        try:
            if kind in _BY_TYPE:
                return _BY_TYPE[kind]
        except TypeError:
            raise _Unsupported("A field needs a type.") from None
        if isinstance(kind, TypeVar):
            if kind.__constraints__:
                return self._union(kind.__constraints__, None)
            return self.value(kind.__bound__) if kind.__bound__ is not None else ANY
        if get_origin(kind) is Literal:
            return self._literal(get_args(kind))
        if isclass(kind) and issubclass(kind, Enum):
            values = [member.value for member in kind]
            if any(type(value) not in (int, str) for value in values):
                raise _Unsupported(f"Give every member of {kind.__name__} an int or a str.")
            return containers.enum_codec(kind, SCALARS)
        return None

    def _literal(self, values: Sequence[Any]) -> ValueCodec:
        for value in values:
            if type(value.value if isinstance(value, Enum) else value) not in _LITERALS:
                raise _Unsupported(f"Literal[{value!r}] has no form of its own in a payload.")
        wires = [value.value if isinstance(value, Enum) else value for value in values]
        if len({(type(wire), wire) for wire in wires}) < len(values):
            raise _Unsupported("Two of the literals have the same form in a payload.")
        return containers.literal_codec(values, SCALARS)

    def _container(self, kind: Any) -> ValueCodec | None:
        origin: Any = get_origin(kind) or kind
        arguments: Any = get_args(kind)
        if not isclass(origin):
            return None
        if origin in (list, *_SEQUENCES):
            item = self.value(arguments[0] if arguments else Any)
            return containers.list_codec(item, any_sequence=origin is not list)
        if origin is tuple:
            return self._tuple(kind, arguments)
        if origin in (set, frozenset):
            return containers.set_codec(self.value(arguments[0] if arguments else Any), origin)
        if origin in (dict, *_MAPPINGS):
            return self._dict(*(arguments or (str, Any)))
        if issubclass(origin, tuple) and hasattr(origin, "_fields"):
            return self._named_tuple(origin)
        if dataclasses.is_dataclass(origin):
            record = self.record(kind)
            return ValueCodec(
                label=record.name,
                kinds=frozenset(("map",)),
                to_wire=record.to_wire,
                from_wire=record.from_wire,
                wire_type=record.wire_type,
                recheck=True,
                loose=record.loose,
                natural=(origin,),
            )
        return None

    def _tuple(self, kind: Any, arguments: tuple[Any, ...]) -> ValueCodec:
        if kind is tuple:
            return containers.tuple_codec(ANY)
        if len(arguments) == 2 and arguments[1] is ...:
            return containers.tuple_codec(self.value(arguments[0]))
        return containers.record_tuple_codec([self.value(argument) for argument in arguments])

    def _named_tuple(self, cls: Any) -> ValueCodec:
        hints = getattr(cls, "__annotations__", {})
        items = [self.value(evaluate(hints.get(name, Any), cls)) for name in cls._fields]
        return containers.record_tuple_codec(items, cls, cls._make)

    def _dict(self, key: Any, item: Any) -> ValueCodec:
        plain, _ = bare(key)
        named = isclass(plain) and issubclass(plain, Enum)
        keys = self.value(key)
        if keys is ANY and plain is Any:
            keys = STR
        if keys.kinds != STR.kinds or not (keys is STR or named or get_origin(plain) is Literal):
            raise _Unsupported(
                f"Keys of maps are text, and {_shown(key)} is not: use dict[str, ...], "
                "or a list of pairs, list[tuple[key, value]]."
            )
        return containers.dict_codec(keys, self.value(item))

    def _union(self, members: Sequence[Any], shape: Shape | None) -> ValueCodec:
        found = [
            self.value(Annotated[member, shape] if shape is not None else member)
            for member in members
            if bare(member)[0] is not type(None)
        ]
        optional = len(found) < len(members)
        for one, other in combinations(found, 2):
            if one.kinds & other.kinds:
                kinds = ", ".join(sorted(one.kinds & other.kinds))
                raise _Unsupported(
                    f"msgpack cannot tell {one.label} from {other.label}: both may be {kinds}. "
                    "Use two optional fields, or dataclasses that hold them."
                )
        joined = found[0] if len(found) == 1 else containers.union_codec(found)
        return containers.optional_codec(joined) if optional else joined

    def _array(self, kind: Any, shape: Shape | None) -> ValueCodec | None:
        if "numpy" in sys.modules:
            arrays = import_module(_ARRAYS)
            codec = arrays.array_codec(kind, shape) or arrays.scalar_codec(kind)
            if codec is not None:
                return codec  # type: ignore[no-any-return]
        found = format_for_annotation(kind)
        return _format_codec(found, get_origin(kind) or kind) if found is not None else None

    def _chosen(self, annotation: object, name: str) -> ValueCodec:
        kind, metadata = bare(annotation)
        members = union_members(kind) or (kind,)
        optional = type(None) in members or kind in (Any, object)
        rest = [m for m in members if m is not type(None)]
        codec: ValueCodec | None = None
        if name == "ndarray" and len(rest) == 1:
            shape = next((m for m in metadata if isinstance(m, Shape)), None)
            codec = import_module(_ARRAYS).array_codec(rest[0], shape)
        if codec is None:
            try:
                codec = _format_codec(format_named(name), object)
            except ValueError as error:
                raise _Unsupported(str(error)) from None
        return containers.optional_codec(codec) if optional else codec


def _format_codec(form: ArrayFormat, cls: type[Any]) -> ValueCodec:
    label = cls.__name__ if cls is not object else f"value of format {form.name}"

    def to_wire(value: Any) -> bytes:
        if not form.accepts(value) or not isinstance(value, cls):
            raise wrong(label, value)
        try:
            return form.encode(value)
        except (ValueError, TypeError) as error:
            raise Misfit(label, describe(value), str(error)) from error

    def from_wire(value: Any, copy: bool) -> Any:
        if not isinstance(value, (memoryview, bytes)):
            if not form.accepts(value) or not isinstance(value, cls):
                raise wrong(label, value)
            return value
        try:
            found = form.decode(memoryview(value), copy=copy)
        except (ValueError, TypeError) as error:
            raise Misfit(label, f"{len(value)} bytes: {error}") from error
        if not isinstance(found, cls):
            raise wrong(label, found)
        return found

    return ValueCodec(
        label=label,
        kinds=frozenset(("bin",)),
        to_wire=to_wire,
        from_wire=from_wire,
        wire_type=lambda: memoryview,
        natural=(cls,),
    )


def _unsupported(cls: type[Any], name: str, annotation: object, hint: str) -> UnsupportedTypeError:
    return UnsupportedTypeError(
        cls.__qualname__,
        path=name,
        wanted="a type that a payload can hold",
        found=_shown(annotation),
        hint=hint,
    )


def _shown(annotation: object) -> str:
    if isclass(annotation) and get_origin(annotation) is None:
        return annotation.__qualname__
    return repr(annotation)


def _advice(kind: Any) -> str:
    if isclass(kind) and issubclass(kind, dict):
        return "Use dict[str, ...] or a dataclass."
    if isclass(kind):
        return (
            f"Decorate {kind.__name__} with @dataclass or @atdata.packable, "
            "or keep what it holds in fields of plain types."
        )
    return (
        "Use plain types, list, tuple, set, dict[str, ...], Literal, Enum, datetime, UUID, "
        "Decimal, NDArray or a dataclass."
    )
