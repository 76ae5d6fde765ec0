"""Comparing stored shards with the digests that the catalogue holds."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from atdata._exceptions import AtdataError, ShardNotFoundError, SourceError
from atdata._protocols import AbstractDataStore, SupportsSidecars
from atdata.dataset._progress import Progress
from atdata.index._datasets import source_behind
from atdata.model.entry import DatasetEntry
from atdata.model.shard import StoredShard
from atdata.shard.digest import sha256_stream
from atdata.sources.sidecars import shown

OK, MISMATCH, SKIPPED = "ok", "mismatch", "skipped"


@dataclass(frozen=True)
class VerifyReport:
    """What a comparison of a dataset's shards with its catalogue found.

    Attributes:
        name: The dataset's name.
        cid: The entry's CID.
        statuses: By shard: `"ok"`, `"mismatch"`, `"skipped"` where the catalogue holds no digest,
            or `"error:"` with what happened.
        n_bytes: How much was read.
        sidecars: By file that lies beside a shard, such as `a.manifest.json`: the same, of those
            that the catalogue knows of.
    """

    name: str
    cid: str
    statuses: dict[str, str] = field(default_factory=dict[str, str])
    n_bytes: int = 0
    sidecars: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def ok(self) -> bool:
        """Whether every shard that has a digest is what it was, and what lies beside it."""
        every = (*self.statuses.values(), *self.sidecars.values())
        return all(status in (OK, SKIPPED) for status in every)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        beside = f"; beside them {_counted(self.sidecars)}" if self.sidecars else ""
        return f"{self.name}: {_counted(self.statuses) or 'no shards'}{beside}"


def _counted(statuses: Mapping[str, str]) -> str:
    counts = Counter(status.partition(":")[0] for status in statuses.values())
    kinds = (OK, MISMATCH, SKIPPED, "error")
    return ", ".join(f"{counts[kind]} {kind}" for kind in kinds if counts[kind])


def verify_checksums(entry: DatasetEntry) -> dict[str, str]:
    """Read all shards of an entry, here or elsewhere, and compare their SHA-256.

    Args:
        entry: An entry as an index gives it, with full addresses.

    Returns:
        By address: `"ok"`, `"mismatch"`, `"skipped"` where the entry holds no digest, or
        `"error:"` with what happened.

    Examples:
        >>> import atdata
        >>> ds = atdata.write_samples([atdata.DictSample(n=1)], tmp / "one.tar")
        >>> url = ds.list_shards()[0]
        >>> entry = DatasetEntry("one", "atdata://local/schema/DictSample@1.0.0", [url],
        ...                      metadata={"checksums": {url: "0" * 64}})
        >>> list(verify_checksums(entry).values())
        ['mismatch']
    """
    return dict(_statuses(entry, None).statuses)


def verify(
    entry: DatasetEntry, store: AbstractDataStore | None, *, progress: bool | None = None
) -> VerifyReport:
    """Compare the shards of an entry with its digests, reading them as the store does."""
    return _statuses(entry, store, progress=progress)


def _statuses(
    entry: DatasetEntry, store: AbstractDataStore | None, *, progress: bool | None = False
) -> VerifyReport:
    statuses: dict[str, str] = {}
    sidecars: dict[str, str] = {}
    n_bytes = 0
    with Progress("verifying", enabled=progress) as bar:
        for shard in entry.shards:
            for name, status, n in _beside(shard, store):
                sidecars[name] = status
                n_bytes += n
            if shard.sha256 is None:
                statuses[shard.url] = SKIPPED
                continue
            status, n = _status(shard, store)
            if statuses.get(shard.url, OK) == OK:  # one address may stand there twice
                statuses[shard.url] = status
            n_bytes += n
            bar.advance(shard.n_samples or 0)
    return VerifyReport(entry.name, entry.cid, statuses, n_bytes, sidecars)


def _beside(shard: StoredShard, store: AbstractDataStore | None) -> Iterator[tuple[str, str, int]]:
    """Name, status and size of each file that is recorded to lie beside a shard."""
    for one in shard.sidecars:
        name, n_bytes = shown(shard.url, one.suffix), 0
        try:
            source = source_behind(store, [replace(shard, sidecars=())])
            if not isinstance(source, SupportsSidecars):
                raise SourceError(name, "its source gives nothing that lies beside shards")
            data = source.read_sidecar(source.list_shards()[0], one.suffix)
            if data is None:
                raise ShardNotFoundError(name)
            n_bytes = len(data)
            status = OK if hashlib.sha256(data).hexdigest() == one.sha256 else MISMATCH
        except (AtdataError, OSError, ValueError) as error:
            status = f"error:{str(error).partition(chr(10))[0]}"
        yield name, status, n_bytes


def _status(shard: StoredShard, store: AbstractDataStore | None) -> tuple[str, int]:
    try:
        source = source_behind(store, [shard])
        with source.open_shard(source.list_shards()[0]) as stream:
            sha256, n_bytes = sha256_stream(stream)
    except (AtdataError, OSError, ValueError) as error:
        return f"error:{str(error).partition(chr(10))[0]}", 0
    return (OK if sha256 == shard.sha256 else MISMATCH), n_bytes
