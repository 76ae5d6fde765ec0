"""A module's text for a schema, so that editors and type checkers know its type.

The text is written from a schema that was validated, and from the type that was made of it: names
are checked identifiers, and every value is a literal. Nothing of a record is pasted. What stands
in the module has the schema's CID, which its head names, so that drift shows.
"""

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from atdata.model.field_type import is_ml_dtype
from atdata.model.schema import (
    EnumMember,
    Schema,
    SchemaDefinition,
    SchemaField,
    SchemaFieldType,
)
from atdata.model.schema_field import types_of
from atdata.schema.arrays_text import array_text
from atdata.schema.build import hashed_types, parts_of, type_of
from atdata.schema.defaults import StoredDefault
from atdata.schema.writing import Names, docstring, literal, value_text

_CID = re.compile(r"^# CID: (b[a-z2-7]{58})$", re.MULTILINE)
_WIDTH = 99

_PRIMITIVES: dict[str, tuple[str, str]] = {
    **{name: ("builtins", name) for name in ("str", "int", "float", "bool", "bytes")},
    **{name: ("builtins", name) for name in ("bytearray", "complex")},
    **{name: ("datetime", name) for name in ("datetime", "date", "time", "timedelta")},
    "any": ("typing", "Any"),
    "uuid": ("uuid", "UUID"),
    "decimal": ("decimal", "Decimal"),
    "path": ("pathlib", "Path"),
    "purePath": ("pathlib", "PurePath"),
    "purePosixPath": ("pathlib", "PurePosixPath"),
}
_GENERIC = {
    "array": ("builtins", "list"),
    "sequence": ("collections.abc", "Sequence"),
    "set": ("builtins", "set"),
    "frozenset": ("builtins", "frozenset"),
}


def generate_module(schema: Schema) -> str:
    """Write the module of a schema.

    Args:
        schema: The schema. It is made a type first, so that what cannot be one has no module.

    Returns:
        The text. Importing it gives a type of the schema's name, whose schema has the same CID.

    Raises:
        SchemaRecordError: No sample type can be as it says.

    Examples:
        >>> from dataclasses import dataclass
        >>> from atdata.schema.infer import schema_of
        >>> @dataclass
        ... class Word:
        ...     text: str
        ...     count: int = 1
        >>> print(generate_module(schema_of(Word)).partition("# Schema: ")[2])
        atdata://local/schema/Word@1.0.0
        # CID: bafyrei...
        <BLANKLINE>
        from atdata import packable
        <BLANKLINE>
        __all__ = ["Word"]
        <BLANKLINE>
        <BLANKLINE>
        @packable
        class Word:
            text: str
            count: int = 1
        <BLANKLINE>
    """
    return _Module(schema).text()


def is_current(module: str | Path, schema: Schema) -> bool:
    """Whether a generated module is that of a schema.

    Args:
        module: The module's text, or its path. A file that is not there is not current.
        schema: The schema.

    Examples:
        >>> from dataclasses import dataclass
        >>> from atdata.schema.infer import schema_of
        >>> @dataclass
        ... class Word:
        ...     text: str
        >>> is_current(generate_module(schema_of(Word)), schema_of(Word))
        True
        >>> is_current(generate_module(schema_of(Word)), schema_of(Word, description="New."))
        False
    """
    return cid_of_module(module) == schema.cid


def cid_of_module(module: str | Path) -> str | None:
    """The CID that the head of a generated module names, or None if it names none."""
    if isinstance(module, Path):
        try:
            with module.open(encoding="utf-8") as file:
                module = file.read(4096)
        except (OSError, UnicodeDecodeError):
            return None
    found = _CID.search(module[:4096])
    return found[1] if found else None


def _remark(field: SchemaField) -> str:
    """To pyright, the element types of `ml_dtypes` are no types."""
    dtypes = [str(kind.dtype).split("|") for _, kind in types_of([field]) if kind.exact]
    odd = any(is_ml_dtype(name) for names in dtypes for name in names)
    return "  # pyright: ignore[reportInvalidTypeForm]" if odd else ""


