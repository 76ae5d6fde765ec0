"""Manifests in memory, as a table: made sample by sample, written, and read in either layout."""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from blake3 import blake3

from atdata._exceptions import ManifestError
from atdata._lazy import require
from atdata.manifest.aggregates import create_aggregate
from atdata.manifest.document import (
    JSON_SUFFIX,
    PARQUET_SUFFIX,
    Document,
    DocumentError,
    read_document,
)
from atdata.manifest.fields import plan_fields, resolve_manifest_fields
from atdata.manifest.older import OLDER_VERSION, read_older
from atdata.manifest.pieces import NotAColumnError, piece_of, values_at
from atdata.manifest.table import KEY, OFFSET, SIZE
from atdata.transport.file import atomic_write

MANIFEST_FORMAT_VERSION = OLDER_VERSION
"""The layout that `ManifestWriter` writes. `write_samples` and `build_manifests` write a newer
one, which also tells which shard it is of."""


@dataclass
class ShardManifest:
    """What a shard's samples hold, as a table in memory.

    Attributes:
        shard_id: What the manifest calls its shard.
        schema_type: Name of the samples' type.
        schema_version: Its version.
        num_samples: How many samples there are.
        size_bytes: Bytes of all payloads.
        created_at: When it was made.
        aggregates: What each field sums up to.
        samples: A `pandas.DataFrame` of key, offset, size and fields of each sample.
        provenance: Where the samples came from.
    """

    shard_id: str
    schema_type: str
    schema_version: str
    num_samples: int
    size_bytes: int
    created_at: dt.datetime
    aggregates: dict[str, Any]
    samples: Any
    provenance: dict[str, Any] = field(default_factory=dict[str, Any])

    def header_dict(self) -> dict[str, Any]:
        """All but the table, as the JSON file holds it."""
        header: dict[str, Any] = {
            "manifest_version": MANIFEST_FORMAT_VERSION,
            "shard_id": self.shard_id,
            "schema_type": self.schema_type,
            "schema_version": self.schema_version,
            "num_samples": self.num_samples,
            "size_bytes": self.size_bytes,
            "created_at": self.created_at.isoformat(),
            "aggregates": self.aggregates,
        }
        return header | ({"provenance": self.provenance} if self.provenance else {})

    @classmethod
    def from_files(cls, json_path: str | Path, parquet_path: str | Path) -> "ShardManifest":
        """Read both files, of this layout or a newer one.

        Raises:
            ManifestError: One of them is missing or damaged.
        """
        found, document = _header(cls, Path(json_path))
        found.samples = _read_table(Path(parquet_path), found, document)
        return found

    @classmethod
    def from_json_only(cls, json_path: str | Path) -> "ShardManifest":
        """Read the JSON file; the table is empty.

        Raises:
            ManifestError: It is missing or damaged.
        """
        return _header(cls, Path(json_path))[0]


class ManifestBuilder:
    """Makes a manifest sample by sample.

    Args:
        sample_type: The samples' type, a dataclass.
        shard_id: What to call the shard.
        schema_version: The version of the type.
        source_job_id: What made the samples.
        parent_shards: Shards that they were made from.
        pipeline_version: By which program.

    Raises:
        TypeError: The type is no dataclass, or asks for an aggregate that does not fit.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Word:
        ...     text: str
        >>> builder = ManifestBuilder(Word, "words")
        >>> builder.add_sample(key="0", offset=512, size=12, sample=Word("hello"))
        >>> manifest = builder.build()
        >>> manifest.num_samples, manifest.samples["text"].tolist()
        (1, ['hello'])
    """

    def __init__(  # noqa: PLR0917 - these have always been positional
        self,
        sample_type: type[Any],
        shard_id: str,
        schema_version: str = "1.0.0",
        source_job_id: str | None = None,
        parent_shards: Sequence[str] | None = None,
        pipeline_version: str | None = None,
    ) -> None:
        plan_fields(sample_type)
        self._fields = resolve_manifest_fields(sample_type)
        self._aggregates = {
            name: create_aggregate(one.aggregate) for name, one in self._fields.items()
        }
        self._type = sample_type
        self._shard_id = shard_id
        self._schema_version = schema_version
        given = {
            "source_job_id": source_job_id,
            "parent_shards": list(parent_shards) if parent_shards else None,
            "pipeline_version": pipeline_version,
        }
        self._provenance = {name: value for name, value in given.items() if value is not None}
        self._rows: list[dict[str, Any]] = []
        self._n_bytes = 0

    def add_sample(self, *, key: str, offset: int, size: int, sample: Any) -> None:
        """Take a sample that lies there; None is neither summed up nor put in the row."""
        row: dict[str, Any] = {KEY: key, OFFSET: offset, SIZE: size}
        for name in list(self._aggregates):
            try:
                value = values_at([sample], name)[0]
            except NotAColumnError:  # such a field has no place in a table
                del self._aggregates[name]
                for other in self._rows:
                    other.pop(name, None)
                continue
            if value is not None:
                self._aggregates[name].add(value)
                row[name] = value
        self._rows.append(row)
        self._n_bytes += size

    def build(self) -> ShardManifest:
        """The manifest of all samples so far."""
        pandas = require("pandas", extra="pandas")
        return ShardManifest(
            shard_id=self._shard_id,
            schema_type=self._type.__name__,
            schema_version=self._schema_version,
            num_samples=len(self._rows),
            size_bytes=self._n_bytes,
            created_at=dt.datetime.now(dt.UTC),
            aggregates={name: one.to_dict() for name, one in self._aggregates.items()},
            samples=pandas.DataFrame(self._rows),
            provenance=dict(self._provenance),
        )


