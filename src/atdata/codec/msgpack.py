"""The strict reading of one msgpack map.

msgspec reads fast and forgives much: it keeps the last of several equal keys and turns ext type
-1 into a datetime. What it forgives, this module finds.
"""

from collections.abc import Buffer, Callable, Collection
from datetime import datetime
from struct import unpack_from
from typing import Any

import msgspec
from msgspec.structs import astuple

from atdata.codec.misfit import Misfit

encode = msgspec.msgpack.Encoder().encode
"""Write msgpack in its one canonical form: the smallest headers and ints, floats in 64 bits."""

DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, MemoryError)
"""What msgspec raises on a payload that does not fit."""

_WANTED = "one msgpack map with text as keys"


def flat(data: Buffer) -> bytes | memoryview:
    """View any buffer as plain bytes, without copying it."""
    if type(data) is bytes:
        return data
    view = memoryview(data)
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")


def struct_decoder(struct: type[msgspec.Struct]) -> Callable[[bytes | memoryview], Any]:
    """What decodes a payload to a struct; ext types are refused, all but timestamps."""
    return msgspec.msgpack.Decoder(struct, ext_hook=_refuse_ext).decode


def map_header(n_entries: int) -> bytes:
    """The smallest header of a map.

    Examples:
        >>> map_header(3).hex(), map_header(16).hex()
        ('83', 'de0010')
    """
    if n_entries < 16:
        return bytes((0x80 | n_entries,))
    if n_entries < 2**16:
        return b"\xde" + n_entries.to_bytes(2)
    return b"\xdf" + n_entries.to_bytes(4)


def read_map(data: bytes | memoryview) -> dict[str, Any]:
    """Read a payload: one map, text as keys, no key twice, no ext types, nothing after it.

    Raises:
        Misfit: It is not so. The misfit says where.

    Examples:
        >>> read_map(bytes.fromhex("81 a16e 05"))
        {'n': 5}
    """
    try:
        found = _decoder.decode(data)
    except RecursionError:
        raise Misfit(_WANTED, "values nested too deeply") from None
    except MemoryError:
        raise Misfit(_WANTED, "more than fits in memory") from None
    except UnicodeDecodeError as error:
        raise Misfit(_WANTED, f"text that is not UTF-8: {error.reason}") from None
    except msgspec.MsgspecError as error:
        raise Misfit(_WANTED, str(error)) from None
    header = map_header(len(found))
    counted = data[: len(header)] == header  # with as many keys as entries, none is there twice
    nested = not _CONTAINERS.isdisjoint(map(type, found.values()))
    # And what encodes back to the same bytes has no key twice anywhere.
    if not counted or holds_timestamp(found.values()) or (nested and encode(found) != data):
        check_map(data)
    return found


def holds_timestamp(values: Collection[Any]) -> bool:
    """Whether there is a datetime among decoded values: msgspec makes them of ext type -1."""
    kinds = set(map(type, values))
    if datetime in kinds:
        return True
    if kinds <= _ATOMS:
        return False
    return any(holds_timestamp(_parts(value)) for value in values if type(value) not in _ATOMS)


def _parts(value: Any) -> Collection[Any]:
    if isinstance(value, dict):
        items: dict[str, Any] = value
        return items.values()
    return astuple(value) if isinstance(value, msgspec.Struct) else value


def _refuse_ext(code: int, _: memoryview) -> Any:
    raise msgspec.ValidationError(f"ext type {code}")


_ATOMS = {type(None), bool, int, float, str, bytes, memoryview}
_CONTAINERS = {list, dict}
_decoder = msgspec.msgpack.Decoder(dict[str, Any], ext_hook=_refuse_ext)

# By the first byte of a value. Bin and str: how many bytes hold the length.
_SIZED = dict(zip((0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB), (1, 2, 4, 1, 2, 4), strict=True))
# Numbers and the like: how many bytes follow.
_FIXED = {
    **dict.fromkeys((0xC0, 0xC2, 0xC3), 0),
    0xCA: 4,
    0xCB: 8,
    **dict(zip(range(0xCC, 0xD0), (1, 2, 4, 8), strict=True)),
    **dict(zip(range(0xD0, 0xD4), (1, 2, 4, 8), strict=True)),
}
# Arrays and maps: how many bytes hold the number of entries, and how many values an entry has.
_COUNTED = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}
_LENGTHS = {1: ">B", 2: ">H", 4: ">I"}


def check_map(data: bytes | memoryview) -> None:
    """Walk a well-formed payload byte by byte, for what decoding does not tell.

    Raises:
        Misfit: A map has a key twice or one that is not text, or there is an ext type.
    """
    at = 0
    # Open containers: values still to come, and the keys so far (None in an array).
    stack: list[tuple[int, set[bytes] | None]] = [(1, None)]
    while stack:
        left, keys = stack.pop()
        if not left:
            continue
        stack.append((left - 1, keys))
        code = data[at]
        start, at = at, at + 1
        count: tuple[int, int] | None = None
        if code <= 0x7F or code >= 0xE0:
            pass
        elif code <= 0x9F:
            count = (code & 0x0F, 2 if code <= 0x8F else 1)
        elif code <= 0xBF:
            at += code & 0x1F
        elif code in _FIXED:
            at += _FIXED[code]
        elif code in _SIZED:
            n = _SIZED[code]
            at += n + unpack_from(_LENGTHS[n], data, at)[0]
        elif code in _COUNTED:
            n, each = _COUNTED[code]
            count = (unpack_from(_LENGTHS[n], data, at)[0], each)
            at += n
        else:
            raise Misfit(_WANTED, f"ext type at byte {start}")
        if keys is not None and left % 2 == 0:
            _note_key(data, start, at, keys)
        if count is not None:
            stack.append((count[0] * count[1], set() if count[1] == 2 else None))


def _note_key(data: bytes | memoryview, start: int, end: int, keys: set[bytes]) -> None:
    code = data[start]
    header = 1 if 0xA0 <= code <= 0xBF else {0xD9: 2, 0xDA: 3, 0xDB: 5}.get(code)
    if header is None:
        raise Misfit(_WANTED, f"a key that is not text at byte {start}")
    key = bytes(data[start + header : end])
    if key in keys:
        raise Misfit("each key once", f"key {key.decode()!r} again at byte {start}")
    keys.add(key)
