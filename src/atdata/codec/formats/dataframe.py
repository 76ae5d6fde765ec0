"""pandas DataFrames, as Parquet files.

Written by pyarrow, index included, and read back once before the bytes are given out: what Parquet
would change is refused when it is written. Files by fastparquet are read too. Reading is bounded
by the size of the blob, whatever the file says of itself.
"""

import json
import sys
from typing import Any

from atdata._exceptions import printable
from atdata._lazy import require
from atdata.codec.npy import flat_bytes
from atdata.codec.parquet import check_expansion

_EXPANSION = 64
_SLACK = 256 * 1024 * 1024
_MOST_PARTS = 1_000_000


def dataframe_to_bytes(x: Any) -> bytes:
    """Pack a DataFrame as a Parquet file, with its index.

    Args:
        x: A DataFrame whose columns have unique text names and each one type. Cells that are
            missing come back missing, whichever way that is spelled (`None`, `nan`, `NA`).

    Raises:
        TypeError: It is not a DataFrame.
        ValueError: A column, the index or a name would not come back the same; says which.
        MissingExtraError: pandas or pyarrow is not installed.

    Examples:
        >>> import pandas as pd
        >>> dataframe_to_bytes(pd.DataFrame({"a": [1, 2]}))[:4]
        b'PAR1'
    """
    pandas = require("pandas", extra="pandas")
    arrow = require("pyarrow", extra="pandas")
    if not isinstance(x, pandas.DataFrame):
        raise TypeError(f"Expected pandas DataFrame, found {type(x).__name__}")
    _check_names(x)
    try:
        table = arrow.Table.from_pandas(x, nthreads=1)
        sink = arrow.BufferOutputStream()
        require("pyarrow.parquet", extra="pandas").write_table(table, sink)
    except Exception as error:  # Arrow's errors are ValueErrors, TypeErrors, NotImplementedErrors
        raise ValueError(
            f"Parquet cannot hold this DataFrame: {printable(error)}{_at_fault(x)}\n"
            "  Give each column one type, as in df['x'].astype(str)"
        ) from error
    packed = bytes(sink.getvalue())
    _check_same(x, bytes_to_dataframe(packed))
    return packed


def bytes_to_dataframe(b: bytes | bytearray | memoryview, *, copy: bool = True) -> Any:
    """Unpack a DataFrame, with its index.

    Args:
        b: A Parquet file by pyarrow, fastparquet or pandas.
        copy: Has no effect: the columns are always fresh.

    Raises:
        ValueError: The file is damaged, or unpacks to far more than its size.
        MissingExtraError: pandas or pyarrow is not installed.

    Examples:
        >>> import pandas as pd
        >>> bytes_to_dataframe(dataframe_to_bytes(pd.DataFrame({"a": [1, 2]})))
           a
        0  1
        1  2
    """
    del copy
    data = flat_bytes(b)
    require("pandas", extra="pandas")
    require("pyarrow", extra="pandas")
    require("pyarrow.parquet", extra="pandas")
    try:
        table, json_columns = _read_table(data, _EXPANSION * len(data) + _SLACK)
        frame = table.to_pandas(use_threads=False)
        _as_written(frame, table)
        for name in json_columns:  # fastparquet's form of columns of lists and dicts
            frame[name] = [
                None if c is None else json.loads(c) for c in table.column(name).to_pylist()
            ]
    except Exception as error:  # as above; and what a file says of itself may break any of it
        raise ValueError(f"Parquet file cannot be read: {printable(error)}") from error
    return frame


def _check_names(frame: Any) -> None:
    names: list[object] = list(frame.columns)
    other = [name for name in names if not isinstance(name, str)]
    if other:
        raise ValueError(
            f"column name {printable(repr(other[0]))} is not text, and Parquet has no others\n"
            "  Rename the columns:  df.columns = df.columns.map(str)"
        )
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"column name {printable(repr(twice))} is there more than once\n"
            "  Give each column a name of its own"
        )
    for name in [*frame.index.names, *frame.columns.names]:
        if name is not None and not isinstance(name, str):
            raise ValueError(
                f"index name {printable(repr(name))} is not text, and Parquet has no others\n"
                "  Rename the index:  df.rename_axis('name')"
            )


def _at_fault(frame: Any) -> str:
    array = require("pyarrow", extra="pandas").Array
    for name in frame.columns:
        try:
            array.from_pandas(frame[name])
        except Exception:  # whatever it is, it was raised above
            return f"\n  column  {printable(repr(name))}"
    return ""


