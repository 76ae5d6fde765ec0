"""One field of a schema, and the types that a schema brings along for its fields."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from atdata.model.constant import Constant
from atdata.model.field_type import SchemaFieldType
from atdata.model.reading import Part, refusal
from atdata.model.schema_names import LONGEST_NAME, field_flaw, member_flaw, name_flaw

type DefinitionKind = Literal["record", "enum", "namedTuple"]
type EnumBase = Literal["Enum", "IntEnum", "StrEnum", "Flag", "IntFlag", "int", "str"]

MOST_FIELDS = 5_000
"""Most fields of a schema and its definitions together."""

LONGEST_DESCRIPTION = 20_000

_NULL = Constant("null")
_ENUM_BASES: tuple[EnumBase, ...] = ("Enum", "IntEnum", "StrEnum", "Flag", "IntFlag", "int", "str")
_MOST_MEMBERS = 10_000


@dataclass(frozen=True, slots=True)
class SchemaField:
    """A field: its name, what it may hold, and what it is where data has nothing for it.

    Attributes:
        name: The field's name, which is its key in the payload.
        field_type: What it may hold besides None.
        optional: It may be None.
        default: What it is where data has nothing for it. An optional field without `default` is
            None there, unless it is `required`.
        required: The field is optional, and None must be said.
        default_not_stored: There is a default, which no schema can hold, such as what a function
            makes anew each time. Data that has nothing for the field cannot be read by the schema
            alone.
        kw_only: The constructor takes it by keyword only.
        description: What it is.

    Raises:
        SchemaRecordError: The name cannot be a field's, or the parts contradict each other.

    Examples:
        >>> SchemaField("label", SchemaFieldType("primitive", "int"), optional=True).to_dict()
        {'name': 'label', 'fieldType': {'$type': 'local#primitive', 'primitive': 'int'},
         'optional': True}
    """

    name: str
    field_type: SchemaFieldType
    optional: bool = False
    default: Constant | None = None
    required: bool = False
    default_not_stored: bool = False
    kw_only: bool = False
    description: str | None = None

    def __post_init__(self) -> None:
        if flaw := field_flaw(self.name):
            raise refusal(
                f"Invalid field name {self.name!r}: it is {flaw}",
                path="name",
                wanted="an identifier that is no keyword, has no leading '__' and is not taken",
                found=repr(self.name),
            )
        if (self.default is not None) + self.required + self.default_not_stored > 1:
            raise refusal("a field is required, or has one default", path=self.name)
        object.__setattr__(self, "description", tidy(self.description))
        _settle_none(self)
        if self.optional and self.default == _NULL:
            object.__setattr__(self, "default", None)
        if not self.optional:
            object.__setattr__(self, "required", False)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read a record.

        Raises:
            SchemaRecordError: It is no record of a field.
        """
        return cls.read(Part(data, "of a field"))

    @classmethod
    def read(cls, part: Part) -> Self:
        """Read a part of a record."""
        name = part.at("name").text(LONGEST_NAME * 4)
        field_type = SchemaFieldType.read(part.at("fieldType"))
        stored = Constant.read(part.at("default")) if "default" in part.value else None
        keys = ("optional", "required", "defaultNotStored", "kwOnly")
        optional, required, missing, kw_only = [part.at(key).flag() for key in keys]
        said = read_description(part)
        return part.make(
            lambda: cls(
                name, field_type, optional, stored, required, missing, kw_only, description=said
            )
        )

    def to_dict(self, *, after_default: bool = False) -> dict[str, Any]:
        """The field as a record.

        Args:
            after_default: A field with a default stands before, so that this one is taken by
                keyword anyway if it has none.
        """
        record: dict[str, Any] = {
            "name": self.name,
            "fieldType": self.field_type.to_dict(),
            "optional": self.optional,
        }
        if self.required:
            record["required"] = True
        if self.default is not None:
            record["default"] = self.default.json
        if self.default_not_stored:
            record["defaultNotStored"] = True
        if self.kw_only and not (after_default and not self.has_default):
            record["kwOnly"] = True
        if self.description:
            record["description"] = self.description
        return record

    @property
    def has_default(self) -> bool:
        """Data may have nothing for the field."""
        return (
            self.default is not None
            or self.default_not_stored
            or (self.optional and not self.required)
        )

    @property
    def stored_default(self) -> Constant | None:
        """What the field is where data has nothing for it; None if that is an error."""
        if self.default is None and self.optional and not self.required:
            return None if self.default_not_stored else _NULL
        return self.default

    def __str__(self) -> str:
        """As a class would declare it, `label: int | None = None`."""
        none = " | None" if self.optional else ""
        stored = self.stored_default
        value = " = ..." if self.default_not_stored else f" = {stored.value!r}" if stored else ""
        return f"{self.name}: {self.field_type}{none}{value}"


