"""Small datasets and catalogues for the tests of those who use atdata."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from atdata.dataset import Dataset, write_samples
from atdata.index import Index
from atdata.sample.packable import packable


def make_dataset[T](
    path: Path, samples: Sequence[T], *, name: str = "test", sample_type: type[T] | None = None
) -> Dataset[T]:
    """Write samples to `{name}-000000.tar` in a folder.

    Args:
        path: The folder.
        samples: The samples.
        name: What the shard's name begins with.
        sample_type: Read them as this type; by default as their own.

    Raises:
        ValueError: There are no samples.

    Examples:
        >>> from atdata import DictSample
        >>> make_dataset(tmp, [DictSample(n=1)]).list_shards()[0].rpartition("/")[2]
        'test-000000.tar'
    """
    written = write_samples(samples, path / f"{name}-000000.tar")
    return written if sample_type is None else written.as_type(sample_type)


def mock_index(path: Path | None = None, **options: Any) -> Index:
    """A real index in a folder of its own, which asks no other account's repository.

    Args:
        path: The folder; a new temporary one by default.
        **options: What else `Index` takes.

    Examples:
        >>> mock_index(tmp).list_datasets()
        []
    """
    folder = Path(tempfile.mkdtemp(prefix="atdata-test-")) if path is None else path
    return Index(path=folder / "test_index.db", atmosphere=None, **options)


@packable
@dataclass
class _Named:
    name: str
    value: int


@pytest.fixture
def tmp_dataset(tmp_path: Path) -> Dataset[Any]:
    """Ten samples with a name and a value, in one shard."""
    return make_dataset(tmp_path, [_Named(f"name_{i}", i) for i in range(10)])


@pytest.fixture
def tmp_index(tmp_path: Path) -> Iterator[Index]:
    """An empty index that is closed at the end."""
    with mock_index(tmp_path) as index:
        yield index
