"""What a dataset is made of: shards of one or more sources, stages, repetitions, mixtures."""

import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from atdata._exceptions import AtdataError, ShardError
from atdata._protocols import DataSource
from atdata.codec.compile import codec_of
from atdata.pipeline.chosen import Choice
from atdata.pipeline.decode import Decoder, Run
from atdata.pipeline.open import open_shard
from atdata.pipeline.plan import Stop
from atdata.pipeline.policy import Ledger, OnError
from atdata.pipeline.remote import PREFETCH_BYTES, Turn, Wanted, read_shards
from atdata.pipeline.stages import Stage, Tagged, Window
from atdata.shard.chunk import Chunk, Reading, Verify
from atdata.shard.streamed import StreamedShard
from atdata.sources.cache import ShardCache

_AT_ONCE = 64
"""Samples that go through the stages together."""


@dataclass(frozen=True, slots=True)
class Part:
    """The shards of one source, read as one type.

    Attributes:
        source: Where the shards are.
        stored_type: The type that payloads are decoded as.
        stages: What is done to each sample; none of them looks at more than one.
        rows: Which rows are read, counted over all shards, up to `sys.maxsize` where there is no
            end; None for all.
        choice: Chooses rows by what they hold, instead; None for all.
        on_error: What to do with what cannot be read.
        verify: Which digests to check.
        copy: Give arrays that are writable and aligned, else read-only views.
        max_errors: How many things may be left out before that is an error; None for any number.
        cache: Where shards from elsewhere are kept; None reads them in parts where that will do.
    """

    source: DataSource
    stored_type: type[Any]
    stages: tuple[Stage, ...] = ()
    rows: range | None = None
    choice: Choice | None = None
    on_error: OnError = "raise"
    verify: Verify = "auto"
    copy: bool = True
    max_errors: int | None = None
    cache: ShardCache | None = None

    @property
    def keeps_count(self) -> bool:
        """Whether every stored sample becomes one sample."""
        return self.on_error == "raise" and all(stage.keeps_count for stage in self.stages)


@dataclass(frozen=True, slots=True)
class Chain:
    """Parts one after the other, all of it repeated, and stages that see the whole.

    Attributes:
        parts: What is read, in order; a chain may be a part of another.
        repeats: How often.
        tail: Stages behind it all.
        mixture: How the parts are mixed, where they do not come one after the other.
    """

    parts: "tuple[Part | Chain, ...]"
    repeats: int = 1
    tail: tuple[Stage, ...] = ()
    mixture: "Mixture | None" = None

    @property
    def is_mixed(self) -> bool:
        """Whether its samples are put together from several orders, as those of a mixture are."""
        inner = any(isinstance(part, Chain) for part in self.parts)
        return self.has_mixture or (
            self.is_ordered and (inner or bool(self.tail) or len(self.parts) > 1)
        )

    @property
    def has_mixture(self) -> bool:
        """Whether any of it is a mixture."""
        inner = (part for part in self.parts if isinstance(part, Chain))
        return self.mixture is not None or any(part.has_mixture for part in inner)

    @property
    def is_ordered(self) -> bool:
        """Whether rows of any part come in another order than that in which they are stored."""
        return any(one.choice is not None and one.choice.is_ordered for one in leaves(self))

    @property
    def is_chosen(self) -> bool:
        """Whether rows of any part are chosen by what they hold."""
        return any(part.choice is not None for part in leaves(self))

    @property
    def cuts_anywhere(self) -> bool:
        """Whether stages behind any of it may drop samples."""
        inner = (part for part in self.parts if isinstance(part, Chain))
        return self.is_cut or any(part.cuts_anywhere for part in inner)

    @property
    def is_cut(self) -> bool:
        """Whether stages behind it all may drop samples."""
        return any(not stage.keeps_count for stage in self.tail)


@dataclass(frozen=True, slots=True)
class Mixture:
    """In which proportions the parts of a chain are mixed.

    Attributes:
        weights: The weights of the parts from each of some positions on; the first is 0.
        stop: When the mixture ends.
        seed: Chooses the order of each part's samples, with the seed of the reading.
    """

    weights: tuple[tuple[int, tuple[float, ...]], ...]
    stop: Stop
    seed: int


