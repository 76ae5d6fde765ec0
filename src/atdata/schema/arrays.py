"""Array and scalar types as data, and back. Loaded where numpy is loaded, or needed."""

from typing import Annotated, Any, Union

import numpy as np
from numpy.typing import NDArray

from atdata._lazy import require
from atdata.codec.arrays import array_codec, declared_scalars, scalar_codec
from atdata.codec.markers import Dimension, Shape
from atdata.model.field_type import SchemaFieldType, is_dtype


def array_type(kind: Any, shape: Shape | None) -> SchemaFieldType | None:
    """The schema's type for an array's or a scalar's annotation, or None for another one.

    Examples:
        >>> print(array_type(NDArray[np.uint8], Shape("H", "W", 3)))
        NDArray[uint8, (H, W, 3)]
    """
    codec = array_codec(kind, shape)
    if codec is None:
        found = scalar_codec(kind)
        return SchemaFieldType("scalar", dtype=_name(kind)) if found is not None else None
    scalars = declared_scalars(kind)
    dims = codec.shape
    sizes = names = None
    if dims is not None:
        sizes = tuple("..." if d is ... else d if isinstance(d, int) else None for d in dims)
        found_names = tuple(d if isinstance(d, str) else None for d in dims)
        names = found_names if any(found_names) else None
    dtype = "|".join(sorted({_name(scalar) for scalar in scalars})) if scalars else None
    return SchemaFieldType("ndarray", dtype=dtype, shape=sizes, dimension_names=names)


def array_annotation(kind: SchemaFieldType) -> Any:
    """The annotation of a schema's array or scalar type.

    Raises:
        TypeError: There is no such element type here.

    Examples:
        >>> array_annotation(SchemaFieldType("scalar", dtype="float32"))
        <class 'numpy.float32'>
    """
    if kind.kind == "scalar":
        return _scalar(str(kind.dtype))
    if not kind.exact:
        return NDArray[Any]
    annotation: Any = NDArray[Any]
    if kind.dtype is not None:
        scalars = tuple(map(_scalar, kind.dtype.split("|")))
        annotation = NDArray[Union[scalars]]  # type: ignore[valid-type]  # noqa: UP007 - at run time
    if kind.shape is not None:
        annotation = Annotated[annotation, Shape(*dims(kind))]
    return annotation


def dims(kind: SchemaFieldType) -> list[Dimension]:
    """A type's dimensions as `Shape` takes them.

    Examples:
        >>> dims(SchemaFieldType("ndarray", shape=(None, 3), dimension_names=("N", None)))
        ['N', 3]
    """
    shape = kind.shape or ()
    names = kind.dimension_names or (None,) * len(shape)
    return [
        ... if size == "..." else name if name is not None else size
        for size, name in zip(shape, names, strict=True)
    ]


def _scalar(name: str) -> Any:
    if not is_dtype(name):
        raise TypeError(f"{name!r} is no element type.")
    found = getattr(np, name, None)
    if found is None:
        found = getattr(require("ml_dtypes", extra="ml-dtypes"), name, None)
    if not isinstance(found, type) or not issubclass(found, np.generic):
        raise TypeError(f"there is no element type {name!r} in the installed libraries.")
    return found


def _name(scalar: type[Any]) -> str:
    """As numpy calls it; `bool_` is `bool`."""
    return "bool" if scalar is np.bool_ else scalar.__name__
