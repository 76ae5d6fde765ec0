"""What this process knows of shards it has fetched, so that it need not ask for them again.

It is remembered with the source, as an object: who opens the dataset anew looks anew, and notices
what has changed. In a forked process, what the parent knew is known too.
"""

import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakSet, finalize

from atdata._protocols import DataSource
from atdata.shard.mapped import forget_open_shards
from atdata.sources.part import Part
from atdata.transport import halt

_MOST_UNNAMED = 64  # each of them holds a file descriptor
_TURN = 0.1  # seconds that a lock is waited for before looking whether it is still wanted


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Copy:
    """A shard as a file of this machine.

    Attributes:
        path: The file.
        unnamed_bytes: The size of a file that has no name, and is there as long as this is.
    """

    path: Path
    unnamed_bytes: int | None = None


def unnamed(part: Part) -> Copy:
    """Turn a part into a file without a name, of which nothing is left when this process ends."""
    n_bytes, path = part.view.stat().st_size, part.view
    copy = Copy(path, n_bytes)
    finalize(copy, os.close, part.keep()).atexit = False
    return copy


class Slot:
    """What is known of one shard.

    Attributes:
        lock: Held by the thread that fetches it.
        copy: Where it is.
        used: When it was asked for last.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.copy: Copy | None = None
        self.used = 0.0


type _Slots = dict[tuple[Path, str], Slot]

_by_source: dict[int, _Slots] = {}
_kept_alive: dict[int, DataSource] = {}
_unnamed: WeakSet[Slot] = WeakSet()


class _Here:
    """What is of this process alone."""

    bounding = threading.Lock()


@contextmanager
def slot(source: DataSource, folder: Path, shard_id: str) -> Generator[Slot]:
    """Hold what is known of a shard, for the time of a block; others wait."""
    found = _slots_of(source).setdefault((folder, shard_id), Slot())
    lock = found.lock
    while not lock.acquire(timeout=_TURN):
        halt.check()
    try:
        found.used = time.monotonic()
        yield found
    finally:
        lock.release()


def _slots_of(source: DataSource) -> _Slots:
    key = id(source)
    slots = _by_source.get(key)
    if slots is None:
        slots = _by_source.setdefault(key, {})
        try:
            finalize(source, _by_source.pop, key, None).atexit = False
        except TypeError:  # it cannot be referred to weakly
            _kept_alive[key] = source
    return slots


def bound(added: Slot, n_bytes: int) -> None:
    """Forget the files without a name that were used least recently, if there are too many.

    Args:
        added: What was just added, which is not forgotten.
        n_bytes: How much they may hold together.
    """
    if added.copy is None or added.copy.unnamed_bytes is None:
        return
    with _Here.bounding:
        _bound(added, n_bytes)


def _bound(added: Slot, n_bytes: int) -> None:
    _unnamed.add(added)
    kept = sorted(_unnamed, key=lambda one: one.used)
    sizes = [one.copy.unnamed_bytes or 0 if one.copy else 0 for one in kept]
    total, count = sum(sizes), len(kept)
    for one, size in zip(kept, sizes, strict=True):
        if total <= n_bytes and count <= _MOST_UNNAMED:
            return
        if one is not added:
            _unnamed.discard(one)
            one.copy = None
            forget_open_shards()  # or what is open for later would still take its room
            total, count = total - size, count - 1


def _renew() -> None:
    """Locks that were held by threads of the parent are held by nobody here."""
    _Here.bounding = threading.Lock()
    for slots in _by_source.values():
        for one in slots.values():
            one.lock = threading.Lock()


os.register_at_fork(after_in_child=_renew)
