"""Named tensors, `dict[str, ndarray]`, as a safetensors file."""

from typing import Any

import numpy as np

from atdata._exceptions import printable
from atdata._lazy import require
from atdata.codec.dtypes import check_writable, dtype_from_name
from atdata.codec.npy import flat_bytes, plain_array

# The file's name of a dtype, and ours. The float8 and bfloat16 ones belong to ml_dtypes.
_DTYPES = {
    "BOOL": b"|b1",
    "I8": b"|i1",
    "I16": b"<i2",
    "I32": b"<i4",
    "I64": b"<i8",
    "U8": b"|u1",
    "U16": b"<u2",
    "U32": b"<u4",
    "U64": b"<u8",
    "F16": b"<f2",
    "F32": b"<f4",
    "F64": b"<f8",
    "C64": b"<c8",
    "BF16": b"bfloat16",
    "F8_E4M3": b"float8_e4m3fn",
    "F8_E4M3FNUZ": b"float8_e4m3fnuz",
    "F8_E5M2": b"float8_e5m2",
    "F8_E5M2FNUZ": b"float8_e5m2fnuz",
    "F8_E8M0": b"float8_e8m0fnu",
}


def safetensors_to_bytes(x: dict[str, np.ndarray[Any, Any]]) -> bytes:
    """Pack named tensors as a safetensors file.

    Args:
        x: Arrays by name, of the bool, int, float, `complex64`, `bfloat16` and `float8` dtypes
            that the format knows. Written little-endian and in C order.

    Raises:
        TypeError: It is not a dictionary of names and arrays.
        ValueError: A tensor's dtype is none that the format knows.
        MissingExtraError: safetensors is not installed.

    Examples:
        >>> import numpy as np
        >>> len(safetensors_to_bytes({"a": np.array([1, 2], dtype="<f4")}))
        72
    """
    tensors = {_name(name): _plain(tensor) for name, tensor in _items(x)}
    save = require("safetensors.numpy", extra="safetensors").save
    try:
        return bytes(save(tensors))
    except Exception as error:  # safetensors has one error class of its own, under Exception
        raise ValueError(
            f"safetensors cannot write these tensors: {printable(error)}\n"
            "  Convert them, as in x.astype('float32'), or use a field of arrays"
        ) from error


def bytes_to_safetensors(
    b: bytes | bytearray | memoryview, *, copy: bool = True
) -> dict[str, np.ndarray[Any, Any]]:
    """Unpack named tensors.

    Args:
        b: A whole safetensors file.
        copy: Give writable arrays; otherwise they are read-only.

    Raises:
        ValueError: The file is damaged, or a tensor's dtype has no counterpart in numpy.
        MissingExtraError: safetensors, or ml_dtypes for its dtypes, is not installed.

    Examples:
        >>> import numpy as np
        >>> bytes_to_safetensors(safetensors_to_bytes({"a": np.array([1.5])}))
        {'a': array([1.5])}
    """
    data = flat_bytes(b)
    if len(data) < 8:
        raise ValueError(f"safetensors file is too short: {len(data)} bytes, at least 8 needed")
    length = int.from_bytes(data[:8], "little")
    if length > len(data) - 8:
        raise ValueError(
            f"safetensors header claims {length} bytes at offset 0, and {len(data) - 8} are left"
        )
    deserialize = require("safetensors", extra="safetensors").deserialize
    try:
        found = deserialize(bytes(data))
    except Exception as error:  # as above
        raise ValueError(f"safetensors file cannot be read: {printable(error)}") from error
    tensors = {name: _tensor(name, tensor) for name, tensor in found}
    for tensor in tensors.values():
        tensor.flags.writeable = copy
    return tensors


def _items(value: object) -> list[tuple[object, object]]:
    if not isinstance(value, dict):
        raise TypeError(f"Expected dict of names and arrays, found {type(value).__name__}")
    return list(value.items())


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"Expected dict with text as keys, found the key {printable(repr(name))}")
    if name == "__metadata__":
        raise ValueError(
            "no tensor can be named '__metadata__', which safetensors keeps to itself"
        )
    return name


def _plain(tensor: object) -> np.ndarray[Any, Any]:
    array = plain_array(tensor)
    check_writable(array.dtype)
    return np.asarray(array, order="C")  # safetensors reads raw memory and ignores strides


def _tensor(name: str, found: dict[str, Any]) -> np.ndarray[Any, Any]:
    known = _DTYPES.get(found["dtype"])
    if known is None:
        raise ValueError(
            f"tensor {printable(repr(name))} has dtype {printable(found['dtype'])}, "
            "which numpy has not"
        )
    dtype = dtype_from_name(known)
    return np.frombuffer(bytearray(found["data"]), dtype).reshape(found["shape"])


class SafetensorsFormat:
    """Named tensors, `dict[str, ndarray]`."""

    name = "safetensors"

    def accepts(self, value: object) -> bool:
        """Whether the value is a dictionary of names and arrays."""
        return isinstance(value, dict) and all(
            isinstance(k, str) and isinstance(v, np.ndarray) for k, v in value.items()
        )

    def encode(self, value: Any) -> bytes:
        """Write named tensors."""
        return safetensors_to_bytes(value)

    def decode(self, data: memoryview, *, copy: bool = True) -> dict[str, np.ndarray[Any, Any]]:
        """Read named tensors."""
        return bytes_to_safetensors(data, copy=copy)
