"""How single values are written and read: numbers, text, bytes and whatever msgpack can hold.

A `ValueCodec` is the answer for one annotation. It is put together once per type, and larger ones
are put together from smaller ones (`containers.py`). What does not fit raises a `Misfit`, which
gathers the path while it rises and becomes a `SchemaError` at the top.
"""

import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

from atdata.codec.misfit import Misfit, wrong
from atdata.codec.shapes import Dims

type Kind = Literal["int", "float", "bool", "str", "bytes", "ndarray", "other"]
"""Plain kinds may be read and written in bulk; everything else is `"other"`."""

type WireKind = Literal["nil", "bool", "int", "float", "str", "bin", "array", "map"]
"""The kinds of values that msgpack tells apart."""

ALL_KINDS: frozenset[WireKind] = frozenset(
    ("nil", "bool", "int", "float", "str", "bin", "array", "map")
)

LARGEST_EXACT_FLOAT = 2.0**53
"""Below this every whole number has a float of its own."""

_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1


@dataclass(frozen=True, slots=True)
class ValueCodec:
    """How the values of one annotation are written and read.

    Attributes:
        label: The annotation as errors show it.
        kinds: What the value may be on the wire.
        to_wire: From a value to what msgspec writes as msgpack; raises `Misfit`.
        from_wire: From what was decoded, and whether arrays are copied, to the value; raises
            `Misfit`. A value that is ready passes, which is how `from_data` takes both forms.
        wire_type: The type that msgspec decodes to. A function, because a type may hold itself.
        native: Decoding to `wire_type` gives the value itself, fully checked.
        recheck: Decoding to `wire_type` may overlook something (a key twice, a lossy number);
            a payload that encodes back to the same bytes hides nothing of the kind.
        loose: Part of `wire_type` takes anything, a timestamp of msgpack's included.
        natural: The Python types that a value has, to tell the members of a union apart.
        plain: Whether all of some values may be written just as they are.
        kind: For the bulk readers and writers.
        dtype: The declared numpy dtype of an array, or None for any.
        shape: The declared shape of an array, or None for any.
    """

    label: str
    kinds: frozenset[WireKind]
    to_wire: Callable[[Any], Any]
    from_wire: Callable[[Any, bool], Any]
    wire_type: Callable[[], Any]
    native: bool = False
    recheck: bool = False
    loose: bool = False
    natural: tuple[type, ...] = ()
    plain: Callable[[Collection[Any]], bool] | None = None
    kind: Kind = "other"
    dtype: Any = None
    shape: Dims | None = None


def _is_numpy_scalar(value: object) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.generic)


def _none(value: Any) -> None:
    if value is not None:
        raise wrong("None", value)


def to_bool(value: Any) -> bool:
    """A `bool`, also from a numpy one."""
    if type(value) is bool:
        return value
    if _is_numpy_scalar(value) and value.dtype.kind == "b":
        return bool(value)
    raise wrong("bool", value)


def to_int(value: Any) -> int:
    """An `int` that msgpack can hold, also from a numpy one; a `bool` is none."""
    if type(value) is not int:
        if isinstance(value, bool):
            raise wrong("int", value, "Turn it into a number with int(...), or declare bool.")
        if isinstance(value, int):
            value = int.__index__(value)
        elif _is_numpy_scalar(value) and value.dtype.kind in "iu":
            value = int(value)
        else:
            raise wrong("int", value)
    number: int = value
    if _INT_MIN <= number <= _INT_MAX:
        return number
    raise wrong("int from -2**63 to 2**64-1", value, "Store larger numbers as str or bytes.")


def to_float(value: Any) -> float:
    """A `float`, also from a whole or numpy number that keeps its value."""
    if type(value) is float:
        return value
    if isinstance(value, bool):
        raise wrong("float", value)
    if isinstance(value, float):
        return float.__float__(value)
    if not (isinstance(value, int) or (_is_numpy_scalar(value) and value.dtype.kind in "iufV")):
        raise wrong("float", value)
    if not isinstance(value, int) and value.dtype.kind in "iu":
        value = int(value)  # numpy would compare as floats
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError):
        raise wrong("float", value, "A float cannot hold this number.") from None
    if number == value or value != value:  # noqa: PLR0124 - only NaN differs from itself
        return number
    raise wrong("float", value, "A float cannot hold this number exactly.")


def to_str(value: Any) -> str:
    """A `str` that UTF-8 can hold."""
    if type(value) is not str:
        if not isinstance(value, str):
            raise wrong("str", value)
        value = str.__str__(value)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise wrong("str that UTF-8 can hold", value, "It has a lone surrogate.") from None
    text: str = value
    return text


def to_bytes(value: Any) -> bytes:
    """A `bytes`, also from another buffer of bytes."""
    if type(value) is bytes:
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise wrong("bytes", value)


def _all(kind: type) -> Callable[[Collection[Any]], bool]:
    only = {kind}
    return lambda values: set(map(type, values)) <= only