@dataclass(frozen=True, slots=True)
class SchemaDefinition:
    """A type that fields of a schema refer to by its name.

    Attributes:
        name: The name, as in `#Name`.
        kind: `record` for a dataclass, `enum`, or `namedTuple`.
        fields: The fields of a record or a named tuple.
        members: Names and values of an enum's members.
        base: What an enum derives from: one of the classes of the module `enum`, or `int` or `str`
            for `class Name(str, Enum)`.
        description: What it is.
    """

    name: str
    kind: DefinitionKind
    fields: tuple[SchemaField, ...] = ()
    members: tuple[tuple[str, int | str], ...] = ()
    base: EnumBase | None = None
    description: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "description", tidy(self.description))
        if flaw := name_flaw(self.name):
            raise refusal(f"Invalid type name {self.name!r}: it is {flaw}")
        if self.kind not in ("record", "enum", "namedTuple"):
            raise refusal(
                f"Unknown kind of definition: {self.kind!r}",
                path="kind",
                wanted="record, enum or namedTuple",
                found=repr(self.kind),
            )
        if self.kind == "enum":
            _check_enum(self)
        elif self.members or self.base:
            raise refusal(f"a definition of kind {self.kind!r} has no members and no base")
        elif self.kind == "record":
            object.__setattr__(self, "fields", settled_fields(self.fields))
        else:
            _check_named_tuple(self.fields)

    @classmethod
    def read(cls, name: str, part: Part) -> Self:
        """Read a part of a record."""
        kind: Any = part.at("kind").text(LONGEST_NAME)
        fields: list[SchemaField] = []
        members: list[tuple[str, Any]] = []
        if kind == "enum":
            for member in part.at("members").each(_MOST_MEMBERS):
                pair = member.each(2)
                if len(pair) != 2:
                    member.fail("a member is none", "a name and a value")
                members.append((pair[0].text(LONGEST_NAME * 4), pair[1].value))
        else:
            fields = [SchemaField.read(field) for field in part.at("fields").each(MOST_FIELDS)]
        base: Any = part.at("base").text(LONGEST_NAME) if part.has("base") else None
        text = read_description(part)
        return part.make(lambda: cls(name, kind, tuple(fields), tuple(members), base, text))

    def to_dict(self) -> dict[str, Any]:
        """The definition as a record, which does not hold its name."""
        record: dict[str, Any] = {"kind": self.kind}
        if self.kind == "enum":
            record["base"] = self.base
            record["members"] = [[name, value] for name, value in self.members]
        else:
            record["fields"] = fields_to_list(self.fields)
        if self.description:
            record["description"] = self.description
        return record


def settled_fields(fields: Sequence[SchemaField]) -> tuple[SchemaField, ...]:
    """Fields as a constructor can take them: what stands after a default is taken by keyword.

    Raises:
        SchemaRecordError: A name is there twice, or there are too many.

    Examples:
        >>> number = SchemaFieldType("primitive", "int")
        >>> fields = [SchemaField("a", number, optional=True), SchemaField("b", number)]
        >>> [field.kw_only for field in settled_fields(fields)]
        [False, True]
    """
    if len(fields) > MOST_FIELDS:
        raise refusal("too many fields", wanted=f"at most {MOST_FIELDS}", found=str(len(fields)))
    settled: list[SchemaField] = []
    seen: set[str] = set()
    after_default = False
    for field in fields:
        if field.name in seen:
            raise refusal(f"field {field.name!r} is there twice", path=field.name)
        seen.add(field.name)
        if after_default and not field.has_default and not field.kw_only:
            field = replace(field, kw_only=True)  # noqa: PLW2901 - the same field, settled
        after_default |= field.has_default and not field.kw_only
        settled.append(field)
    return tuple(settled)


