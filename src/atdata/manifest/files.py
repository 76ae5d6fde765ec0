"""Where manifests lie, and whether files of this machine are still what they were."""

import os
from collections.abc import Callable
from pathlib import Path
from stat import S_ISREG
from threading import Lock

from xxhash import xxh3_64_intdigest, xxh3_128

from atdata.manifest.document import JSON_SUFFIX, PARQUET_SUFFIX
from atdata.model.shard import beside
from atdata.shard.index import MAGIC, SUFFIX

type Identity = tuple[int, int, int, int]
"""What changes when a file does: device, inode, size, time of change."""

FOOTER = 72
"""Bytes of an index's footer, which begins `SUFFIX` before the end of a shard."""

_REMEMBERED = 100_000


def json_path(shard: Path) -> Path:
    """The JSON file of a shard's manifest.

    Examples:
        >>> json_path(Path("a/b.tar"))
        PosixPath('a/b.manifest.json')
    """
    return shard.with_name(beside(shard.name, JSON_SUFFIX))


def parquet_path(shard: Path) -> Path:
    """The Parquet file of a shard's manifest.

    Examples:
        >>> parquet_path(Path("a/b.tar.gz"))
        PosixPath('a/b.tar.gz.manifest.parquet')
    """
    return shard.with_name(beside(shard.name, PARQUET_SUFFIX))


def remove_manifest(shard: Path) -> None:
    """Remove what lies beside a shard; the JSON goes first, for without it nothing is believed."""
    json_path(shard).unlink(missing_ok=True)
    parquet_path(shard).unlink(missing_ok=True)


def identity_of(path: Path | int) -> Identity | None:
    """What tells a file's state from the next, or None if there is no such file."""
    try:
        stat = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not S_ISREG(stat.st_mode):
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def index_mark(footer: bytes) -> str:
    """The digest that ends a shard's index, as 16 hex digits; empty if this is no footer."""
    if len(footer) < FOOTER or footer[:8] != MAGIC:
        return ""
    return f"{int.from_bytes(footer[FOOTER - 8 : FOOTER], 'little'):016x}"


class _Remembered:
    """What was found out about files, as long as they do not change."""

    def __init__(self, find: Callable[[Path], str]) -> None:
        self._find = find
        self._lock = Lock()
        self._known: dict[tuple[Identity, str], str] = {}

    def __call__(self, path: Path, identity: Identity) -> str:
        """What there is to know of a file in that state; empty if it has changed since."""
        key = identity, str(path)
        found = self._known.get(key)
        if found is None:
            found = self._find(path)
            if identity_of(path) != identity:
                return ""
            with self._lock:
                while len(self._known) >= _REMEMBERED:
                    self._known.pop(next(iter(self._known)), None)
                self._known[key] = found
        return found

    def renew(self) -> None:
        """Begin with a lock that nobody holds."""
        self._lock = Lock()


def _read_mark(path: Path) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        n_bytes = os.fstat(fd).st_size
        return index_mark(os.pread(fd, FOOTER, max(0, n_bytes - SUFFIX)))
    finally:
        os.close(fd)


def _read_content(path: Path) -> str:
    digest = xxh3_128()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


local_mark = _Remembered(_read_mark)
"""The digest that ends a local shard's index; empty if it has none."""

local_content = _Remembered(_read_content)
"""XXH3-128 of a local file."""


def _renew() -> None:
    local_mark.renew()
    local_content.renew()


os.register_at_fork(after_in_child=_renew)


def laid_out_digest(at: bytes, size: bytes, n_bytes: int) -> int:
    """What `MappedShard.digest` gives of a shard without an index."""
    return xxh3_64_intdigest(at + size, seed=n_bytes)
