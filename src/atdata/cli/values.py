"""Values of samples for people and for JSON: bounded, and no terminal is sent what they hold."""

import math
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np

from atdata._exceptions import printable

_HEAD = 8
"""How many elements of an array are shown."""

_HEAD_BYTES = 16
_WIDEST = 1 << 10
"""Elements of more bytes than this are not shown."""

_DEEPEST = 50
_FEW = 4

_WIRES: dict[type[Any], str] = {
    type(None): "nil",
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    bytes: "bin",
    list: "array",
    dict: "map",
}


def wire_of(value: object) -> str:
    """The msgpack type of a value as it is stored.

    Examples:
        >>> wire_of(None), wire_of(b""), wire_of([])
        ('nil', 'bin', 'array')
    """
    return _WIRES.get(type(value), type(value).__name__)


def json_value(value: Any, depth: int = 0) -> Any:
    """A value in JSON's types: arrays and bytes as what they are and how they begin.

    Examples:
        >>> json_value({"x": np.arange(20, dtype="u1"), "raw": bytes(2), "y": float("nan")})
        {'x': {'dtype': 'uint8', 'shape': [20], 'head': [0, 1, 2, 3, 4, 5, 6, 7]},
         'raw': {'n_bytes': 2, 'head': '0000'}, 'y': {'float': 'nan'}}
    """
    if depth > _DEEPEST:
        return "…"
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else {"float": str(value)}
        case bytes():
            return {"n_bytes": len(value), "head": value[:_HEAD_BYTES].hex()}
        case dict():
            return {str(k): json_value(v, depth + 1) for k, v in value.items()}
        case list() | tuple():
            return [json_value(v, depth + 1) for v in value]
        case set() | frozenset():
            return [json_value(v, depth + 1) for v in _ordered(value)]
        case Enum():
            return json_value(value.value, depth + 1)
        case np.number() | np.bool():
            return json_value(value.item(), depth + 1)
        case np.ndarray():
            head = [json_value(v, depth + 1) for v in _head(value)]
            return {"dtype": str(value.dtype), "shape": list(value.shape), "head": head}
        case _ if is_dataclass(value):
            return json_value(_fields(value), depth)
        case _:
            return str(value)


def text_value(value: Any, limit: int = 60, depth: int = 0) -> str:
    r"""A value on one line, about `limit` characters long.

    Examples:
        >>> print(text_value("a\x1b[31mb"), text_value([1, "x"]), text_value(bytes([255])))
        a\x1b[31mb [1, 'x'] 1 byte ff
        >>> print(text_value(np.arange(20, dtype="u1").reshape(2, 10)))
        uint8 (2, 10): 0 1 2 3 4 5 6 7 …
    """
    inner = max(limit // 3, 8)
    match value:
        case str():
            return f"'{printable(value, limit)}'" if depth else printable(value, limit)
        case bytes():
            rest = "…" if len(value) > _HEAD_BYTES else ""
            count = "1 byte" if len(value) == 1 else f"{len(value)} bytes"
            return f"{count} {value[:_HEAD_BYTES].hex()}{rest}".rstrip()
        case dict() | list() | tuple() | set() | frozenset() if depth > _FEW:
            return "…"
        case dict():
            shown = [
                f"{text_value(k, inner, depth + 1)}: {text_value(v, inner, depth + 1)}"
                for k, v in list(value.items())[:_FEW]
            ]
            return "{" + _listed(shown, len(value)) + "}"
        case list() | tuple():
            shown = [text_value(v, inner, depth + 1) for v in value[:_FEW]]
            return "[" + _listed(shown, len(value)) + "]"
        case set() | frozenset():
            shown = [text_value(v, inner, depth + 1) for v in _ordered(value)[:_FEW]]
            return "{" + _listed(shown, len(value)) + "}"
        case np.ndarray():
            head = _head(value)
            shown = [f"{v:.6g}" if isinstance(v, float) else text_value(v, inner, 1) for v in head]
            more = ["…"] if len(head) < value.size else []
            return printable(f"{value.dtype} {value.shape}: {' '.join(shown + more)}", 3 * limit)
        case _ if is_dataclass(value):
            return text_value(_fields(value), limit, depth)
        case _:
            return printable(value, limit)


def _ordered(values: Iterable[Any]) -> list[Any]:
    """A set's values in an order that is the same each time."""
    return sorted(values, key=lambda value: (type(value).__name__, str(value)))


def _fields(sample: Any) -> dict[str, Any]:
    return {field.name: getattr(sample, field.name) for field in fields(sample)}


def _listed(shown: list[str], n: int) -> str:
    more = [f"… {n} in all"] if n > len(shown) else []
    return ", ".join(shown + more)


def _head(array: "np.ndarray[Any, Any]") -> list[Any]:
    """The first elements as plain values, in C order."""
    if array.dtype.itemsize > _WIDEST:
        return []
    head = array.flat[:_HEAD]
    if head.dtype.kind in "mM":
        head = head.astype(str)  # times have units that a plain value does not
    values: list[Any] = head.tolist()
    return values
