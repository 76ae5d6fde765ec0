"""The Parquet file of a manifest as it is read: compared with its digest first, then by column."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from blake3 import blake3

from atdata._exceptions import ManifestError
from atdata.manifest.document import SamplesPart
from atdata.manifest.files import Identity, identity_of
from atdata.manifest.kinds import check_times, fits
from atdata.manifest.table import PLACE_TYPES

MAX_PARQUET = 4 << 30
"""Most bytes of a Parquet file that is fetched from elsewhere."""

MAX_GROUP_BYTES = 512 << 20
"""Most bytes of the columns of a row group that are asked for together, when they are decoded."""

_AT_ONCE = 1 << 12
_KEPT_BYTES = 256 << 20


class _Columns:
    """Columns that were read last, in all of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int, str], Any] = OrderedDict()
        self._n_bytes = 0

    def get(self, key: tuple[str, int, str]) -> Any:
        with self.lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: tuple[str, int, str], values: Any) -> None:
        with self.lock:
            if key not in self._kept:
                self._kept[key] = values
                self._n_bytes += values.nbytes
            while self._n_bytes > _KEPT_BYTES and len(self._kept) > 1:
                self._n_bytes -= self._kept.popitem(last=False)[1].nbytes


_columns = _Columns()
_verified: set[tuple[Identity, str]] = set()


def _renew() -> None:
    _columns.lock = threading.Lock()


os.register_at_fork(after_in_child=_renew)


class Table:
    """Row groups and columns of a Parquet file that its manifest vouches for."""

    def __init__(self, shard_id: str, part: SamplesPart) -> None:
        self._shard_id = shard_id
        self._part = part

    @property
    def row_groups(self) -> Sequence[int]:
        """Rows of each row group."""
        return self._part.row_groups

    def read(self, group: int, kinds: Mapping[str, str]) -> dict[str, Any]:
        """Some columns of a row group, as Arrow arrays.

        Args:
            group: Its number.
            kinds: The columns wanted, each with its kind; empty for what every manifest has.

        Raises:
            ManifestError: The file is not what the JSON says.
        """
        found: dict[str, Any] = {}
        missing: dict[str, str] = {}
        for path, kind in kinds.items():
            kept = _columns.get((self._part.blake3, group, path))
            if kept is None:
                missing[path] = kind
            else:
                found[path] = kept
        if missing:
            for path, values in self._parsed(group, missing).items():
                _columns.put((self._part.blake3, group, path), values)
                found[path] = values
        return found

    def _parsed(self, group: int, kinds: Mapping[str, str]) -> dict[str, Any]:
        with self._opened() as raw:
            try:
                with pq.ParquetFile(raw) as file:
                    self._check(file, kinds)
                    self._check_group(file, group)
                    table = self._decoded(file, group, list(kinds))
                    made = {path: _whole(table.column(path)) for path in kinds}
                for path, values in made.items():
                    check_times(kinds[path], values)
            except (pa.ArrowException, OSError, KeyError, ValueError, OverflowError) as error:
                raise self._damaged(str(error).partition("\n")[0]) from error
        for values in made.values():
            if len(values) != self._part.row_groups[group]:
                raise self._damaged(f"row group {group} has {len(values)} rows")
        return made

    def _check_group(self, file: pq.ParquetFile, group: int) -> None:
        """Refuse a row group that is not as the JSON says, before anything of it is decoded."""
        found = file.metadata.row_group(group)
        if found.num_rows != self._part.row_groups[group]:
            raise self._damaged(f"row group {group} has {found.num_rows} rows")
        if not 0 <= found.total_byte_size <= MAX_GROUP_BYTES:
            raise self._damaged(f"row group {group} has {found.total_byte_size} bytes")

    def _decoded(self, file: pq.ParquetFile, group: int, names: list[str]) -> Any:
        """Columns of a row group, decoded step by step: a few bytes may stand for very many."""
        n_bytes = 0
        batches: list[Any] = []
        # Without threads: Arrow may abort at exit after some have read from a Python file.
        for batch in file.iter_batches(_AT_ONCE, [group], names, use_threads=False):
            n_bytes += batch.nbytes
            if n_bytes > MAX_GROUP_BYTES:
                raise self._damaged(f"row group {group} swells to {n_bytes} bytes and more")
            batches.append(batch)
        if not batches:
            return file.read_row_group(group, names, use_threads=False)
        return pa.Table.from_batches(batches)

    def _check(self, file: pq.ParquetFile, kinds: Mapping[str, str]) -> None:
        """Refuse a file whose columns are not those that the JSON promises."""
        n = len(self._part.row_groups)
        if file.num_row_groups != n or file.metadata.num_rows != sum(self._part.row_groups):
            raise self._damaged(f"it has {file.num_row_groups} row groups, not {n}")
        schema = file.schema_arrow
        for path, kind in kinds.items():
            places = schema.get_all_field_indices(path)
            if len(places) != 1:
                raise self._damaged(f"column {path!r} is there {len(places)} times")
            found = schema.field(places[0]).type
            if not (fits(kind, found) if kind else PLACE_TYPES.get(path) == found):
                raise self._damaged(f"column {path!r} holds {found}")

    def _opened(self) -> BinaryIO:
        raise NotImplementedError

    def _partial(self, reason: str) -> ManifestError:
        return ManifestError({self._shard_id: f"its manifest is partial: {reason}"})

    def _damaged(self, reason: str) -> ManifestError:
        return ManifestError(
            {self._shard_id: f"its manifest is damaged: the Parquet file: {reason}"}
        )

    def damaged(self, reason: str) -> ManifestError:
        """The error for what its columns say of the samples and cannot be."""
        return self._damaged(reason)


