"""A mixture keeps its proportions at every moment, and any position is worked out at once."""

import itertools
import math
import pickle
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atdata.pipeline.schedule import LONGEST_PERIOD, Schedule, Weight, whole_weights

weight = (
    st.integers(0, 12)
    | st.integers(0, 10**40)
    | st.floats(0, 1)
    | st.floats(0, allow_infinity=False)
    | st.fractions(0, 50, max_denominator=1000)
)


def weights_for(n: int) -> st.SearchStrategy[list[Weight]]:
    return st.lists(weight, min_size=n, max_size=n).filter(any)


mixtures = st.integers(2, 12).flatmap(weights_for)
positions = st.integers(0, 500) | st.integers(0, 10**13)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    n = draw(st.integers(2, 12))
    at = sorted(draw(st.lists(positions, max_size=3)))
    return Schedule(draw(weights_for(n)), [(start, draw(weights_for(n))) for start in at])


def exactly(weight: Weight) -> Fraction:
    return Fraction(str(weight))


def shares(weights: Sequence[Weight]) -> list[Fraction]:
    exact = [exactly(weight) for weight in weights]
    return [weight / sum(exact) for weight in exact]


def farthest(schedule: Schedule, n: int) -> Fraction:
    """How far, in samples, any member is from its share after any of the first n."""
    members, _ = schedule.members(np.arange(n))
    worst = 0
    for member, weight in enumerate(schedule.weights):
        counts = np.cumsum(members == member)
        wanted = np.arange(1, n + 1) * weight
        worst = max(worst, int(np.abs(counts * sum(schedule.weights) - wanted).max()))
    return Fraction(worst, sum(schedule.weights))


@given(weights=mixtures, n=st.integers(1, 2000))
def test_each_member_has_its_share_to_within_a_sample(weights: list[Weight], n: int) -> None:
    """After any number of samples, whatever the weights are."""
    schedule = Schedule(weights)

    k = sum(weight > 0 for weight in schedule.weights)

    assert farthest(schedule, n) <= 1 - Fraction(1, max(2 * k - 2, 1))


@pytest.mark.parametrize(
    "weights",
    [
        [1, 1e-9],
        [0.1234567 * i + 1e-5 for i in range(1, 11)],
        [2.0**-i for i in range(12)],
        [1] * 12,
        [32769, 32767],
        [65534, 1, 1],
    ],
    ids=str,
)
def test_a_whole_long_period_keeps_the_shares(weights: list[float]) -> None:
    """And the next period begins as the first did."""
    schedule = Schedule(weights)
    period = sum(schedule.weights)

    assert farthest(schedule, period + 10) < 1
    assert schedule.counts(period) == list(schedule.weights)


def test_every_small_mixture_keeps_its_shares() -> None:
    """All weights up to 5 for two to four members."""
    for k in (2, 3, 4):
        for weights in itertools.product(range(1, 6), repeat=k):
            schedule = Schedule(weights)

            assert farthest(schedule, sum(schedule.weights)) <= 1 - Fraction(1, 2 * k - 2)


@given(weights=mixtures, n=st.integers(100, 10**13))
def test_proportions_are_right_from_the_first_hundred_samples_on(
    weights: list[Weight], n: int
) -> None:
    """To within 1 in 100 of the weights as they were given, rounded or not."""
    counts = Schedule(weights).counts(n)

    assert sum(counts) == n
    for count, share in zip(counts, shares(weights)):
        assert abs(Fraction(count, n) - share) < Fraction(1, 100)


@given(weights=mixtures)
def test_whole_weights_are_exact_or_nearly(weights: list[Weight]) -> None:
    """Exact where the total allows it; else nobody is lost or gains where it had nothing."""
    whole = whole_weights(weights)

    total = sum(whole)
    exact = shares(weights)
    assert math.gcd(*whole) == 1
    assert total <= LONGEST_PERIOD
    assert whole_weights(whole) == whole
    assert [w > 0 for w in whole] == [share > 0 for share in exact]
    if math.lcm(*(share.denominator for share in exact)) <= LONGEST_PERIOD:
        assert [Fraction(w, total) for w in whole] == exact
    for w, share in zip(whole, exact):
        assert abs(Fraction(w, total) - share) <= Fraction(len(whole), LONGEST_PERIOD)