class _Module:
    """Writes one module."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.built = type_of(schema)
        self.frozen = hashed_types(schema)
        self.definitions = {definition.name: definition for definition in schema.definitions}
        inner = [field.name for _, fields in self._records() for field in fields]
        members = [name for d in schema.definitions for name, _ in d.members]
        classes = [schema.name, *self.definitions]
        self.names = Names({*inner, *members, *classes})
        self.shadowed = {*inner, *members} & set(classes)
        self.aliases = {name: self.names.fresh(f"{name}_") for name in sorted(self.shadowed)}
        self.done: set[str] = set()
        self.types = {part: name for name, part in parts_of(self.built).items()}
        self.types[self.built] = schema.name

    def text(self) -> str:
        blocks = [self._class(name) for name in self._order()]
        exported = sorted([*self.definitions, self.schema.name])
        listed = f"__all__ = [{', '.join(f'"{name}"' for name in exported)}]"
        if len(listed) > _WIDTH:
            inside = "".join(f'    "{name}",\n' for name in exported)
            listed = f"__all__ = [\n{inside}]"
        head = [
            f'"""The sample type {self.schema.name}.',
            "",
            "Written by atdata from a schema. A change here is lost when it is written again.",
            '"""',
            "",
            f"# Schema: {self.schema.ref}",
            f"# CID: {self.schema.cid}",
            "",
            *self.names.imports(),
            "",
            listed,
        ]
        return "\n\n\n".join(["\n".join(head), *blocks]) + "\n"

    def _records(self) -> list[tuple[str, tuple[SchemaField, ...]]]:
        inner = [(d.name, d.fields) for d in self.schema.definitions]
        return [*inner, (self.schema.name, self.schema.fields)]

    def _order(self) -> list[str]:
        """Each class after those that it names, as far as they do not name each other."""
        needs = {
            name: {ref[1:] for _, kind in types_of(fields) for ref in kind.refs if ref != "#"}
            - {name}
            for name, fields in self._records()
        }
        try:
            order = list(TopologicalSorter(needs).static_order())
        except CycleError:
            order = sorted(needs, key=self._rank)
        return [*(name for name in order if name != self.schema.name), self.schema.name]

    def _rank(self, name: str) -> tuple[int, str]:
        kinds = {"enum": 0, "namedTuple": 1, "record": 2}
        return kinds[self.definitions[name].kind] if name in self.definitions else 3, name

    def _class(self, name: str) -> str:
        definition = self.definitions.get(name)
        if definition is None:
            lines = self._record(name, self.schema.fields, self.schema.description, "")
        elif definition.kind == "enum":
            lines = self._enum(definition)
        elif definition.kind == "namedTuple":
            lines = self._named_tuple(definition)
        else:
            lines = self._record(name, definition.fields, definition.description, name)
        self.done.add(name)
        if name in self.aliases:
            lines += ["", "", f"{self.aliases[name]} = {name}"]
        return "\n".join(lines)

    def _record(
        self, name: str, fields: tuple[SchemaField, ...], said: str | None, key: str
    ) -> list[str]:
        frozen = "(frozen=True)" if key in self.frozen else ""
        lines = [f"@{self.names.of('atdata', 'packable')}{frozen}", f"class {name}:"]
        lines += [docstring(said, "    ")] if said else []
        lines += [""] if said and fields else []
        cls: Any = self.built if not key else parts_of(self.built)[key]
        lines += [self._declaration(field, cls) for field in fields]
        return lines if len(lines) > 2 else [*lines, "    pass"]

    def _declaration(self, field: SchemaField, cls: Any) -> str:
        made = cls.__dataclass_fields__[field.name]
        given: list[str] = []
        plain = ""
        if field.default_not_stored:
            refuse = self.names.of("atdata.schema.defaults", "DefaultNotStored")
            given.append(
                f"default_factory={refuse}({literal(cls.__name__)}, {literal(field.name)})"
            )
        elif field.has_default:
            factory: Any = made.default_factory
            if isinstance(factory, StoredDefault):
                store = self.names.of("atdata.schema.defaults", "StoredDefault")
                given.append(f"default_factory={store}({self._value(factory.value)})")
            elif isinstance(factory, type):
                given.append(f"default_factory={self._empty(field, factory)}")
            else:
                plain = self._value(made.default)
                given.append(f"default={plain}")
        if field.kw_only:
            given.append("kw_only=True")
        if field.description:
            given.append(f'metadata={{"description": {literal(field.description)}}}')
        said = f"    {field.name}: {self._annotation(field)}"
        if plain and len(given) == 1:
            said += f" = {plain}"
        elif given:
            said += f" = {self.names.of('dataclasses', 'field')}({', '.join(given)})"
        return said + _remark(field)

    def _empty(self, field: SchemaField, factory: type[Any]) -> str:
        """What makes an empty container, of items that checkers know."""
        if field.field_type.kind not in ("array", "map", "set"):
            return self.names.of("builtins", factory.__name__)
        whole = self._type(field.field_type)
        if not self._ahead(field):
            return whole
        store = self.names.of("atdata.schema.defaults", "StoredDefault")
        return f"{store}[{literal(whole)}]({self._value(factory())})"

    def _named_tuple(self, definition: SchemaDefinition) -> list[str]:
        cls: Any = parts_of(self.built)[definition.name]
        lines = [f"class {definition.name}({self.names.of('typing', 'NamedTuple')}):"]
        said = definition.description
        lines += [docstring(said, "    ")] if said else []
        lines += [""] if said and definition.fields else []
        for field in definition.fields:
            line = f"    {field.name}: {self._annotation(field)}"
            if field.default_not_stored:
                refuse = self.names.of("atdata.schema.defaults", "DefaultNotStored")
                line += f" = {refuse}({literal(definition.name)}, {literal(field.name)})"
            elif field.has_default:
                line += f" = {self._value(cls._field_defaults[field.name])}"
            if field.name in ("count", "index"):
                line += "  # type: ignore[assignment]  # pyright: ignore"
            lines.append(line)
        return lines if len(lines) > 1 else [*lines, "    pass"]

    def _enum(self, definition: SchemaDefinition) -> list[str]:
        base = str(definition.base)
        if base in ("int", "str"):
            bases = f"{self.names.of('builtins', base)}, {self.names.of('enum', 'Enum')}"
        else:
            bases = self.names.of("enum", base)
        lines = [f"class {definition.name}({bases}):"]
        said = definition.description
        lines += [docstring(said, "    ")] if said else []
        lines += [""] if said and definition.members else []
        lines += [f"    {name} = {literal(value)}" for name, value in definition.members]
        return lines if len(lines) > 1 else [*lines, "    pass"]

    def _value(self, value: Any) -> str:
        classes = {cls: self.aliases.get(name, name) for cls, name in self.types.items()}
        return value_text(value, self.names, classes)

    def _annotation(self, field: SchemaField) -> str:
        text = self._type(field.field_type) + (" | None" if field.optional else "")
        return literal(text) if self._ahead(field) else text

    def _ahead(self, field: SchemaField) -> bool:
        """Whether a field names a class that is defined further down."""
        named = {ref[1:] or self.schema.name for _, t in types_of([field]) for ref in t.refs}
        return bool(named - self.done)

    def _type(self, kind: SchemaFieldType) -> str:
        of = self.names.of
        match kind.kind:
            case "primitive" if kind.primitive == "none":
                return "None"
            case "primitive":
                return of(*_PRIMITIVES[str(kind.primitive)])
            case "ndarray" | "scalar":
                return self._hinted(array_text(kind, self.names), kind)
            case "array" | "sequence" | "set" | "frozenset":
                return f"{of(*_GENERIC[kind.kind])}[{self._inner(kind.items)}]"
            case "tuple" if kind.items is not None:
                return f"{of('builtins', 'tuple')}[{self._inner(kind.items)}, ...]"
            case "tuple":
                places = ", ".join(map(self._type, kind.members))
                return f"{of('builtins', 'tuple')}[{places or '()'}]"
            case "map":
                keys = of("builtins", "str") if kind.keys is None else self._type(kind.keys)
                return f"{of('builtins', 'dict')}[{keys}, {self._inner(kind.items)}]"
            case "literal":
                values = [
                    f"{self._named(value.ref)}.{value.name}"
                    if isinstance(value, EnumMember)
                    else literal(value.value)
                    for value in kind.values
                ]
                return f"{of('typing', 'Literal')}[{', '.join(values)}]"
            case "union":
                return " | ".join(map(self._type, kind.members))
            case "ref":
                return self._named(str(kind.ref))
            case name:
                if name == "safetensors":
                    array = array_text(SchemaFieldType("ndarray"), self.names)
                    inside = f"{of('builtins', 'dict')}[{of('builtins', 'str')}, {array}]"
                else:
                    inside = of("atdata.schema.foreign", "Foreign")
                mark = f"{of('atdata', 'Format')}({literal(kind.format or name)})"
                text = f"{of('typing', 'Annotated')}[{inside}, {mark}]"
                return self._hinted(text, kind)

    def _hinted(self, text: str, kind: SchemaFieldType) -> str:
        if not kind.has_hints:
            return text
        hint = self.names.of("atdata.schema.hints", "Hint")
        said = self.names.of("atdata.model.schema", "SchemaFieldType")
        shown = repr(kind).replace("SchemaFieldType(", f"{said}(", 1)
        return f"{self.names.of('typing', 'Annotated')}[{text}, {hint}({shown})]"

    def _inner(self, kind: SchemaFieldType | None) -> str:
        return "None" if kind is None else self._type(kind)

    def _named(self, ref: str) -> str:
        name = ref[1:] or self.schema.name
        return self.aliases.get(name, name)
