"""Reading by position: which row of which shard each sample of a dataset is."""

import sys
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np

from atdata._exceptions import AtdataError, ShardError, printable, shard_name
from atdata._protocols import SupportsLocalPath, SupportsRange
from atdata._typing import Int64Array
from atdata.codec.compile import codec_of
from atdata.pipeline.chain import Chain, Part, through
from atdata.pipeline.chosen import Chosen, ChosenRows, Table
from atdata.pipeline.decode import Decoder, Run
from atdata.pipeline.open import Shard, open_here, open_picked, open_shard
from atdata.pipeline.plan import Located, Plan
from atdata.pipeline.policy import Ledger
from atdata.pipeline.stages import Stage, Tagged, Window
from atdata.shard.chunk import Verify
from atdata.shard.mapped import MAY_OPEN, MappedShard
from atdata.shard.ranged import RangedShard
from atdata.shard.streamed import StreamedShard
from atdata.sources.cache import ShardCache
from atdata.sources.picking import Pick

_ROWS_AT_ONCE = 4096
_BYTES_AT_ONCE = 32 << 20
_COUNTED_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Segment:
    """Some rows of one shard, and what is done to them.

    Attributes:
        part: The part, with all stages that its samples go through.
        shard_id: The shard.
        rows: The rows, rising; None for all of a shard whose count is not known.
        count: What was found out about the shard when its rows were counted.
        pick: Samples that are fetched by themselves: the rows are then counted among these.
    """

    part: Part
    shard_id: str
    rows: range | Int64Array | None
    count: "Count | None" = None
    pick: Pick | None = None

    def __len__(self) -> int:
        assert self.rows is not None
        return len(self.rows)

    def open(self) -> Shard:
        """Open the shard.

        Raises:
            ShardError: It is not the one whose rows were counted.
        """
        if self.pick is not None or (self.count is not None and self.count.fetched):
            return self.open_mapped()
        shard = open_shard(self.part.source, self.shard_id, self.part.cache)
        self.check(shard)
        return shard

    def open_mapped(self) -> MappedShard:
        """Open the shard as a file of this machine; one from elsewhere is fetched first.

        Raises:
            ShardError: It is not the one whose rows were counted.
        """
        if self.pick is not None:
            return open_picked(self.part.source, self.shard_id, self.pick, self.part.cache)
        shard = open_here(self.part.source, self.shard_id, self.part.cache)
        self.check(shard)
        return shard

    @property
    def table(self) -> Table | None:
        """What makes the samples without reading the shard, where that can be done."""
        choice = self.part.choice
        return None if choice is None else choice.table(self.shard_id, self.part.stages)

    def fetch(self) -> None:
        """Have the shard, or what is picked of it, on this machine."""
        cache = ShardCache() if self.part.cache is None else self.part.cache
        if self.pick is not None:
            cache.fetch_picked(self.part.source, self.shard_id, self.pick)
        else:
            cache.fetch(self.part.source, self.shard_id)

    @property
    def stored_rows(self) -> range | Int64Array:
        """The rows as they are counted in the shard."""
        assert self.rows is not None
        if self.pick is None:
            return self.rows
        return (
            self.pick.rows[self.rows.start : self.rows.stop]
            if isinstance(self.rows, range)
            else self.pick.rows[self.rows]
        )

    def check(self, shard: Shard) -> None:
        """Refuse a shard that is not the one whose rows were counted.

        Raises:
            ShardError: It is not.
        """
        count = self.count
        if self.pick is not None or count is None or not isinstance(shard, MappedShard):
            return
        same = shard.identity == count.identity if count.identity else len(shard) == count.n
        if not same or (not count.identity and count.digest not in (0, shard.digest())):
            raise ShardError(
                self.shard_id,
                "it was replaced after its samples were counted",
                hint="Open the dataset again, and count anew.",
            )


@dataclass(frozen=True, slots=True)
class Count:
    """What is known of a shard without reading its samples.

    Attributes:
        n: Its samples, with those that cannot be decoded.
        identity: What the file was; empty if it is no file of this machine.
        digest: Tells shards of other content apart, as far as its index or its headers do.
        n_bytes: Bytes of its payloads; 0 where that is not known.
        errors: What cannot be read of it.
        fetched: Whether it had to be fetched to be counted, so that it is here.
    """

    n: int
    identity: tuple[int, ...] = ()
    digest: int = 0
    n_bytes: int = 0
    errors: tuple[AtdataError, ...] = ()
    fetched: bool = False


