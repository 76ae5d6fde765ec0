"""What names the bytes of a shard, so that a copy of them can be found again."""

import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from atdata._exceptions import AtdataError, ShardError, ShardNotFoundError, SourceError, shard_name
from atdata._protocols import DataSource, SupportsLocalPath, SupportsRange, SupportsVersion
from atdata.shard.ranged import RangedShard, open_ranged
from atdata.shard.streamed import compression_of
from atdata.transport import halt
from atdata.transport.file import is_scarcity, open_file

TRIES = 3
"""How often bytes are read that do not agree with their digests."""


@dataclass(frozen=True, slots=True)
class Named:
    """What is known of a shard before it is fetched.

    Attributes:
        key: Names its bytes; empty if nothing does.
        tail: Its index, as it ends the shard; empty if that could not be read by itself.
        end: How many bytes come before the index.
    """

    key: str
    tail: bytes = field(default=b"", repr=False)
    end: int = 0


def local_path(source: DataSource, shard_id: str) -> Path | None:
    """A shard's file, if it is on this machine."""
    return source.local_path(shard_id) if isinstance(source, SupportsLocalPath) else None


def is_compressed(path: Path, shard_id: str) -> bool:
    """Whether a file must be decompressed before it can be mapped.

    Raises:
        ShardNotFoundError: There is no such file.
        SourceError: It cannot be read.
    """
    try:
        with open_file(path) as file:
            return bool(compression_of(file.read(6)))
    except ShardNotFoundError as error:
        raise ShardNotFoundError(shard_id) from error


def look(source: DataSource, shard_id: str) -> Named:
    """Find out what names a shard's bytes: its index, or else its version.

    An index holds digests of all other bytes, so that with an address it names them.

    Raises:
        ShardError: It is not there, or its index is damaged.
        SourceError: Its place failed or refused.
    """
    path = local_path(source, shard_id)
    if path is not None:
        return Named(_key("file", str(path), *map(str, _identity(path, shard_id))))
    version: str | None = None
    with asking(shard_id):
        if isinstance(source, SupportsRange):
            found = _by_index(source, shard_id)
            if found is not None:
                return found
        if isinstance(source, SupportsVersion):
            version = source.shard_version(shard_id)
    if version is None:
        return Named("")
    kind = type(source)
    return Named(_key("version", f"{kind.__module__}.{kind.__qualname__}", shard_id, version))


def _key(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def _identity(path: Path, shard_id: str) -> tuple[int, ...]:
    try:
        stat = os.stat(path)
    except FileNotFoundError as error:
        raise ShardNotFoundError(shard_id) from error
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


class _Tail:
    """Passes reading on, and remembers what was read: the end of the shard, in pieces."""

    def __init__(self, source: SupportsRange) -> None:
        self._source = source
        self._n_bytes = 0
        self._pieces: list[tuple[int, bytes]] = []

    def shard_size(self, shard_id: str) -> int:
        self._n_bytes = self._source.shard_size(shard_id)
        self._pieces.clear()
        return self._n_bytes

    def read_range(self, shard_id: str, start: int, length: int) -> bytes:
        data = self._source.read_range(shard_id, start, length)
        self._pieces.append((start if start >= 0 else self._n_bytes + start, data))
        return data

    def bytes_from(self, at: int) -> bytes:
        """All that follows an offset."""
        found = bytearray(self._n_bytes - at)
        for start, data in self._pieces:
            skipped = max(0, at - start)
            found[start + skipped - at : start + len(data) - at] = data[skipped:]
        return bytes(found)


def _by_index(source: SupportsRange, shard_id: str) -> Named | None:
    tail = _Tail(source)
    try:
        shard = _opened_ranged(tail, shard_id)
    except SourceError as error:
        if error.status is not None and error.status < 400:
            return None  # it answers, but not with parts
        raise
    if shard is None:
        return None
    end = shard.index.end
    data = tail.bytes_from(end)
    # A query may sign the address anew each time; the index tells the bytes without it.
    return Named(_key("index", shard_name(shard_id), data), data, end)


def _opened_ranged(tail: _Tail, shard_id: str) -> RangedShard | None:
    for _ in range(TRIES - 1):
        try:
            return open_ranged(tail, shard_id)
        except ShardNotFoundError:
            raise
        except ShardError:  # the index may have been damaged on its way
            halt.check()
    return open_ranged(tail, shard_id)


def opened(source: DataSource, shard_id: str) -> BinaryIO:
    """A shard's stream.

    Raises:
        ShardNotFoundError: It is not there.
        SourceError: Its place failed or refused.
    """
    with asking(shard_id):
        return source.open_shard(shard_id)


@contextmanager
def asking(shard_id: str) -> Generator[None]:
    """Make what any source may raise an error of ours."""
    try:
        yield
    except AtdataError:
        raise
    except (FileNotFoundError, KeyError) as error:
        raise ShardNotFoundError(shard_id, str(error) or "no such shard") from error
    except OSError as error:
        if is_scarcity(error):
            raise
        raise failed(shard_id, error) from error


def failed(shard_id: str, error: OSError) -> SourceError:
    """The error for a place that failed in a way of its own."""
    return SourceError(shard_name(shard_id), error.strerror or str(error))
