"""Reading from one position to the end, chunk by chunk: the quickest way where one reads alone."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

from atdata._exceptions import AtdataError
from atdata.codec.columns import Columns
from atdata.codec.compile import codec_of
from atdata.pipeline.access import Segment, read_segment
from atdata.pipeline.chain import (
    Chain,
    Origin,
    Part,
    read_chunks,
    sound,
    tags_of,
    through,
)
from atdata.pipeline.decode import Decoder
from atdata.pipeline.open import open_shard
from atdata.pipeline.policy import Ledger
from atdata.pipeline.remote import Turn, Wanted, read_shards
from atdata.pipeline.stages import Tagged
from atdata.sample.batch import SampleBatch
from atdata.shard.chunk import Chunk

type Ended = tuple[int, SampleBatch[Any]]
"""A batch behind the position after its last sample."""

type Placed = tuple[Part, int, Chunk]
"""A chunk with its part and the position of its first row."""


def from_position(
    found: Sequence[Segment],
    repeats: int,
    start: int,
    ledger: Ledger,
    *,
    keyed: bool,
    prefetch_bytes: int,
) -> Iterator[Tagged]:
    """The samples of counted segments from a position on, tagged as `ordered` does."""
    for segment, base, turn in _rest(found, repeats, start, prefetch_bytes):
        if turn is not None:
            chunks = _chunks(segment, base, turn, ledger)
            part = segment.part
            decoder = Decoder(codec_of(part.stored_type), ledger, copy=part.copy)
            yield from through(part.stages, _decoded(chunks, decoder, keyed=keyed))
            continue
        rows = segment.rows
        assert rows is not None
        listed: Sequence[int] = rows if isinstance(rows, range) else rows.tolist()
        places = {row: base + number for number, row in enumerate(listed)}
        for tags, samples in read_segment(segment, ledger, keyed=keyed):
            if keyed:
                yield [(places[row], key) for row, key in tags], samples
            else:
                yield [places[row] for row in tags], samples


def _rest(
    found: Sequence[Segment], repeats: int, start: int, prefetch_bytes: int
) -> Iterator[tuple[Segment, int, Turn | None]]:
    """Segments from a position on, the first one cut.

    Each comes with the position of its first row, and with its turn where its rows follow each
    other.
    """
    left = list(_from(found, repeats, start))
    plain = [isinstance(s.rows, range) and not (s.count and s.count.fetched) for s, _ in left]
    wanted = (
        Wanted(s.part.source, s.shard_id, s.rows.start, s.rows.stop, s.part.verify)
        for (s, _), is_plain in zip(left, plain, strict=True)
        if is_plain and isinstance(s.rows, range)
    )
    caches = {s.part.cache for s, _ in left}
    opener = partial(open_shard, cache=caches.pop() if len(caches) == 1 else None)
    with closing(read_shards(wanted, prefetch_bytes=prefetch_bytes, opener=opener)) as turns:
        for (segment, base), is_plain in zip(left, plain, strict=True):
            yield segment, base, next(turns) if is_plain else None


def _from(found: Sequence[Segment], repeats: int, start: int) -> Iterator[tuple[Segment, int]]:
    once = sum(map(len, found))
    for turn in range(start // once if once else repeats, repeats):
        base = turn * once
        for segment in found:
            n = len(segment)
            skip = max(0, start - base)
            if skip < n:
                rows = segment.rows
                assert rows is not None
                yield replace(segment, rows=rows[skip:]) if skip else segment, base + skip
            base += n


def _chunks(
    segment: Segment, base: int, turn: Turn, ledger: Ledger
) -> Iterator[tuple[int, Chunk]]:
    """The chunks of a range of rows, each with the position of its first row."""
    rows = turn.wanted
    try:
        segment.check(turn.open())
        for chunk in sound(turn.chunks(), ledger):
            wanted = chunk.within(rows.start, rows.stop)
            if len(wanted):
                yield base + wanted.row - rows.start, wanted
            if chunk.row + len(chunk) >= rows.stop:
                return
    except AtdataError as error:
        ledger.meet(error)


def _decoded(
    chunks: Iterator[tuple[int, Chunk]], decoder: Decoder[Any], *, keyed: bool
) -> Iterator[Tagged]:
    for position, chunk in chunks:
        for run in decoder.runs(chunk):
            yield tags_of(run, position, keyed=keyed), run.samples


def placed_from_start(chain: Chain, ledger: Ledger, origin: Origin) -> Iterator[Placed]:
    """The chunks of a chain of plain parts."""
    for _ in range(chain.repeats):
        for part in chain.parts:
            assert isinstance(part, Part)
            for position, chunk in read_chunks(part, ledger, origin):
                yield part, position, chunk


def placed_from_position(
    found: Sequence[Segment], repeats: int, start: int, ledger: Ledger, *, prefetch_bytes: int
) -> Iterator[Placed]:
    """The chunks of counted segments, each a range of rows that can be read ahead."""
    for segment, base, turn in _rest(found, repeats, start, prefetch_bytes):
        assert turn is not None
        for position, chunk in _chunks(segment, base, turn, ledger):
            yield segment.part, position, chunk


def batches_of_columns(
    placed: Iterable[Placed], kind: type[Any], ledger: Ledger, batch_size: int
) -> Iterator[Ended]:
    """Batches straight from columns, for samples that nothing is done to."""
    held = _Pieces(kind, batch_size)
    decoder: Decoder[Any] | None = None
    for part, position, chunk in placed:
        if decoder is None or decoder.copies != part.copy:
            decoder = Decoder(codec_of(kind), ledger, copy=part.copy)
        columns = decoder.columns(chunk)
        if columns is not None:
            yield from held.add(position, chunk, columns, decoder)
            continue
        for run in decoder.runs(chunk):
            yield from held.add_objects(tags_of(run, position, keyed=False), run.samples)
    if held.n:
        yield held.batch()


def batches_of_objects(tagged: Iterable[Tagged], batch_size: int) -> Iterator[Ended]:
    """Batches of samples that exist as objects; the last one may have fewer."""
    held: list[Any] = []
    ends: list[int] = []
    for tags, samples in tagged:
        held += samples
        ends += tags
        first = 0
        while len(held) - first >= batch_size:
            last = first + batch_size
            yield ends[last - 1] + 1, SampleBatch(held[first:last])
            first = last
        del held[:first], ends[:first]
    if held:
        yield ends[-1] + 1, SampleBatch(held)


class _Pieces:
    """Samples that wait until there are enough of them for a batch."""

    def __init__(self, sample_type: type[Any], batch_size: int) -> None:
        self._type = sample_type
        self._size = batch_size
        self._held: list[Columns[Any] | list[Any]] = []
        self._end = 0
        self.n = 0

    def add(
        self, position: int, chunk: Chunk, columns: Columns[Any], decoder: Decoder[Any]
    ) -> Iterator[Ended]:
        """Take samples as columns; give the batches that they complete."""
        first = 0
        while first < len(columns) and decoder.unchanged(chunk):
            last = min(len(columns), first + self._size - self.n)
            try:
                piece = columns.take(slice(first, last)).with_texts()
            except UnicodeDecodeError:
                for run in decoder.run(chunk, range(first, last)):
                    tags = tags_of(run, position, keyed=False)
                    yield from self.add_objects(tags, run.samples)
            else:
                self._held.append(piece)
                self.n += last - first
                self._end = position + last
                if self.n == self._size:
                    yield self.batch()
            first = last

    def add_objects(self, tags: Sequence[int], samples: list[Any]) -> Iterator[Ended]:
        """Take samples as objects; give the batches that they complete."""
        first = 0
        while first < len(samples):
            part = samples[first : first + self._size - self.n]
            self._held.append(part)
            self.n += len(part)
            first += len(part)
            self._end = tags[first - 1] + 1
            if self.n == self._size:
                yield self.batch()

    def batch(self) -> Ended:
        """What is held, as a batch; nothing is held afterwards."""
        held, self._held, self.n = self._held, [], 0
        columns = [piece for piece in held if isinstance(piece, Columns)]
        if len(columns) == len(held):
            return self._end, SampleBatch.of_columns(self._type, columns)
        samples: list[Any] = []
        for piece in held:
            samples += piece.samples() if isinstance(piece, Columns) else piece
        return self._end, SampleBatch(samples)
