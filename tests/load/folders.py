"""Folders of small shards, each of which says its own name."""

import bz2
import gzip
import lzma
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import atdata
from atdata import Dataset, DictSample

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_PACKERS = {
    ".gz": gzip.compress,
    ".tgz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd.compress,
}


@cache
def shard(name: str) -> bytes:
    """A shard of one sample that holds the shard's name, compressed as its name says."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.tar")
        atdata.write_samples([DictSample(of=name)], path, digest=False)
        data = path.read_bytes()
    return _PACKERS.get(Path(name).suffix, bytes)(data)


def fill(root: Path, names: Iterable[str]) -> Path:
    """Make files in a folder: shards, and text where a name ends otherwise."""
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        is_text = path.suffix in {".txt", ".json", ".md", ".parquet", ".tmp"}
        path.write_bytes(b"text" if is_text else shard(name))
    return root


def read(dataset: Dataset[DictSample]) -> list[str]:
    """The names of the shards that are read."""
    return [sample.of for sample in dataset]


def number(root: Path, n: int, name: str = "train.tar", maxcount: int = 4) -> Path:
    """A folder with `n` numbered samples, in several shards."""
    samples = [DictSample(n=i) for i in range(n)]
    atdata.write_samples(samples, root / name, maxcount=maxcount, digest=False)
    return root
