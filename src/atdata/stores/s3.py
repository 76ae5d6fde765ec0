"""Shards in a bucket of an S3 server."""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import Any

from atdata._exceptions import (
    AtdataError,
    RecordExistsError,
    ShardError,
    SourceError,
    StorageError,
    redacted,
)
from atdata._protocols import DataSource
from atdata.model.shard import FinishedShard, StoredObject, StoredShard
from atdata.sources.joined import joined
from atdata.sources.s3 import S3Source
from atdata.stores.keys import check_key, check_prefix, check_relative, is_address, with_sidecars
from atdata.stores.together import Kept, put_together
from atdata.stores.writing import Samples, ShardWriteResult, write_shards
from atdata.transport import s3, s3_upload
from atdata.transport.credentials import S3Settings, settings_of
from atdata.transport.gate import scheme_of
from atdata.transport.s3 import Head, Object
from atdata.transport.s3_upload import ExistsError

_UPLOAD = "?uploadId="
"""In a key, what comes before the id of an unfinished upload; no shard's key holds it."""


class S3DataStore:
    """Keeps shards in a bucket, each whole or not at all.

    A key is never given twice on purpose: what is there already is not written over. Where the
    server decides that in one step, as Amazon's does, one of two different shards that are put
    under one key at the same moment is kept and the other refused. Where it does not, such as
    OpenStack Swift, the later of the two may replace the earlier; so give each write keys of its
    own, as `write_shards` and the index do.

    Args:
        credentials: A mapping with the names of environment variables (`AWS_ACCESS_KEY_ID`,
            `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_ENDPOINT`, `AWS_REGION`), or the
            path of a file of such lines. None: the environment, or `profile`.
        bucket: The bucket, which must be there.
        prefix: What all keys in the bucket begin with, such as `"team/datasets"`.
        endpoint: The server's address, rather than that of the credentials.
        region: The region, rather than that of the credentials.
        path_style: Whether the bucket stands in the path and not in the host name; None: where
            there is an endpoint.
        profile: A profile in `~/.aws`, rather than credentials.

    Raises:
        ValueError: Keys are missing, or the bucket or prefix can have no such name.

    Examples:
        >>> credentials = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "mine"}
        >>> store = S3DataStore(credentials, bucket="shards", prefix="team", region="eu-west-1")
        >>> store.url("mnist/a.tar")
        's3://shards/team/mnist/a.tar'
        >>> store
        S3DataStore('s3://shards/team')
    """

    def __init__(
        self,
        credentials: Mapping[str, str] | str | Path | S3Settings | None = None,
        *,
        bucket: str,
        prefix: str = "",
        endpoint: str | None = None,
        region: str | None = None,
        path_style: bool | None = None,
        profile: str | None = None,
    ) -> None:
        found = settings_of(credentials, profile=profile)
        self._settings = found.with_place(endpoint=endpoint, region=region, path_style=path_style)
        self.bucket = s3.check_bucket(bucket)
        self.prefix = f"{check_prefix(prefix.strip('/'))}/" if prefix.strip("/") else ""

    @property
    def settings(self) -> S3Settings:
        """Where the server is and who asks it; its repr shows no secrets."""
        return self._settings

    def put(self, shard: FinishedShard, *, key: str) -> StoredShard:
        """Keep a shard and what lies beside it, whole or not at all.

        This returns once the server has it.

        The server compares each part with its digest, and the object has the digest of the whole
        as metadata, `sha256`.

        Args:
            shard: The shard; its file stays where it is.
            key: Such as `"mnist/7f3a-000000.tar"`.

        Returns:
            The shard as it is kept; its `url` is the key.

        Raises:
            ValueError: It is no key.
            RecordExistsError: Another shard is kept under this key, or something else beside it.
            StorageError: The server refused or failed, or the shard is not what it was when it
                was finished.
        """
        with _storing(self._object(check_key(key)).url):
            return put_together(
                shard, key, keep=self._keep, holds=self._holds, remove=self._remove
            )

    def _keep(self, shard: FinishedShard, key: str) -> Kept:
        found = self._object(key)
        with _storing(found.url):
            digest = shard.sha256 or s3_upload.digest_of(shard.path)
            wanted = Head(shard.n_bytes, "", digest)
            is_new = False
            if not _is_there(_first_look(found), wanted, key):
                is_new = self._put_new(found, shard, digest)
                there = s3.head(found)
                if there is None:
                    raise StorageError(found.url, "the server took it, and does not have it")
                if is_new and there.sha256 is None:  # it keeps no metadata
                    wanted = Head(shard.n_bytes, "", None)
                _is_there(there, wanted, key)
        return Kept(shard.n_bytes, digest, is_new)

    def _holds(self, shard: FinishedShard, key: str) -> bool:
        """Whether a shard is there under a key; an error if another is."""
        found = self._object(key)
        with _storing(found.url):
            digest = shard.sha256 or s3_upload.digest_of(shard.path)
            return _is_there(_first_look(found), Head(shard.n_bytes, "", digest), key)

    def _put_new(self, found: Object, shard: FinishedShard, digest: str) -> bool:
        """Put a shard; whether the server said that it was put just now."""
        try:
            s3_upload.put_file(found, shard.path, digest, n_bytes=shard.n_bytes)
        except ExistsError:  # by another writer, or by a try of ours whose answer was lost
            return False
        except SourceError:
            if not _is_done(found, digest):
                raise
        return True

    def url(self, key: str) -> str:
        """The `s3://` address of what is kept under a key; an address is returned as it is."""
        return key if is_address(key) else f"s3://{self.bucket}/{self.prefix}{check_relative(key)}"

    def public_url(self, key: str) -> str:
        """The web address of what is kept under a key, without a signature.

        Who may read it without keys is for the server to say.

        Examples:
            >>> S3DataStore({"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "mine"},
            ...             bucket="shards").public_url("mnist/a.tar")
            'https://shards.s3.us-east-1.amazonaws.com/mnist/a.tar'
        """
        return self._object(check_relative(key)).place

    def read_url(self, url: str) -> str:
        """With an endpoint, the web address of an `s3://` address; others as they are.

        Examples:
            >>> store = S3DataStore({"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "mine",
            ...     "AWS_ENDPOINT": "http://127.0.0.1:9000/"}, bucket="shards")
            >>> store.read_url("s3://shards/a.tar")
            'http://127.0.0.1:9000/shards/a.tar'
        """
        if self._settings.endpoint is None or not url.startswith("s3://"):
            return url
        bucket, key = s3.split_url(url)
        return Object(self._settings, bucket, key).place

    def supports_streaming(self) -> bool:
        """True: shards are read where they are."""
        return True

    def source(self, shards: Sequence[StoredShard]) -> DataSource:
        """What reads these shards: those of this store with its keys, and others without any.

        This store's are those of its bucket under its prefix. What else lies in a bucket, by its
        address, is asked for anonymously, without the keys of the environment too: from Amazon's
        server, or for this store's bucket, from its own.

        Raises:
            ValueError: There are none, or a key is none.
            UnsafeURLError: An address is of a kind that is not opened.

        Examples:
            >>> store = S3DataStore({"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "mine"},
            ...                     bucket="shards")
            >>> store.source([StoredShard("a.tar"), StoredShard("/data/b.tar")]).list_shards()
            ['s3://shards/a.tar', '/data/b.tar']
        """
        places: list[str | Path | DataSource] = []
        for home, some in groupby([self.url(shard.url) for shard in shards], self._home):
            run = list(some)
            if home is None:
                places += run
            elif home == (self.bucket, self._settings):
                keys = [s3.split_url(url)[1] for url in run]
                places.append(S3Source.of(self.bucket, keys, self._settings))
            else:
                places.append(S3Source.with_settings(run, home[1]))
        return joined(places)

    def list_keys(self, prefix: str = "") -> Iterator[StoredObject]:
        """What lies in the store under keys that begin so; uploads that are not finished too.

        Those are listed under the key they were to have with an id after it, which `remove`
        takes; their size is not known and 0.

        Raises:
            StorageError: The server refused or failed.
        """
        whole = f"{self.prefix}{prefix}"
        with _storing(f"s3://{self.bucket}/{whole}"):
            for one in s3.list_objects(f"s3://{self.bucket}/{whole}", self._settings):
                yield StoredObject(one.key.removeprefix(self.prefix), one.n_bytes, one.modified)
            for key, upload, began in s3_upload.unfinished(self._settings, self.bucket, whole):
                name = f"{key.removeprefix(self.prefix)}{_UPLOAD}{upload}"
                yield StoredObject(name, 0, began or time.time())

    def remove(self, key: str) -> None:
        """Remove what is kept under a key; nothing happens where nothing is.

        What lies beside a shard goes with it.

        Raises:
            ValueError: It is no key.
            StorageError: The server refused or failed.
        """
        for one in with_sidecars(check_relative(key)):
            self._remove(one)

    def _remove(self, key: str) -> None:
        name, mark, upload = key.partition(_UPLOAD)
        found = self._object(name)
        with _storing(found.url):
            if mark:
                s3_upload.give_up(found, upload)
            else:
                s3.delete(found)

    def write_shards(
        self,
        ds: Samples,
        *,
        prefix: str,
        maxcount: int | None = None,
        maxsize: int | None = None,
        cache_local: bool = False,
    ) -> ShardWriteResult:
        """Write a dataset's samples to new shards of this store.

        Args:
            ds: The dataset.
            prefix: What the shards' keys begin with.
            maxcount: Most samples in a shard.
            maxsize: Most bytes in a shard.
            cache_local: Without a meaning: shards are always written here first, then sent.

        Returns:
            The shards' addresses, with their digests as `.checksums`.

        Raises:
            ValueError: There are no samples, or no key may begin so.
            StorageError: The server refused or failed.
        """
        del cache_local
        return write_shards(self, ds, prefix=prefix, maxcount=maxcount, maxsize=maxsize)

    def __repr__(self) -> str:
        url = f"s3://{self.bucket}/{self.prefix}".rstrip("/")
        endpoint = self._settings.endpoint
        return f"S3DataStore({url!r}{f', endpoint={endpoint!r}' if endpoint else ''})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, S3DataStore) and self._facts == other._facts

    def __hash__(self) -> int:
        return hash(self._facts)

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, self._facts

    @property
    def _facts(self) -> tuple[S3Settings, str, str]:
        return self._settings, self.bucket, self.prefix

    def _object(self, key: str) -> Object:
        return Object(self._settings, self.bucket, f"{self.prefix}{key}")

    def _home(self, url: str) -> tuple[str, S3Settings] | None:
        """The bucket of an address and how it is asked; None for one that is in no bucket."""
        if scheme_of(url) != "s3":
            return None
        bucket, key = s3.split_url(url)
        if bucket != self.bucket:
            return bucket, S3Settings()
        if key.startswith(self.prefix):
            return bucket, self._settings
        own = self._settings
        return bucket, S3Settings(own.endpoint, own.region, path_style=own.path_style)


