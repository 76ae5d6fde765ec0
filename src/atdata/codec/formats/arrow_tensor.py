"""`pyarrow.Tensor`, as an Arrow IPC tensor message."""

import sys
from typing import Any

import numpy as np

from atdata._exceptions import printable
from atdata._lazy import require
from atdata.codec.npy import flat_bytes


def arrow_tensor_to_bytes(x: Any) -> bytes:
    """Pack a tensor as an Arrow IPC message: shape, order and dimension names are kept.

    Raises:
        TypeError: It is not a `pyarrow.Tensor`.
        MissingExtraError: pyarrow is not installed.

    Examples:
        >>> import numpy as np, pyarrow
        >>> len(arrow_tensor_to_bytes(pyarrow.Tensor.from_numpy(np.ones((2, 2)))))
        288
    """
    arrow = require("pyarrow", extra="arrow")
    if not isinstance(x, arrow.Tensor):
        raise TypeError(f"Expected pyarrow.Tensor, found {type(x).__name__}")
    # Arrow gathers a tensor with gaps by itself, and drops the names of its dimensions.
    tensor = x if x.is_contiguous else arrow.Tensor.from_numpy(_gathered(x), x.dim_names)
    sink = arrow.BufferOutputStream()
    require("pyarrow.ipc", extra="arrow").write_tensor(tensor, sink)
    return bytes(sink.getvalue())


def bytes_to_arrow_tensor(b: bytes | bytearray | memoryview, *, copy: bool = True) -> Any:
    """Unpack a tensor.

    Args:
        b: One Arrow IPC tensor message and nothing after it.
        copy: Read from a copy of `b`; otherwise the tensor is a view of `b` and keeps it alive.

    Raises:
        ValueError: The message is damaged, or its elements lie outside of it.
        MissingExtraError: pyarrow is not installed.

    Examples:
        >>> import numpy as np, pyarrow
        >>> packed = arrow_tensor_to_bytes(pyarrow.Tensor.from_numpy(np.ones((2, 2))))
        >>> bytes_to_arrow_tensor(packed).shape
        (2, 2)
    """
    data = flat_bytes(b)
    arrow = require("pyarrow", extra="arrow")
    ipc = require("pyarrow.ipc", extra="arrow")
    buffer = arrow.py_buffer(bytes(data) if copy else data)
    try:
        file = arrow.BufferReader(buffer)
        body = ipc.read_message(file).body
        end = file.tell()
        n_body = 0 if body is None else body.size
        tensor = ipc.read_tensor(arrow.BufferReader(buffer))
        width = tensor.type.bit_width // 8
    except (
        Exception
    ) as error:  # Arrow's errors are OSError, ArrowInvalid, NotImplementedError, ...
        raise ValueError(f"Arrow tensor cannot be read: {printable(error)}") from error
    if end != len(data):
        raise ValueError(f"{len(data) - end} bytes follow the Arrow tensor, at offset {end}")
    if tensor.size < 0 or any(size < 0 for size in tensor.shape):
        raise ValueError(f"Arrow tensor has a negative dimension: {tensor.shape}")
    if any(stride < 0 for stride in tensor.strides):
        raise ValueError(f"Arrow tensor has a negative stride: {tensor.strides}")
    if tensor.size:
        steps = zip(tensor.shape, tensor.strides, strict=True)
        extent = width + sum((size - 1) * stride for size, stride in steps)
        if extent > n_body:
            raise ValueError(f"Arrow tensor needs {extent} bytes, and {n_body} are there")
    return tensor


def _gathered(tensor: Any) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = np.array(tensor.to_numpy(), order="C")
    if array.size:
        return array
    # What Arrow takes for contiguous, where there are no elements.
    strides = (array.itemsize,) * array.ndim
    return np.ndarray(array.shape, array.dtype, b"", strides=strides)


class ArrowTensorFormat:
    """`pyarrow.Tensor`."""

    name = "arrow_tensor"

    def accepts(self, value: object) -> bool:
        """Whether the value is a `pyarrow.Tensor`."""
        arrow = sys.modules.get("pyarrow")  # who has a tensor has imported it
        return arrow is not None and isinstance(value, arrow.Tensor)

    def encode(self, value: Any) -> bytes:
        """Write a tensor."""
        return arrow_tensor_to_bytes(value)

    def decode(self, data: memoryview, *, copy: bool = True) -> Any:
        """Read a tensor."""
        return bytes_to_arrow_tensor(data, copy=copy)