def segments(
    chain: Chain, ledger: Ledger, *, exact: bool = False, counted: bool = False
) -> list[Segment]:
    """A chain as rows of shards, in order; for a mixture, those of all that is mixed.

    Args:
        chain: What is read.
        ledger: What to do with what cannot be read on the way.
        exact: Leave out the rows that filters drop, and count every shard. Where a stage may drop
            samples, this reads them once. Otherwise it is left to whoever reads the segments.
        counted: Count every shard.
    """
    inside = exact and not chain.is_cut  # a tail that cuts finds the rows for all parts together
    found: list[Segment] = []
    for part in chain.parts:
        if isinstance(part, Chain):
            found += segments(part, ledger, exact=inside, counted=counted)
        else:
            found += _of_part(part, ledger, exact=inside, counted=counted)
    found = found * chain.repeats
    if chain.is_cut and not chain.mixture:
        return _surviving(found, chain.tail, ledger)
    stages = tuple(stage for stage in chain.tail if not isinstance(stage, Window))
    return [with_stages(segment, stages) for segment in found] if stages else found


def with_stages(segment: Segment, stages: tuple[Stage, ...]) -> Segment:
    """The same rows, with more done to them."""
    part = replace(segment.part, stages=segment.part.stages + stages)
    return replace(segment, part=part)


def _of_part(part: Part, ledger: Ledger, *, exact: bool, counted: bool) -> list[Segment]:
    lossy = exact and not part.keeps_count
    if part.choice is not None:
        found = _chosen(part, part.choice.chosen(), ledger)
    elif part.rows is None and not counted and (lossy or not exact):
        found = [Segment(part, shard_id, None) for shard_id in part.source.list_shards()]
    else:
        found = _counted(part, ledger)
    return _surviving(found, (), ledger) if lossy else found


def _counted(part: Part, ledger: Ledger) -> list[Segment]:
    """A part's rows, shard by shard."""
    found: list[Segment] = []
    before = 0
    rows = range(sys.maxsize) if part.rows is None else part.rows
    for shard_id, count in count_shards(part, part.source.list_shards()):
        if before >= rows.stop:
            break
        for error in count.errors:
            ledger.meet(error)
        mine = range(max(0, rows.start - before), min(count.n, rows.stop - before))
        if mine:
            found.append(Segment(part, shard_id, mine, count))
        before += count.n
    return found


def _chosen(part: Part, chosen: Chosen, ledger: Ledger) -> list[Segment]:
    """The rows that were chosen, shard by shard."""
    for error in chosen.errors:
        ledger.meet(error)
    return [segment_of(part, one) for one in chosen.shards]


_WHOLE = 0.85
"""A shard of which so much is chosen is fetched as a whole."""


def segment_of(part: Part, chosen: ChosenRows) -> Segment:
    """Chosen rows of a shard, to be fetched by themselves where that is less."""
    count = Count(chosen.n, (), chosen.digest, chosen.n_bytes)
    places = chosen.places
    if (
        places is None
        or part.verify == "proof"  # which compares whole blocks
        or part.on_error != "raise"  # of a whole shard, less is lost with what is damaged
        or int(places.size.sum()) >= _WHOLE * chosen.n_bytes
        or not all(places.keys)
    ):
        return Segment(part, chosen.shard_id, chosen.rows, count)
    verify = part.verify != "off"
    pick = Pick(chosen.rows, places.at, places.size, places.digests, places.keys, verify)
    return Segment(part, chosen.shard_id, range(len(pick)), count, pick)


def _surviving(found: list[Segment], tail: tuple[Stage, ...], ledger: Ledger) -> list[Segment]:
    """The rows of segments that pass all their stages and a tail, found by reading them."""
    rows: dict[int, list[int]] = {}
    for tags, _ in through(tail, _tagged(found, ledger)):
        for number, row in tags:
            rows.setdefault(number, []).append(row)
    lasting = tuple(stage for stage in tail if stage.keeps_count)
    return [
        with_stages(replace(found[number], rows=np.array(kept, np.int64)), lasting)
        for number, kept in rows.items()
    ]


