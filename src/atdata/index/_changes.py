"""Changing what is catalogued: labels, names, removal."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from atdata._exceptions import RecordExistsError, StorageError
from atdata.index._datasets import age, by_cid, is_cid, not_found, readable
from atdata.index._journal import Maker, Pending
from atdata.index._schemas import find_readable
from atdata.index._work import remove_keys
from atdata.index._writing import folder_refs, is_written, latest_label
from atdata.model.entry import DatasetEntry, now
from atdata.model.label import Label
from atdata.model.names import check_name, check_version
from atdata.model.record import ENTRY, LABEL, Change, Check, Delete, Put, Row
from atdata.model.rows import entry_row, label_row, read_entry, read_label
from atdata.model.version import is_version
from atdata.repository import Mounted


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed.

    Attributes:
        entries: Names and CIDs of the entries.
        labels: Names and versions of the labels.
        keys: The shards, by their keys in the repository's store. What lies beside them is removed
            with them.
    """

    entries: tuple[tuple[str, str], ...]
    labels: tuple[tuple[str, str | None], ...]
    keys: tuple[str, ...]


def label(
    mounted: Mounted,
    name: str,
    cid: str,
    version: str | None,
    description: str | None,
    *,
    force: bool,
) -> None:
    """Let a name, or a name with a version, stand for an entry."""
    check_name(name)
    if description is not None and version is None:
        raise ValueError("a description is of a version: give version=... as well")
    provider = mounted.provider
    own = provider.get(ENTRY, name, cid)
    row = by_cid(mounted, cid) if own is None else own
    entry = read_entry(row)
    alias = "" if entry.name == name else entry.name
    changes: list[Change] = [Check(row.key, row.seq)]
    latest = provider.get(LABEL, name, "")
    if version is not None:
        there = provider.get(LABEL, name, check_version(version))
        if there is not None and read_label(there).target == (entry.name, cid) and not description:
            return
        moves = there is not None and read_label(there).target != (entry.name, cid)
        if moves and is_version(version) and not force:
            raise RecordExistsError(
                "dataset",
                f"{name}@{version}",
                "Versions never change. Choose another, a word such as 'stable', which may move, "
                "or force=True.",
            )
        made = Label(name, cid, version, alias, description, now())
        changes.append(Put(label_row(made), expect=0 if there is None else there.seq))
    if version is None or latest is None or _is_older(mounted, latest, row):
        schema = find_readable(mounted, entry.schema_ref)
        changes.append(latest_label(entry, schema, name, 0 if latest is None else latest.seq))
    provider.commit(changes)


def _is_older(mounted: Mounted, latest: Row, row: Row) -> bool:
    """Whether what a label stands for was catalogued before another entry."""
    current = mounted.provider.get(ENTRY, *read_label(latest).target)
    return current is None or age(current) < age(row)


def rename(mounted: Mounted, old: str, new: str) -> None:
    """Give a dataset, with all its versions, another name; its shards stay where they are."""
    check_name(new)
    provider = mounted.provider
    entries = list(provider.rows(ENTRY, name=old))
    labels = list(provider.rows(LABEL, name=old))
    if not entries and not labels:
        raise not_found(mounted, old, None)
    if provider.page(ENTRY, name=new, limit=1) or provider.page(LABEL, name=new, limit=1):
        raise RecordExistsError("dataset", new, "Choose another name, or remove that one first.")
    changes: list[Change] = []
    for row in entries:
        entry = replace(read_entry(row), name=new)
        changes += [Delete(row.key, expect=row.seq), Put(entry_row(entry, folder_refs(entry)), 0)]
    moved = {row.key for row in labels}
    for row in [*labels, *_pointing(mounted, entries, moved)]:
        changes += _renamed(mounted, row, old, new)
    provider.commit(changes)


def _pointing(
    mounted: Mounted, entries: Sequence[Row], known: set[tuple[str, str, str]]
) -> list[Row]:
    """Labels of other names that stand for these entries."""
    found: list[Row] = []
    for row in entries:
        for one in mounted.provider.rows(LABEL, ref=f"entry:{row.name}@{row.tag}"):
            found += [one] if one.key not in known else []
    return found


def _renamed(mounted: Mounted, row: Row, old: str, new: str) -> list[Change]:
    """The steps that let a label follow a name."""
    label = read_label(row)
    name = new if label.name == old else label.name
    target = new if label.target[0] == old else label.target[0]
    changed = replace(label, name=name, entry_name="" if target == name else target)
    if label.version is not None:
        put = Put(label_row(changed), expect=0 if name != label.name else row.seq)
    else:
        found = mounted.provider.get(ENTRY, *label.target)
        if found is None:
            return [Delete(row.key, expect=row.seq)]
        entry = replace(read_entry(found), name=target)
        schema = find_readable(mounted, entry.schema_ref)
        put = latest_label(entry, schema, name, 0 if name != label.name else row.seq)
    return [Delete(row.key, expect=row.seq), put] if name != label.name else [put]


