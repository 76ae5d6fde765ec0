"""Shares: what each of any readers delivers of what is left, as sets of numbers would say it."""

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atdata import StateError, World
from atdata.pipeline.plan import ENDLESS
from atdata.pipeline.share import Came, Era, Left, Share, Tail, left_of, merged

WORDS = st.sampled_from([(), (7,), (2**63 - 1, 3)])
READERS = st.integers(1, 20)


def delivered(share: Share, stop: int | None = None, start: int = 0) -> list[int]:
    """The positions that a share delivers."""
    numbers = share.numbers(start, len(share) if stop is None else min(stop, len(share)))
    found: list[int] = share.positions(numbers).tolist()
    return found


def shares(
    left: Left, readers: int, words: tuple[int, ...] = (), tail: Tail = "keep"
) -> list[Share]:
    return [Share(left, World(reader, readers), tail, words) for reader in range(readers)]


@st.composite
def eras(draw: st.DrawFn) -> tuple[int, tuple[int, ...], list[Era], set[int]]:
    """Some positions, and what readers delivered of them before they changed, a few times."""
    n, words = draw(st.integers(0, 300)), draw(WORDS)
    found: list[Era] = []
    left, gone = Left.all_from(n), set[int]()
    for readers in draw(st.lists(READERS, max_size=5)):
        counts: list[int] = []
        for share in shares(left, readers, words):
            count = draw(st.integers(0, len(share)))
            positions = delivered(share, count)
            assert not gone & set(positions)
            gone |= set(positions)
            counts.append(count)
        found.append(Era(tuple(counts), words))
        left = left_of(n, 0, found)
    return n, words, found, gone


@given(eras())
def test_what_is_left_is_what_was_not_delivered(
    run: tuple[int, tuple[int, ...], list[Era], set[int]],
) -> None:
    """Any readers that stop anywhere, any times: the rest, rising, and nothing else."""
    n, _, stops, gone = run

    left = left_of(n, 0, stops)
    found = left.positions(np.arange(len(left))).tolist()

    assert found == [at for at in range(n) if at not in gone]


@given(eras())
def test_what_is_left_says_so_in_few_numbers(
    run: tuple[int, tuple[int, ...], list[Era], set[int]],
) -> None:
    """What a state keeps of it makes the same again, and forgets eras that are made up for."""
    n, _, stops, gone = run
    left = left_of(n, 0, stops)

    again = left_of(n, left.start, left.eras)

    assert again.positions(np.arange(len(again))).tolist() == [
        at for at in range(n) if at not in gone
    ]
    assert (again.start, again.eras, again.tail) == (left.start, left.eras, left.tail)
    assert len(left.eras) <= len(stops)
    if not len(left.loose):
        assert left.eras == ()


def test_eras_are_forgotten_when_they_are_made_up_for() -> None:
    """A run that is killed a hundred times has no longer state than one that was killed once."""
    draws, left = random.Random(1), Left.all_from(10**6)
    longest = 0

    for kill in range(100):
        readers = draws.randrange(1, 17)
        era = Era(tuple(draws.randrange(50, 60) for _ in range(readers)), (kill,))
        left = left.after(era)
        longest = max(longest, len(left.eras))

    assert longest <= 3


@given(eras(), READERS, st.integers(0, 4), st.integers(1, 7))
def test_shares_are_disjoint_and_cover_what_is_left(
    run: tuple[int, tuple[int, ...], list[Era], set[int]], readers: int, workers: int, unit: int
) -> None:
    """All readers and their workers together deliver each position once."""
    n, words, stops, gone = run
    left = left_of(n, 0, stops)
    found: list[int] = []

    for reader in range(readers):
        for worker in range(max(1, workers)):
            share = Share(
                left, World(reader, readers, worker, max(1, workers)), "keep", words, unit
            )
            found += delivered(share)

    assert sorted(found) == [at for at in range(n) if at not in gone]


