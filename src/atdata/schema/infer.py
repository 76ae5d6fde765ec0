"""From a sample type to its schema.

The annotations are read in the order in which the codec reads them, so a schema says what is
written. What the codec refuses has no schema.
"""

import dataclasses
import enum
import inspect
import sys
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from importlib import import_module
from inspect import isclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, Literal, TypeVar, get_args, get_origin
from uuid import UUID

from atdata._exceptions import SchemaRecordError, UnsupportedTypeError
from atdata._type_utils import bare, evaluate, field_types, union_members
from atdata.codec.annotations import Compiler
from atdata.codec.compile import codec_of
from atdata.codec.markers import Format, Shape
from atdata.codec.record import FieldPlan
from atdata.codec.registry import format_for_annotation
from atdata.model.field_type import FORMATS
from atdata.model.schema import (
    Constant,
    EnumMember,
    Schema,
    SchemaDefinition,
    SchemaField,
    SchemaFieldType,
)
from atdata.model.schema_field import EnumBase
from atdata.schema.defaults import stored, written_default
from atdata.schema.hints import Hint

_ARRAYS = "atdata.schema.arrays"  # loaded by name, so that numpy stays out until it is needed

PRIMITIVES: dict[Any, str] = {
    **{kind: kind.__name__ for kind in (str, int, float, bool, bytes, bytearray, complex)},
    **{kind: kind.__name__ for kind in (datetime, date, time, timedelta)},
    Any: "any",
    object: "any",
    None: "none",
    type(None): "none",
    UUID: "uuid",
    Decimal: "decimal",
    Path: "path",
    PurePath: "purePath",
    PurePosixPath: "purePosixPath",
}
"""What a schema calls each plain type."""

_ITEMS: dict[Any, str] = {
    list: "array",
    Sequence: "sequence",
    MutableSequence: "sequence",
    set: "set",
    frozenset: "frozenset",
}
_MAPPINGS = (dict, Mapping, MutableMapping)
_ANY = SchemaFieldType("primitive", primitive="any")
_NONE = SchemaFieldType("primitive", primitive="none")


def schema_of(
    sample_type: type[Any], *, version: str = "1.0.0", description: str | None = None
) -> Schema:
    """The schema of a sample type.

    Args:
        sample_type: A `@packable` class or any dataclass whose fields can be written; with type
            arguments where it takes any. The types of its fields come along.
        version: The schema's version.
        description: What a sample is; the class's docstring where it is left out.

    Raises:
        TypeError: It is no class, or a field's annotation cannot be represented.
        ValueError: It is no dataclass, or has a name that no schema can have.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Word:
        ...     '''A word of a text.'''
        ...     text: str
        ...     tags: list[str]
        ...     count: int = 1
        >>> schema = schema_of(Word)
        >>> print(schema)
        Word@1.0.0
          text: str
          tags: list[str]
          count: int = 1
        >>> schema.description
        'A word of a text.'
    """
    cls: Any = get_origin(sample_type) or sample_type
    if not isclass(cls):
        raise TypeError(f"sample_type must be a class, got {type(sample_type).__name__}")
    if not dataclasses.is_dataclass(cls):
        raise ValueError(
            f"{cls.__qualname__} is no dataclass, so it has no fields to describe\n"
            "  Decorate it with @atdata.packable."
        )
    codec_of(sample_type)  # refuses what cannot be written
    try:
        return _Types(sample_type).schema(version, description)
    except SchemaRecordError as error:
        raise SchemaRecordError(
            cls.__qualname__,
            error.reason,
            path=error.path,
            wanted=error.wanted,
            found=error.found,
            hint=error.hint or "Rename it, or leave it out of the sample type.",
        ) from None


