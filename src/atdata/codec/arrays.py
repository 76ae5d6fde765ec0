"""How numpy arrays and scalars in fields are written and read.

The only part of the field codecs that needs numpy. `compile` loads it when an annotation may name
something of numpy's, which no annotation does before numpy is imported.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args, get_origin

import numpy as np

from atdata._type_utils import bare, union_members
from atdata.codec.formats.ndarray import array_header, array_to_bytes, bytes_to_array
from atdata.codec.markers import Shape
from atdata.codec.misfit import Misfit, describe, wrong
from atdata.codec.shapes import Dims, shape_fits, shown
from atdata.codec.values import (
    BOOL,
    BYTES,
    COMPLEX,
    FLOAT,
    INT,
    STR,
    ValueCodec,
)

_FIXED_KINDS = frozenset("biufc")


def array_codec(annotation: Any, shape: Shape | None) -> ValueCodec | None:
    """The codec of an array annotation, or None for what is no array.

    Raises:
        TypeError: Arrays of the declared dtype cannot be written.
    """
    kind, _ = bare(annotation)
    if kind is not np.ndarray and get_origin(kind) is not np.ndarray:
        return None
    declared = get_args(kind)
    scalars = declared_scalars(kind)
    dims = shape.dims if shape is not None else _declared_dims(declared[0] if declared else Any)
    return _array_codec(scalars, dims)


def scalar_codec(kind: Any) -> ValueCodec | None:
    """The codec of a numpy scalar type such as `np.float32`, or None for what is none.

    Raises:
        TypeError: The type is abstract, or its values cannot be written.
    """
    if not isinstance(kind, type) or not issubclass(kind, np.generic):
        return None
    if issubclass(kind, (np.datetime64, np.timedelta64)):
        return _time_codec(kind)
    _check_scalar(kind)
    try:
        letter = np.dtype(kind).kind if not _is_abstract(kind) else ""
    except TypeError:
        letter = ""
    if letter == "V" and "float" in kind.__name__:
        letter = "f"  # those of ml_dtypes
    plain = {"b": BOOL, "i": INT, "u": INT, "f": FLOAT, "c": COMPLEX, "U": STR, "S": BYTES}
    if letter not in plain:
        raise TypeError(f"Name a sized type such as np.float64 instead of np.{kind.__name__}.")
    return _sized_scalar_codec(kind, plain[letter])


def _array_codec(scalars: tuple[type, ...] | None, dims: Dims | None) -> ValueCodec:
    dtype = np.dtype(scalars[0]) if scalars is not None and _is_fixed(scalars) else None
    bulk = (scalars is None or dtype is not None) and not (dims is not None and ... in dims)
    label = "array" if scalars is None else f"array of {' or '.join(s.__name__ for s in scalars)}"
    if dims is not None:
        label += f" of shape {shown(dims)}"
    cast = scalars[0].__name__ if scalars else ""

    def check(array: Any) -> None:
        if not isinstance(array, np.ndarray):
            hint = (
                "Bytes that hold an array: turn them into one with np.frombuffer."
                if isinstance(array, (bytes, bytearray, memoryview))
                else "Turn it into an array with np.asarray(...)."
            )
            raise wrong(label, array, hint)
        known = dtype is not None and array.dtype == dtype
        if scalars is not None and not known and not issubclass(array.dtype.type, scalars):
            raise wrong(label, array, f"Convert it with .astype(np.{cast}), or declare its dtype.")
        if dims is not None and not shape_fits(dims, array.shape):
            raise wrong(label, array)

    # Most arrays of a field are alike: one that is like the last one needs no looking at again.
    written: tuple[Any, Any, bytes] = (None, None, b"")
    read: tuple[int, bytes, Any, Any] = (-1, b"", None, None)

    def to_wire(value: Any) -> bytes:
        nonlocal written
        known, shape, header = written
        if type(value) is np.ndarray and value.dtype is known and value.shape == shape:
            return b"".join((header, value if value.flags.c_contiguous else value.tobytes()))
        check(value)
        try:
            blob = array_to_bytes(value)
            if type(value) is np.ndarray and value.dtype.kind in _FIXED_KINDS:
                written = (value.dtype, value.shape, array_header(value.dtype, value.shape))
        except (ValueError, TypeError) as error:
            raise Misfit(label, describe(value), str(error)) from error
        return blob

    def from_wire(value: Any, copy: bool) -> Any:
        nonlocal read
        if not isinstance(value, (memoryview, bytes)):
            check(value)
            return value
        size, header, shape, seen = read
        at = len(header)
        if len(value) == size and value[:at] == header:
            alike: Any = np.ndarray(shape, seen, value, at)
            if not copy:
                return _locked(alike)
            return alike if _may_view(value, alike) else alike.copy()
        try:
            array = bytes_to_array(value, copy=copy)
        except ValueError as error:
            raise Misfit(label, f"{len(value)} bytes: {error}") from error
        check(array)
        if array.dtype.kind in _FIXED_KINDS:
            header = array_header(array.dtype, array.shape)
            if value[: len(header)] == header:  # and no .npy file
                read = (len(value), header, array.shape, array.dtype)
        return array

    return ValueCodec(
        label=label,
        kinds=frozenset(("bin",)),
        to_wire=to_wire,
        from_wire=from_wire,
        wire_type=lambda: memoryview,
        natural=(np.ndarray,),
        kind="ndarray" if bulk else "other",
        dtype=dtype,
        shape=dims,
    )


_VIEW_BYTES = 16 << 10


def _may_view(data: memoryview | bytes, array: "np.ndarray[Any, Any]") -> bool:
    """Whether a large array may stay where it is: in memory that it may be written to."""
    writable = type(data) is memoryview and not data.readonly
    return writable and array.nbytes >= _VIEW_BYTES and array.dtype.alignment == 1


def _locked(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    array.flags.writeable = False
    return array


def declared_scalars(annotation: Any) -> tuple[type, ...] | None:
    """The scalar types that an array annotation allows its elements, or None for any.

    Raises:
        TypeError: Arrays of a declared dtype cannot be written.

    Examples:
        >>> from numpy.typing import NDArray
        >>> declared_scalars(NDArray[np.uint8])
        (<class 'numpy.uint8'>,)
    """
    declared = get_args(bare(annotation)[0])
    if len(declared) < 2:
        return None
    kind, _ = bare(declared[1])
    if isinstance(kind, type) and issubclass(kind, np.dtype) and get_origin(kind) is None:
        scalar: Any = getattr(kind, "type", None)  # np.dtypes.Float32DType
        found = [scalar] if isinstance(scalar, type) else []
    else:
        arguments = get_args(kind)
        inner, _ = bare(arguments[0]) if arguments else (Any, ())
        found = [bare(member)[0] for member in union_members(inner) or (inner,)]
        found = [get_origin(member) or member for member in found]
    if not found or any(f in (Any, np.generic) or isinstance(f, TypeVar) for f in found):
        return None
    for scalar in found:
        if not isinstance(scalar, type) or not issubclass(scalar, np.generic):
            raise TypeError(f"{scalar!r} is no element type of numpy's.")
        _check_scalar(scalar)
    return tuple(found)


def _declared_dims(annotation: Any) -> Dims | None:
    """The dimensions that `np.ndarray[tuple[int, int], ...]` asks for, or None for any."""
    kind, _ = bare(annotation)
    sizes = get_args(kind)
    if get_origin(kind) is not tuple or ... in sizes:
        return None
    dims: list[int | None] = []
    for size in sizes:
        fixed = get_args(size)[0] if get_origin(size) is Literal else None
        dims.append(fixed if isinstance(fixed, int) else None)
    return tuple(dims)


def _check_scalar(scalar: type[Any]) -> None:
    name = scalar.__name__
    if issubclass(scalar, np.object_):
        raise TypeError(
            "Python objects cannot be written: use a list, or a dtype of plain values."
        )
    for wide, narrow in ((np.longdouble, "float64"), (np.clongdouble, "complex128")):
        if scalar is wide and np.dtype(wide).itemsize > np.dtype(narrow).itemsize:
            raise TypeError(f"np.{name} differs between machines: use np.{narrow}.")


def _is_abstract(scalar: type[Any]) -> bool:
    return scalar.__module__ == "numpy" and any(
        base is not scalar and issubclass(base, scalar) for base in np.sctypeDict.values()
    )


def _is_fixed(scalars: tuple[type, ...]) -> bool:
    if len(scalars) != 1 or _is_abstract(scalars[0]):
        return False
    dtype = np.dtype(scalars[0])
    return dtype.kind in _FIXED_KINDS or (dtype.kind == "V" and dtype.itemsize > 0)


def _sized_scalar_codec(kind: type[Any], plain: ValueCodec) -> ValueCodec:
    label = f"np.{kind.__name__}"
    make: Callable[[Any], Any] = kind

    def exact(value: Any) -> Any:
        if type(value) is kind:
            return value
        number = plain.from_wire(value, True)
        if isinstance(number, (str, bytes)):
            return make(number)
        try:
            with np.errstate(all="ignore"):
                made = make(number)
        except (OverflowError, ValueError):
            raise wrong(label, value) from None
        # Back in Python's type: numpy itself would compare in the narrower of the two.
        if type(number)(made) == number or number != number:  # noqa: PLR0124 - or it is NaN
            return made
        raise wrong(label, value, f"{label} cannot hold this number exactly.")

    return ValueCodec(
        label=label,
        kinds=plain.kinds,
        to_wire=lambda value: plain.to_wire(exact(value)),
        from_wire=lambda value, _: exact(value),
        wire_type=plain.wire_type,
        recheck=plain.recheck,
        natural=(kind,),
    )


def _time_codec(kind: type[Any]) -> ValueCodec:
    label = f"np.{kind.__name__}"
    array = _array_codec((kind,), ())

    def to_wire(value: Any) -> Any:
        if not isinstance(value, kind):
            raise wrong(label, value)
        return array.to_wire(np.asarray(value))

    def from_wire(value: Any, copy: bool) -> Any:
        if isinstance(value, kind):
            to_wire(value)
            return value
        return array.from_wire(value, copy)[()]

    return ValueCodec(
        label=label,
        kinds=array.kinds,
        to_wire=to_wire,
        from_wire=from_wire,
        wire_type=array.wire_type,
        natural=(kind,),
    )


ANY_ARRAY = _array_codec(None, None)
"""Any array that can be written."""
