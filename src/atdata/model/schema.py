"""A sample type as data: what a record says of it, and its name by content.

`atdata.schema` makes schemas of classes and classes of schemas. Here is what both agree on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

from atdata._cid import generate_cid
from atdata.model.constant import Constant
from atdata.model.field_type import EnumMember, SchemaFieldType
from atdata.model.reading import Part, refusal
from atdata.model.schema_field import (
    MOST_FIELDS,
    SchemaDefinition,
    SchemaField,
    fields_to_list,
    read_description,
    settled_fields,
    tidy,
    types_of,
)
from atdata.model.schema_names import LONGEST_NAME, name_flaw
from atdata.model.schema_ref import (
    LONGEST_VERSION,
    SchemaRef,
    make_schema_ref,
    parse_schema_ref,
    version_flaw,
)

__all__ = [
    "MOST_FIELDS",
    "Constant",
    "EnumMember",
    "Schema",
    "SchemaDefinition",
    "SchemaField",
    "SchemaFieldType",
    "SchemaRef",
    "make_schema_ref",
    "parse_schema_ref",
]

RECORD_VERSION = 1
"""The version of records that this library reads."""

MOST_DEFINITIONS = 500

_MOST_PLACES = 10_000  # of a named tuple, with those of the named tuples inside of it


@dataclass(frozen=True, slots=True)
class Schema:
    """A sample type as data.

    Two schemas of one content have one `cid`, whatever their versions are and whenever they were
    made.

    Attributes:
        name: The sample type's name.
        version: Any text; better three numbers, such as `1.0.0`.
        fields: The fields, in their order.
        description: What a sample is.
        created_at: When the schema was made, if that is known.
        definitions: The types that fields refer to, by name.

    Raises:
        SchemaRecordError: It describes no sample type.

    Examples:
        >>> text = SchemaFieldType("primitive", primitive="str")
        >>> schema = Schema("Word", "1.0.0", (SchemaField("text", text),))
        >>> schema.ref
        'atdata://local/schema/Word@1.0.0'
        >>> Schema.from_dict(schema.to_dict()) == schema
        True
        >>> print(schema)
        Word@1.0.0
          text: str
    """

    name: str
    version: str
    fields: tuple[SchemaField, ...]
    description: str | None = None
    created_at: datetime | None = None
    definitions: tuple[SchemaDefinition, ...] = ()

    def __post_init__(self) -> None:
        Part(None, self._title()).make(lambda: _settle(self))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read a record, which may come from anyone.

        Args:
            data: What `to_dict` gives, or a record of the older form. Unknown keys are passed
                over, and so is a `createdAt` that is no time.

        Raises:
            SchemaRecordError: It describes no sample type. The error names the field.

        Examples:
            >>> record = {"name": "S", "version": "1.0.0", "fields": [{"name": "x", "fieldType":
            ...     {"$type": "local#primitive", "primitive": "int"}, "optional": False}]}
            >>> print(Schema.from_dict(record))
            S@1.0.0
              x: int
        """
        part = Part(data).map()
        if not part.has("name"):
            part.fail("Schema must have a 'name' field", "a map with name, version and fields")
        name = part.at("name").text(LONGEST_NAME * 4)
        part.named(name)
        _check_record_version(part)
        version = part.at("version").text(LONGEST_VERSION * 4) if "version" in data else "1.0.0"
        part.named(f"{name}@{version}")
        if not part.has("fields") or not part.value["fields"]:
            part.fail("Schema must have at least one field", "a list of fields under 'fields'")
        fields = [SchemaField.read(field) for field in part.at("fields").each(MOST_FIELDS)]
        definitions = _read_definitions(part.at("definitions"))
        return part.make(
            lambda: cls(
                name,
                version,
                tuple(fields),
                read_description(part),
                _time(part.value.get("createdAt")),
                definitions,
            )
        )

    def to_dict(self) -> dict[str, Any]:
        """The schema as a record that `json` can write."""
        record: dict[str, Any] = {
            "name": self.name,
            "version": self.version,
            "fields": fields_to_list(self.fields),
        }
        if self.description:
            record["description"] = self.description
        if self.created_at is not None:
            record["createdAt"] = self.created_at.isoformat()
        if self.definitions:
            record["definitions"] = {d.name: d.to_dict() for d in self.definitions}
        return record

    @property
    def cid(self) -> str:
        """The schema's name by its content: name, fields, description and definitions."""
        record = self.to_dict()
        return generate_cid({k: v for k, v in record.items() if k not in ("version", "createdAt")})

    @property
    def ref(self) -> str:
        """The schema's address in an index of one's own."""
        return make_schema_ref(self.name, self.version)

    def definition(self, ref: str) -> SchemaDefinition:
        """What a field's `ref` means; `#` is the schema itself.

        Raises:
            KeyError: There is no such definition.
        """
        if ref == "#":
            return SchemaDefinition(self.name, "record", self.fields)
        for found in self.definitions:
            if f"#{found.name}" == ref:
                return found
        raise KeyError(ref)

    def with_version(self, version: str) -> Self:
        """The same schema under another version."""
        return replace(self, version=version)

    def _title(self) -> str:
        return f"{self.name}@{self.version}"

    def __str__(self) -> str:
        """The name and the fields, one in a line."""
        return "\n".join([self._title(), *(f"  {field}" for field in self.fields)])


