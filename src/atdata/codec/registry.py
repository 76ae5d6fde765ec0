"""Which array format a value, an annotation or a name means.

Formats are named here as text and loaded on use, and a value is told by the name of its class: so
asking imports neither numpy nor any library that a format needs.
"""

import types
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Annotated, Any, TypeAliasType, Union, get_args, get_origin

from atdata._exceptions import printable
from atdata._protocols import ArrayFormat
from atdata.codec.markers import Format

GROUP = "atdata.array_formats"
"""The entry point group in which other packages name theirs: a name, and `module:Class`."""

_FORMATS = {
    "ndarray": "atdata.codec.formats.ndarray:NdarrayFormat",
    "structured": "atdata.codec.formats.structured:StructuredFormat",
    "sparse": "atdata.codec.formats.sparse:SparseFormat",
    "arrow_tensor": "atdata.codec.formats.arrow_tensor:ArrowTensorFormat",
    "safetensors": "atdata.codec.formats.safetensors:SafetensorsFormat",
    "dataframe": "atdata.codec.formats.dataframe:DataframeFormat",
}
# By the package and the name of a class, or of one of its bases.
_CLASSES = {
    ("numpy", "ndarray"): "ndarray",
    ("scipy", "sparray"): "sparse",
    ("scipy", "spmatrix"): "sparse",
    ("pyarrow", "Tensor"): "arrow_tensor",
    ("pandas", "DataFrame"): "dataframe",
}


@lru_cache(maxsize=64)
def format_named(name: str) -> ArrayFormat:
    """The array format of that name: one of ours, else one that an installed package brings.

    Raises:
        ValueError: There is none; the names that exist are listed.
        TypeError: What a package brings under that name is no array format.

    Examples:
        >>> format_named("ndarray").name
        'ndarray'
    """
    if name in _FORMATS:
        module, _, attribute = _FORMATS[name].partition(":")
        made = getattr(import_module(module), attribute)()
    else:
        others = entry_points(group=GROUP)
        found = next(iter(others.select(name=name)), None)
        if found is None:
            known = ", ".join([*_FORMATS, *sorted(others.names)])
            raise ValueError(f"no array format {printable(repr(name))}\n  There are: {known}")
        made = found.load()()
    if not isinstance(made, ArrayFormat):
        raise TypeError(
            f"{type(made).__qualname__} is registered as array format {name!r} and is none\n"
            "  It needs name, accepts(value), encode(value) and decode(data, copy=...)"
        )
    return made


def format_for_value(value: object) -> ArrayFormat | None:
    """The format that a value is written in by itself, or None if it is no kind of array.

    An array with named fields is one of format `"ndarray"` as well. A dictionary is none: say
    `Format("safetensors")` for that.

    Examples:
        >>> import numpy as np
        >>> format_for_value(np.zeros(3)).name
        'ndarray'
        >>> format_for_value("text") is None
        True
    """
    return _format_of(type(value))


def format_for_annotation(annotation: object) -> ArrayFormat | None:
    """The format that an annotation means, or None if it means no kind of array.

    `Annotated` is looked into, and its `Format` decides; so are aliases, subscripts and
    `X | None`. An annotation that is still text is not: resolve it first.

    Examples:
        >>> import numpy as np
        >>> from numpy.typing import NDArray
        >>> format_for_annotation(NDArray[np.float32] | None).name
        'ndarray'
        >>> format_for_annotation(dict[str, NDArray]) is None
        True
    """
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *marks = get_args(annotation)
        named: list[Any] = [mark for mark in marks if isinstance(mark, Format)]
        return format_named(named[-1].name) if named else format_for_annotation(inner)
    if isinstance(annotation, TypeAliasType):
        return format_for_annotation(annotation.__value__)
    if origin is Union or origin is types.UnionType:
        members = [arg for arg in get_args(annotation) if arg is not types.NoneType]
        return format_for_annotation(members[0]) if len(members) == 1 else None
    if origin is not None:
        return format_for_annotation(origin)
    return _format_of(annotation) if isinstance(annotation, type) else None


def _format_of(kind: type[Any]) -> ArrayFormat | None:
    for base in kind.__mro__:
        name = _CLASSES.get((base.__module__.partition(".")[0], base.__name__))
        if name is not None:
            return format_named(name)
    return None
