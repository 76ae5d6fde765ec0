"""From a schema to a sample type, without writing code.

The classes are put together from the schema's values: no name and no value of a record is ever
compiled, imported or evaluated, other than by `dataclass`, which gets names that were checked.
"""

import dataclasses
import enum
import json
import os
import threading
import weakref
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import reduce
from importlib import import_module
from operator import or_
from pathlib import Path, PurePath, PurePosixPath
from types import MappingProxyType, new_class
from typing import Annotated, Any, Literal
from uuid import UUID

from atdata._exceptions import MissingExtraError, SchemaError, SchemaRecordError
from atdata.codec.annotations import Compiler
from atdata.codec.markers import Format
from atdata.model.schema import (
    Constant,
    EnumMember,
    Schema,
    SchemaDefinition,
    SchemaField,
    SchemaFieldType,
)
from atdata.model.schema_field import types_of
from atdata.sample.packable import packable
from atdata.schema.built import HOME, BuiltEnumType, BuiltType, reader, record_text, settle
from atdata.schema.defaults import DefaultNotStored, StoredDefault, factory_of, restored
from atdata.schema.foreign import Foreign
from atdata.schema.hints import Hint

_ARRAYS = "atdata.schema.arrays"  # loaded by name, so that numpy stays out until it is needed
_KEPT = 256
_PARTS = "__schema_parts__"  # on the class, so that all are forgotten together
_NOTHING: Mapping[str, Any] = MappingProxyType({})

_PRIMITIVES: dict[str, Any] = {
    **{kind.__name__: kind for kind in (str, int, float, bool, bytes, bytearray, complex)},
    **{kind.__name__: kind for kind in (datetime, date, time, timedelta)},
    "any": Any,
    "none": None,
    "uuid": UUID,
    "decimal": Decimal,
    "path": Path,
    "purePath": PurePath,
    "purePosixPath": PurePosixPath,
}
_GENERIC: dict[str, Any] = {"array": list, "set": set, "frozenset": frozenset}
_GENERIC["sequence"] = Sequence
_TUPLE: Any = tuple
_LITERAL: Any = Literal
_DICT: Any = dict
_ENUMS: dict[str, tuple[type, ...]] = {
    **{
        kind.__name__: (kind,)
        for kind in (enum.Enum, enum.IntEnum, enum.StrEnum, enum.Flag, enum.IntFlag)
    },
    "int": (int, enum.Enum),
    "str": (str, enum.Enum),
}


class _Made:
    """The types that were made: the last ones, and those that someone still holds."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.recent: OrderedDict[str, type[Any]] = OrderedDict()
        self.alive: weakref.WeakValueDictionary[str, type[Any]] = weakref.WeakValueDictionary()


_made = _Made()
os.register_at_fork(after_in_child=lambda: setattr(_made, "lock", threading.RLock()))


def type_of(schema: Schema) -> type[Any]:
    """The sample type that a schema describes.

    It reads and writes the samples of the type that the schema was made of. Its class attributes
    say where it is from: `__schema_ref__`, `__schema_version__`, `__schema_cid__`, and
    `__field_formats__` for fields in formats of other libraries. Types and samples can be pickled;
    another process makes the type again.

    Args:
        schema: The schema. Two schemas of one content give the same class, which keeps the
            reference of the first one, as long as anyone holds it.

    Raises:
        SchemaRecordError: No sample type can be as it says.
        MissingExtraError: An element type is of `ml_dtypes`, which is not installed.

    Examples:
        >>> from atdata.model.schema import Schema
        >>> Word = type_of(Schema.from_dict({"name": "Word", "version": "1.0.0", "fields": [
        ...     {"name": "text", "fieldType": {"kind": "primitive", "primitive": "str"}},
        ...     {"name": "count", "fieldType": {"kind": "primitive", "primitive": "int"},
        ...         "default": 1}]}))
        >>> Word("sea")
        Word(text='sea', count=1)
        >>> Word.from_bytes(Word("sea").packed) == Word("sea")
        True
    """
    cid = schema.cid
    with _made.lock:
        found = _made.alive.get(cid)
        if found is None:
            found = _Builder(schema, cid).build()
        _made.alive[cid] = _made.recent[cid] = found
        _made.recent.move_to_end(cid)
        while len(_made.recent) > _KEPT:
            _made.recent.popitem(last=False)
        return found


def cached_types() -> dict[str, type[Any]]:
    """The types that were made and are kept, by their schema's CID."""
    with _made.lock:
        return dict(_made.recent)


def clear_types() -> None:
    """Keep no types: the next one is made anew, unless someone still holds it."""
    with _made.lock:
        _made.recent.clear()


def parts_of(built: type[Any]) -> dict[str, type[Any]]:
    """The classes that were made with a sample type, by name.

    Raises:
        KeyError: The type was made of no schema.
    """
    return dict(vars(built)[_PARTS])


def _load(record: str, name: str) -> type[Any]:
    """What unpickling a type calls."""
    built = type_of(Schema.from_dict(json.loads(record)))
    return parts_of(built)[name] if name else built


reader(_load)