def _tagged(found: Sequence[Segment], ledger: Ledger) -> Iterator[Tagged]:
    for number, segment in enumerate(found):
        for run_rows, samples in read_segment(segment, ledger):
            yield [(number, row) for row in run_rows], samples


def read_segment(segment: Segment, ledger: Ledger, *, keyed: bool = False) -> Iterator[Tagged]:
    """A segment's samples through all stages, tagged with their rows, and keys if wanted."""
    part = segment.part
    decoder = Decoder(codec_of(part.stored_type), ledger, copy=part.copy)

    def runs() -> Iterator[Tagged]:
        try:
            shard = segment.open()
            for run in _runs(shard, segment, decoder, ledger):
                rows = [run.chunk.row + row for row in run.rows]
                tags = list(zip(rows, run.keys(), strict=True)) if keyed else rows
                yield tags, run.samples
        except AtdataError as error:
            ledger.meet(error)

    return through(part.stages, runs())


def _runs(
    shard: Shard, segment: Segment, decoder: Decoder[Any], ledger: Ledger
) -> Iterator[Run[Any]]:
    rows, verify = segment.rows, segment.part.verify
    if rows is not None and isinstance(shard, MappedShard):
        yield from _of_rows(shard, rows, verify, decoder, ledger)
        return
    start = int(rows[0]) if rows is not None and len(rows) else 0
    for item in shard.chunks(start=start, verify=verify):
        if isinstance(item, ShardError):
            ledger.meet(item)
            continue
        if rows is None:
            yield from decoder.runs(item)
            continue
        wanted = rows_within(rows, item.row, item.row + len(item)) - item.row
        for first in range(0, len(wanted), _ROWS_AT_ONCE):
            yield from decoder.rows(item, wanted[first : first + _ROWS_AT_ONCE])
        if item.row + len(item) > int(rows[-1]):
            return


