"""The Parquet file beside a shard, written one row group at a time."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from blake3 import blake3

from atdata.manifest.pieces import Piece

KEY, OFFSET, SIZE, DIGEST = "__key__", "__offset__", "__size__", "__digest__"

PLACE_TYPES: dict[str, Any] = {
    KEY: pa.string(),
    OFFSET: pa.int64(),
    SIZE: pa.int64(),
    DIGEST: pa.uint64(),
}
"""What every manifest says of each sample, and its Arrow types."""

_ENCODINGS = {KEY: "DELTA_BYTE_ARRAY", OFFSET: "DELTA_BINARY_PACKED", SIZE: "DELTA_BINARY_PACKED"}


class TableWriter:
    """Writes row groups to a Parquet file; what their columns are may change on the way.

    A column that comes later is None in the rows before, and ints become as wide as the widest.
    Then the row groups lie in several files until `finish` joins them.

    Args:
        path: Where to write; more files are made beside it, under names that begin as its does.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parts: list[Path] = []
        self._writer: Any = None
        self._file: Any = None
        self._schema: Any = None
        self.rows: list[int] = []

    def write(self, places: Mapping[str, Any], pieces: Mapping[str, Piece]) -> None:
        """Write one row group; all arrays are of one length."""
        arrays = dict(places) | {path: piece.all() for path, piece in pieces.items()}
        table = pa.table(arrays)
        if self._writer is None or self._schema != table.schema:
            self._close()
            self._schema = table.schema
            part = self._path.with_name(f"{self._path.name}{len(self._parts) or ''}")
            self._parts.append(part)
            self._file = pa.OSFile(str(part), "wb")
            self._writer = _open(self._file, table.schema)
        self._writer.write_table(table, row_group_size=max(1, len(table)))
        self.rows.append(len(table))

    def finish(self, columns: Mapping[str, Any]) -> tuple[int, str]:
        """Complete the file with these columns.

        Returns:
            Its size and its BLAKE3.
        """
        self._close()
        wanted = pa.schema(list((PLACE_TYPES | dict(columns)).items()))
        if len(self._parts) != 1 or self._schema != wanted:
            self._join(wanted)
        digest, n_bytes = blake3(), 0
        with self._path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
                n_bytes += len(piece)
        return n_bytes, digest.hexdigest()

    def _join(self, wanted: Any) -> None:
        joined = self._path.with_name(f"{self._path.name}.all")
        parts, self._parts = self._parts, [*self._parts, joined]
        with pa.OSFile(str(joined), "wb") as file, _open(file, wanted) as writer:
            for part in parts:
                with pq.ParquetFile(part) as written:
                    for number in range(written.num_row_groups):
                        table = written.read_row_group(number)
                        arrays = [_column(table, one) for one in wanted]
                        n = max(1, len(table))
                        writer.write_table(pa.table(arrays, schema=wanted), row_group_size=n)
        for part in parts:
            part.unlink()
        joined.replace(self._path)
        self._parts = [self._path]

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._file.close()
            self._writer = None

    def abandon(self) -> None:
        """Stop, and remove what was written."""
        self._close()
        for part in self._parts:
            part.unlink(missing_ok=True)


def _open(file: Any, schema: Any) -> Any:
    return pq.ParquetWriter(
        file,
        schema,
        compression="snappy",
        use_dictionary=_in_dictionaries(schema),
        column_encoding=_ENCODINGS,
        write_statistics=True,
    )


def _in_dictionaries(schema: Any) -> Any:
    """The columns whose values probably repeat, as Parquet names their leaves."""
    return [
        f"{one.name}.list.element" if pa.types.is_list(one.type) else one.name
        for one in schema
        if one.name not in PLACE_TYPES
        and (pa.types.is_string(one.type) or pa.types.is_list(one.type))
    ]


def _column(table: Any, field: Any) -> Any:
    if field.name not in table.column_names:
        return pa.nulls(len(table), field.type)
    return table.column(field.name).combine_chunks().cast(field.type)
