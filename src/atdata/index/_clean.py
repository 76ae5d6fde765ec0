"""Finding and removing what writes that failed or were killed left behind."""

from dataclasses import dataclass, replace
from datetime import timedelta

from atdata._exceptions import ConflictError
from atdata._logging import get_logger
from atdata._protocols import AbstractDataStore, SupportsCleaning
from atdata.index._datasets import readable
from atdata.index._journal import Maker, Pending
from atdata.index._writing import is_written
from atdata.model.entry import now
from atdata.model.record import ENTRY, PENDING, Delete, Put
from atdata.model.rows import read_entry
from atdata.repository import Mounted
from atdata.stores.keys import shard_of, to_remove


@dataclass(frozen=True, slots=True)
class Orphan:
    """Something that was left behind.

    Attributes:
        repo: The repository.
        name: The dataset that was being written or removed.
        key: What is in the store, or the temporary folder.
        n_bytes: Its size.
    """

    repo: str
    name: str
    key: str
    n_bytes: int


@dataclass(frozen=True, slots=True)
class GcReport:
    """What was left behind, and what was done with it.

    Attributes:
        orphans: What was found.
        works: How many pieces of work that ended early it is from.
        running: How many are, or may be, still going on and were left alone.
        elsewhere: Stores, in words, that hold more which cannot be reached from here.
        removed: Whether it was removed.
    """

    orphans: tuple[Orphan, ...]
    works: int
    running: int
    elsewhere: tuple[str, ...]
    removed: bool

    @property
    def n_bytes(self) -> int:
        """The size of all that was found."""
        return sum(orphan.n_bytes for orphan in self.orphans)


def collect(
    chosen: list[Mounted],
    *,
    dry_run: bool,
    older_than: timedelta,
    data_store: AbstractDataStore | None,
) -> GcReport:
    """Find what ended early in these repositories, and remove it unless this is a trial.

    Only what the catalogue's own record of a write names is ever touched, so a store that is
    shared with others is safe. What another machine does is taken for ended after a while.
    """
    orphans: list[Orphan] = []
    elsewhere: list[str] = []
    works = running = 0
    for mounted in chosen:
        for row in list(mounted.provider.rows(PENDING)):
            try:
                pending = Pending.of(row)
            except ValueError as error:
                get_logger().warning("a record of a write is damaged and left alone: %s", error)
                continue
            if not pending.is_over(older_than):
                running += 1
                continue
            store = _store(mounted, pending, data_store)
            if store is None:
                elsewhere.append(pending.store)
                continue
            works += 1
            found = _found(mounted, pending, store)
            orphans += found
            if not dry_run:
                _remove(mounted, pending, store, found, row.seq)
    return GcReport(tuple(orphans), works, running, tuple(elsewhere), removed=not dry_run)


def _store(
    mounted: Mounted, pending: Pending, data_store: AbstractDataStore | None
) -> AbstractDataStore | None:
    """The store that a piece of work wrote to, if it can be reached from here."""
    own = mounted.repository.store
    stores = [store for store in (data_store, own) if store is not None]
    for store in stores:
        if repr(store) == pending.store:
            return store
    # A store that was moved has another name and the same keys.
    return next((store for store in stores if _found(mounted, pending, store)), None)


def _found(mounted: Mounted, pending: Pending, store: AbstractDataStore) -> list[Orphan]:
    if not isinstance(store, SupportsCleaning):
        return []
    if pending.keys:
        keys = set(filter(is_written, pending.keys))
        folders = {key.rpartition("/")[0] for key in keys}
        there = [item for folder in folders for item in store.list_keys(f"{folder}/")]
        items = [item for item in there if shard_of(item.key) in keys]
    else:
        items = list(store.list_keys(pending.prefix))
    found = {item.key: item for item in items}
    needed: set[str] = set()
    for folder in {key.rpartition("/")[0] for key in found}:
        for row in mounted.provider.rows(ENTRY, ref=f"folder:{folder}"):
            entry = readable(read_entry, row)
            if entry is None:
                return []  # nobody knows what it needs
            needed.update(entry.data_urls)
    return [
        Orphan(mounted.name, pending.name, item.key, item.n_bytes)
        for item in found.values()
        if shard_of(item.key) not in needed
    ]


def _remove(
    mounted: Mounted,
    pending: Pending,
    store: AbstractDataStore,
    found: list[Orphan],
    seq: int,
) -> None:
    """Claim the work first: if its process lives after all, its commit fails instead."""
    provider = mounted.provider
    claimed = replace(pending, maker=Maker.this(), started=now())
    try:
        provider.commit([Put(claimed.row(), expect=seq)])
    except ConflictError:
        get_logger().info("the write of %s ended meanwhile", pending.name)
        return
    if isinstance(store, SupportsCleaning):
        for key in to_remove(orphan.key for orphan in found):
            store.remove(key)
    pending.remove_folder()
    provider.commit([Delete(pending.key)])