def leaves(chain: Chain) -> Iterator[Part]:
    """The parts that are no chains, in order, each once."""
    for part in chain.parts:
        if isinstance(part, Part):
            yield part
        else:
            yield from leaves(part)


def _mapped(chain: Chain, change: Callable[[Part], Part | Chain]) -> Chain:
    parts = tuple(change(p) if isinstance(p, Part) else _mapped(p, change) for p in chain.parts)
    return replace(chain, parts=parts)


def with_stage(chain: Chain, stage: Stage) -> Chain:
    """Add a stage that looks at one sample at a time, where the samples are read."""
    if chain.tail or chain.mixture:
        return replace(chain, tail=(*chain.tail, stage))
    parts = tuple(
        replace(part, stages=(*part.stages, stage))
        if isinstance(part, Part)
        else with_stage(part, stage)
        for part in chain.parts
    )
    return replace(chain, parts=parts)


def with_options(chain: Chain, options: Mapping[str, Any]) -> Chain:
    """The same chain, read with other options."""

    def changed(part: Part) -> Part | Chain:
        choice = None if part.choice is None else part.choice.read_as(**options)
        part = replace(part, choice=choice, **options)
        rows = part.rows
        if rows is None or choice is not None or part.on_error == "raise":
            return part
        # What is skipped does not count, so the window looks at what is left. Stages before the
        # window keep the count, so all of them may come behind it.
        take = None if rows.stop == sys.maxsize else len(rows)
        tail = (Window(rows.start, take), *part.stages)
        return Chain((replace(part, rows=None, stages=()),), tail=tail)

    return _mapped(chain, changed)


def stored_as(chain: Chain, kind: type[Any]) -> Chain:
    """The same chain, with payloads decoded as another type."""
    return _mapped(chain, lambda part: replace(part, stored_type=kind))


def through(stages: Sequence[Stage], runs: Iterable[Tagged]) -> Iterator[Tagged]:
    """Put tagged samples through stages, and stop as soon as nothing more can pass."""
    if not stages:
        yield from runs
        return
    steps = [stage.begin() for stage in stages]
    if any(step.finished for step in steps):
        return
    for run in _short(runs):
        left = run
        for step in steps:
            if not left[1]:
                break
            left = step.apply(*left)
        if left[1]:
            yield left
        if any(step.finished for step in steps):
            return


def _short(runs: Iterable[Tagged]) -> Iterator[Tagged]:
    """Runs so short that what a stage makes of one is never much to wait for or to hold."""
    for tags, samples in runs:
        for first in range(0, len(samples), _AT_ONCE):
            yield tags[first : first + _AT_ONCE], samples[first : first + _AT_ONCE]


class Origin:
    """Counts the rows that a pass has come by, so that samples can be tagged with their position.

    Args:
        prefetch_bytes: How much the pass reads ahead from elsewhere.

    Attributes:
        at: Position of the next shard's first row.
        shards: The shards so far, each with the position at which it began.
    """

    def __init__(self, prefetch_bytes: int = PREFETCH_BYTES) -> None:
        self.prefetch_bytes = prefetch_bytes
        self.at = 0
        self.shards: list[tuple[str, int]] = []

    def counted(self, position: int, found: Iterable[tuple[str, int]]) -> int:
        """A position of this pass as one among counted rows.

        Both are the same unless a shard that could not be opened was passed over, and can be
        opened now.

        Args:
            position: Where the pass is.
            found: The shards that hold rows, each with their count, in order.
        """
        rows = deque(found)
        base = 0
        for number, (shard_id, first) in enumerate(self.shards):
            last = number + 1 == len(self.shards) or self.shards[number + 1][1] >= position
            if rows and rows[0][0] == shard_id:
                if last:
                    return base + position - first
                base += rows.popleft()[1]
            elif last:
                break
        return base


