"""A shard as a fact: where it is, what it holds, how to know it again."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FinishedShard:
    """A shard that was written and is complete.

    Attributes:
        path: The file.
        n_samples: How many samples it holds.
        n_bytes: Its size, index and end blocks included.
        sha256: Its digest as 64 hex digits, or None if digests were switched off.
    """

    path: Path
    n_samples: int
    n_bytes: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class SkippedSample:
    """What a reader left out because it could not be read.

    Attributes:
        shard_id: The shard.
        key: The sample's key, or None where a block or the rest of a shard was left out.
        offset: Byte offset in the shard, where one is known.
        reason: Why.
    """

    shard_id: str
    key: str | None
    offset: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class StoredShard:
    """A shard in a store: its address, what it holds, and how to know it again.

    Attributes:
        url: Its address: a path, a URL, or relative to the store of its repository.
        n_samples: How many samples it holds, where that is known.
        n_bytes: Its size, where that is known.
        sha256: Its digest as 64 hex digits, where one was taken.
    """

    url: str
    n_samples: int | None = None
    n_bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What lies in a store under a key.

    Attributes:
        key: Its key, relative to the store.
        n_bytes: Its size.
        modified: When it was written, in seconds since 1970.
    """

    key: str
    n_bytes: int
    modified: float
