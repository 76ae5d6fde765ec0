"""Objects of S3 servers: read in part and as streams, listed and deleted.

Requests are signed by us and travel over `http`, so that they wait, resume and cross a fork as all
others do. (Clients that keep threads of their own, as those on tokio do, hang in a process that
was forked; data loaders fork.) Nothing is taken from the environment.
"""

import io
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO
from urllib.parse import unquote_plus

from atdata._exceptions import ShardError, ShardNotFoundError, SourceError
from atdata.model.shard import StoredObject
from atdata.transport import http, signing
from atdata.transport import s3_request as request
from atdata.transport.credentials import S3Settings
from atdata.transport.http import Patience

_MOST_KEY = 1024  # bytes: what S3 allows
_BUFFER = 256 << 10
_PAGE = 1000  # what S3 gives at most
_PATIENCE = Patience()
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]", re.ASCII)
SHA256 = "x-amz-meta-sha256"
"""The header of an object's metadata that holds its digest."""


@dataclass(frozen=True, slots=True)
class Object:
    """Something in a bucket.

    Attributes:
        settings: Where the server is and who asks it.
        bucket: The bucket.
        key: Its key.

    Examples:
        >>> Object(S3Settings(), "shards", "mnist/a.tar").url
        's3://shards/mnist/a.tar'
    """

    settings: S3Settings
    bucket: str
    key: str

    def __post_init__(self) -> None:
        check_bucket(self.bucket)
        if not self.key or len(self.key.encode("utf-8", "surrogatepass")) > _MOST_KEY:
            raise ValueError(f"a key of a bucket has 1 to {_MOST_KEY} bytes: {self.key[:40]!a}")
        if any(part in {".", ".."} for part in self.key.split("/")) or "\0" in self.key:
            raise ValueError(f"a key may not hold '.' or '..' between slashes: {self.key[:200]!a}")

    @property
    def url(self) -> str:
        """Its address, for people."""
        return f"s3://{self.bucket}/{self.key}"

    @property
    def place(self) -> str:
        """Its web address, without a signature."""
        return signing.place(self.settings, self.bucket, self.key)


@dataclass(frozen=True, slots=True)
class Head:
    """What a server says of an object.

    Attributes:
        n_bytes: Its size.
        etag: What names its bytes, in the server's words.
        sha256: The digest that was given when it was put, or None.
    """

    n_bytes: int
    etag: str
    sha256: str | None


def check_bucket(bucket: object) -> str:
    """Check a bucket's name.

    Raises:
        TypeError: It is no text.
        ValueError: No bucket is called so.

    Examples:
        >>> check_bucket("my-shards")
        'my-shards'
        >>> check_bucket("a/b")
        Traceback (most recent call last):
        ValueError: 'a/b' is no bucket's name; letters, digits and . _ - are allowed
    """
    if not isinstance(bucket, str):
        raise TypeError(f"a bucket's name is a str, not {type(bucket).__name__}")
    if not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise ValueError(
            f"{bucket[:80]!a} is no bucket's name; letters, digits and . _ - are allowed"
        )
    return bucket


def split_url(url: str) -> tuple[str, str]:
    """Bucket and key of an `s3://` address; the key as it stands, without unescaping.

    Raises:
        ValueError: It is no such address.

    Examples:
        >>> split_url("s3://shards/mnist/a%20b.tar")
        ('shards', 'mnist/a%20b.tar')
    """
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme.lower() != "s3" or not bucket:
        raise ValueError(f"Not an S3 URL: {url[:200]!a}; write s3://bucket/key")
    return check_bucket(bucket), key


def open_object(found: Object, *, patience: Patience = _PATIENCE) -> BinaryIO:
    """Open an object for reading; a connection that is cut is taken up where it was.

    Args:
        found: The object.
        patience: How long to wait.

    Raises:
        ShardNotFoundError: There is no such object.
        SourceError: The server refused or failed; also while reading.
    """
    with _told(found):
        inner = http.open_url(
            _signed_url(found), patience=patience, same_host=found.settings.is_signed
        )
    return io.BufferedReader(_Stream(inner, found), _BUFFER)


