"""Cataloguing shards that are there already: where they lie, or copied into the store."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from atdata._exceptions import (
    ShardError,
    ShardNotFoundError,
    printable,
    redacted,
)
from atdata._logging import log_operation
from atdata._protocols import (
    AbstractDataStore,
    DataSource,
    SupportsRange,
)
from atdata.dataset import Dataset
from atdata.index._datasets import is_relative, outside, readable
from atdata.index._manifests import build_missing, built, usable
from atdata.index._schemas import (
    Planned,
    find,
    is_untyped,
    plan,
    sample_type_of,
    until_settled,
)
from atdata.index._work import Work
from atdata.index._writing import (
    Said,
    catalogue,
    choose_store,
    entry_of_said,
    is_written,
    placed,
    refuse_taken,
)
from atdata.model.entry import DatasetEntry
from atdata.model.record import ENTRY, Check, Row
from atdata.model.rows import read_entry
from atdata.model.shard import FinishedShard, StoredShard, StoredSidecar, beside
from atdata.pipeline.access import Count, count_shards
from atdata.pipeline.chain import Part
from atdata.repository import Mounted
from atdata.shard.digest import sha256_file, sha256_stream
from atdata.sources.naming import local_path
from atdata.sources.registry import source_of
from atdata.stores.keys import is_address

_PIECE = 1 << 20
_SECRET = {"x-amz-signature", "x-amz-credential", "x-goog-signature", "signature", "sig", "token"}


def insert(
    mounted: Mounted,
    ds: Dataset[Any],
    said: Said,
    *,
    schema_ref: str | None,
    checksums: bool,
    manifest: bool | None,
) -> DatasetEntry:
    """Catalogue a dataset whose shards stay where they are."""
    part = plain_part(ds)
    if part is None:
        raise ValueError(
            "only whole shards can be catalogued where they lie, and this dataset is a view of "
            "some: it is filtered, mapped, cut, mixed or seen through a lens\n"
            "  Write what it gives: index.write(ds, name=...), or insert_dataset(..., copy=True)."
        )
    refuse_taken(mounted, said.name, said.version)
    _try_first(mounted, part, schema_ref)
    if manifest:
        build_missing(part)
    described = list(
        _described(mounted, part, checksums=checksums, manifest=manifest is not False)
    )
    shards = _borrowed(mounted, described)
    sample_type: type[Any] = part.stored_type

    def attempt() -> DatasetEntry:
        planned = chosen(mounted, sample_type, schema_ref)
        entry = entry_of_said(said, planned.ref, shards)
        owners = _owners(mounted, shards)
        gone = [shard for shard in shards if is_written(shard.url) and shard.url not in owners]
        if gone:
            raise ShardNotFoundError(gone[0].url, "it was removed meanwhile")
        checks = {row.key: Check(row.key, row.seq) for row in owners.values()}
        checks.pop((ENTRY, entry.name, entry.cid), None)
        return catalogue(mounted, entry, planned, also=list(checks.values()))

    return outside(mounted, until_settled(attempt))


def _borrowed(mounted: Mounted, shards: Sequence[StoredShard]) -> list[StoredShard]:
    """Shards with full addresses where another catalogue wrote them into a store both use.

    What this catalogue wrote it keeps as long as an entry needs it. What another wrote is never
    this one's to remove.
    """
    owners = _owners(mounted, shards)
    store = mounted.repository.store
    return [
        replace(shard, url=store.url(shard.url))
        if store is not None and is_written(shard.url) and shard.url not in owners
        else shard
        for shard in shards
    ]


def _owners(mounted: Mounted, shards: Sequence[StoredShard]) -> dict[str, Row]:
    """An entry of this catalogue for each written shard in the repository's own store."""
    wanted = {shard.url for shard in shards if is_written(shard.url)}
    found: dict[str, Row] = {}
    for folder in {url.rpartition("/")[0] for url in wanted}:
        for row in mounted.provider.rows(ENTRY, ref=f"folder:{folder}"):
            entry = readable(read_entry, row)
            urls = [] if entry is None else entry.data_urls
            found |= {url: row for url in urls if url in wanted}
    return found


def _try_first(mounted: Mounted, part: Part, schema_ref: str | None) -> None:
    """Read one sample as what the catalogue is to say it is.

    Raises:
        SchemaError: It is something else.
    """
    kind = part.stored_type
    if schema_ref is not None:
        kind = sample_type_of(mounted.provider, schema_ref, repo=mounted.name)
    Dataset(part.source, sample_type=kind).head(1)


def copy(
    mounted: Mounted,
    part: Part,
    said: Said,
    *,
    schema_ref: str | None,
    data_store: Any,
    manifest: bool | None,
) -> DatasetEntry:
    """Copy shards as they are into a store, and catalogue the copies."""
    store, own = choose_store(mounted, data_store)
    refuse_taken(mounted, said.name, said.version)
    _try_first(mounted, part, schema_ref)
    ids = part.source.list_shards()
    with (
        log_operation("index.insert_dataset", name=said.name, repo=mounted.name),
        Work(mounted, store, said.name, own_store=own) as work,
    ):
        for number, (shard_id, count) in enumerate(_counts(part, ids)):
            path = work.path(number)
            shard = _here(part.source, shard_id, count, path, manifest=manifest is not False)
            if manifest and not shard.sidecars:
                shard = replace(shard, sidecars=built(shard, part, path))
            work.deliver(shard)
        shards = placed(work.shards(), store, own=own)

        def attempt() -> DatasetEntry:
            planned = chosen(mounted, part.stored_type, schema_ref)
            entry = entry_of_said(said, planned.ref, shards)
            return catalogue(mounted, entry, planned, also=[work.done])

        entry = until_settled(attempt, unless=work.done.key)
        work.committed()
    return outside(mounted, entry)