def _check_same(wrote: Any, read: Any) -> None:
    for name in wrote.columns:
        before, after = wrote[name], read[name]
        try:
            same = bool(before.dtype == after.dtype and after.equals(before))
        except ValueError:  # cells that are arrays have no truth value
            same = False
        if not same:
            raise ValueError(
                f"column {printable(repr(name))} of dtype {before.dtype} would not come back the "
                f"same from Parquet, but as {after.dtype}\n"
                "  Give it one plain type, as in df['x'].astype(str), or keep it in its own field"
            )
    same_index = wrote.index.equals(read.index) and wrote.index.names == read.index.names
    if not same_index or wrote.columns.names != read.columns.names:
        raise ValueError(
            f"the index {printable(repr(wrote.index))} would not come back the same from Parquet\n"
            "  Make it a column:  df.reset_index()"
        )


def _read_table(data: memoryview, limit: int) -> tuple[Any, list[str]]:
    arrow, parquet = require("pyarrow", extra="pandas"), require("pyarrow.parquet", extra="pandas")
    limits = {
        "thrift_string_size_limit": max(1, len(data)),
        "thrift_container_size_limit": _MOST_PARTS,
    }
    # First, and not with what pyarrow offers: asked for a damaged column, that ends the process.
    check_expansion(data, limit)
    buffer = arrow.py_buffer(data)
    plain = parquet.ParquetFile(arrow.BufferReader(buffer), **limits)
    columns = [plain.schema.column(i) for i in range(plain.metadata.num_columns)]
    # One long text can stand in a dictionary and be meant a million times: count before expanding.
    file = parquet.ParquetFile(
        arrow.BufferReader(buffer),
        metadata=plain.metadata,
        read_dictionary=[c.path for c in columns if c.physical_type == "BYTE_ARRAY"],
        **limits,
    )
    table = file.read(use_threads=False)
    expanded = sum(_text_size(chunk) for column in table.columns for chunk in column.chunks)
    if expanded > limit:
        raise ValueError(f"its texts expand to {expanded} bytes, {limit} allowed")
    wanted = plain.schema_arrow
    for at, field in enumerate(wanted):
        if table.schema.field(at).type != field.type:
            table = table.set_column(at, field, table.column(at).cast(field.type))
    table = table.replace_schema_metadata(wanted.metadata)
    return table, [c.path for c in columns if c.logical_type.type == "JSON" and "." not in c.path]


def _text_size(array: Any) -> int:
    arrow = require("pyarrow", extra="pandas")
    compute = require("pyarrow.compute", extra="pandas")
    kind = array.type
    if isinstance(kind, arrow.DictionaryType):
        values = array.dictionary
        if not (arrow.types.is_binary(values.type) or arrow.types.is_string(values.type)):
            return 0
        each = compute.take(compute.binary_length(values), array.indices)
        return compute.sum(compute.cast(each, "int64")).as_py() or 0
    if isinstance(kind, arrow.StructType):
        return sum(map(_text_size, array.flatten()))
    if isinstance(kind, arrow.MapType):
        return _text_size(array.keys) + _text_size(array.items)
    if isinstance(kind, arrow.ListType | arrow.LargeListType | arrow.FixedSizeListType):
        return _text_size(array.flatten())
    return 0


def _as_written(frame: Any, table: Any) -> None:
    """Give columns the dtype that pyarrow noted, where it gives another one on its own."""
    notes: dict[str, Any] = table.schema.pandas_metadata or {}
    if notes.get("creator", {}).get("library") != "pyarrow":
        return
    series = require("pandas", extra="pandas").Series
    for note in notes.get("columns", []):
        name, noted = note["name"], note["numpy_type"]
        if name is None or name not in frame.columns:
            continue
        column = frame[name]
        if noted == "object" and note["pandas_type"] == "unicode" and column.dtype != object:
            cells = table.column(name).to_numpy(zero_copy_only=False)
            frame[name] = series(cells, index=frame.index, dtype=object)
        elif str(noted).startswith("datetime64[s") and column.dtype.kind == "M":
            frame[name] = column.dt.as_unit("s")


class DataframeFormat:
    """pandas DataFrames."""

    name = "dataframe"

    def accepts(self, value: object) -> bool:
        """Whether the value is a DataFrame."""
        pandas = sys.modules.get("pandas")  # who has a frame has imported it
        return pandas is not None and isinstance(value, pandas.DataFrame)

    def encode(self, value: Any) -> bytes:
        """Write a DataFrame."""
        return dataframe_to_bytes(value)

    def decode(self, data: memoryview, *, copy: bool = True) -> Any:
        """Read a DataFrame."""
        return bytes_to_dataframe(data, copy=copy)
