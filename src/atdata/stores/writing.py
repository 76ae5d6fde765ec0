"""A dataset's samples as new shards of a store: encoded, written beside, put."""

import secrets
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from atdata._exceptions import StorageError
from atdata._protocols import AbstractDataStore, SupportsCleaning, SupportsStaging
from atdata.codec.compile import codec_of
from atdata.codec.payloads import encode_samples
from atdata.model.shard import FinishedShard, StoredShard
from atdata.shard.index import Head
from atdata.shard.writer import ShardWriter
from atdata.stores.keys import check_prefix

_MOST = 1024
_CHUNK_BYTES = 8 << 20
MAXCOUNT = 100_000
MAXSIZE = 3_000_000_000
"""What a shard holds at most where nobody says."""


class Samples(Protocol):
    """What a dataset offers to be written: its samples, one after the other, and their type."""

    @property
    def sample_type(self) -> type[Any]:
        """The samples' type."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class ShardWriteResult(list[str]):
    """The addresses of the shards that were written, with their digests.

    Attributes:
        checksums: The SHA-256 of each shard as 64 hex digits, by its address.

    Examples:
        >>> result = ShardWriteResult(["/data/a.tar"], {"/data/a.tar": "00" * 32})
        >>> result, len(result.checksums)
        (['/data/a.tar'], 1)
    """

    def __init__(
        self, urls: Sequence[str] = (), checksums: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(urls)
        self.checksums = dict(checksums or {})


def write_shards(
    store: AbstractDataStore,
    ds: Samples,
    *,
    prefix: str,
    maxcount: int | None = None,
    maxsize: int | None = None,
) -> ShardWriteResult:
    """Write samples to new shards of a store; each has a key that no other write gives.

    A shard is put as soon as it is complete, so that at most one waits on this machine. After an
    error, what was put is removed again, where the store can.

    Args:
        store: Where to keep them.
        ds: The samples.
        prefix: What the shards' keys begin with.
        maxcount: Most samples in a shard.
        maxsize: Most bytes in a shard.

    Returns:
        The shards' addresses, with their digests.

    Raises:
        ValueError: There are no samples, or no key may begin so.
        StorageError: The store refused or failed.
    """
    begin = f"{check_prefix(prefix)}/data--{secrets.token_hex(4)}"
    kept: list[StoredShard] = []

    def deliver(shard: FinishedShard) -> None:
        kept.append(store.put(shard, key=f"{begin}-{len(kept):06d}.tar"))
        shard.path.unlink(missing_ok=True)

    try:
        with _folder(store, begin) as folder:
            _write(ds, folder, maxcount, maxsize, deliver)
    except BaseException:
        if isinstance(store, SupportsCleaning):
            for shard in kept:
                with suppress(StorageError):
                    store.remove(shard.url)
        raise
    if not kept:
        raise ValueError("No shards written: the dataset has no samples")
    return _result(store, kept)


def _result(store: AbstractDataStore, kept: Sequence[StoredShard]) -> ShardWriteResult:
    urls = [store.url(shard.url) for shard in kept]
    return ShardWriteResult(
        urls, {url: shard.sha256 for url, shard in zip(urls, kept, strict=True) if shard.sha256}
    )


@contextmanager
def _folder(store: AbstractDataStore, prefix: str) -> Generator[Path]:
    if not isinstance(store, SupportsStaging):
        with tempfile.TemporaryDirectory(prefix="atdata-") as name:
            yield Path(name)
        return
    folder = store.staging(prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(
    ds: Samples,
    folder: Path,
    maxcount: int | None,
    maxsize: int | None,
    deliver: Callable[[FinishedShard], None],
) -> None:
    codec = codec_of(ds.sample_type)
    samples = iter(ds)
    with ShardWriter(
        lambda number: folder / f"{number:06d}.tar",
        maxcount=MAXCOUNT if maxcount is None else maxcount,
        maxsize=MAXSIZE if maxsize is None else maxsize,
        head=Head(sample_type=codec.name),
        deliver=deliver,
    ) as writer:
        step = 1
        while chunk := list(islice(samples, step)):
            payloads = encode_samples(codec, chunk)
            writer.add(payloads, None)
            step = max(1, min(_MOST, _CHUNK_BYTES // (1 + int(payloads.sizes.max()))))
