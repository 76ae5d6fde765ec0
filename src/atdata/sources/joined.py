"""Shards that lie in several places, read as one source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

from atdata._exceptions import SourceError, printable, shard_name
from atdata._protocols import (
    DataSource,
    SupportsLocalPath,
    SupportsRange,
    SupportsSidecars,
    SupportsVersion,
)
from atdata.model.shard import StoredSidecar
from atdata.sources.registry import source_of
from atdata.sources.sidecars import check
from atdata.transport.gate import scheme_of


def joined(places: Sequence[str | Path | DataSource]) -> DataSource:
    """One source for paths, addresses of any kinds, and sources, in the order given.

    Raises:
        ValueError: There are none.
        UnsafeURLError: An address is of a kind that is not opened.

    Examples:
        >>> joined([Path("/data/a.tar"), "https://example.org/b.tar"]).list_shards()
        ['/data/a.tar', 'https://example.org/b.tar']
    """
    if not places:
        raise ValueError("there are no shards to read")
    sources: list[DataSource] = []
    for kind, some in groupby(places, key=_kind):
        run = list(some)
        sources += map(source_of, run) if kind == _SOURCE else [source_of(run)]
    return sources[0] if len(sources) == 1 else JoinedSource(sources)


_SOURCE = "a source"


def _kind(place: str | Path | DataSource) -> str:
    if isinstance(place, str | Path):
        scheme = None if isinstance(place, Path) else scheme_of(place)
        if scheme == "s3":  # one source reads from one bucket
            return "/".join(str(place).split("/", 3)[:3])
        return "" if scheme in {None, "file", "http", "https"} else str(scheme)
    return _SOURCE


@dataclass(frozen=True)
class JoinedSource:
    """Shards of several sources in an order of their own.

    Attributes:
        sources: The sources; their shards' ids differ.
        ids: The shards, in reading order. By default all shards, source by source.
        recorded: What lies beside shards, where a catalogue says; what is read is compared.
        ref: What the catalogue calls them together; empty if none has them.

    Examples:
        >>> from atdata.sources.url import URLSource
        >>> JoinedSource([URLSource("b.tar"), URLSource("a-{0..1}.tar")]).list_shards()
        ['b.tar', 'a-0.tar', 'a-1.tar']
    """

    sources: Sequence[DataSource]
    ids: Sequence[str] = field(default=(), repr=False)
    recorded: Mapping[str, Sequence[StoredSidecar]] = field(
        default_factory=dict[str, Sequence[StoredSidecar]], repr=False, hash=False
    )
    ref: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", tuple(self.sources))
        every = [shard_id for source in self.sources for shard_id in source.list_shards()]
        object.__setattr__(self, "ids", tuple(self.ids or every))

    @cached_property
    def _homes(self) -> dict[str, DataSource]:
        return {shard_id: one for one in self.sources for shard_id in one.list_shards()}

    @property
    def url(self) -> tuple[str, ...]:
        """The shards' ids as one value, for whoever shows where a dataset lies."""
        return tuple(self.ids)

    def list_shards(self) -> list[str]:
        """The shards' ids, in reading order."""
        return list(self.ids)

    def open_shard(self, shard_id: str) -> BinaryIO:
        """Open a shard for reading from its first byte; the caller closes it.

        Raises:
            KeyError: No source has such a shard.
        """
        return self._home(shard_id).open_shard(shard_id)

    def local_path(self, shard_id: str) -> Path | None:
        """The shard's file, or None if it is elsewhere."""
        home = self._home(shard_id)
        return home.local_path(shard_id) if isinstance(home, SupportsLocalPath) else None

    def shard_size(self, shard_id: str) -> int:
        """The shard's size in bytes."""
        return self._ranged(shard_id).shard_size(shard_id)

    def read_range(self, shard_id: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start`; a negative `start` counts from the end."""
        return self._ranged(shard_id).read_range(shard_id, start, length)

    def shard_version(self, shard_id: str) -> str | None:
        """What names the shard's bytes from one process to the next, if its source says so."""
        home = self._home(shard_id)
        return home.shard_version(shard_id) if isinstance(home, SupportsVersion) else None

    def read_sidecar(self, shard_id: str, suffix: str) -> bytes | None:
        """What lies beside a shard under its name with a suffix, or None if nothing does.

        Raises:
            KeyError: No source has such a shard.
            ShardError: It is not what the catalogue says of it.
            SourceError: Its place refused or failed.
        """
        home = self._home(shard_id)
        data = home.read_sidecar(shard_id, suffix) if isinstance(home, SupportsSidecars) else None
        for wanted in self.recorded.get(shard_id, ()):
            if data is not None and wanted.suffix == suffix:
                check(data, wanted, shard_id)
        return data

    def __reduce__(self) -> tuple[Any, ...]:
        return JoinedSource, (self.sources, self.ids, self.recorded, self.ref)

    def _home(self, shard_id: str) -> DataSource:
        try:
            return self._homes[shard_id]
        except KeyError:
            raise KeyError(f"Shard not found: {printable(shard_name(shard_id))}") from None

    def _ranged(self, shard_id: str) -> SupportsRange:
        home = self._home(shard_id)
        if not isinstance(home, SupportsRange):
            # As a server says that gives no parts: the shard is then read as a stream.
            raise SourceError(shard_name(shard_id), "its source gives no parts", status=200)
        return home