def chosen(mounted: Mounted, sample_type: type[Any], schema_ref: str | None) -> Planned:
    """The schema that was named, which must be there, or else that of the type."""
    if schema_ref is None:
        return plan(mounted.provider, sample_type)
    if is_untyped(schema_ref):
        return Planned(schema_ref, None)
    schema = find(mounted.provider, schema_ref, repo=mounted.name)
    return Planned(schema.ref, schema)


def plain_part(ds: Dataset[Any]) -> Part | None:
    """The only part of a dataset that is whole shards and nothing else; None for a view."""
    parts = ds.chain.parts
    one = parts[0] if len(parts) == 1 else None
    is_plain = ds.chain.repeats == 1 and not ds.chain.tail and ds.chain.mixture is None
    if not isinstance(one, Part) or not is_plain:
        return None
    return one if not one.stages and one.rows is None and one.choice is None else None


def _described(
    mounted: Mounted, part: Part, *, checksums: bool, manifest: bool
) -> Iterator[StoredShard]:
    """The shards with the addresses, counts and sizes that the entry holds.

    What lies beside shards that stay is found there when it is asked for; it is recorded only with
    the shards' digests, so that it may be made anew where nobody wants these.
    """
    store = mounted.repository.store
    source = part.source
    for shard_id, count in _counts(part, source.list_shards()):
        path = local_path(source, shard_id)
        if path is None:
            url, n_bytes = _address(shard_id), _size(source, shard_id)
        else:
            url, n_bytes = os.path.realpath(path), path.stat().st_size
        if store is not None:
            url = _within(store, url)
        sha256, sidecars = None, []
        if checksums:
            sha256 = sha256_file(path) if path is not None else _sha256(source, shard_id)
            sidecars = [
                StoredSidecar(suffix, len(data), hashlib.sha256(data).hexdigest())
                for suffix, data in (usable(source, shard_id) if manifest else ())
            ]
        yield StoredShard(url, count.n, n_bytes, sha256, tuple(sidecars))


def _counts(part: Part, ids: Sequence[str]) -> Iterator[tuple[str, Count]]:
    for shard_id, count in count_shards(part, ids):
        if count.errors:
            raise count.errors[0]
        yield shard_id, count


def _within(store: AbstractDataStore, url: str) -> str:
    """The key of what lies in a store; so it is known to be needed, and moves with the store."""
    key = url.removeprefix(store.url("x").removesuffix("x"))
    return key if key != url and is_relative(key) and store.url(key) == url else url


def _address(shard_id: str) -> str:
    """What anyone can open; a source of one's own may call its shards anything."""
    if not is_address(shard_id):
        raise ValueError(
            f"shard {printable(repr(shard_id))} has no address, so nobody else finds it\n"
            "  Copy the shards into the store: insert_dataset(..., copy=True)"
        )
    address = urlsplit(shard_id)
    secrets = _SECRET & {name.lower() for name, _ in parse_qsl(address.query)}
    if address.username or address.password or secrets:
        raise ValueError(
            f"the address {redacted(shard_id)} holds a password or a signature, which everyone "
            "who reads the catalogue would see\n"
            "  Copy the shards into the store: insert_dataset(..., copy=True)"
        )
    source_of([shard_id])  # UnsafeURLError if it is of a kind that is not opened
    return shard_id


def _size(source: DataSource, shard_id: str) -> int | None:
    return source.shard_size(shard_id) if isinstance(source, SupportsRange) else None


def _sha256(source: DataSource, shard_id: str) -> str:
    with source.open_shard(shard_id) as stream:
        return sha256_stream(stream)[0]


def _here(
    source: DataSource, shard_id: str, count: Count, path: Path, *, manifest: bool
) -> FinishedShard:
    """A shard and its manifest as files of this machine: where it is, or at `path`."""
    sidecars: list[Path] = []
    for suffix, data in usable(source, shard_id) if manifest else ():
        sidecars.append(Path(beside(str(path), suffix)))
        sidecars[-1].write_bytes(data)
    there = local_path(source, shard_id)
    if there is not None:
        sha256 = sha256_file(there)
        return FinishedShard(there, count.n, there.stat().st_size, sha256, tuple(sidecars))
    digest, n_bytes = hashlib.sha256(), 0
    with source.open_shard(shard_id) as stream, path.open("xb") as file:
        while piece := stream.read(_PIECE):
            digest.update(piece)
            n_bytes += file.write(piece)
    wanted = _size(source, shard_id)
    if wanted is not None and wanted != n_bytes:
        raise ShardError(shard_id, f"gave {n_bytes} bytes of {wanted}", offset=n_bytes)
    return FinishedShard(path, count.n, n_bytes, digest.hexdigest(), tuple(sidecars))