def fields_to_list(fields: Sequence[SchemaField]) -> list[dict[str, Any]]:
    """The records of some fields, in their order."""
    records: list[dict[str, Any]] = []
    after_default = False
    for field in fields:
        records.append(field.to_dict(after_default=after_default))
        after_default |= field.has_default and not field.kw_only
    return records


def types_of(fields: Sequence[SchemaField]) -> Iterator[tuple[str, SchemaFieldType]]:
    """Each type in some fields, also inside of others, with the path of its field."""
    for field in fields:
        waiting = [field.field_type]
        while waiting:
            kind = waiting.pop()
            yield field.name, kind
            waiting += kind.inner


def tidy(description: str | None) -> str | None:
    """A description without the indentation of its source; None for an empty one.

    Examples:
        >>> tidy("  A digit. "), tidy(" ")
        ('A digit.', None)
    """
    if not isinstance(description, str):
        return None
    lines = inspect.cleandoc("\n" + description).splitlines()
    return "\n".join(line.rstrip() for line in lines).strip("\n") or None


def read_description(part: Part) -> str | None:
    """The description that a record has, if it has one."""
    if not part.has("description"):
        return None
    return part.at("description").text(LONGEST_DESCRIPTION)


def _settle_none(field: SchemaField) -> None:
    """Say in one way that a field may be None."""
    kind = field.field_type
    if kind.kind == "union" and kind.members[-1].primitive == "none":
        rest = kind.members[:-1]
        inner = rest[0] if len(rest) == 1 else replace(kind, members=rest)
        said = field.optional or field.default is not None or field.default_not_stored
        object.__setattr__(field, "field_type", inner)
        object.__setattr__(field, "optional", True)
        object.__setattr__(field, "required", field.required or not said)
    elif kind.primitive == "none" and field.optional:
        silent = not (field.required or field.default is not None or field.default_not_stored)
        object.__setattr__(field, "optional", False)
        object.__setattr__(field, "default", _NULL if silent else field.default)


def _check_enum(definition: SchemaDefinition) -> None:
    if definition.fields:
        raise refusal("an enum has no fields", path="fields")
    if definition.base not in _ENUM_BASES:
        raise refusal(
            "unknown base of an enum",
            path="base",
            wanted=", ".join(_ENUM_BASES),
            found=repr(definition.base),
        )
    names: set[str] = set()
    text = definition.base == "StrEnum"
    whole = definition.base in ("IntEnum", "IntFlag", "Flag")
    for i, (name, value) in enumerate(definition.members):
        if flaw := member_flaw(name):
            raise refusal(
                f"a member's name is {flaw}", path=f"members[{i}][0]", found=repr(name)[:80]
            )
        if name in names:
            raise refusal(f"member {name!r} is there twice", path=f"members[{i}]")
        names.add(name)
        good = type(value) is str if text else type(value) is int or not whole
        if type(value) not in (int, str) or not good:
            wanted = "text" if text else "a whole number" if whole else "a whole number or text"
            raise refusal(
                "no value of an enum's member",
                path=f"members[{i}][1]",
                wanted=wanted,
                found=type(value).__name__,
            )
        Constant.of(value)  # refuses what is too large


def _check_named_tuple(fields: Sequence[SchemaField]) -> None:
    settled = settled_fields(fields)
    for field, there in zip(fields, settled, strict=True):
        if field.name.startswith("_"):
            raise refusal("a named tuple has no field with a leading '_'", path=field.name)
        if there.kw_only:
            raise refusal("a named tuple takes all fields by position", path=field.name)
