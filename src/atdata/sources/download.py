"""Bringing a shard to this machine: its bytes, and whether they are whole."""

import gzip
import lzma
import os
import sys
import threading
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import BinaryIO

from atdata._exceptions import AtdataError, ShardError, SourceError
from atdata._protocols import DataSource, SupportsRange
from atdata._typing import ByteArray
from atdata.shard.mapped import MappedShard, check_block
from atdata.shard.scan import shard_error
from atdata.shard.streamed import Decompressed
from atdata.shard.tar import TarError
from atdata.sources.naming import TRIES, Named, asking, failed, look, opened
from atdata.sources.part import Part
from atdata.transport import halt
from atdata.transport.file import is_scarcity
from atdata.transport.halt import Halt, Halted

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_TURN = 0.1  # seconds that something is waited for before looking whether it is still wanted
_RANGE = 4 << 20
_PIECE = 1 << 20
_THREADS = 4
_REQUESTS = 8
"""Ranges that are under way at once in a process, each of which may take twice its size."""

_STREAM_TRIES = 2  # where it is not known which part is at fault, all is read again

_NOT_COMPRESSED = (EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError, gzip.BadGzipFile)


def download(source: DataSource, shard_id: str, named: Named, part: Part, most: int) -> bool:
    """Fill a part with a shard, decompressed.

    Args:
        source: Where the shard is.
        shard_id: The shard.
        named: What `look` said of it.
        part: The file to fill.
        most: Refuse a shard of more bytes.

    Returns:
        Whether it is whole: all digests agree, and where there are none, the archive ends as one
        does. If not, the file holds what came, and who reads it meets the damage.

    Raises:
        ShardError: It is too large, or cannot be decompressed.
        SourceError: Its place failed or refused.
        OSError: The disk is full.
    """
    if named.tail and isinstance(source, SupportsRange):
        if named.end + len(named.tail) > most:
            raise _too_large(shard_id, most)
        return _ranges(source, shard_id, named, part, lambda: look(source, shard_id) == named)
    return _stream(source, shard_id, part, most)


def _too_large(shard_id: str, most: int) -> ShardError:
    return ShardError(
        shard_id,
        f"it has more than {most} bytes, which is more than the cache takes",
        hint="Raise the cache's bound (cache_bytes), or read the shard without a cache.",
    )


def _ranges(
    source: SupportsRange, shard_id: str, named: Named, part: Part, unchanged: Callable[[], bool]
) -> bool:
    part.empty()
    part.write(named.tail, named.end)
    spans = [(0, named.end)]
    tries = TRIES
    while True:
        tries -= 1
        _fill(source, shard_id, part, _cut(spans))
        shard = MappedShard(part.view, shard_id)
        bad = _bad_blocks(shard)
        if not bad:
            return True
        if not tries:
            _spoil(shard, bad, part)
            return False
        if not unchanged():
            return False  # it is another shard by now, and its blocks will never agree
        spans = [_span(shard, block) for block in bad]


