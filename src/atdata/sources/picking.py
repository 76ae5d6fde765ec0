"""Some samples of a shard elsewhere, fetched by themselves and kept as a small shard.

Where the samples lie, and the digest of each, is known beforehand from the shard's manifest. So
nothing else of the shard is read, and what comes is compared before it is kept.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from atdata._exceptions import ShardError, shard_name
from atdata._protocols import SupportsRange
from atdata._typing import ByteArray, Int64Array
from atdata.shard import index as shard_index
from atdata.shard.digest import blocks_of, damage_digest
from atdata.shard.headers import running_headers
from atdata.shard.ranges import Ranges, ranges_of
from atdata.shard.tar import BLOCK
from atdata.sources.download import fetch_ranges
from atdata.sources.naming import TRIES
from atdata.sources.part import Part
from atdata.transport import halt

_THREADS = 8


@dataclass(frozen=True, eq=False)
class Pick:
    """Samples of a shard, and how to find and to know them.

    Attributes:
        rows: Their rows in the shard, rising.
        at: Where their payloads begin in it.
        size: Bytes of each payload.
        digests: XXH3-64 of each payload.
        keys: The samples' keys.
        verify: Whether payloads are compared with their digests.
    """

    rows: Int64Array
    at: Int64Array
    size: Int64Array
    digests: NDArray[np.uint64]
    keys: Sequence[str] = field(repr=False)
    verify: bool = True

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def ranges(self) -> Ranges:
        """The ranges of bytes that hold them."""
        return ranges_of(self.at, self.size)

    def name(self, shard_id: str) -> str:
        """What names their bytes, for those who keep them: 64 hex digits."""
        digest = hashlib.sha256(shard_name(shard_id).encode("utf-8", "surrogatepass"))
        for part in (self.rows, self.at, self.size, self.digests):
            digest.update(len(part).to_bytes(8, "little") + part.tobytes())
        for key in self.keys:
            digest.update(key.encode("utf-8", "surrogatepass") + b"\0")
        digest.update(b"verified" if self.verify else b"as it came")
        return digest.hexdigest()


def fill(source: SupportsRange, shard_id: str, pick: Pick, part: Part) -> None:
    """Fill a part with picked samples, as a shard of their own.

    Raises:
        ShardError: What came does not agree with the digests.
        SourceError: The place failed or refused.
        OSError: The disk is full.
    """
    part.empty()
    ends = np.cumsum(BLOCK + ((pick.size + (BLOCK - 1)) & -BLOCK))
    starts = np.concatenate([np.zeros(1, np.int64), ends])[:-1]
    headers = running_headers(0, pick.size)
    ranges, bad = pick.ranges, dict[int, int]()
    number_of = {at: number for number, at in enumerate(ranges.start.tolist())}

    def take(start: int, data: bytes) -> None:
        number = number_of[start]
        first, last = int(ranges.first[number]), int(ranges.first[number + 1])
        base = int(starts[first])
        laid = np.zeros(int(ends[last - 1]) - base, np.uint8)
        for row in range(first, last):
            at, size = int(pick.at[row]) - start, int(pick.size[row])
            payload = memoryview(data)[at : at + size]
            if pick.verify and xxh3_64_intdigest(payload) != int(pick.digests[row]):
                bad.setdefault(number, row)
                return
            to = int(starts[row]) - base
            laid[to : to + BLOCK] = headers[row]
            laid[to + BLOCK : to + BLOCK + size] = np.frombuffer(payload, np.uint8)
        part.write(laid.data, base)

    todo = list(range(len(ranges)))
    for _ in range(TRIES):
        halt.check()
        bad.clear()
        wanted = [(int(ranges.start[i]), int(ranges.stop[i] - ranges.start[i])) for i in todo]
        fetch_ranges(source, shard_id, wanted, take, threads=_THREADS)
        todo = sorted(bad)
        if not todo:
            break
    if bad:
        row = bad[todo[0]]
        raise ShardError(
            shard_id,
            "the payload is not the one that its manifest was made of: their digests differ",
            offset=int(pick.at[row]),
            key=pick.keys[row],
            hint="If the shard is as it should be, make its manifest anew: "
            "atdata manifest build --force PATH",
        )
    end = int(ends[-1]) if len(ends) else 0
    part.write(_index(part, starts + BLOCK, pick, end), end)


def _index(part: Part, at: Int64Array, pick: Pick, end: int) -> bytes:
    """What ends the small shard, with the digests of what was written."""
    data: ByteArray = np.memmap(part.view, np.uint8, "r") if end else np.zeros(0, np.uint8)
    blocks = blocks_of(shard_index.header_offsets(at, pick.size), end)
    cuts: list[int] = blocks.at.tolist()
    damage = [damage_digest(data[a:b]) for a, b in pairwise(cuts)]
    return shard_index.build(
        head=shard_index.encode_head(shard_index.Head()),
        at=at,
        size=pick.size,
        keys=pick.keys,
        end=end,
        damage=damage,
        proof=None,
    )
