"""What a dataset is made of: shards of one or more sources, stages, repetitions."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from atdata._exceptions import AtdataError, ShardError
from atdata._protocols import DataSource
from atdata.codec.compile import codec_of
from atdata.pipeline.decode import Decoder, Run
from atdata.pipeline.open import open_shard
from atdata.pipeline.policy import Ledger, OnError
from atdata.pipeline.stages import Stage, Tagged, Window
from atdata.shard.chunk import Chunk, Reading, Verify
from atdata.shard.streamed import StreamedShard

type Tagger = Callable[[Run[Any]], Sequence[Any]]
"""Gives the tags of a run's samples."""

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
        on_error: What to do with what cannot be read.
        verify: Which digests to check.
        copy: Give arrays that are writable and aligned, else read-only views.
    """

    source: DataSource
    stored_type: type[Any]
    stages: tuple[Stage, ...] = ()
    rows: range | None = None
    on_error: OnError = "raise"
    verify: Verify = "auto"
    copy: bool = True

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
    """

    parts: "tuple[Part | Chain, ...]"
    repeats: int = 1
    tail: tuple[Stage, ...] = ()


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
    if chain.tail:
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
        part = replace(part, **options)
        rows = part.rows
        if rows is None or part.on_error == "raise":
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


def ordered(chain: Chain, ledger: Ledger, tagger: Tagger) -> Iterator[Tagged]:
    """All samples of a chain in order, with tags."""
    return through(chain.tail, _parts(chain, ledger, tagger))


def _parts(chain: Chain, ledger: Ledger, tagger: Tagger) -> Iterator[Tagged]:
    for _ in range(chain.repeats):
        for part in chain.parts:
            if isinstance(part, Chain):
                yield from ordered(part, ledger, tagger)
            else:
                yield from through(part.stages, _decoded(part, ledger, tagger))


def _decoded(part: Part, ledger: Ledger, tagger: Tagger) -> Iterator[Tagged]:
    decoder = Decoder(codec_of(part.stored_type), ledger, copy=part.copy)
    for chunk in read_chunks(part, ledger):
        for run in decoder.runs(chunk):
            yield tagger(run), run.samples


def keys_of(run: Run[Any]) -> Sequence[Any]:
    """Tags that are the samples' keys."""
    return run.keys()


def no_tags(run: Run[Any]) -> Sequence[Any]:
    """Tags that nobody looks at."""
    return range(len(run.samples))


def read_chunks(part: Part, ledger: Ledger) -> Iterator[Chunk]:
    """A part's chunks in order; what is damaged is left to the ledger."""
    before = 0
    for shard_id in part.source.list_shards():
        if part.rows is not None and before >= part.rows.stop:
            return
        try:
            shard = open_shard(part.source, shard_id)
            if part.rows is None:
                yield from _sound(shard.chunks(verify=part.verify), ledger)
                continue
            first, stop = max(0, part.rows.start - before), part.rows.stop - before
            # How many samples a stream holds is known when it has been read.
            n = 0 if isinstance(shard, StreamedShard) else len(shard)
            start = 0 if isinstance(shard, StreamedShard) else first
            if start and first >= n:
                before += n
                continue
            for chunk in _sound(shard.chunks(start=start, verify=part.verify), ledger):
                n = max(n, chunk.row + len(chunk))
                wanted = chunk.within(first, stop)
                if len(wanted):
                    yield wanted
                if chunk.row + len(chunk) >= stop:
                    break
            before += n
        except AtdataError as error:
            ledger.meet(error)


def _sound(reading: Reading, ledger: Ledger) -> Iterator[Chunk]:
    for item in reading:
        if isinstance(item, ShardError):
            ledger.meet(item)
        else:
            yield item