def _cut(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for start, stop in spans:
        for at in range(start, stop, _RANGE):
            yield at, min(_RANGE, stop - at)


class _Here:
    """What is of this process alone."""

    slots = threading.BoundedSemaphore(_REQUESTS)


@contextmanager
def _slot() -> Generator[None]:
    slots = _Here.slots
    while not slots.acquire(timeout=_TURN):
        halt.check()
    try:
        yield
    finally:
        slots.release()


def _fill(
    source: SupportsRange, shard_id: str, part: Part, ranges: Iterable[tuple[int, int]]
) -> None:
    """Read ranges into a file."""
    fetch_ranges(source, shard_id, ranges, lambda start, data: part.write(data, start))


def fetch_ranges(
    source: SupportsRange,
    shard_id: str,
    ranges: Iterable[tuple[int, int]],
    take: Callable[[int, bytes], None],
    *,
    threads: int = _THREADS,
) -> None:
    """Read ranges of a shard, several at once; the first error ends them all.

    Args:
        source: Where the shard is.
        shard_id: The shard.
        ranges: Where each begins, and how many bytes it has.
        take: Is given where a range begins, and its bytes; called in several threads.
        threads: How many to read at once.

    Raises:
        ShardError: The shard does not hold those bytes.
        SourceError: Its place failed or refused.
    """
    todo = deque(ranges)
    errors: list[BaseException] = []
    ending = Halt()

    def read_some() -> None:
        while True:
            try:
                start, n_bytes = todo.popleft()
            except IndexError:
                return
            with _slot():
                with asking(shard_id):
                    data = source.read_range(shard_id, start, n_bytes)
                if len(data) != n_bytes:
                    reason = f"its source gave {len(data)} bytes for {n_bytes}"
                    raise ShardError(shard_id, reason, offset=start)
                take(start, data)
                del data  # before another thread has the slot

    def work() -> None:
        try:
            with ending.running():
                read_some()
        except BaseException as error:
            errors.append(error)
            ending.stop()

    running = [
        threading.Thread(target=work, name="atdata-download", daemon=True)
        for _ in range(min(threads, len(todo)))
    ]
    try:
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    finally:
        ending.stop()
        for thread in running:
            if thread.ident is not None:
                thread.join()
    halt.check()
    if errors:
        raise next((error for error in errors if not isinstance(error, Halted)), errors[0])


def _stream(source: DataSource, shard_id: str, part: Part, most: int) -> bool:
    shard: MappedShard | None = None
    bad: list[int] = []
    problem: AtdataError | None = None
    for _ in range(_STREAM_TRIES):
        part.empty()
        problem = _pour(source, shard_id, part, most)
        try:
            shard = MappedShard(part.view, shard_id)
        except ShardError as error:  # what should be its index is none
            shard, problem = None, problem or error
            continue
        bad = _bad_blocks(shard)
        if not (problem or bad or shard.damage):
            return True
    # What came is of use only if reading it shows that something is missing.
    if problem is not None and (
        isinstance(problem, SourceError) or shard is None or not (bad or shard.damage)
    ):
        raise problem
    if shard is not None:
        _spoil(shard, bad, part)
    return False


def _pour(source: DataSource, shard_id: str, part: Part, most: int) -> AtdataError | None:
    """Write a stream to a file.

    Returns:
        What ended it too early, if it may go better the next time.
    """
    at = 0
    with closing(opened(source, shard_id)) as stream:
        pieces = _pieces(stream)
        while True:
            halt.check()
            try:
                piece = next(pieces, b"")
            except _NOT_COMPRESSED as error:
                return _damaged(shard_id, error, at)
            except TarError as error:
                raise shard_error(shard_id, error) from error
            except OSError as error:
                if isinstance(error, SourceError) and at:
                    return error
                if isinstance(error, AtdataError) or is_scarcity(error):
                    raise
                if error.errno is None:  # how bz2 says it
                    return _damaged(shard_id, error, at)
                raise failed(shard_id, error) from error
            if not piece:
                return None
            if at + len(piece) > most:
                raise _too_large(shard_id, most)
            part.write(piece, at)
            at += len(piece)


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    archive = Decompressed(stream)
    while piece := archive.read(_PIECE):
        yield piece


def _damaged(shard_id: str, error: Exception, at: int) -> ShardError:
    return ShardError(shard_id, f"its compression is damaged: {error}", offset=at)


def _bad_blocks(shard: MappedShard) -> list[int]:
    bad: list[int] = []
    index = shard.index
    for block in range(len(index.blocks) if index is not None else 0):
        halt.check()
        if index and check_block(index, block, _block(shard, block), "proof", shard.shard_id):
            bad.append(block)
    return bad


def _span(shard: MappedShard, block: int) -> tuple[int, int]:
    if shard.index is None:
        raise ValueError("a shard without an index has no blocks")
    at = shard.index.blocks.at
    return int(at[block]), int(at[block + 1])


def _block(shard: MappedShard, block: int) -> ByteArray:
    start, stop = _span(shard, block)
    return shard.data[start:stop]


def _spoil(shard: MappedShard, bad: Iterable[int], part: Part) -> None:
    """See to it that XXH3, which is all that is compared later, finds each bad block too.

    It does for damage. Who forges a block can keep its XXH3, but not its BLAKE3.
    """
    for block in bad:
        data = _block(shard, block)
        if shard.index is not None and not check_block(
            shard.index, block, data, "damage", shard.shard_id
        ):
            start, stop = _span(shard, block)
            for at in range(start, stop, _PIECE):
                part.write(bytes(min(_PIECE, stop - at)), at)


def _renew() -> None:
    """Those who held a slot are threads of the parent."""
    _Here.slots = threading.BoundedSemaphore(_REQUESTS)


os.register_at_fork(after_in_child=_renew)
