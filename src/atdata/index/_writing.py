"""Writing datasets: encode, hash, store and catalogue in one pass, all or nothing."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from atdata._exceptions import RecordExistsError, SchemaError
from atdata._logging import log_operation
from atdata._protocols import AbstractDataStore
from atdata.dataset import Dataset
from atdata.dataset._write import deliver_shards, typed
from atdata.index._datasets import entry_of, is_relative, label_of, outside, source_behind
from atdata.index._schemas import Planned, find, is_untyped, plan, until_settled
from atdata.index._work import Work
from atdata.model.entry import DatasetEntry, check_metadata, now
from atdata.model.label import Label
from atdata.model.names import check_name, check_version
from atdata.model.record import ENTRY, LABEL, Change, Check, Delete, Put, SearchText
from atdata.model.rows import entry_row, label_row, read_entry
from atdata.model.schema import Schema
from atdata.model.shard import StoredShard
from atdata.repository import Mounted
from atdata.schema.diff import diff
from atdata.stores.disk import LocalDiskStore

_WRITTEN = re.compile(r"(.+)/[0-9a-f]{16}-[0-9]{6,}\.tar")
_MOST_TAGS = 200
_MOST_PARENTS = 700
_LONGEST_TAG = 200
DEFAULT_COUNT = 10_000
DEFAULT_SIZE = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What is said of a dataset, checked before anything is written.

    Attributes:
        name: Its name.
        version: Its version, or None.
        description: What it is.
        tags: Words to find it by.
        license: Its license.
        metadata: What else is said.
        parents: CIDs of the entries it was made from.
        pipeline: What made it.
    """

    name: str
    version: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    license: str | None = None
    metadata: dict[str, Any] | None = None
    parents: tuple[str, ...] = ()
    pipeline: Any = None

    @classmethod
    def of(
        cls,
        name: str,
        *,
        version: str | None = None,
        description: str | None = None,
        tags: Iterable[str] | None = None,
        license: str | None = None,  # noqa: A002 - the field's usual name
        metadata: Mapping[str, Any] | None = None,
        parents: Sequence[str] = (),
        pipeline: object = None,
    ) -> "Said":
        """Check all of it.

        Raises:
            TypeError: Something is of a kind that a record cannot hold.
            ValueError: A name or version is none.
        """
        for what, text in (("description", description), ("license", license)):
            if text is not None and not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"{what} is a str, not {type(text).__name__}")
        if tags is not None and not isinstance(tags, str):
            tags = list(tags)
        plain, plain_tags, plain_pipeline = check_metadata(metadata, tags, pipeline)
        if len(plain_tags) > _MOST_TAGS or any(len(tag) > _LONGEST_TAG for tag in plain_tags):
            raise ValueError(f"at most {_MOST_TAGS} tags of {_LONGEST_TAG} characters each")
        if len(parents) > _MOST_PARENTS:
            raise ValueError(f"{len(parents)} parents, of at most {_MOST_PARENTS}")
        return cls(
            name=check_name(name),
            version=None if version is None else check_version(version),
            description=description,
            tags=plain_tags,
            license=license,
            metadata=plain,
            parents=tuple(parents),
            pipeline=plain_pipeline,
        )


def choose_store(
    mounted: Mounted, data_store: AbstractDataStore | None
) -> tuple[AbstractDataStore, bool]:
    """The store that a write goes to, and whether it is the repository's own."""
    own = mounted.repository.store
    if data_store is not None:
        if not isinstance(data_store, AbstractDataStore):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"data_store is no store but a {type(data_store).__name__}")
        return data_store, data_store == own
    return (own, True) if own is not None else (LocalDiskStore(), False)


