"""The index that ends each shard: a member `__index__` that says where every sample lies.

It is found from the end of the file with one read and cannot go stale, because it is part of the
file. Readers of WebDataset pass it over: its name is a meta name and has no extension.
`docs/format.md` describes every byte.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Any

import msgspec
import numpy as np
from xxhash import xxh3_64_intdigest

from atdata._exceptions import ShardError
from atdata._typing import Int64Array
from atdata.shard.digest import Blocks, blocks_of
from atdata.shard.keys import INDEX_NAME, Keys, RunningKeys, StoredKeys
from atdata.shard.tar import BLOCK, END, header, padded

MAGIC = b"ATDINDEX"
VERSION = 1

# magic, version, flags, samples, blocks, head bytes, key bytes, end of the samples,
# payload bytes, XXH3-64 of all of the payload but these last eight bytes
_FOOTER = Struct("<8sIIQQQQQQQ")
_PROOF, _KEYS = 1, 2

SUFFIX = _FOOTER.size + len(END)
"""How many bytes at a shard's end hold the footer and the end-of-archive blocks."""


class IndexDamageError(ValueError):
    """The index is there and does not hold together."""


def index_error(shard_id: str, n_bytes: int, error: IndexDamageError) -> ShardError:
    """The error a reader sees for a damaged index."""
    return ShardError(shard_id, str(error), offset=max(0, n_bytes - SUFFIX))


class Head(msgspec.Struct, omit_defaults=True):
    """What an index says in words.

    Attributes:
        sample_type: The sample type's name, for people.
        first_key: Number of the first sample where keys count up; else None.
        content_metadata: What the writer said about the dataset.
    """

    sample_type: str = ""
    first_key: int | None = None
    content_metadata: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """Where the samples of one shard lie.

    Attributes:
        at: Byte offset of each sample's payload, rising.
        size: Payload bytes of each sample.
        keys: Key of each sample.
        end: Byte offset where the samples end and the index begins.
        damage: XXH3-64 of each block.
        proof: BLAKE3 of each block, shape `(blocks, 32)`; None if it was not wanted.
        blocks: How samples are divided into blocks.
        head: Type name and metadata.
    """

    at: Int64Array
    size: Int64Array
    keys: Keys
    end: int
    damage: np.ndarray = field(repr=False)
    proof: np.ndarray | None = field(repr=False)
    blocks: Blocks = field(repr=False)
    head: Head = field(repr=False)

    def __len__(self) -> int:
        return len(self.at)

    def digest(self) -> int:
        """A number that tells shards of other samples apart: XXH3-64 of their blocks' digests."""
        return samples_digest(self.damage, len(self))


def samples_digest(damage: np.ndarray, n: int) -> int:
    """What `ShardIndex.digest` gives of n samples whose blocks have these digests."""
    return xxh3_64_intdigest(damage.tobytes(), seed=n)


def header_offsets(at: Int64Array, size: Int64Array) -> Int64Array:
    """Where each sample's first header starts: where the sample before it ends."""
    ends = (at + size + (BLOCK - 1)) & -BLOCK
    return np.concatenate([np.zeros(min(len(at), 1), np.int64), ends[:-1]])


def payload_size(
    n_samples: int, n_blocks: int, n_key_bytes: int | None, n_head: int, *, proof: bool
) -> int:
    """Bytes of the index's payload, a whole number of blocks.

    `n_key_bytes` is None where keys count up and none are stored.
    """
    n = _even(n_head) + n_blocks * (8 + 32 * proof) + 8 * n_samples + _FOOTER.size
    if n_key_bytes is not None:
        n += 4 * n_samples + n_key_bytes
    return padded(n)


