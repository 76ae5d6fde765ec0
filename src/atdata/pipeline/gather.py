"""Samples from anywhere in a dataset, in any order: gathered shard by shard, given in that order.

Shards are read by position through mappings, so nothing is buffered but what is asked for.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np

from atdata._exceptions import AtdataError, ShardError
from atdata._typing import Int64Array
from atdata.codec.columns import Columns, place
from atdata.codec.compile import codec_of
from atdata.pipeline.access import Segment
from atdata.pipeline.chain import through
from atdata.pipeline.chosen import Table
from atdata.pipeline.decode import Decoder
from atdata.pipeline.plan import Located
from atdata.pipeline.policy import Ledger
from atdata.pipeline.stages import Stage, Tagged
from atdata.shard.chunk import Chunk
from atdata.shard.mapped import MAY_OPEN, MappedShard

_OPEN = max(8, MAY_OPEN // 4)
"""Shards that are held open at once; each takes two file descriptors."""

_ROW_BITS = 40  # a shard has fewer rows than 2**40, and a dataset fewer segments than 2**23


def _first(values: Sequence[Any]) -> Sequence[Any]:
    return values[:1]


class Gatherer:
    """Reads samples of counted segments by their places.

    Args:
        found: The segments.
        ledger: What to do with what cannot be read.
        again: The same sample may be asked for more than once.
    """

    def __init__(self, found: Sequence[Segment], ledger: Ledger, *, again: bool) -> None:
        self._found = found
        self._ledger = ledger
        self._again = again
        self._members: OrderedDict[int, _Member | _TableMember | None] = OrderedDict()

    def samples(self, places: Located, tags: Sequence[Any], *, keyed: bool) -> Iterator[Tagged]:
        """The samples at some places through their stages, in that order.

        What comes before one that cannot be read is given before that is raised.

        Args:
            places: Where they are.
            tags: One for each.
            keyed: Make the tags pairs of tag and key.
        """
        try:
            runs = self._read(places, tags, keyed=keyed)
        except AtdataError:
            if len(tags) < 2 or not self._ledger.raises:
                raise
            numbers, rows = places
            half = len(tags) // 2
            for part in (slice(half), slice(half, None)):
                yield from self.samples((numbers[part], rows[part]), tags[part], keyed=keyed)
            return
        for stages, tagged in runs:
            yield from through(stages, [tagged])

    def _read(
        self, places: Located, tags: Sequence[Any], *, keyed: bool
    ) -> list[tuple[tuple[Stage, ...], Tagged]]:
        """The samples at some places, in that order, with the stages that are to come."""
        flat: list[Any] = []
        wheres: list[Int64Array] = []
        keys: list[str] = []
        stages: list[tuple[tuple[Stage, ...], int]] = []
        for member, spots, rows in self._groups(places):
            kept, samples = member.samples(rows)
            flat += samples
            wheres.append(spots[kept])
            stages.append((member.stages, len(samples)))
            if keyed:
                wanted: list[int] = rows[kept].tolist()
                keys += [member.keys[row] for row in wanted]
        if not flat:
            return []
        # They were read as they lie, and are given in the order in which they were asked for.
        where = np.concatenate(wheres)
        by_spot = np.argsort(where)
        order: list[int] = by_spot.tolist()
        pick: Callable[[Any], Sequence[Any]] = itemgetter(*order) if len(order) > 1 else _first
        given = tags if len(flat) == len(tags) else [tags[at] for at in where[by_spot].tolist()]
        if keyed:
            given = list(zip(given, pick(keys), strict=True))
        placed = list(pick(flat))
        if len({steps for steps, _ in stages}) == 1:
            return [(stages[0][0], (given, placed))]
        of_each = pick([steps for steps, n in stages for _ in range(n)])
        found: list[tuple[tuple[Stage, ...], Tagged]] = []
        first = 0
        for steps, run in groupby(of_each):
            last = first + len(list(run))
            found.append((steps, (given[first:last], placed[first:last])))
            first = last
        return found

    def fields(self, places: Located) -> dict[str, Any] | None:
        """The fields of the samples at some places, in that order; None where only objects do."""
        n = len(places[0])
        fields: dict[str, Any] = {}
        for member, spots, rows in self._groups(places):
            columns = member.columns(rows)
            if columns is None:
                return None
            for name in columns.names():
                column = columns.column(name)
                if not place(fields, name, column, columns.memory, rows=spots, n=n):
                    return None
        return fields

    def _groups(
        self, places: Located
    ) -> "Iterator[tuple[_Member | _TableMember, Int64Array, Int64Array]]":
        """Each shard with the spots that it fills, and its rows for them, as they lie there."""
        numbers, rows = places
        in_files = np.argsort((numbers << _ROW_BITS) | rows)
        found, firsts = np.unique(numbers[in_files], return_index=True)
        for number, spots in zip(
            found.tolist(), np.split(in_files, firsts[1:].tolist()), strict=True
        ):
            member = self._member(number)
            if member is not None:
                yield member, spots, member.rows_at(rows[spots])

    def _member(self, number: int) -> "_Member | _TableMember | None":
        """A shard that is open; None if it cannot be opened, which is reported once."""
        if number in self._members:
            self._members.move_to_end(number)
            return self._members[number]
        segment = self._found[number]
        member: _Member | _TableMember | None = None
        try:
            table = segment.table
            if table is not None:
                table.check()
                member = _TableMember(segment, table)
            else:
                member = _Member(segment, segment.open_mapped(), self._ledger, again=self._again)
        except AtdataError as error:
            self._ledger.meet(error)
        self._members[number] = member
        while len(self._members) > _OPEN:
            self._members.popitem(last=False)
        return member


class _Member:
    """One shard that is read from."""

    def __init__(
        self, segment: Segment, shard: MappedShard, ledger: Ledger, *, again: bool
    ) -> None:
        self.segment = segment
        self.shard = shard
        self._ledger = ledger
        part = segment.part
        assert segment.rows is not None
        self._rows = segment.rows
        self._decoder = Decoder(codec_of(part.stored_type), ledger, copy=part.copy)
        self._chunk: Chunk | None = None
        self._columns: Columns[Any] | None = None
        self._damaged: set[int] = set()
        self._given = np.zeros(len(shard) if again and part.copy else 0, np.bool_)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What is still to be done to its samples."""
        return self.segment.part.stages

    @property
    def keys(self) -> Sequence[str]:
        """The key of each row."""
        return self.shard.keys

    def rows_at(self, places: Int64Array) -> Int64Array:
        """Rows of the shard at places of the segment."""
        if isinstance(self._rows, range):
            return places + self._rows.start
        return self._rows[places]

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
                self._ledger.meet(error)
                self._damaged.add(block)  # once it was met; where it is raised, it is raised again
        return rows[~np.isin(self.shard.blocks_of_rows(rows), list(bad))] if bad else rows

    def samples(self, rows: Int64Array) -> tuple[Int64Array | slice, list[Any]]:
        """Which of some rows can be read, and their samples."""
        chunk = self._whole()
        if len(self._given) and self._columns is not None and self._columns.has_views:
            return self._each_anew(rows)
        return self._samples(chunk, rows)

    def _each_anew(self, rows: Int64Array) -> tuple[Int64Array, list[Any]]:
        """The samples of rows that may have been given before, or several times among these.

        Large arrays are views of memory that whoever got them may have changed, so it is mapped
        anew before a row is given again.
        """
        by_row = np.argsort(rows, kind="stable")
        ordered = rows[by_row]
        firsts = np.flatnonzero(np.diff(ordered, prepend=-1))
        sizes = np.diff(firsts, append=len(rows))
        turn = np.arange(len(rows)) - np.repeat(firsts, sizes)  # 0 for a row's first, and so on
        places: list[Int64Array] = []
        samples: list[Any] = []
        for number in range(int(sizes.max(initial=0))):
            some = by_row[turn == number]
            if self._given[rows[some]].any():
                self._chunk = None
                self._given[:] = False
            self._given[rows[some]] = True
            kept, found = self._samples(self._whole(), rows[some])
            places.append(some[kept])
            samples += found
        return np.concatenate(places), samples

    def _samples(self, chunk: Chunk, rows: Int64Array) -> tuple[Int64Array | slice, list[Any]]:
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


class _TableMember:
    """A shard that is not read, because what is known of it makes the samples."""

    stages: tuple[Stage, ...] = ()

    def __init__(self, segment: Segment, table: Table) -> None:
        self._rows = np.asarray(segment.stored_rows, np.int64)
        self._table = table
        self.keys = table.keys

    def rows_at(self, places: Int64Array) -> Int64Array:
        """Rows of the shard at places of the segment."""
        return self._rows[places]

    def samples(self, rows: Int64Array) -> tuple[slice, list[Any]]:
        """All of some rows, and their samples."""
        return slice(None), self._table.samples(rows)

    def columns(self, rows: Int64Array) -> None:  # noqa: ARG002 - there are only objects
        """Nothing: batches are made of samples."""
        return


def _which(rows: Int64Array, kept: Int64Array) -> Int64Array | slice:
    """Where rows are that were kept, in the order of all."""
    return slice(None) if len(kept) == len(rows) else np.flatnonzero(np.isin(rows, kept))
