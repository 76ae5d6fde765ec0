"""Shards in order, and what is elsewhere fetched ahead: by ranges, in threads, bounded in bytes.

While samples of one block are used, the next blocks are on their way, and behind the last block of
a shard the first of the next, whose index was read in time. What is read, and which errors come in
which place, does not depend on it.
"""

from collections.abc import Generator, Iterable

from atdata.pipeline.fetcher import Fetcher, Opener, Place, Wanted
from atdata.pipeline.open import Shard, open_shard
from atdata.shard.chunk import Chunk, Reading
from atdata.shard.ranged import RangedShard
from atdata.shard.streamed import StreamedShard
from atdata.transport import close_idle

__all__ = ["PREFETCH_BYTES", "Turn", "Wanted", "read_shards"]

PREFETCH_BYTES = 64 << 20
"""How much is read ahead unless another bound is given."""


def read_shards(
    wanted: Iterable[Wanted], *, prefetch_bytes: int, opener: Opener = open_shard
) -> Generator["Turn", None, None]:
    """Shards one after the other, those from elsewhere fetched ahead.

    Close the generator when it is not needed any more: that cuts the requests that run, ends the
    threads and waits for them, and closes connections. Shards of this machine are opened when
    their turn comes, and no thread is started for them.

    Args:
        wanted: What to read, in order. It is asked for some shards ahead of the one that is read.
        prefetch_bytes: How much is fetched, or on its way, before it is asked for. With 0, nothing
            is, and each request asks for one block. A larger block comes when it is next.
        opener: Opens a shard. For those from elsewhere it is called in several threads at once, as
            are their sources' `shard_size`, `read_range` and `open_shard`. A source that offers
            neither paths nor ranges is used in this thread alone.

    Yields:
        Each shard when its turn comes, which ends when the next is asked for.

    Examples:
        >>> from atdata.sources import URLSource
        >>> source = URLSource("data/digits-{00..01}.tar")
        >>> shards = (Wanted(source, shard_id) for shard_id in source.list_shards())
        >>> for turn in read_shards(shards, prefetch_bytes=64 << 20):
        ...     print(turn.number, turn.wanted.shard_id)
        0 data/digits-00.tar
        1 data/digits-01.tar
    """
    try:
        if prefetch_bytes > 0:
            yield from _turns(Fetcher(iter(wanted), prefetch_bytes, opener))
        else:
            for number, one in enumerate(wanted):
                yield Turn(number, one, opener)
    finally:
        close_idle()


def _turns(fetcher: Fetcher) -> Generator["Turn", None, None]:
    try:
        while (place := fetcher.next_place()) is not None:
            yield Turn(place.number, place.wanted, fetcher.opener, place)
    finally:
        fetcher.stop()


class Turn:
    """A shard whose turn it is.

    Attributes:
        number: Its place among all that are wanted, counted from 0.
        wanted: What is wanted of it.
    """

    def __init__(
        self, number: int, wanted: Wanted, opener: Opener, place: Place | None = None
    ) -> None:
        self.number = number
        self.wanted = wanted
        self._opener = opener
        self._place = place  # None where nothing is fetched ahead
        self._shard: Shard | None = None

    def open(self) -> Shard:
        """The shard, opened.

        Raises:
            ShardError: It is not there, or its index is damaged.
            SourceError: Its place failed or refused.
            OSError: This process may not open any more files.
        """
        if self._shard is None and self._place is not None and self._place.is_away:
            self._shard = self._place.fetcher.opened(self._place)
        if self._shard is None:
            self._shard = self._opener(self.wanted.source, self.wanted.shard_id)
        return self._shard

    def chunks(self, *, start: int | None = None) -> Reading:
        """The samples that are wanted, in order.

        Args:
            start: A row to begin with that is known only now, instead of the first that is wanted;
                what was fetched before it is dropped.

        Raises:
            ShardError: What `open` raises, or the shard is not what its index says.
            SourceError: Its place failed or refused.
        """
        shard, wanted, place = self.open(), self.wanted, self._place
        first = wanted.start if start is None else max(start, wanted.start)
        if first >= wanted.stop:
            return
        # What was fetched ahead is used up by the first reading; another fetches anew.
        is_first = place is not None and place.fetcher.begins(place)
        if isinstance(shard, RangedShard):
            if place is not None and is_first and place.is_away:
                yield from place.fetcher.chunks(place, shard, first)
            else:
                yield from shard.chunks(
                    start=first, stop=wanted.stop, verify=wanted.verify, n_bytes=0
                )
            return
        chunks = _until(shard.chunks(start=first, verify=wanted.verify), wanted.stop)
        if isinstance(shard, StreamedShard) and place is not None and is_first and place.is_away:
            chunks = place.fetcher.streamed(chunks)
        yield from chunks


def _until(reading: Reading, stop: int) -> Reading:
    """A reading up to a row."""
    for item in reading:
        if not isinstance(item, Chunk):
            yield item
            continue
        some = item.within(0, stop)
        if len(some):
            yield some
        if item.row + len(item) >= stop:
            return