def write[T](
    mounted: Mounted,
    samples: Iterable[T],
    said: Said,
    *,
    data_store: AbstractDataStore | None,
    schema_version: str | None,
    maxcount: int | None,
    maxsize: int | None,
    key: str | Callable[[T], str] | None,
    content_metadata: object,
    digest: bool,
    manifest: bool,
    progress: bool | None,
    appends: bool = False,
) -> DatasetEntry:
    """Write samples as a dataset, or as more of one that is there.

    What is added goes on counting, so that a running number is the key of one sample; only those
    who add at the same moment may give the same.
    """
    if schema_version is not None:
        check_version(schema_version)
    sample_type, samples = typed(samples)
    store, own = choose_store(mounted, data_store)
    planned = plan(mounted.provider, sample_type, version=schema_version)
    first_key = 0
    if appends:
        before = read_entry(entry_of(mounted, said.name, None))
        _refuse_other_schema(mounted, before, planned)
        first_key = _count(mounted, before)
    refuse_taken(mounted, said.name, said.version)
    with (
        log_operation("index.write", name=said.name, repo=mounted.name),
        Work(mounted, store, said.name, own_store=own) as work,
    ):
        deliver_shards(
            samples,
            sample_type,
            work.path,
            work.deliver,
            maxcount=maxcount,
            maxsize=maxsize,
            key=key,
            content_metadata=content_metadata,
            digest=digest,
            manifest=manifest,
            progress=progress,
            first_key=first_key,
        )
        shards = placed(work.shards(), store, own=own)

        def attempt() -> DatasetEntry:
            again = plan(mounted.provider, sample_type, version=schema_version)
            if appends:
                return _add_more(mounted, said, again, shards, work.done)
            entry = entry_of_said(said, again.ref, shards)
            return catalogue(mounted, entry, again, also=[work.done])

        entry = until_settled(attempt, unless=work.done.key)
        work.committed()
    return outside(mounted, entry)


def _count(mounted: Mounted, entry: DatasetEntry) -> int:
    """How many samples an entry has; where it does not say, its shards are asked."""
    if entry.n_samples is not None:
        return entry.n_samples
    return len(Dataset(source_behind(mounted.repository.store, entry.shards)))


def placed(
    shards: Sequence[StoredShard], store: AbstractDataStore, *, own: bool
) -> list[StoredShard]:
    """Shards with the addresses an entry holds: relative in the repository's own store only."""
    return [shard if own else replace(shard, url=store.url(shard.url)) for shard in shards]


def entry_of_said(said: Said, schema_ref: str, shards: Sequence[StoredShard]) -> DatasetEntry:
    """The entry of what is said of a dataset and of its shards."""
    return DatasetEntry(
        said.name,
        schema_ref,
        metadata=said.metadata,
        shards=tuple(shards),
        version=said.version,
        description=said.description,
        tags=said.tags,
        license=said.license,
        parents=said.parents,
        pipeline=said.pipeline,
        created_at=now(),
    )


def catalogue(
    mounted: Mounted,
    entry: DatasetEntry,
    planned: Planned,
    *,
    also: Sequence[Change] = (),
    latest: int | None = None,
) -> DatasetEntry:
    """Catalogue a dataset: its schema, its entry and its labels in one commit, labels last.

    Args:
        mounted: The repository.
        entry: The entry.
        planned: Its schema.
        also: What else the commit does.
        latest: Number of the commit that wrote the label of the latest, where that counts.

    Raises:
        ConflictError: Someone else changed what this builds on; nothing was changed.
        RecordExistsError: The version is there already.
    """
    refuse_taken(mounted, entry.name, entry.version)
    version = entry.version
    entry, step = _settled(mounted, entry)
    changes: list[Change] = [*planned.changes, step]
    if version is not None:
        label = Label(entry.name, entry.cid, version, created_at=now())
        changes.append(Put(label_row(label), expect=0))
    changes += [latest_label(entry, planned.schema, expect=latest), *also]
    mounted.provider.commit(changes)
    return entry


def _settled(mounted: Mounted, entry: DatasetEntry) -> tuple[DatasetEntry, Put | Check]:
    """The entry to be, and the step that stores it; one that a version names stays as it is.

    The same shards may be catalogued again, and then have the same CID. What lies beside them says
    nothing else than they do, so it may have been made anew.
    """
    row = mounted.provider.get(ENTRY, entry.name, entry.cid)
    labels = mounted.provider.rows(LABEL, ref=f"entry:{entry.name}@{entry.cid}")
    versions = [label.tag for label in labels if label.tag] if row is not None else []
    if row is None or not versions:
        expect = 0 if row is None else row.seq
        return entry, Put(entry_row(entry, folder_refs(entry)), expect)
    there = read_entry(row)
    same = replace(entry, version=there.version, created_at=there.created_at)
    if _without_sidecars(same) == _without_sidecars(there) and same != there:
        return same, Put(entry_row(same, folder_refs(same)), row.seq)
    if same != there:
        raise RecordExistsError(
            "dataset",
            f"{entry.name}@{versions[0]}",
            "It has the same shards, and something else is said of them. Versions never change: "
            "copy the shards, with copy=True, or give them another name.",
        )
    return there, Check(row.key, row.seq)


