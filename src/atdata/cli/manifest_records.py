"""What a catalogue has recorded of manifests, after these were built anew."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from atdata.cli.catalogue import opened
from atdata.cli.options import Place
from atdata.model.record import ENTRY, Put, Row
from atdata.model.rows import entry_row, read_entry
from atdata.model.shard import SIDECARS, StoredSidecar
from atdata.providers.base import IndexProvider


def record(ref: str, place: Place, built: Mapping[str, Sequence[Path]]) -> None:
    """Record the digests of new manifests where those of the old ones are recorded.

    That is done in all entries that have these shards. They keep their CIDs, for a manifest says
    nothing else than its shard does.

    Args:
        ref: The dataset whose shards they are.
        place: The catalogue.
        built: By shard that got a new manifest, its JSON file and its Parquet file.

    Raises:
        ConflictError: Someone else changed an entry at the same time.
    """
    if not built:
        return
    with opened(place) as index:
        entry = index.get_dataset(ref)
        provider = index.repos[entry.repo].provider
        row = provider.get(ENTRY, entry.name, entry.cid)
        if row is None:
            return
        shards = zip(read_entry(row).shards, index.open(entry).source.list_shards(), strict=True)
        new = {
            shard.url: _sidecars(built[shard_id])
            for shard, shard_id in shards
            if shard.sidecars and shard_id in built
        }
        if new:
            provider.commit(list(_changes(_sharing(provider, row), new)))


def _sharing(provider: IndexProvider, row: Row) -> list[Row]:
    """The entries that may have shards of an entry, itself too."""
    found = {one.key: one for one in provider.rows(ENTRY, name=row.name)}
    for ref in row.refs:
        if ref.startswith("folder:"):
            found |= {one.key: one for one in provider.rows(ENTRY, ref=ref)}
    return list(found.values())


def _changes(rows: Sequence[Row], new: Mapping[str, tuple[StoredSidecar, ...]]) -> Iterator[Put]:
    for row in rows:
        entry = read_entry(row)
        shards = tuple(
            replace(shard, sidecars=new[shard.url])
            if shard.sidecars and shard.url in new
            else shard
            for shard in entry.shards
        )
        if shards != entry.shards:
            yield Put(entry_row(replace(entry, shards=shards), row.refs), row.seq)


def _sidecars(files: Sequence[Path]) -> tuple[StoredSidecar, ...]:
    found: list[StoredSidecar] = []
    for suffix, path in zip(SIDECARS, files, strict=True):
        data = path.read_bytes()
        found.append(StoredSidecar(suffix, len(data), hashlib.sha256(data).hexdigest()))
    return tuple(found)
