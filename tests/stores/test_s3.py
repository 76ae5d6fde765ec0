"""Shards in a bucket of a real server: what any store promises, and what becomes of trouble."""

import hashlib
import pickle
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import S3Store
from tests.http_server import serving

import atdata
from atdata._exceptions import RecordExistsError, SourceError, StorageError
from atdata._protocols import SupportsStaging
from atdata.model.shard import StoredShard
from atdata.services import Bucket, S3Server
from atdata.services.proxy import Fault, Proxy
from atdata.sources.s3 import S3Source
from atdata.stores import S3DataStore
from atdata.testing.stores import DataStoreSuite, contents, finished, keys
from atdata.transport import http, s3, s3_request, s3_upload
from atdata.transport.http import Patience
from atdata.transport.retry import Backoff


class TestS3(DataStoreSuite):
    """The suite, on OpenStack Swift, which does not decide between two writers at once."""

    decides_at_once = False

    @pytest.fixture
    def store(self, s3_bucket: Bucket) -> S3DataStore:
        return S3DataStore(s3_bucket.credentials, bucket=s3_bucket.bucket, prefix="team/data")


@pytest.fixture
def store(s3_bucket: Bucket) -> S3DataStore:
    return S3DataStore(s3_bucket.credentials, bucket=s3_bucket.bucket)


@pytest.fixture
def other(s3_bucket: Bucket) -> S3Store:
    """The same bucket through a client that is not ours."""
    return S3Store(
        s3_bucket.bucket,
        endpoint=s3_bucket.endpoint,
        access_key_id=s3_bucket.access_key,
        secret_access_key=s3_bucket.secret_key,
        region=s3_bucket.region,
        client_options={"allow_http": True},
    )


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[Proxy]:
    """A proxy before the server."""
    with Proxy(s3_server.port) as proxy:
        yield proxy