class _Builder:
    """Makes the classes of one schema: first all of them without fields, then what is in them."""

    def __init__(self, schema: Schema, cid: str) -> None:
        self.schema = schema
        self.cid = cid
        self.title = f"{schema.name}@{schema.version}"
        self.home = f"{HOME}.{cid}"
        self.types: dict[str, Any] = {}
        self.frozen = hashed_types(schema)
        self.late: list[tuple[StoredDefault[Any], Any, SchemaField, str]] = []

    def build(self) -> type[Any]:
        try:
            return self._build()
        except SchemaRecordError as error:
            raise self._refused(error.reason, error) from None
        except (MissingExtraError, MemoryError):
            raise
        except SchemaError as error:
            raise self._refused("no payload can hold such samples", error) from None
        except (TypeError, ValueError, RecursionError, AttributeError) as error:
            reason = f"no type can be made of it: {error}"
            raise SchemaRecordError(self.title, reason) from error

    def _build(self) -> type[Any]:
        schema = self.schema
        self.types[""] = self._class(schema.name, schema.description)
        for definition in schema.definitions:
            self.types[definition.name] = self._empty(definition)
        for definition in schema.definitions:
            if definition.kind == "namedTuple":
                hints = {f.name: self._annotation(f, definition.name) for f in definition.fields}
                self.types[definition.name].__annotations__ = hints
        records = {d.name: d.fields for d in schema.definitions if d.kind == "record"}
        records[""] = schema.fields
        for name, fields in records.items():
            self._declare(self.types[name], name, fields)
        for factory, cls, field, path in self.late:
            if field.default is not None:
                factory.value = self._restored(field.default, cls, field, path)
        for definition in schema.definitions:
            if definition.kind == "namedTuple":
                self._give_place_defaults(self.types[definition.name], definition)
        settle(self.home, self.types, record_text(schema.to_dict()))
        for name in records:
            packable(self.types[name])
        built: Any = self.types[""]
        setattr(built, _PARTS, {name: part for name, part in self.types.items() if name})
        built.__schema_ref__ = schema.ref
        built.__schema_version__ = schema.version
        built.__schema_cid__ = self.cid
        built.__ndarray_annotations__ = _array_notes(schema.fields)
        return built  # type: ignore[no-any-return]

    def _class(self, name: str, doc: str | None) -> Any:
        cls: Any = new_class(name, (), {"metaclass": BuiltType}, self._fill())
        if doc is not None:
            cls.__doc__ = f"\n{doc}"
        return cls

    def _fill(self, values: Mapping[str, Any] = _NOTHING) -> Callable[[Any], None]:
        def fill(space: Any) -> None:
            space["__module__"] = self.home
            for name, value in values.items():  # one by one, as a class body does
                space[name] = value

        return fill

    def _empty(self, definition: SchemaDefinition) -> Any:
        doc = definition.description
        if definition.kind == "record":
            return self._class(definition.name, doc)
        if definition.kind == "enum":
            fill = self._fill(dict(definition.members))
            made: Any = new_class(
                definition.name,
                _ENUMS[str(definition.base)],
                {"metaclass": BuiltEnumType},
                fill,
            )
            made.__doc__ = f"\n{doc}" if doc is not None else None
            return made
        names = [field.name for field in definition.fields]
        base: Any = namedtuple(definition.name, names)  # type: ignore[misc]
        cls: Any = new_class(
            definition.name,
            (base,),
            {"metaclass": BuiltType},
            self._fill({"__slots__": ()}),
        )
        cls.__doc__ = f"\n{doc}" if doc is not None else None
        return cls

    def _declare(self, cls: Any, name: str, fields: Sequence[SchemaField]) -> None:
        cls.__annotations__ = {field.name: self._annotation(field, name) for field in fields}
        for field in fields:
            setattr(cls, field.name, self._declared(field, cls, f"{name}." if name else ""))
        formats = {f.name: _format_name(f.field_type) for f in fields}
        cls.__field_formats__ = {key: form for key, form in formats.items() if form is not None}
        doc = cls.__doc__
        dataclasses.dataclass(frozen=name in self.frozen)(cls)
        cls.__doc__ = doc  # and not the one that a dataclass writes

    def _declared(self, field: SchemaField, cls: Any, within: str) -> Any:
        given: dict[str, Any] = {"kw_only": field.kw_only}
        if field.description:
            given["metadata"] = {"description": field.description}
        if field.default_not_stored:
            given["default_factory"] = DefaultNotStored(cls.__name__, field.name)
        elif field.default is not None and (empty := _empty(field.field_type, field.default)):
            given["default_factory"] = empty
        elif field.default is not None and self._holds_record(field.field_type):
            factory = given["default_factory"] = StoredDefault[Any](None)
            self.late.append((factory, cls, field, f"{within}{field.name}"))
        elif field.default is not None:
            value = self._restored(field.default, cls, field, f"{within}{field.name}")
            made = factory_of(value)
            given |= {"default": value} if made is None else {"default_factory": made}
        elif field.has_default:
            given["default"] = None
        return dataclasses.field(**given)

    def _restored(self, constant: Constant, cls: Any, field: SchemaField, path: str) -> Any:
        codec = Compiler().field(cls, field.name, cls.__annotations__[field.name])
        return restored(constant, codec, path, self.title)

    def _holds_record(self, kind: SchemaFieldType) -> bool:
        """Whether a record is in it, whose codec there is only once all classes have fields."""
        for ref in kind.refs:
            found = self.schema.definition(ref)
            if found.kind == "record":
                return True
            if any(self._holds_record(place.field_type) for place in found.fields):
                return True
        return any(map(self._holds_record, kind.inner))

    def _give_place_defaults(self, cls: Any, definition: SchemaDefinition) -> None:
        values: dict[str, Any] = {}
        for field in definition.fields:
            if field.default_not_stored:
                values[field.name] = DefaultNotStored(definition.name, field.name)
            elif (constant := field.stored_default) is not None:
                path = f"{definition.name}.{field.name}"
                values[field.name] = self._restored(constant, cls, field, path)
        base = cls.__mro__[1]
        base._field_defaults = values
        base.__new__.__defaults__ = tuple(values.values()) or None

    def _annotation(self, field: SchemaField, owner: str) -> Any:
        try:
            annotation = self._type(field.field_type)
        except TypeError as error:
            path = f"{owner}.{field.name}" if owner else field.name
            raise SchemaRecordError(self.title, str(error), path=path) from None
        return annotation | None if field.optional else annotation

    def _type(self, kind: SchemaFieldType) -> Any:
        match kind.kind:
            case "primitive":
                return _PRIMITIVES[str(kind.primitive)]
            case "ndarray" | "scalar":
                annotation = import_module(_ARRAYS).array_annotation(kind)
                return Annotated[annotation, Hint(kind)] if kind.has_hints else annotation
            case "array" | "sequence" | "set" | "frozenset":
                return _GENERIC[kind.kind][self._inner(kind.items)]
            case "tuple" if kind.items is not None:
                return _TUPLE[self._inner(kind.items), ...]
            case "tuple":
                return _TUPLE[tuple(map(self._inner, kind.members))]
            case "map":
                keys = str if kind.keys is None else self._inner(kind.keys)
                return _DICT[keys, self._inner(kind.items)]
            case "literal":
                values = tuple(
                    self.types[v.ref[1:]][v.name] if isinstance(v, EnumMember) else v.value
                    for v in kind.values
                )
                return _LITERAL[values]
            case "union":
                return reduce(or_, map(self._inner, kind.members))
            case "ref":
                return self.types[str(kind.ref)[1:]]
            case name:
                marks: list[Any] = [Format(kind.format or name)]
                marks += [Hint(kind)] if kind.has_hints else []
                annotation = _held(name)
                for mark in marks:
                    annotation = Annotated[annotation, mark]
                return annotation

    def _inner(self, kind: SchemaFieldType | None) -> Any:
        return Any if kind is None else self._type(kind)

    def _refused(self, reason: str, error: SchemaError) -> SchemaRecordError:
        return SchemaRecordError(
            self.title,
            reason,
            path=error.path,
            wanted=error.wanted,
            found=error.found,
            hint=str(error).rpartition("\n  ")[2] if not error.found else "",
        )


