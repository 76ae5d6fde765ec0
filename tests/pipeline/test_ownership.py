"""Whose memory an array is: writable and aligned by default, a read-only view on request."""

import gc
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.dataset.places import KINDS, put

import atdata
from atdata import Dataset


@atdata.packable
class Arrays:
    """Small and large arrays, with and without need for alignment."""

    n: int
    small: NDArray[np.float32]
    wide: NDArray[np.float64]
    image: NDArray[np.uint8]
    ragged: NDArray[np.int16]
    maybe: NDArray[np.uint8] | None
    text: str = "odd bytes before the next sample"


@atdata.packable
class Irregular(Arrays):
    """The same, which is decoded one by one."""

    tags: list[str] | None = None


def make(kind: type[Any], n: int) -> Any:
    return kind(
        n, np.full(3, n, np.float32), np.full(2500, n, np.float64),
        np.full((130, 130), n % 250, np.uint8), np.full(n % 5, n, np.int16),
        None if n % 3 else np.full(20_000, n % 250, np.uint8),
        "x" * (n % 7),
    )  # fmt: skip


def arrays(sample: Any) -> list[NDArray[Any]]:
    return [value for value in vars(sample).values() if isinstance(value, np.ndarray)]


READERS: dict[str, Callable[[Dataset[Any]], Iterator[Any]]] = {
    "ordered": iter,
    "batches": lambda ds: (s for batch in ds.ordered(batch_size=7) for s in batch),
    "shuffled": lambda ds: iter(ds.shuffled(seed=1)),
    "shuffled batches": lambda ds: (s for b in ds.shuffled(seed=1, batch_size=7) for s in b),
    "positions": lambda ds: (ds[i] for i in range(len(ds))),
    "select": lambda ds: iter(ds.select(range(len(ds)))),
    "get": lambda ds: iter([ds.get("000000003"), ds.get("000000004")]),
    "twice": lambda ds: iter(ds.select([3, 3, *range(40), 3])),
    "repeat": lambda ds: iter(ds.repeat(2)),
    "repeat shuffled": lambda ds: iter(ds.repeat(2).shuffled(seed=1)),
    "behind a filter": lambda ds: iter(ds.filter(lambda s: s.n % 2).take(10).repeat(2).shuffled()),
}


@pytest.mark.parametrize("sample_type", [Arrays, Irregular])
@pytest.mark.parametrize("kind", KINDS)
def test_arrays_may_be_written_to(tmp_path: Path, kind: str, sample_type: type[Any]) -> None:
    """They are aligned, and writing into one changes nothing that is read then or later."""
    given = [make(sample_type, n) for n in range(40)]
    ds = put(tmp_path, given, kind, maxcount=25)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}

    for read in READERS.values():
        for sample in read(ds):
            assert sample == given[sample.n]
            for array in arrays(sample):
                assert array.flags.writeable
                assert array.flags.aligned
                array[...] = 123

    assert list(ds) == list(Dataset(ds.source, sample_type=sample_type)) == given
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


@pytest.mark.parametrize("sample_type", [Arrays, Irregular])
@pytest.mark.parametrize("kind", KINDS)
def test_views_are_read_only(tmp_path: Path, kind: str, sample_type: type[Any]) -> None:
    """With `copy=False`, single samples read in any way hold arrays that refuse to be changed."""
    given = [make(sample_type, n) for n in range(40)]
    ds = put(tmp_path, given, kind, maxcount=25).with_options(copy=False)

    for name, read in READERS.items():
        for sample in read(ds):
            assert sample == given[sample.n]
            if "batches" not in name:
                assert not any(array.flags.writeable for array in arrays(sample))


def test_samples_outlive_what_they_were_read_from(tmp_path: Path) -> None:
    """Dataset, file and stream may go; what was read stays as it was."""
    for copy in (True, False):
        for kind in KINDS:
            folder = tmp_path / f"{kind}{copy}"
            folder.mkdir()
            given = [make(Arrays, n) for n in range(10)]
            ds = put(folder, given, kind).with_options(copy=copy)
            kept = [*ds, *ds.shuffled(seed=1), ds[3]]
            for path in folder.iterdir():
                path.unlink()
            del ds
            gc.collect()

            assert all(sample == given[sample.n] for sample in kept)


def test_many_large_arrays_may_be_kept(tmp_path: Path) -> None:
    """As many as there are, though a process may open only so many files and mappings."""
    given = [make(Arrays, n) for n in range(30)]
    ds = atdata.write_samples(given * 40, tmp_path / "s.tar")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (400, hard))
    try:
        kept = [ds[i] for i in range(len(ds))] + list(ds)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert all(sample == given[sample.n] for sample in kept)


def test_stages_work_on_what_is_delivered(tmp_path: Path) -> None:
    """A stage that changes its sample in place changes that sample alone."""
    given = [make(Arrays, n) for n in range(40)]
    ds = atdata.write_samples(given, tmp_path / "s.tar")

    def darkened(s: Arrays) -> Arrays:
        s.image //= 2
        return s

    dark = ds.map(darkened).filter(lambda s: s.n % 2)
    for read in (iter, lambda d: iter(d.shuffled()), lambda d: (d[i] for i in range(len(d)))):
        assert all(int(s.image[0, 0]) == s.n % 250 // 2 for s in read(dark))
    assert list(ds) == given