def delete(
    mounted: Mounted,
    name: str,
    version: str | None,
    *,
    keep_shards: bool,
    force: bool,
    dry_run: bool = False,
) -> Removed:
    """Remove a dataset with all its versions, or one of them, and the shards nobody needs."""
    provider = mounted.provider
    rows, labels = _doomed(mounted, name, version)
    others = _pointing(mounted, rows, {row.key for row in labels})
    if others and not force:
        shown = ", ".join(f"{row.name}@{row.tag}" if row.tag else row.name for row in others)
        raise RecordExistsError(
            "label",
            shown,
            "These names stand for what is to be removed: remove or move them first, "
            "or remove them with force=True.",
        )
    labels = [*labels, *others]
    found = [readable(read_entry, row) for row in rows]  # what is damaged can be removed as well
    entries = [entry for entry in found if entry is not None]
    keys = () if keep_shards else _unneeded(mounted, entries)
    removed = Removed(
        tuple((row.name, row.tag) for row in rows),
        tuple((row.name, row.tag or None) for row in labels),
        tuple(keys),
    )
    if dry_run:
        return removed
    steps: dict[tuple[str, str, str], Change] = {
        row.key: Delete(row.key, expect=row.seq) for row in [*labels, *rows]
    }
    if version is not None:
        steps |= {step.key: step for step in _next_latest(mounted, name, rows, labels)}
    changes = list(steps.values())
    store = mounted.repository.store
    pending = Pending(
        name, secrets.token_hex(8), repr(store), True, Maker.this(), now(), tuple(keys)
    )
    if keys:
        changes.append(Put(pending.row(), expect=0))
    provider.commit(changes)
    if keys and store is not None:
        try:
            # Once more: another may have come to need a shard before the commit.
            remove_keys(store, _unneeded(mounted, entries))
        except OSError as error:
            raise StorageError(
                repr(store),
                str(error).partition("\n")[0],
                f"{name} is removed from the catalogue; its shards are removed by "
                "index.gc(dry_run=False).",
            ) from error
        provider.commit([Delete(pending.key)])
    return removed


def _doomed(mounted: Mounted, name: str, version: str | None) -> tuple[list[Row], list[Row]]:
    """The entries and labels that go with a name, or with one version of it."""
    provider = mounted.provider
    all_labels = list(provider.rows(LABEL, name=name))
    if version is None:
        entries = list(provider.rows(ENTRY, name=name))
        if not entries and not all_labels:
            raise not_found(mounted, name, None)
        return entries, all_labels
    if is_cid(version) and (entry := provider.get(ENTRY, name, version)) is not None:
        return [entry], [row for row in all_labels if _stands_for(row, entry)]
    mine = provider.get(LABEL, name, version)
    if mine is None:
        raise not_found(mounted, name, version)
    label = readable(read_label, mine)
    others = [readable(read_label, row) for row in all_labels if row.tag and row.key != mine.key]
    if label is None or label.target[0] != name:
        return [], [mine]  # the entry is another name's
    target = label.target
    if any(other is not None and other.target == target for other in others):
        return [], [mine]  # another version keeps the entry
    entry = provider.get(ENTRY, *target)
    latest = provider.get(LABEL, name, "")
    is_latest = latest is not None and read_label(latest).target == target
    if is_latest and not is_version(version):
        return [], [mine]  # a word may come and go; the bare name keeps the entry
    gone = [mine, latest] if latest is not None and is_latest else [mine]
    return ([] if entry is None else [entry]), gone


def _stands_for(label: Row, entry: Row) -> bool:
    found = readable(read_label, label)
    return found is not None and found.target == (entry.name, entry.tag)


def _next_latest(
    mounted: Mounted, name: str, gone: Sequence[Row], labels: Sequence[Row]
) -> list[Change]:
    """Let the bare name stand for what was catalogued last among what is left."""
    latest = next((row for row in labels if row.name == name and not row.tag), None)
    if latest is None:
        return []
    doomed = {row.key for row in gone}
    rows = [row for row in mounted.provider.rows(ENTRY, name=name) if row.key not in doomed]
    row = max(rows, key=age, default=None)
    entry = None if row is None else readable(read_entry, row)
    if row is None or entry is None:
        return []
    schema = find_readable(mounted, entry.schema_ref)
    return [Check(row.key, row.seq), latest_label(entry, schema, name, latest.seq)]


def _unneeded(mounted: Mounted, entries: Sequence[DatasetEntry]) -> list[str]:
    """Keys of shards in the repository's own store that no other entry refers to."""
    mine = {(entry.name, entry.cid) for entry in entries}
    shared: set[str] = set()
    for ref in {ref for entry in entries for ref in folder_refs(entry)}:
        for row in mounted.provider.rows(ENTRY, ref=ref):
            if (row.name, row.tag) not in mine:
                other = readable(read_entry, row)
                if other is None:
                    return []  # nobody knows what it needs
                shared.update(other.data_urls)
    keys = [url for entry in entries for url in entry.data_urls if is_written(url)]
    return [key for key in dict.fromkeys(keys) if key not in shared]
