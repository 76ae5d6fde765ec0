"""Which sample stands at which position: pure functions over counts, nothing stored for each.

A plan numbers the samples of an epoch from 0. `locate` says of any positions which segment each is
in and which row of it, so reading may begin anywhere and be shared in any way. Plans are made of
plans: windows of shards, repeated, joined, sieved by a filter, cut, or mixed by a schedule.
"""

import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import index
from typing import Literal, Protocol

import numpy as np

from atdata._typing import Int64Array
from atdata.pipeline.order import permuted
from atdata.pipeline.schedule import Schedule

ENDLESS = sys.maxsize
"""The length of a plan without an end."""

_BLOCK = 1 << 16
_KEPT = 4
_EMPTY = 1000

type Located = tuple[Int64Array, Int64Array]
"""The segment of each of some samples, and the row in it."""

type Stop = Literal["first", "all", "never"]
"""When a mixture ends: with the first member that is used up, with the last one, or not at all."""


class Plan(Protocol):
    """The samples of an epoch by their positions."""

    @property
    def n(self) -> int:
        """How many there are."""
        ...

    def locate(self, positions: Int64Array) -> Located:
        """Where the samples at some positions, each below `n`, are."""
        ...


@dataclass(frozen=True, slots=True)
class Shuffle:
    """How an order is shuffled.

    Attributes:
        seed: Makes the order reproducible.
        shards: Shards whose samples are mixed with each other; 0 or 1 keeps the shards' order,
            None mixes all with all.
        within: Mix the samples, and not the shards alone.
    """

    seed: int
    shards: int | None = 100
    within: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", index(self.seed))  # numpy's integers too
        if self.shards is not None:
            object.__setattr__(self, "shards", index(self.shards))