def ordered(chain: Chain, ledger: Ledger, origin: Origin, *, keyed: bool) -> Iterator[Tagged]:
    """All samples of a chain in order, tagged with their positions.

    Args:
        chain: What is read; it has no mixture.
        ledger: What to do with what cannot be read.
        origin: Where positions begin.
        keyed: Make the tags pairs of position and key.
    """
    if not chain.is_cut:
        yield from through(chain.tail, _parts(chain, ledger, origin, keyed=keyed))
        return
    # What is left is counted anew: how many come through is what a position means behind a cut.
    inner = _parts(chain, ledger, Origin(origin.prefetch_bytes), keyed=keyed)
    for tags, samples in through(chain.tail, inner):
        positions = range(origin.at, origin.at + len(samples))
        origin.at = positions.stop
        keys = (key for _, key in tags) if keyed else ()
        yield list(zip(positions, keys, strict=True)) if keyed else positions, samples


def _parts(chain: Chain, ledger: Ledger, origin: Origin, *, keyed: bool) -> Iterator[Tagged]:
    for _ in range(chain.repeats):
        for part in chain.parts:
            if isinstance(part, Chain):
                yield from ordered(part, ledger, origin, keyed=keyed)
            else:
                yield from through(part.stages, _decoded(part, ledger, origin, keyed=keyed))


def _decoded(part: Part, ledger: Ledger, origin: Origin, *, keyed: bool) -> Iterator[Tagged]:
    decoder = Decoder(codec_of(part.stored_type), ledger, copy=part.copy)
    for position, chunk in read_chunks(part, ledger, origin):
        for run in decoder.runs(chunk):
            yield tags_of(run, position, keyed=keyed), run.samples


def tags_of(run: Run[Any], position: int, *, keyed: bool) -> Sequence[Any]:
    """The positions of a run's samples, with their keys if wanted.

    Args:
        run: The samples.
        position: Position of the first row of their chunk.
        keyed: Make the tags pairs of position and key.
    """
    rows = run.rows
    if isinstance(rows, range):
        positions: Sequence[int] = range(position + rows.start, position + rows.stop)
    else:
        positions = [position + row for row in rows]
    return list(zip(positions, run.keys(), strict=True)) if keyed else positions


def read_chunks(part: Part, ledger: Ledger, origin: Origin) -> Iterator[tuple[int, Chunk]]:
    """A part's chunks in order, each with the position of its first row.

    What is damaged is left to the ledger.
    """
    before = 0
    rows = range(sys.maxsize) if part.rows is None else part.rows
    with closing(turns(part, origin.prefetch_bytes)) as found:
        for turn in found:
            shard_id = turn.wanted.shard_id
            origin.shards.append((shard_id, origin.at))
            first, stop = max(0, rows.start - before), rows.stop - before
            start = origin.at - first  # position of the shard's row 0
            n = 0
            try:
                shard = turn.open()
                # How many samples a stream holds is known when it has been read.
                n = 0 if isinstance(shard, StreamedShard) else len(shard)
                if isinstance(shard, StreamedShard) or first < max(n, 1):
                    begin = 0 if isinstance(shard, StreamedShard) else first
                    for chunk in sound(turn.chunks(start=begin), ledger):
                        n = max(n, chunk.row + len(chunk))
                        wanted = chunk.within(first, stop)
                        if len(wanted):
                            yield start + wanted.row, wanted
                        if chunk.row + len(chunk) >= stop:
                            break
            except AtdataError as error:
                ledger.meet(error)
            origin.at += max(0, min(n, stop) - first)
            before += n
            if before >= rows.stop:
                return


def turns(part: Part, prefetch_bytes: int) -> Generator[Turn, None, None]:
    """A part's shards in order, those from elsewhere read ahead."""
    stop = sys.maxsize if part.rows is None else part.rows.stop
    if stop == 0:
        return
    wanted = (
        Wanted(part.source, shard_id, stop=stop, verify=part.verify)
        for shard_id in part.source.list_shards()
    )
    opener = partial(open_shard, cache=part.cache)
    yield from read_shards(wanted, prefetch_bytes=prefetch_bytes, opener=opener)


def sound(reading: Reading, ledger: Ledger) -> Iterator[Chunk]:
    """The chunks of a reading; its errors are left to the ledger."""
    for item in reading:
        if isinstance(item, ShardError):
            ledger.meet(item)
        else:
            yield item
