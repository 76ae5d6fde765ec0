"""Arrays with named fields, as `.npy` files."""

from typing import Any

import numpy as np

from atdata.codec.npy import array_at, flat_bytes, npy_bytes, npy_layout, plain_array


def structured_to_bytes(x: np.ndarray[Any, Any]) -> bytes:
    """Pack an array with named fields as a `.npy` file.

    Padding between fields is written as zeros, so that equal arrays give equal bytes.

    Raises:
        TypeError: It is not an array, is masked, or has no named fields.
        ValueError: A field's dtype cannot be written, or would not come back the same.

    Examples:
        >>> import numpy as np
        >>> len(structured_to_bytes(np.zeros(1, dtype=[("x", "<f4"), ("n", "<i4")])))
        136
    """
    x = plain_array(x)
    if x.dtype.names is None:
        raise TypeError(
            f"Expected an array with a compound dtype, found {x.dtype}\n"
            "  Name its fields, as in np.dtype([('x', '<f4')]), or use the format 'ndarray'"
        )
    return npy_bytes(x)


def bytes_to_structured(
    b: bytes | bytearray | memoryview, *, copy: bool = True
) -> np.ndarray[Any, Any]:
    """Unpack an array with named fields.

    Args:
        b: A `.npy` file of version 1, 2 or 3.
        copy: Give a fresh, writable array in C order; otherwise a read-only view of `b`.

    Raises:
        ValueError: The file is damaged, or its array has no named fields.

    Examples:
        >>> import numpy as np
        >>> points = np.array([(1, 2)], dtype=[("x", "<f4"), ("n", "<i4")])
        >>> bytes_to_structured(structured_to_bytes(points))["n"]
        array([2], dtype=int32)
    """
    data = flat_bytes(b)
    layout = npy_layout(data)
    if layout.dtype.names is None:
        raise ValueError(f"expected an array with a compound dtype, found {layout.dtype}")
    return array_at(data, layout, copy=copy)


class StructuredFormat:
    """Arrays with named fields."""

    name = "structured"

    def accepts(self, value: object) -> bool:
        """Whether the value is an array with named fields."""
        return isinstance(value, np.ndarray) and value.dtype.names is not None

    def encode(self, value: Any) -> bytes:
        """Write an array with named fields."""
        return structured_to_bytes(value)

    def decode(self, data: memoryview, *, copy: bool = True) -> np.ndarray[Any, Any]:
        """Read an array with named fields."""
        return bytes_to_structured(data, copy=copy)
