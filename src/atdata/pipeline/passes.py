"""One pass over what one reader delivers: where it begins, how it is read, and how far it came."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain as flattened
from operator import index, length_hint
from typing import Any

import numpy as np

from atdata._exceptions import AtdataError, SourceError, StateError
from atdata.pipeline.ahead import ahead
from atdata.pipeline.chain import Chain, Origin, Part, leaves, ordered
from atdata.pipeline.fetching import Fetching
from atdata.pipeline.gather import Gatherer
from atdata.pipeline.inorder import (
    Ended,
    batches_of_columns,
    batches_of_objects,
    from_position,
    placed_from_position,
    placed_from_start,
)
from atdata.pipeline.layout import Layout
from atdata.pipeline.plan import ENDLESS, Plan, Shuffle
from atdata.pipeline.policy import Ledger
from atdata.pipeline.processes import Blocks, Reader, in_processes
from atdata.pipeline.remote import PREFETCH_BYTES
from atdata.pipeline.share import Era, Left, Share, Tail, left_of
from atdata.pipeline.stages import Tagged
from atdata.pipeline.state import VERSION, State, Stopped
from atdata.pipeline.world import World
from atdata.sample.batch import SampleBatch
from atdata.sample.holding import holds_what_it_is_given

_ROWS_AT_ONCE = 8192
_BYTES_AT_ONCE = 24 << 20
_BLOCK = 256
"""Samples that a worker process makes at a time."""

_FIRST = 256
"""Samples that are gathered first, so that they come soon; then twice as many each time."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a dataset is read as a stream.

    Attributes:
        shuffle: How the order is shuffled; None keeps it.
        seeded: Whether the seed was given; otherwise each pass draws one.
        epoch: The epoch to read.
        batch_size: Samples in a batch; None for single samples.
        world: The reader's place; None to find it out.
        tail: What becomes of samples that do not go round.
        drop_last: Leave out a last batch that is not full.
        prefetch_bytes: How much to read ahead; None reads ahead from elsewhere alone.
        workers: Processes that read and do what is done to samples; 0 for this one.
    """

    shuffle: Shuffle | None = None
    seeded: bool = True
    epoch: int = 0
    batch_size: int | None = None
    world: World | None = None
    tail: Tail = "keep"
    drop_last: bool = False
    prefetch_bytes: int | None = None
    workers: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "epoch", index(self.epoch))  # numpy's integers too
        if self.batch_size is not None:
            object.__setattr__(self, "batch_size", index(self.batch_size))
        if self.batch_size is not None and self.batch_size < 1:
            raise IndexError(f"batch_size is {self.batch_size}; a batch holds at least one sample")
        if self.tail not in ("keep", "drop", "pad"):
            raise ValueError(f"tail is {self.tail!r}; it must be 'keep', 'drop' or 'pad'")
        if self.epoch < 0:
            raise ValueError(f"epoch is {self.epoch}; epochs count from 0")
        if self.workers < 0:
            raise ValueError(f"workers is {self.workers}; 0 reads in this process")
        if self.prefetch_bytes is not None and self.prefetch_bytes < 0:
            raise ValueError(f"prefetch_bytes is {self.prefetch_bytes}; 0 reads nothing ahead")

    @property
    def unit(self) -> int:
        """Samples that are handed out together."""
        return self.batch_size or 1


class Pass:
    """One pass over one reader's share.

    Three ways lead through a pass. One who reads alone, in order and from the start opens shards
    when it is their turn, and counts nothing beforehand. From another position on, in order, the
    shards are counted and then read likewise. All else is gathered by position, as are rows that
    were chosen by what they hold.

    Args:
        layout: What is read.
        settings: How.
        world: The reader's place.
        resumed: Where readers stopped before, if it goes on from there.
    """

    def __init__(
        self, layout: Layout, settings: Settings, world: World, resumed: Stopped | None
    ) -> None:
        self._layout = layout
        self._settings = settings
        self._world = world
        self._resumed = resumed
        part = next(leaves(layout.chain))
        before = () if resumed is None else resumed.skipped
        self.ledger = Ledger(part.on_error, part.max_errors, before)
        chain = layout.chain
        alone = world.readers * world.workers == 1
        kept = resumed is not None and resumed.sieved
        self._sieved = layout.is_lossy and (not alone or kept)
        simple = alone and settings.shuffle is None and not chain.is_mixed
        simple = simple and not settings.workers and not chain.is_chosen
        self._in_order = simple and not self._sieved
        fresh = resumed is None or not (resumed.start or resumed.all_eras(()))
        fetched = settings.prefetch_bytes
        self._prefetch_bytes = PREFETCH_BYTES if fetched is None else fetched
        self._origin = Origin(self._prefetch_bytes) if self._in_order and fresh else None
        self._plan: Plan | None = None
        self._share: Share | None = None
        self._own = 0
        self._given = 0
        self._runs: _Runs | None = None
        self._done = False
        if self._origin is None:
            self._place()

    # -- where it begins

    @property
    def share(self) -> Share:
        """What this reader delivers; all there is, where that has not been counted."""
        if self._share is None:
            return Share(Left.all_from(ENDLESS), self._world, unit=self._settings.unit)
        return self._share

    def count(self) -> int:
        """How many samples this reader delivers, without those that filters drop."""
        if self._share is None or (self._layout.is_lossy and not self._sieved):
            self._sieved = self._layout.is_lossy
            self._place()
        return len(self.share)

    def _words(self) -> tuple[int, ...]:
        """What chooses the turns of the readers: nothing where the order is as written."""
        settings = self._settings
        if settings.shuffle is None:
            return (settings.epoch,) if self._layout.chain.is_mixed else ()
        return (settings.shuffle.seed, settings.epoch)

    def _place(self) -> None:
        settings, resumed, words = self._settings, self._resumed, self._words()
        plan = self._layout.plan(settings.shuffle, settings.epoch, sieved=self._sieved)
        left, first, own = Left.all_from(plan.n), 0, 0
        if resumed is not None:
            left, first, own = self._left(plan, resumed, words)
        self._plan, self._own = plan, own
        self._in_order = self._in_order and not len(left.loose)
        self._share = Share(
            left, self._world, settings.tail, words, settings.unit, settings.drop_last, first
        )

    def _left(self, plan: Plan, resumed: Stopped, words: tuple[int, ...]) -> tuple[Left, int, int]:
        """What is left for all, what this reader had delivered of it, and this worker of it."""
        self._check_one(resumed)
        if resumed.sieved == self._sieved:
            apart = not all(isinstance(came, int) for came in resumed.came)
            if apart or len(resumed.came) != self._world.readers:
                return left_of(plan.n, resumed.start, resumed.all_eras(words)), 0, 0
            before = tuple(Era(one, words) for one in resumed.eras)
            left = left_of(plan.n, resumed.start, before)
            left.check(Era(resumed.came))
            return left, *self._continued(resumed)
        # Counted in all rows so far, and from here on in those that filters leave.
        of = (self._settings.shuffle, self._settings.epoch)
        whole = self._layout.plan(*of, sieved=False)
        left = left_of(whole.n, resumed.start, resumed.all_eras(words))
        if len(left.loose):
            raise StateError("its readers stopped out of step, before filters were counted")
        return Left.all_from(plan.n, self._layout.kept_before(*of, left.tail)), 0, 0

    def _continued(self, resumed: Stopped) -> tuple[int, int]:
        """As many readers as before: each goes on where it was."""
        world, one = self._world, resumed.one
        if one is not None and one.worker is not None and one.reader[0] == world.reader:
            worker, workers, unit, first, own = one.worker
            if (workers, unit) == (world.workers, self._settings.unit):
                if worker != world.worker:
                    raise StateError(
                        f"it is the state of worker {worker}, and this is worker {world.worker}\n"
                        "  Give each worker its own state, or all of them those of all."
                    )
                return first, own
        return resumed.delivered[world.reader], 0

    def _check_one(self, resumed: Stopped) -> None:
        """Refuse a state that stands for all readers where these may be out of step."""
        one, world = resumed.one, self._world
        if one is None or one.sieved or one.delivered == 0:
            return
        of = (one.reader, one.worker and one.worker[:3])
        worker = (world.worker, world.workers, self._settings.unit) if world.workers > 1 else None
        if one.reader[1] == 1 and one.worker is None:
            return
        skips = any(part.on_error != "raise" for part in leaves(self._layout.chain))
        if skips and of != ((world.reader, world.readers), worker):
            raise StateError(
                "one state stands for all readers, but with on_error='skip' each may have left "
                "out others\n  Give the states of all readers, and of all their workers."
            )

    # -- how it goes on

    def samples(self) -> Iterator[Any]:
        """The samples one by one, at the speed of a list."""
        self._runs = _Runs(self._ahead(self._tagged(keyed=False)), self._own)
        return flattened.from_iterable(self._runs.iterators())

    def items(self) -> Iterator[tuple[str, Any]]:
        """The samples with their keys."""
        for tags, samples in self._tagged(keyed=True):
            for (tag, key), sample in zip(tags, samples, strict=True):
                self._own = tag + 1
                self._given += 1
                yield key, sample
        self._done = True

    def batches(self) -> Iterator[SampleBatch[Any]]:
        """The samples in batches."""
        whole = self._settings.drop_last and self._world.workers == 1
        for end, batch in self._ahead(self._ended()):
            if whole and len(batch) < self._settings.unit:
                continue
            self._own = end
            self._given += len(batch)
            yield batch
        self._done = True

    def _ahead[T: tuple[Any, Any]](self, items: Iterator[T]) -> Iterator[T]:
        """The same, made in a thread ahead of its use where that was asked for."""
        if not self._settings.prefetch_bytes:
            return items
        return ahead(items, n_bytes=self._settings.prefetch_bytes, size_of=held_bytes)

    def _tagged(self, *, keyed: bool) -> Iterator[Tagged]:
        """The samples, tagged with their numbers in this worker's share."""
        self._report()
        if self._origin is not None:
            return ordered(self._layout.chain, self.ledger, self._origin, keyed=keyed)
        if self._in_order:
            first = self._first
            found = from_position(
                self._layout.segments, self._repeats, first, self.ledger,
                keyed=keyed, prefetch_bytes=self._prefetch_bytes,
            )  # fmt: skip
            return _counted_from(first, found, keyed=keyed)
        if self._settings.workers:
            size = min(self._step(), _BLOCK)
            blocks = Blocks(
                self._layout, self._reader(), self._own, size, again=self._again, keyed=keyed
            )
            return in_processes(blocks, self._settings.workers, self.ledger)
        reader, step = self._reader(), self._step()
        fetching = self._fetching(reader, step)
        return _gathered(self._gatherer(), reader, fetching, self._own, step=step, keyed=keyed)

    def _ended(self) -> Iterator[Ended]:
        """The batches, each behind the number after its last sample."""
        size = self._settings.unit
        chain, ledger = self._layout.chain, self.ledger
        kind = column_type(chain)
        # Others count on each batch having its place, whatever of it could be read.
        in_turn = self._world.readers * self._world.workers > 1
        if self._settings.workers:
            tagged = self._tagged(keyed=False)
            if in_turn:
                return _in_turn(tagged, size, len(self.share))
            return batches_of_objects(tagged, size)
        if not self._in_order:
            self._report()
            reader, step = self._reader(), self._step()
            return _gathered_batches(
                self._gatherer(), reader, self._fetching(reader, step), self._own,
                step=step, size=size, kind=kind, in_turn=in_turn,
            )  # fmt: skip
        plain = kind is not None and all(isinstance(part, Part) for part in chain.parts)
        if kind is None or not plain:
            return batches_of_objects(self._tagged(keyed=False), size)
        self._report()
        if self._origin is not None:
            return batches_of_columns(
                placed_from_start(chain, ledger, self._origin), kind, ledger, size
            )
        first = self._first
        placed = placed_from_position(
            self._layout.segments, self._repeats, first, ledger,
            prefetch_bytes=self._prefetch_bytes,
        )  # fmt: skip
        ended = batches_of_columns(placed, kind, ledger, size)
        return ((end - first, batch) for end, batch in ended)

    def _report(self) -> None:
        """Tell of what could not be read when the shards were counted."""
        if self._origin is not None:
            return
        for error in self._layout.errors:
            # Another reader may have been luckier, and then both would count differently.
            if isinstance(error, SourceError) and self._world.readers * self._world.workers > 1:
                raise error
            self.ledger.meet(error)

    @property
    def _first(self) -> int:
        """The position at which reading in order begins."""
        return self.share.left.tail + self.share.first

    @property
    def _repeats(self) -> int:
        chain = self._layout.chain
        return 1 if chain.is_cut else chain.repeats

    @property
    def _again(self) -> bool:
        """Whether a pass may deliver a sample more than once."""
        chain = self._layout.chain
        nested = any(isinstance(part, Chain) for part in chain.parts)
        return nested or chain.is_mixed or chain.repeats > 1 or self._settings.tail == "pad"

    def _gatherer(self) -> Gatherer:
        return Gatherer(self._layout.segments, self.ledger, again=self._again)

    def _fetching(self, reader: Reader, step: int) -> Fetching:
        enabled = self._prefetch_bytes > 0
        n = len(reader.share)
        return Fetching(self._layout.segments, reader.places, n, step=step, enabled=enabled)

    def _reader(self) -> Reader:
        assert self._plan is not None
        return Reader(self._plan, self.share)

    def _step(self) -> int:
        """How many samples are gathered at once: so many bytes, and whole batches."""
        counts = [one.count for one in self._layout.segments if one.count is not None]
        n, n_bytes = sum(one.n for one in counts), sum(one.n_bytes for one in counts)
        rows = max(1, min(_ROWS_AT_ONCE, int(_BYTES_AT_ONCE * max(n, 1) / max(n_bytes, 1))))
        return max(1, rows // self._settings.unit) * self._settings.unit

    # -- how far it came

    @property
    def _is_done(self) -> bool:
        return self._done or (self._runs is not None and self._runs.done)

    @property
    def given(self) -> int:
        """Samples that were handed out in this pass."""
        return self._given if self._runs is None else self._runs.given

    def own(self) -> int:
        """Samples of this worker's share that were handed out."""
        if self._is_done and self._share is not None:
            return len(self._share)  # what came after the last one was dropped, or left out
        return self._own if self._runs is None else self._runs.reached()

    def state(self) -> State:
        """Where this reader stands."""
        facts = self._layout.facts(self._settings.shuffle)
        own = self.own()
        if self._origin is not None:
            # What was read as it came is counted after all, as its position has to be told.
            if self._share is None:
                self._place()
                self._own = own
            if not self._layout.chain.cuts_anywhere:
                rows = ((one.shard_id, len(one)) for one in self._layout.segments)
                repeated = flattened.from_iterable([list(rows)] * self._repeats)
                own = self._origin.counted(own, repeated)
            own = len(self.share) if self._is_done else own
        share, world = self.share, self._world
        worker = None
        if world.workers > 1:
            worker = (world.worker, world.workers, share.unit, share.first, own)
        return State(
            version=VERSION,
            epoch=self._settings.epoch,
            data=facts,
            reader=(world.reader, world.readers),
            delivered=share.delivered(own, done=self._is_done),
            sieved=self._sieved,
            start=share.left.start,
            eras=tuple(era.came for era in share.left.eras),
            worker=worker,
            skipped=tuple(self.ledger.skipped),
        )


class _Runs:
    """Runs of samples whose handing out is left to `itertools`, and which know how far it came.

    Attributes:
        done: Whether all were handed out.
    """

    def __init__(self, tagged: Iterator[Tagged], before: int) -> None:
        self._tagged: Iterator[Tagged] | None = tagged
        self._before = before
        self._tags: Sequence[int] = ()
        self._samples: Iterator[Any] = iter(())
        self._earlier = 0
        self.done = False

    def iterators(self) -> Iterator[Iterator[Any]]:
        """One iterator a run."""
        tagged, self._tagged = self._tagged, None
        for tags, samples in tagged or ():
            self._before, self._earlier = self.reached(), self.given
            self._tags, self._samples = tags, iter(samples)
            yield self._samples
        self._before, self._earlier = self.reached(), self.given
        self._tags, self._samples = (), iter(())
        self.done = True

    @property
    def given(self) -> int:
        """How many samples were handed out."""
        return self._earlier + len(self._tags) - length_hint(self._samples)

    def reached(self) -> int:
        """The number behind the last sample that was handed out."""
        given = len(self._tags) - length_hint(self._samples)
        return self._tags[given - 1] + 1 if given else self._before


def _counted_from(first: int, found: Iterator[Tagged], *, keyed: bool) -> Iterator[Tagged]:
    """Samples whose positions are counted from where the pass began."""
    for tags, samples in found:
        if keyed:
            yield [(tag - first, key) for tag, key in tags], samples
        elif isinstance(tags, range):
            yield range(tags.start - first, tags.stop - first), samples
        else:
            yield [tag - first for tag in tags], samples


def _gathered(
    gatherer: Gatherer,
    reader: Reader,
    fetching: Fetching,
    start: int,
    *,
    step: int,
    keyed: bool,
) -> Iterator[Tagged]:
    """A share's samples from one of them on."""
    n = len(reader.share)
    now = min(step, _FIRST)
    with fetching:
        while start < n:
            fetching.go_on(start)
            stop = min(start + now, n)
            tags = range(start, stop)
            yield from gatherer.samples(reader.places(start, stop), tags, keyed=keyed)
            start, now = stop, min(2 * now, step)


def _gathered_batches(
    gatherer: Gatherer,
    reader: Reader,
    fetching: Fetching,
    start: int,
    *,
    step: int,
    size: int,
    kind: type[Any] | None,
    in_turn: bool,
) -> Iterator[Ended]:
    """A share's samples in batches.

    Args:
        gatherer: Reads the samples.
        reader: Says where they are.
        fetching: Has shards from elsewhere fetched before they are read.
        start: The first one.
        step: How many are read at once, a multiple of `size`.
        size: Samples in a batch.
        kind: Their type, if batches may be made of columns.
        in_turn: Each batch has its own samples and no others, so that readers stay in step and
            workers can take turns; what cannot be read makes it shorter. Otherwise the next
            sample takes the place.
    """
    n = len(reader.share)
    held: list[Any] = []
    ends: list[int] = []
    now = min(step, max(1, _FIRST // size) * size)
    with fetching:
        while start < n:
            fetching.go_on(start)
            # A batch that lost a sample is filled up first; then whole batches go on.
            stop = min(start + (size - len(held) if held else now), n)
            now = min(2 * now, step)
            places = reader.places(start, stop)
            fields = None
            if kind is not None and not held:
                with suppress(AtdataError):  # those before what cannot be read come first
                    fields = gatherer.fields(places)
            if fields is not None and kind is not None:
                for first in range(start, stop, size):
                    last = min(first + size, stop)
                    values = {
                        name: all_[first - start : last - start] for name, all_ in fields.items()
                    }
                    yield last, SampleBatch.of_fields(kind, last - first, values)
                start = stop
                continue
            tagged = gatherer.samples(places, range(start, stop), keyed=False)
            start = stop
            if in_turn:
                yield from _in_turn(tagged, size, n)
                continue
            for tags, samples in tagged:
                held += samples
                ends += [tag + 1 for tag in tags]
                whole = len(held) - len(held) % size
                for first in range(0, whole, size):
                    yield ends[first + size - 1], SampleBatch(held[first : first + size])
                del held[:whole], ends[:whole]
    if held:
        yield ends[-1], SampleBatch(held)


def _in_turn(tagged: Iterable[Tagged], size: int, n: int) -> Iterator[Ended]:
    """Each batch by the numbers of its samples; what was left out makes it shorter.

    A batch ends where its last number does, also if that sample was left out.
    """
    held: list[Any] = []
    number = 0
    for tags, samples in tagged:
        numbers = np.asarray(tags, np.int64) // size
        cuts: list[int] = (np.flatnonzero(np.diff(numbers)) + 1).tolist()
        for first, last in zip([0, *cuts], [*cuts, len(samples)], strict=True):
            if held and number != numbers[first]:
                yield min((number + 1) * size, n), SampleBatch(held)
                held = []
            number = int(numbers[first])
            held += samples[first:last]
    if held:
        yield min((number + 1) * size, n), SampleBatch(held)


def held_bytes(item: tuple[Any, Any]) -> int:
    """About how many bytes a run of samples or a batch holds, judged by its first sample.

    The fields of a batch are put together for it, which is what reading ahead is to do.
    """
    _, held = item
    if isinstance(held, SampleBatch):
        return sum(map(_bytes_of, held.to_dict().values()))
    values: Any = getattr(held[0], "__dict__", {}).values() if held else ()
    return len(held) * (64 + sum(map(_bytes_of, values)))


def _bytes_of(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, list):
        return len(value) * (64 + _bytes_of(value[0])) if value else 0
    return len(value) if isinstance(value, str | bytes) else 32


def column_type(chain: Chain) -> type[Any] | None:
    """The one type of all parts, if its batches may be made of columns without any objects."""
    kinds: set[type[Any]] = set()
    if _has_tail(chain):
        return None
    for part in leaves(chain):
        if part.stages or not holds_what_it_is_given(part.stored_type):
            return None
        kinds.add(part.stored_type)
    return kinds.pop() if len(kinds) == 1 else None


def _has_tail(chain: Chain) -> bool:
    return bool(chain.tail) or any(
        _has_tail(part) for part in chain.parts if isinstance(part, Chain)
    )
