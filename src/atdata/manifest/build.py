"""Building the manifest of one shard while its samples go by."""

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from atdata._typing import ByteArray, Int64Array
from atdata.codec.msgpack import read_map
from atdata.manifest.budget import fit
from atdata.manifest.column import Column
from atdata.manifest.document import (
    MANIFEST_VERSION,
    Document,
    SamplesPart,
    ShardPart,
    write_document,
)
from atdata.manifest.fields import MAX_FIELDS, MAX_NAME, RESERVED, TOO_LONG, FieldSpec
from atdata.manifest.files import json_path, parquet_path
from atdata.manifest.listed_keys import wrong_keys
from atdata.manifest.packed import NotPackedError, columns_of, packed_pieces
from atdata.manifest.payloads import decoded, lacks
from atdata.manifest.pieces import NotAColumnError, Piece, piece_of, values_at
from atdata.manifest.places import cut, digests, running_keys
from atdata.manifest.sample_kind import SampleKind
from atdata.manifest.stage import Stage
from atdata.manifest.table import DIGEST, KEY, OFFSET, SIZE, TableWriter
from atdata.model.shard import FinishedShard
from atdata.sample.dynamic import DictSample
from atdata.shard.tar import BLOCK, padded
from atdata.transport.file import temporary_beside

GROUP_ROWS = 1 << 15
GROUP_BYTES = 16 << 20
"""A row group ends with the sample that brings it to this many rows or bytes."""

_ROW_BYTES = 64
_MAX_NAME_BYTES = 1 << 20
SCHEMA_VERSION = "1.0.0"


