"""How well an order mixes, measured: a perfect shuffle's numbers, and those of none."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.properties.teams import DESCRIPTIONS, Description, Mixture, dataset, mixtures

import atdata
from atdata._typing import Int64Array
from atdata.pipeline.plan import Located, Shuffle, Windows
from atdata.pipeline.quality import quality_of

SIZES = [200] * 50


class Shuffled:
    """A perfect shuffle of one shard."""

    def __init__(self, n: int, seed: int) -> None:
        self.n = n
        self._order = np.random.default_rng(seed).permutation(n)

    def locate(self, positions: Int64Array) -> Located:
        return np.zeros_like(positions), self._order[positions]


def test_an_order_that_is_kept_mixes_nothing() -> None:
    """No sample moves, and each comes behind its neighbour."""
    found = quality_of(Windows(SIZES, None), SIZES)

    assert (found.displacement, found.lag1) == (0, pytest.approx(1))
    assert (found.shards_in_first_1000, found.n) == (5, 10_000)


@pytest.mark.parametrize("seed", range(5))
def test_a_perfect_shuffle_has_the_ideal_numbers(seed: int) -> None:
    """A third of the whole, and no correlation; and so has an order that mixes all."""
    n = 10_000
    for found in (
        quality_of(Shuffled(n, seed), [n]),
        quality_of(Windows(SIZES, Shuffle(seed, None), 0), SIZES),
    ):
        assert found.displacement == pytest.approx(1 / 3, abs=0.01)
        assert abs(found.lag1) < 4 / math.sqrt(n)


def test_smaller_windows_mix_less() -> None:
    """Whoever mixes fewer shards with each other sees it in the numbers."""
    found = [
        quality_of(Windows(SIZES, Shuffle(3, shards), 0), SIZES) for shards in (1, 5, 25, 100)
    ]

    lags = [one.lag1 for one in found]
    shards = [one.shards_in_first_1000 for one in found]
    assert lags == sorted(lags, reverse=True)
    assert lags[0] > 0.9 > 0.02 > lags[3]
    assert shards == [5, 5, 25, 50]


def test_large_orders_are_judged_by_their_beginning() -> None:
    """A billion samples take no longer than a million."""
    sizes = [10**6] * 1000

    found = quality_of(Windows(sizes, Shuffle(1), 0), sizes)

    assert found.n == 1 << 20
    assert abs(found.lag1) < 0.01


@given(DESCRIPTIONS | mixtures())
def test_any_dataset_can_be_judged(description: Description | Mixture) -> None:
    """Empty ones, single samples and what repeats itself: numbers, and no warning."""
    ds = description.open()

    for stream in (ds.shuffled(seed=1), ds.ordered()):
        found = stream.shuffle_quality()
        assert -1 <= found.lag1 <= 1.0000001
        assert 0 <= found.displacement <= 1


@given(st.integers(0, 3))
def test_a_few_samples_can_be_judged(n: int) -> None:
    """Also two, of which neighbours cannot be compared."""
    found = dataset((n,)).shuffled(seed=1).shuffle_quality()

    assert found.n == n
    assert math.isfinite(found.lag1)


def test_mixtures_without_an_end_can_be_judged() -> None:
    """By some passes over all that they mix."""
    ds = atdata.mix([(dataset((9, 9)), 1), (dataset((9,), 100), 1)], stop="never")

    found = ds.shuffled(seed=1).shuffle_quality()

    assert found.n == 1000
    assert found.shards_in_first_1000 == 3
