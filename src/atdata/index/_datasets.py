"""Finding datasets in a repository: by name, by version, by CID."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from atdata._exceptions import RecordNotFoundError, StorageError
from atdata._logging import get_logger
from atdata._protocols import AbstractDataStore, DataSource
from atdata.model.entry import DatasetEntry
from atdata.model.label import Label
from atdata.model.record import ENTRY, LABEL, Row
from atdata.model.rows import LATEST, read_entry, read_label
from atdata.model.shard import StoredShard
from atdata.model.version import version_key
from atdata.providers.base import IndexProvider
from atdata.repository import Mounted
from atdata.sources.joined import JoinedSource
from atdata.sources.registry import source_of

_LOOKED_AT = 500


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """One version of a dataset.

    Attributes:
        version: The version, or None for an entry that no version names.
        cid: The entry's CID.
        is_latest: Whether the bare name stands for it.
        created_at: When the entry was catalogued.
        n_samples: How many samples it has, if that is known.
        n_bytes: The size of its shards, if that is known.
        description: What is said of the version.
    """

    version: str | None
    cid: str
    is_latest: bool
    created_at: datetime | None
    n_samples: int | None
    n_bytes: int | None
    description: str | None = None


def label_of(provider: IndexProvider, name: str, version: str | None) -> Row | None:
    """The label that a name, or a name with a version, stands for.

    Without a version that is the label of the latest; where nobody made one, the highest version.
    """
    row = provider.get(LABEL, name, version or "")
    if row is None and version is None:
        rows = list(provider.rows(LABEL, name=name))
        row = max(rows, key=lambda row: (version_key(row.tag), row.seq), default=None)
    return row


def entry_of(mounted: Mounted, name: str, version: str | None) -> Row:
    """The entry that a name, or a name with a version, stands for.

    Raises:
        RecordNotFoundError: There is none; the message names what there is.
    """
    provider = mounted.provider
    if version is not None and is_cid(version):
        by_itself = provider.get(ENTRY, name, version)
        if by_itself is not None:
            return by_itself
    row = label_of(provider, name, version)
    if row is not None:
        target = read_label(row).target
        found = provider.get(ENTRY, *target)
        if found is None:
            raise RecordNotFoundError(
                "dataset",
                f"{target[0]} with CID {target[1]}, which the label {name!r} stands for,",
                repo=mounted.name,
                hint="Move the label: index.label(name, cid)",
            )
        return found
    if version is None:
        rows = list(provider.rows(ENTRY, name=name))
        if rows:
            return max(rows, key=age)
    raise not_found(mounted, name, version)


def not_found(mounted: Mounted, name: str, version: str | None) -> RecordNotFoundError:
    """The error for a dataset that is not there, with the names or versions that are."""
    provider = mounted.provider
    if version is not None:
        versions = sorted(
            (row.tag for row in provider.rows(LABEL, name=name) if row.tag), key=version_key
        )
        if versions or provider.get(LABEL, name, ""):
            return RecordNotFoundError(
                "dataset",
                f"{name}@{version}",
                repo=mounted.name,
                closest=[f"{name}@{one}" for one in versions],
                hint=f"See its versions: index.versions({name!r})",
            )
    names = [row.name for row in provider.page(LABEL, ref=LATEST, limit=_LOOKED_AT)]
    return RecordNotFoundError(
        "dataset",
        name if version is None else f"{name}@{version}",
        repo=mounted.name,
        closest=get_close_matches(name, names, 5),
        hint="List all: index.list_datasets(), or look for one: index.search(...)",
    )


def is_cid(text: str) -> bool:
    """Whether a text may be an entry's CID rather than a version.

    Examples:
        >>> is_cid("bafyreie3o4l7a23p5vvgrzxosmga5jasokysvdgjpe3cgqnbkvxulwmj5e"), is_cid("1.0.0")
        (True, False)
    """
    return len(text) == 59 and text.startswith("bafyrei")


def by_cid(mounted: Mounted, cid: str) -> Row:
    """The entry with that CID; the one catalogued last, if several names share it.

    Raises:
        RecordNotFoundError: There is none.
    """
    rows = list(mounted.provider.rows(ENTRY, ref=f"cid:{cid}"))
    if not rows:
        raise RecordNotFoundError("dataset", cid, repo=mounted.name)
    return max(rows, key=age)


def age(row: Row) -> tuple[int, datetime]:
    """What orders entries from the oldest to the newest.

    One commit may write several, as when a dataset is renamed; these go by their time.
    """
    made = readable(read_entry, row)
    known = made.created_at if made is not None else None
    return row.seq, known or datetime.min.replace(tzinfo=UTC)


def readable[T](read: Callable[[Row], T], row: Row) -> T | None:
    """What a row holds; None, with a word in the log, if it is damaged."""
    try:
        return read(row)
    except ValueError as error:
        get_logger().warning("left out: %s", error)
        return None


def seen(mounted: Mounted, row: Row) -> DatasetEntry:
    """An entry as it is seen from outside: addresses in full, the schema reached from here."""
    return outside(mounted, read_entry(row))


def outside(mounted: Mounted, entry: DatasetEntry) -> DatasetEntry:
    """An entry as it is seen from outside its repository."""
    store = mounted.repository.store
    urls = {} if store is None else {url: address(store, url) for url in entry.data_urls}
    return entry.within(mounted.name, mounted.outside(entry.schema_ref), urls)


def address(store: AbstractDataStore, url: str) -> str:
    """Where a shard is: in the store, if its address is relative."""
    return store.url(url) if is_relative(url) else url


def source_behind(
    store: AbstractDataStore | None, shards: Sequence[StoredShard], ref: str = ""
) -> DataSource:
    """What reads shards as an entry names them, and compares what lies beside them with it.

    Args:
        store: The repository's store.
        shards: The shards.
        ref: What the catalogue calls the entry.

    Raises:
        StorageError: They lie in the repository's store, and nobody said where that is.
    """
    for shard in shards:
        if store is None and is_relative(shard.url):
            raise StorageError(
                shard.url,
                "it lies in the repository's store, and no store was given",
                "Say where it is: Index(..., data_store=...) or Repository(provider, store).",
            )
    urls = [shard.url for shard in shards]
    source = source_of(urls) if store is None else store.source(shards)
    if len(source.list_shards()) != len(urls):
        raise StorageError(
            "the shards of an entry",
            f"{len(urls)} addresses name {len(source.list_shards())} shards",
            "An address in a catalogue stands for one shard: write braces as %7B and %7D.",
        )
    recorded = {
        shard_id: shard.sidecars
        for shard_id, shard in zip(source.list_shards(), shards, strict=True)
        if shard.sidecars
    }
    return JoinedSource([source], recorded=recorded, ref=ref) if recorded else source


def is_relative(url: str) -> bool:
    """Whether an address is a key of the repository's store.

    Examples:
        >>> is_relative("mnist/1f-000000.tar"), is_relative("/data/a.tar"), is_relative("s3://b/k")
        (True, False, False)
    """
    return not url.startswith("/") and ":" not in url.partition("/")[0]


def versions(mounted: Mounted, name: str) -> list[DatasetVersion]:
    """All versions of a dataset, by precedence, and entries without one after them.

    Raises:
        RecordNotFoundError: There is no such dataset.
    """
    provider = mounted.provider
    rows = {row.key: row for row in provider.rows(ENTRY, name=name)}
    found_labels = [readable(read_label, row) for row in provider.rows(LABEL, name=name)]
    labels = [label for label in found_labels if label is not None]
    if not rows and not labels:
        raise not_found(mounted, name, None)
    try:
        latest = entry_of(mounted, name, None).key
    except (RecordNotFoundError, ValueError):
        latest = None  # its label is damaged, or stands for nothing
    found: list[tuple[Any, DatasetVersion]] = []
    for label in labels:
        key = (ENTRY, *label.target)
        row = rows.get(key) or provider.get(*key)
        if row is None or label.version is None:
            continue
        described = _described(row, label, is_latest=key == latest)
        if described is not None:
            found.append((version_key(label.version), described))
    named = [version for _, version in sorted(found, key=lambda pair: pair[0])]
    known = {version.cid for version in named}
    others = sorted((row for row in rows.values() if row.tag not in known), key=age)
    rest = [_described(row, None, is_latest=row.key == latest) for row in others]
    return named + [version for version in rest if version is not None]


def _described(row: Row, label: Label | None, *, is_latest: bool) -> DatasetVersion | None:
    entry = readable(read_entry, row)
    if entry is None:
        return None
    return DatasetVersion(
        None if label is None else label.version,
        entry.cid,
        is_latest,
        entry.created_at,
        entry.n_samples,
        entry.n_bytes,
        entry.description if label is None or label.description is None else label.description,
    )
