"""How lists, tuples, sets, dictionaries, unions, literals and enums are written and read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import reduce
from operator import or_
from types import GenericAlias
from typing import Any

import msgspec

from atdata.codec.misfit import Misfit, wrong
from atdata.codec.values import NONE, ValueCodec, WireKind

_encode = msgspec.msgpack.Encoder().encode


def list_codec(item: ValueCodec, *, any_sequence: bool = False) -> ValueCodec:
    """A list of values; with `any_sequence` a tuple may be written as well."""
    accepted: tuple[type[Any], ...] = (list, tuple) if any_sequence else (list,)
    label = f"list of {item.label}"
    plain = item.plain

    def to_wire(value: Any) -> Any:
        if not isinstance(value, accepted):
            hint = "Turn it into a list with list(...) or .tolist()."
            raise wrong(label, value, hint)
        if plain is not None and plain(value):
            return value
        return _each(item.to_wire, value)

    def from_wire(value: Any, copy: bool) -> Any:
        if not isinstance(value, (list, tuple)):
            raise wrong(label, value)
        if plain is not None and plain(value):
            return value if type(value) is list else list(value)
        return _each(lambda part: item.from_wire(part, copy), value)

    return ValueCodec(
        label=label,
        kinds=frozenset(("array",)),
        to_wire=to_wire,
        from_wire=from_wire,
        wire_type=lambda: GenericAlias(list, (item.wire_type(),)),
        native=item.native,
        recheck=item.recheck,
        loose=item.loose,
        natural=accepted,
    )


def tuple_codec(item: ValueCodec) -> ValueCodec:
    """A tuple of any length."""
    label = f"tuple of {item.label}"
    plain = item.plain

    def to_wire(value: Any) -> Any:
        if not isinstance(value, tuple):
            raise wrong(label, value, "Turn it into a tuple with tuple(...).")
        return value if plain is not None and plain(value) else _each(item.to_wire, value)

    def from_wire(value: Any, copy: bool) -> Any:
        if not isinstance(value, (list, tuple)):
            raise wrong(label, value)
        if plain is not None and plain(value):
            return tuple(value)
        return tuple(_each(lambda part: item.from_wire(part, copy), value))

    return ValueCodec(
        label=label,
        kinds=frozenset(("array",)),
        to_wire=to_wire,
        from_wire=from_wire,
        wire_type=lambda: GenericAlias(tuple, (item.wire_type(), ...)),
        native=item.native,
        recheck=item.recheck,
        loose=item.loose,
        natural=(tuple,),
    )


def record_tuple_codec(
    items: Sequence[ValueCodec],
    py: type = tuple,
    make: Callable[[Iterable[Any]], Any] = tuple,
) -> ValueCodec:
    """A tuple with a type of its own at each place: `tuple[int, str]` or a `NamedTuple`."""
    label = f"{py.__name__} of ({', '.join(item.label for item in items)})"

    def convert(value: Any, calls: Sequence[Callable[[Any], Any]]) -> list[Any]:
        if len(value) != len(calls):
            raise wrong(label, value)
        done: list[Any] = []
        try:
            for call, part in zip(calls, value, strict=True):
                done.append(call(part))
        except Misfit as misfit:
            raise misfit.within(f"[{len(done)}]") from None
        return done

    writers = [item.to_wire for item in items]

    def to_wire(value: Any) -> Any:
        if not isinstance(value, py):
            raise wrong(label, value)
        return convert(value, writers)

    def from_wire(value: Any, copy: bool) -> Any:
        if not isinstance(value, (list, tuple)):
            raise wrong(label, value)
        return make(convert(value, [_reader(item, copy) for item in items]))

    return ValueCodec(
        label=label,
        kinds=frozenset(("array",)),
        to_wire=to_wire,
        from_wire=from_wire,
        wire_type=lambda: GenericAlias(tuple, tuple(item.wire_type() for item in items)),
        native=py is tuple and all(item.native for item in items),
        recheck=any(item.recheck for item in items),
        loose=any(item.loose for item in items),
        natural=(py,),
    )


def set_codec(item: ValueCodec, py: type[Any]) -> ValueCodec:
    """A set, written as an array in the order of the elements' bytes: the same everywhere."""
    label = f"{py.__name__} of {item.label}"

    def to_wire(value: Any) -> Any:
        if not isinstance(value, py):
            raise wrong(label, value, f"Turn it into a {py.__name__} with {py.__name__}(...).")
        return sorted(map(item.to_wire, value), key=_encode)

    def from_wire(value: Any, copy: bool) -> Any:
        if isinstance(value, py):
            to_wire(value)
            return value
        if not isinstance(value, (list, tuple)):
            raise wrong(label, value)
        try:
            found = py(_each(lambda part: item.from_wire(part, copy), value))
        except TypeError:
            raise wrong(f"{label}, each hashable", value) from None
        if len(found) != len(value):
            raise wrong(f"{label}, each once", value)
        return found

    return ValueCodec(
        label=label,
        kinds=frozenset(("array",)),
        to_wire=to_wire,
        from_wire=from_wire,
        wire_type=lambda: GenericAlias(list, (item.wire_type(),)),
        recheck=item.recheck,
        loose=item.loose,
        natural=(py,),
    )


