"""Reading in shuffled order: shards permuted, then positions permuted within windows of shards.

Shards that lie on this machine are read by position: nothing is buffered, and a window may be as
large as it likes. Shards that come as streams pass through a buffer of samples, from which one is
picked at random for each that comes in.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress, groupby
from typing import Any

import numpy as np

from atdata._exceptions import AtdataError, ShardError
from atdata._typing import Int64Array
from atdata.codec.columns import Columns, place
from atdata.codec.compile import codec_of
from atdata.pipeline.access import Segment, read_segment, segments
from atdata.pipeline.chain import Chain, through
from atdata.pipeline.decode import Decoder
from atdata.pipeline.order import mix, permutation
from atdata.pipeline.policy import Ledger
from atdata.pipeline.stages import Stage, Tagged
from atdata.pipeline.stream import column_type
from atdata.sample.batch import SampleBatch
from atdata.shard.chunk import Chunk
from atdata.shard.mapped import MappedShard

_ROWS_AT_ONCE = 8192
_BYTES_AT_ONCE = 24 << 20
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Shuffled:
    """A shuffled order: a pure function of the seed, the epoch and the shards.

    Attributes:
        chain: What is read.
        buffer_shards: Shards whose samples are mixed with each other; 0 or 1 keeps their order.
        buffer_samples: Samples held back of streams; 0 or 1 keeps samples in a shard in order.
        seed: Makes the order reproducible.
        epoch: Each has an order of its own.
    """

    chain: Chain
    buffer_shards: int
    buffer_samples: int
    seed: int
    epoch: int

    def samples(self, ledger: Ledger, *, keyed: bool) -> Iterator[Tagged]:
        """All samples in this order, tagged with their keys if `keyed`."""
        for one in self._passes():
            for window in one._windows(ledger):
                yield from window.samples(keyed=keyed)

    def batches(self, ledger: Ledger, batch_size: int) -> Iterator[SampleBatch[Any]]:
        """All samples in this order, in batches: gathered field by field where possible."""
        held: list[Any] = []
        short: SampleBatch[Any] | None = None  # the last batch, unless more samples follow
        for one in self._passes():
            for window in one._windows(ledger):
                for piece in window.pieces(batch_size, exact=not held and short is None):
                    if short is not None:
                        held, short = short.samples, None
                    if isinstance(piece, SampleBatch) and not held:
                        if len(piece) == batch_size:
                            yield piece
                        else:
                            short = piece
                        continue
                    held += piece.samples if isinstance(piece, SampleBatch) else piece
                    whole = len(held) - len(held) % batch_size
                    for first in range(0, whole, batch_size):
                        yield SampleBatch(held[first : first + batch_size])
                    del held[:whole]
        if short is not None:
            yield short
        if held:
            yield SampleBatch(held)

    def _passes(self) -> "Iterator[Shuffled]":
        """One order for each repetition; each is an epoch of its own."""
        once = replace(self.chain, repeats=1)
        if self.chain.tail:  # what the tail lets through is known for all repetitions together
            yield self
            return
        for number in range(self.chain.repeats):
            epoch = self.epoch * self.chain.repeats + number
            yield replace(self, chain=once, epoch=epoch)

    def _windows(self, ledger: Ledger) -> "Iterator[_Window | _Buffer]":
        found = segments(self.chain, ledger, exact=False)
        order = range(len(found))
        if self.buffer_shards > 1:
            order = permutation(len(found), self.seed, self.epoch, 1).tolist()
        step = max(1, self.buffer_shards)
        for number, first in enumerate(range(0, len(found), step)):
            mapped: list[tuple[Segment, MappedShard]] = []
            streamed: list[Segment] = []
            for at in order[first : first + step]:
                segment = found[at]
                try:
                    shard = segment.open()
                except AtdataError as error:
                    ledger.meet(error)
                    continue
                if isinstance(shard, MappedShard):
                    mapped.append((segment, shard))
                else:
                    streamed.append(segment)
            if mapped:
                yield _Window(self, mapped, number, ledger)
            if streamed:
                yield _Buffer(self, streamed, number, ledger)

    def positions(self, n: int, window: int) -> Int64Array:
        """Which position of a window comes when."""
        if self.buffer_samples < 2:
            return np.arange(n, dtype=np.int64)
        return permutation(n, self.seed, self.epoch, 2, window)


class _Window:
    """The samples of some mapped shards, by position."""

    def __init__(
        self,
        order: Shuffled,
        found: Sequence[tuple[Segment, MappedShard]],
        number: int,
        ledger: Ledger,
    ) -> None:
        self._ledger = ledger
        self._members = [_Member(segment, shard, ledger) for segment, shard in found]
        self._ends: Int64Array = np.cumsum([len(one) for one in self._members], dtype=np.int64)
        self._order = order.positions(int(self._ends[-1]), number)

    def _row_bytes(self) -> float:
        return sum(one.n_bytes for one in self._members) / max(int(self._ends[-1]), 1)

    def _parts(self, multiple: int) -> Iterator[Int64Array]:
        """The window's positions in shuffled order, some at a time."""
        rows = int(_BYTES_AT_ONCE / max(self._row_bytes(), 1.0))
        rows = max(1, min(_ROWS_AT_ONCE, rows))
        step = max(1, rows // multiple) * multiple
        for first in range(0, len(self._order), step):
            yield self._order[first : first + step]

    def _groups(self, part: Int64Array) -> "Iterator[tuple[_Member, Int64Array, Int64Array]]":
        """Each member with the places in the part that it fills, and its rows for them."""
        which = np.searchsorted(self._ends, part, "right")
        by_member = np.argsort(which, kind="stable")
        bounds = np.searchsorted(which[by_member], np.arange(len(self._members) + 1))
        for number in np.unique(which).tolist():
            places = by_member[bounds[number] : bounds[number + 1]]
            member = self._members[number]
            rows = member.rows_at(part[places] - (int(self._ends[number]) - len(member)))
            yield member, places, rows

    def samples(self, *, keyed: bool) -> Iterator[Tagged]:
        """The window's samples through their stages."""
        for part in self._parts(1):
            yield from self._objects(part, keyed=keyed)

    def _objects(self, part: Int64Array, *, keyed: bool) -> Iterator[Tagged]:
        """The samples at some positions through their stages, in that order."""
        placed: list[Any] = [_ABSENT] * len(part)
        keys: list[str] = [""] * len(part)
        stages: list[tuple[Stage, ...]] = [()] * len(part)
        for member, places, rows in self._groups(part):
            kept, samples = member.samples(rows)
            where = places[kept].tolist()
            for spot, sample in zip(where, samples, strict=True):
                placed[spot] = sample
            if member.segment.part.stages:
                for spot in where:
                    stages[spot] = member.segment.part.stages
            if keyed:
                for spot, row in zip(where, rows[kept].tolist(), strict=True):
                    keys[spot] = member.shard.keys[row]
        there = [sample is not _ABSENT for sample in placed]
        if not all(there):
            placed, keys = list(compress(placed, there)), list(compress(keys, there))
            stages = list(compress(stages, there))
        first = 0
        for steps, run in groupby(stages):
            last = first + len(list(run))
            yield from through(steps, [(keys[first:last], placed[first:last])])
            first = last

    def pieces(self, batch_size: int, *, exact: bool) -> Iterator[SampleBatch[Any] | list[Any]]:
        """The window's samples as batches where fields can be gathered, else as lists."""
        kind = column_type([one.segment.part for one in self._members]) if exact else None
        for part in self._parts(batch_size):
            fields = self._gather(part) if kind is not None else None
            if fields is None or kind is None:
                for _, samples in self._objects(part, keyed=False):
                    yield samples
                continue
            for first in range(0, len(part), batch_size):
                values = {name: all_[first : first + batch_size] for name, all_ in fields.items()}
                n = min(batch_size, len(part) - first)
                yield SampleBatch.of_fields(kind, n, values)

    def _gather(self, part: Int64Array) -> dict[str, Any] | None:
        """The fields at some positions, in that order; None where only objects will do."""
        fields: dict[str, Any] = {}
        for member, places, rows in self._groups(part):
            columns = member.columns(rows)
            if columns is None:
                return None
            for name in columns.names():
                column = columns.column(name)
                if not place(fields, name, column, columns.memory, rows=places, n=len(part)):
                    return None
        return fields


class _Member:
    """One shard of a window."""

    def __init__(self, segment: Segment, shard: MappedShard, ledger: Ledger) -> None:
        self.segment = segment
        self.shard = shard
        self._ledger = ledger
        part = segment.part
        self._rows: range | Int64Array = (
            range(len(shard)) if segment.rows is None else segment.rows
        )
        self._decoder = Decoder(codec_of(part.stored_type), ledger, copy=part.copy)
        self._chunk: Chunk | None = None
        self._columns: Columns[Any] | None = None
        self._damaged: set[int] = set()
        if segment.rows is None:
            for _, error in shard.faults:
                ledger.meet(error)
            if shard.damage is not None:
                ledger.meet(shard.damage)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def n_bytes(self) -> int:
        """Bytes of the shard's payloads."""
        return int(self.shard.size.sum())

    def rows_at(self, positions: Int64Array) -> Int64Array:
        """Rows of the shard at positions of this member."""
        if isinstance(self._rows, range):
            return positions + self._rows.start
        return self._rows[positions]

    def _whole(self) -> Chunk:
        if self._chunk is None:
            self._chunk = self.shard.chunk(0, len(self.shard))
            self._columns = self._decoder.columns(self._chunk)
        return self._chunk

    def _sound(self, rows: Int64Array) -> Int64Array:
        """The rows whose blocks are not damaged; each damaged block is reported once."""
        try:
            self.shard.unchanged()
        except ShardError as changed:
            self._ledger.meet(changed)
            return rows[:0]
        bad = self.shard.check_rows(rows, self.segment.part.verify)
        for block, error in bad.items():
            if block not in self._damaged:
                self._damaged.add(block)
                self._ledger.meet(error)
        return rows[~np.isin(self.shard.blocks_of_rows(rows), list(bad))] if bad else rows

    def samples(self, rows: Int64Array) -> tuple[Int64Array | slice, list[Any]]:
        """Which of some rows can be read, and their samples."""
        chunk = self._whole()
        sound = self._sound(rows)
        if self._columns is not None:
            try:
                samples = self._columns.take(sound).samples()
            except Exception:  # noqa: S110  a class may raise anything; `run` finds the sample
                pass
            else:
                return _which(rows, sound), samples
        runs = list(self._decoder.run(chunk, sound.tolist()))
        kept = np.array([row for run in runs for row in run.rows], np.int64)
        return _which(rows, kept), [sample for run in runs for sample in run.samples]

    def columns(self, rows: Int64Array) -> Columns[Any] | None:
        """Rows as columns; None where some are damaged or must be decoded one by one."""
        self._whole()
        if self._columns is None or len(self._sound(rows)) < len(rows):
            return None
        try:
            return self._columns.take(rows).with_texts()
        except UnicodeDecodeError:
            return None


def _which(rows: Int64Array, kept: Int64Array) -> Int64Array | slice:
    """Where rows are that were kept, in the order of all."""
    return slice(None) if len(kept) == len(rows) else np.flatnonzero(np.isin(rows, kept))


class _Buffer:
    """The samples of some streams, one after the other, each sample held back for a while."""

    def __init__(
        self, order: Shuffled, found: Sequence[Segment], number: int, ledger: Ledger
    ) -> None:
        self._size = max(1, order.buffer_samples)
        self._state = mix(order.seed, order.epoch, 3, number)
        self._segments = found
        self._ledger = ledger

    def samples(self, *, keyed: bool) -> Iterator[Tagged]:
        """The streams' samples through their stages."""
        held: list[tuple[Any, Any]] = []
        for segment in self._segments:
            for tags, samples in read_segment(segment, self._ledger, keyed=keyed):
                given: list[tuple[Any, Any]] = []
                for pair in zip(tags, samples, strict=True):
                    held.append(pair)
                    if len(held) >= self._size:
                        self._state = mix(self._state)
                        at = self._state % len(held)
                        held[at], held[-1] = held[-1], held[at]
                        given.append(held.pop())
                yield [tag for tag, _ in given], [sample for _, sample in given]
        rest = [held[at] for at in permutation(len(held), self._state).tolist()]
        yield [tag for tag, _ in rest], [sample for _, sample in rest]

    def pieces(self, batch_size: int, *, exact: bool) -> Iterator[list[Any]]:
        """The streams' samples as lists."""
        del batch_size, exact
        for _, samples in self.samples(keyed=False):
            yield samples