class ManifestBuild:
    """Takes the samples of one shard as they are written or read, and writes its manifest.

    It looks at payloads and never at the samples they were made of, so that it says what readers
    will see. It holds one row group at a time.

    Attributes:
        n_samples: How many samples it took.
        n_bytes: Bytes of their payloads.
        odd_keys: What is wrong with keys that no index vouches for; empty if nothing.

    Args:
        shard: The shard's path, beside which the manifest is to lie.
        kind: What the type of its samples says.
        shard_id: What errors call the shard; by default its path.
        is_ours: Whether its payloads are written now, and so have every field.
    """

    def __init__(
        self, shard: Path, kind: SampleKind, *, shard_id: str = "", is_ours: bool = False
    ) -> None:
        self._shard_id = shard_id or str(shard)
        name = shard.name.removesuffix(".tar")
        self._id = name.encode(errors="surrogateescape").decode(errors="replace")
        self._finals = parquet_path(shard), json_path(shard)
        self._codec = kind.codec
        self._is_open = kind.plan.is_open
        self._left_out = dict(kind.plan.left_out)
        self._columns = {spec.path: Column(spec) for spec in kind.plan.columns}
        self._unsure = {
            spec.path: spec.path.split(".")
            for spec in kind.plan.columns
            if (spec.is_set_by_class if is_ours else spec.may_lack)
        }
        self._is_plain = kind.is_plain
        self._temporary = temporary_beside(self._finals[0])
        self._json_temporary = temporary_beside(self._finals[1])
        self._table = TableWriter(self._temporary)
        self._places: list[dict[str, Any]] = []
        self._weights: list[Int64Array] = []
        self._n_buffered = 0
        self._n_bytes_buffered = 0
        self._stage = Stage()
        self._kept: list[Column] = []
        self._samples = SamplesPart(0, "", [])
        self._n_name_bytes = 0
        self.odd_keys = ""
        self.n_samples = 0
        self.n_bytes = 0

    def add(
        self,
        data: ByteArray,
        at: Int64Array,
        size: Int64Array,
        places: Int64Array,
        keys: Sequence[str] | int,
    ) -> None:
        """Take samples that follow those before.

        Args:
            data: A buffer that holds their payloads; it is not looked at after this returns.
            at: Offset of each payload in the buffer.
            size: Bytes of each.
            places: Offset of each payload in the shard.
            keys: The keys, or the number of the first where they count up.
        """
        if len(at) == 0:
            return
        # Whole blocks, so that payloads at equal distances stay so.
        first = max(0, int(at[0]) - BLOCK)
        end = min(len(data), first + padded(int(at[-1] + size[-1]) - first))
        if not self._stage.has_room(end - first, keys):
            self._unstage()
        if self._stage.has_room(end - first, keys):
            self._stage.put(data[first:end], at - first, size, places, keys)
        else:
            self._add(data, at, size, places, keys)

    def _unstage(self) -> None:
        """Look at what was put aside."""
        if self._stage.n_rows:
            self._add(*self._stage.take())

    def _add(
        self,
        data: ByteArray,
        at: Int64Array,
        size: Int64Array,
        places: Int64Array,
        keys: Sequence[str] | int,
    ) -> None:
        n = len(at)
        self._places.append(
            {
                KEY: running_keys(keys, n)
                if isinstance(keys, int)
                else pa.array(keys, pa.string()),
                OFFSET: pa.array(np.array(places, np.int64)),
                SIZE: pa.array(np.array(size, np.int64)),
                DIGEST: pa.array(digests(data, at, size)),
            }
        )
        if not isinstance(keys, int):
            self.odd_keys = self.odd_keys or wrong_keys([self._places[-1][KEY]])
        self._look(data, at, size, places, keys)
        weights = np.full(n, _ROW_BYTES, np.int64)
        for column in self._columns.values():
            column.weigh(weights)
        self._weights.append(weights)
        self.n_samples += n
        self.n_bytes += int(size.sum())
        self._n_buffered += n
        self._n_bytes_buffered += int(weights.sum())
        while self._n_buffered >= GROUP_ROWS or self._n_bytes_buffered >= GROUP_BYTES:
            self._write_group()

    def _look(
        self,
        data: ByteArray,
        at: Int64Array,
        size: Int64Array,
        places: Int64Array,
        keys: Sequence[str] | int,
    ) -> None:
        """Take the columns of some payloads."""
        if not self._columns and not self._is_open:
            return
        if self._is_plain:
            columns = columns_of(self._codec, data, at, size)
            if columns is not None:
                wanted = [one.spec for one in self._columns.values() if not one.reason]
                with suppress(NotPackedError):
                    found = packed_pieces(columns, data, wanted)
                    for path, piece in found.items():
                        self._take(self._columns[path], piece)
                    return
        memory = memoryview(data).toreadonly()
        spans = zip(at.tolist(), size.tolist(), strict=True)
        payloads = [memory[a : a + n] for a, n in spans]
        samples = decoded(self._codec, payloads, self._shard_id, places, keys)
        self._leave_out_lacking(payloads)
        if self._is_open:
            self._discover(samples)
        for column in self._columns.values():
            if not column.reason:
                try:
                    self._take(column, piece_of(values_at(samples, column.spec.path)))
                except NotAColumnError as error:
                    self._leave_out(column, str(error))

    def _take(self, column: Column, piece: Piece) -> None:
        try:
            column.take(piece)
        except NotAColumnError as error:
            self._leave_out(column, str(error))

    def _leave_out(self, column: Column, reason: str) -> None:
        column.leave_out(reason)
        self._left_out[column.spec.path] = reason

    def _leave_out_lacking(self, payloads: Sequence[memoryview]) -> None:
        """Leave out fields that payloads lack: what stands for them is up to whoever reads."""
        for payload in payloads:
            if not self._unsure:
                return
            found = read_map(payload)
            for path in [one for one, steps in self._unsure.items() if lacks(found, steps)]:
                del self._unsure[path]
                if not self._columns[path].reason:
                    reason = "samples lack it, and have a default in its place"
                    self._leave_out(self._columns[path], reason)

    def _discover(self, samples: Sequence[DictSample]) -> None:
        """Begin columns for fields that are seen for the first time."""
        for sample in samples:
            for name in sample:
                if name in self._columns or name in self._left_out:
                    continue
                if len(name) > MAX_NAME:
                    self._left_out[f"{name[:80]}…"] = TOO_LONG
                    continue
                self._n_name_bytes += len(name.encode())
                n_names = len(self._columns) + len(self._left_out)
                if n_names > MAX_FIELDS - 3 or self._n_name_bytes > _MAX_NAME_BYTES:
                    return
                self._begin(name, sample)

    def _begin(self, name: str, sample: DictSample) -> None:
        if name in RESERVED or "." in name or not name or "\0" in name:
            self._left_out[name] = "no column can have its name"
            return
        names = [name]
        if isinstance(sample[name], np.ndarray):
            self._left_out[name] = "it holds ndarray"
            names = [f"{name}.shape", f"{name}.dtype"]
        for path in names:
            column = self._columns[path] = Column(FieldSpec(path, ""))
            column.begin_late(self._table.rows, self._n_buffered)

    def _write_group(self) -> None:
        weights = np.concatenate(self._weights)
        enough = int(np.searchsorted(np.cumsum(weights), GROUP_BYTES)) + 1
        n = min(GROUP_ROWS, enough, len(weights))
        first, rest = cut(self._places, n)
        pieces: dict[str, Piece] = {}
        for path, column in self._columns.items():
            if column.reason:
                continue
            try:
                piece = column.cut(n)
            except NotAColumnError as error:
                self._leave_out(column, str(error))
                continue
            if piece is not None:
                pieces[path] = piece
        self._table.write(first, pieces)
        self._places = [rest] if len(weights) > n else []
        self._weights = [weights[n:]] if len(weights) > n else []
        self._n_buffered -= n
        self._n_bytes_buffered -= int(weights[:n].sum())

    def end(self) -> None:
        """Complete the Parquet file, still under a temporary name: there are no more samples."""
        self._unstage()
        for column in self._columns.values():
            if not column.reason:
                column.settle()
        while self._n_buffered:
            self._write_group()
        if not self._table.rows:
            self._table.write(cut([], 0)[0], {})
            self._table.rows.clear()
        columns = self._columns.values()
        self._kept = [one for one in columns if not one.reason and self._settled(one)]
        types = {one.spec.path: one.arrow_type() for one in self._kept if not one.is_long}
        n_bytes, blake3 = self._table.finish(types)
        self._samples = SamplesPart(n_bytes, blake3, self._table.rows)

    def finish(self, shard: ShardPart, provenance: Mapping[str, Any] | None = None) -> None:
        """Complete the JSON file, still under a temporary name, after `end`.

        Args:
            shard: The shard, complete.
            provenance: What to say of where the samples came from.
        """
        kept, several = self._kept, len(self._table.rows) > 1
        aggregates = {one.spec.path: one.aggregate() for one in kept if "." not in one.spec.path}
        document = Document(
            manifest_version=MANIFEST_VERSION,
            shard_id=self._id,
            schema_type=self._codec.name,
            schema_version=SCHEMA_VERSION,
            num_samples=self.n_samples,
            size_bytes=self.n_bytes,
            created_at=dt.datetime.now(dt.UTC).isoformat(timespec="microseconds"),
            shard=shard,
            samples=self._samples,
            fields={one.spec.path: one.facts(groups=several) for one in kept},
            left_out=self._left_out,
            aggregates={path: found for path, found in aggregates.items() if found is not None},
        )
        if provenance:
            document.provenance = dict(provenance)
        fit(document)
        with self._json_temporary.open("xb") as file:
            file.write(write_document(document))

    def _settled(self, column: Column) -> bool:
        """Whether there is a column; long text has none, and is known all the same."""
        if not column.decide():
            self._leave_out(column, "it holds nothing but None and empty lists")
            return False
        if column.is_long:
            self._left_out[column.spec.path] = "it holds long text"
        return True

    def files(self) -> list[tuple[Path, Path]]:
        """The finished files and their final names, in the order in which to give them."""
        return [(self._temporary, self._finals[0]), (self._json_temporary, self._finals[1])]

    def abandon(self) -> None:
        """Stop, and remove what was written."""
        self._table.abandon()
        self._temporary.unlink(missing_ok=True)
        self._json_temporary.unlink(missing_ok=True)


