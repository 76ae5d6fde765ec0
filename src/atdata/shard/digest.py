"""Digests of blocks of whole samples: XXH3-64 against damage, BLAKE3 as proof.

A sample belongs to the block in whose MiB its first header starts, so the blocks follow from the
offsets alone and nothing about them is stored but their digests.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from blake3 import blake3
from xxhash import xxh3_64, xxh3_64_intdigest

from atdata._typing import Buffer, ByteArray, Int64Array

SHIFT = 20
"""log2 of a block's nominal size: 1 MiB."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Where each block starts.

    Attributes:
        first: Row of each block's first sample, with the number of samples appended.
        at: Byte offset of each block, with the end of the samples appended.
    """

    first: Int64Array
    at: Int64Array

    def __len__(self) -> int:
        return len(self.first) - 1

    def of_row(self, row: int) -> int:
        """The block that holds a sample."""
        return int(np.searchsorted(self.first, row, "right")) - 1


def blocks_of(header_at: Int64Array, end: int) -> Blocks:
    """Divide samples into blocks.

    Args:
        header_at: Byte offset of each sample's first header, rising.
        end: Byte offset where the last sample ends.

    Examples:
        >>> blocks_of(np.array([0, 1024, 2**20, 2**20 + 512]), 2**20 + 1024).first.tolist()
        [0, 2, 4]
    """
    n = len(header_at)
    number = header_at >> SHIFT
    starts = np.flatnonzero(np.diff(number)) + 1
    first = np.concatenate([np.zeros(min(n, 1), np.int64), starts, [n]]).astype(np.int64)
    at = np.append(header_at[first[:-1]], end).astype(np.int64)
    return Blocks(first, at)


def damage_digest(data: Buffer) -> int:
    """XXH3-64 of a block."""
    return xxh3_64_intdigest(data)


def proof_digest(data: Buffer) -> bytes:
    """BLAKE3 of a block, 32 bytes."""
    return blake3(data).digest()


def sha256_file(path: str | Path, *, chunk_size: int = 1 << 20) -> str:
    """SHA-256 of a file as 64 hex digits, read in bounded pieces.

    Examples:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     sha256_file(file.name)[:8]
        'e3b0c442'
    """
    with Path(path).open("rb") as file:
        return sha256_stream(file, chunk_size=chunk_size)[0]


def sha256_stream(stream: BinaryIO, *, chunk_size: int = 1 << 20) -> tuple[str, int]:
    """SHA-256 of what is left of a stream as 64 hex digits, and how many bytes that was.

    Examples:
        >>> import io
        >>> sha256_stream(io.BytesIO(b"abc"))[1]
        3
    """
    digest, n_bytes = sha256(), 0
    while piece := stream.read(chunk_size):
        digest.update(piece)
        n_bytes += len(piece)
    return digest.hexdigest(), n_bytes


def sha256_bytes(data: Buffer) -> str:
    """SHA-256 of bytes as 64 hex digits.

    Examples:
        >>> sha256_bytes(b"")[:8]
        'e3b0c442'
    """
    return sha256(data).hexdigest()


class _Hash(Protocol):
    def update(self, data: Buffer, /) -> object: ...
    def digest(self) -> bytes: ...


class _BlockHash:
    """One digest a block, of bytes that pass in order."""

    def __init__(self, new: Callable[[], _Hash]) -> None:
        self._new = new
        self._open: _Hash | None = None
        self._digests: list[bytes] = []

    def update(self, data: ByteArray, cuts: Sequence[int]) -> None:
        """Take bytes in which new blocks start at `cuts`."""
        start = 0
        for cut in cuts:
            if self._open is not None:
                self._open.update(data[start:cut])
            self._close()
            self._open = self._new()
            start = cut
        if self._open is not None:
            self._open.update(data[start:])

    def _close(self) -> None:
        if self._open is not None:
            self._digests.append(self._open.digest())
            self._open = None

    def finish(self) -> list[bytes]:
        """The digests of all blocks."""
        self._close()
        return self._digests


class ShardDigests:
    """All digests of a shard that is being written.

    XXH3 is computed at once; SHA-256 and BLAKE3 each in a thread, as both release the interpreter.

    Args:
        proof: Compute SHA-256 and BLAKE3.
    """

    def __init__(self, *, proof: bool) -> None:
        self._damage = _BlockHash(xxh3_64)
        self._proof = _BlockHash(blake3) if proof else None
        self._sha256 = sha256()
        self._threads = [ThreadPoolExecutor(1, "atdata-digest") for _ in range(2 * proof)]

    def update(self, data: ByteArray, cuts: Sequence[int]) -> Callable[[], None]:
        """Take the shard's next bytes, in which new blocks start at `cuts`.

        Returns:
            Call it before the bytes are overwritten: it waits until they are hashed.
        """
        waiting: list[Future[None]] = []
        if self._proof is not None:
            sha256_thread, proof_thread = self._threads
            waiting.append(sha256_thread.submit(self._sha256.update, data))
            waiting.append(proof_thread.submit(self._proof.update, data, cuts))
        self._damage.update(data, cuts)

        def hashed() -> None:
            for one in waiting:
                one.result()

        return hashed

    def blocks(self) -> tuple[list[int], list[bytes] | None]:
        """XXH3 of each block, and BLAKE3 of each where it was wanted."""
        self.stop()
        damage = [int.from_bytes(one, "big") for one in self._damage.finish()]
        return damage, None if self._proof is None else self._proof.finish()

    def whole(self, tail: bytes) -> str | None:
        """SHA-256 of all that was taken and of the last bytes, which were not."""
        if self._proof is None:
            return None
        self._sha256.update(tail)
        return self._sha256.hexdigest()

    def stop(self) -> None:
        """Wait for the threads and end them."""
        for thread in self._threads:
            thread.shutdown()
