"""Every seam on one page: what a part must do to take the place of one of ours.

A seam has one to five methods. More ability is a `Supports…` protocol of its own, looked for with
`isinstance`, and never a flag.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self, runtime_checkable

from atdata.model.record import Change, Row
from atdata.model.shard import FinishedShard, StoredObject, StoredShard

type ErrorPolicy = str | Callable[[Exception], object]
"""`"raise"`, `"skip"`, or a function that gets each error and decides by raising or returning."""


@runtime_checkable
class Packable(Protocol):
    """A sample that can be written to a shard and read back: what `@packable` gives a class."""

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Build a sample from its fields."""
        ...

    @classmethod
    def from_bytes(cls, bs: bytes) -> Self:
        """Build a sample from its msgpack payload."""
        ...

    @property
    def packed(self) -> bytes:
        """The sample as one msgpack map."""
        ...

    @property
    def as_wds(self) -> dict[str, Any]:
        """The sample as a dictionary that a WebDataset `TarWriter` takes."""
        ...


@runtime_checkable
class ArrayFormat(Protocol):
    """Turns one kind of array into bytes and back."""

    @property
    def name(self) -> str:
        """The format's name, as in `__field_formats__`."""
        ...

    def accepts(self, value: object) -> bool:
        """Whether this format can write the value."""
        ...

    def encode(self, value: Any) -> bytes:
        """Write the value."""
        ...

    def decode(self, data: memoryview, *, copy: bool = True) -> Any:
        """Read the value; without `copy` it may be a read-only view of `data`."""
        ...


@runtime_checkable
class DataSource(Protocol):
    """A place that shards are read from."""

    def list_shards(self) -> list[str]:
        """The shards' ids, in reading order."""
        ...

    def open_shard(self, shard_id: str) -> BinaryIO:
        """Open a shard for reading from its first byte; `KeyError` if there is none of that id."""
        ...


@runtime_checkable
class SupportsLocalPath(Protocol):
    """A source whose shards may be files on this machine, which can be mapped."""

    def local_path(self, shard_id: str) -> Path | None:
        """The shard's file, or None if it is elsewhere."""
        ...


@runtime_checkable
class SupportsRange(Protocol):
    """A source that gives parts of a shard; several threads may ask at once."""

    def shard_size(self, shard_id: str) -> int:
        """The shard's size in bytes."""
        ...

    def read_range(self, shard_id: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start`; a negative `start` counts from the end."""
        ...


@runtime_checkable
class SupportsVersion(Protocol):
    """A source that can tell one state of a shard from the next, so that copies can be kept."""

    def shard_version(self, shard_id: str) -> str | None:
        """What, with the shard's id, names its bytes from one process to the next.

        Such as an ETag with a length. None where nothing does: two states of a shard must never
        have the same version.
        """
        ...


@runtime_checkable
class SupportsSidecars(Protocol):
    """A source that gives the small files that lie beside a shard; several threads may ask."""

    def read_sidecar(self, shard_id: str, suffix: str) -> bytes | None:
        """What lies beside a shard under its name with a suffix, or None if nothing does.

        The name is the shard's without a `.tar` at its end, if it has one: beside `a.tar` and
        with the suffix `.manifest.json` that is `a.manifest.json`, and beside `a.tar.gz` it is
        `a.tar.gz.manifest.json`. Errors are those of shards: what may not be read is not absent.
        """
        ...


@runtime_checkable
class AbstractDataStore(Protocol):
    """A place that finished shards are kept in, each under a key of its own."""

    def put(self, shard: FinishedShard, *, key: str) -> StoredShard:
        """Keep a shard, whole or not at all, and only say so once it is safe.

        What lies beside it (`shard.sidecars`) is kept beside it, and is there before it is.
        The result's `url` is the key: relative to the store, so that the store may move.
        """
        ...

    def url(self, key: str) -> str:
        """The address of what is kept under a key; an address is returned as it is."""
        ...

    def source(self, shards: Sequence[StoredShard]) -> DataSource:
        """What reads these shards, wherever each is."""
        ...


@runtime_checkable
class SupportsCleaning(Protocol):
    """A store that tells what it holds, and removes it."""

    def list_keys(self, prefix: str) -> Iterator[StoredObject]:
        """What lies in the store, unfinished parts included, under keys that begin so."""
        ...

    def remove(self, key: str) -> None:
        """Remove what is kept under a key; nothing happens where nothing is."""
        ...


@runtime_checkable
class SupportsStaging(Protocol):
    """A store that a shard may be written into, so that keeping it only gives it its name."""

    def staging(self, prefix: str) -> Path:
        """A folder for shards that are not finished, of which nobody sees anything."""
        ...


@runtime_checkable
class IndexEntry(Protocol):
    """What a catalogue says of a dataset."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def schema_ref(self) -> str:
        """The schema of its samples."""
        ...

    @property
    def data_urls(self) -> list[str]:
        """Where its shards are, in reading order."""
        ...

    @property
    def metadata(self) -> dict[str, Any] | None:
        """What else is said of it."""
        ...


@runtime_checkable
class RowStore(Protocol):
    """What a catalogue needs of the place that keeps its records.

    Safe to use from several threads, after a fork and after being sent to another process.
    """

    def commit(self, changes: Sequence[Change]) -> int:
        """Take all steps or none, and give the number of this commit, higher than any before.

        Raises:
            ConflictError: A step expected something else than what is there.
        """
        ...

    def get(self, kind: str, name: str, tag: str = "") -> Row | None:
        """The row under that key, or None."""
        ...

    def page(
        self,
        kind: str,
        *,
        name: str | None = None,
        ref: str | None = None,
        after: tuple[str, str] | None = None,
        limit: int = 100,
    ) -> list[Row]:
        """Rows in the order of name and tag, by code point; those after a name and tag."""
        ...

    def close(self) -> None:
        """Let go of connections and files; the next use opens them again."""
        ...