class _Types:
    """Describes one sample type and the types inside of it."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.cls: Any = get_origin(root) or root
        self.compiler = Compiler()
        self.refs: dict[Any, str] = {root: "#"}
        self.definitions: dict[str, SchemaDefinition | None] = {}

    def schema(self, version: str, description: str | None) -> Schema:
        fields = self._fields(self.root)
        return Schema(
            self.cls.__name__,
            version,
            fields,
            description if description is not None else docstring(self.cls),
            definitions=tuple(d for d in self.definitions.values() if d is not None),
        )

    def _fields(self, kind: Any) -> tuple[SchemaField, ...]:
        cls: Any = get_origin(kind) or kind
        formats: Mapping[str, str] = getattr(cls, "__field_formats__", {})
        plans = {plan.name: plan for plan in self.compiler.record(kind).fields}
        return tuple(
            self._field(field, annotation, plans[field.name], formats.get(field.name))
            for field, annotation in field_types(kind)
        )

    def _field(
        self,
        field: "dataclasses.Field[Any]",
        annotation: object,
        plan: FieldPlan,
        form: str | None,
    ) -> SchemaField:
        default, missing = stored(field, plan.codec)
        kind, optional = self._chosen(annotation, form) if form else self._split(annotation)
        return SchemaField(
            field.name,
            kind,
            optional=optional,
            default=default,
            required=optional and default is None and not missing,
            default_not_stored=missing,
            kw_only=bool(field.kw_only),
            description=_field_description(field, annotation),
        )

    def _split(
        self, annotation: object, shape: Shape | None = None
    ) -> tuple[SchemaFieldType, bool]:
        """The type of an annotation, and whether None is allowed besides."""
        kind, metadata = bare(annotation)
        marked = next((m.name for m in reversed(metadata) if isinstance(m, Format)), None)
        hint = next((m for m in reversed(metadata) if isinstance(m, Hint)), None)
        shape = next((m for m in reversed(metadata) if isinstance(m, Shape)), shape)
        if hint is not None:
            return hint.field_type, False
        if marked is not None:
            return self._chosen(annotation, marked)
        members = union_members(kind)
        if isinstance(kind, TypeVar):
            members = kind.__constraints__ or None
            kind = kind.__bound__ if kind.__bound__ is not None else Any
            if members is None:
                return self._split(kind, shape)
        if members is None:
            return self._one(kind, shape), False
        found = [self._split(member, shape) for member in members if bare(member)[0] is not None]
        kinds = [one for one, _ in found if one != _NONE]
        optional = any(none for _, none in found) or len(kinds) < len(members)
        if not kinds:
            return _NONE, False
        return kinds[0] if len(kinds) == 1 else SchemaFieldType("union", members=tuple(kinds)), (
            optional
        )

    def _value(self, annotation: object) -> SchemaFieldType:
        """The type of an annotation inside another one."""
        kind, optional = self._split(annotation)
        return SchemaFieldType("union", members=(kind, _NONE)) if optional else kind

    def _one(self, kind: Any, shape: Shape | None) -> SchemaFieldType:
        found = self._plain(kind) or self._container(kind) or _array(kind, shape)
        if found is not None:
            return found
        form = format_for_annotation(kind)
        if form is None:
            raise UnsupportedTypeError(
                self.cls.__qualname__, wanted="a type that a schema can describe", found=repr(kind)
            )
        return _format(form.name)

    def _plain(self, kind: Any) -> SchemaFieldType | None:
        try:
            if kind in PRIMITIVES:
                return SchemaFieldType("primitive", primitive=PRIMITIVES[kind])
        except TypeError:
            return None
        if get_origin(kind) is Literal:
            return SchemaFieldType("literal", values=tuple(map(self._literal, get_args(kind))))
        if isclass(kind) and issubclass(kind, enum.Enum):
            return SchemaFieldType("ref", ref=self._ref(kind))
        return None

    def _literal(self, value: Any) -> Constant | EnumMember:
        if isinstance(value, enum.Enum):
            return EnumMember(self._ref(type(value)), value.name)
        return Constant.of(value)

    def _container(self, kind: Any) -> SchemaFieldType | None:
        origin: Any = get_origin(kind) or kind
        arguments: Any = get_args(kind)
        if not isclass(origin):
            return None
        if origin in _ITEMS:
            items = self._value(arguments[0]) if arguments else _ANY
            return SchemaFieldType(_ITEMS[origin], items=items)
        if origin is tuple:
            if kind is tuple:
                return SchemaFieldType("tuple", items=_ANY)
            if len(arguments) == 2 and arguments[1] is ...:
                return SchemaFieldType("tuple", items=self._value(arguments[0]))
            return SchemaFieldType("tuple", members=tuple(map(self._value, arguments)))
        if origin in _MAPPINGS:
            key, item = arguments or (str, Any)
            named, _ = bare(key)
            keys = None if named in (str, Any) else self._value(key)
            return SchemaFieldType("map", items=self._value(item), keys=keys)
        if dataclasses.is_dataclass(origin) or issubclass(origin, tuple):
            return SchemaFieldType("ref", ref=self._ref(kind))
        return None

    def _chosen(self, annotation: object, name: str) -> tuple[SchemaFieldType, bool]:
        kind, metadata = bare(annotation)
        members = union_members(kind) or (kind,)
        rest = [member for member in members if member is not type(None)]
        optional = len(rest) < len(members) or kind in (Any, object)
        if name == "ndarray":
            shape = next((m for m in reversed(metadata) if isinstance(m, Shape)), None)
            found = _array(rest[0], shape) if len(rest) == 1 else None
            return found or SchemaFieldType("ndarray"), optional
        return _format(name), optional

    def _ref(self, kind: Any) -> str:
        """The reference to a class, which is described when it is met for the first time."""
        if kind in self.refs:
            return self.refs[kind]
        cls: Any = get_origin(kind) or kind
        name = cls.__name__
        number = 2
        while name in self.definitions or name == self.cls.__name__:
            name = f"{cls.__name__}_{number}"
            number += 1
        self.refs[kind] = f"#{name}"
        self.definitions[name] = None  # the name is taken, also by what is inside
        self.definitions[name] = self._definition(name, kind, cls)
        return self.refs[kind]

    def _definition(self, name: str, kind: Any, cls: Any) -> SchemaDefinition:
        said = docstring(cls)
        if issubclass(cls, enum.Enum):
            members = tuple((key, member.value) for key, member in cls.__members__.items())
            base = _enum_base(cls)
            return SchemaDefinition(name, "enum", members=members, base=base, description=said)
        if dataclasses.is_dataclass(cls):
            return SchemaDefinition(name, "record", self._fields(kind), description=said)
        return SchemaDefinition(name, "namedTuple", self._places(cls), description=said)

    def _places(self, cls: Any) -> tuple[SchemaField, ...]:
        hints = getattr(cls, "__annotations__", {})
        fields: list[SchemaField] = []
        for name in cls._fields:
            annotation = evaluate(hints.get(name, Any), cls)
            kind, optional = self._split(annotation)
            default, missing = None, False
            if name in cls._field_defaults:
                codec = self.compiler.value(annotation)
                default, missing = written_default(cls._field_defaults[name], codec)
            fields.append(
                SchemaField(
                    name,
                    kind,
                    optional=optional,
                    default=default,
                    required=optional and default is None and not missing,
                    default_not_stored=missing,
                )
            )
        return tuple(fields)


def docstring(cls: type[Any]) -> str | None:
    """A class's own docstring; None where it is one that Python wrote.

    Examples:
        >>> @dataclasses.dataclass
        ... class Point:
        ...     x: int
        >>> Point.__doc__, docstring(Point)
        ('Point(x: int)', None)
    """
    text = vars(cls).get("__doc__")
    if not isinstance(text, str):
        return None
    if dataclasses.is_dataclass(cls) and _is_signature(text, cls):
        return None
    names = getattr(cls, "_fields", None)
    if names is not None and text == f"{cls.__name__}({', '.join(names)})":
        return None
    return inspect.cleandoc(text)


def _is_signature(text: str, cls: Any) -> bool:
    """Whether a docstring is the one that `dataclass` writes: `Name(field: type, …)`."""
    if text == cls.__name__:
        return True
    if not (text.startswith(f"{cls.__name__}(") and text.endswith(")") and "\n" not in text):
        return False
    return all(f"{field.name}: " in text for field in dataclasses.fields(cls) if field.init)


def _field_description(field: "dataclasses.Field[Any]", annotation: object) -> str | None:
    """What its metadata says as `description`, its `doc`, or `Annotated[..., Doc(…)]`."""
    _, metadata = bare(annotation)
    marks = [getattr(m, "documentation", None) for m in metadata if type(m).__name__ == "Doc"]
    said = [field.metadata.get("description"), getattr(field, "doc", None), *marks]
    return next((text for text in said if isinstance(text, str)), None)


def _format(name: str) -> SchemaFieldType:
    if name == "ndarray":
        return SchemaFieldType("ndarray")
    if name in FORMATS:
        return SchemaFieldType(name)
    return SchemaFieldType("format", format=name)


def _array(kind: Any, shape: Shape | None) -> SchemaFieldType | None:
    if "numpy" not in sys.modules:
        return None
    found: SchemaFieldType | None = import_module(_ARRAYS).array_type(kind, shape)
    return found


def _enum_base(cls: Any) -> EnumBase:
    for base in (enum.IntFlag, enum.Flag, enum.StrEnum, enum.IntEnum):
        if issubclass(cls, base):
            return base.__name__  # type: ignore[return-value]  # it is one of these
    return "str" if issubclass(cls, str) else "int" if issubclass(cls, int) else "Enum"