class ShardManifests:
    """Builds a manifest for each shard that a `ShardWriter` writes.

    Args:
        sample_type: The type of the samples.
    """

    def __init__(self, sample_type: type[Any]) -> None:
        self._kind = SampleKind(sample_type)

    def __call__(self, path: Path) -> "ObservedShard":
        """Begin with a shard."""
        return ObservedShard(ManifestBuild(path, self._kind, is_ours=True))


class ObservedShard:
    """What a shard's writer tells of it, made into its manifest.

    Args:
        build: The manifest that is being built.
    """

    def __init__(self, build: ManifestBuild) -> None:
        self._build = build

    def add(
        self,
        data: ByteArray,
        at: Int64Array,
        size: Int64Array,
        base: int,
        keys: Sequence[str] | int,
    ) -> None:
        """Take samples; `base` is where the buffer's first byte lies in the shard."""
        self._build.add(data, at, size, at + base, keys)

    def end(self) -> None:
        """Take note that there are no more samples."""
        self._build.end()

    def finish(
        self, shard: FinishedShard, *, end: int, mark: int, digest: int
    ) -> list[tuple[Path, Path]]:
        """Complete the manifest.

        Returns:
            Its files, each with its final name.
        """
        part = ShardPart(
            n_bytes=shard.n_bytes,
            end=end,
            digest=f"{digest:016x}",
            index=f"{mark:016x}",
            sha256=shard.sha256 or "",
        )
        self._build.finish(part)
        return self._build.files()

    def abandon(self) -> None:
        """Stop, and remove what was written."""
        self._build.abandon()
