"""How a dataset's samples are found and read: before it happens, and as it happened."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import numpy as np

from atdata._protocols import DataSource, SupportsLocalPath, SupportsRange
from atdata.dataset._explanation import Actual, Explanation
from atdata.pipeline.access import Segment
from atdata.pipeline.chain import Chain, Part, leaves
from atdata.pipeline.chosen import is_in_parts
from atdata.pipeline.naming import stage_names
from atdata.pipeline.selection import Selection, Where
from atdata.pipeline.sheets import Sheet
from atdata.pipeline.stages import Filter
from atdata.predicate import Predicate
from atdata.shard.ranges import ranges_of


def explained(dataset: Any, *, analyze: bool) -> Explanation:
    """See `Dataset.explain`."""
    chain: Chain = dataset.chain
    sheets = [sheet for part in leaves(chain) for sheet in _sheets(part)]
    asked = [(part, one) for part in leaves(chain) for one in _asked(part)]
    known: dict[str, None] = {}
    by_samples: dict[str, None] = {}
    for part, predicate in asked:
        for sheet in _sheets(part):
            answered, rest = sheet.split(predicate)
            known.update(dict.fromkeys(map(str, answered)))
            by_samples.update(dict.fromkeys(map(str, rest)))
    by_samples.update(dict.fromkeys(_filters(chain)))
    found: list[Segment] = list(dataset._located().segments) if not _is_lossy(chain) else []
    found = found or dataset._layout.segments
    ranges, n_bytes = _pieces(found)
    return Explanation(
        stages=tuple(stage_names(chain)),
        by_manifest=tuple(one for one in known if one not in by_samples),
        by_samples=tuple(by_samples),
        shards=sum(len(part.source.list_shards()) for part in leaves(chain)),
        pruned=sum(_is_pruned(part, sheet) for part in leaves(chain) for sheet in _sheets(part)),
        scanned=sum(sheet.manifest is None for sheet in sheets),
        samples=sum(sheet.n for sheet in sheets) or sum(map(len, found)),
        rows=sum(map(len, found)),
        ranges=ranges,
        n_bytes=n_bytes,
        actual=_analyzed(dataset) if analyze else None,
    )


def _sheets(part: Part) -> list[Sheet]:
    return part.choice.sheets() if isinstance(part.choice, Selection) else []


def _asked(part: Part) -> list[Predicate]:
    steps = part.choice.steps if isinstance(part.choice, Selection) else ()
    return [one for step in steps if isinstance(step, Where) for one in step.predicate.conjuncts()]


def _filters(chain: Chain) -> list[str]:
    """Filters that samples go through, each with its predicate if it has one."""
    stages = [*chain.tail, *(stage for part in leaves(chain) for stage in part.stages)]
    predicates = [one.predicate for one in stages if isinstance(one, Filter)]
    return [_name(one) for one in predicates]


def _name(predicate: Callable[[Any], object]) -> str:
    owner = getattr(predicate, "__self__", None)
    if isinstance(owner, Predicate):
        return str(owner)
    return f"{getattr(predicate, '__name__', type(predicate).__name__)}()"


def _is_lossy(chain: Chain) -> bool:
    return any(not stage.keeps_count for part in leaves(chain) for stage in part.stages) or any(
        not stage.keeps_count for stage in chain.tail
    )


def _is_pruned(part: Part, sheet: Sheet) -> bool:
    """Whether the manifest as a whole says that no sample of a shard is wanted."""
    if sheet.manifest is None:
        return False
    facts = {path: sheet.manifest.facts[path] for path in sheet.believed}
    return any(one.verdict(facts) == "none" for one in _asked(part))


def _pieces(found: list[Segment]) -> tuple[int, int]:
    """In how many pieces segments are read, and how many bytes these have."""
    n, n_bytes = 0, 0
    for segment in found:
        if segment.table is not None:
            continue
        if segment.pick is not None:
            n += len(segment.pick.ranges)
            n_bytes += segment.pick.ranges.n_bytes
            continue
        choice = segment.part.choice
        rows = np.asarray(segment.stored_rows, np.int64)
        places = choice.places(segment.shard_id, rows) if isinstance(choice, Selection) else None
        if places is None or is_in_parts(segment.part.source, segment.shard_id):
            n += 1
            n_bytes += 0 if segment.count is None else segment.count.n_bytes
        else:
            ranges = ranges_of(places.at, places.size)
            n += len(ranges)
            n_bytes += ranges.n_bytes
    return n, n_bytes


class _Counting:
    """A source that counts what is asked of it."""

    def __init__(self, source: DataSource) -> None:
        self._source = source
        self.is_ranged = isinstance(source, SupportsRange)
        self._lock = Lock()
        self.requests = 0
        self.n_bytes = 0

    def list_shards(self) -> list[str]:
        return self._source.list_shards()

    def open_shard(self, shard_id: str) -> BinaryIO:
        return self._source.open_shard(shard_id)

    def local_path(self, shard_id: str) -> Path | None:
        source = self._source
        return source.local_path(shard_id) if isinstance(source, SupportsLocalPath) else None

    def shard_size(self, shard_id: str) -> int:
        return self._ranged().shard_size(shard_id)

    def read_range(self, shard_id: str, start: int, length: int) -> bytes:
        data = self._ranged().read_range(shard_id, start, length)
        with self._lock:
            self.requests += 1
            self.n_bytes += len(data)
        return data

    def _ranged(self) -> SupportsRange:
        assert isinstance(self._source, SupportsRange)
        return self._source


def _analyzed(dataset: Any) -> Actual:
    """Read all samples, those from elsewhere anew."""
    counting: list[_Counting] = []

    def counted(chain: Chain) -> Chain:
        parts: list[Part | Chain] = []
        for part in chain.parts:
            if isinstance(part, Chain):
                parts.append(counted(part))
                continue
            source = _Counting(part.source)
            counting.append(source)
            parts.append(replace(part, source=source) if source.is_ranged else part)
        return replace(chain, parts=tuple(parts))

    read = dataset.derived(counted(dataset.chain)).with_options(streaming=True)
    start = time.perf_counter()
    n = sum(1 for _ in read)
    seconds = time.perf_counter() - start
    requests = sum(one.requests for one in counting)
    return Actual(n, seconds, requests, sum(one.n_bytes for one in counting))
