"""Permutations: of everything, once; the same for ever; and as good as those of cards."""

import math
import warnings
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atdata.pipeline.order import mix, mixed, permuted

WORDS = st.lists(st.integers(-(2**70), 2**70), max_size=4)


def whole(n: int, *words: int) -> list[int]:
    found: list[int] = permuted(np.arange(n), n, *words).tolist()
    return found


def test_every_number_of_positions_is_permuted() -> None:
    """All counts up to 1,300, sorted or sent through the network: each position comes once."""
    for n in range(1300):
        assert sorted(whole(n, n % 7)) == list(range(n))


@pytest.mark.parametrize("n", [1024, 1025, 4095, 4096, 4097, 65_537, 250_007])
@given(words=WORDS)
def test_larger_numbers_are_permuted(n: int, words: list[int]) -> None:
    """Squares, their neighbours, powers of two and primes; whatever the words."""
    n = n if len(words) < 3 else n // 7

    assert np.array_equal(np.sort(permuted(np.arange(n), n, *words)), np.arange(n))


@given(st.integers(1, 2**62), WORDS, st.data())
def test_no_two_positions_meet(n: int, words: list[int], data: st.DataObject) -> None:
    """Of any count up to 2**62, some positions go to as many, all below the count."""
    some = data.draw(st.sets(st.integers(0, n - 1), min_size=1, max_size=50))

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a sum that overflows
        found = permuted(np.array(sorted(some)), n, *words).tolist()

    assert len(set(found)) == len(some)
    assert min(found) >= 0
    assert max(found) < n


@given(st.integers(1, 20_000), WORDS, st.data())
def test_each_position_goes_its_way_alone(n: int, words: list[int], data: st.DataObject) -> None:
    """Wherever one begins and whatever else is asked for, a position goes to the same place."""
    some = data.draw(st.lists(st.integers(0, n - 1), max_size=20))

    found = permuted(np.array(some, np.int64), n, *words)

    assert found.tolist() == [whole(n, *words)[at] for at in some]


GOLDEN_MIX = 15020427595393229491
GOLDEN_MIXED = [12690770507736924224, 13942901723064559826, 10160869043815571082]
GOLDEN: dict[tuple[int, ...], list[int]] = {
    (1, 7): [0],
    (6, 0): [2, 0, 1, 3, 5, 4],
    (10, 7, 0): [5, 9, 6, 0, 4, 7, 1, 2, 8, 3],
    (100, 9223372036854775807, 3): [55, 46, 9, 79, 77, 28, 73, 60, 98, 21],
    (1000, -1): [736, 992, 381, 367, 515, 771, 351, 746, 909, 123],
    (1024, 1, 2, 3): [1016, 469, 78, 838, 500, 189, 774, 331, 370, 698],
    (1025, 1, 2, 3): [493, 39, 909, 106, 664, 322, 472, 26, 159, 761],
    (4096, 5): [1550, 3619, 3311, 2177, 3344, 3668, 2010, 1472, 1163, 2883],
    (50000, 7, 0): [32753, 48224, 27206, 41476, 48142, 49436, 19153, 4272, 27632, 37185],
    (1000003, 123456789, 2): [
        823069,
        662931,
        202860,
        249933,
        719435,
        99217,
        398848,
        176002,
        102319,
        313719,
    ],
}
GOLDEN_LAST: dict[tuple[int, ...], list[int]] = {
    (2147483649, 0): [1496699734, 1441365151, 1120460172],
    (1000000000000, 7, 1): [908379041829, 492675160627, 179037004219],
    (4611686018427387904, 18446744073709551615): [
        2871979223700934340,
        1864619481130331143,
        2542550781156920291,
    ],
}


def test_orders_never_change() -> None:
    """Golden values: were one of these to change, states of older versions would mislead."""
    assert mix(1, 2, 3) == GOLDEN_MIX
    assert mixed(np.arange(3), 5, 6).tolist() == GOLDEN_MIXED
    for (n, *words), wanted in GOLDEN.items():
        assert whole(n, *words)[:10] == wanted
    for (n, *words), wanted in GOLDEN_LAST.items():
        assert permuted(np.arange(n - 3, n), n, *words).tolist() == wanted


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_all_orders_of_a_few_are_equally_likely(n: int) -> None:
    """Over many seeds, each order comes about as often as any other (chi-square)."""
    orders = math.factorial(n)
    times = max(10, 2000 // orders)

    found = Counter(tuple(whole(n, 9, seed)) for seed in range(times * orders))

    chi = sum((found[order] - times) ** 2 / times for order in found)
    chi += times * (orders - len(found))
    assert abs(chi - (orders - 1)) < 4 * math.sqrt(2 * (orders - 1))


@pytest.mark.parametrize("n", [10, 1000, 1025, 3000])
def test_a_position_goes_anywhere(n: int) -> None:
    """Over many seeds, first, middle and last position go to all parts of the order alike."""
    at = np.array([0, n // 2, n - 1])
    found = np.array([permuted(at, n, seed) for seed in range(2000)])

    for column in (found * 10 // n).T:
        counts = np.bincount(column, minlength=10)
        chi = float(((counts - 200) ** 2 / 200).sum())
        assert chi < 9 + 4 * math.sqrt(18)


@pytest.mark.parametrize("n", [1000, 1025, 20_000, 100_000])
def test_neighbours_have_nothing_in_common(n: int) -> None:
    """Displacement, correlation near and far, and fixed points are those of a shuffle."""
    for seed in range(8):
        order = permuted(np.arange(n), n, seed, 1).astype(float)

        for lag in (1, 2, math.isqrt(n), math.isqrt(n) + 1):
            correlation = np.corrcoef(order[:-lag], order[lag:])[0, 1]
            assert abs(correlation) < 4 / math.sqrt(n)
        moved = float(np.abs(order - np.arange(n)).mean() / n)
        assert moved == pytest.approx(1 / 3, abs=1 / math.sqrt(n))
        assert np.count_nonzero(order == np.arange(n)) < 8
        assert np.count_nonzero(np.diff(order) == 1) < 8


def test_orders_of_neighbouring_seeds_have_nothing_in_common() -> None:
    """Nor have those of neighbouring epochs, windows and counts."""
    n = 2000
    orders = [whole(n, *words) for words in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (-1, 0)]]
    orders.append(whole(n + 1, 0, 0)[:n])

    correlations = np.abs(np.corrcoef(np.array(orders)) - np.eye(len(orders)))

    assert correlations.max() < 4 / math.sqrt(n)
