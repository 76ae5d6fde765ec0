"""Whether what one type writes another one reads, each value as the value that it was."""

import re
from dataclasses import dataclass

from atdata.model.schema import EnumMember, Schema, SchemaDefinition, SchemaFieldType

_PLAIN = frozenset(("none", "bool", "int", "float", "str", "bytes"))
_LISTS = frozenset(("array", "sequence"))
_BITS = re.compile(r"(u?int|float|complex)([0-9]+)")
_ABSTRACT = {
    "number": ("integer", "inexact"),
    "integer": ("signedinteger", "unsignedinteger"),
    "inexact": ("floating", "complexfloating"),
    "signedinteger": ("int8", "int16", "int32", "int64", "intc", "longlong", "timedelta64"),
    "unsignedinteger": ("uint8", "uint16", "uint32", "uint64", "uintc", "ulonglong"),
    "floating": ("float16", "float32", "float64"),
    "complexfloating": ("complex64", "complex128"),
    "flexible": ("character", "void"),
    "character": ("str_", "bytes_"),
}


@dataclass(frozen=True, slots=True)
class Widening:
    """Compares the types of an old schema with those of a new one.

    Records are not looked into: their fields are compared one by one, by `diff`.
    """

    old: Schema
    new: Schema

    @property
    def back(self) -> "Widening":
        """The comparison the other way."""
        return Widening(self.new, self.old)

    def holds(self, old: SchemaFieldType, new: SchemaFieldType) -> bool:
        """Whether each value of the old type is one of the new type.

        A whole number is taken for a float, as the codec does: it refuses one that no float holds.
        """
        if old == new and not old.refs and not old.inner:
            return True
        if old.kind == "union":
            return all(self.holds(member, new) for member in old.members)
        if new.kind == "union":
            return any(self.holds(old, member) for member in new.members)
        if new.primitive == "any":
            return self._is_plain(old)
        if old.kind == "literal":
            return self._literal(old, new)
        if old.kind == new.kind == "ref":
            return self._refs(old, new)
        if old.kind == new.kind == "ndarray":
            return _arrays(old, new)
        if {old.kind, new.kind} <= {"scalar", "primitive"}:
            return _numbers(old, new)
        if old.kind == new.kind == "tuple":
            return self._tuples(old, new)
        keyed = old.kind == new.kind == "map" and new.keys is not None
        if keyed and (old.keys is None or not self.holds(old.keys, new.keys or old.keys)):
            return False
        if old.kind == new.kind or {old.kind, new.kind} <= _LISTS:
            if old.items is None or new.items is None:
                return old.items is new.items and old.format == new.format
            return self.holds(old.items, new.items)
        return False

    def _is_plain(self, kind: SchemaFieldType) -> bool:
        """Whether a value is read the same without a type."""
        match kind.kind:
            case "primitive":
                return kind.primitive in _PLAIN or kind.primitive == "any"
            case "array" | "sequence" | "union" | "map":
                return kind.keys is None and all(map(self._is_plain, (*kind.inner,)))
            case "literal":
                return not any(isinstance(value, EnumMember) for value in kind.values)
            case _:
                return False

    def _literal(self, old: SchemaFieldType, new: SchemaFieldType) -> bool:
        if new.kind == "literal":
            return set(old.values) <= set(new.values)
        if new.kind == "ref":
            return all(
                isinstance(value, EnumMember) and value.ref == new.ref for value in old.values
            )
        types = {
            "member" if isinstance(value, EnumMember) else type(value.value).__name__
            for value in old.values
        }
        return new.kind == "primitive" and types <= {str(new.primitive)}

    def _refs(self, old: SchemaFieldType, new: SchemaFieldType) -> bool:
        one, other = self.old.definition(str(old.ref)), self.new.definition(str(new.ref))
        if one.kind != other.kind:
            return False
        if one.kind == "enum":
            return one.base == other.base and set(one.members) <= set(other.members)
        return one.kind == "record" or self._places(one, other)

    def _places(self, old: SchemaDefinition, new: SchemaDefinition) -> bool:
        return [field.name for field in old.fields] == [
            field.name for field in new.fields
        ] and all(
            self.holds(one.field_type, other.field_type) and other.optional >= one.optional
            for one, other in zip(old.fields, new.fields, strict=True)
        )

    def _tuples(self, old: SchemaFieldType, new: SchemaFieldType) -> bool:
        if new.items is not None:
            inner = old.members if old.items is None else (old.items,)
            return all(self.holds(kind, new.items) for kind in inner)
        return (
            old.items is None
            and len(old.members) == len(new.members)
            and all(map(self.holds, old.members, new.members))
        )


def _numbers(old: SchemaFieldType, new: SchemaFieldType) -> bool:
    one, other = old.primitive or old.dtype, new.primitive or new.dtype
    if one == other:
        return True
    found, wanted = _BITS.fullmatch(str(old.dtype)), _BITS.fullmatch(str(new.dtype))
    if old.kind == "primitive":
        return (one, other) in (("int", "float"), ("bool", "bool"), ("str", "str_"))
    if found is None:
        return (one, other) in (("bool", "bool"), ("str_", "str"), ("bytes_", "bytes"))
    name, bits = found[1], int(found[2])
    if new.kind == "primitive":
        return {"float": "float", "complex": "complex"}.get(name, "int") == other
    if wanted is None:
        return False
    return _fits(name, bits, wanted[1], int(wanted[2]))


def _fits(name: str, bits: int, other: str, more: int) -> bool:
    if name == other:
        return bits <= more
    return name == "uint" and other == "int" and bits < more


def _arrays(old: SchemaFieldType, new: SchemaFieldType) -> bool:
    if not new.exact:
        return True
    if not old.exact:
        return new.dtype is None and new.shape is None
    return _dtypes(old.dtype, new.dtype) and _shapes(old, new)


def _dtypes(old: str | None, new: str | None) -> bool:
    if new is None:
        return True
    if old is None:
        return False
    wanted = {name for dtype in new.split("|") for name in _covered(dtype)}
    return set(old.split("|")) <= wanted


def _covered(dtype: str) -> set[str]:
    found = {dtype}
    for inner in _ABSTRACT.get(dtype, ()):
        found |= _covered(inner)
    return found


def _shapes(old: SchemaFieldType, new: SchemaFieldType) -> bool:
    if new.shape is None or new.shape == ("...",):
        return True
    if old.shape is None or len(old.shape) != len(new.shape):
        return False
    names = old.dimension_names or (None,) * len(old.shape)
    wanted_names = new.dimension_names or (None,) * len(new.shape)
    for size, name, wanted, wanted_name in zip(
        old.shape, names, new.shape, wanted_names, strict=True
    ):
        if "..." in (size, wanted) and size != wanted:
            return False
        if wanted not in (None, size) or wanted_name not in (None, name):
            return False
    return True
