"""NumPy's `.npy` files in memory: how structured arrays and the parts of sparse ones are kept."""

from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as numpy_format

from atdata._exceptions import printable
from atdata.codec.dtypes import check_writable, dtype_from_name, n_bytes

MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 0xFFFF
_LENGTH_BYTES = {1: 2, 2: 4, 3: 4}
_ENCODING = {1: "latin-1", 2: "latin-1", 3: "utf-8"}


class Layout(NamedTuple):
    """Where the elements of an array lie in a blob."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    at: int
    fortran: bool = False


def flat_bytes(data: object) -> memoryview:
    """View any bytes-like object as plain bytes, without copying it.

    Raises:
        TypeError: It is not bytes-like, or its bytes do not lie together.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"expected bytes, bytearray or memoryview, found {type(data).__name__}")
    view = memoryview(data)
    return view if view.format == "B" and view.ndim == 1 and view.contiguous else view.cast("B")


def plain_array(value: object) -> np.ndarray[Any, Any]:
    """The value, if it is an array whose elements are all there is to it.

    Raises:
        TypeError: It is no array, or it is a masked one.
    """
    if not isinstance(value, np.ndarray):
        raise TypeError(f"Expected numpy ndarray, found {type(value).__name__}")
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            "cannot write a masked array: its mask would be lost\n"
            "  Fill it with x.filled(value), or keep x.data and x.mask as two arrays"
        )
    return value


def array_at(data: memoryview, layout: Layout, *, copy: bool) -> np.ndarray[Any, Any]:
    """The array that lies in a blob: a fresh one in C order, or a read-only view."""
    view: np.ndarray[Any, Any] = np.ndarray(
        layout.shape, layout.dtype, data, layout.at, order="F" if layout.fortran else "C"
    )
    if copy:
        return np.array(view, order="C")
    view.flags.writeable = False
    return view


def npy_bytes(array: np.ndarray[Any, Any]) -> bytes:
    """Write an array as a `.npy` file, in C order and with its padding zeroed.

    Raises:
        ValueError: The dtype cannot be written, or would not come back the same.
    """
    dtype = array.dtype
    check_writable(dtype)
    version = (1, 0)
    if dtype.names is not None:
        try:
            same = numpy_format.descr_to_dtype(dtype.descr) == dtype
        except ValueError:  # numpy cannot describe fields that overlap or are out of order
            same = False
        if not same:
            raise ValueError(
                "cannot write a structured dtype whose fields overlap or are out of order\n"
                "  Lay them out anew:  numpy.lib.recfunctions.repack_fields(x)"
            )
        described = repr(dtype.descr)
        if len(described.encode()) > _LONGEST_HEADER - 1024:
            raise ValueError(
                f"cannot write a structured dtype of {len(dtype.names)} fields: its description "
                f"is longer than {_LONGEST_HEADER} bytes\n"
                "  Split the fields over several arrays, or give them shorter names"
            )
        if not _is_latin(described):
            version = (3, 0)
        if _has_padding(dtype):
            array = _without_padding(array)
    out = BytesIO()
    numpy_format.write_array(
        out, np.asarray(array, order="C"), version=version, allow_pickle=False
    )
    return out.getvalue()


def npy_layout(data: memoryview) -> Layout:
    """Read the header of a `.npy` file of version 1, 2 or 3, and check it against the file.

    Raises:
        ValueError: The header is damaged or names a dtype that is not plain bytes, or the file
            holds more or fewer elements than it says.
    """
    if len(data) < 8 or bytes(data[:6]) != MAGIC:
        raise ValueError("no .npy file: it does not begin with the magic bytes")
    version = data[6]
    if version not in _LENGTH_BYTES or data[7] != 0:
        raise ValueError(f".npy version {version}.{data[7]} is unknown, at offset 6")
    start = 8 + _LENGTH_BYTES[version]
    if len(data) < start:
        raise ValueError(f".npy header is too short: {len(data)} bytes, {start} needed")
    length = int.from_bytes(data[8:start], "little")
    if length > len(data) - start:
        raise ValueError(
            f".npy header claims {length} bytes at offset 8, and {len(data) - start} are left"
        )
    if length > _LONGEST_HEADER:
        raise ValueError(f".npy header of {length} bytes at offset 8, {_LONGEST_HEADER} allowed")
    shape, fortran, dtype = _read_header(bytes(data[start : start + length]), _ENCODING[version])
    at = start + length
    wanted = n_bytes(shape, dtype.itemsize)
    if wanted != len(data) - at:
        raise ValueError(
            f".npy of {dtype} and shape {printable(shape)} needs {wanted} bytes at offset {at}, "
            f"and {len(data) - at} are there"
        )
    return Layout(dtype, shape, at, fortran)


def _read_header(header: bytes, encoding: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        # Version 3 is version 2 in UTF-8; with escapes in its string literals it is both.
        text = header.decode(encoding).encode("ascii", "backslashreplace")
        file = BytesIO(len(text).to_bytes(4, "little") + text)
        shape, fortran, dtype = numpy_format.read_array_header_2_0(file, max_header_size=len(text))
    except Exception as error:
        # Hostile text ends the parser in many ways: SyntaxError, MemoryError, TokenError, ...
        raise ValueError(f".npy header cannot be parsed: {printable(error)}") from error
    if dtype.subdtype is not None or dtype.itemsize == 0:
        raise ValueError(f".npy header names dtype {printable(dtype)}, which no array has")
    _check_readable(dtype)
    return shape, fortran, dtype


def _check_readable(dtype: np.dtype[Any]) -> None:
    base = dtype.base
    if base.names is not None:
        for name in base.names:
            _check_readable(base[name])
    elif base.itemsize or base.kind not in "USV":  # a field, unlike an array, may be empty
        try:
            same = dtype_from_name(base.str.encode()) == base
        except ValueError:
            same = False
        if not same:
            raise ValueError(
                f".npy header names dtype {printable(base)}, which is not allowed: an array holds "
                "numbers, fixed text or bytes, times or named fields of those"
            )


def _is_latin(text: str) -> bool:
    return all(ord(character) < 256 for character in text)


def _has_padding(dtype: np.dtype[Any]) -> bool:
    base = dtype.base
    if base.names is None:
        return False
    fields = [base[name] for name in base.names]
    return sum(f.itemsize for f in fields) != base.itemsize or any(map(_has_padding, fields))


def _without_padding(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    # Padding is whatever memory held: it would make the bytes differ, and give that memory away.
    clean = np.zeros(array.shape, array.dtype)
    _copy_fields(clean, array)
    return clean


def _copy_fields(target: np.ndarray[Any, Any], source: np.ndarray[Any, Any]) -> None:
    for name in source.dtype.names or ():
        if source.dtype[name].base.names is None:
            target[name][...] = source[name]
        else:
            _copy_fields(target[name], source[name])
