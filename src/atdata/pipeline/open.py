"""Opening a shard in the way its place allows: mapped, by ranges, or as a stream."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from atdata._exceptions import AtdataError, ShardNotFoundError, SourceError, shard_name
from atdata._protocols import DataSource, SupportsLocalPath, SupportsRange
from atdata.shard.chunk import Reading, Verify
from atdata.shard.mapped import MappedShard, forget_open_shards, open_mapped
from atdata.shard.ranged import RangedShard, open_ranged
from atdata.shard.streamed import StreamedShard, compression_of
from atdata.sources.cache import ShardCache
from atdata.sources.picking import Pick
from atdata.transport.file import is_scarcity, open_file


class Stream(StreamedShard):
    """A shard that can only be read from its start to its end, and is opened for each reading.

    Args:
        source: Where the shard is.
        shard_id: The shard.
    """

    def __init__(self, source: DataSource, shard_id: str) -> None:
        self.shard_id = shard_id
        self._source = source

    def chunks(self, *, start: int = 0, verify: Verify = "auto") -> Reading:
        """Read samples in order; those before the row `start` are read and dropped.

        Raises:
            ShardNotFoundError: It is not there.
            SourceError: Its place failed or refused.
        """
        stream = _opened(self._source, self.shard_id)
        yield from StreamedShard(stream, self.shard_id).chunks(start=start, verify=verify)


type Shard = MappedShard | RangedShard | StreamedShard


def open_shard(source: DataSource, shard_id: str, cache: ShardCache | None = None) -> Shard:
    """Open a shard for reading.

    Args:
        source: Where it is.
        shard_id: The shard.
        cache: Where to keep it, if it is elsewhere; None, or one that keeps nothing, reads it
            where it is.

    Raises:
        ShardError: It is not there, or its index is damaged.
        SourceError: Its place failed or refused.
        OSError: This process may not open any more files.
    """
    if cache is not None and cache.is_kept:
        return open_here(source, shard_id, cache)
    return _patiently(lambda: _open(source, shard_id))


def open_here(source: DataSource, shard_id: str, cache: ShardCache | None) -> MappedShard:
    """Open a shard as a file of this machine; one that is elsewhere or compressed is fetched.

    Raises:
        ShardError: It is not there, or its index is damaged.
        SourceError: Its place failed or refused.
        OSError: This process may not open any more files, or the disk is full.
    """
    kept = ShardCache() if cache is None else cache
    return _patiently(lambda: kept.open(source, shard_id))


def open_picked(
    source: DataSource, shard_id: str, pick: Pick, cache: ShardCache | None
) -> MappedShard:
    """Open some samples of a shard elsewhere as a small one; only they are fetched.

    Raises:
        ShardError: The shard is not the one that the samples were picked from.
        SourceError: Its place failed or refused.
        OSError: This process may not open any more files, or the disk is full.
    """
    kept = ShardCache() if cache is None else cache
    return _patiently(lambda: kept.open_picked(source, shard_id, pick))


def _patiently[T](opening: Callable[[], T]) -> T:
    """Open something; once more if what is kept open for later may have stood in the way."""
    try:
        return opening()
    except OSError as error:
        if isinstance(error, AtdataError) or not is_scarcity(error):
            raise
    forget_open_shards()
    return opening()


def _open(source: DataSource, shard_id: str) -> Shard:
    path = source.local_path(shard_id) if isinstance(source, SupportsLocalPath) else None
    if path is not None:
        if not _compressed(path, shard_id):
            return open_mapped(path, shard_id)
    elif isinstance(source, SupportsRange):
        ranged = _ranged(source, shard_id)
        if ranged is not None:
            return ranged
    return Stream(source, shard_id)


def _compressed(path: Path, shard_id: str) -> bool:
    try:
        with open_file(path) as file:
            return bool(compression_of(file.read(6)))
    except ShardNotFoundError as error:
        raise ShardNotFoundError(shard_id) from error


def _ranged(source: SupportsRange, shard_id: str) -> RangedShard | None:
    """The shard by ranges, where the server gives them."""
    try:
        return open_ranged(source, shard_id)
    except SourceError as error:
        if error.status is not None and error.status < 400:
            return None  # it answers, but not with parts
        raise


def _opened(source: DataSource, shard_id: str) -> BinaryIO:
    """A shard's stream; what any source may raise becomes an error of ours."""
    try:
        return source.open_shard(shard_id)
    except AtdataError:
        raise
    except (FileNotFoundError, KeyError) as error:
        raise ShardNotFoundError(shard_id, str(error) or "no such shard") from error
    except OSError as error:
        if is_scarcity(error):
            raise
        raise SourceError(shard_name(shard_id), error.strerror or str(error)) from error