@pytest.mark.parametrize(
    ("weights", "whole"),
    [
        ([0.7, 0.2, 0.1], (7, 2, 1)),
        ([1 / 3, 2 / 3], (1, 2)),
        ([Fraction(1, 7), Fraction(2, 7)], (1, 2)),
        ([np.float64(0.5), np.int64(1)], (1, 2)),
        ([5], (1,)),
        ([0, 3], (0, 1)),
        ([1, 1e-9, 5e-324], (65534, 1, 1)),
        ([1e308, 1e308], (1, 1)),
        ([math.pi, math.e], (35135, 30401)),
    ],
    ids=str,
)
def test_what_weights_become(weights: list[Weight], whole: tuple[int, ...]) -> None:
    """A float is the decimal it prints as; a total that is too large is rounded."""
    assert whole_weights(weights) == whole


@given(schedule=schedules(), at=st.lists(positions, min_size=1, max_size=20))
def test_members_counts_and_positions_agree(schedule: Schedule, at: list[int]) -> None:
    """Three views of one order, in any order of asking, far out too, across changes."""
    members, counts = schedule.members(np.array(at))

    for position, member, count in zip(at, members.tolist(), counts.tolist()):
        before, after = schedule.counts(position), schedule.counts(position + 1)
        assert sum(before) == position
        assert before[member] == count
        assert [b + (m == member) for m, b in enumerate(before)] == after
        assert schedule.position_of(member, count) == position


@given(schedule=schedules(), start=positions)
def test_samples_of_a_member_come_one_by_one(schedule: Schedule, start: int) -> None:
    """In a run of positions each member's numbers rise by one."""
    members, counts = schedule.members(np.arange(start, start + 300))

    for member, first in enumerate(schedule.counts(start)):
        own = counts[members == member]
        assert own.tolist() == list(range(first, first + len(own)))


@given(data=st.data(), schedule=schedules(), beyond=st.integers(0, 1000))
def test_a_change_leaves_what_stands_before_it(
    data: st.DataObject, schedule: Schedule, beyond: int
) -> None:
    """And from it on the new weights begin, each member where it had come to."""
    n = len(schedule.weights)
    at = (schedule.changes[-1][0] if schedule.changes else 0) + beyond
    weights = data.draw(weights_for(n))

    changed = schedule.reweighted(at, weights)

    before = np.arange(max(0, at - 300), at)
    after = np.arange(300)
    assert np.array_equal(changed.members(before), schedule.members(before))
    assert changed.counts(at) == schedule.counts(at)
    fresh_members, fresh_counts = Schedule(weights).members(after)
    members, counts = changed.members(at + after)
    assert np.array_equal(members, fresh_members)
    assert np.array_equal(counts, fresh_counts + np.array(schedule.counts(at))[members])


@given(schedule=schedules())
def test_a_schedule_is_a_value(schedule: Schedule) -> None:
    """It can be made again from whole numbers, pickled, compared, hashed and shown."""
    again = Schedule(schedule.weights, schedule.changes)

    assert again == schedule == pickle.loads(pickle.dumps(schedule))
    assert hash(again) == hash(schedule)
    assert eval(repr(schedule)) == schedule
    assert schedule != Schedule([*schedule.weights, 1])
    assert len(pickle.dumps(schedule)) < 2000


def test_the_order_never_changes() -> None:
    """A run resumed with another version meets the members in the same order."""
    members, counts = Schedule([0.5, 0.3, 0.2]).members(np.arange(10))

    assert members.tolist() == [0, 1, 0, 2, 0, 1, 0, 2, 0, 1]
    assert counts.tolist() == [0, 0, 1, 0, 2, 1, 3, 1, 4, 2]


