"""Columns of several shards as one, exactly."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from atdata.predicate.arrow import pc

_WHOLE = 1 << 53
"""Up to here every integer is a float."""


def joined(path: str, pieces: Sequence[Any]) -> Any:
    """Arrays of a field one after the other, as one array of a type that holds all of them.

    Args:
        path: The field.
        pieces: A `pyarrow.Array` for each shard.

    Raises:
        TypeError: They are of several types, or of integers and floats that no one type holds.

    Examples:
        >>> from atdata.predicate.arrow import plain_list
        >>> big = joined("n", [pa.array([-1]), pa.array([2**64 - 1], pa.uint64())])
        >>> plain_list(big)
        [-1, 18446744073709551615]
    """
    kinds = {one.type for one in pieces if not pa.types.is_null(one.type)}
    if not kinds:
        return pa.nulls(sum(map(len, pieces)))
    wanted = _common(kinds)
    if wanted is None:
        shown = ", ".join(sorted(map(str, kinds)))
        raise TypeError(f"the values of {path!r} are of several types: {shown}")
    if pa.types.is_floating(wanted):
        for one in pieces:
            if _is_whole(one.type) and not _fits(one):
                raise TypeError(
                    f"the values of {path!r} are floats in some shards, and in others integers "
                    "beyond 2**53, which no float is"
                )
    cast = [one.cast(wanted) for one in pieces]
    return pa.concat_arrays([one for chunked in cast for one in _chunks(chunked)])


def _chunks(column: Any) -> list[Any]:
    return list(column.chunks) if isinstance(column, pa.ChunkedArray) else [column]


def _is_whole(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def _common(kinds: set[Any]) -> Any:
    """A type that holds the values of all; None if there is none."""
    if len(kinds) == 1:
        return next(iter(kinds))
    if all(map(pa.types.is_list, kinds)):
        inner = _common({kind.value_type for kind in kinds} - {pa.null()})
        return None if inner is None or pa.types.is_floating(inner) else pa.list_(inner)
    if all(map(_is_whole, kinds)):
        return pa.decimal128(20, 0)
    if all(_is_whole(kind) or pa.types.is_floating(kind) for kind in kinds):
        return pa.float64()
    return None


def _fits(column: Any) -> bool:
    found = pc.min_max(column).as_py()
    return all(one is None or abs(one) <= _WHOLE for one in found.values())
