"""Rows that were chosen before anything is read: which, in which order, and where they lie."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from atdata._exceptions import AtdataError
from atdata._protocols import DataSource, SupportsLocalPath, SupportsRange
from atdata._typing import Int64Array

type Missing = Literal["error", "scan"]
"""What to do about a shard without a manifest that can be used: say so, or read its samples."""


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where chosen samples lie in their shard, as its manifest tells.

    Attributes:
        at: Byte offset of each payload.
        size: Bytes of each.
        digests: XXH3-64 of each.
        keys: Key of each sample.
    """

    at: Int64Array
    size: Int64Array
    digests: NDArray[np.uint64]
    keys: Sequence[str] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class ChosenRows:
    """What was chosen of one shard.

    Attributes:
        shard_id: The shard.
        rows: The rows, rising.
        n: How many samples the shard holds.
        digest: Tells shards of other content apart, as `MappedShard.digest` does.
        n_bytes: The shard's size.
        places: Where the rows lie; None where there is no manifest to tell.
    """

    shard_id: str
    rows: Int64Array
    n: int
    digest: int
    n_bytes: int
    places: Places | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """What was chosen of a part.

    Attributes:
        shards: The shards of which any rows were chosen.
        order: For each place the number of its row, counted through all shards; None where they
            stay as they are stored.
        errors: What could not be read for it.
    """

    shards: Sequence[ChosenRows]
    order: Int64Array | None = None
    errors: Sequence[AtdataError] = ()

    def __len__(self) -> int:
        return sum(len(one.rows) for one in self.shards)


class Table(Protocol):
    """Samples of a shard that can be made without reading it."""

    @property
    def keys(self) -> Sequence[str]:
        """The key of each of the shard's samples."""
        ...

    def check(self) -> None:
        """Refuse a shard that was replaced since the rows were chosen."""
        ...

    def samples(self, rows: Int64Array) -> list[Any]:
        """The samples in some rows, as they come out of all stages."""
        ...


class Choice(Protocol):
    """Chooses rows of a part when it is first asked."""

    def chosen(self) -> Chosen:
        """What it chooses."""
        ...

    def read_as(self, **options: Any) -> Self:
        """The same, with what has to be read for it read with other options."""
        ...

    def table(self, shard_id: str, stages: Sequence[Any]) -> Table | None:
        """What makes samples that have gone through stages, if no sample need be read for it."""
        ...

    @property
    def words(self) -> Sequence[str]:
        """What it does, step by step, in few words."""
        ...

    @property
    def is_ordered(self) -> bool:
        """Whether rows are put into an order of their own."""
        ...


def is_in_parts(source: DataSource, shard_id: str) -> bool:
    """Whether a shard is elsewhere, at a place that gives parts of it."""
    if isinstance(source, SupportsLocalPath) and source.local_path(shard_id) is not None:
        return False
    return isinstance(source, SupportsRange)
