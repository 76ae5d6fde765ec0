"""Permutations of positions that are computed, not stored: the same everywhere, for ever.

Where a position goes follows from its number, the count and a few words such as seed and epoch.
Nothing is remembered between positions, so reading may begin anywhere, in any number of readers.
"""

from math import isqrt
from operator import index

import numpy as np
from numpy.typing import NDArray

from atdata._typing import Int64Array

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1
_ROUNDS = 8
_FEW = 1024  # so few are sorted by random numbers: all their permutations are equally likely
_AT_ONCE = 8192  # so that the numbers of all steps stay in the cache nearest to the processor
_HALF = np.uint64(32)


def mix(*words: int) -> int:
    """One 64-bit number from several (SplitMix64's finalizer, applied word by word).

    Examples:
        >>> mix(1, 2) == mix(1, 2), mix(1, 2) == mix(2, 1)
        (True, False)
    """
    state = 0
    for word in words:
        state = (state ^ (index(word) & _MASK)) + _GOLDEN & _MASK
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state


def mixed(numbers: Int64Array, *words: int) -> NDArray[np.uint64]:
    """A 64-bit number from each of many and some words, as hard to foresee as those of `mix`."""
    state = numbers.astype(np.uint64) * np.uint64(_GOLDEN) + np.uint64(mix(*words))
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def permuted(positions: Int64Array, n: int, *words: int) -> Int64Array:
    """Where a permutation of `n` positions, chosen by the words, sends some of them.

    Few positions are sorted by numbers drawn from the words. More go, each by itself, through a
    generalized Feistel network over a grid of `a` times `b` cells, at least `n` and fewer than
    `n + a`; a number that lands in a cell beyond `n` goes on until it does not (Black and
    Rogaway, "Ciphers with Arbitrary Finite Domains", 2002, methods 2 and 3).

    Args:
        positions: Any of `0` to `n - 1`.
        n: How many positions there are, at most 2**62.
        words: What chooses the permutation.

    Examples:
        >>> sorted(permuted(np.arange(5), 5, 7).tolist())
        [0, 1, 2, 3, 4]
    """
    if n <= _FEW:
        order = np.argsort(mixed(np.arange(n, dtype=np.int64), *words, n), kind="stable")
        return order.astype(np.int64)[positions]
    rows = isqrt(n - 1) + 1
    columns = -(-n // rows)
    keys = [mix(*words, n, step) for step in range(_ROUNDS)]
    out = np.empty(len(positions), np.int64)
    for first in range(0, len(positions), _AT_ONCE):
        part = positions[first : first + _AT_ONCE].astype(np.uint64)
        found = _through(part, rows, columns, keys)
        beyond = np.flatnonzero(found >= n)
        while len(beyond):
            found[beyond] = _through(found[beyond], rows, columns, keys)
            beyond = beyond[found[beyond] >= n]
        out[first : first + _AT_ONCE] = found
    return out


def _through(
    cells: NDArray[np.uint64], rows: int, columns: int, keys: list[int]
) -> NDArray[np.uint64]:
    """Cells of the grid, each sent through all steps of the network."""
    left, right = np.divmod(cells, np.uint64(columns))
    here, there = (left, rows), (right, columns)
    for key in keys:
        changed, n = here
        shift = there[0] + np.uint64(key)
        shift *= np.uint64(0xBF58476D1CE4E5B9)
        shift ^= shift >> _HALF
        shift *= np.uint64(0x94D049BB133111EB)
        shift >>= _HALF
        shift *= np.uint64(n)
        shift >>= _HALF  # now below n, as evenly as 32 bits allow
        changed += shift
        np.subtract(changed, np.uint64(n), out=changed, where=changed >= n)
        here, there = there, here
    return left * np.uint64(columns) + right