def _empty(kind: SchemaFieldType, constant: Constant) -> Callable[[], Any] | None:
    """What makes an empty container, where that is the default."""
    empty: dict[tuple[str, str], Callable[[], Any]] = {
        ("array", "[]"): list,
        ("set", "[]"): set,
        ("map", "{}"): dict,
    }
    return empty.get((kind.kind, constant.text))


def _held(name: str) -> Any:
    """What an annotation names where a format is what decides."""
    if name != "safetensors":
        return Foreign
    return _DICT[str, import_module(_ARRAYS).NDArray[Any]]


def _format_name(kind: SchemaFieldType) -> str | None:
    if kind.kind in ("primitive", "ndarray", "scalar", "ref", "tuple", "map", "literal", "union"):
        return None
    if kind.items is not None:
        return None
    return kind.format or kind.kind


def hashed_types(schema: Schema) -> set[str]:
    """The records that are elements of sets, and so must not change: they are made frozen.

    Their names; that of the sample type itself is `""`.
    """
    found: set[str] = set()
    waiting = [
        kind.items
        for fields in (schema.fields, *(d.fields for d in schema.definitions))
        for _, kind in types_of(fields)
        if kind.kind in ("set", "frozenset") and kind.items is not None
    ]
    while waiting:
        kind = waiting.pop()
        waiting += kind.inner
        for ref in kind.refs:
            if ref[1:] not in found:
                found.add(ref[1:])
                waiting += [field.field_type for field in schema.definition(ref).fields]
    return found


def _array_notes(fields: Sequence[SchemaField]) -> dict[str, dict[str, Any]]:
    """What the schema says of each array: dtype, shape and names of dimensions."""
    return {
        field.name: {
            "dtype": kind.dtype,
            "shape": list(kind.shape) if kind.shape is not None else None,
            "dimensionNames": list(kind.dimension_names) if kind.dimension_names else None,
        }
        for field in fields
        if (kind := field.field_type).kind == "ndarray"
    }
