"""An index on each kind of provider, and one on SQLite where the provider makes no difference."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from atdata import Index
from atdata.services import Bucket
from atdata.stores import LocalDiskStore
from atdata.stores.s3 import S3DataStore

PROVIDERS = ("sqlite", "postgres", "redis", "memory")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's own is read or written."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home/data"))


def made(kind: str, folder: Path, request: pytest.FixtureRequest) -> Index:
    """An empty index whose shards lie in a folder."""
    store = LocalDiskStore(folder / "shards")
    if kind == "postgres":
        return Index(dsn=request.getfixturevalue("postgres_dsn"), data_store=store)
    if kind == "redis":
        return Index(redis=request.getfixturevalue("redis_url"), data_store=store)
    if kind == "memory":
        return Index("memory", data_store=store)
    return Index(path=folder / "index.db", data_store=store)


@pytest.fixture(params=PROVIDERS)
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Index]:
    """An empty index on each kind of provider."""
    with made(request.param, tmp_path, request) as index:
        yield index


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Index]:
    """An empty index in a SQLite file, with its shards beside it."""
    with Index(path=tmp_path / "index.db") as index:
        yield index


@pytest.fixture
def s3_store(s3_bucket: Bucket) -> S3DataStore:
    """A store in an empty bucket of a real server."""
    return S3DataStore(s3_bucket.credentials, bucket=s3_bucket.bucket, prefix="team")
