"""Which dtypes may be written, what they are called in a blob, and how many bytes they need."""

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from atdata._exceptions import printable
from atdata._lazy import require

MOST_DIMENSIONS = 64
_LARGEST = 2**63 - 1

# What `dtype.str` gives for the dtypes that hold plain bytes; nothing else reaches `np.dtype`.
_NUMPY_NAME = re.compile(
    rb"\|[biu]1"
    rb"|[<>](?:[iu][248]|f2|f4|f8|f12|f16|c8|c16|c24|c32)"
    rb"|[<>]U[1-9][0-9]{0,8}"
    rb"|\|[SV][1-9][0-9]{0,8}"
    rb"|[<>][Mm]8(?:\[[0-9]{0,9}(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?"
)
_ML_NAME = re.compile(
    rb"bfloat16|b?complex32|u?int[124]|float[468]_e[0-9]{1,2}m[0-9]{1,2}[a-z0-9]{0,12}"
)


@lru_cache(maxsize=512)
def dtype_name(dtype: np.dtype[Any]) -> bytes:
    """The name of a dtype in a blob: `dtype.str`, or `dtype.name` for those of `ml_dtypes`.

    Raises:
        ValueError: The dtype has no plain bytes that mean the same everywhere.

    Examples:
        >>> import numpy as np
        >>> dtype_name(np.dtype(np.float32))
        b'<f4'
    """
    if dtype.names is not None:
        raise ValueError("a dtype with named fields has no name of its own")
    check_writable(dtype)
    return (dtype.name if is_ml_dtype(dtype) else dtype.str).encode("ascii")


@lru_cache(maxsize=512)
def dtype_from_name(name: bytes) -> np.dtype[Any]:
    """The dtype that a blob names.

    Raises:
        ValueError: The name is none that a blob may hold.
        MissingExtraError: The dtype belongs to `ml_dtypes`, which is not installed.

    Examples:
        >>> dtype_from_name(b">i2")
        dtype('>i2')
    """
    if _NUMPY_NAME.fullmatch(name):
        text = name.decode("ascii")
        try:
            dtype = np.dtype(text)
        except (TypeError, ValueError) as error:
            raise ValueError(f"this platform has no dtype {text!r}") from error
        if dtype.str == text:
            return dtype
    elif _ML_NAME.fullmatch(name):
        scalar = getattr(require("ml_dtypes", extra="ml-dtypes"), name.decode("ascii"), None)
        if isinstance(scalar, type) and issubclass(scalar, np.generic):
            return np.dtype(scalar)
    raise ValueError(f"{printable(repr(name))} is no dtype that an array blob may hold")


def is_ml_dtype(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype belongs to `ml_dtypes`, without importing it."""
    return dtype.type.__module__.partition(".")[0] == "ml_dtypes"


def check_writable(dtype: np.dtype[Any]) -> None:
    """Refuse a dtype, or a field of it, whose elements are not plain bytes.

    Raises:
        ValueError: Says what is wrong with the dtype and what to use in its place.
    """
    if dtype.subdtype is not None:
        check_writable(dtype.subdtype[0])
        return
    if dtype.names is not None:
        for name in dtype.names:
            _check_field(dtype[name])
    elif dtype.kind == "T":
        raise ValueError(
            "cannot write a StringDType array: its strings lie outside its buffer\n"
            "  Use strings of a fixed width:  x.astype(str)"
        )
    elif dtype.hasobject:
        raise ValueError(
            "cannot write an object-dtype array: its elements are Python objects\n"
            "  Convert it, as in x.astype(float) or x.astype(str), or use a list field"
        )
    elif dtype.kind in "fc" and dtype.itemsize > (8 if dtype.kind == "f" else 16):
        raise ValueError(
            f"cannot write {dtype.name}: its width differs between machines, and its padding is "
            "whatever memory held\n"
            f"  Use a fixed width:  x.astype({'float64' if dtype.kind == 'f' else 'complex128'!r})"
        )
    elif is_ml_dtype(dtype):
        if not dtype.isnative or not _ML_NAME.fullmatch(dtype.name.encode()):
            raise ValueError(
                f"cannot write dtype {dtype!r}\n"
                f"  Use the machine's own byte order:  x.astype(ml_dtypes.{dtype.name})"
            )
    elif dtype.type.__module__ != "numpy":
        raise ValueError(
            f"cannot write dtype {dtype!r}, which is not one of numpy's\n"
            "  Convert it to one that is, as in x.astype('float64')"
        )
    if dtype.itemsize == 0:
        raise ValueError(
            f"cannot write dtype {dtype!r}: its elements have no bytes\n"
            "  Give it a size, as in np.dtype('V1')"
        )


def _check_field(dtype: np.dtype[Any]) -> None:
    base = dtype.base
    if is_ml_dtype(base):
        raise ValueError(
            f"cannot write a field of dtype {base.name}: the .npy header has no name for it\n"
            "  Keep it in an array of its own, or store its bits:  x.view(np.uint8)"
        )
    if base.itemsize or base.names is not None:
        check_writable(base)


def n_bytes(shape: Sequence[int], itemsize: int) -> int:
    """How many bytes the elements of an array take.

    Raises:
        ValueError: A dimension is negative, or there are more dimensions or bytes than an array
            can have.

    Examples:
        >>> n_bytes((2, 3), 4)
        24
    """
    if len(shape) > MOST_DIMENSIONS:
        raise ValueError(f"{len(shape)} dimensions, and an array has at most {MOST_DIMENSIONS}")
    for size in shape:
        if size < 0:
            raise ValueError(f"negative dimension {size}")
    # numpy too leaves dimensions of size 0 out before it looks for overflow.
    if math.prod(size for size in shape if size) * itemsize > _LARGEST:
        raise ValueError(f"shape {printable(tuple(shape))} overflows: too many bytes for an array")
    return math.prod(shape) * itemsize
