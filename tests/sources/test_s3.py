"""Shards in a bucket: which they are, who asks for them, and reading them over a bad line."""

import hashlib
import os
import pickle
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

import atdata
from atdata import Dataset
from atdata._exceptions import ShardError, ShardNotFoundError, SourceError
from atdata._protocols import DataSource, SupportsLocalPath, SupportsRange, SupportsVersion
from atdata._sources import S3Source
from atdata.services import Bucket, S3Server
from atdata.services.proxy import Fault, Proxy
from atdata.sources.joined import JoinedSource, joined
from atdata.sources.registry import source_of
from atdata.transport import s3, s3_upload
from atdata.transport.credentials import S3Settings, settings_of

NAMES = [
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT"),
    *("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION"),
]


@pytest.fixture(autouse=True)
def _nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ATDATA_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def settings(s3_bucket: Bucket) -> S3Settings:
    return settings_of(s3_bucket.credentials)


type Put = Callable[[str, bytes], None]


@pytest.fixture
def put(s3_bucket: Bucket, settings: S3Settings, tmp_path: Path) -> Put:
    """Puts bytes under a key."""

    def put(key: str, data: bytes) -> None:
        (tmp_path / "file").write_bytes(data)
        found = s3.Object(settings, s3_bucket.bucket, key)
        s3_upload.put_file(found, tmp_path / "file", hashlib.sha256(data).hexdigest())

    return put


def read(source: DataSource, shard_id: str) -> bytes:
    with source.open_shard(shard_id) as stream:
        return stream.read()


def test_a_source_is_every_kind_of_source() -> None:
    """It lists, opens, reads ranges and tells versions; its other address is the same class."""
    source = S3Source(bucket="shards", keys=["a.tar"])

    assert isinstance(source, DataSource)
    assert isinstance(source, SupportsRange)
    assert isinstance(source, SupportsVersion)
    assert isinstance(source, SupportsLocalPath)
    assert source.local_path("s3://shards/a.tar") is None


def test_every_key_is_a_shard() -> None:
    """Ids are addresses, in the order of the keys, of which none is expanded or lost."""
    source = S3Source("shards", ["b/2.tar", "a{1..3}.tar", "a/1.tar"])

    assert source.list_shards() == [
        "s3://shards/b/2.tar",
        "s3://shards/a{1..3}.tar",
        "s3://shards/a/1.tar",
    ]
    assert source.keys == ["b/2.tar", "a{1..3}.tar", "a/1.tar"]


def test_addresses_are_taken_apart() -> None:
    """Braces stand for many; the key is what follows the bucket, as it stands."""
    source = S3Source.from_urls(
        ["s3://shards/a-{08..10}.tar", "s3://shards/x%20y/?b#c.tar"],
        endpoint="https://example.org",
    )

    assert source.bucket == "shards"
    assert source.keys == ["a-08.tar", "a-09.tar", "a-10.tar", "x%20y/?b#c.tar"]
    assert source.endpoint == "https://example.org"


@pytest.mark.parametrize(
    ("urls", "reason"),
    [
        ([], "cannot be empty"),
        (["https://example.org/a.tar"], "Not an S3 URL"),
        (["/data/a.tar"], "Not an S3 URL"),
        (["s3://"], "Not an S3 URL"),
        (["s3://shards"], "no key"),
        (["s3://shards/"], "no key"),
        (["s3://a.b@evil/x.tar"], "bucket's name"),
        (["s3://shards/../x.tar"], "may not hold"),
        (["s3://shards/" + "x" * 1025], "1 to 1024 bytes"),
        (["s3://one/a.tar", "s3://two/a.tar"], "same bucket"),
        (["s3://shards/{0..99999999}.tar"], "stands for"),
    ],
)
def test_what_is_no_address_of_a_shard_is_refused(urls: list[str], reason: str) -> None:
    """An address that leads nowhere, or to two places, is an error at once."""
    with pytest.raises(ValueError, match=reason):
        S3Source.from_urls(urls)


def test_credentials_have_the_names_of_the_environment() -> None:
    """A mapping says who asks, session and endpoint included."""
    source = S3Source.from_credentials(
        {
            "AWS_ACCESS_KEY_ID": "me",
            "AWS_SECRET_ACCESS_KEY": "mine",
            "AWS_SESSION_TOKEN": "for-today",
            "AWS_ENDPOINT": "http://127.0.0.1:9000",
            "AWS_REGION": "eu-west-1",
        },
        "shards",
        ["a.tar"],
    )

    assert (source.access_key, source.secret_key, source.session_token) == (
        "me",
        "mine",
        "for-today",
    )
    assert (source.endpoint, source.region) == ("http://127.0.0.1:9000", "eu-west-1")


def test_secrets_are_not_shown() -> None:
    """Neither the repr of a source nor an error of one holds its keys."""
    source = S3Source("shards", ["a.tar"], None, "my-key", "my-secret", None, "my-token")

    with pytest.raises(KeyError) as missing:
        source.open_shard("s3://shards/b.tar")

    shown = f"{source!r} {source} {missing.value!r} {s3.Object(S3Settings(), 'shards', 'a')!r}"
    assert all(secret not in shown for secret in ("my-key", "my-secret", "my-token"))
    assert "Shard not found: s3://shards/b.tar" in shown


