"""Shards in a bucket of an S3 server."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Self

from atdata._exceptions import ShardNotFoundError, printable
from atdata.model.shard import beside
from atdata.shard import names
from atdata.sources import sidecars
from atdata.transport import s3
from atdata.transport.credentials import S3Settings, from_env, from_mapping, settings_of
from atdata.transport.s3 import Object


@dataclass(frozen=True, repr=False)
class S3Source:
    """Shards of a bucket, read with the keys that are given here, and never with others.

    Without keys, requests are anonymous. Reading waits and tries again, goes on where a
    connection was cut, and never takes a part for the whole. A source may be used by several
    threads, after a fork, and in other processes; pickled, it holds its keys.

    Attributes:
        bucket: The bucket.
        keys: The shards' keys, in reading order, as they stand: nothing in them is expanded.
        endpoint: The server's address; None for Amazon's.
        access_key: The access key.
        secret_key: The secret key.
        region: The region.
        session_token: What temporary keys come with.
        path_style: Whether the bucket stands in the path; None: see `S3Settings`.

    Examples:
        >>> source = S3Source("shards", ["mnist/a.tar"], access_key="me", secret_key="mine")
        >>> source
        S3Source('s3://shards/mnist/a.tar')
        >>> source.list_shards()
        ['s3://shards/mnist/a.tar']
    """

    bucket: str
    keys: Sequence[str]
    endpoint: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    region: str | None = None
    session_token: str | None = field(default=None, repr=False)
    path_style: bool | None = None

    def __post_init__(self) -> None:
        s3.check_bucket(self.bucket)
        if isinstance(self.keys, str):
            raise TypeError("keys is a list of keys, not one str")
        object.__setattr__(self, "keys", list(self.keys))
        _ = self._objects  # checks what was given

    @classmethod
    def from_urls(
        cls,
        urls: str | Sequence[str],
        *,
        endpoint: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        region: str | None = None,
        session_token: str | None = None,
        path_style: bool | None = None,
    ) -> Self:
        """A source for addresses in one bucket; braces stand for many, as in `URLSource`.

        Args:
            urls: One address or several, such as `"s3://shards/mnist-{000..009}.tar"`.
            endpoint: The server's address; None for Amazon's.
            access_key: The access key.
            secret_key: The secret key.
            region: The region.
            session_token: What temporary keys come with.
            path_style: Whether the bucket stands in the path.

        Raises:
            ValueError: There are none, one is no address of an object, or buckets differ.

        Examples:
            >>> S3Source.from_urls("s3://shards/a-{0..1}.tar").keys
            ['a-0.tar', 'a-1.tar']
        """
        settings = S3Settings(endpoint, region, access_key, secret_key, session_token, path_style)
        return cls.with_settings(urls, settings)

    @classmethod
    def from_credentials(
        cls, credentials: Mapping[str, str] | str | Path, bucket: str, keys: Sequence[str]
    ) -> Self:
        """A source with credentials that have the names of environment variables.

        Args:
            credentials: A mapping with `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and so on,
                which may lack both keys, or the path of a file of such lines.
            bucket: The bucket.
            keys: The shards' keys.

        Raises:
            ValueError: One of the two keys is missing, or the file has none.

        Examples:
            >>> credentials = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "mine"}
            >>> S3Source.from_credentials(credentials, "shards", ["a.tar"]).access_key
            'me'
        """
        settings = (
            from_mapping(credentials, anonymous=True)
            if isinstance(credentials, Mapping)
            else settings_of(credentials)
        )
        return cls.of(bucket, keys, settings)

    @classmethod
    def from_prefix(cls, url: str, settings: S3Settings | None = None) -> Self:
        """A source for all `.tar` files that lie under an address now, numbers in their order.

        Args:
            url: What the addresses begin with, such as `"s3://shards/mnist/"`.
            settings: Where the server is and who asks it; None: Amazon's, anonymously.

        Raises:
            ValueError: There is no such file.
            SourceError: The server refused or failed.
        """
        asked = settings or S3Settings()
        bucket, _ = s3.split_url(url)
        found = (one.key for one in s3.list_objects(url, asked))
        keys = sorted((key for key in found if key.endswith(".tar")), key=names.natural)
        if not keys:
            raise ValueError(f"no .tar files lie under {printable(url)}")
        return cls.of(bucket, keys, asked)

    @classmethod
    def from_env(cls, urls: str | Sequence[str]) -> Self:
        """A source with the keys, the endpoint and the region that the environment names.

        `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_ENDPOINT` (or
        `AWS_ENDPOINT_URL`) and `AWS_REGION` (or `AWS_DEFAULT_REGION`); without the first two,
        requests are anonymous. This is what `Dataset("s3://…")` does.

        Raises:
            ValueError: As for `from_urls`, or one of the two keys is there without the other.

        Examples:
            >>> S3Source.from_env(["s3://shards/a.tar", "s3://shards/b.tar"])
            S3Source('s3://shards/a.tar', 's3://shards/b.tar')
        """
        return cls.with_settings(urls, from_env())

    @classmethod
    def with_settings(cls, urls: str | Sequence[str], settings: S3Settings) -> Self:
        """A source for addresses in one bucket; braces stand for many.

        Raises:
            ValueError: As for `from_urls`.

        Examples:
            >>> S3Source.with_settings("s3://shards/a.tar", S3Settings(region="eu-west-1")).region
            'eu-west-1'
        """
        given = [urls] if isinstance(urls, str) else list(urls)
        if not given:
            raise ValueError("the list of URLs cannot be empty")
        buckets: list[str] = []
        keys: list[str] = []
        for one in given:
            for url in names.expand(one, limit=names.DEFAULT_LIMIT - len(keys)):
                bucket, key = s3.split_url(url)
                if not key:
                    raise ValueError(f"Not an S3 URL of an object (no key): {printable(url)}")
                buckets.append(bucket)
                keys.append(key)
        if len(set(buckets)) > 1:
            shown = ", ".join(sorted(set(buckets))[:5])
            raise ValueError(f"All URLs must be in the same bucket, and these are in {shown}")
        return cls.of(buckets[0], keys, settings)

    @classmethod
    def of(cls, bucket: str, keys: Sequence[str], settings: S3Settings) -> Self:
        """A source for keys as they stand, with settings as one value.

        Examples:
            >>> S3Source.of("shards", ["a{1,2}.tar"], S3Settings())
            S3Source('s3://shards/a{1,2}.tar')
        """
        return cls(
            bucket,
            keys,
            settings.endpoint,
            settings.access_key,
            settings.secret_key,
            settings.region,
            settings.session_token,
            settings.path_style,
        )

    @cached_property
    def _objects(self) -> dict[str, Object]:
        settings = S3Settings(
            self.endpoint,
            self.region,
            self.access_key,
            self.secret_key,
            self.session_token,
            self.path_style,
        )
        every = (Object(settings, self.bucket, key) for key in self.keys)
        return {one.url: one for one in every}

    def list_shards(self) -> list[str]:
        """The shards' addresses, in reading order.

        Examples:
            >>> S3Source("shards", ["b.tar", "a.tar"]).list_shards()
            ['s3://shards/b.tar', 's3://shards/a.tar']
        """
        return [f"s3://{self.bucket}/{key}" for key in self.keys]

    @property
    def shards(self) -> Iterator[tuple[str, BinaryIO]]:
        """Each shard's address and its open stream, which is the caller's to close."""
        for shard_id in self.list_shards():
            yield shard_id, self.open_shard(shard_id)

    def open_shard(self, shard_id: str) -> BinaryIO:
        """Open a shard for reading from its first byte; the caller closes it.

        Raises:
            KeyError: The source has no such shard.
            ShardNotFoundError: There is no such object.
            SourceError: The server refused or failed; also while reading.

        Examples:
            >>> S3Source("shards", ["a.tar"]).open_shard("s3://shards/b.tar")
            Traceback (most recent call last):
            KeyError: 'Shard not found: s3://shards/b.tar'
        """
        return s3.open_object(self._object(shard_id))

    def local_path(self, shard_id: str) -> None:
        """None: no shard is a file of this machine."""
        self._object(shard_id)

    def shard_size(self, shard_id: str) -> int:
        """The shard's size in bytes."""
        return s3.size(self._object(shard_id))

    def read_range(self, shard_id: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start`; a negative `start` counts from the end.

        Raises:
            ShardError: The shard does not hold those bytes.
        """
        return s3.read_range(self._object(shard_id), start, length)

    def shard_version(self, shard_id: str) -> str | None:
        """What names a shard's bytes from one process to the next: server, ETag and size."""
        version = s3.version(self._object(shard_id))
        return None if version is None else f"{self.endpoint or ''} {version}"

    def read_sidecar(self, shard_id: str, suffix: str) -> bytes | None:
        """What lies beside a shard under its key with a suffix, or None if nothing does.

        Args:
            shard_id: The shard.
            suffix: Such as `".manifest.json"`: beside `a.tar` lies `a.manifest.json`.

        Raises:
            KeyError: The source has no such shard.
            SourceError: The server refused or failed, or the object is too long to be a sidecar.
                A refusal (403) is not an absence: who may not list a bucket is refused what is
                not there, too.
        """
        shard = self._object(shard_id)
        found = Object(shard.settings, shard.bucket, beside(shard.key, suffix))
        try:
            stream = s3.open_object(found)
        except ShardNotFoundError:
            return None
        with stream:
            return sidecars.read_whole(stream, found.url)

    def __repr__(self) -> str:
        shown = ", ".join(repr(printable(url)) for url in self.list_shards()[:3])
        return f"S3Source({shown}{', …' if len(self.keys) > 3 else ''})"

    def __hash__(self) -> int:
        return hash((self.bucket, tuple(self.keys), self.endpoint, self.access_key))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (
            self.bucket,
            self.keys,
            self.endpoint,
            self.access_key,
            self.secret_key,
            self.region,
            self.session_token,
            self.path_style,
        )

    def _object(self, shard_id: str) -> Object:
        try:
            return self._objects[shard_id]
        except KeyError:
            raise KeyError(f"Shard not found: {printable(shard_id)}") from None
