"""Archives made by others and by us, and what their samples are by the rules of WebDataset."""

import bz2
import gzip
import io
import lzma
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from atdata._exceptions import ShardError
from atdata._typing import ByteArray, Int64Array
from atdata.model.shard import FinishedShard
from atdata.shard.chunk import Reading
from atdata.shard.index import Head
from atdata.shard.mapped import MappedShard, open_mapped
from atdata.shard.streamed import StreamedShard
from atdata.shard.writer import ShardWriter

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

type Sample = tuple[str, bytes]

COMPRESSED = {
    "plain": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstd.compress,
}


class Blobs:
    """Payloads for the shard writer that are bytes already."""

    def __init__(self, payloads: Sequence[bytes]) -> None:
        self.payloads = payloads
        self.sizes: Int64Array = np.array([len(p) for p in payloads], np.int64)

    def fill(self, buffer: ByteArray, at: Int64Array, first: int, last: int) -> None:
        """Write some payloads at their offsets."""
        for place, payload in zip(at.tolist(), self.payloads[first:last], strict=True):
            buffer[place : place + len(payload)] = np.frombuffer(payload, np.uint8)


def write_shards(
    folder: Path,
    payloads: Sequence[bytes],
    keys: Sequence[str] | None = None,
    *,
    pieces: Iterable[int] = (),
    maxcount: int | None = None,
    maxsize: int | None = None,
    digest: bool = True,
) -> list[FinishedShard]:
    """Write payloads with our own writer, in pieces of the given sizes, then all the rest."""
    writer = ShardWriter(
        lambda n: folder / f"s-{n:03d}.tar",
        maxcount=maxcount,
        maxsize=maxsize,
        head=Head("Blob", content_metadata={"about": "tests"}),
        digest=digest,
    )
    with writer:
        first = 0
        for size in (*pieces, len(payloads)):
            part = payloads[first : first + size]
            writer.add(Blobs(part), None if keys is None else keys[first : first + size])
            first += len(part)
        return writer.close()


def write_shard(
    folder: Path,
    payloads: Sequence[bytes],
    keys: Sequence[str] | None = None,
    *,
    digest: bool = True,
) -> Path:
    """Write one shard with our own writer."""
    (shard,) = write_shards(folder, payloads, keys, digest=digest)
    return shard.path


def tar_of(
    members: Iterable[tuple[str, bytes | None]],
    *,
    form: int = tarfile.USTAR_FORMAT,
    mtime: float = 0,
) -> bytes:
    """An archive by `tarfile`; contents of None make a directory."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, contents in members:
            info = tarfile.TarInfo(name)
            info.mtime = mtime
            if contents is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            else:
                info.size = len(contents)
                tar.addfile(info, io.BytesIO(contents))
    return out.getvalue()


def gnu_tar_of(folder: Path, members: Sequence[tuple[str, bytes]], form: str) -> bytes:
    """An archive by the `tar` command; members are in the order given."""
    for name, contents in members:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)
    names = "".join(f"{name}\n" for name, _ in members)
    command = ["tar", "-c", "-C", str(folder), f"--format={form}", "--no-recursion", "-T", "-"]
    return subprocess.run(command, input=names.encode(), capture_output=True, check=True).stdout


_META = re.compile(r"__[^/]*__($|/)")
_PARTS = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)", re.DOTALL)
_DOTTED = re.compile(r"((?:.*/|)[^./][^/]*)[.](msgpack)", re.DOTALL | re.IGNORECASE)


def samples_by_tarfile(data: bytes) -> list[Sample | str]:
    """What the rules of WebDataset make of an archive: samples, or the key of one at fault."""
    groups: list[tuple[str, list[Sample]]] = []
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for info in tar:
            found = _DOTTED.fullmatch(info.name) or _PARTS.fullmatch(info.name)
            if not info.isreg() or _META.match(info.name) or not found:
                continue
            file = tar.extractfile(info)
            assert file is not None
            if not groups or groups[-1][0] != found[1]:
                groups.append((found[1], []))
            groups[-1][1].append((found[2].lower(), file.read()))
    out: list[Sample | str] = []
    for key, parts in groups:
        extensions = dict(parts)
        whole = len(extensions) == len(parts) and "msgpack" in extensions
        out.append((key, extensions["msgpack"]) if whole else key)
    return out


def read(chunks: Reading) -> list[Sample | str]:
    """All samples of a reading; in the place of an error the key that it names, or its reason."""
    out: list[Sample | str] = []
    for item in chunks:
        if isinstance(item, ShardError):
            out.append(item.key or item.reason)
        else:
            out += [(item.key(i), bytes(item.payload(i))) for i in range(len(item))]
    return out


def errors(chunks: Reading) -> list[ShardError]:
    """The errors of a reading."""
    return [item for item in chunks if isinstance(item, ShardError)]


def mapped(path: Path) -> MappedShard:
    """A file as a mapped shard."""
    return open_mapped(path, str(path))


def streamed(data: bytes, shard_id: str = "stream") -> StreamedShard:
    """Bytes as a streamed shard."""
    return StreamedShard(io.BytesIO(data), shard_id)


def array_of(data: bytes) -> ByteArray:
    """Bytes as a scan takes them."""
    return np.frombuffer(data, np.uint8)