class LocalTable(Table):
    """A Parquet file of this machine.

    Args:
        shard_id: The shard it is of.
        path: The file.
        identity: The state in which it was when its JSON was read.
        part: What the JSON says of it.
    """

    def __init__(self, shard_id: str, path: Path, identity: Identity, part: SamplesPart) -> None:
        super().__init__(shard_id, part)
        self._path = path
        self._identity = identity

    def _opened(self) -> BinaryIO:
        try:
            file = self._path.open("rb")
        except OSError as error:
            raise self._partial("the Parquet file cannot be opened") from error
        try:
            self._verify(file)
        except BaseException:
            file.close()
            raise
        return file

    def _verify(self, file: BinaryIO) -> None:
        """Compare an open file with its digest, once for each of its states."""
        if identity_of(file.fileno()) != self._identity:
            raise self._partial("the Parquet file was replaced; open the manifest again")
        key = self._identity, self._part.blake3
        if key in _verified:
            return
        digest = blake3()
        while piece := file.read(1 << 20):
            digest.update(piece)
        if digest.hexdigest() != self._part.blake3:
            raise self._damaged("it does not match its digest")
        _verified.add(key)
        file.seek(0)


class RemoteTable(Table):
    """A Parquet file from elsewhere, fetched when it is first needed.

    Args:
        shard_id: The shard it is of.
        fetch: Gives its bytes, or None if it is not there.
        part: What the JSON says of it.
    """

    def __init__(
        self, shard_id: str, fetch: Callable[[], bytes | None], part: SamplesPart
    ) -> None:
        super().__init__(shard_id, part)
        self._fetch = fetch
        self._raw: bytes | None = None

    def _opened(self) -> BinaryIO:
        if self._raw is None:
            raw = self._fetch()
            if raw is None:
                raise self._partial("the Parquet file is missing")
            if len(raw) != self._part.n_bytes:
                raise self._partial(
                    f"the Parquet file has {len(raw)} bytes, not {self._part.n_bytes}"
                )
            if blake3(raw).hexdigest() != self._part.blake3:
                raise self._damaged("it does not match its digest")
            self._raw = raw
        return BytesIO(self._raw)


def _whole(column: Any) -> Any:
    found = column.combine_chunks()
    if isinstance(found, pa.ChunkedArray):
        found = pa.concat_arrays(found.chunks) if found.num_chunks else pa.array([], found.type)
    found.validate(full=True)
    return found
