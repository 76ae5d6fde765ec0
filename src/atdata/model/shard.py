"""A shard as a fact: where it is, what it holds, what lies beside it, how to know it again."""

import re
from dataclasses import dataclass
from pathlib import Path

SIDECARS = (".manifest.json", ".manifest.parquet")
"""What may lie beside a shard: the two files of its manifest."""

_SUFFIX = re.compile(r"(?:\.[a-z0-9]+){1,4}", re.ASCII)


def beside(name: str, suffix: str) -> str:
    """What a file beside a shard is called: as the shard, without a `.tar` that ends its name.

    Args:
        name: The shard's name, path or key.
        suffix: What follows, such as `".manifest.json"`.

    Raises:
        ValueError: It is no suffix.

    Examples:
        >>> beside("data/v1.0-000000.tar", ".manifest.json"), beside("a.tar.gz", ".manifest.json")
        ('data/v1.0-000000.manifest.json', 'a.tar.gz.manifest.json')
    """
    if not _SUFFIX.fullmatch(suffix):
        raise ValueError(f"{suffix[:80]!a} is no suffix, such as .manifest.json")
    return name.removesuffix(".tar") + suffix


@dataclass(frozen=True, slots=True)
class FinishedShard:
    """A shard that was written and is complete.

    Attributes:
        path: The file.
        n_samples: How many samples it holds.
        n_bytes: Its size, index and end blocks included.
        sha256: Its digest as 64 hex digits, or None if digests were switched off.
        sidecars: The files of its manifest, JSON and Parquet; empty if none was wanted.
    """

    path: Path
    n_samples: int
    n_bytes: int
    sha256: str | None
    sidecars: tuple[Path, ...] = ()


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
class StoredSidecar:
    """A file that is kept beside a shard, under its name.

    Attributes:
        suffix: What follows the shard's name, such as `".manifest.json"`.
        n_bytes: Its size.
        sha256: Its digest as 64 hex digits.
    """

    suffix: str
    n_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class StoredShard:
    """A shard in a store: its address, what it holds, and how to know it again.

    Attributes:
        url: Its address: a path, a URL, or relative to the store of its repository.
        n_samples: How many samples it holds, where that is known.
        n_bytes: Its size, where that is known.
        sha256: Its digest as 64 hex digits, where one was taken.
        sidecars: What lies beside it and how to know that again, as far as it is recorded.
    """

    url: str
    n_samples: int | None = None
    n_bytes: int | None = None
    sha256: str | None = None
    sidecars: tuple[StoredSidecar, ...] = ()


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