@pytest.fixture
def through(proxy: Proxy, store: S3DataStore) -> S3DataStore:
    """The store through the proxy."""
    endpoint = f"http://127.0.0.1:{proxy.port}"
    return S3DataStore(store.settings.with_place(endpoint=endpoint), bucket=store.bucket)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up after a few short waits."""
    backoff = Backoff(retries=3, first=0.01, longest=0.02)
    monkeypatch.setattr(s3_request, "_PATIENCE", Patience(connect=2, read=2, backoff=backoff))


def test_another_client_reads_what_was_put(
    store: S3DataStore, other: S3Store, tmp_path: Path
) -> None:
    """The object has the bytes, and its digest as metadata."""
    shard = finished(tmp_path / "a.tar", b"abc" * 1000)

    store.put(shard, key="set/a.tar")

    found = obstore.get(other, "set/a.tar")
    assert found.attributes["sha256"] == shard.sha256
    assert bytes(found.bytes()) == b"abc" * 1000


def test_a_large_shard_is_put_in_parts(store: S3DataStore, other: S3Store, tmp_path: Path) -> None:
    """More than one part goes up at once, and the whole is what was finished."""
    data = bytes(range(256)) * (20 << 12)
    shard = finished(tmp_path / "a.tar", data)

    store.put(shard, key="set/a.tar")

    assert len(data) > 16 << 20
    assert hashlib.sha256(obstore.get(other, "set/a.tar").bytes()).hexdigest() == shard.sha256
    assert str(obstore.head(other, "set/a.tar")["e_tag"]).strip('"').endswith("-2")


def test_a_large_shard_under_a_key_that_is_taken_is_refused(
    store: S3DataStore, tmp_path: Path
) -> None:
    """An upload in parts replaces nothing, and leaves no parts."""
    found = s3.Object(store.settings, store.bucket, "set/a.tar")
    shard = finished(tmp_path / "a.tar", b"abc" * (4 << 20))
    store.put(finished(tmp_path / "b.tar", b"other"), key="set/a.tar")

    with pytest.raises(s3_upload.ExistsError):
        s3_upload.put_file(found, shard.path, shard.sha256 or "", part=5 << 20)
    with pytest.raises(RecordExistsError):
        store.put(shard, key="set/a.tar")

    assert keys(store) == ["set/a.tar"]
    assert contents(store.source([StoredShard("set/a.tar")])) == [b"other"]


def test_a_large_shard_that_changed_leaves_no_parts(store: S3DataStore, tmp_path: Path) -> None:
    """Parts that do not make what was finished are given up."""
    shard = finished(tmp_path / "a.tar", b"abc" * (8 << 20))
    shard.path.write_bytes(b"abd" * (8 << 20))

    with pytest.raises(StorageError, match="not what it was"):
        store.put(shard, key="set/a.tar")

    assert keys(store) == []


def test_an_upload_that_was_never_finished_is_found_and_removed(
    store: S3DataStore, tmp_path: Path
) -> None:
    """What a killed upload leaves on the server has a name that `remove` takes."""
    place = s3.signing.place(store.settings, store.bucket, "set/a.tar")
    for _ in range(2):
        s3_request.ask(store.settings, "POST", place, query={"uploads": ""}, shown="a test")

    left = keys(store, "set/")

    assert len(left) == 2
    assert all(key.startswith("set/a.tar?uploadId=") for key in left)
    assert keys(store, "other/") == []
    for key in left:
        store.remove(key)
        store.remove(key)
    assert keys(store) == []


def test_a_bucket_that_is_not_there_is_an_error(s3_bucket: Bucket, tmp_path: Path) -> None:
    """Nothing is said to be kept that is not; nor listed, nor removed."""
    store = S3DataStore(s3_bucket.credentials, bucket="typo-bucket")
    shard = finished(tmp_path / "a.tar", b"abc")
    large = finished(tmp_path / "b.tar", b"abc" * (6 << 20))

    for act in (
        lambda: store.put(shard, key="set/a.tar"),
        lambda: store.put(large, key="set/b.tar"),
        lambda: keys(store),
        lambda: store.remove("set/a.tar"),
    ):
        with pytest.raises(StorageError, match="(?s)NoSuchBucket.*Make the bucket"):
            act()


def test_wrong_keys_are_an_error_that_does_not_show_them(
    s3_bucket: Bucket, tmp_path: Path
) -> None:
    """A signature that the server refuses is told with the server's word for it, and no secret."""
    wrong = {**s3_bucket.credentials, "AWS_SECRET_ACCESS_KEY": "not-the-secret"}
    store = S3DataStore(wrong, bucket=s3_bucket.bucket)
    shard = finished(tmp_path / "a.tar", b"abc")

    with pytest.raises(StorageError, match="403.*SignatureDoesNotMatch") as refused:
        store.put(shard, key="set/a.tar")

    shown = f"{refused.value!s} {refused.value!r} {refused.value.__cause__!s} {store!r}"
    assert "not-the-secret" not in shown
    assert "not-the-secret" not in repr([store.settings, store.source([StoredShard("a.tar")])])
    assert "Check the keys" in shown


def test_a_server_that_is_away_is_an_error(
    through: S3DataStore, proxy: Proxy, hasty: None, tmp_path: Path
) -> None:
    """Where nobody answers, nothing is kept and the error says so after a few tries."""
    proxy.fault = Fault(refuse=True)

    with pytest.raises(StorageError, match="tries"):
        through.put(finished(tmp_path / "a.tar", b"abc"), key="set/a.tar")
    with pytest.raises(StorageError, match="tries"):
        keys(through)


