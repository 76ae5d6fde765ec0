"""Loading from buckets of a real S3 server, by the keys it lists."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.load.folders import read, shard

from atdata import Dataset, ShardNotFoundError, SourceError
from atdata._protocols import DataSource
from atdata.load import load_dataset
from atdata.load._buckets import source_in
from atdata.services.s3 import S3Server
from atdata.transport import s3, s3_upload
from atdata.transport.credentials import S3Settings, from_mapping

KEYS = [
    "top.tar",
    "test/data/train-1.tar",
    "test/data/train-2.tar",
    "test/data/train-10.tar",
    "test/data/test/a.tar.gz",
    "test/data/test/.hidden.tar",
    "test/data/readme.md",
    "test/data2/train-3.tar",
    "odd/a{1,2}.tar",
    "odd/b c%20d+é.tar",
    "odd/c?*.tar",
]


@pytest.fixture(scope="module")
def bucket(
    s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, S3Settings]:
    """A bucket with shards, and what opens it."""
    made = s3_server.create_bucket("test-load")
    settings = from_mapping(made.credentials)
    path = tmp_path_factory.mktemp("bucket") / "shard"
    for key in KEYS:
        path.write_bytes(shard(key))
        found = s3.Object(settings, made.bucket, key)
        s3_upload.put_file(found, path, hashlib.sha256(shard(key)).hexdigest())
    return f"s3://{made.bucket}", settings


@pytest.fixture
def root(bucket: tuple[str, S3Settings], monkeypatch: pytest.MonkeyPatch) -> str:
    """The bucket's address, and its keys in the environment."""
    url, settings = bucket
    monkeypatch.setenv("AWS_ENDPOINT", settings.endpoint or "")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", settings.access_key or "")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", settings.secret_key or "")
    monkeypatch.setenv("AWS_REGION", settings.region or "")
    return url


TRAIN = [f"test/data/train-{n}.tar" for n in (1, 2, 10)]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/top.tar", {"train": ["top.tar"]}),
        ("/test/data/", {"train": TRAIN, "test": ["test/data/test/a.tar.gz"]}),
        ("/test/data", {"train": TRAIN, "test": ["test/data/test/a.tar.gz"]}),
        ("/test/data/train-*.tar", {"train": TRAIN}),
        ("/test/data/train-?.tar", {"train": TRAIN[:2]}),
        ("/test/data/train-{1..2}.tar", {"train": TRAIN[:2]}),
        (
            "/test/data/{train-1.tar,t*/*}",
            {"train": TRAIN[:1], "test": ["test/data/test/a.tar.gz"]},
        ),
        ("/test/data*/train-[13].tar", {"train": [TRAIN[0], "test/data2/train-3.tar"]}),
        ("/**/train-3.tar", {"train": ["test/data2/train-3.tar"]}),
        ("/odd/", {"train": KEYS[-3:]}),
        ("/odd/*.tar", {"train": KEYS[-3:]}),
        ("/odd/b c%20d+é.tar", {"train": [KEYS[-2]]}),
    ],
)
def test_keys_are_loaded_as_paths_are(root: str, path: str, wanted: dict[str, list[str]]) -> None:
    """Objects, folders with and without a slash, braces, and patterns by listing."""
    splits = load_dataset(root + path)

    assert {name: read(dataset) for name, dataset in splits.items()} == wanted


def test_data_files_are_relative_to_a_folder_of_a_bucket(root: str) -> None:
    """Names and patterns, as in a folder of this machine."""
    splits = load_dataset(
        f"{root}/test/data",
        data_files={"a": "train-*.tar", "b": ["test/*.tar.gz"]},
    )

    assert read(splits["a"]) == TRAIN
    assert read(splits["b"]) == ["test/data/test/a.tar.gz"]


def test_buckets_and_files_may_be_mixed(root: str, tmp_path: Path) -> None:
    """A list keeps its order, wherever its files are."""
    (tmp_path / "x.tar").write_bytes(shard("x.tar"))

    dataset = load_dataset([f"{root}/top.tar", tmp_path / "x.tar"], split="train")

    assert read(dataset) == ["top.tar", "x.tar"]
    assert sorted(s.of for s in dataset.shuffled(seed=1)) == ["top.tar", "x.tar"]


def test_what_fits_nothing_tells_what_lies_there(root: str) -> None:
    """A pattern, or a folder that is none, is a FileNotFoundError."""
    with pytest.raises(ShardNotFoundError, match="holds .*train-1.tar"):
        load_dataset(f"{root}/test/data/t*.wds")
    with pytest.raises(ShardNotFoundError, match="holds nothing"):
        load_dataset(f"{root}/none/")
    with pytest.raises(SourceError, match="NoSuchBucket|404"):
        load_dataset("s3://test-no-such-bucket/*.tar")
    with pytest.raises(ValueError, match="no bucket's name"):
        load_dataset("s3://te*/a.tar")


class Keeper:
    """An index whose store alone may open the bucket."""

    repos: dict[str, Any] = {}

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings

    def open(self, ref: str, sample_type: type[Any] | None = None) -> Dataset[Any]:
        raise KeyError(ref, sample_type)

    def source_for(self, urls: Sequence[str]) -> DataSource:
        places = [s3.split_url(url) for url in urls]
        return source_in(places[0][0], [key for _, key in places], self._settings)


def test_an_index_lists_and_reads_with_its_own_keys(
    bucket: tuple[str, S3Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the environment lacks, the index has; without it, the bucket stays closed."""
    url, settings = bucket
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT", settings.endpoint or "")

    dataset = load_dataset(f"{url}/test/data/train-*.tar", split="train", index=Keeper(settings))

    assert read(dataset) == TRAIN
    with pytest.raises(SourceError, match="the server answered 4"):
        load_dataset(f"{url}/test/data/train-*.tar", split="train")
