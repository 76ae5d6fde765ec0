"""Hypothesis strategies for numpy arrays and scalars, by annotation."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.strategies import SearchStrategy

from atdata.codec.arrays import array_codec, declared_scalars, scalar_codec
from atdata.codec.markers import Shape

_ANY = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    hnp.complex_number_dtypes(sizes=(64, 128)),
    hnp.unicode_string_dtypes(min_len=1, max_len=4),
    hnp.byte_string_dtypes(min_len=1, max_len=4),
)
_SIZED = [np.dtype(name) for name in (*"?bhilqBHILQefdFD", "U4", "S4", "M8[us]", "m8[us]")]


def array_strategy(
    kind: Any, shape: Shape | None, sizes: Mapping[str, int]
) -> SearchStrategy[Any] | None:
    """A strategy for the arrays or scalars of an annotation, or None if it means neither.

    Args:
        kind: The annotation.
        shape: The declared shape, if any.
        sizes: What named dimensions are to be in this sample.
    """
    codec = array_codec(kind, shape)
    if codec is not None:
        scalars = declared_scalars(kind)
        shapes = _shapes(codec.shape, sizes)
        if scalars is not None and scalars[0].__module__.startswith("ml_dtypes"):
            return hnp.arrays(np.int8, shapes, elements=st.integers(0, 1)).map(
                lambda array: array.astype(scalars[0])
            )
        return hnp.arrays(_dtypes(scalars), shapes)
    if scalar_codec(kind) is None:
        return None
    if issubclass(kind, (np.datetime64, np.timedelta64)):
        return st.integers(-(2**40), 2**40).map(lambda n: kind(n, "us"))
    if issubclass(kind, np.str_):
        return st.text(st.characters(codec="utf-8"), max_size=8).map(kind)
    return hnp.from_dtype(np.dtype(_sized(kind)), allow_nan=False)


def _sized(kind: Any) -> Any:
    if issubclass(kind, (np.datetime64, np.timedelta64)):
        return f"{np.dtype(kind).char}8[us]"
    if issubclass(kind, (np.str_, np.bytes_)):
        return (kind, 4)
    return kind


def _dtypes(scalars: tuple[type, ...] | None) -> SearchStrategy[Any]:
    if scalars is None:
        return _ANY
    fitting = [s for s in scalars if not _is_abstract(s)]
    named = [np.dtype(_sized(scalar)) for scalar in fitting]
    return st.sampled_from(named or [d for d in _SIZED if issubclass(d.type, scalars)])


def _is_abstract(scalar: type) -> bool:
    try:
        return np.dtype(scalar).type is not scalar
    except TypeError:
        return True


def _shapes(dims: Any, sizes: Mapping[str, int]) -> SearchStrategy[Any]:
    if dims is None:
        return hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
    parts: list[SearchStrategy[tuple[int, ...]]] = []
    for dim in dims:
        if dim is ...:
            parts.append(hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3))
        elif isinstance(dim, int):
            parts.append(st.just((dim,)))
        elif isinstance(dim, str) and dim in sizes:
            parts.append(st.just((sizes[dim],)))
        elif isinstance(dim, str):
            parts.append(st.just((2,)))
        else:
            parts.append(st.integers(0, 3).map(lambda size: (size,)))
    return st.tuples(*parts).map(lambda found: tuple(side for part in found for side in part))