class Windows:
    """Segments in order, or shuffled: segments permuted, then rows permuted in windows of them.

    Args:
        sizes: Rows of each segment.
        shuffle: How; None keeps the order.
        words: Choose the permutations, with the shuffle's seed: epoch, member, pass.

    Examples:
        >>> Windows([2, 3], None).locate(np.arange(5))
        (array([0, 0, 1, 1, 1]), array([0, 1, 0, 1, 2]))
    """

    def __init__(self, sizes: Sequence[int], shuffle: Shuffle | None, *words: int) -> None:
        self._shuffle = shuffle
        self._words = words
        count = len(sizes)
        each = np.asarray(sizes, np.int64)
        order = np.arange(count, dtype=np.int64)
        step = 1
        if shuffle is not None:
            step = max(count, 1) if shuffle.shards is None else max(1, shuffle.shards)
            if shuffle.shards is None or shuffle.shards > 1:
                order = permuted(order, count, shuffle.seed, 1, *words)
        self._order: Int64Array = order
        self._ends: Int64Array = np.cumsum(each[order], dtype=np.int64)
        last = np.append(np.arange(step, count, step), count)[: -(-count // step)]
        self._window_ends: Int64Array = self._ends[last - 1]

    @property
    def n(self) -> int:
        """Rows of all segments."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def locate(self, positions: Int64Array) -> Located:
        """Where the samples at some positions are."""
        places = positions
        if self._shuffle is not None and self._shuffle.within:
            places = self._permuted(positions)
        at = np.searchsorted(self._ends, places, "right")
        sizes = np.diff(self._ends, prepend=0)
        return self._order[at], places - (self._ends - sizes)[at]

    def _permuted(self, positions: Int64Array) -> Int64Array:
        assert self._shuffle is not None
        number = np.searchsorted(self._window_ends, positions, "right")
        places = np.empty(len(positions), np.int64)
        for window in np.unique(number).tolist():
            first = int(self._window_ends[window - 1]) if window else 0
            n = int(self._window_ends[window]) - first
            mine = number == window
            words = (self._shuffle.seed, 2, *self._words, window)
            places[mine] = permuted(positions[mine] - first, n, *words) + first
        return places


class Listed:
    """Segments in an order that was found out, row by row.

    Args:
        sizes: Rows of each segment.
        order: For each position the number of its row, counted through all segments.

    Examples:
        >>> Listed([2, 1], np.array([2, 0, 1])).locate(np.arange(3))
        (array([1, 0, 0]), array([0, 0, 1]))
    """

    def __init__(self, sizes: Sequence[int], order: Int64Array) -> None:
        self._plain = Windows(sizes, None)
        self._order = order

    @property
    def n(self) -> int:
        """Rows of all segments."""
        return len(self._order)

    def locate(self, positions: Int64Array) -> Located:
        """Where the samples at some positions are."""
        return self._plain.locate(self._order[positions])


class Permuted:
    """A plan in another order: every sample once, each as likely in any place as in another.

    Args:
        plan: What is permuted.
        words: Choose the permutation: seed, epoch, member, pass.
    """

    def __init__(self, plan: Plan, *words: int) -> None:
        self._plan = plan
        self._words = words

    @property
    def n(self) -> int:
        """How many there are."""
        return self._plan.n

    def locate(self, positions: Int64Array) -> Located:
        """Where the samples at some positions are."""
        return self._plan.locate(permuted(positions, self.n, self._words[0], 2, *self._words[1:]))


class Repeated:
    """Passes over the same samples, each in an order of its own.

    Args:
        n: Samples in a pass.
        times: How many passes.
        make: Gives the plan of a pass by its number.
    """

    def __init__(self, n: int, times: int, make: Callable[[int], Plan]) -> None:
        self._once = n
        self.n = min(n * times, ENDLESS)
        self._make = make
        self._plans: OrderedDict[int, Plan] = OrderedDict()

    def locate(self, positions: Int64Array) -> Located:
        """Where the samples at some positions are."""
        number, places = np.divmod(positions, max(self._once, 1))
        segments, rows = np.empty_like(positions), np.empty_like(positions)
        for one in np.unique(number).tolist():
            mine = number == one
            segments[mine], rows[mine] = self._plan(one).locate(places[mine])
        return segments, rows

    def _plan(self, number: int) -> Plan:
        return _kept(self._plans, number, self._make)


def _kept(plans: OrderedDict[int, Plan], number: int, make: Callable[[int], Plan]) -> Plan:
    """The plan of a pass, of which the last few are kept."""
    plan = plans.get(number)
    if plan is None:
        plan = plans[number] = make(number)
        while len(plans) > _KEPT:
            plans.popitem(last=False)
    return plan


class Uneven:
    """Passes that do not hold equally many, as those of a filter behind a shuffled mixture.

    Args:
        times: How many passes; None for no end.
        make: Gives the plan of a pass by its number.
    """

    def __init__(self, times: int | None, make: Callable[[int], Plan]) -> None:
        self._times = times
        self._make = make
        self._ends: list[int] = []
        self._plans: OrderedDict[int, Plan] = OrderedDict()
        self.n = ENDLESS if times is None else self._counted(ENDLESS)

    def _counted(self, n: int) -> int:
        """Count passes until they hold more than `n` samples; how many they hold."""
        end, empty = self._ends[-1] if self._ends else 0, 0
        while end <= n and len(self._ends) != self._times and end != ENDLESS:
            more = self._plan(len(self._ends)).n
            end = min(end + more, ENDLESS)
            self._ends.append(end)
            empty = 0 if more else empty + 1
            if self._times is None and empty == _EMPTY:
                raise ValueError(
                    f"{_EMPTY} passes over a dataset of a mixture gave nothing, one by one\n"
                    "  Filter the mixture's own datasets, not a mixture in the mixture."
                )
        return end

    def locate(self, positions: Int64Array) -> Located:
        """Where the samples at some positions are."""
        self._counted(int(positions.max(initial=-1)))
        ends = np.array(self._ends, np.int64)
        number = np.searchsorted(ends, positions, "right")
        segments, rows = np.empty_like(positions), np.empty_like(positions)
        for one in np.unique(number).tolist():
            mine = number == one
            first = int(ends[one - 1]) if one else 0
            segments[mine], rows[mine] = self._plan(one).locate(positions[mine] - first)
        return segments, rows

    def _plan(self, number: int) -> Plan:
        return _kept(self._plans, number, self._make)


class Joined:
    """Plans one after the other.

    Args:
        plans: The plans.
        offsets: What to add to the segment numbers of each.
    """

    def __init__(self, plans: Sequence[Plan], offsets: Sequence[int]) -> None:
        self._plans = plans
        self._offsets = offsets
        ends: list[int] = []
        for plan in plans:
            before = ends[-1] if ends else 0
            ends.append(min(before + plan.n, ENDLESS))
        self._ends = np.array(ends, np.int64)
        self.n = ends[-1] if ends else 0

    def locate(self, positions: Int64Array) -> Located:
        """Where the samples at some positions are."""
        number = np.searchsorted(self._ends, positions, "right")
        segments, rows = np.empty_like(positions), np.empty_like(positions)
        for one in np.unique(number).tolist():
            mine = number == one
            first = int(self._ends[one - 1]) if one else 0
            found, rows[mine] = self._plans[one].locate(positions[mine] - first)
            segments[mine] = found + self._offsets[one]
        return segments, rows


class Cut:
    """Some of a plan's samples, from one position on.

    Args:
        plan: The whole.
        skip: The first position.
        take: How many at most; None for all.
    """

    def __init__(self, plan: Plan, skip: int, take: int | None) -> None:
        self._plan = plan
        self._skip = skip
        left = plan.n if plan.n == ENDLESS else max(0, plan.n - skip)
        self.n = left if take is None else min(left, take)

    def locate(self, positions: Int64Array) -> Located:
        """Where the samples at some positions are."""
        return self._plan.locate(positions + self._skip)


class Sieved:
    """What a filter leaves of a plan, still in its order.

    Args:
        plan: The whole; it has to end.
        keep: Says of located samples which are kept.
    """

    def __init__(self, plan: Plan, keep: Callable[[Int64Array, Int64Array], np.ndarray]) -> None:
        if plan.n == ENDLESS:
            raise ValueError(
                "a filter behind a mixture without an end cannot be counted\n"
                "  Filter the datasets before they are mixed, or mix with stop='first' or 'all'."
            )
        self._plan = plan
        self._keep = keep
        self._blocks: OrderedDict[int, Int64Array] = OrderedDict()
        counts = [len(self._block(number)) for number in range(-(-plan.n // _BLOCK))]
        self._ends: Int64Array = np.cumsum(counts, dtype=np.int64)
        self.n = int(self._ends[-1]) if counts else 0

    def _block(self, number: int) -> Int64Array:
        """Which positions of a block are kept."""
        kept = self._blocks.get(number)
        if kept is None:
            first = number * _BLOCK
            positions = np.arange(first, min(first + _BLOCK, self._plan.n), dtype=np.int64)
            kept = positions[self._keep(*self._plan.locate(positions))]
            self._blocks[number] = kept
            while len(self._blocks) > _KEPT:
                self._blocks.popitem(last=False)
        return kept

    def positions(self, kept: Int64Array) -> Int64Array:
        """The positions in the whole of samples counted among those that are kept."""
        number = np.searchsorted(self._ends, kept, "right")
        found = np.empty_like(kept)
        for one in np.unique(number).tolist():
            mine = number == one
            first = int(self._ends[one - 1]) if one else 0
            found[mine] = self._block(one)[kept[mine] - first]
        return found

    def locate(self, positions: Int64Array) -> Located:
        """Where the samples at some positions are."""
        return self._plan.locate(self.positions(positions))


@dataclass(frozen=True, slots=True)
class Member:
    """One part of a mixture.

    Attributes:
        n: Its samples; those of the first pass, if not all hold equally many.
        offset: What to add to its segment numbers.
        make: Gives the plan of each pass over it.
        even: Whether each pass holds equally many.
    """

    n: int
    offset: int
    make: Callable[[int], Plan]
    even: bool = True


class Mixed:
    """Members in the proportions of a schedule.

    A member that is used up begins another pass, in another order, until the mixture stops.

    Args:
        schedule: Which member comes when.
        members: What is mixed.
        stop: When the mixture ends.
    """

    def __init__(self, schedule: Schedule, members: Sequence[Member], stop: Stop) -> None:
        self._schedule = schedule
        self._offsets = [one.offset for one in members]
        self._passes = [
            Repeated(one.n, 1, one.make) if one.even else Uneven(None, one.make) for one in members
        ]
        self.n = ENDLESS
        sizes = [one.n for one in members]
        if stop == "first":
            ends = [schedule.position_of(number, n) for number, n in enumerate(sizes)]
            self.n = min(ENDLESS, *(end for end in ends if end is not None))
            return
        for number, n in enumerate(sizes):
            if n == 0 and schedule.position_of(number, 0) is not None:
                raise ValueError(
                    f"dataset {number} of the mixture has no samples, so it cannot be repeated\n"
                    "  Leave it out, or mix with stop='first'."
                )
        if stop == "all":
            lasts = [
                schedule.position_of(number, n - 1) if n else None
                for number, n in enumerate(sizes)
            ]
            last = max((last for last in lasts if last is not None), default=-1)
            self.n = min(last + 1, ENDLESS)

    def locate(self, positions: Int64Array) -> Located:
        """Where the samples at some positions are."""
        member, count = self._schedule.members(positions)
        segments, rows = np.empty_like(positions), np.empty_like(positions)
        for one in np.unique(member).tolist():
            mine = member == one
            found, rows[mine] = self._passes[one].locate(count[mine])
            segments[mine] = found + self._offsets[one]
        return segments, rows