def _of_rows(
    shard: MappedShard,
    rows: range | Int64Array,
    verify: Verify,
    decoder: Decoder[Any],
    ledger: Ledger,
) -> Iterator[Run[Any]]:
    """Rows of a mapped shard; what lies between them is not looked at."""
    mean = shard.n_bytes // max(len(shard), 1)
    step = max(1, min(_ROWS_AT_ONCE, _BYTES_AT_ONCE // max(mean, 1)))
    for first in range(0, len(rows), step):
        some = np.asarray(rows[first : first + step], np.int64)
        shard.unchanged()
        bad = shard.check_rows(some, verify)
        for error in bad.values():
            ledger.meet(error)
        if bad:
            some = some[~np.isin(shard.blocks_of_rows(some), list(bad))]
        if len(some):
            start = int(some[0])
            yield from decoder.rows(shard.chunk(start, int(some[-1]) + 1), some - start)


def rows_within(rows: range | Int64Array, first: int, last: int) -> Int64Array:
    """The rows that lie in `[first, last)`."""
    if isinstance(rows, range):
        return np.arange(max(first, rows.start), max(first, min(last, rows.stop)), dtype=np.int64)
    a, b = np.searchsorted(rows, [first, last])
    return rows[a:b]


def count_shards(part: Part, shard_ids: Sequence[str]) -> Iterator[tuple[str, Count]]:
    """Count the samples of shards, several at once where that means asking a server."""
    source = part.source
    here = isinstance(source, SupportsLocalPath) and [*map(source.local_path, shard_ids[:1])]
    if len(shard_ids) < 2 or (here and here != [None]) or not isinstance(source, SupportsRange):
        for shard_id in shard_ids:
            yield shard_id, count_rows(part, shard_id)
        return
    for first in range(0, len(shard_ids), _COUNTED_AT_ONCE):
        some = shard_ids[first : first + _COUNTED_AT_ONCE]
        with ThreadPoolExecutor(len(some), "atdata-count") as threads:
            counts = list(threads.map(lambda one: count_rows(part, one), some))
        yield from zip(some, counts, strict=True)


def count_rows(part: Part, shard_id: str) -> Count:
    """What is known of a shard, which is fetched for it if it has no index and is a stream."""
    try:
        shard = open_shard(part.source, shard_id, part.cache)
        fetched = isinstance(shard, StreamedShard)
        if fetched:  # what has to be read to be counted is kept for reading
            shard = open_here(part.source, shard_id, part.cache)
    except AtdataError as error:
        return Count(0, errors=(error,))
    if isinstance(shard, MappedShard):
        errors = [error for _, error in shard.faults]
        errors += [shard.damage] if shard.damage is not None else []
        # A file of the cache may be another one tomorrow, of the same content.
        kept = fetched or part.cache is not None
        identity = () if kept else shard.identity
        found = (len(shard), identity, shard.digest(), shard.n_bytes, tuple(errors))
        return Count(*found, fetched=fetched)
    assert isinstance(shard, RangedShard)
    return Count(len(shard), (), shard.index.digest(), shard.index.end)


class Positions:
    """The samples of segments by their position.

    Args:
        found: Segments whose rows are known.
        plan: Says which row stands at which position, where they do not follow each other.
    """

    def __init__(self, found: Sequence[Segment], plan: Plan | None = None) -> None:
        self._segments = found
        self._plan = plan
        self._ends = list(accumulate(len(s.rows) for s in found if s.rows is not None))
        self._readers: dict[int, RowReader] = {}

    def __len__(self) -> int:
        if self._plan is not None:
            return self._plan.n
        return self._ends[-1] if self._ends else 0

    @property
    def segments(self) -> Sequence[Segment]:
        """The segments."""
        return self._segments

    def all(self) -> "Located | tuple[None, None]":
        """The segment of each sample and its place there; nothing where they follow each other."""
        if self._plan is None:
            return None, None
        return self._plan.locate(np.arange(self._plan.n, dtype=np.int64))

    def one(self, at: int) -> Any:
        """The sample at a position.

        Raises:
            IndexError: There is none.
        """
        number, row = self._locate(at)
        return self._reader(number).one(row)

    def many(self, positions: Sequence[int]) -> list[Any]:
        """The samples at some positions, in that order.

        Raises:
            IndexError: One of them is not there.
        """
        places: dict[int, list[tuple[int, int]]] = {}
        for place, at in enumerate(positions):
            number, row = self._locate(at)
            places.setdefault(number, []).append((row, place))
        out: list[Any] = [None] * len(positions)
        for number, wanted in places.items():
            reader = self._reader(number)
            if len(wanted) < _FEW and not reader.is_stream:
                for row, place in wanted:
                    out[place] = reader.one(row)
                continue
            found = reader.many(sorted({row for row, _ in wanted}))
            for row, place in wanted:
                # A position that is asked for twice gets a sample of its own.
                out[place] = found.pop(row) if row in found else reader.one(row)
        return out

    def _reader(self, number: int) -> "RowReader":
        reader = self._readers.get(number)
        if reader is None:
            reader = self._readers[number] = RowReader(self._segments[number])
            while len(self._readers) > _READERS:  # those that were opened first go first
                self._readers.pop(next(iter(self._readers)), None)
        return reader

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_readers": {}}

    def _locate(self, at: int) -> tuple[int, int]:
        n = len(self)
        if not -n <= at < n:
            raise IndexError(f"index {at} not found in dataset of {n} samples")
        at %= n
        if self._plan is not None:
            numbers, places = self._plan.locate(np.array([at], np.int64))
            number, place = int(numbers[0]), int(places[0])
        else:
            number = bisect_right(self._ends, at)
            place = at - self._ends[number]  # counted from the segment's end
        rows = self._segments[number].rows
        assert rows is not None
        return number, int(rows[place])


_FEW = 32
"""Fewer positions than this in a shard are read one by one."""

_READERS = max(64, MAY_OPEN // 4)
"""Open shards that are kept for reading single samples."""

_LARGE = 64 << 10
"""A payload of this many bytes is mapped anew rather than copied."""


class RowReader:
    """Reads single samples of a segment."""

    def __init__(self, segment: Segment) -> None:
        part = segment.part
        self._segment = segment
        self._shard = segment.open()
        self._codec = codec_of(part.stored_type)
        self._decoder = Decoder(self._codec, Ledger("raise"), copy=part.copy)
        self._copy = part.copy
        if isinstance(self._shard, MappedShard):
            self._memory = memoryview(self._shard.data)

    @property
    def is_stream(self) -> bool:
        """Whether each reading begins at the start of the shard."""
        return isinstance(self._shard, StreamedShard)

    def one(self, row: int) -> Any:
        """One sample through all its stages.

        Raises:
            ShardError: Its block or its shard is damaged.
            SchemaError: It does not fit its type.
            IndexError: A stage drops it.
        """
        for sample in self.survivors(row):
            return sample
        raise self._dropped(row)

    def many(self, rows: Sequence[int]) -> dict[int, Any]:
        """Some rows, rising, with the sample of each; raises as `one` does."""
        problems: list[AtdataError] = []
        segment = replace(self._segment, rows=np.array(rows, np.int64))
        found: dict[int, Any] = {}
        for kept, samples in read_segment(segment, Ledger(problems.append)):
            found.update(zip(kept, samples, strict=True))
        for row in rows if len(found) < len(rows) else ():
            if row not in found:
                raise problems[0] if problems else self._dropped(row)
        return found

    def _dropped(self, row: int) -> IndexError:
        where = printable(shard_name(self._segment.shard_id))
        return IndexError(f"the sample in row {row} of {where} passes no filter any more")

    def survivors(self, row: int) -> list[Any]:
        """One sample through all its stages, or nothing if one drops it."""
        samples = [self._stored(row)]
        stages = self._segment.part.stages
        if not stages:
            return samples
        return [s for _, kept in through(stages, [([row], samples)]) for s in kept]

    def _stored(self, row: int) -> Any:
        shard, verify = self._shard, self._segment.part.verify
        if isinstance(shard, StreamedShard):
            return self._streamed(shard, row)
        if isinstance(shard, RangedShard):
            return self._decoder.one(shard.chunk_of(row, verify), 0)
        if not shard.sound(row, verify):
            shard.unchanged()
            bad = shard.check(row, row + 1, verify)
            if bad is not None:
                raise bad[1]
        at, size = int(shard.at[row]), int(shard.size[row])
        try:
            if size >= _LARGE and self._copy:
                data, base = shard.private_data(at, at + size)
                mine = memoryview(data)[at - base : at - base + size]
                return self._codec.decode(mine, own=True)
            return self._codec.decode(self._memory[at : at + size], copy=self._copy)
        except Exception:
            return self._decoder.one(shard.chunk(row, row + 1), 0)

    def _streamed(self, shard: StreamedShard, row: int) -> Any:
        wanted = replace(self._segment, rows=range(row, row + 1))
        ledger = Ledger("raise")
        for run in _runs(shard, wanted, self._decoder, ledger):
            for sample in run.samples:
                return sample
        raise ShardError(self._segment.shard_id, f"it has no row {row} any more")


def survivors_at(segment: Segment, row: int) -> list[Any]:
    """One sample through all its stages, or nothing if one drops it."""
    return RowReader(segment).survivors(row)


def find_key(found: Sequence[Segment], key: str, ledger: Ledger) -> Iterator[tuple[Segment, int]]:
    """The rows whose samples have a key.

    In shards with an index or a mapping their keys are looked up; a stream is read through.
    """
    for segment in found:
        try:
            for row in _rows_of_key(segment, key, ledger):
                if segment.rows is None or len(rows_within(segment.rows, row, row + 1)):
                    yield segment, row
        except AtdataError as error:
            ledger.meet(error)


def _rows_of_key(segment: Segment, key: str, ledger: Ledger) -> Iterator[int]:
    if segment.pick is not None:
        yield from (row for row, one in enumerate(segment.pick.keys) if one == key)
        return
    shard = segment.open()
    if not isinstance(shard, StreamedShard):
        row = shard.keys.find(key)
        if row >= 0:
            yield row
        return
    for item in shard.chunks(verify=segment.part.verify):
        if isinstance(item, ShardError):
            ledger.meet(item)
        else:
            yield from (item.row + i for i, one in enumerate(item.key_list()) if one == key)
