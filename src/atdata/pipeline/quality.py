"""How well an order mixes samples, as numbers that can be compared with a perfect shuffle's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atdata.pipeline.plan import Plan

_LOOKED_AT = 1 << 20


@dataclass(frozen=True, slots=True)
class ShuffleQuality:
    """What an order does to neighbours.

    Source positions are the samples' places in the shards, one after the other. A perfect shuffle
    of `n` samples moves each by a third of the whole on average, and the correlation of the source
    positions of neighbours is 0, give or take `1 / sqrt(n)`.

    Attributes:
        displacement: Mean distance between where a sample lies and where it comes, as a part of
            the whole; 1/3 is ideal, 0 is no shuffle.
        lag1: Correlation of the source positions of samples that follow each other; 0 is ideal,
            1 is no shuffle.
        shards_in_first_1000: Of how many segments of shards the first thousand samples are.
        n: How many samples were looked at.
    """

    displacement: float
    lag1: float
    shards_in_first_1000: int
    n: int


def quality_of(plan: Plan, sizes: Sequence[int]) -> ShuffleQuality:
    """Measure an order by its first million samples, or sixteen passes over fewer.

    Args:
        plan: The order.
        sizes: Rows of each segment, in the order in which they lie.
    """
    total = sum(sizes)
    n = min(plan.n, _LOOKED_AT, max(1000, 16 * total))
    if n < 2 or total < 2:
        return ShuffleQuality(0.0, 1.0, min(n, 1), n)
    numbers, rows = plan.locate(np.arange(n, dtype=np.int64))
    firsts = np.cumsum([0, *sizes[:-1]], dtype=np.int64)
    source = (firsts[numbers] + rows).astype(np.float64)
    moved = np.abs(source - np.arange(n) % total)
    early, late = source[:-1], source[1:]
    varied = bool(early.std() and late.std())
    lag1 = float(np.corrcoef(early, late)[0, 1]) if varied else 1.0
    of = len(np.unique(numbers[:1000]))
    return ShuffleQuality(float(moved.mean() / total), lag1, of, n)
