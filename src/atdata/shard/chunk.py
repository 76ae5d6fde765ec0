"""What readers hand on: samples that lie together in one buffer."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from atdata._exceptions import ShardError
from atdata._typing import ByteArray, Int64Array
from atdata.shard.memo import Memo

type Verify = Literal["auto", "proof", "damage", "off"]
"""Which digests are checked before a sample is delivered.

`"damage"` is XXH3-64 and `"proof"` BLAKE3, each once per block and mapping; `"auto"` is damage for
local files and proof for everything that comes from elsewhere. A stream shows its digests at its
end: there, damage is reported after samples were delivered, and not if reading stops before.
"""

MIN_ROWS = 4096
MAX_BYTES = 32 << 20
"""A chunk ends with the block that brings it to this many rows or bytes."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Samples of one shard whose payloads lie in one buffer.

    Attributes:
        shard_id: The shard they are of.
        row: The first sample's row in its shard.
        data: The buffer; arrays may view it.
        at: Offset of each payload in `data`.
        size: Length of each payload.
        keys: Keys of the samples, from `row - key_row` on.
        key_row: Row that `keys[0]` belongs to.
        base: Byte offset of `data[0]` in the shard.
        places: Byte offset of each payload in the shard, where that is not `base + at`.
        own: Gives the same bytes in memory that nothing else reads, with the offset in the shard
            of the first of them; None where `data` is such memory already.
        unchanged: Raises `ShardError` if the file behind the buffer was changed in place.
        memo: Keeps what is worked out about this chunk for the next pass, if there can be one.
    """

    shard_id: str
    row: int
    data: ByteArray = field(repr=False)
    at: Int64Array = field(repr=False)
    size: Int64Array = field(repr=False)
    keys: Sequence[str] = field(repr=False)
    key_row: int = 0
    base: int = 0
    places: Int64Array | None = field(default=None, repr=False)
    own: Callable[[], tuple[ByteArray, int]] | None = field(default=None, repr=False)
    unchanged: Callable[[], None] | None = field(default=None, repr=False)
    memo: Memo | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.at)

    def payload(self, i: int) -> memoryview:
        """The msgpack bytes of a sample."""
        at = int(self.at[i])
        return memoryview(self.data)[at : at + int(self.size[i])]

    def key(self, i: int) -> str:
        """The key of a sample."""
        return self.keys[self.row - self.key_row + i]

    def key_list(self) -> Sequence[str]:
        """The keys of all samples of the chunk."""
        first = self.row - self.key_row
        return self.keys[first : first + len(self)]

    def offset(self, i: int) -> int:
        """Where a sample's payload starts in its shard."""
        return self.base + int(self.at[i]) if self.places is None else int(self.places[i])

    def within(self, first: int, stop: int) -> "Chunk":
        """The samples whose rows lie in `[first, stop)`."""
        a, b = max(0, first - self.row), max(0, stop - self.row)
        if a == 0 and b >= len(self):
            return self
        places = None if self.places is None else self.places[a:b]
        return replace(self, row=self.row + a, at=self.at[a:b], size=self.size[a:b], places=places)

    def writable(self) -> tuple[ByteArray, int]:
        """The same bytes in memory that may be written to.

        Returns:
            The bytes, and what to subtract from offsets in `data` to have offsets in them.
        """
        if self.own is None:
            return self.data, 0
        data, base = self.own()
        return data, base - self.base

    def error(self, i: int, reason: str) -> ShardError:
        """A sample's error, with all that is known of it."""
        return ShardError(self.shard_id, reason, offset=self.offset(i), key=self.key(i))


type Reading = Iterator[Chunk | ShardError]
"""Chunks, with an error in the place of each sample or block that cannot be read.

Reading goes on after an error where it can, and ends after it where it cannot.
"""
