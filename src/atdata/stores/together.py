"""A shard and what lies beside it, kept as one: all of it or nothing."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from atdata._exceptions import RecordExistsError, StorageError
from atdata.model.shard import SIDECARS, FinishedShard, StoredShard, StoredSidecar, beside
from atdata.stores.keys import check_key


@dataclass(frozen=True, slots=True)
class Kept:
    """One file as a store has it.

    Attributes:
        n_bytes: Its size.
        sha256: Its digest as 64 hex digits.
        is_new: Whether it was not there before.
    """

    n_bytes: int
    sha256: str
    is_new: bool


def put_together(
    shard: FinishedShard,
    key: str,
    *,
    keep: Callable[[FinishedShard, str], Kept],
    holds: Callable[[FinishedShard, str], bool],
    remove: Callable[[str], object],
) -> StoredShard:
    """Put a shard and what lies beside it; the shard comes last, so what it needs is there.

    Args:
        shard: The shard.
        key: Its key.
        keep: Puts one file under a key.
        holds: Whether a file is there under a key; an error if another is.
        remove: Removes one file.

    Returns:
        The shard as it is kept; its `url` is the key.

    Raises:
        ValueError: It is no key, or no shard's.
        RecordExistsError: Something else is kept under this key, or beside it.
        StorageError: The store refused or failed. Nothing new is kept.
    """
    files = _files(shard, check_key(key))
    if files:
        holds(shard, key)  # another shard's place is left alone
    new: list[str] = []
    sidecars: list[StoredSidecar] = []
    try:
        for suffix, file in files:
            kept = keep(file, beside(key, suffix))
            new += [beside(key, suffix)] if kept.is_new else []
            sidecars.insert(0, StoredSidecar(suffix, kept.n_bytes, kept.sha256))
        kept = keep(shard, key)
    except BaseException as error:
        refused = isinstance(error, RecordExistsError)
        if refused or (new and not _is_there_by_now(shard, key, holds)):
            for one in new:
                with suppress(StorageError):
                    remove(one)
        raise
    return StoredShard(key, shard.n_samples, kept.n_bytes, kept.sha256, tuple(sidecars))


def _files(shard: FinishedShard, key: str) -> list[tuple[str, FinishedShard]]:
    """What lies beside a shard, by suffix, in the order in which it is put."""
    found: dict[str, FinishedShard] = {}
    for path in shard.sidecars:
        suffix = next((one for one in SIDECARS if path.name.endswith(one)), None)
        if suffix is None or suffix in found or not key.endswith(".tar"):
            raise ValueError(
                f"{path.name!a} cannot be kept beside {key!a}\n"
                f"  Beside a shard, whose key ends in .tar, lies one {' and one '.join(SIDECARS)}"
            )
        check_key(beside(key, suffix))
        found[suffix] = FinishedShard(path, 0, path.stat().st_size, None)
    return [(suffix, found[suffix]) for suffix in reversed(SIDECARS) if suffix in found]


def _is_there_by_now(
    shard: FinishedShard, key: str, holds: Callable[[FinishedShard, str], bool]
) -> bool:
    """Whether another writer of the same shard has put it, and needs what lies beside it."""
    with suppress(StorageError, RecordExistsError, OSError):
        return holds(shard, key)
    return False