class ManifestWriter:
    """Writes a manifest's two files.

    Args:
        base_path: The shard's path without `.tar`.

    Examples:
        >>> writer = ManifestWriter("data/v1.0-000000")
        >>> str(writer.json_path), str(writer.parquet_path)
        ('data/v1.0-000000.manifest.json', 'data/v1.0-000000.manifest.parquet')
    """

    def __init__(self, base_path: str | Path) -> None:
        self._base = Path(base_path)

    @property
    def json_path(self) -> Path:
        """The JSON file."""
        return self._base.with_name(self._base.name + JSON_SUFFIX)

    @property
    def parquet_path(self) -> Path:
        """The Parquet file."""
        return self._base.with_name(self._base.name + PARQUET_SUFFIX)

    def write(self, manifest: ShardManifest) -> tuple[Path, Path]:
        """Write both files, the Parquet file first; folders that are missing are made."""
        text = json.dumps(manifest.header_dict(), indent=2, allow_nan=False, ensure_ascii=False)
        with atomic_write(self.parquet_path) as file:
            pq.write_table(_as_table(manifest.samples), file)
        with atomic_write(self.json_path) as file:
            file.write(text.encode())
        return self.json_path, self.parquet_path


def _as_table(samples: Any) -> Any:
    """A table of Arrow types, without what pandas adds; missing values are null."""
    columns: dict[str, Any] = {}
    for name in samples.columns:
        values = [None if _is_missing(one) else one for one in samples[name].tolist()]
        kinds = set(map(type, values)) - {type(None)}
        if kinds == {int, float} or (kinds == {float} and _are_ints(values)):
            values = [int(one) if one is not None and one == int(one) else one for one in values]
        columns[str(name)] = piece_of(values).values
    return pa.table(columns)


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and value != value)  # noqa: PLR0124


def _are_ints(values: Sequence[Any]) -> bool:
    """Whether floats are ints that pandas made floats because some are missing."""
    present = [one for one in values if one is not None]
    whole = all(abs(one) < 2**53 and one.is_integer() for one in present)
    return whole and len(present) < len(values)


def _header(kind: type[ShardManifest], path: Path) -> tuple[ShardManifest, Document | None]:
    pandas = require("pandas", extra="pandas")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _refused(path, f"its JSON cannot be read: {error.strerror}") from error
    document: Document | None = None
    try:
        document = read_document(raw)
        names = ("shard_id", "schema_type", "schema_version", "num_samples", "size_bytes")
        found: dict[str, Any] = {name: getattr(document, name) for name in names}
        found |= {"created_at": document.created_at, "aggregates": document.aggregates}
        found["provenance"] = document.provenance or {}
    except DocumentError as error:
        older = read_older(raw)
        if older is None:
            raise _refused(path, f"its JSON is damaged: {error}") from error
        found = older
    try:
        created_at = dt.datetime.fromisoformat(found["created_at"])
    except ValueError as error:
        raise _refused(path, "its JSON is damaged: created_at is no time") from error
    made = kind(
        shard_id=found["shard_id"],
        schema_type=found["schema_type"],
        schema_version=str(found["schema_version"]),
        num_samples=found["num_samples"],
        size_bytes=found["size_bytes"],
        created_at=created_at,
        aggregates=found.get("aggregates", {}),
        samples=pandas.DataFrame(),
        provenance=found.get("provenance") or {},
    )
    return made, document


def _read_table(path: Path, manifest: ShardManifest, document: Document | None) -> Any:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _refused(path, f"its Parquet file cannot be read: {error.strerror}") from error
    if document is not None and blake3(raw).hexdigest() != document.samples.blake3:
        raise _refused(path, "its Parquet file does not match its digest")
    try:
        with pq.ParquetFile(BytesIO(raw)) as file:
            table = file.read()
        table.validate(full=True)
        frame = table.to_pandas()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _refused(path, "its Parquet file is damaged") from error
    if len(frame.columns) and len(frame) != manifest.num_samples:
        raise _refused(path, f"it has {len(frame)} rows for {manifest.num_samples} samples")
    for name, one in manifest.aggregates.items():
        if name in frame.columns and isinstance(one, dict) and one.get("type") == "set":
            frame[name] = [_from_text(value) for value in frame[name]]
    return frame


def _from_text(value: Any) -> Any:
    """A list that the earlier layout holds as JSON text."""
    if not isinstance(value, str | bytes):
        return value
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return found if isinstance(found, list) else value


def _refused(path: Path, reason: str) -> ManifestError:
    name = path.name.removesuffix(JSON_SUFFIX).removesuffix(PARQUET_SUFFIX)
    shard = path.with_name(name if ".tar." in f"{name}." else f"{name}.tar")
    return ManifestError({str(shard): reason})
