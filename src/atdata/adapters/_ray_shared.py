"""What everything that uses Ray needs: a cluster, its classes, and what can be sent to workers."""

import io
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from atdata._lazy import require
from atdata._protocols import DataSource, SupportsLocalPath, SupportsRange
from atdata.lens import Lens
from atdata.pipeline.chain import Part
from atdata.transport.file import open_file


def cluster() -> Any:
    """Ray, connected to the cluster that runs, or to one that is started on this machine."""
    ray = require("ray", extra="ray")
    if not ray.is_initialized():
        ray.init()
    return ray


@cache
def joined(ours: type[Any], theirs: str) -> Any:
    """One of our classes as a subclass of one of Ray Data's, too."""
    data = require("ray.data", extra="ray")
    return type(f"Ray{ours.__name__}", (ours, getattr(data, theirs)), {})


def dumps(value: object) -> bytes:
    """Pickle by value what is of the main program, as workers cannot import that."""
    base = require("ray.cloudpickle", extra="ray").CloudPickler

    def reduced(pickler: Any, given: Any) -> Any:
        # A lens pickles by its name if it has one. Functions and classes are seen to already.
        named = isinstance(given, Lens) and isinstance(given.__reduce__(), str)
        if named and given.__module__ == "__main__":
            return Lens, (vars(given)["_getter"], vars(given)["_putter"])
        return base.reducer_override(pickler, given)

    buffer = io.BytesIO()
    type("Pickler", (base,), {"reducer_override": reduced})(buffer).dump(value)
    return buffer.getvalue()


def local_path(source: DataSource, shard_id: str) -> Path | None:
    """A shard's file, or None if it is elsewhere."""
    return source.local_path(shard_id) if isinstance(source, SupportsLocalPath) else None


def anywhere(part: Part) -> Part:
    """The same part for processes that work in another folder: its paths begin at the root."""
    source = part.source
    if not isinstance(source, SupportsLocalPath):
        return part
    paths = map(source.local_path, source.list_shards())
    if all(path is None or path.is_absolute() for path in paths):
        return part
    kind = _RangedFrom if isinstance(source, SupportsRange) else _From
    return replace(part, source=kind(source, Path.cwd()))


class _From:
    """A source whose paths begin in a folder."""

    def __init__(self, source: Any, folder: Path) -> None:
        self._source = source
        self._folder = folder

    def list_shards(self) -> list[str]:
        return list(self._source.list_shards())

    def open_shard(self, shard_id: str) -> BinaryIO:
        path = self.local_path(shard_id)
        return self._source.open_shard(shard_id) if path is None else open_file(path)

    def local_path(self, shard_id: str) -> Path | None:
        path = self._source.local_path(shard_id)
        return None if path is None else self._folder / path


class _RangedFrom(_From):
    """One that gives parts of a shard, too; they are asked for where a shard is no file."""

    def shard_size(self, shard_id: str) -> int:
        return int(self._source.shard_size(shard_id))

    def read_range(self, shard_id: str, start: int, length: int) -> bytes:
        return bytes(self._source.read_range(shard_id, start, length))
