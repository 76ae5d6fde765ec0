"""Bringing shards into a store while they are written, all or nothing."""

import secrets
import shutil
import tempfile
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self, TypeGuard

from atdata._exceptions import AtdataError, ConflictError, StorageError
from atdata._logging import get_logger
from atdata._protocols import AbstractDataStore, SupportsCleaning, SupportsStaging
from atdata.index._datasets import readable
from atdata.index._journal import RUNNING, TEMPORARY, Maker, Pending
from atdata.model.entry import now
from atdata.model.record import ENTRY, Delete, Put
from atdata.model.rows import read_entry
from atdata.model.shard import FinishedShard, StoredShard
from atdata.repository import Mounted
from atdata.stores.keys import to_remove

_AT_ONCE = 2
"""Complete shards on this machine's disk at most; one more is being written."""


class Work:
    """A write that is under way: recorded before its first byte is stored.

    Shards are handed to the store by threads, while the next is being encoded. If the block is
    left by an exception, what was stored is removed again, and the record with it.

    Args:
        mounted: The repository whose catalogue is to hold the dataset.
        store: Keeps the shards.
        name: The dataset's name.
        own_store: Whether the store is the repository's own.
    """

    def __init__(
        self, mounted: Mounted, store: AbstractDataStore, name: str, *, own_store: bool
    ) -> None:
        self._provider = mounted.provider
        self._store = store
        self._token = secrets.token_hex(8)
        self._stored: list[Future[StoredShard]] = []
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="atdata-store")
        folder = None
        if isinstance(store, SupportsStaging):
            self._folder = store.staging(f"{name}/{self._token}")
        else:
            self._folder = Path(tempfile.gettempdir(), f"{TEMPORARY}{self._token}")
            folder = str(self._folder)
        self._pending = Pending(
            name, self._token, repr(store), own_store, Maker.this(), now(), folder=folder
        )
        self._seq = 0
        self._is_committed = False

    def __enter__(self) -> Self:
        RUNNING.add(self._token)
        try:
            self._seq = self._provider.commit([Put(self._pending.row(), expect=0)])
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def path(self, number: int) -> Path:
        """Where shard number n is to be written."""
        return self._folder / f"{number:06d}.tar"

    def deliver(self, shard: FinishedShard) -> None:
        """Hand a complete shard to the store; waits while too many are on their way."""
        for future in self._stored[-_AT_ONCE : -_AT_ONCE + 1]:
            future.result()
        number = len(self._stored)
        key = f"{self._pending.prefix}-{number:06d}.tar"
        self._stored.append(self._pool.submit(self._keep, shard, key))

    def _keep(self, shard: FinishedShard, key: str) -> StoredShard:
        kept = self._store.put(shard, key=key)
        for path in (shard.path, *shard.sidecars):
            if path.parent == self._folder:  # what the caller owns stays
                path.unlink(missing_ok=True)
        return kept

    def shards(self) -> list[StoredShard]:
        """The shards as they are stored, once all are."""
        return [future.result() for future in self._stored]

    @property
    def done(self) -> Delete:
        """What the commit that shows the dataset does besides: the work is over."""
        return Delete(self._pending.key, expect=self._seq)

    def committed(self) -> None:
        """Say that the commit went through: what was stored stays."""
        self._is_committed = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        shutil.rmtree(self._folder, ignore_errors=True)
        if not self._is_committed:
            self._undo()
        RUNNING.discard(self._token)
        if self._is_of_the_disk(error):
            raise StorageError(
                str(self._folder),
                (error.strerror or str(error)).lower(),
                "Make room there, and write it again. Nothing was kept.",
            ) from error

    def _is_of_the_disk(self, error: BaseException | None) -> TypeGuard[OSError]:
        """Whether a shard could not be written, as against what the samples' source raised."""
        if not isinstance(error, OSError) or isinstance(error, AtdataError):
            return False
        place = error.filename
        return isinstance(place, str) and Path(place).is_relative_to(self._folder)

    def _undo(self) -> None:
        """Remove what was stored, unless the commit may have gone through after all."""
        try:
            if not self._is_claimed() and self._may_be_needed():
                return
            remove_keys(self._store, self._stored_keys())
            self._provider.commit([Delete(self._pending.key)])
        except (AtdataError, OSError) as error:
            get_logger().warning(
                "a write of %s failed and could not be cleaned up (%s); index.gc() finds it",
                self._pending.name,
                error,
            )

    def _is_claimed(self) -> bool:
        """Take the record over, so that a commit that may still be on its way fails.

        Looking is not enough: what was sent may take effect a moment later.
        """
        if self._seq == 0:
            return True
        try:
            self._provider.commit([Put(self._pending.row(), expect=self._seq)])
        except ConflictError:
            return False
        return True

    def _may_be_needed(self) -> bool:
        """Whether an entry has the shards after all: the answer to a commit may have been lost."""
        if not self._pending.own_store:
            return True
        for row in self._provider.rows(ENTRY, ref=f"folder:{self._pending.name}"):
            entry = readable(read_entry, row)
            if entry is None or any(u.startswith(self._pending.prefix) for u in entry.data_urls):
                return True
        return False

    def _stored_keys(self) -> Iterable[str]:
        if isinstance(self._store, SupportsCleaning):
            return [found.key for found in self._store.list_keys(self._pending.prefix)]
        return []


def remove_keys(store: AbstractDataStore, keys: Iterable[str]) -> None:
    """Remove what is kept under these keys and beside it, where the store can."""
    if isinstance(store, SupportsCleaning):
        for key in to_remove(keys):
            store.remove(key)
