"""What a field may hold, said in data: one value for each annotation that a payload can represent.

The record of a type is `{"$type": "local#<kind>", …}`. What stands before the `#` is not looked
at, and `{"kind": "<kind>", …}` means the same.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from atdata.model.constant import Constant
from atdata.model.reading import Part, refusal
from atdata.model.schema_names import member_flaw, name_flaw

PRIMITIVES = frozenset(
    (
        *("str", "int", "float", "bool", "bytes"),
        *("any", "none", "bytearray", "complex", "datetime", "date", "time", "timedelta"),
        *("uuid", "decimal", "path", "purePath", "purePosixPath"),
    )
)
"""The plain types; the first five are those that every reader of schemas knows."""

FORMATS = frozenset(("structured", "sparse", "arrow_tensor", "safetensors", "dataframe"))
"""Kinds that are array formats of the same name."""

_OF_ITEMS = frozenset(("array", "sequence", "set", "frozenset"))
_SIZED = frozenset(
    (
        *("float16", "float32", "float64", "int8", "int16", "int32", "int64"),
        *("uint8", "uint16", "uint32", "uint64", "bool", "complex64", "complex128"),
        *("longlong", "ulonglong", "intc", "uintc", "str_", "bytes_", "datetime64", "timedelta64"),
    )
)
_OPEN = frozenset(
    (
        *("number", "integer", "signedinteger", "unsignedinteger", "inexact", "floating"),
        *("complexfloating", "flexible", "character", "void"),
    )
)
_OTHER = re.compile(
    r"bfloat16|b?complex32|u?int[124]|float[468]_e[0-9]{1,2}m[0-9]{1,2}[a-z0-9]{0,12}", re.ASCII
)
_FORMAT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}", re.ASCII)
_KINDS = frozenset(
    (
        *("primitive", "ndarray", "scalar", "ref", "tuple", "map", "literal", "union", "format"),
        *FORMATS,
        *_OF_ITEMS,
    )
)

_MOST_DIMENSIONS = 64
_MOST_MEMBERS = 1000
_MOST_VALUES = 10_000
_LONGEST_TEXT = 200

type Size = int | str | None
"""A number, None for any size, and `"..."` for any number of dimensions."""


@dataclass(frozen=True, slots=True)
class EnumMember:
    """A member of an enum among the values of a literal.

    Attributes:
        ref: The enum, as `#Name`.
        name: The member's name.
    """

    ref: str
    name: str


@dataclass(frozen=True, slots=True)
class SchemaFieldType:
    """What a field may hold.

    | kind | means | and has |
    | --- | --- | --- |
    | `primitive` | a plain value | `primitive` |
    | `ndarray` | a numpy array | `dtype`, `shape`, `dimension_names`, `exact` |
    | `scalar` | a numpy scalar | `dtype` |
    | `structured`, `sparse`, `arrow_tensor`, `safetensors`, `dataframe` | an array format | |
    | `format` | an array format that another package brings | `format` |
    | `array`, `sequence`, `set`, `frozenset` | values of one type; `array` is a list | `items` |
    | `tuple` | values of one type, or a type for each place | `items`, or `members` |
    | `map` | a dictionary | `items`, and `keys` unless they are any text |
    | `literal` | one of some values | `values` |
    | `union` | a value of one of some types | `members` |
    | `ref` | `#Name`, a definition of the schema, or `#`, the schema itself | `ref` |

    Attributes:
        kind: One of the above.
        primitive: One of `PRIMITIVES`.
        dtype: Name of numpy's scalar type; several are joined by `|`. None for any.
        ref: Where the type is defined.
        items: The type of each item.
        shape: One entry for each dimension: a size, None for any, `"..."` for any number of them.
        dimension_names: One entry for each dimension: a name that stands for one size throughout
            a sample, or None.
        members: The types of a tuple's places, or of a union.
        keys: The type of a map's keys: a literal or an enum of texts.
        values: Constants, and members of enums.
        format: The array format's name.
        exact: Arrays have `dtype` and `shape`. Older records name a dtype whether or not one was
            declared; there, these are hints, and nothing is checked.

    Raises:
        SchemaRecordError: The parts do not make a type.

    Examples:
        >>> SchemaFieldType("array", items=SchemaFieldType("primitive", "int")).to_dict()
        {'$type': 'local#array', 'items': {'$type': 'local#primitive', 'primitive': 'int'}}
    """

    kind: str
    primitive: str | None = None
    dtype: str | None = None
    ref: str | None = None
    items: "SchemaFieldType | None" = None
    shape: tuple[Size, ...] | None = None
    dimension_names: tuple[str | None, ...] | None = None
    members: tuple["SchemaFieldType", ...] = ()
    keys: "SchemaFieldType | None" = None
    values: tuple[Constant | EnumMember, ...] = ()
    format: str | None = None
    exact: bool = True

    def __post_init__(self) -> None:
        for name in ("shape", "dimension_names", "members", "values"):
            value = getattr(self, name)
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
        if self.kind not in _KINDS:
            raise refusal(
                f"Unknown field type kind: {self.kind!r}",
                wanted=", ".join(sorted(_KINDS)),
                found=repr(self.kind),
                hint="It may have been written by a newer version of atdata.",
            )
        if self.kind == "union":
            object.__setattr__(self, "members", _members_of_union(self.members))
        if self.kind == "literal":
            object.__setattr__(self, "values", _sorted_values(self.values))
        if self.dtype is None and self.shape is None:
            object.__setattr__(self, "exact", True)  # there is nothing to be exact about
        _check(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read a record.

        Raises:
            SchemaRecordError: It is no record of a type.

        Examples:
            >>> SchemaFieldType.from_dict({"$type": "local#primitive", "primitive": "int"})
            SchemaFieldType('primitive', primitive='int')
        """
        return cls.read(Part(data, "of a field"))

    @classmethod
    def read(cls, part: Part) -> Self:
        """Read a part of a record."""
        kind = _kind(part)
        arguments = _arguments(cls, kind, part)
        return part.make(lambda: cls(kind, **arguments))

    def to_dict(self) -> dict[str, Any]:
        """The type as a record."""
        record: dict[str, Any] = {"$type": f"local#{self.kind}"}
        parts = (
            ("primitive", self.primitive),
            ("dtype", self.dtype),
            ("shape", list(self.shape) if self.shape is not None else None),
            ("dimensionNames", list(self.dimension_names) if self.dimension_names else None),
            ("ref", self.ref),
            ("format", self.format),
            ("keys", self.keys.to_dict() if self.keys else None),
            ("items", self.items.to_dict() if self.items else None),
        )
        record |= {key: value for key, value in parts if value is not None}
        if self.kind == "union" or (self.kind == "tuple" and self.items is None):
            record["members"] = [member.to_dict() for member in self.members]
        if self.kind == "literal":
            record["values"] = [_value_to_json(value) for value in self.values]
        if self.kind == "ndarray" and self.exact and (self.dtype or self.shape is not None):
            record["exact"] = True
        return record

    @property
    def inner(self) -> tuple["SchemaFieldType", ...]:
        """The types inside this one."""
        own = (self.items, self.keys)
        return (*(kind for kind in own if kind is not None), *self.members)

    @property
    def refs(self) -> tuple[str, ...]:
        """What this type itself refers to, and not the types inside."""
        members = tuple(value.ref for value in self.values if isinstance(value, EnumMember))
        return (*members, self.ref) if self.ref is not None else members

    @property
    def has_hints(self) -> bool:
        """A dtype or a shape is named and nothing is checked."""
        named = self.dtype is not None or self.shape is not None or bool(self.dimension_names)
        return named and self.kind != "scalar" and not (self.kind == "ndarray" and self.exact)

    @property
    def canonical(self) -> str:
        """The record as one text."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    def __repr__(self) -> str:
        """Only what is set, `SchemaFieldType('primitive', primitive='int')`."""
        parts = [repr(self.kind)]
        for name in ("primitive", "dtype", "ref", "items", "shape", "dimension_names"):
            if (value := getattr(self, name)) is not None:
                parts.append(f"{name}={value!r}")  # noqa: PERF401 - one form for the loops
        for name in ("members", "keys", "values", "format"):
            if value := getattr(self, name):
                parts.append(f"{name}={value!r}")  # noqa: PERF401
        parts += [] if self.exact else ["exact=False"]
        return f"SchemaFieldType({', '.join(parts)})"

    def __str__(self) -> str:
        """As an annotation would say it, `list[int]`."""
        return shown(self)


def shown(kind: SchemaFieldType) -> str:
    """A type as an annotation would say it.

    Examples:
        >>> shown(SchemaFieldType("map", items=SchemaFieldType("ndarray", dtype="uint8")))
        'dict[str, NDArray[uint8]]'
    """
    match kind.kind:
        case "primitive":
            return {"any": "Any", "none": "None"}.get(str(kind.primitive), str(kind.primitive))
        case "scalar":
            return str(kind.dtype)
        case "ndarray":
            inside = [kind.dtype or "Any", *([_shown_shape(kind)] if kind.shape else [])]
            doubt = "" if kind.exact else "?"
            return f"NDArray[{', '.join(inside)}{doubt}]"
        case "tuple" if kind.items is None:
            return f"tuple[{', '.join(map(shown, kind.members)) or '()'}]"
        case "tuple":
            return f"tuple[{kind.items}, ...]"
        case "map":
            return f"dict[{kind.keys or 'str'}, {kind.items}]"
        case "literal":
            return f"Literal[{', '.join(map(_shown_value, kind.values))}]"
        case "union":
            return " | ".join(map(shown, kind.members))
        case "ref":
            return str(kind.ref).removeprefix("#") or "itself"
        case "format":
            return str(kind.format)
        case name if name in FORMATS:
            return name
        case name:
            return f"{'list' if name == 'array' else name}[{kind.items}]"


def is_dtype(name: str) -> bool:
    """Whether a name is one of the scalar types that an array's elements can be declared as.

    Examples:
        >>> is_dtype("float32"), is_dtype("floating"), is_dtype("object_")
        (True, True, False)
    """
    return name in _SIZED or name in _OPEN or is_ml_dtype(name)


def is_ml_dtype(name: str) -> bool:
    """Whether a name is that of an element type of `ml_dtypes`.

    Examples:
        >>> is_ml_dtype("bfloat16"), is_ml_dtype("float32")
        (True, False)
    """
    return _OTHER.fullmatch(name) is not None


def _kind(part: Part) -> str:
    record = part.map().value
    named = record.get("$type")
    if isinstance(named, str) and "#" in named:
        return named.rpartition("#")[2][:_LONGEST_TEXT]
    kind = part.at("kind")
    return kind.text(_LONGEST_TEXT) if kind.value is not None else "primitive"


def _arguments(cls: type[Any], kind: str, part: Part) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in ("primitive", "dtype", "ref", "format"):
        if part.has(key):
            found[key] = part.at(key).text(_LONGEST_TEXT)
    for key in ("items", "keys"):
        if part.has(key):
            found[key] = cls.read(part.at(key))
    if part.has("shape"):
        found["shape"] = tuple(p.value for p in part.at("shape").each(_MOST_DIMENSIONS))
    if part.has("dimensionNames"):
        names = part.at("dimensionNames").each(_MOST_DIMENSIONS)
        found["dimension_names"] = tuple(p.value for p in names)
    if part.has("members"):
        found["members"] = tuple(cls.read(p) for p in part.at("members").each(_MOST_MEMBERS))
    if part.has("values"):
        found["values"] = tuple(_read_value(p) for p in part.at("values").each(_MOST_VALUES))
    if kind in _OF_ITEMS and "items" not in found:
        found["items"] = cls("primitive", primitive="any")
    found["exact"] = part.at("exact").flag()
    wanted = _TAKES.get(kind)
    return {key: value for key, value in found.items() if wanted is None or key in wanted}


_ARRAYS = frozenset(("dtype", "shape", "dimension_names", "exact"))
_TAKES: dict[str, frozenset[str]] = {
    "primitive": frozenset(("primitive",)),
    "ndarray": _ARRAYS,
    "scalar": frozenset(("dtype",)),
    "ref": frozenset(("ref",)),
    "tuple": frozenset(("items", "members")),
    "map": frozenset(("items", "keys")),
    "literal": frozenset(("values",)),
    "union": frozenset(("members",)),
    "format": frozenset(("format",)),
    **dict.fromkeys(FORMATS, _ARRAYS),
    **dict.fromkeys(_OF_ITEMS, frozenset(("items",))),
}


def _check(kind: SchemaFieldType) -> None:
    """Refuse what is no type, and what says more than the type has."""
    for name in ("primitive", "dtype", "ref", "items", "shape", "dimension_names", "keys"):
        if getattr(kind, name) is not None and name not in _TAKES[kind.kind]:
            raise refusal(f"a type of kind {kind.kind!r} has no {name}", path=name)
    for name in ("members", "values", "format"):
        if getattr(kind, name) and name not in _TAKES[kind.kind]:
            raise refusal(f"a type of kind {kind.kind!r} has no {name}", path=name)
    match kind.kind:
        case "primitive" if kind.primitive not in PRIMITIVES:
            raise refusal(
                f"Unknown primitive type: {kind.primitive!r}",
                path="primitive",
                wanted=", ".join(sorted(PRIMITIVES)),
                found=repr(kind.primitive),
            )
        case "scalar" if kind.dtype is None or "|" in kind.dtype or not is_dtype(kind.dtype):
            raise refusal("unknown scalar type", path="dtype", found=repr(kind.dtype))
        case "ndarray" | "structured" | "sparse" | "arrow_tensor" | "safetensors" | "dataframe":
            _check_array(kind)
        case "ref":
            _check_ref(kind.ref, "ref")
        case "tuple" if kind.items is not None and kind.members:
            raise refusal("a tuple has items of one type or members, not both")
        case "map":
            if kind.items is None:
                raise refusal("a map needs the type of its items", path="items")
            if kind.keys is not None and kind.keys.kind not in ("literal", "ref"):
                raise refusal(
                    "keys of maps are text",
                    path="keys",
                    wanted="a literal or an enum of texts, or nothing for any text",
                    found=shown(kind.keys),
                )
        case "literal" if not kind.values:
            raise refusal("a literal needs values", path="values")
        case "union" if len(kind.members) < 2:
            raise refusal("a union needs two members at least", path="members")
        case "format" if kind.format is None or not _FORMAT.fullmatch(kind.format):
            raise refusal("no name of an array format", path="format", found=repr(kind.format))
        case name if name in _OF_ITEMS and kind.items is None:
            raise refusal(f"a type of kind {name!r} needs the type of its items", path="items")
        case _:
            pass


def _check_array(kind: SchemaFieldType) -> None:
    shape, names = kind.shape, kind.dimension_names
    exact = kind.kind == "ndarray" and kind.exact
    if kind.dtype is not None and exact:
        dtypes = kind.dtype.split("|")
        if not all(map(is_dtype, dtypes)) or dtypes != sorted(set(dtypes)):
            raise refusal("unknown element type", path="dtype", found=repr(kind.dtype))
    for i, size in enumerate(shape or ()):
        whole = isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 2**63
        if not (whole or size is None or size == "..."):
            wanted = 'a size, null for any, or "..." for any number of dimensions'
            raise refusal(
                "no size of a dimension", path=f"shape[{i}]", wanted=wanted, found=repr(size)
            )
    if (shape or ()).count("...") > 1:
        raise refusal("a shape can hold '...' once", path="shape")
    for i, name in enumerate(names or ()):
        text = isinstance(name, str) and 0 < len(name) <= _LONGEST_TEXT and name.isprintable()
        if not (text or name is None):
            raise refusal(
                "no name of a dimension", path=f"dimensionNames[{i}]", found=repr(name)[:80]
            )
    if exact and names is not None:
        sizes = shape or ()
        if len(sizes) != len(names) or any(
            s is not None and n is not None for s, n in zip(sizes, names, strict=True)
        ):
            raise refusal(
                "names of dimensions and their sizes do not go together",
                path="dimensionNames",
                wanted="as many as the shape has entries, and a name only where the size is null",
                found=f"{list(names)} for {list(sizes)}",
            )


def _check_ref(ref: object, path: str) -> None:
    if not isinstance(ref, str) or not ref.startswith("#"):
        raise refusal(
            "Schema references ('ref') are not yet supported, other than to its own definitions",
            path=path,
            wanted="#Name",
            found=repr(ref)[:80],
        )
    flaw = name_flaw(ref[1:]) if ref != "#" else ""
    if flaw:
        raise refusal(f"a definition's name is {flaw}", path=path, found=repr(ref)[:80])


def _members_of_union(members: Sequence[SchemaFieldType]) -> tuple[SchemaFieldType, ...]:
    """Each once and in one order, None last: how a union was spelled does not matter."""
    flat: dict[str, SchemaFieldType] = {}
    for member in members:
        for kind in member.members if member.kind == "union" else (member,):
            flat[kind.canonical] = kind
    ordered = [flat[text] for text in sorted(flat)]
    return tuple(sorted(ordered, key=lambda kind: kind.primitive == "none"))


def _sorted_values(
    values: Sequence[Constant | EnumMember],
) -> tuple[Constant | EnumMember, ...]:
    """In one order: how a literal was spelled does not matter."""
    texts: dict[str, Constant | EnumMember] = {}
    for i, value in enumerate(values):
        if isinstance(value, EnumMember):
            _check_ref(value.ref, f"values[{i}]")
            if flaw := member_flaw(value.name):
                raise refusal(f"a member's name is {flaw}", path=f"values[{i}]", found=value.name)
        elif not isinstance(value.value, (bool, int, str, bytes, type(None))):
            raise refusal("no value of a literal", path=f"values[{i}]", found=value.text)
        text = json.dumps(_value_to_json(value), sort_keys=True)
        if text in texts:
            raise refusal("a literal has a value twice", path=f"values[{i}]", found=text)
        texts[text] = value
    return tuple(texts[text] for text in sorted(texts))


def _read_value(part: Part) -> Constant | EnumMember:
    if isinstance(part.value, Mapping) and part.has("member"):
        return EnumMember(
            part.at("ref").text(_LONGEST_TEXT), part.at("member").text(_LONGEST_TEXT)
        )
    return Constant.read(part)


def _value_to_json(value: Constant | EnumMember) -> Any:
    if isinstance(value, EnumMember):
        return {"ref": value.ref, "member": value.name}
    return value.json


def _shown_value(value: Constant | EnumMember) -> str:
    if isinstance(value, EnumMember):
        return f"{value.ref[1:]}.{value.name}"
    return repr(value.value)


def _shown_shape(kind: SchemaFieldType) -> str:
    names = kind.dimension_names or (None,) * len(kind.shape or ())
    sizes = zip(kind.shape or (), names, strict=False)
    inside = ", ".join(str(name or ("*" if size is None else size)) for size, name in sizes)
    return f"({inside})"