def _even(n: int) -> int:
    return -(-n // 8) * 8


def encode_head(head: Head) -> bytes:
    """The head as msgpack."""
    return msgspec.msgpack.encode(head)


def build(
    *,
    head: bytes,
    at: Int64Array,
    size: Int64Array,
    keys: Sequence[str] | None,
    end: int,
    damage: Sequence[int],
    proof: Sequence[bytes] | None,
) -> bytes:
    """The last member of a shard with the end-of-archive blocks behind it."""
    parts = [head.ljust(_even(len(head)), b"\0"), np.array(damage, "<u8").tobytes()]
    flags = 0
    if proof is not None:
        flags |= _PROOF
        parts.append(b"".join(proof))
    parts += [(at // BLOCK).astype("<u4").tobytes(), size.astype("<u4").tobytes()]
    n_keys = 0
    if keys is not None:
        flags |= _KEYS
        raw = [key.encode() for key in keys]
        ends = np.cumsum(np.fromiter(map(len, raw), np.int64, len(raw)))
        parts.append(ends.astype("<u4").tobytes())
        parts.append(text := b"".join(raw))
        n_keys = len(text)
    used = sum(map(len, parts))
    total = padded(used + _FOOTER.size)
    parts.append(bytes(total - used - _FOOTER.size))
    counts = len(at), len(damage), len(head), n_keys, end, total
    parts.append(_FOOTER.pack(MAGIC, VERSION, flags, *counts, 0)[:-8])
    body = b"".join(parts)
    body += xxh3_64_intdigest(body).to_bytes(8, "little")
    return header(INDEX_NAME.encode(), total) + body + END


def index_span(tail: bytes | memoryview, n_bytes: int) -> int | None:
    """How many bytes at the end of a shard hold its index, headers and end blocks included.

    Args:
        tail: The last bytes of the shard, at least `SUFFIX`.
        n_bytes: The shard's size.

    Returns:
        None where the shard does not end in an index.

    Raises:
        IndexDamageError: A footer is there and cannot be true.
    """
    if len(tail) < SUFFIX:
        return None
    footer = bytes(tail[len(tail) - SUFFIX : len(tail) - len(END)])
    if footer[:8] != MAGIC:
        return None
    counts: tuple[int, ...] = _FOOTER.unpack(footer)[1:]
    version, _, n, b, n_head, n_keys, end, total, _ = counts
    if version != VERSION:
        raise IndexDamageError(f"the index has version {version}; this release reads {VERSION}")
    wanted = end + BLOCK + total + len(END)
    if wanted != n_bytes:
        raise IndexDamageError(
            f"its index says the shard has {wanted} bytes, and it has {n_bytes}"
        )
    if total % BLOCK or max(8 * n, 8 * b, n_head, n_keys) > total or end % BLOCK:
        raise IndexDamageError("the index's counts do not fit its size")
    return BLOCK + total + len(END)


def parse(span: bytes | memoryview) -> ShardIndex:
    """Read an index, checking every byte of it.

    Args:
        span: The last bytes of the shard, as many as `index_span` says.

    Raises:
        IndexDamageError: It does not hold together.
    """
    span = memoryview(span)
    body = span[BLOCK : len(span) - len(END)]
    *_, flags, n, b, n_head, n_keys, end, total, stored = _FOOTER.unpack(body[-_FOOTER.size :])
    if xxh3_64_intdigest(body[:-8]) != stored:
        raise IndexDamageError("the index does not match its own digest")
    if bytes(span[:BLOCK]) != header(INDEX_NAME.encode(), total) or any(span[-len(END) :]):
        raise IndexDamageError("the index's header or the end-of-archive blocks are damaged")
    if flags & ~(_PROOF | _KEYS):
        raise IndexDamageError(f"the index has flags {flags:#x}, of which this release knows two")
    keyed = bool(flags & _KEYS)
    if total != payload_size(n, b, n_keys if keyed else None, n_head, proof=bool(flags & _PROOF)):
        raise IndexDamageError("the index's counts do not fit its size")
    take = _Take(body)
    head = _head(take.bytes(_even(n_head))[:n_head])
    damage = take.array("<u8", b)
    proof = take.array("u1", 32 * b).reshape(b, 32) if flags & _PROOF else None
    at = take.array("<u4", n).astype(np.int64) * BLOCK
    size = take.array("<u4", n).astype(np.int64)
    ends = np.concatenate([at[1:] - BLOCK, [end]]) if n else at
    if n and (int(at[0]) < BLOCK or not (at + size <= ends).all() or not (at[1:] > at[:-1]).all()):
        raise IndexDamageError("the index's offsets overlap or leave the shard")
    if not n and end:
        raise IndexDamageError("the index counts no samples where there are some")
    blocks = blocks_of(header_offsets(at, size), end)
    if len(blocks) != b:
        raise IndexDamageError(f"the index has digests for {b} blocks of {len(blocks)}")
    if not keyed and (n_keys or head.first_key is None or head.first_key < 0):
        raise IndexDamageError("the index has neither keys nor a first number")
    keys = _keys(take, n, n_keys) if keyed else RunningKeys(head.first_key or 0, n)
    if any(take.bytes(len(body) - _FOOTER.size - take.at)):
        raise IndexDamageError("the index holds more than it counts")
    return ShardIndex(at, size, keys, end, damage, proof, blocks, head)


class _Take:
    """Reads a payload from its start, piece by piece."""

    def __init__(self, body: memoryview) -> None:
        self._body = body
        self.at = 0

    def bytes(self, n: int) -> memoryview:
        self.at += n
        return self._body[self.at - n : self.at]

    def array(self, dtype: str, n: int) -> np.ndarray:
        return np.frombuffer(self.bytes(n * np.dtype(dtype).itemsize), dtype)


def _head(data: memoryview) -> Head:
    try:
        return msgspec.msgpack.decode(data, type=Head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise IndexDamageError(f"the index's head cannot be read: {error}") from error


def _keys(take: _Take, n: int, n_keys: int) -> StoredKeys:
    ends = take.array("<u4", n).astype(np.int64)
    text = bytes(take.bytes(n_keys))
    if n and (int(ends[-1]) != n_keys or (np.diff(ends, prepend=0) < 1).any()):
        raise IndexDamageError("the index's keys do not fit their size")
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise IndexDamageError("the index's keys are not UTF-8") from error
    if (np.frombuffer(text, np.uint8)[ends[:-1]] & 0xC0 == 0x80).any():
        raise IndexDamageError("the index's keys end inside a character")
    return StoredKeys(ends, text)