def test_nothing_is_taken_from_the_environment_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of the environment are used where an address alone is given, and nowhere else."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ambient")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://s3.example.org")

    assert S3Source("shards", ["a.tar"]).access_key is None
    assert S3Source.from_urls("s3://shards/a.tar").access_key is None
    found = source_of("s3://shards/a-{0..1}.tar")
    assert isinstance(found, S3Source)
    assert (found.access_key, found.endpoint) == ("ambient", "https://s3.example.org")
    assert found.keys == ["a-0.tar", "a-1.tar"]
    assert S3Source.from_env("s3://shards/a.tar").secret_key == "secret"


def test_without_keys_in_the_environment_an_address_is_read_anonymously() -> None:
    """An address alone is not an error; its server decides what anybody may read."""
    found = source_of(["s3://shards/a.tar", "s3://shards/b.tar"])

    assert isinstance(found, S3Source)
    assert found.access_key is None


def test_a_shard_is_read_whole_and_in_part(
    s3_bucket: Bucket, settings: S3Settings, put: Put
) -> None:
    """Bytes, sizes and ranges are those of the object, whatever its key is called."""
    data = random.Random(1).randbytes(100_000)
    key = "a b/ü+&=;$,%25 'x'/*().tar"
    put(key, data)
    source = S3Source.of(s3_bucket.bucket, [key], settings)
    (shard_id,) = source.list_shards()

    assert read(source, shard_id) == data
    assert source.shard_size(shard_id) == len(data)
    assert source.read_range(shard_id, 5, 10) == data[5:15]
    assert source.read_range(shard_id, -10, 10) == data[-10:]
    with pytest.raises(ShardError, match="100000 bytes") as outside:
        source.read_range(shard_id, 99_999, 2)
    assert outside.value.shard_id == shard_id


def test_a_version_changes_with_the_bytes(
    s3_bucket: Bucket, settings: S3Settings, put: Put
) -> None:
    """Two states of an object have two versions, and one state has one."""
    source = S3Source.of(s3_bucket.bucket, ["a.tar"], settings)
    versions: list[str | None] = []
    for data in (b"one", b"two"):
        put("a.tar", data)
        versions += [source.shard_version(source.list_shards()[0]) for _ in range(2)]
        s3.delete(s3.Object(settings, s3_bucket.bucket, "a.tar"))

    assert versions[0] == versions[1]
    assert versions[2] == versions[3]
    assert len({*versions, None}) == 3


def test_what_is_not_there_is_not_found(s3_bucket: Bucket, settings: S3Settings) -> None:
    """A key without an object, and a bucket that does not exist, are told with the address."""
    for bucket in (s3_bucket.bucket, "no-such-bucket"):
        source = S3Source.of(bucket, ["none.tar"], settings)
        (shard_id,) = source.list_shards()
        for ask in (source.open_shard, source.shard_size, source.shard_version):
            with pytest.raises(ShardNotFoundError) as missing:
                ask(shard_id)
            assert missing.value.shard_id == shard_id


@pytest.mark.parametrize("keys", [None, ("AKIA", "wrong")])
def test_a_server_that_refuses_says_what_to_check(
    s3_bucket: Bucket, put: Put, keys: tuple[str, str] | None
) -> None:
    """Wrong keys, and none, are an error of the source with its status and no secret."""
    put("a.tar", b"abc")
    access, secret = keys or (None, None)
    source = S3Source(s3_bucket.bucket, ["a.tar"], s3_bucket.endpoint, access, secret)

    with pytest.raises(SourceError, match="(?s)40[03].*Check|region") as refused:
        source.open_shard(source.list_shards()[0])

    assert refused.value.status in {400, 403}
    assert refused.value.url == source.list_shards()[0]
    assert "wrong" not in f"{refused.value!r} {refused.value.__cause__!r}"


def test_all_shards_under_a_prefix(s3_bucket: Bucket, settings: S3Settings, put: Put) -> None:
    """Every `.tar` under an address is a shard, and numbers count as numbers."""
    for key in ["d/a-10.tar", "d/a-2.tar", "d/a-1.tar", "d/e/f.tar", "d/x.json", "da.tar"]:
        put(key, b"x")
    url = f"s3://{s3_bucket.bucket}/d/"

    assert S3Source.from_prefix(url, settings).keys == [
        *("d/a-1.tar", "d/a-2.tar", "d/a-10.tar", "d/e/f.tar")
    ]
    with pytest.raises(ValueError, match="no .tar files lie under"):
        S3Source.from_prefix(f"{url}none/", settings)


