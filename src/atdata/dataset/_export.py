"""Samples as rows of other libraries, with bounded memory where those allow it."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from itertools import chain, islice
from pathlib import Path, PurePath
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from atdata._exceptions import SchemaError
from atdata._lazy import require
from atdata.codec.compile import FieldPlan, codec_of
from atdata.sample.dynamic import DictSample
from atdata.transport.file import commit, temporary_beside

_CONTAINERS = (np.ndarray, list, tuple, dict, set, frozenset)
_ROWS = 1024
_BYTES = 32 << 20


def row_of(sample: Any) -> dict[str, Any]:
    """A sample's fields by name, not copied; what has no fields is one field `value`."""
    if isinstance(sample, DictSample):
        return sample.to_dict()
    if dataclasses.is_dataclass(sample):
        return {f.name: getattr(sample, f.name) for f in dataclasses.fields(sample)}
    if isinstance(sample, Mapping):
        return dict(sample)
    return {"value": sample}


def _limited(samples: Iterable[Any], limit: int | None) -> Iterator[Any]:
    if limit is not None and limit < 0:
        raise ValueError(f"limit is {limit}; it must not be negative")
    return islice(samples, limit)


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Columns of rows that need not have the same fields; what a row lacks is None."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def to_dict(dataset: Any, limit: int | None) -> dict[str, list[Any]]:
    """See `Dataset.to_dict`."""
    return _columns([row_of(sample) for sample in _limited(dataset, limit)])


def to_pandas(dataset: Any, limit: int | None) -> Any:
    """See `Dataset.to_pandas`."""
    pandas = require("pandas", extra="pandas")
    columns = to_dict(dataset, limit)
    return pandas.DataFrame({name: _cells(values) for name, values in columns.items()})


def _cells(values: list[Any]) -> Any:
    """A column for pandas; containers and arrays are cells, not columns of their own."""
    if not any(isinstance(value, _CONTAINERS) for value in values):
        return values
    cells = np.empty(len(values), object)
    for row, value in enumerate(values):
        cells[row] = value
    return cells


def _tables(dataset: Any, rows: Iterator[dict[str, Any]], *, plain: bool) -> Iterator[Any]:
    """Arrow tables of one schema, each of moderate size.

    Args:
        dataset: Where the rows come from.
        rows: The rows.
        plain: The rows are the samples' own fields, so their declared types hold.
    """
    arrow = require("pyarrow", extra="arrow")
    types = _declared(arrow, dataset.sample_type) if plain else {}
    names: dict[str, None] = {}
    while some := _some(rows):
        columns = _columns(some)
        names |= dict.fromkeys(columns)
        arrays: dict[str, Any] = {}
        for name in names:
            values = columns.get(name) or [None] * len(some)
            try:
                arrays[name] = _arrow_array(arrow, values, types.get(name))
            except _ARROW_ERRORS as error:
                raise _unlike(name, types.get(name), error) from error
            types[name] = arrays[name].type
        yield arrow.table(arrays)


_ARROW_ERRORS = (
    TypeError,
    ValueError,
    OverflowError,
    NotImplementedError,
)  # Arrow's derive from these


def _unlike(name: str, wanted: Any, error: Exception) -> SchemaError:
    return SchemaError(
        "sample",
        path=name,
        wanted="values that make one Arrow column" if wanted is None else f"values of {wanted}",
        found=str(error),
        hint="Give a sample_map that leaves the field out or makes its values alike.",
    )


def _declared(arrow: Any, sample_type: Any) -> dict[str, Any]:
    """The Arrow type of each field that declares enough of itself."""
    try:
        plans = codec_of(sample_type).fields
    except TypeError:  # results of `map` may be of any type
        return {}
    scalars = {
        "int": arrow.int64(),
        "float": arrow.float64(),
        "bool": arrow.bool_(),
        "str": arrow.string(),
        "bytes": arrow.binary(),
    }
    found = {plan.name: scalars.get(plan.kind) or _tensor(arrow, plan) for plan in plans}
    return {name: kind for name, kind in found.items() if kind is not None}


def _tensor(arrow: Any, plan: FieldPlan) -> Any:
    """The type of arrays of one declared shape; None where the values must tell."""
    shape = plan.shape or ()
    if plan.dtype is None or plan.dtype.kind not in "iuf" or plan.optional or not shape:
        return None
    sizes = [dim for dim in shape if isinstance(dim, int) and dim > 0]
    if len(sizes) < len(shape):
        return None
    leaf = arrow.from_numpy_dtype(plan.dtype.newbyteorder("="))
    return (
        arrow.list_(leaf, sizes[0]) if len(sizes) == 1 else arrow.fixed_shape_tensor(leaf, sizes)
    )


