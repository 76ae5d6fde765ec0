"""Dense arrays: a short header and the raw elements.

One byte with the length of the dtype's name, the name, one byte with the number of dimensions,
each dimension as a little-endian signed 64-bit integer, then the elements in C order. A dtype with
named fields has no short name, so such an array is kept as a `.npy` file, which is told apart by
its first six bytes.
"""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from atdata.codec.dtypes import MOST_DIMENSIONS, dtype_from_name, dtype_name, n_bytes
from atdata.codec.npy import (
    MAGIC,
    Layout,
    array_at,
    flat_bytes,
    npy_bytes,
    npy_layout,
    plain_array,
)

__all__ = [
    "NdarrayFormat",
    "array_header",
    "array_to_bytes",
    "bytes_to_array",
    "dtype_from_name",
    "dtype_name",
    "parse_header",
]


def array_to_bytes(x: np.ndarray[Any, Any]) -> bytes:
    """Pack a dense array as a short header and its raw elements.

    Args:
        x: Shape `(*dims,)`, any dtype of plain bytes. Written in C order; an array that already
            lies so is copied once.

    Returns:
        `len(header) + x.nbytes` bytes.

    Raises:
        TypeError: It is not an array, or is a masked one.
        ValueError: Its dtype has no plain bytes (Python objects, `StringDType`, `longdouble`).

    Examples:
        >>> import numpy as np
        >>> array_to_bytes(np.array([1, 2], dtype="<i2")).hex(" ", 1)
        '03 3c 69 32 01 02 00 00 00 00 00 00 00 01 00 02 00'
    """
    x = plain_array(x)
    if x.dtype.names is not None:
        return npy_bytes(x)
    header = array_header(x.dtype, x.shape)
    return b"".join((header, np.asarray(x, order="C").reshape(-1).view(np.uint8).data))


def bytes_to_array(
    b: bytes | bytearray | memoryview, *, copy: bool = True
) -> np.ndarray[Any, Any]:
    """Unpack an array that `array_to_bytes` packed, or a `.npy` file.

    Args:
        b: The whole blob.
        copy: Give a fresh, aligned, writable array in C order. Otherwise a read-only view of `b`,
            which may be unaligned and keeps `b` alive.

    Raises:
        ValueError: The blob is damaged, cut short, too long or names an unknown dtype.
        MissingExtraError: The dtype belongs to `ml_dtypes`, which is not installed.

    Examples:
        >>> import numpy as np
        >>> bytes_to_array(array_to_bytes(np.arange(3, dtype="<i2")))
        array([0, 1, 2], dtype=int16)
    """
    data = flat_bytes(b)
    return array_at(data, _layout(data), copy=copy)


def array_header(dtype: np.dtype[Any], shape: Sequence[int]) -> bytes:
    """The bytes before the elements of an array without named fields.

    Raises:
        ValueError: The dtype cannot be written.

    Examples:
        >>> import numpy as np
        >>> array_header(np.dtype("<f4"), (0,)).hex()
        '033c6634010000000000000000'
    """
    name = dtype_name(dtype)
    return struct.pack(f"<B{len(name)}sB{len(shape)}q", len(name), name, len(shape), *shape)


def parse_header(data: memoryview) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Dtype, shape and byte offset of the elements, which follow in C order to the blob's end.

    Everything is checked: `shape` times `dtype.itemsize` is exactly what is left.

    Raises:
        ValueError: The blob is damaged, or is a `.npy` file in Fortran order, which only
            `bytes_to_array` reads.

    Examples:
        >>> import numpy as np
        >>> parse_header(memoryview(array_to_bytes(np.zeros((2, 3)))))
        (dtype('float64'), (2, 3), 21)
    """
    layout = _layout(data)
    if layout.fortran and sum(size > 1 for size in layout.shape) > 1:
        raise ValueError(".npy file in Fortran order: read it with bytes_to_array")
    return layout.dtype, layout.shape, layout.at


def _layout(data: memoryview) -> Layout:
    size = len(data)
    if size >= 6 and bytes(data[:6]) == MAGIC:
        return npy_layout(data)
    if size < 2:
        raise ValueError(f"array blob is too short: {size} bytes, at least 2 needed")
    after_name = 1 + data[0]
    if size <= after_name:
        raise ValueError(
            f"array blob is too short: its dtype name ends at offset {after_name} of {size} bytes"
        )
    try:
        dtype = dtype_from_name(bytes(data[1:after_name]))
    except ValueError as error:
        raise ValueError(f"{error}, at offset 1") from error
    n_dims = data[after_name]
    if n_dims > MOST_DIMENSIONS:
        raise ValueError(f"{n_dims} dimensions at offset {after_name}, {MOST_DIMENSIONS} allowed")
    at = after_name + 1 + 8 * n_dims
    if size < at:
        raise ValueError(f"array blob is too short: its shape ends at offset {at} of {size} bytes")
    shape = struct.unpack_from(f"<{n_dims}q", data, after_name + 1)
    try:
        wanted = n_bytes(shape, dtype.itemsize)
    except ValueError as error:
        raise ValueError(f"{error}, in the shape at offset {after_name + 1}") from error
    if wanted != size - at:
        raise ValueError(
            f"array of {dtype} and shape {shape} needs {wanted} bytes at offset {at}, "
            f"and {size - at} are there"
        )
    return Layout(dtype, shape, at)


class NdarrayFormat:
    """Dense arrays of one dtype, and those with named fields."""

    name = "ndarray"

    def accepts(self, value: object) -> bool:
        """Whether the value is an array."""
        return isinstance(value, np.ndarray)

    def encode(self, value: Any) -> bytes:
        """Write an array."""
        return array_to_bytes(value)

    def decode(self, data: memoryview, *, copy: bool = True) -> np.ndarray[Any, Any]:
        """Read an array."""
        return bytes_to_array(data, copy=copy)
