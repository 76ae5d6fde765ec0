"""In which order samples are read: a pure function of seed and epoch, the same everywhere."""

import numpy as np
from numpy.typing import NDArray

from atdata._typing import Int64Array

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def mix(*words: int) -> int:
    """One 64-bit number from several (SplitMix64's finalizer, applied word by word).

    Examples:
        >>> mix(1, 2) == mix(1, 2), mix(1, 2) == mix(2, 1)
        (True, False)
    """
    state = 0
    for word in words:
        state = (state ^ (word & _MASK)) + _GOLDEN & _MASK
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state


def permutation(n: int, *words: int) -> Int64Array:
    """A permutation of `n` positions that depends on the words and on nothing else.

    Positions are sorted by a hash of their number, so that no random generator whose stream may
    change between releases is needed.

    Examples:
        >>> sorted(permutation(5, 7).tolist())
        [0, 1, 2, 3, 4]
    """
    start = np.uint64(mix(*words, n))
    state: NDArray[np.uint64] = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(_GOLDEN) + start
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state = state ^ (state >> np.uint64(31))
    return np.argsort(state, kind="stable")
