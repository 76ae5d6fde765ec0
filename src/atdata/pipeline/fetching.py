"""Shards from elsewhere that will be gathered from, fetched into the cache before that."""

from collections.abc import Callable, Sequence
from typing import Self

import numpy as np

from atdata._protocols import SupportsLocalPath
from atdata.pipeline.access import Segment
from atdata.pipeline.plan import Located
from atdata.sources.prefetch import Prefetch

_PARTS_AHEAD = 8
_THREADS = 4


class Fetching:
    """Looks ahead in an order and has its shards fetched; for shards of this machine, nothing.

    Args:
        found: The segments that are gathered from.
        places: Where the samples from one number to another are.
        n: How many samples there are.
        step: How many are gathered at once.
        enabled: Whether anything is fetched ahead.
    """

    def __init__(
        self,
        found: Sequence[Segment],
        places: Callable[[int, int], Located],
        n: int,
        *,
        step: int,
        enabled: bool,
    ) -> None:
        self._found = found
        self._places = places
        self._n = n
        self._step = step
        self._reached: int | None = None
        self._asked: set[int] = set()
        self._enabled = enabled and any(_is_away(one) for one in (*found[:1], *found[-1:]))
        self._running: Prefetch[Segment] | None = None

    def go_on(self, start: int) -> None:
        """Have what is needed from a sample on fetched, some way ahead."""
        if not self._enabled:
            return
        first = start if self._reached is None else max(start, self._reached)
        stop = min(start + _PARTS_AHEAD * self._step, self._n)
        while first < stop:
            last = min(first + self._step, stop)
            numbers, _ = self._places(first, last)
            which, at = np.unique(numbers, return_index=True)
            self._fetch(which[np.argsort(at)].tolist())
            first = last
        self._reached = first

    def _fetch(self, numbers: list[int]) -> None:
        wanted = [number for number in numbers if number not in self._asked]
        self._asked.update(wanted)
        away = [
            one
            for one in map(self._found.__getitem__, wanted)
            if _is_away(one) and one.table is None
        ]
        if not away:
            return
        if self._running is None:
            self._running = Prefetch(Segment.fetch, threads=_THREADS)
        self._running.add(away)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._running is not None:
            self._running.close()


def _is_away(segment: Segment) -> bool:
    source = segment.part.source
    if isinstance(source, SupportsLocalPath):
        return source.local_path(segment.shard_id) is None
    return False  # how such a source bears threads is not known
