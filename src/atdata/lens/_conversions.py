"""The transforms of a mapped lens: each reads a value of the view, and writes one back.

A value that would not come back as it was is refused with `UnfitError`, which the lens turns into
an error that names the field. numpy is looked up among the modules that are loaded: without it
there are no arrays.
"""

import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from atdata.lens._laws import same
from atdata.model.lens_parts import (
    AsType,
    Cast,
    Constant,
    Default,
    Transform,
    UnfitError,
    Unwrap,
    shown,
)

_INT = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Conversion:
    """A transform at work.

    Attributes:
        read: The value for the view, from the source's.
        write: The value for the source, from the view's and from what the source has there.
    """

    read: Callable[[Any], Any]
    write: Callable[[Any, Any], Any]


def conversion(transform: Transform, dtype: Any = None) -> Conversion:
    """What a transform does, in both directions.

    Args:
        transform: The transform.
        dtype: The dtype that the source declares, if it does: that of an array where none is yet.

    Examples:
        >>> whole = conversion(Cast("float->int"))
        >>> whole.read(3.0), whole.write(4, 3.0)
        (3, 4.0)
        >>> conversion(Default(0)).write(0, None) is None
        True
    """
    match transform:
        case Cast():
            forth, back = _CASTS[transform.cast], _CASTS[transform.inverse]
            return Conversion(forth, lambda v, _: back(v))
        case AsType(name, lossy=False):
            return Conversion(
                lambda a: None if a is None else _exact(_array(a), name),
                lambda v, a: None if v is None else _exact(_array(v), _dtype(a, dtype, v)),
            )
        case AsType(name):
            return _where_changed(
                lambda a: None if a is None else _changed(_array(a), name),
                lambda v, a: None if v is None else _changed(_array(v), _dtype(a, dtype, v)),
            )
        case Default(value):
            return _where_changed(lambda s: value if s is None else s, lambda v, _: v)
        case Constant(value):
            return Conversion(lambda _: value, lambda v, _: v)
        case Unwrap():
            return Conversion(_present, lambda v, _: _present(v))


def _where_changed(read: Callable[[Any], Any], write: Callable[[Any, Any], Any]) -> Conversion:
    """A conversion that loses something, and so leaves alone what the view did not change."""
    return Conversion(read, lambda v, s: s if same(read(s), v) else write(v, s))


def _present(value: Any) -> Any:
    if value is None:
        raise UnfitError("a value", "None")
    return value


def _is(value: Any, kind: type) -> None:
    if type(value) is not kind:
        raise UnfitError(f"exactly {kind.__name__}", shown(value))


def _int_to_float(value: int) -> float:
    _is(value, int)
    try:
        made = float(value)
    except OverflowError:
        made = math.inf
    if math.isinf(made) or int(made) != value:
        raise UnfitError("an int that a float holds exactly", shown(value))
    return made


def _float_to_int(value: float) -> int:
    _is(value, float)
    if not value.is_integer() or (value == 0 and math.copysign(1, value) < 0):
        raise UnfitError("a whole number", shown(value))
    return int(value)


def _int_to_str(value: int) -> str:
    _is(value, int)
    try:
        return str(value)
    except ValueError:
        raise UnfitError("an int of at most a few thousand digits", shown(value)) from None


def _str_to_int(value: str) -> int:
    _is(value, str)
    try:
        if _INT.fullmatch(value):
            return int(value)
    except ValueError:
        pass  # too many digits for Python
    raise UnfitError("an int as Python writes it, such as '7'", shown(value))


def _float_to_str(value: float) -> str:
    _is(value, float)
    return repr(value)


def _str_to_float(value: str) -> float:
    _is(value, str)
    try:
        made = float(value)
    except ValueError:
        made = math.nan
    if repr(made) != value:
        raise UnfitError("a float as Python writes it, such as '0.5'", shown(value))
    return made


def _bool_to_int(value: bool) -> int:
    _is(value, bool)
    return int(value)


def _int_to_bool(value: int) -> bool:
    _is(value, int)
    if value not in (0, 1):
        raise UnfitError("0 or 1", shown(value))
    return bool(value)


def _str_to_bytes(value: str) -> bytes:
    _is(value, str)
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise UnfitError("valid Unicode text", shown(value)) from None


def _bytes_to_str(value: bytes) -> str:
    _is(value, bytes)
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise UnfitError("bytes that are UTF-8", shown(value)) from None


def _or_none(exact: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else exact(value)


_CASTS: dict[str, Callable[[Any], Any]] = {
    "bool->int": _or_none(_bool_to_int),
    "int->bool": _or_none(_int_to_bool),
    "int->float": _or_none(_int_to_float),
    "float->int": _or_none(_float_to_int),
    "int->str": _or_none(_int_to_str),
    "str->int": _or_none(_str_to_int),
    "float->str": _or_none(_float_to_str),
    "str->float": _or_none(_str_to_float),
    "str->bytes": _or_none(_str_to_bytes),
    "bytes->str": _or_none(_bytes_to_str),
}


def _array(value: Any) -> Any:
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.ndarray) or value.dtype.kind not in "biuf":
        found = f"{shown(value)} of {value.dtype}" if hasattr(value, "dtype") else shown(value)
        raise UnfitError("an array of bools, ints or floats", found)
    return value


def _dtype(there: Any, declared: Any, written: Any) -> Any:
    """The dtype to write an array back in: that of the sample's, where it has one."""
    if there is not None:
        return there.dtype
    return written.dtype if declared is None else declared


def _changed(array: Any, dtype: Any) -> Any:
    numpy: Any = sys.modules["numpy"]
    with numpy.errstate(all="ignore"):
        return array.astype(dtype, copy=False)


def _exact(array: Any, dtype: Any) -> Any:
    made = _changed(array, dtype)
    if made is not array and array.size and not _keeps(array, made):
        found = f"an array of {array.dtype} with others among them"
        raise UnfitError(f"elements that {made.dtype} holds exactly", found)
    return made


def _keeps(array: Any, made: Any) -> bool:
    """Whether an array has the same elements after it was given another dtype.

    What a machine makes of a number out of range differs, so ranges are looked at first.
    """
    numpy: Any = sys.modules["numpy"]
    has, wants = array.dtype, made.dtype
    if has.kind in "iu" and wants.kind in "iub":
        low, high = _range(wants)
        return bool(low <= int(array.min()) and int(array.max()) <= high)
    if numpy.can_cast(has, wants) and not (has.kind in "iu" and has.itemsize == 8):
        return True
    floats, whole = (array, wants) if has.kind == "f" else (made, has)
    if whole.kind in "iu":
        low, high = _range(whole)
        # As a float, the highest int of 64 bits is one more than it is: hence `<`, and + 1.
        if not (float(low) <= float(floats.min()) and float(floats.max()) < float(high + 1)):
            return False
    back = _changed(made, has)
    if has.kind == "f" and wants.kind == "f":
        return bool(((array == back) | numpy.isnan(array)).all())
    alike = array == back
    if has.kind == "f":
        alike &= numpy.signbit(array) == numpy.signbit(back)
    return bool(alike.all())


def _range(dtype: Any) -> tuple[int, int]:
    numpy: Any = sys.modules["numpy"]
    if dtype.kind == "b":
        return 0, 1
    info = numpy.iinfo(dtype)
    return int(info.min), int(info.max)
