"""Signatures of S3 requests, against those that the format's documentation shows."""

from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qs, urlsplit

import pytest

from atdata.transport import signing
from atdata.transport.credentials import S3Settings

# From the documentation of AWS Signature Version 4 for Amazon S3.
EXAMPLE = S3Settings(
    access_key="AKIAIOSFODNN7EXAMPLE", secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)
NOW = datetime(2013, 5, 24, tzinfo=UTC)
BUCKET = "https://examplebucket.s3.amazonaws.com"


@pytest.mark.parametrize(
    ("path", "query", "headers", "signature"),
    [
        (
            "/test.txt",
            {},
            {"range": "bytes=0-9"},
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "/",
            {"prefix": "J", "max-keys": "2"},
            {},
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
        (
            "/",
            {"lifecycle": ""},
            {},
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
    ],
)
def test_a_request_is_signed_as_documented(
    path: str, query: dict[str, str], headers: dict[str, str], signature: str
) -> None:
    """The documentation's requests get the documentation's signatures."""
    sent = signing.signed(
        "GET",
        BUCKET + path,
        EXAMPLE,
        query=query,
        headers=headers,
        payload=signing.EMPTY,
        now=NOW.astimezone(timezone(timedelta(hours=9))),
    )

    assert sent["authorization"].endswith(f"Signature={signature}")
    assert sent["x-amz-date"] == "20130524T000000Z"


def test_an_address_is_signed_as_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    """The documentation's address, which holds for a day, gets its signature."""
    monkeypatch.setattr(signing, "_LONGEST", 86400)

    url = signing.presigned(f"{BUCKET}/test.txt", EXAMPLE, now=NOW)

    query = parse_qs(urlsplit(url).query)
    assert query["X-Amz-Signature"] == [
        "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    ]
    assert query["X-Amz-Credential"] == ["AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"]


def test_temporary_keys_bring_their_token() -> None:
    """A session token is sent and signed, in an address and in headers."""
    temporary = S3Settings(access_key="me", secret_key="mine", session_token="to/day+=")

    url = signing.presigned(f"{BUCKET}/a", temporary, now=NOW)
    sent = signing.signed(
        "PUT", f"{BUCKET}/a", temporary, query={}, headers={}, payload=signing.EMPTY, now=NOW
    )

    assert parse_qs(urlsplit(url).query)["X-Amz-Security-Token"] == ["to/day+="]
    assert sent["x-amz-security-token"] == "to/day+="
    assert "x-amz-security-token" in sent["authorization"]


def test_without_keys_nothing_is_signed() -> None:
    """An anonymous request is sent as it is."""
    anonymous = S3Settings()

    assert signing.presigned(f"{BUCKET}/a", anonymous, now=NOW) == f"{BUCKET}/a"
    assert signing.signed(
        "GET", f"{BUCKET}/a", anonymous, query={}, headers={"x": "y"}, payload="", now=NOW
    ) == {"x": "y"}


@pytest.mark.parametrize(
    ("settings", "bucket", "url"),
    [
        (S3Settings(), "b", "https://b.s3.us-east-1.amazonaws.com/k"),
        (S3Settings(), "a.b", "https://s3.us-east-1.amazonaws.com/a.b/k"),
        (S3Settings(region="cn-north-1"), "b", "https://b.s3.cn-north-1.amazonaws.com.cn/k"),
        (S3Settings(path_style=True), "b", "https://s3.us-east-1.amazonaws.com/b/k"),
        (S3Settings("http://127.0.0.1:9/"), "b", "http://127.0.0.1:9/b/k"),
        (S3Settings("https://example.org/s3"), "b", "https://example.org/s3/b/k"),
        (S3Settings("https://example.org", path_style=False), "b", "https://b.example.org/k"),
    ],
)
def test_a_bucket_has_a_place(settings: S3Settings, bucket: str, url: str) -> None:
    """The bucket stands in the host name or in the path, by the server's kind or as asked."""
    assert signing.place(settings, bucket, "k") == url
