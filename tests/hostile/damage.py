"""A small shard, and the promise that damage to it is noticed."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

import atdata
from atdata import Dataset, SchemaError, ShardError
from atdata.shard.mapped import forget_open_shards


@atdata.packable
class Small:
    """A sample with a few fields."""

    name: str
    value: int
    x: NDArray
    tags: list[str]


type Items = list[tuple[str, Small]]


def small(n: int = 6) -> list[Small]:
    """Samples of less than two blocks."""
    return [Small(f"s{i}", i * 1000, np.arange(i * 25, dtype="f4"), ["a"] * i) for i in range(n)]


def written(folder: Path) -> tuple[bytes, Items]:
    """The bytes of a shard of ours, and what is in it."""
    samples = small()
    atdata.write_samples(samples, folder / "good.tar", content_metadata={"about": "damage"})
    keyed = [(f"{i:09d}", sample) for i, sample in enumerate(samples)]
    return (folder / "good.tar").read_bytes(), keyed


class Bytes:
    """A source whose one shard can only be read as a stream."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def list_shards(self) -> list[str]:
        """Its one shard."""
        return ["bytes"]

    def open_shard(self, shard_id: str) -> BinaryIO:
        """The shard from its first byte."""
        assert shard_id == "bytes"
        return io.BytesIO(self.data)

    @property
    def shards(self) -> Iterator[tuple[str, BinaryIO]]:
        """The shard and its stream."""
        yield "bytes", self.open_shard("bytes")


def _put(path: Path, data: bytes) -> None:
    """Write over a file: sooner done than to cut it first, which file systems guard against."""
    with path.open("r+b" if path.exists() else "wb") as file:
        file.write(data)
        file.truncate()


def dataset(place: Path | Bytes, data: bytes, on_error: Any = "raise") -> Dataset[Small]:
    """A dataset over some bytes: a file of them, or a stream."""
    if isinstance(place, Path):
        _put(place, data)
        forget_open_shards()  # a change within a tick of the clock leaves the file's time alone
    else:
        place.data = data
    return Dataset(place, sample_type=Small, on_error=on_error)


def error_of(place: Path | Bytes, data: bytes, items: Items) -> ShardError | SchemaError | None:
    """The error that reading gives, which says where; None if all is as it was written."""
    shard_id = str(place) if isinstance(place, Path) else "bytes"
    try:
        found = list(dataset(place, data).ordered().items())
    except (ShardError, SchemaError) as caught:
        error = caught
    else:
        assert found == items
        return None
    assert error.shard_id == shard_id
    assert error.offset is not None or error.key is not None
    return error


def error_or[R](read: Callable[[], R]) -> R | ShardError | SchemaError:
    """What a function gives, or its error."""
    try:
        return read()
    except (ShardError, SchemaError) as error:
        return error


def check_skipping(place: Path | Bytes, data: bytes, items: Items) -> None:
    """What is left when damage is skipped is what was written, in its order, and counted."""
    stream = dataset(place, data, "skip").ordered()

    found = list(stream.items())

    rest = iter(items)
    assert all(any(item == other for other in rest) for item in found)
    assert found == items or stream.n_skipped == len(stream.skipped) > 0


def check_noticed(place: Path | Bytes, data: bytes, items: Items) -> None:
    """Damage is an error or leaves everything as it was; a stream may notice it at its end."""
    error = error_of(place, data, items)
    if isinstance(place, Path):
        check_skipping(place, data, items)
    elif error is not None:
        stream = dataset(place, data, "skip").ordered()
        assert len(list(stream)) <= len(items) + 1
        assert stream.n_skipped
