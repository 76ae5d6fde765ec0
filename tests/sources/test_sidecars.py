"""What lies beside shards: found by the name of the shard wherever it lies, or told to be none."""

import hashlib
import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.http_server import Fault, FileServer

from atdata._exceptions import ShardError, SourceError
from atdata._protocols import DataSource, SupportsSidecars
from atdata.model.shard import SIDECARS, StoredSidecar, beside
from atdata.services import Bucket
from atdata.sources import sidecars
from atdata.sources.joined import JoinedSource, joined
from atdata.sources.s3 import S3Source
from atdata.sources.sidecars import beside_url
from atdata.sources.url import URLSource
from atdata.transport import s3, s3_upload
from atdata.transport.credentials import S3Settings, settings_of

JSON, PARQUET = SIDECARS


@pytest.mark.parametrize(
    ("shard", "expected"),
    [
        ("a.tar", "a.manifest.json"),
        ("v1.0-data-000000.tar", "v1.0-data-000000.manifest.json"),
        ("x.tar.gz", "x.tar.gz.manifest.json"),
        ("x.tar.tar", "x.tar.manifest.json"),
        ("tar", "tar.manifest.json"),
        ("atar", "atar.manifest.json"),
        ("a.TAR", "a.TAR.manifest.json"),
    ],
)
def test_only_a_tar_at_the_end_of_a_name_is_left_out(
    shard: str, expected: str, tmp_path: Path
) -> None:
    """Dots in a name stay, and so do endings that say how a shard is compressed."""
    (tmp_path / expected).write_bytes(b"{}")
    source = URLSource(tmp_path / shard)

    assert beside(shard, JSON) == expected
    assert source.read_sidecar(str(tmp_path / shard), JSON) == b"{}"
    assert source.read_sidecar(str(tmp_path / shard), PARQUET) is None


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.sampled_from(SIDECARS))
def test_no_two_shards_of_a_store_have_one_name_beside_them(name: str, suffix: str) -> None:
    """From the name of what lies beside `….tar`, the shard's name follows."""
    assert beside(f"{name}.tar", suffix).removesuffix(suffix) == name


@pytest.mark.parametrize(
    "suffix", ["", "json", "/../x.json", ".a/b", ".", ".JSON", ".a..b", ".a\n"]
)
def test_what_is_no_suffix_is_refused(suffix: str, tmp_path: Path) -> None:
    """A suffix leads to no other folder."""
    source = URLSource(tmp_path / "a.tar")

    with pytest.raises(ValueError, match="is no suffix"):
        source.read_sidecar(source.list_shards()[0], suffix)


def test_files_of_this_machine_are_found_by_every_spelling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path, a relative path, and a `file:` address with escapes lead to the same file."""
    (tmp_path / "a b.manifest.json").write_bytes(b"{}")
    monkeypatch.chdir(tmp_path)
    spellings = ["a b.tar", str(tmp_path / "a b.tar"), f"file://{tmp_path}/a%20b%2Etar"]

    assert [URLSource(one).read_sidecar(one, JSON) for one in spellings] == [b"{}"] * 3


def test_what_is_no_file_is_not_absent(tmp_path: Path) -> None:
    """A folder of that name is an error, and so is a shard that the source does not have."""
    (tmp_path / "a.manifest.json").mkdir()
    source = URLSource(tmp_path / "a.tar")

    with pytest.raises(SourceError, match="not a regular file"):
        source.read_sidecar(str(tmp_path / "a.tar"), JSON)
    with pytest.raises(KeyError, match="Shard not found"):
        source.read_sidecar("b.tar", JSON)


def test_a_file_too_long_to_be_a_sidecar_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not read to its end; one of just that length is."""
    monkeypatch.setattr(sidecars, "LONGEST", 10)
    (tmp_path / "a.manifest.json").write_bytes(b"x" * 11)
    (tmp_path / "a.manifest.parquet").write_bytes(b"x" * 10)
    source = URLSource(tmp_path / "a.tar")

    with pytest.raises(SourceError, match="more than 10 bytes"):
        source.read_sidecar(str(tmp_path / "a.tar"), JSON)
    assert source.read_sidecar(str(tmp_path / "a.tar"), PARQUET) == b"x" * 10


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://x.org/a.tar", "https://x.org/a.manifest.json"),
        ("https://me:pw@x.org:8443/d/a.tar#top", "https://me:pw@x.org:8443/d/a.manifest.json"),
        ("https://x.org/d/v1.0%20a.tar?token=a/b.tar", "https://x.org/d/v1.0%20a.manifest.json?token=a/b.tar"),
        ("https://x.org/a%2Etar", "https://x.org/a.manifest.json"),
        ("https://x.org/%C3%A4%2ft%2etar", "https://x.org/%C3%A4%2Ft.manifest.json"),
        ("https://x.org/a.tar.gz", "https://x.org/a.tar.gz.manifest.json"),
        ("https://x.org/a.tar?sv=1&sr=c&sig=0f", "https://x.org/a.manifest.json?sv=1&sr=c&sig=0f"),
        ("https://x.org/a.tar?sv=1&sr=b&sig=0f", None),
        ("https://x.org/a.tar?X-Amz-Expires=60&X-Amz-Signature=0f", None),
        ("https://x.org/a.tar?x-goog-signature=0f", None),
        ("https://x.org/a.tar?Signature=0f&Key-Pair-Id=me", None),
        ("https://x.org/a.tar?versionId=3", None),
        ("https://x.org/get?file=a.tar", None),
        ("https://x.org", None),
        ("https://x.org/", None),
        ("https://x.org?a.tar", None),
        ("https://x.org/d/", None),
    ],
)  # fmt: skip
def test_web_addresses_are_taken_apart(url: str, expected: str | None) -> None:
    """Queries go along unless they are good for the shard alone; fragments never do."""
    assert beside_url(url, JSON) == expected


