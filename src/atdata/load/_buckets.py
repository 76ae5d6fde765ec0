"""Folders of buckets: what fits a pattern, by listing the keys that begin as it does."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from atdata._exceptions import ShardNotFoundError, SourceError, printable
from atdata.load._folders import held
from atdata.load._names import is_shard
from atdata.load._patterns import EVERYTHING, Pattern, is_pattern, split
from atdata.shard import names
from atdata.shard.names import natural
from atdata.sources.s3 import S3Source
from atdata.transport import s3
from atdata.transport.credentials import S3Settings, from_env

type Access = Callable[[str], S3Settings]
"""Says where the server of an `s3:` address is, and who asks it."""

_MOST_LISTED = 10_000_000
_REMEMBERED = 1000


def from_environment(url: str) -> S3Settings:  # noqa: ARG001  it is the same for all addresses
    """What the environment names, for any address."""
    return from_env()


def keys_of(url: str, access: Access) -> tuple[str, str, list[tuple[str, ...]]]:
    """The objects that an address means: one, those of a folder, or those that fit a pattern.

    An address without a pattern is that of an object if its name is a shard's. Otherwise it is
    looked up whether anything lies below it.

    Returns:
        The bucket, the folder that was given, and each key below it in its parts.

    Raises:
        ShardNotFoundError: Nothing fits.
        SourceError: The server refused or failed.
        ValueError: It is no address of a bucket.
    """
    bucket, key = s3.split_url(url)
    folder, pattern = split(key)
    if pattern is None and key:
        above, _, name = key.rpartition("/")
        one: tuple[str, ...] = (name,)
        alone = bucket, above, [one]
        if is_shard(name):
            return alone
        with suppress(SourceError):  # who may read need not be allowed to list
            if below := _sorted(_fitting(bucket, f"{key}/", EVERYTHING, access(url), [])):
                return bucket, key, below
        return alone
    folder = folder.rstrip("/")
    passed: list[str] = []
    base = f"{folder}/" if folder else ""
    found = _sorted(_fitting(bucket, base, pattern or EVERYTHING, access(url), passed))
    if not found:
        reason = f"no object fits; s3://{bucket}/{base} {held(passed)}"
        raise ShardNotFoundError(url, reason)
    return bucket, folder, found


def _fitting(
    bucket: str, base: str, pattern: Pattern, settings: S3Settings, passed: list[str]
) -> Iterator[tuple[str, ...]]:
    first = pattern.parts[0]
    head = first[: next((i for i in range(len(first)) if is_pattern(first[: i + 1])), len(first))]
    prefix = base + head
    for n, found in enumerate(s3.list_objects(f"s3://{bucket}/{prefix}", settings)):
        if n >= _MOST_LISTED:
            shown = printable(f"s3://{bucket}/{prefix}")
            raise SourceError(shown, f"more than {_MOST_LISTED} objects lie there")
        parts = tuple(found.key[len(base) :].split("/"))
        if not {"", ".", ".."} & set(parts) and pattern.matches(parts):
            yield parts
        elif len(passed) < _REMEMBERED:
            passed.append("/".join(parts))


def _sorted(found: Iterator[tuple[str, ...]]) -> list[tuple[str, ...]]:
    every = sorted(found, key=lambda parts: [natural(part) for part in parts])
    if len(every) > names.DEFAULT_LIMIT:
        raise ValueError(f"{len(every)} objects fit; at most {names.DEFAULT_LIMIT} are taken")
    return every


def source_in(bucket: str, keys: Sequence[str], settings: S3Settings) -> S3Source:
    """A source of objects, whatever characters their keys have.

    Examples:
        >>> source_in("shards", ["a{1,2}.tar"], S3Settings()).list_shards()
        ['s3://shards/a{1,2}.tar']
    """
    return S3Source(
        bucket,
        keys,
        settings.endpoint,
        settings.access_key,
        settings.secret_key,
        settings.region,
        settings.session_token,
        settings.path_style,
    )


def settings_in(source: object) -> S3Settings | None:
    """Where the server of a source is, and who asks it; None for sources of another kind."""
    if not isinstance(source, S3Source):
        return None
    return S3Settings(
        source.endpoint,
        source.region,
        source.access_key,
        source.secret_key,
        source.session_token,
        source.path_style,
    )
