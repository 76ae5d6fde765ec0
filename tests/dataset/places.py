"""The same samples in many places: with an index or without, compressed, in memory."""

import gzip
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from backports import zstd

import atdata
from atdata import Dataset


class Memory:
    """A source of one's own: shards that are bytes, and nothing more than a source must have."""

    def __init__(self, shards: dict[str, bytes]) -> None:
        self.shards = shards
        self.opened: list[str] = []

    def list_shards(self) -> list[str]:
        return list(self.shards)

    def open_shard(self, shard_id: str) -> BinaryIO:
        self.opened.append(shard_id)
        return io.BytesIO(self.shards[shard_id])


def foreign_tar(samples: Sequence[Any], keys: Sequence[str] | None = None) -> bytes:
    """A shard as Python's `tarfile` writes it, without an index."""
    keys = [f"{i:09d}" for i in range(len(samples))] if keys is None else keys
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for key, sample in zip(keys, samples, strict=True):
            data = atdata.pack(sample)
            member = tarfile.TarInfo(f"{key}.msgpack")
            member.size = len(data)
            member.mtime = 1.5
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def put(folder: Path, samples: Sequence[Any], kind: str, *, maxcount: int = 1000) -> Dataset[Any]:
    """A dataset of some samples, in a place of a kind."""
    kind_of = type(samples[0])
    if kind == "indexed":
        return atdata.write_samples(samples, folder / "s.tar", maxcount=maxcount)
    paths: list[Path] = []
    shards: dict[str, bytes] = {}
    for first in range(0, len(samples), maxcount):
        some = samples[first : first + maxcount]
        keys = [f"{first + i:09d}" for i in range(len(some))]
        number = first // maxcount
        if kind in {"foreign", "memory"}:
            data, suffix = foreign_tar(some, keys), "tar"
        else:
            rest = iter(keys)
            atdata.write_samples(some, folder / "one.tar", key=lambda _, rest=rest: next(rest))
            data, suffix = (folder / "one.tar").read_bytes(), "tar"
            if kind == "gz":
                data, suffix = gzip.compress(data, 1), "tar.gz"
            if kind == "zst":
                data, suffix = zstd.compress(data), "tar.zst"
        path = folder / f"{kind}-{number:03d}.{suffix}"
        path.write_bytes(data)
        paths.append(path)
        shards[path.name] = data
    if kind in {"memory", "stream"}:
        return Dataset(Memory(shards), sample_type=kind_of)
    return Dataset(paths, sample_type=kind_of)


KINDS = ["indexed", "foreign", "gz", "zst", "memory", "stream"]
"""`memory` has no index, and `stream` has one that comes last."""