def test_files_of_a_web_server(server: FileServer) -> None:
    """What is there is read, what is not is none, and a refusal is an error."""
    url = server.put("d/a b.tar", b"shard").replace(" ", "%20")
    server.put("d/a b.manifest.json", b"{}")
    source = URLSource([url, f"{url}?token=1", f"{url}?X-Amz-Signature=0"])

    assert source.read_sidecar(url, JSON) == b"{}"
    assert source.read_sidecar(url, PARQUET) is None
    assert source.read_sidecar(f"{url}?token=1", JSON) == b"{}"
    n_asked = len(server.seen)
    assert source.read_sidecar(f"{url}?X-Amz-Signature=0", JSON) is None
    assert len(server.seen) == n_asked
    for status in (401, 403):
        server.next(Fault(status=status))
        with pytest.raises(SourceError, match="access is denied"):
            source.read_sidecar(url, JSON)
    server.next(Fault(cut=1), Fault(status=503))
    assert source.read_sidecar(url, JSON) == b"{}"


def test_objects_of_a_bucket(s3_bucket: Bucket, tmp_path: Path) -> None:
    """What is there is read with the keys of the source; without the right keys it is refused."""
    settings = settings_of(s3_bucket.credentials)
    (tmp_path / "file").write_bytes(b"{}")
    found = s3.Object(settings, s3_bucket.bucket, "d/a %41.manifest.json")
    s3_upload.put_file(found, tmp_path / "file", hashlib.sha256(b"{}").hexdigest())
    source = S3Source.of(s3_bucket.bucket, ["d/a %41.tar"], settings)
    (shard_id,) = source.list_shards()

    assert isinstance(source, SupportsSidecars)
    assert source.read_sidecar(shard_id, JSON) == b"{}"
    assert source.read_sidecar(shard_id, PARQUET) is None
    with pytest.raises(KeyError, match="Shard not found"):
        source.read_sidecar("s3://shards/none.tar", JSON)
    wrong = S3Settings(settings.endpoint, settings.region, settings.access_key, "wrong")
    for suffix in SIDECARS:  # a server that refuses says nothing of what is there
        with pytest.raises(SourceError) as refused:
            S3Source.of(s3_bucket.bucket, ["d/a %41.tar"], wrong).read_sidecar(shard_id, suffix)
        assert refused.value.status == 403


class Bare:
    """A source that gives nothing but shards."""

    def list_shards(self) -> list[str]:
        return ["bare"]

    def open_shard(self, shard_id: str) -> object:
        raise KeyError(shard_id)


def test_a_joined_source_asks_the_shards_own(tmp_path: Path) -> None:
    """A source that knows nothing beside its shards has nothing beside them."""
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.manifest.json").write_bytes(name.encode())
    bare: DataSource = Bare()  # type: ignore[assignment]  # never opened here
    source = joined([tmp_path / "a" / "x.tar", bare, tmp_path / "b" / "x.tar"])

    assert isinstance(source, SupportsSidecars)
    assert [source.read_sidecar(one, JSON) for one in source.list_shards()] == [b"a", None, b"b"]
    with pytest.raises(KeyError, match="Shard not found"):
        source.read_sidecar("none", JSON)


def recorded(*facts: tuple[str, bytes]) -> Sequence[StoredSidecar]:
    return [
        StoredSidecar(suffix, len(data), hashlib.sha256(data).hexdigest())
        for suffix, data in facts
    ]


def test_what_is_recorded_is_compared(tmp_path: Path) -> None:
    """Other bytes are refused, by their number or their digest; absent is not other."""
    shard_id = str(tmp_path / "a.tar")
    path = tmp_path / "a.manifest.json"
    path.write_bytes(b"{}")
    facts = recorded((JSON, b"{}"), (PARQUET, b"PAR1"))
    source = JoinedSource([URLSource(Path(shard_id))], recorded={shard_id: facts})
    source = pickle.loads(pickle.dumps(source))

    assert source.read_sidecar(shard_id, JSON) == b"{}"
    assert source.read_sidecar(shard_id, PARQUET) is None
    path.write_bytes(b"[]")
    with pytest.raises(ShardError, match="does not have the SHA-256 that the catalogue says"):
        source.read_sidecar(shard_id, JSON)
    path.write_bytes(b"{ }")
    with pytest.raises(ShardError, match=r"a\.manifest\.json\n.*has 3 bytes, and not the 2"):
        source.read_sidecar(shard_id, JSON)