def dict_codec(key: ValueCodec, item: ValueCodec) -> ValueCodec:
    """A dictionary whose keys are text."""
    label = f"dict of {key.label} to {item.label}"
    hint = "Keys of maps are text. Use str(key), or a list of pairs."
    plain_keys, plain = key.plain, item.plain

    def convert(value: Any, keys: Callable[[Any], Any], call: Callable[[Any], Any]) -> Any:
        done: dict[Any, Any] = {}
        for name, part in value.items():
            try:
                done[keys(name)] = call(part)
            except Misfit as misfit:
                if not isinstance(name, str):
                    raise wrong(f"{label}, with text as keys", name, hint) from None
                raise misfit.within(str(name)) from None
        return done

    def to_wire(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise wrong(label, value)
        if plain_keys and plain and type(value) is dict and plain_keys(value):
            items: dict[Any, Any] = value
            if plain(items.values()):
                return items
        return convert(value, key.to_wire, item.to_wire)

    def from_wire(value: Any, copy: bool) -> Any:
        if not isinstance(value, Mapping):
            raise wrong(label, value)
        return convert(value, lambda name: key.from_wire(name, copy), _reader(item, copy))

    return ValueCodec(
        label=label,
        kinds=frozenset(("map",)),
        to_wire=to_wire,
        from_wire=from_wire,
        wire_type=lambda: GenericAlias(dict, (str, item.wire_type())),
        native=key.native and item.native,
        recheck=True,
        loose=item.loose,
        natural=(dict,),
    )


def optional_codec(inner: ValueCodec) -> ValueCodec:
    """A value or None."""
    if "nil" in inner.kinds:
        return inner
    to_wire, from_wire = inner.to_wire, inner.from_wire

    def wire_type() -> Any:
        kind = inner.wire_type()
        return kind if kind is Any else kind | None

    return ValueCodec(
        label=f"{inner.label} or None",
        kinds=inner.kinds | NONE.kinds,
        to_wire=lambda value: None if value is None else to_wire(value),
        from_wire=lambda value, copy: None if value is None else from_wire(value, copy),
        wire_type=wire_type,
        native=inner.native,
        recheck=inner.recheck,
        loose=inner.loose,
        natural=(*inner.natural, type(None)),
        kind=inner.kind,
        dtype=inner.dtype,
        shape=inner.shape,
    )


_WIRE_KINDS: dict[type, WireKind] = {
    type(None): "nil",
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    bytes: "bin",
    bytearray: "bin",
    memoryview: "bin",
    list: "array",
    tuple: "array",
    dict: "map",
}


def union_codec(members: Sequence[ValueCodec]) -> ValueCodec:
    """One of several values that msgpack itself tells apart.

    Args:
        members: Codecs whose `kinds` have nothing in common.
    """
    # A number is tried as int first: an int that a float could hold stays an int.
    ordered = sorted(members, key=lambda member: "float" in member.kinds)
    label = " or ".join(member.label for member in members)
    kinds: frozenset[WireKind] = reduce(or_, (member.kinds for member in members))
    by_kind = {kind: member for member in members for kind in member.kinds}
    if "int" not in kinds and "float" in kinds:
        by_kind["int"] = by_kind["float"]

    def to_wire(value: Any) -> Any:
        fitting = [m for m in ordered if isinstance(value, m.natural)]
        deepest: Misfit | None = None
        for member in fitting + [m for m in ordered if m not in fitting]:
            try:
                return member.to_wire(value)
            except Misfit as misfit:
                if misfit.parts or (deepest is None and member in fitting):
                    deepest = misfit
        raise deepest or wrong(label, value)

    def from_wire(value: Any, copy: bool) -> Any:
        kind = _WIRE_KINDS.get(type(value))
        if kind is None and isinstance(value, msgspec.Struct):
            kind = "map"
        member = by_kind.get(kind) if kind is not None else None
        if member is not None:
            return member.from_wire(value, copy)
        for member in ordered:
            if isinstance(value, member.natural):
                return member.from_wire(value, copy)
        raise wrong(label, value)

    def wire_type() -> Any:
        if {"str", "bin"} <= kinds:
            return Any  # msgspec has no such union
        parts = [member.wire_type() for member in members]
        return Any if Any in parts else reduce(or_, parts)

    return ValueCodec(
        label=label,
        kinds=kinds,
        to_wire=to_wire,
        from_wire=from_wire,
        wire_type=wire_type,
        recheck=any(member.recheck for member in members) or {"str", "bin"} <= kinds,
        loose=any(member.loose for member in members) or {"str", "bin"} <= kinds,
        natural=tuple(py for member in members for py in member.natural),
    )


def literal_codec(values: Sequence[Any], codecs: Mapping[type, ValueCodec]) -> ValueCodec:
    """One of the given values.

    Args:
        values: `None`, `bool`, `int`, `str`, `bytes` or members of enums.
        codecs: How the types of their wire forms are written.
    """
    wires = [value.value if isinstance(value, Enum) else value for value in values]
    reading = {(type(wire), wire): value for wire, value in zip(wires, values, strict=True)}
    writing = {(type(value), value): wire for wire, value in zip(wires, values, strict=True)}
    types = frozenset(type(value) for value in values)
    label = f"one of {', '.join(map(repr, values))}"
    kinds: frozenset[WireKind] = reduce(or_, (codecs[type(wire)].kinds for wire in wires))

    def to_wire(value: Any) -> Any:
        kind = type(value)
        if kind not in types and isinstance(value, str):
            kind, value = str, str.__str__(value)
        if kind in types and (kind, value) in writing:
            return writing[kind, value]
        raise wrong(label, value)

    def from_wire(value: Any, _: bool) -> Any:
        kind = type(value)
        if kind is memoryview:
            kind, value = bytes, bytes(value)
        if kind in (type(None), bool, int, str, bytes) and (kind, value) in reading:
            return reading[kind, value]
        to_wire(value)
        return value

    def wire_type() -> Any:
        if {"str", "bin"} <= kinds:
            return Any
        return reduce(or_, dict.fromkeys(codecs[type(wire)].wire_type() for wire in wires))

    return ValueCodec(
        label=label,
        kinds=kinds,
        to_wire=to_wire,
        from_wire=from_wire,
        wire_type=wire_type,
        loose={"str", "bin"} <= kinds,
        natural=tuple(types),
    )


def enum_codec(py: type[Enum], codecs: Mapping[type, ValueCodec]) -> ValueCodec:
    """A member of an enum, written as its value.

    Args:
        py: An enum whose values are all `int` or `str`.
        codecs: How `int` and `str` are written.
    """
    types = dict.fromkeys(type(member.value) for member in py) or dict.fromkeys((int,))
    names = ", ".join(repr(member.value) for member in list(py)[:20])
    label = f"{py.__name__} ({names})"

    def to_wire(value: Any) -> Any:
        if isinstance(value, py):
            return value.value
        raise wrong(label, value, f"Make a member with {py.__name__}(...).")

    def from_wire(value: Any, _: bool) -> Any:
        if isinstance(value, py):
            return value
        if type(value) in types:
            try:
                return py(value)
            except ValueError:
                pass
        raise wrong(label, value)

    return ValueCodec(
        label=label,
        kinds=reduce(or_, (codecs[kind].kinds for kind in types)),
        to_wire=to_wire,
        from_wire=from_wire,
        wire_type=lambda: reduce(or_, (codecs[kind].wire_type() for kind in types)),
        natural=(py,),
    )


def _reader(item: ValueCodec, copy: bool) -> Callable[[Any], Any]:
    return lambda value: item.from_wire(value, copy)


def _each(call: Callable[[Any], Any], values: Iterable[Any]) -> list[Any]:
    done: list[Any] = []
    try:
        for value in values:
            done.append(call(value))  # noqa: PERF401 - its length names the place in errors
    except Misfit as misfit:
        raise misfit.within(f"[{len(done)}]") from None
    return done
