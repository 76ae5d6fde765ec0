"""Plans: which sample stands where, as plain lists of all samples would say it."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.properties.teams import Mixture, dataset, few, mixtures, odd

import atdata
from atdata import Dataset, World
from atdata._typing import Int64Array
from atdata.pipeline.plan import (
    ENDLESS,
    Cut,
    Joined,
    Member,
    Mixed,
    Plan,
    Repeated,
    Shuffle,
    Sieved,
    Uneven,
    Windows,
)
from atdata.pipeline.quality import quality_of
from atdata.pipeline.schedule import Schedule

type Places = list[tuple[int, int]]

SIZES = st.lists(st.integers(0, 12), max_size=9)

SHUFFLES = st.builds(
    Shuffle,
    seed=st.integers(0, 2**63 - 1),
    shards=st.none() | st.sampled_from([0, 1, 2, 3, 4, 100]),
    within=st.booleans(),
)


@atdata.packable
class Number:
    """A small sample."""

    n: int


def places(plan: Plan, positions: Sequence[int] | None = None) -> Places:
    """Where the samples at some positions are; at all, if none are given."""
    at = np.arange(plan.n) if positions is None else np.array(positions, np.int64)
    segments, rows = plan.locate(at)
    return list(zip(segments.tolist(), rows.tolist(), strict=True))


def rows_of(sizes: Sequence[int]) -> Places:
    return [(segment, row) for segment, n in enumerate(sizes) for row in range(n)]


# -- windows


@given(SIZES)
def test_without_a_shuffle_samples_come_as_they_lie(sizes: list[int]) -> None:
    """Shard after shard, and empty ones are passed over."""
    assert places(Windows(sizes, None)) == rows_of(sizes)


@given(SIZES, SHUFFLES, st.lists(st.integers(0, 9), min_size=1, max_size=3), st.data())
def test_a_shuffle_gives_all_samples_once(
    sizes: list[int], shuffle: Shuffle, words: list[int], data: st.DataObject
) -> None:
    """Any shards in any windows, wherever reading begins."""
    plan = Windows(sizes, shuffle, *words)
    found = places(plan)
    some = data.draw(st.lists(st.integers(0, plan.n - 1), max_size=9) if plan.n else st.just([]))

    assert sorted(found) == rows_of(sizes)
    assert places(Windows(sizes, shuffle, *words), some) == [found[at] for at in some]


@given(SIZES, SHUFFLES)
def test_samples_stay_in_their_window(sizes: list[int], shuffle: Shuffle) -> None:
    """No more shards are open at once than a window has, and a window is left for good."""
    found = [segment for segment, _ in places(Windows(sizes, shuffle, 0))]
    window = len(sizes) if shuffle.shards is None else max(1, shuffle.shards)
    window = max(window, 1) if shuffle.within else 1
    began = list(dict.fromkeys(found))
    ended = list(dict.fromkeys(reversed(found)))[::-1]

    if all(sizes):  # an empty shard takes a place in its window, and is not seen
        for first in range(0, len(began), window):
            assert set(began[first : first + window]) == set(ended[first : first + window])


def test_each_part_of_a_shuffle_does_its_own() -> None:
    """Shards in order where a window is one shard; samples in order where they are not mixed."""
    sizes = [5] * 40

    one = places(Windows(sizes, Shuffle(3, 1), 0))
    shards = places(Windows(sizes, Shuffle(3, 100, within=False), 0))

    assert [segment for segment, _ in one] == sorted(segment for segment, _ in one)
    assert one != rows_of(sizes)
    assert [row for _, row in shards] == [0, 1, 2, 3, 4] * 40
    assert shards != rows_of(sizes)


def test_every_word_changes_the_order() -> None:
    """Seed, epoch and pass; and each window has an order of its own."""
    sizes = [20] * 10
    orders = [
        places(Windows(sizes, Shuffle(seed, 2), *words))
        for seed, *words in [(0, 0), (1, 0), (0, 1), (0, 0, 1), (0, 1, 0)]
    ]

    assert len({tuple(order) for order in orders}) == len(orders)
    rows = [row for _, row in places(Windows([30] * 8, Shuffle(1, 1), 0))]
    assert len({tuple(rows[first : first + 30]) for first in range(0, 240, 30)}) == 8


def test_the_default_window_mixes_well() -> None:
    """100,000 samples in 100 shards: neighbours are strangers, and all shards come at once."""
    sizes = [1000] * 100

    for seed in range(5):
        found = quality_of(Windows(sizes, Shuffle(seed), 0), sizes)

        assert abs(found.lag1) < 0.01
        assert found.shards_in_first_1000 >= 90
        assert found.displacement == pytest.approx(1 / 3, abs=0.005)


def test_the_default_window_mixes_real_shards(tmp_path: Path) -> None:
    """The same, told by the stream and seen in the samples that it delivers."""
    samples = (Number(i) for i in range(100_000))
    ds = atdata.write_samples(samples, tmp_path / "s.tar", maxcount=1000)
    stream = ds.shuffled(seed=1)

    quality = stream.shuffle_quality()
    found = np.array([sample.n for sample in stream])

    assert np.array_equal(np.sort(found), np.arange(100_000))
    assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 0.01
    assert quality.lag1 == pytest.approx(np.corrcoef(found[:-1], found[1:])[0, 1])
    assert len(set((found[:1000] // 1000).tolist())) == quality.shards_in_first_1000 >= 90


# -- golden orders

GOLDEN: dict[str, tuple[dict[str, Any], str]] = {
    "seed 7": (
        {"seed": 7},
        "42 4 41 32 43 6 27 20 23 31 3 30 40 46 25 45 28 0 2 26 47 5 44 24 21 1 22",
    ),
    "epoch 1": (
        {"seed": 7, "epoch": 1},
        "44 28 42 41 43 22 30 32 0 26 5 31 23 2 6 20 46 25 47 1 40 4 45 27 3 24 21",
    ),
    "no seed to speak of": (
        {"seed": 0},
        "43 27 24 47 45 32 41 1 42 21 44 23 40 3 6 30 2 28 20 4 46 25 22 31 0 26 5",
    ),
    "two shards": (
        {"seed": 7, "buffer_shards": 2},
        "25 43 23 24 22 42 28 46 40 45 21 41 20 26 27 44 47 2 4 31 5 32 30 1 0 3 6",
    ),
    "global": (
        {"seed": 7, "shuffle": "global"},
        "42 4 41 32 43 6 27 20 23 31 3 30 40 46 25 45 28 0 2 26 47 5 44 24 21 1 22",
    ),
    "shards alone": (
        {"seed": 7, "buffer_samples": 1},
        "20 21 22 23 24 25 26 27 28 40 41 42 43 44 45 46 47 30 31 32 0 1 2 3 4 5 6",
    ),
    "one of three readers": (
        {"seed": 7, "world": World(1, 3)},
        "4 32 27 30 25 28 47 44 21",
    ),
    "a worker": (
        {"seed": 7, "world": World(1, 2, 0, 2)},
        "4 6 23 46 0 47 21",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_order_of_a_dataset_never_changes(name: str) -> None:
    """The same samples in the same order, on every machine and in every version to come."""
    how, wanted = GOLDEN[name]

    found = [sample.n for sample in dataset((7, 0, 9, 3, 8)).shuffled(**how)]

    assert found == list(map(int, wanted.split()))


# -- plans made of plans


@dataclass
class Both:
    """A plan, and the list of all that it should hold."""

    plan: Plan
    model: Places
    segments: int


def windows(sizes: list[int]) -> Both:
    return Both(Windows(sizes, None), rows_of(sizes), len(sizes))


def odd_rows(segments: Int64Array, rows: Int64Array) -> Any:
    return (segments + rows) % 2 == 1


def joined(parts: list[Both]) -> Both:
    offsets = np.cumsum([0] + [part.segments for part in parts]).tolist()
    model = [
        (segment + offset, row)
        for part, offset in zip(parts, offsets, strict=False)
        for segment, row in part.model
    ]
    return Both(Joined([part.plan for part in parts], offsets), model, offsets[-1])


@st.composite
def changed(draw: st.DrawFn, inner: st.SearchStrategy[Both]) -> Both:
    """A plan made of another."""
    one = draw(inner)
    match draw(st.sampled_from(["repeat", "cut", "sieve", "join"])):
        case "repeat":
            times = draw(st.integers(0, 3))
            plan: Plan = Repeated(one.plan.n, times, lambda _: one.plan)
            return Both(plan, one.model * times, one.segments)
        case "cut":
            skip, take = draw(st.integers(0, 30)), draw(st.none() | st.integers(0, 30))
            stop = None if take is None else skip + take
            return Both(Cut(one.plan, skip, take), one.model[skip:stop], one.segments)
        case "sieve":
            kept = [(segment, row) for segment, row in one.model if (segment + row) % 2]
            return Both(Sieved(one.plan, odd_rows), kept, one.segments)
        case _:
            return joined([one, *draw(st.lists(inner, max_size=2))])


PLANS = st.recursive(SIZES.map(windows), changed, max_leaves=5)


@given(PLANS, st.data())
def test_plans_of_plans_are_lists_of_lists(both: Both, data: st.DataObject) -> None:
    """Repeated, cut, sieved and joined in any way, asked for all at once or for some."""
    n = len(both.model)
    some = data.draw(st.lists(st.integers(0, n - 1), max_size=9) if n else st.just([]))

    assert both.plan.n == n
    assert places(both.plan) == both.model
    assert places(both.plan, some) == [both.model[at] for at in some]


def test_plans_without_an_end_have_none_either() -> None:
    """What repeats, joins, or cuts the endless is endless, unless it is cut at its end."""
    endless = Mixed(Schedule([1]), [Member(3, 0, lambda _: Windows([3], None))], "never")

    assert endless.n == ENDLESS == sys.maxsize
    assert Repeated(endless.n, 2, lambda _: endless).n == ENDLESS
    assert Repeated(endless.n, 0, lambda _: endless).n == 0
    assert Joined([Windows([2], None), endless], [0, 1]).n == ENDLESS
    assert Cut(endless, 5, None).n == ENDLESS
    assert places(Cut(endless, 5, 4)) == [(0, 2), (0, 0), (0, 1), (0, 2)]
    assert places(endless, [ENDLESS - 1, 3 * 10**15]) == [(0, (ENDLESS - 1) % 3), (0, 0)]
    with pytest.raises(ValueError, match="cannot be counted"):
        Sieved(endless, odd_rows)


@pytest.mark.parametrize("stop", ["first", "all"])
def test_a_mixture_of_what_does_not_end_does_not_end(stop: Any) -> None:
    """Its length is that of the endless, however its weights are."""
    endless = Mixed(Schedule([1]), [Member(3, 0, lambda _: Windows([3], None))], "never")
    members = [Member(ENDLESS, 0, lambda _: endless), Member(ENDLESS, 1, lambda _: endless)]

    assert Mixed(Schedule([1, 2]), members, stop).n == ENDLESS


@given(st.lists(st.integers(0, 5), min_size=1, max_size=9), st.data())
def test_passes_need_not_hold_equally_many(sizes: list[int], data: st.DataObject) -> None:
    """Each is as long as it is, empty ones too; asked for all at once, or for some."""
    model = [place for number, n in enumerate(sizes) for place in [(number, i) for i in range(n)]]

    def a_pass(number: int) -> Plan:
        return Joined([Windows([sizes[number]], None)], [number])

    def forever(number: int) -> Plan:
        return a_pass(number % len(sizes))

    plan, endless = Uneven(len(sizes), a_pass), Uneven(None, forever)
    positions = st.lists(st.integers(0, 3 * len(model) - 1), max_size=9) if model else st.just([])
    some = data.draw(positions)

    assert (plan.n, endless.n) == (len(model), ENDLESS)
    assert places(plan) == model
    assert places(endless, some) == [model[at % len(model)] for at in some]


def test_passes_without_samples_do_not_go_on_for_ever() -> None:
    """Whoever waits for a sample that never comes is told so."""
    plan = Uneven(None, lambda number: Windows([number == 0], None))

    assert places(plan, [0]) == [(0, 0)]
    with pytest.raises(ValueError, match="gave nothing"):
        plan.locate(np.array([1]))


@pytest.mark.parametrize("readers", [1, 2, 3])
def test_passes_over_a_filtered_mixture_differ(readers: int) -> None:
    """A mixture that ends with its first part leaves other samples out in each pass."""
    pairs = [(dataset((8,)), 2), (dataset((8,), 100), 1)]
    ds = atdata.mix(pairs, stop="first").filter(few)
    again, outer = ds.repeat(3), atdata.mix([(ds, 1), (dataset((9,), 200), 1)], stop="all")

    for seed in range(8):
        for one in (again, outer):
            whole = [sample.n for sample in one.shuffled(seed=seed)]
            streams = [one.shuffled(seed=seed, world=World(r, readers)) for r in range(readers)]
            lengths = list(map(len, streams))
            found = [[sample.n for sample in stream] for stream in streams]

            assert list(map(len, found)) == lengths
            assert sorted(n for some in found for n in some) == sorted(whole)


def test_a_plan_that_is_repeated_beyond_all_counting_is_endless() -> None:
    """Numbers of positions are numbers of 64 bits."""
    plan = Repeated(100, 10**18, lambda _: Windows([100], None))

    assert plan.n == ENDLESS
    assert places(plan, [10**18 + 7]) == [(0, 7)]


def test_a_sieve_finds_what_it_keeps_in_any_block() -> None:
    """Over more samples than it remembers at once, from the end to the start."""
    n = 500_000
    plan = Sieved(Windows([n], None), odd_rows)
    some = [n // 2 - 1, 0, n // 4, n // 2 - 2, 70_000, 1]

    assert plan.n == n // 2
    assert places(plan, some) == [(0, 2 * at + 1) for at in some]


# -- mixtures


def counted_mixture(
    weights: Sequence[float], sizes: Sequence[int], stop: Any, changes: Any = ()
) -> Mixed:
    members = [
        Member(n, number, lambda turn, n=n: Windows([n], Shuffle(5, 1), turn))
        for number, n in enumerate(sizes)
    ]
    return Mixed(Schedule(weights, changes), members, stop)


WEIGHTS = st.lists(st.integers(0, 20) | st.floats(0, 1), min_size=1, max_size=6).filter(any)


@given(WEIGHTS)
def test_proportions_hold_from_the_first_hundred_on(weights: list[float]) -> None:
    """Among the first 100, 200, 1,000 samples: each dataset has its share, to within one."""
    plan = counted_mixture(weights, [50] * len(weights), "never")
    found = np.array([segment for segment, _ in places(plan, range(1000))])

    for n in (100, 200, 1000):
        counts = np.bincount(found[:n], minlength=len(weights))
        shares = np.array(weights) / sum(weights) * n
        assert np.abs(counts - shares).max() <= 1 + n / 60_000


@given(WEIGHTS, st.data())
def test_mixtures_end_where_they_should(weights: list[float], data: st.DataObject) -> None:
    """With the first that is used up, with the last, or never; until then nobody comes twice."""
    sizes = data.draw(st.lists(st.integers(1, 30), min_size=len(weights), max_size=len(weights)))
    weights = [min(weight, 20.0) if weight > 0.05 else 0 for weight in weights]
    if not any(weights):
        return

    first = counted_mixture(weights, sizes, "first")
    last = counted_mixture(weights, sizes, "all")
    never = places(counted_mixture(weights, sizes, "never"), range(last.n + 1))
    used = [number for number, weight in enumerate(weights) if weight]

    def given_(n: int) -> list[int]:
        counts = np.bincount([s for s, _ in never[:n]], minlength=len(weights))
        return [int(counts[number]) for number in used]

    left = [sizes[number] for number in used]
    assert len(set(never[: first.n])) == first.n
    assert len(set(never[: first.n + 1])) == first.n
    assert all(n >= size for n, size in zip(given_(last.n), left, strict=True))
    assert any(n < size for n, size in zip(given_(last.n - 1), left, strict=True))
    assert set(never[: last.n]) == {(s, row) for s in used for row in range(sizes[s])}
    assert places(first) == never[: first.n]
    assert places(last) == never[: last.n]


@given(WEIGHTS, st.integers(0, 300), st.data())
def test_new_weights_change_nothing_before_them(
    weights: list[float], at: int, data: st.DataObject
) -> None:
    """And from there on they hold, while each dataset goes on from where it was."""
    other = data.draw(
        st.lists(st.integers(0, 9), min_size=len(weights), max_size=len(weights)).filter(any)
    )
    sizes = [10_000] * len(weights)

    before = places(counted_mixture(weights, sizes, "never"), range(400))
    after = places(counted_mixture(weights, sizes, "never", [(at, other)]), range(at + 400))

    assert after[:at] == before[:at]
    assert len(set(after)) == len(after)
    counts = np.bincount([s for s, _ in after[at:]], minlength=len(weights))
    assert np.abs(counts - np.array(other) / sum(other) * 400).max() <= 1


def test_each_pass_over_a_member_has_its_own_order() -> None:
    """A dataset that begins anew is shuffled anew, and gives all again."""
    found = [row for s, row in places(counted_mixture([1, 0], [40, 1], "never"), range(120))]
    passes = [tuple(found[first : first + 40]) for first in (0, 40, 80)]

    assert len(set(passes)) == 3
    assert all(sorted(one) == list(range(40)) for one in passes)


@given(mixtures(), st.sampled_from(["first", "all"]))
def test_mixed_datasets_are_those_of_their_members(mixture: Mixture, stop: str) -> None:
    """Read in order, a mixture gives each member's samples in that member's order."""
    mixture = replace(mixture, ops=(), changes=(), stop=stop)
    ds: Dataset[Any] = mixture.open()
    members = [[sample.n for sample in member.open()] for member in mixture.members]

    found = [sample.n for sample in ds]

    assert len(ds) == len(found)
    turns, _ = Schedule(mixture.weights).members(np.arange(len(found)))
    rests = [iter(member * (len(found) // max(len(member), 1) + 1)) for member in members]
    assert found == [next(rests[turn]) for turn in turns.tolist()]


def test_filters_before_and_behind_a_mixture_differ() -> None:
    """On members they keep the proportions; behind the mixture they leave what they leave."""
    a, b = dataset((9,) * 5), dataset((9,) * 5, 100)

    before = atdata.mix([(a.filter(odd), 1), (b, 1)], stop="all")
    behind = atdata.mix([(a, 1), (b, 1)], stop="all").filter(odd)

    assert sum(sample.n < 100 for sample in before) * 2 == len(before) == 90
    assert [s.n for s in behind] == [
        s.n for s in atdata.mix([(a, 1), (b, 1)], stop="all") if s.n % 2
    ]
