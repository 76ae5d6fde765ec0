"""Every seam on one page: what a part must do to take the place of one of ours.

A seam has one to five methods. More ability is a `Supports…` protocol of its own, looked for with
`isinstance`, and never a flag.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self, runtime_checkable

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