def test_a_listing_of_several_pages_holds_each_key_once(
    s3_bucket: Bucket, settings: S3Settings, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More keys than one answer holds are listed, and once each."""
    names = [f"k/{n:02d} +%.tar" for n in range(11)]
    for name in names:
        put(name, b"x")
    monkeypatch.setattr(s3, "_PAGE", 4)

    found = [one.key for one in s3.list_objects(f"s3://{s3_bucket.bucket}/k/", settings)]

    assert found == names


def test_threads_a_fork_and_other_processes_read(
    s3_bucket: Bucket, settings: S3Settings, put: Put
) -> None:
    """One source serves many at once: threads, a process that was forked, and a copy of it."""
    put("a.tar", b"abc" * 1000)
    source = S3Source.of(s3_bucket.bucket, ["a.tar"], settings)
    (shard_id,) = source.list_shards()

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: source.read_range(shard_id, i, 3), range(50)))
    again = pickle.loads(pickle.dumps(source))
    pid = os.fork()
    if pid == 0:
        os._exit(0 if read(source, shard_id) == b"abc" * 1000 else 1)

    assert found == [(b"abc" * 20)[i % 3 : i % 3 + 3] for i in range(50)]
    assert again == source
    assert hash(again) == hash(source)
    assert read(again, shard_id) == b"abc" * 1000
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("how", ["ordered", "shuffled"])
def test_a_dataset_is_read_over_a_bad_line(
    s3_bucket: Bucket, s3_server: S3Server, settings: S3Settings, tmp_path: Path, how: str
) -> None:
    """Reading in order or shuffled gives each sample once, while connections are cut."""
    samples = [atdata.DictSample(n=i, x=os.urandom(2000)) for i in range(200)]
    ds = atdata.write_samples(samples, tmp_path / "d.tar", maxcount=60)
    for shard in ds.list_shards():
        data = Path(shard).read_bytes()
        found = s3.Object(settings, s3_bucket.bucket, Path(shard).name)
        s3_upload.put_file(found, Path(shard), hashlib.sha256(data).hexdigest())
    with Proxy(s3_server.port) as proxy:
        proxy.fault = Fault(cut_after=40_000, times=4)
        away = settings.with_place(endpoint=f"http://127.0.0.1:{proxy.port}")
        url = f"s3://{s3_bucket.bucket}/d-{{000000..000003}}.tar"
        there = Dataset(S3Source.with_settings(url, away))

        read = list(there if how == "ordered" else there.shuffled(seed=2))

        assert proxy.n_struck == 4
    assert len(there) == 200
    assert sorted((s.n, s.x) for s in read) == [(s.n, s.x) for s in samples]
    assert ([s.n for s in read] == list(range(200))) is (how == "ordered")


def test_an_address_is_a_dataset(
    s3_bucket: Bucket, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With keys in the environment, `s3://` is written where a path may be."""
    ds = atdata.write_samples([atdata.DictSample(n=i) for i in range(9)], tmp_path / "d.tar")
    put("set/d.tar", Path(ds.list_shards()[0]).read_bytes())
    for name, value in s3_bucket.credentials.items():
        monkeypatch.setenv(name, value)

    there = Dataset(f"s3://{s3_bucket.bucket}/set/d.tar")

    assert [s.n for s in there] == list(range(9))
    assert sorted(s.n for s in there.shuffled(seed=0)) == list(range(9))


def test_places_of_several_kinds_are_joined_in_order(tmp_path: Path) -> None:
    """Files, buckets and sources follow each other as they were given."""
    source = joined(
        [
            tmp_path / "a{1}.tar",
            "s3://one/b.tar",
            "s3://one/c.tar",
            "s3://two/d.tar",
            S3Source("three", ["e.tar"]),
            "https://example.org/f.tar",
        ]
    )

    assert isinstance(source, JoinedSource)
    assert source.list_shards() == [
        f"{tmp_path}/a{{1}}.tar",
        *("s3://one/b.tar", "s3://one/c.tar", "s3://two/d.tar", "s3://three/e.tar"),
        "https://example.org/f.tar",
    ]
    assert len(source.sources) == 5
    assert source.local_path(f"{tmp_path}/a{{1}}.tar") == tmp_path / "a{1}.tar"
    assert source.local_path("s3://one/b.tar") is None
    assert pickle.loads(pickle.dumps(source)) == source
    with pytest.raises(KeyError, match="Shard not found"):
        source.open_shard("s3://one/z.tar")
    with pytest.raises(ValueError, match="no shards"):
        joined([])


def test_a_source_without_parts_is_read_as_a_stream(tmp_path: Path) -> None:
    """What joins sources promises no more than each of them can do."""
    ds = atdata.write_samples([atdata.DictSample(n=i) for i in range(9)], tmp_path / "d.tar")
    path = Path(ds.list_shards()[0])

    class Plain:
        def list_shards(self) -> list[str]:
            return ["plain"]

        def open_shard(self, shard_id: str) -> BinaryIO:
            assert shard_id == "plain"
            return path.open("rb")

    both = Dataset(joined([Plain(), path]))

    assert [s.n for s in both] == [*range(9), *range(9)]
    assert sorted(s.n for s in both.shuffled(seed=1)) == sorted([*range(9), *range(9)])