def size(found: Object) -> int:
    """How many bytes an object has.

    Raises:
        ShardNotFoundError: There is no such object.
        SourceError: The server refused or failed.
    """
    with _told(found):
        return http.size(_signed_url(found), same_host=found.settings.is_signed)


def version(found: Object) -> str | None:
    """What names an object's bytes: its ETag with its size; None where the server gives none.

    Raises:
        ShardNotFoundError: There is no such object.
        SourceError: The server refused or failed.
    """
    with _told(found):
        return http.version(_signed_url(found), same_host=found.settings.is_signed)


def read_range(found: Object, start: int, length: int) -> bytes:
    """Exactly `length` bytes of an object; a negative `start` counts from the end.

    Raises:
        ShardError: It does not hold those bytes.
        ShardNotFoundError: There is no such object.
        SourceError: The server refused or failed.
    """
    with _told(found):
        return http.read_range(
            _signed_url(found), start, length, same_host=found.settings.is_signed
        )


def head(found: Object) -> Head | None:
    """What the server says of an object; None if there is none.

    Raises:
        SourceError: The server refused or failed.
    """
    reply = request.ask(found.settings, "HEAD", found.place, shown=found.url)
    if reply.status == 404:
        return None
    request.require(reply, found.url, 200)
    length = reply.headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()):
        raise SourceError(found.url, "the server does not say how long it is", status=200)
    sha256 = reply.headers.get(SHA256)
    return Head(int(length), reply.headers.get("etag", ""), sha256)


def list_objects(url_prefix: str, settings: S3Settings) -> Iterator[StoredObject]:
    """What lies in a bucket under keys that begin so, in the server's order.

    Args:
        url_prefix: Such as `"s3://bucket/mnist/"`; with nothing after the bucket, all of it.
        settings: Where the server is and who asks it.

    Yields:
        Each object; its `key` is its whole key in the bucket.

    Raises:
        ValueError: It is no `s3://` address.
        SourceError: The server refused or failed, there is no such bucket, or the listing has no
            end: more than a million objects, or the same or empty pages again and again.
    """
    bucket, prefix = split_url(url_prefix)
    query = {"list-type": "2", "prefix": prefix, "encoding-type": "url", "max-keys": str(_PAGE)}
    place = signing.place(settings, bucket)
    pages = request.Pages(url_prefix)
    while True:
        reply = request.ask(settings, "GET", place, query=query, shown=url_prefix)
        request.require(reply, url_prefix, 200)
        root = request.xml(reply.body, "ListBucketResult", url_prefix)
        for entry in root.iter("Contents"):
            key = unquote_plus(entry.findtext("Key", ""))
            if key.startswith(prefix):
                pages.count()
                yield StoredObject(key, request.number(entry, "Size"), request.modified(entry))
        token = root.findtext("NextContinuationToken", "")
        if root.findtext("IsTruncated") != "true":
            return
        pages.turn(token)
        query["continuation-token"] = token


def delete(found: Object) -> None:
    """Delete an object; nothing happens where there is none.

    Raises:
        SourceError: The server refused or failed.
    """
    reply = request.ask(found.settings, "DELETE", found.place, shown=found.url)
    if reply.status != 404 or request.said(reply)[0] == "NoSuchBucket":
        request.require(reply, found.url, 200, 204)


class _Stream(io.RawIOBase):
    """A stream whose errors name the object."""

    def __init__(self, inner: BinaryIO, found: Object) -> None:
        self._inner = inner
        self._found = found

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        with _told(self._found):
            data = self._inner.read1(len(buffer))  # type: ignore[attr-defined]  # buffered
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._inner.close()
        super().close()


def _signed_url(found: Object) -> str:
    return signing.presigned(found.place, found.settings, now=datetime.now(UTC))


@contextmanager
def _told(found: Object) -> Generator[None]:
    """Let errors name the object, and no signature."""
    shown = found.url
    try:
        yield
    except ShardNotFoundError as error:
        raise ShardNotFoundError(shown, "there is no such object") from error
    except ShardError as error:
        raise ShardError(shown, error.reason, offset=error.offset) from error
    except SourceError as error:
        if error.status in {301, 307, 400, 401, 403}:
            raise request.refusal(error.status, shown) from error
        raise SourceError(shown, error.reason, status=error.status) from error
