"""Which member of a mixture gives which sample: a pure function of the weights.

The chairman assignment problem asks how states of different size should take turns, year by year,
so that at every moment each has had its share. Tijdeman's rule keeps every state within
`1 - 1 / (2k - 2)` turns of its share for `k` states. See R. Tijdeman, "The chairman assignment
problem", Discrete Mathematics 32 (1980), pages 323-330.

Weights that are whole numbers of total `D` repeat after `D` turns, so one period is worked out and
kept, and the rest is arithmetic on whole numbers: the same on every machine, and as quick at
position 10**12 as at position 0.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from heapq import heappop, heappush
from numbers import Integral
from operator import index

import numpy as np
from numpy.typing import NDArray

from atdata._exceptions import printable
from atdata._typing import Int64Array

type Weight = float | Fraction
"""How often a member is drawn, next to the weights of the others."""

LONGEST_PERIOD = 1 << 16
"""Weights whose smallest whole numbers have a greater total are rounded to this total."""

_LAST = (1 << 63) - 1


def whole_weights(weights: Sequence[Weight]) -> tuple[int, ...]:
    """The smallest whole numbers in proportion to the weights, rounded if they are too large.

    A float stands for the decimal number that it prints as, so `0.7` and `0.3` are exactly 7 and
    3. Rounding is by largest remainder to a total of `LONGEST_PERIOD`, with at least 1 for every
    weight that is not 0.

    Raises:
        ValueError: A weight is negative, infinite or no number; or all are 0; or there are more
            than `LONGEST_PERIOD`.
        TypeError: A weight is something else than an integer, a float or a fraction.

    Examples:
        >>> whole_weights([0.7, 0.2, 0.1])
        (7, 2, 1)
        >>> whole_weights([1, 1e-9])
        (65535, 1)
    """
    if len(weights) > LONGEST_PERIOD:
        raise ValueError(f"{len(weights)} weights, of {LONGEST_PERIOD} at most")
    exact = [_exact(weight) for weight in weights]
    if not any(exact):
        raise ValueError(f"no weight is above 0: {printable(list(weights))}")
    unit = math.lcm(*(weight.denominator for weight in exact))
    whole = _reduced([weight.numerator * (unit // weight.denominator) for weight in exact])
    return whole if sum(whole) <= LONGEST_PERIOD else _reduced(_rounded(whole))


def _exact(weight: Weight) -> Fraction:
    if isinstance(weight, Fraction):
        exact = weight
    elif isinstance(weight, Integral):
        exact = Fraction(int(weight))
    elif isinstance(weight, float):
        if not math.isfinite(weight):
            raise ValueError(f"a weight must be finite, not {weight}")
        exact = Fraction(float.__repr__(weight))
    else:
        kind = type(weight).__name__
        raise TypeError(f"a weight is an integer, a float or a Fraction, not {kind}")
    if exact < 0:
        raise ValueError(f"a weight cannot be negative: {printable(weight)}")
    return exact


def _reduced(weights: Sequence[int]) -> tuple[int, ...]:
    common = math.gcd(*weights)
    return tuple(weight // common for weight in weights)


def _rounded(weights: Sequence[int]) -> list[int]:
    rounded = [min(weight, 1) for weight in weights]
    large = [member for member, weight in enumerate(weights) if weight]
    while True:
        total = sum(weights[member] for member in large)
        room = LONGEST_PERIOD - (sum(rounded) - len(large))
        # Whoever would get less than 1 keeps its 1, and the others share what is left of the room.
        enough = [member for member in large if weights[member] * room >= total]
        if len(enough) == len(large):
            break
        large = enough
    for member in large:
        rounded[member] = weights[member] * room // total
    missing = LONGEST_PERIOD - sum(rounded)
    by_remainder = sorted(large, key=lambda member: -(weights[member] * room % total))
    for member in by_remainder[:missing]:
        rounded[member] += 1
    return rounded


@dataclass(frozen=True, slots=True, eq=False)
class _Period:
    """One period: who has each turn, the how-manieth of its own that is, and where they stand.

    `places` lists the turns of member 0 in order, then those of member 1, and so on; `first`
    says where in it those of a member begin. A period has 65,536 turns at most, so that 16 bits
    hold each number.
    """

    members: NDArray[np.uint16]
    ranks: NDArray[np.uint16]
    places: NDArray[np.uint16]
    first: tuple[int, ...]


# 0.4 MB each. A schedule names its periods by their weights, so it stays small when it is pickled.
@lru_cache(maxsize=32)
def _period(weights: tuple[int, ...]) -> _Period:
    shares = np.array(weights, np.int64)
    ends = np.cumsum(shares)
    total = int(ends[-1])
    member = np.repeat(np.arange(len(weights)), shares)
    rank = np.arange(total) - np.repeat(ends - shares, shares)

    # Tijdeman: a member is ready for its next turn when it lags its share by at least 1/K, and
    # due when it would lag by more than 1 - 1/K; among the ready, the one due first has the turn.
    k = max(2 * int(np.count_nonzero(shares)) - 2, 1)
    ready = -(-total * (1 + k * rank) // (k * shares[member]))
    due = total * (k - 1 + k * rank) // (k * shares[member]) + 1

    # A number that sorts by due date, then by member.
    keys: list[int] = (due * total + np.arange(total)).tolist()
    arriving = np.argsort(ready, kind="stable").tolist()
    arrived_by: list[int] = np.cumsum(np.bincount(ready, minlength=total + 1)).tolist()
    waiting: list[int] = []
    turns: list[int] = []
    for turn in range(total):
        for arrival in arriving[arrived_by[turn] : arrived_by[turn + 1]]:
            heappush(waiting, keys[arrival])
        turns.append(heappop(waiting) % total)

    by_turn = np.array(turns)
    places = np.empty(total, np.uint16)
    places[by_turn] = np.arange(total)
    return _Period(
        members=member[by_turn].astype(np.uint16),
        ranks=rank[by_turn].astype(np.uint16),
        places=places,
        first=tuple((ends - shares).tolist()),
    )


@dataclass(frozen=True, slots=True)
class _Stretch:
    """From `start` on, whole weights hold; `before` counts each member's samples up to there."""

    start: int
    weights: tuple[int, ...]
    before: tuple[int, ...]

    def members(self, positions: Int64Array) -> tuple[Int64Array, Int64Array]:
        period = _period(self.weights)
        cycles, turns = np.divmod(positions - self.start, len(period.members))
        members = period.members[turns].astype(np.int64)
        counts = np.array(self.before)[members] + cycles * np.array(self.weights)[members]
        return members, counts + period.ranks[turns].astype(np.int64)

    def counts(self, position: int) -> list[int]:
        period = _period(self.weights)
        cycles, turn = divmod(position - self.start, len(period.members))
        counts: list[int] = []
        for before, weight, first in zip(self.before, self.weights, period.first, strict=True):
            in_cycle = np.searchsorted(period.places[first : first + weight], turn)
            counts.append(before + cycles * weight + int(in_cycle))
        return counts

    def position_of(self, member: int, count: int) -> int:
        period = _period(self.weights)
        cycles, rank = divmod(count - self.before[member], self.weights[member])
        place = int(period.places[period.first[member] + rank])
        return self.start + cycles * len(period.members) + place