def _some(rows: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows for one table: a thousand, or fewer where they are large."""
    taken: list[dict[str, Any]] = []
    n_bytes = 0
    for row in rows:
        taken.append(row)
        n_bytes += sum(
            getattr(value, "nbytes", len(value) if isinstance(value, bytes | str) else 16)
            for value in row.values()
        )
        if len(taken) >= _ROWS or n_bytes >= _BYTES:
            break
    return taken


def _arrow_array(arrow: Any, values: list[Any], wanted: Any) -> Any:
    """A column for Arrow: of the type that is wanted, or else of one that its values tell."""
    arrays = [value for value in values if isinstance(value, np.ndarray)]
    if not arrays:
        return arrow.array([_plain(value) for value in values], type=_not_null(arrow, wanted))
    if isinstance(wanted, arrow.FixedShapeTensorType) and len(arrays) == len(values):
        stacked = np.stack(arrays).astype(arrays[0].dtype.newbyteorder("="))
        return arrow.FixedShapeTensorArray.from_numpy_ndarray(stacked)
    found = _nested(arrow, values, arrays)
    wanted = _not_null(arrow, wanted)
    return found if wanted is None or found.type == wanted else found.cast(wanted)


def _not_null(arrow: Any, kind: Any) -> Any:
    """A type, or None for that of a column that had no value so far."""
    return None if kind is None or arrow.types.is_null(kind) else kind


def _nested(arrow: Any, values: list[Any], arrays: list[NDArray[Any]]) -> Any:
    """Arrays of one rank and any shapes as lists in lists, and None as null."""
    ranks = {array.ndim for array in arrays}
    if len(ranks) > 1 or any(
        value is not None and not isinstance(value, np.ndarray) for value in values
    ):
        raise TypeError(f"arrays of {sorted(ranks)} dimensions, or other values among them")
    rank = ranks.pop()
    flat = np.concatenate([array.reshape(-1) for array in arrays])
    native = flat.astype(flat.dtype.newbyteorder("="), copy=False)
    absent = np.array([value is None for value in values])
    if rank == 0:
        filled = np.zeros(len(values), native.dtype)
        filled[~absent] = native
        return arrow.array(filled, mask=absent)
    column = arrow.array(native)
    for level in range(rank - 1, 0, -1):
        column = _lists(arrow, column, np.concatenate([_lengths(one, level) for one in arrays]))
    lengths = np.zeros(len(values), np.int64)
    lengths[~absent] = [array.shape[0] for array in arrays]
    return _lists(arrow, column, lengths, arrow.array(absent))


def _lengths(array: NDArray[Any], level: int) -> NDArray[Any]:
    """The lengths of all lists on one level of an array."""
    return np.full(math.prod(array.shape[:level]), array.shape[level])


def _lists(arrow: Any, column: Any, lengths: NDArray[Any], mask: Any = None) -> Any:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return arrow.ListArray.from_arrays(arrow.array(offsets), column, mask=mask)


def _plain(value: Any) -> Any:
    """A value as Arrow takes it."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(one) for name, one in row_of(value).items()}
    if isinstance(value, complex):
        return {"real": value.real, "imag": value.imag}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, UUID | PurePath) else value


def to_arrow(dataset: Any, limit: int | None) -> Any:
    """See `Dataset.to_arrow`."""
    arrow = require("pyarrow", extra="arrow")
    rows = map(row_of, _limited(dataset, limit))
    tables = list(_tables(dataset, rows, plain=True))
    return arrow.concat_tables(tables, promote_options="default") if tables else arrow.table({})


def to_parquet(
    dataset: Any,
    path: str | Path,
    sample_map: Callable[[Any], Mapping[str, Any]] | None,
    maxcount: int | None,
    **kwargs: Any,
) -> None:
    """See `Dataset.to_parquet`."""
    if maxcount is not None and maxcount < 1:
        raise ValueError(f"maxcount is {maxcount}; a file holds at least one row")
    rows = map(row_of if sample_map is None else lambda s: dict(sample_map(s)), dataset)
    final = Path(path)
    written: list[tuple[Path, Path]] = []
    try:
        for number, some in enumerate(_files(rows, maxcount)):
            name = final if maxcount is None else final.with_stem(f"{final.stem}-{number:06d}")
            written.append((temporary_beside(name), name))
            tables = _tables(dataset, some, plain=sample_map is None)
            _write_file(written[-1][0], tables, **kwargs)
        for temporary, name in written:
            commit(temporary, name)
    except BaseException:
        for temporary, _ in written:
            temporary.unlink(missing_ok=True)
        raise


def _files(
    rows: Iterator[dict[str, Any]], maxcount: int | None
) -> Iterator[Iterator[dict[str, Any]]]:
    """The rows of each file; without a limit all rows are of one, even if there are none."""
    if maxcount is None:
        yield rows
        return
    for first in rows:
        yield chain([first], islice(rows, maxcount - 1))


def _write_file(path: Path, tables: Iterator[Any], **kwargs: Any) -> None:
    parquet = require("pyarrow.parquet", extra="arrow")
    arrow = require("pyarrow", extra="arrow")
    first = next(tables, None)
    schema = arrow.schema([]) if first is None else first.schema
    with parquet.ParquetWriter(path, schema, **kwargs) as writer:
        for table in () if first is None else chain([first], tables):
            if table.column_names != schema.names:
                more = ", ".join(sorted(set(table.column_names) - set(schema.names)))
                raise _unlike(more, None, ValueError("not in the first rows, which made the file"))
            try:
                writer.write_table(table.cast(schema))
            except _ARROW_ERRORS as error:
                raise _unlike("", schema, error) from error