def _plain_ints(values: Collection[Any]) -> bool:
    if set(map(type, values)) - {int}:
        return False
    return not values or (min(values) >= _INT_MIN and max(values) <= _INT_MAX)


def _plain_strs(values: Collection[Any]) -> bool:
    return set(map(type, values)) <= {str} and all(map(str.isascii, values))


def _simple(kind: Kind, wire: WireKind, py: type, to_wire: Callable[[Any], Any]) -> ValueCodec:
    many = {"int": _plain_ints, "str": _plain_strs}.get(kind, _all(py))
    return ValueCodec(
        label=kind,
        kinds=frozenset((wire,)),
        to_wire=to_wire,
        from_wire=lambda value, _: to_wire(value),
        wire_type=lambda: py,
        native=True,
        recheck=kind == "float",
        natural=(py,),
        plain=many,
        kind=kind,
    )


BOOL = _simple("bool", "bool", bool, to_bool)
INT = _simple("int", "int", int, to_int)
FLOAT = _simple("float", "float", float, to_float)
STR = _simple("str", "str", str, to_str)
BYTES = _simple("bytes", "bin", bytes, to_bytes)

NONE = ValueCodec(
    label="None",
    kinds=frozenset(("nil",)),
    to_wire=_none,
    from_wire=lambda value, _: _none(value),
    wire_type=lambda: None,
    native=True,
    natural=(type(None),),
)


def _bytearray(value: Any) -> bytes:
    if isinstance(value, bytearray):
        return bytes(value)
    raise wrong("bytearray", value)


BYTEARRAY = ValueCodec(
    label="bytearray",
    kinds=frozenset(("bin",)),
    to_wire=_bytearray,
    from_wire=lambda value, _: bytearray(to_bytes(value)),
    wire_type=lambda: bytes,
    natural=(bytearray,),
)


def _write_complex(value: Any) -> tuple[float, float]:
    if isinstance(value, complex):
        return (value.real, value.imag)
    if _is_numpy_scalar(value) and value.dtype.kind == "c" and value.dtype.itemsize <= 16:
        return (float(value.real), float(value.imag))
    raise wrong("complex", value)


def read_complex(value: Any) -> complex:
    """A `complex` from its two parts."""
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return complex(to_float(value[0]), to_float(value[1]))
    return complex(*_write_complex(value))


COMPLEX = ValueCodec(
    label="complex",
    kinds=frozenset(("array",)),
    to_wire=_write_complex,
    from_wire=lambda value, _: read_complex(value),
    wire_type=lambda: tuple[float, float],
    recheck=True,
    natural=(complex,),
)


def plain_value(value: Any) -> Any:
    """Check that msgpack can hold a value of no declared type, and what is inside it.

    Returns:
        The value as `None`, `bool`, `int`, `float`, `str`, `bytes`, `list` or `dict`.
    """
    kind = type(value)
    if value is None or kind is bool or kind is float:
        return value
    if kind is int:
        return to_int(value)
    if kind is str:
        return to_str(value)
    if kind is dict:
        return _plain_dict(value)
    if kind in (list, tuple):
        return _plain_list(value)
    if kind in (bytes, bytearray, memoryview):
        return bytes(value)
    if _is_numpy_scalar(value):
        raise wrong("a plain value", value, "Take the plain value with .item().")
    for py, write in ((int, to_int), (str, to_str), (float, to_float), (bytes, to_bytes)):
        if isinstance(value, py):
            return write(value)
    if isinstance(value, dict):
        return _plain_dict(value)
    if isinstance(value, (list, tuple)):
        return _plain_list(value)
    hint = "Declare the field with its own type, such as NDArray, datetime or a dataclass."
    raise wrong("None, bool, int, float, str, bytes, list or dict", value, hint)


def _plain_list(value: Any) -> list[Any]:
    if FLOAT.plain and FLOAT.plain(value):
        return list(value)
    items: list[Any] = []
    try:
        for item in value:
            items.append(plain_value(item))  # noqa: PERF401 - its length names the place in errors
    except Misfit as misfit:
        raise misfit.within(f"[{len(items)}]") from None
    return items


def _plain_dict(value: Any) -> dict[str, Any]:
    items: dict[str, Any] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise wrong("str keys", key, "Keys of maps are text. Use str(key).")
        try:
            items[to_str(key)] = plain_value(item)
        except Misfit as misfit:
            raise misfit.within(key) from None
    return items


ANY = ValueCodec(
    label="any plain value",
    kinds=ALL_KINDS,
    to_wire=plain_value,
    from_wire=lambda value, _: plain_value(value),
    wire_type=lambda: Any,
    recheck=True,
    loose=True,
)

SCALARS: dict[Any, ValueCodec] = {
    None: NONE,
    type(None): NONE,
    Any: ANY,
    object: ANY,
    bool: BOOL,
    int: INT,
    float: FLOAT,
    str: STR,
    bytes: BYTES,
    bytearray: BYTEARRAY,
    complex: COMPLEX,
}
"""The codec of each type that msgpack, or a pair of floats, represents by itself."""