def _without_sidecars(entry: DatasetEntry) -> DatasetEntry:
    return replace(entry, shards=tuple(replace(shard, sidecars=()) for shard in entry.shards))


def latest_label(
    entry: DatasetEntry, schema: Schema | None, name: str | None = None, expect: int | None = None
) -> Put:
    """The step that makes a name stand for an entry, and that lets a search find it."""
    name = entry.name if name is None else name
    other = "" if name == entry.name else entry.name
    label = Label(name, entry.cid, entry_name=other, created_at=now())
    refs = [f"tag:{tag}" for tag in entry.tags] + [f"schema:{entry.schema_ref}"]
    fields = "" if schema is None else " ".join([schema.name, *(f.name for f in schema.fields)])
    text = SearchText.of(
        name=name,
        tags=" ".join(entry.tags),
        fields=fields,
        description=entry.description or "",
    )
    return Put(label_row(label, refs=refs, text=text), expect)


def is_written(url: str) -> bool:
    """Whether an address is of a shard that a write put into the repository's own store.

    Examples:
        >>> is_written("mnist/0123456789abcdef-000000.tar"), is_written("mnist/mine.tar")
        (True, False)
    """
    return is_relative(url) and _WRITTEN.fullmatch(url) is not None


def folder_refs(entry: DatasetEntry) -> list[str]:
    """The folders of the repository's store that shards of an entry were written to.

    There is one for each name the dataset has had, however often it was added to. Who removes
    shards finds by them the other entries that may need these.
    """
    found = (_WRITTEN.fullmatch(url) for url in entry.data_urls if is_relative(url))
    return list(dict.fromkeys(f"folder:{match[1]}" for match in found if match))


def _add_more(
    mounted: Mounted,
    said: Said,
    planned: Planned,
    shards: Sequence[StoredShard],
    done: Delete,
) -> DatasetEntry:
    """Catalogue the latest entry with more shards; the label must not have moved meanwhile."""
    label = label_of(mounted.provider, said.name, None)
    row = entry_of(mounted, said.name, None)
    before = read_entry(row)
    _refuse_other_schema(mounted, before, planned)
    both = replace(
        said,
        description=before.description if said.description is None else said.description,
        tags=said.tags or before.tags,
        license=before.license if said.license is None else said.license,
        metadata=before.metadata if said.metadata is None else said.metadata,
        parents=said.parents or (before.cid,),
    )
    entry = entry_of_said(both, before.schema_ref, [*before.shards, *shards])
    return catalogue(
        mounted,
        entry,
        planned,
        also=[Check(row.key, row.seq), done],
        latest=0 if label is None or label.tag else label.seq,
    )


def refuse_taken(mounted: Mounted, name: str, version: str | None) -> None:
    """Refuse a version that is there already.

    Raises:
        RecordExistsError: It is.
    """
    if version is not None and mounted.provider.get(LABEL, name, version) is not None:
        raise RecordExistsError(
            "dataset",
            f"{name}@{version}",
            "Versions never change: give another, or none to move the latest only.",
        )


def _refuse_other_schema(mounted: Mounted, entry: DatasetEntry, planned: Planned) -> None:
    """Samples of another schema do not belong behind those that are there."""
    if is_untyped(entry.schema_ref) or planned.schema is None:
        same = entry.schema_ref == planned.ref
        difference = f"{entry.schema_ref} is not {planned.ref}"
    else:
        there = find(mounted.provider, entry.schema_ref, repo=mounted.name)
        same = there.cid == planned.schema.cid
        difference = "" if same else str(diff(there, planned.schema))
    if not same:
        raise SchemaError(
            planned.ref,
            wanted=f"the schema of {entry.name}, {entry.schema_ref}",
            found="another one",
            hint=f"{difference}\n  View the samples as the dataset's type first, or write them "
            "under another name.",
        )