@pytest.mark.parametrize("n_bytes", [1000, 24 << 20])
def test_a_put_whose_questions_are_cut_is_tried_again(
    through: S3DataStore, proxy: Proxy, hasty: None, tmp_path: Path, n_bytes: int
) -> None:
    """Connections that break while a shard is sent delay it and change nothing."""
    shard = finished(tmp_path / "a.tar", b"x" * n_bytes)
    proxy.fault = Fault(cut_question=n_bytes // 2, times=2)

    kept = through.put(shard, key="set/a.tar")

    assert proxy.n_struck == 2
    assert contents(through.source([kept])) == [b"x" * n_bytes]
    assert keys(through) == ["set/a.tar"]


@pytest.mark.parametrize("n_bytes", [1000, 24 << 20])
def test_a_put_whose_answers_are_lost_succeeds(
    through: S3DataStore, proxy: Proxy, hasty: None, tmp_path: Path, n_bytes: int
) -> None:
    """What was done though nobody said so is found to be done, whichever answers are lost."""
    for number in range(4):
        shard = finished(tmp_path / "a.tar", bytes([number]) * n_bytes)
        proxy.fault = Fault(cut_after=number * 400, times=1)

        kept = through.put(shard, key=f"set/{number}.tar")

        assert contents(through.source([kept])) == [bytes([number]) * n_bytes]
    proxy.fault = Fault()
    assert [key for key in keys(through) if "?" not in key] == [f"set/{n}.tar" for n in range(4)]


def test_a_put_that_never_gets_through_leaves_nothing(
    through: S3DataStore, store: S3DataStore, proxy: Proxy, hasty: None, tmp_path: Path
) -> None:
    """A shard that is cut each time is an error, and no key shows it."""
    shard = finished(tmp_path / "a.tar", b"x" * (24 << 20))
    proxy.fault = Fault(cut_question=5 << 20)

    with pytest.raises(StorageError):
        through.put(shard, key="set/a.tar")

    assert [key for key in keys(store) if "?" not in key] == []


def test_a_body_that_is_cut_is_read_to_its_end(
    through: S3DataStore, proxy: Proxy, tmp_path: Path
) -> None:
    """Reading goes on where the connection broke, and gives what was put."""
    data = bytes(range(256)) * (1 << 14)
    kept = through.put(finished(tmp_path / "a.tar", data), key="set/a.tar")
    proxy.fault = Fault(cut_after=1 << 20, times=3)

    (found,) = contents(through.source([kept]))

    assert proxy.n_struck == 3
    assert found == data


def test_other_addresses_are_not_read_with_these_keys(
    store: S3DataStore, s3_bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys open their own bucket; another is asked for without any, whatever there is."""
    for name, value in s3_bucket.credentials.items():
        monkeypatch.setenv(name, value)

    mine = store.source([StoredShard("a.tar"), StoredShard(f"s3://{store.bucket}/b{{1}}.tar")])
    others = ["s3://another/b.tar", "S3://another/c.tar", "s3://third/d-{1..2}.tar"]
    mixed: Any = store.source(list(map(StoredShard, ["a.tar", *others, "e.tar"])))

    assert isinstance(mine, S3Source)
    assert mine.keys == ["a.tar", "b{1}.tar"]
    mine_again = (s3_bucket.access_key, s3_bucket.endpoint)
    assert [(one.access_key, one.endpoint) for one in mixed.sources] == [
        *(mine_again, (None, None), (None, None), mine_again)
    ]
    assert mixed.list_shards() == [
        f"s3://{store.bucket}/a.tar",
        *("s3://another/b.tar", "s3://another/c.tar", "s3://third/d-1.tar", "s3://third/d-2.tar"),
        f"s3://{store.bucket}/e.tar",
    ]


def test_only_what_lies_under_the_prefix_is_read_with_these_keys(
    store: S3DataStore, tmp_path: Path
) -> None:
    """An entry that names something else of the bucket does not make the store open it."""
    team = S3DataStore(store.settings, bucket=store.bucket, prefix="team")
    own = team.put(finished(tmp_path / "a.tar", b"own"), key="a.tar")
    store.put(finished(tmp_path / "b.tar", b"secret"), key="teams/b.tar")
    source = team.source([own, StoredShard(f"s3://{store.bucket}/teams/b.tar")])

    mine, others = source.list_shards()
    with source.open_shard(mine) as stream:
        assert stream.read() == b"own"
    with pytest.raises(SourceError, match="40[013]"):
        source.open_shard(others)


def test_what_is_read_without_keys_has_no_signature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is asked anonymously sees nothing of the keys, neither ours nor ambient."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ambient")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ambient-secret")
    given = {"AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "my-secret"}
    with serving(tmp_path) as server:
        server.put("shards/team/a.tar", b"own")
        server.put("shards/other/b.tar", b"public")
        store = S3DataStore(given, bucket="shards", prefix="team", endpoint=server.base)
        source = store.source([StoredShard("a.tar"), StoredShard("s3://shards/other/b.tar")])
        found = contents(source)
        http.close()

    signed, unsigned = server.seen
    assert found == [b"own", b"public"]
    assert "X-Amz-Credential=mine" in signed.path
    assert unsigned.path == "/shards/other/b.tar"
    assert not [name for name in unsigned.headers if name.startswith(("auth", "x-amz"))]


def test_addresses_for_people_have_no_signature(store: S3DataStore, s3_bucket: Bucket) -> None:
    """The web address of a shard holds neither keys nor signatures."""
    expected = f"{s3_bucket.endpoint}/{s3_bucket.bucket}/set/a.tar"

    assert store.public_url("set/a.tar") == expected
    assert store.read_url(store.url("set/a.tar")) == expected
    assert store.read_url("https://example.org/a.tar") == "https://example.org/a.tar"
    assert store.supports_streaming() is True
    assert not isinstance(store, SupportsStaging)
    with pytest.raises(urllib.request.HTTPError) as refused:
        urllib.request.urlopen(expected)
    refused.value.close()


def test_datasets_are_written_read_and_shuffled(
    store: S3DataStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samples go into shards on the server, and come back from there in any order."""
    monkeypatch.setenv("ATDATA_CACHE_DIR", str(tmp_path / "cache"))
    ds = atdata.write_samples([atdata.DictSample(n=i) for i in range(50)], tmp_path / "d.tar")

    urls = store.write_shards(ds, prefix="digits", maxcount=20)

    assert [url.rpartition("-")[2] for url in urls] == ["000000.tar", "000001.tar", "000002.tar"]
    stored = [StoredShard(url, sha256=urls.checksums[url]) for url in urls]
    back = atdata.Dataset(store.source(stored))
    assert [s.n for s in back] == list(range(50))
    assert sorted(s.n for s in back.shuffled(seed=1)) == list(range(50))
    assert [one.key for one in store.list_keys("digits/")] == [
        url.removeprefix(f"s3://{store.bucket}/") for url in urls
    ]


def test_credentials_may_be_a_file_or_the_environment(
    s3_bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All ways to say who asks lead to one store; what is said explicitly wins."""
    lines = "".join(f"{name}={value}\n" for name, value in s3_bucket.credentials.items())
    (tmp_path / "s3.env").write_text(lines)
    direct = S3DataStore(s3_bucket.credentials, bucket="shards")
    for name, value in s3_bucket.credentials.items():
        monkeypatch.setenv(name, value)

    assert S3DataStore(tmp_path / "s3.env", bucket="shards") == direct
    assert S3DataStore(str(tmp_path / "s3.env"), bucket="shards") == direct
    assert S3DataStore(bucket="shards") == direct
    assert S3DataStore(direct.settings, bucket="shards") == direct
    elsewhere = S3DataStore(bucket="shards", endpoint="https://s3.example.org", region="eu-1")
    assert elsewhere.settings == replace(
        direct.settings, endpoint="https://s3.example.org", region="eu-1"
    )
    assert pickle.loads(pickle.dumps(elsewhere)) == elsewhere
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ValueError, match="Missing required keys in the environment"):
        S3DataStore(bucket="shards")