def _made(settings: S3Settings, bucket: str, prefix: str) -> S3DataStore:
    return S3DataStore(settings, bucket=bucket, prefix=prefix)


def _first_look(found: Object) -> Head | None:
    """What is there before we put something; who may not list a bucket may not be told."""
    try:
        return s3.head(found)
    except SourceError as error:
        if error.status == 403:
            return None
        raise


def _is_done(found: Object, digest: str) -> bool:
    """Whether a put of which no good answer came did what it was to do."""
    with suppress(SourceError):
        there = s3.head(found)
        return there is not None and there.sha256 == digest
    return False


def _is_there(there: Head | None, wanted: Head, key: str) -> bool:
    """Whether just this is there; an error if something else is."""
    if there is None:
        return False
    if (there.n_bytes, there.sha256) == (wanted.n_bytes, wanted.sha256):
        return True
    hint = "Put it under another key; what is kept is never replaced."
    raise RecordExistsError("shard", key, hint)


@contextmanager
def _storing(place: str) -> Generator[None]:
    """Make an error on the way one of the store."""
    try:
        yield
    except SourceError as error:
        hint = str(error).rpartition("\n  ")[2]
        raise StorageError(place, error.reason, hint=hint) from error
    except ShardError as error:
        raise StorageError(redacted(place), error.reason, hint="Write it again.") from error
    except AtdataError:
        raise
    except OSError as error:
        raise StorageError(place, (error.strerror or str(error)).lower()) from error
