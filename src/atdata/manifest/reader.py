"""Opening the manifests of shards: found, compared with their shards, and read as it is needed."""

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from atdata._exceptions import AtdataError, ManifestError, ShardError
from atdata._protocols import (
    DataSource,
    SupportsLocalPath,
    SupportsSidecars,
)
from atdata.manifest.document import (
    JSON_SUFFIX,
    MAX_JSON,
    PARQUET_SUFFIX,
    Document,
    DocumentError,
    read_document,
)
from atdata.manifest.facts import read_facts
from atdata.manifest.files import (
    Identity,
    identity_of,
    json_path,
    parquet_path,
)
from atdata.manifest.freshness import compare_local, compare_remote
from atdata.manifest.manifest import Manifest
from atdata.manifest.older import why_not
from atdata.manifest.parquet import MAX_PARQUET, LocalTable, RemoteTable
from atdata.sources.joined import JoinedSource

type RemoteCheck = Literal["footer", "none"]
"""How a shard elsewhere is compared with its manifest: by its footer, or when it is read."""

_AT_ONCE = 16
_KEPT = 4096


def open_manifest(
    source: DataSource, shard_id: str, *, remote_check: RemoteCheck = "none"
) -> Manifest:
    """Open a shard's manifest, and make sure that it is of this shard.

    The JSON file is read; the Parquet file is not, before somebody asks for rows.

    Args:
        source: Where the shard is.
        shard_id: The shard.
        remote_check: `"footer"` compares the end of a shard elsewhere with the manifest, which
            takes one request. With `"none"` that is left to whoever reads its samples, for the
            manifest has a digest of each.

    Raises:
        ManifestError: It is missing, stale, partial or damaged.
        SourceError: The place refused or failed.

    Examples:
        >>> import atdata
        >>> from atdata.sources.url import URLSource
        >>> samples = [atdata.DictSample(n=n) for n in range(3)]
        >>> _ = atdata.write_samples(samples, tmp / "a.tar", manifest=True)
        >>> manifest = open_manifest(URLSource(tmp / "a.tar"), str(tmp / "a.tar"))
        >>> manifest.n_samples, manifest.facts["n"].high, manifest.column("n").to_pylist()
        (3, 2, [0, 1, 2])
    """
    if isinstance(source, SupportsLocalPath):
        path = source.local_path(shard_id)
        if path is not None:
            return _open_local(source, shard_id, path, path)
    return _open_remote(source, shard_id, remote_check)


def open_manifests(
    source: DataSource, shard_ids: Sequence[str], *, remote_check: RemoteCheck = "none"
) -> list[Manifest | ManifestError]:
    """Open the manifests of several shards, many at once where they are elsewhere.

    Returns:
        For each shard its manifest, or why it has none that can be used.

    Raises:
        SourceError: The place refused or failed.
    """

    def opened(shard_id: str) -> Manifest | ManifestError:
        try:
            return open_manifest(source, shard_id, remote_check=remote_check)
        except ManifestError as error:
            return error

    local = source.local_path if isinstance(source, SupportsLocalPath) else None
    if len(shard_ids) < 2 or (local is not None and local(shard_ids[0]) is not None):
        return [opened(shard_id) for shard_id in shard_ids]
    with ThreadPoolExecutor(min(_AT_ONCE, len(shard_ids)), "atdata-manifests") as threads:
        return list(threads.map(opened, shard_ids))


def open_kept_manifest(source: DataSource, shard_id: str, place: Path) -> Manifest:
    """Open a manifest that is kept apart from its shard, which is looked at where it is.

    Args:
        source: Where the shard is.
        shard_id: The shard.
        place: A path that is called as the shard is, beside which the manifest lies.

    Raises:
        ManifestError: It is missing, stale, partial or damaged.
        SourceError: The shard's place failed or refused.
    """
    path = source.local_path(shard_id) if isinstance(source, SupportsLocalPath) else None
    if path is not None:
        return _open_local(source, shard_id, path, place)
    text, rows = identity_of(json_path(place)), identity_of(parquet_path(place))
    document = _read(shard_id, json_path(place), text)
    compare_remote(source, shard_id, document.shard)
    return _with_table(shard_id, document, parquet_path(place), rows)