def _settle(schema: Schema) -> None:
    if flaw := name_flaw(schema.name):
        raise refusal(f"Invalid schema name: it is {flaw}", path="name", found=repr(schema.name))
    if flaw := version_flaw(schema.version):
        raise refusal(f"Invalid version: {flaw}", path="version", found=repr(schema.version))
    if not schema.fields:
        raise refusal("Schema must have at least one field", path="fields")
    object.__setattr__(schema, "fields", settled_fields(tuple(schema.fields)))
    object.__setattr__(schema, "description", tidy(schema.description))
    by_name = {definition.name: definition for definition in schema.definitions}
    if len(by_name) < len(schema.definitions) or schema.name in by_name:
        raise refusal("two of its types have one name", path="definitions")
    if len(by_name) > MOST_DEFINITIONS:
        raise refusal("too many definitions", wanted=f"at most {MOST_DEFINITIONS}")
    if sum(len(d.fields) for d in schema.definitions) + len(schema.fields) > MOST_FIELDS:
        raise refusal("too many fields", wanted=f"at most {MOST_FIELDS}", found="more")
    _check_refs(schema.fields, by_name)
    for definition in schema.definitions:
        _check_refs(definition.fields, by_name, f"definitions.{definition.name}")
    if unused := by_name.keys() - _reached(schema.fields, by_name):
        raise refusal("a definition is used by no field", path=f"definitions.{min(unused)}")
    _check_places(by_name)
    ordered = tuple(by_name[name] for name in sorted(by_name))
    object.__setattr__(schema, "definitions", ordered)


def _check_refs(
    fields: Sequence[SchemaField], by_name: Mapping[str, SchemaDefinition], within: str = ""
) -> None:
    for path, kind in types_of(fields):
        where = f"{within}.{path}" if within else path
        for ref in kind.refs:
            if ref != "#" and ref[1:] not in by_name:
                raise refusal(
                    f"nothing is defined as {ref[1:]!r}",
                    path=where,
                    wanted=", ".join(sorted(by_name)) or "no reference",
                    found=ref,
                )
        for value in kind.values:
            if isinstance(value, EnumMember):
                found = by_name.get(value.ref[1:])
                if found is None or value.name not in dict(found.members):
                    raise refusal(
                        f"{value.ref[1:]} has no member {value.name!r}",
                        path=where,
                        found=value.ref,
                    )
                names = {content: name for name, content in reversed(found.members)}
                first = names[dict(found.members)[value.name]]
                if first != value.name:
                    raise refusal(
                        "a literal calls a member by another name of it",
                        path=where,
                        wanted=first,
                        found=value.name,
                    )
        if kind.keys is not None and not _is_text(kind.keys, by_name):
            raise refusal(
                "keys of maps are text",
                path=where,
                wanted="a literal or an enum of texts",
                found=str(kind.keys),
            )


def _is_text(kind: SchemaFieldType, by_name: Mapping[str, SchemaDefinition]) -> bool:
    if kind.ref is not None:
        found = by_name.get(kind.ref[1:])
        values = [value for _, value in found.members] if found else [0]
    else:
        values = [
            dict(by_name[v.ref[1:]].members)[v.name] if isinstance(v, EnumMember) else v.value
            for v in kind.values
        ]
    return all(isinstance(value, str) for value in values)


def _reached(fields: Sequence[SchemaField], by_name: Mapping[str, SchemaDefinition]) -> set[str]:
    reached: set[str] = set()
    waiting = [*_names(fields)]
    while waiting:
        name = waiting.pop()
        if name in by_name and name not in reached:
            reached.add(name)
            waiting += _names(by_name[name].fields)
    return reached


def _names(fields: Sequence[SchemaField]) -> Iterator[str]:
    return (ref[1:] for _, kind in types_of(fields) for ref in kind.refs)


def _check_places(by_name: Mapping[str, SchemaDefinition]) -> None:
    """Bound what named tuples in named tuples come to: they are written out in full."""
    sizes: dict[str, int] = {}

    def size(name: str, above: tuple[str, ...]) -> int:
        if name in above or len(above) > 32:
            raise refusal(
                "a named tuple holds itself, or nests too deep", path=f"definitions.{name}"
            )
        if name not in sizes:
            inner = [
                size(found, (*above, name))
                for found in _names(by_name[name].fields)
                if found in by_name and by_name[found].kind == "namedTuple"
            ]
            sizes[name] = 1 + len(by_name[name].fields) + sum(inner)
        if sizes[name] > _MOST_PLACES:
            raise refusal("a named tuple is too large", path=f"definitions.{name}")
        return sizes[name]

    for name, definition in by_name.items():
        if definition.kind == "namedTuple":
            size(name, ())


def _read_definitions(part: Part) -> tuple[SchemaDefinition, ...]:
    if part.value is None:
        return ()
    found: list[SchemaDefinition] = []
    for name, inner in part.items(MOST_DEFINITIONS):
        if not isinstance(name, str):
            inner.fail("a definition's name is no text")
        found.append(SchemaDefinition.read(name, inner.map()))
    return tuple(found)


def _check_record_version(part: Part) -> None:
    key = "atdataSchemaVersion" if part.has("atdataSchemaVersion") else "$atdataSchemaVersion"
    version = part.at(key)
    if version.value is None:
        return
    if type(version.value) is not int or version.value < 1:
        version.fail("no version of a record", "a whole number")
    if version.value > RECORD_VERSION:
        version.fail(
            f"Unsupported schema record version: {version.value}",
            f"at most {RECORD_VERSION}",
            "It was written by a newer version of atdata: install that one.",
        )


def _time(text: object) -> datetime | None:
    if isinstance(text, datetime):
        return text
    if not isinstance(text, str) or len(text) > 64:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