def test_a_member_can_be_left_out_and_come_back() -> None:
    """Its samples go on where they stopped; one left out for good has no position."""
    paused = Schedule([1, 1], [(10, [1, 0]), (20, [1, 1])])
    left_out = Schedule([1, 1], [(10, [1, 0])])

    assert paused.position_of(1, 4) == 9
    assert paused.position_of(1, 5) == 21
    assert left_out.position_of(1, 4) == 9
    assert left_out.position_of(1, 5) is None
    assert Schedule([1, 0]).position_of(1, 0) is None
    assert left_out.counts(10**15) == [10**15 - 5, 5]


def test_of_two_changes_at_one_position_the_later_holds() -> None:
    """Also at the very beginning."""
    assert Schedule([1, 1]).reweighted(5, [1, 2]).reweighted(5, [1, 3]).changes == ((5, (1, 3)),)
    assert Schedule([1, 1]).reweighted(0, [1, 2]) == Schedule([1, 2])


def test_dozens_of_changes_are_followed() -> None:
    """More periods than are kept at a time, each with its own weights."""
    changes = [(100 * i, [i, 101 - i]) for i in range(1, 60)]
    schedule = Schedule([1, 1], changes)

    members, counts = schedule.members(np.arange(6000)[::-1])

    assert np.bincount(members).tolist() == schedule.counts(6000)
    assert sorted(counts[members == 1].tolist()) == list(range(schedule.counts(6000)[1]))


def test_positions_come_in_any_shape() -> None:
    """Members and counts have the shape of the positions, an empty one too."""
    for schedule in (Schedule([2, 1]), Schedule([2, 1], [(3, [1, 2])])):
        members, counts = schedule.members(np.arange(6).reshape(2, 3))
        none, _ = schedule.members(np.empty(0, np.int64))

        assert members.shape == counts.shape == (2, 3)
        assert members.dtype == counts.dtype == np.int64
        assert none.shape == (0,)


def test_as_many_members_as_fit() -> None:
    """65,536 members have one turn each; one more cannot be promised a turn."""
    schedule = Schedule([0.1] * LONGEST_PERIOD)

    assert sorted(schedule.members(np.arange(LONGEST_PERIOD))[0]) == list(range(LONGEST_PERIOD))
    with pytest.raises(ValueError, match="65537 weights, of 65536 at most"):
        Schedule([1] * (LONGEST_PERIOD + 1))


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([], ValueError, "no weight is above 0"),
        ([0, 0.0], ValueError, r"no weight is above 0: \[0, 0.0\]"),
        ([1, -0.5], ValueError, "cannot be negative: -0.5"),
        ([1, math.inf], ValueError, "must be finite, not inf"),
        ([1, math.nan], ValueError, "must be finite, not nan"),
        ([1, "2"], TypeError, "not str"),
    ],
    ids=str,
)
def test_weights_that_cannot_be_used(
    weights: list[Weight], error: type[Exception], message: str
) -> None:
    """The message shows the weight."""
    with pytest.raises(error, match=message):
        Schedule(weights)


def test_questions_without_an_answer() -> None:
    """Negative positions, unknown members, changes out of order or of another size."""
    schedule = Schedule([1, 1], [(10, [1, 2])])
    between: Any = 20.5

    with pytest.raises(ValueError, match="positions count from 0, but one is -1"):
        schedule.members(np.array([3, -1]))
    with pytest.raises(ValueError, match="positions count from 0, not -1"):
        schedule.counts(-1)
    with pytest.raises(ValueError, match="member 2 of a mixture of 2"):
        schedule.position_of(2, 0)
    with pytest.raises(ValueError, match="samples count from 0, not -1"):
        schedule.position_of(0, -1)
    with pytest.raises(ValueError, match="position 9: the change before it is at 10"):
        schedule.reweighted(9, [1, 1])
    with pytest.raises(ValueError, match="3 weights for a mixture of 2"):
        schedule.reweighted(20, [1, 1, 1])
    with pytest.raises(TypeError):
        schedule.reweighted(between, [1, 1])
