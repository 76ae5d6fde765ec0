"""Bloom filters: a few bytes that say of a value that it certainly does not occur."""

from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

MAX_BITS = 8 * (64 << 10)
"""Most bits of a filter: 64 KiB of them."""

BITS_A_VALUE = 16
MAX_VALUES = MAX_BITS // 4
"""Of more values than this a filter would know too little to be worth its bytes."""

_MAX_HASHES = 8
_WORD = (1 << 64) - 1

type Hashes = NDArray[np.uint64]


def hash_texts(texts: Iterable[bytes]) -> Hashes:
    """XXH3-64 of texts, given as UTF-8."""
    return np.fromiter(map(xxh3_64_intdigest, texts), np.uint64)


def hash_ints(numbers: NDArray[np.uint64]) -> Hashes:
    """A hash of each number, the two's complement of negative ones: the finaliser of SplitMix64.

    It is computed for all numbers at once, which is why it is not the hash of texts.
    """
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@dataclass(frozen=True, slots=True)
class Bloom:
    """Says False of a value that does not occur; of any other it says True, perhaps wrongly.

    Attributes:
        kind: What the values are: `"str"` or `"int"`.
        n_hashes: How many bits stand for a value.
        bits: The bits, as many as a power of two.

    Examples:
        >>> known = Bloom.of("str", hash_texts([b"cat", b"dog"]))
        >>> known("cat"), known("horse"), known(7)
        (True, False, False)
    """

    kind: str
    n_hashes: int
    bits: bytes = field(repr=False)

    @classmethod
    def of(cls, kind: str, hashes: Hashes) -> "Bloom":
        """A filter of values whose hashes these are."""
        n = max(1, len(hashes))
        n_bits = min(MAX_BITS, 1 << (BITS_A_VALUE * n - 1).bit_length())
        n_hashes = max(1, min(_MAX_HASHES, round(n_bits / n * 0.693)))
        cells = np.zeros(n_bits, np.bool_)
        step = (hashes >> np.uint64(32)) | np.uint64(1)
        for number in range(n_hashes):
            cells[(hashes + np.uint64(number) * step) & np.uint64(n_bits - 1)] = True
        return cls(kind, n_hashes, np.packbits(cells, bitorder="little").tobytes())

    def __call__(self, value: object) -> bool:
        """Whether the value may occur."""
        found = self._hash(value)
        if found is None:
            return False
        mask, step = 8 * len(self.bits) - 1, (found >> 32) | 1
        for number in range(self.n_hashes):
            at = (found + number * step) & mask
            if not self.bits[at >> 3] >> (at & 7) & 1:
                return False
        return True

    def _hash(self, value: object) -> int | None:
        """The hash of a value; None of one that equals nothing of this kind."""
        if self.kind == "str":
            if not isinstance(value, str):
                return None
            return xxh3_64_intdigest(value.encode(errors="surrogatepass"))
        if isinstance(value, float):
            if not value.is_integer():
                return None
            value = int(value)
        if not isinstance(value, int) or not -(1 << 63) <= value < 1 << 64:
            return None
        return int(hash_ints(np.array([value & _WORD], np.uint64))[0])

    def to_base64(self) -> str:
        """The bits as JSON holds them."""
        return b64encode(self.bits).decode()

    @classmethod
    def from_base64(cls, kind: str, n_hashes: int, bits: str) -> "Bloom":
        """The filter that JSON holds.

        Raises:
            ValueError: It is none.

        Examples:
            >>> Bloom.from_base64("str", 1, "AAA=")("a")
            False
            >>> Bloom.from_base64("str", 1, "AAAA")
            Traceback (most recent call last):
            ValueError: a Bloom filter has 3 bytes and 1 hashes
        """
        raw = b64decode(bits, validate=True)
        n = len(raw)
        if n & (n - 1) or not 1 <= n <= MAX_BITS // 8 or not 1 <= n_hashes <= _MAX_HASHES:
            raise ValueError(f"a Bloom filter has {n} bytes and {n_hashes} hashes")
        return cls(kind, n_hashes, raw)