@given(st.integers(0, 300), READERS, WORDS)
def test_rounds_are_stretches(n: int, readers: int, words: tuple[int, ...]) -> None:
    """In each round every reader has one, and together they have the next positions."""
    found = [delivered(share) for share in shares(Left.all_from(n), readers, words)]

    for number in range(-(-n // readers)):
        stretch = sorted(some[number] for some in found if number < len(some))
        assert stretch == list(range(number * readers, min((number + 1) * readers, n)))


@given(
    st.integers(0, 300),
    READERS,
    WORDS,
    st.sampled_from([1, 2, 3, 8]),
    st.integers(1, 7),
    st.integers(0, 40),
    st.booleans(),
)
def test_tails_make_readers_equal(
    n: int,
    readers: int,
    words: tuple[int, ...],
    workers: int,
    unit: int,
    first: int,
    whole: bool,
) -> None:
    """`drop` and `pad` give all equally many, in all their workers; fewer than a round differ."""
    first = min(first, n // readers)
    for tail in ("drop", "pad"):
        found: list[list[int]] = []
        for reader in range(readers):
            mine: list[int] = []
            for worker in range(workers):
                world = World(reader, readers, worker, workers)
                share = Share(Left.all_from(n), world, tail, words, unit, whole, first)
                mine += delivered(share)
                assert not whole or len(share) % unit == 0
            found.append(mine)
        early = set(range(first * readers))
        counts = Counter(at for some in found for at in some)
        repeated, left_out = share.repeated, share.left_out

        assert len({len(some) for some in found}) == 1
        assert 0 <= repeated < readers
        assert 0 <= left_out < readers * (unit if whole else 1)
        missing = set(range(n)) - early - set(counts)
        if whole:
            assert tail != "drop" or len(missing) == left_out
            continue
        if tail == "drop":
            assert set(counts.values()) <= {1}
            assert len(missing) == left_out
            assert missing == set(range(n - left_out, n))
        else:
            assert not missing
            assert len([*counts.elements()]) == n - len(early) + repeated if n else not counts


@given(st.integers(0, 200), st.integers(1, 9), st.integers(1, 8), st.data())
def test_workers_that_take_turns_are_merged(
    n: int, unit: int, workers: int, data: st.DataObject
) -> None:
    """What workers delivered, batch by batch in turn, is a beginning of their reader's share."""
    left = Left.all_from(n)
    batches = data.draw(st.integers(0, -(-n // unit)), "batches")
    found: list[int] = []
    counts = [0] * workers

    for turn in range(batches):
        worker = turn % workers
        share = Share(left, World(0, 1, worker, workers), unit=unit)
        stop = min(counts[worker] + unit, len(share))
        found += delivered(share, stop, counts[worker])
        counts[worker] = stop
        assert share.delivered(stop) == len(found)

    assert merged(0, unit, counts) == len(found)
    assert found == list(range(len(found)))


@given(st.integers(0, 60), READERS, WORDS, st.integers(1, 5), st.integers(1, 4), st.data())
def test_workers_out_of_turn_leave_what_they_have_not_delivered(
    first: int,
    readers: int,
    words: tuple[int, ...],
    unit: int,
    workers: int,
    data: st.DataObject,
) -> None:
    """Wherever each worker of each reader is, what is left is what none of them delivered."""
    n = first + 20 * readers + 7
    gone = set(range(first))
    came: list[Came] = []

    for reader in range(readers):
        counts: list[int] = []
        for worker in range(workers):
            world = World(reader, readers, worker, workers)
            share = Share(Left.all_from(n, first), world, "keep", words, unit)
            counts.append(data.draw(st.integers(0, len(share))))
            gone |= set(delivered(share, counts[-1]))
        came.append(merged(0, unit, counts))
    left = left_of(n, first, [Era(tuple(came), words)])

    assert left.positions(np.arange(len(left))).tolist() == sorted(set(range(n)) - gone)
    again = left_of(n, left.start, left.eras)
    assert (again.start, again.eras, again.tail) == (left.start, left.eras, left.tail)


def test_a_worker_that_has_given_nothing_claims_nothing() -> None:
    """Others may have been before it, but it knows nothing of them."""
    for worker in range(4):
        share = Share(Left.all_from(100), World(0, 1, worker, 4), unit=5, first=10)

        assert share.delivered(0) == 10
        assert share.delivered(5) == 10 + 5 * (worker + 1)


@pytest.mark.parametrize("readers", [2, 3, 4, 8])
def test_no_reader_sees_one_phase_of_a_period(readers: int) -> None:
    """Of data that alternates, as mixtures do, each reader gets as much of each kind."""
    n = 4000 * readers

    for share in shares(Left.all_from(n), readers, (5, 1)):
        kinds = np.bincount(np.array(delivered(share)) % readers, minlength=readers)

        assert kinds.min() > 0.8 * 4000 / readers
        assert kinds.max() < 1.2 * 4000 / readers


def test_what_has_no_end_is_shared() -> None:
    """Positions far out are found without coming by those before."""
    left = left_of(ENDLESS, 10**15, [Era((5, 3, 4))])
    found = [delivered(share, 3) for share in shares(left, 2)]
    first = 10**15

    assert len(left) == len(Share(left, World(0, 2))) == ENDLESS
    assert sorted(at for some in found for at in some) == [
        first + at for at in (10, 13, 14, 15, 16, 17)
    ]


@pytest.mark.parametrize(
    ("n", "start", "counts"),
    [
        (10, 11, []),
        (10, 0, [[11]]),
        (10, 0, [[5, 0, 0]]),
        (10, 5, [[4, 0]]),
        (10, 0, [[5, 5], [1]]),
        (ENDLESS, 0, [[2**62 + 1]]),
        (ENDLESS, 2**62, [[1]]),
        (ENDLESS, 0, [[0, 2**40]]),
    ],
)
def test_more_than_there_was_cannot_have_been_delivered(
    n: int, start: int, counts: Sequence[Sequence[int]]
) -> None:
    """Nor can anything be remembered of what would take too much memory."""
    with pytest.raises(StateError):
        left_of(n, start, [Era(tuple(one)) for one in counts])