class _Opened:
    """The manifests of local shards that were opened, as long as no file changes."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._kept: dict[tuple[object, ...], tuple[tuple[Identity | None, ...], Manifest]] = {}

    def get(self, key: tuple[object, ...], state: tuple[Identity | None, ...]) -> Manifest | None:
        found = self._kept.get(key)
        return found[1] if found is not None and found[0] == state else None

    def put(
        self, key: tuple[object, ...], state: tuple[Identity | None, ...], manifest: Manifest
    ) -> None:
        with self.lock:
            self._kept.pop(key, None)
            while len(self._kept) >= _KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = state, manifest


_opened = _Opened()


def _renew() -> None:
    _opened.lock = threading.Lock()


os.register_at_fork(after_in_child=_renew)


def _open_local(source: DataSource, shard_id: str, path: Path, place: Path) -> Manifest:
    beside, table = json_path(place), parquet_path(place)
    state = identity_of(path), identity_of(beside), identity_of(table)
    # What was opened without it was not compared with what a catalogue has recorded.
    ours = source if isinstance(source, JoinedSource) and source.recorded.get(shard_id) else None
    key = shard_id, str(place), *(() if ours is None else ours.recorded[shard_id])
    known = _opened.get(key, state)
    if known is not None:
        return known
    shard, text, rows = state
    if shard is None:
        raise ManifestError({shard_id: "the shard is missing"})
    document = _read(shard_id, beside, text, ours)
    compare_local(shard_id, path, shard, document.shard)
    manifest = _with_table(shard_id, document, table, rows, path)
    _opened.put(key, state, manifest)
    return manifest


def _read(
    shard_id: str, path: Path, identity: Identity | None, ours: SupportsSidecars | None = None
) -> Document:
    if identity is None:
        raise ManifestError({shard_id: "its manifest is missing"})
    if identity[2] > MAX_JSON:
        raise _damaged(shard_id, f"its JSON has {identity[2]} bytes; the limit is {MAX_JSON}")
    try:
        raw = path.read_bytes() if ours is None else _text(ours, shard_id)
    except OSError as error:
        if isinstance(error, AtdataError):
            raise
        reason = f"its manifest cannot be read: {error.strerror}"
        raise ManifestError({shard_id: reason}) from error
    return _document(shard_id, raw or b"")


def _with_table(
    shard_id: str,
    document: Document,
    path: Path,
    identity: Identity | None,
    shard: Path | None = None,
) -> Manifest:
    part, wrong = document.samples, ""
    if identity is None:
        wrong = "the Parquet file is missing"
    elif identity[2] != part.n_bytes:
        wrong = f"the Parquet file has {identity[2]} bytes, not {part.n_bytes}"
    if wrong or identity is None:
        raise ManifestError({shard_id: f"its manifest is partial: {wrong}"})
    return _manifest(shard_id, document, LocalTable(shard_id, path, identity, part), shard)


def _open_remote(source: DataSource, shard_id: str, remote_check: RemoteCheck) -> Manifest:
    if not isinstance(source, SupportsSidecars):
        reason = f"a {type(source).__name__} gives no manifests"
        raise ManifestError({shard_id: reason})
    raw = _text(source, shard_id)
    if raw is None:
        raise ManifestError({shard_id: "its manifest is missing"})
    document = _document(shard_id, raw)
    if remote_check == "footer":
        compare_remote(source, shard_id, document.shard)
    if document.samples.n_bytes > MAX_PARQUET:
        raise _damaged(shard_id, f"its Parquet file has {document.samples.n_bytes} bytes")

    def fetch() -> bytes | None:
        return source.read_sidecar(shard_id, PARQUET_SUFFIX)

    return _manifest(shard_id, document, RemoteTable(shard_id, fetch, document.samples))


def _text(source: SupportsSidecars, shard_id: str) -> bytes | None:
    try:
        return source.read_sidecar(shard_id, JSON_SUFFIX)
    except ShardError as error:  # a catalogue has recorded another
        raise ManifestError({shard_id: f"its manifest {error.reason}"}) from error


def _document(shard_id: str, raw: bytes) -> Document:
    try:
        return read_document(raw)
    except DocumentError as error:
        older = why_not(raw, shard_id)
        if older:
            raise ManifestError({shard_id: older}) from error
        raise _damaged(shard_id, str(error)) from error


def _manifest(
    shard_id: str,
    document: Document,
    table: LocalTable | RemoteTable,
    shard: Path | None = None,
) -> Manifest:
    try:
        return Manifest(shard_id, document, read_facts(document), table, shard)
    except DocumentError as error:
        raise _damaged(shard_id, str(error)) from error


def _damaged(shard_id: str, reason: str) -> ManifestError:
    return ManifestError({shard_id: f"its manifest is damaged: {reason}"})