class Schedule:
    """Which member of a mixture gives each sample, at any position, without walking there.

    Among the first `n` samples each member has its share to within one sample, for every `n`.
    Weights can change at a position: what stands before it stays, and from it on samples are
    counted anew for the new weights, while each member goes on from the sample it had come to.

    Schedules are values: equal ones say the same, and `reweighted` makes another.

    Args:
        weights: One for each member, 0 or above, in any unit. 0 leaves a member out.
        changes: Weights that hold from a position on, in order of position. Of two changes at one
            position the later holds.

    Raises:
        ValueError: The weights cannot be used, a change has another number of members, or changes
            are out of order.

    Examples:
        >>> schedule = Schedule([3, 1])
        >>> schedule.members(np.arange(8))[0].tolist()
        [0, 0, 1, 0, 0, 0, 1, 0]
        >>> schedule.counts(10**12)
        [750000000000, 250000000000]
        >>> schedule.reweighted(4, [0, 1]).members(np.arange(8))[0].tolist()
        [0, 0, 1, 0, 1, 1, 1, 1]
    """

    __slots__ = ("_starts", "_stretches")

    def __init__(
        self,
        weights: Sequence[Weight],
        changes: Iterable[tuple[int, Sequence[Weight]]] = (),
    ) -> None:
        whole = whole_weights(weights)
        stretches = [_Stretch(0, whole, (0,) * len(whole))]
        for position, changed in changes:
            at, last = index(position), stretches[-1]
            if not last.start <= at <= _LAST:
                raise ValueError(
                    f"weights cannot change at position {at}: "
                    f"the change before it is at {last.start}, and they come in order"
                )
            if len(changed) != len(whole):
                raise ValueError(f"{len(changed)} weights for a mixture of {len(whole)}")
            if at == last.start:
                stretches.pop()
            before = last.before if at == last.start else tuple(last.counts(at))
            stretches.append(_Stretch(at, whole_weights(changed), before))
        self._stretches = tuple(stretches)
        self._starts = [stretch.start for stretch in stretches]

    @property
    def weights(self) -> tuple[int, ...]:
        """The whole weights that hold at position 0."""
        return self._stretches[0].weights

    @property
    def changes(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """The changes since, in whole weights: `Schedule(s.weights, s.changes) == s`."""
        return tuple((stretch.start, stretch.weights) for stretch in self._stretches[1:])

    def reweighted(self, at: int, weights: Sequence[Weight]) -> "Schedule":
        """The same schedule up to a position, and other weights from it on.

        Args:
            at: The first position where the new weights hold, not before the last change.
            weights: One for each member; 0 leaves a member out from here on.
        """
        return Schedule(self.weights, [*self.changes, (at, weights)])

    def members(self, positions: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Who gives the samples at these positions, and which of its own samples each is.

        Args:
            positions: Any shape, in any order, 0 or above.

        Returns:
            The member's number at each position, and how many samples of that member stand
            before it.

        Raises:
            ValueError: A position is negative.
        """
        if positions.size and int(positions.min()) < 0:
            raise ValueError(f"positions count from 0, but one is {int(positions.min())}")
        if len(self._stretches) == 1:
            return self._stretches[0].members(positions)
        stretches = np.searchsorted(self._starts, positions, side="right") - 1
        members = np.empty(positions.shape, np.int64)
        counts = np.empty(positions.shape, np.int64)
        for number in np.unique(stretches).tolist():
            here = stretches == number
            members[here], counts[here] = self._stretches[number].members(positions[here])
        return members, counts

    def counts(self, position: int) -> list[int]:
        """How many samples each member gives among the first `position`.

        Raises:
            ValueError: The position is negative.
        """
        if position < 0:
            raise ValueError(f"positions count from 0, not {position}")
        return self._stretches[bisect_right(self._starts, position) - 1].counts(position)

    def position_of(self, member: int, count: int) -> int | None:
        """Where a member's sample number `count`, counted from 0, stands.

        Returns:
            Its position, or `None` when the member is left out before it comes to that sample.

        Raises:
            ValueError: There is no such member, or the count is negative.

        Examples:
            >>> Schedule([3, 1]).position_of(1, 2)
            10
        """
        if not 0 <= member < len(self.weights):
            raise ValueError(f"member {member} of a mixture of {len(self.weights)}, from 0 on")
        if count < 0:
            raise ValueError(f"a member's samples count from 0, not {count}")
        number = bisect_right(self._stretches, count, key=lambda part: part.before[member]) - 1
        stretch = self._stretches[number]
        return stretch.position_of(member, count) if stretch.weights[member] else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and self._stretches == other._stretches

    def __hash__(self) -> int:
        return hash(self._stretches)

    def __repr__(self) -> str:
        changes = f", {self.changes}" if self.changes else ""
        return f"Schedule({self.weights}{changes})"
