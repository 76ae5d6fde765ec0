"""From what people write to the source that reads it."""

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import cast

from atdata._exceptions import UnsafeURLError, redacted
from atdata._protocols import DataSource
from atdata.sources.url import URLSource
from atdata.transport import gate

type SourceFactory = Callable[[str | Sequence[str]], DataSource]
"""Makes a source of a URL or a list of them: what an entry point of `atdata.sources` gives."""

_GROUP = "atdata.sources"
_BUILT_IN = frozenset({None, "file", "http", "https"})


def source_of(spec: object) -> DataSource:
    """The source for a path, a URL, a list of them, or a source itself.

    An `s3:` address is opened with the keys, the endpoint and the region that the environment
    names (`AWS_ACCESS_KEY_ID` and so on), and anonymously where it names no keys; for others, make
    an `S3Source`. A scheme that is not built in (`file`, `http`, `https`, `s3`, or none) is looked
    up among the entry points of the group `atdata.sources`, under its name.

    Args:
        spec: A `str` or `Path`, a list of those, or any object with `list_shards` and
            `open_shard`.

    Returns:
        A source; the object itself if it is one.

    Raises:
        TypeError: It is none of these.
        ValueError: The list is empty, or mixes places that one source cannot read.
        UnsafeURLError: Nothing reads addresses of that kind.

    Examples:
        >>> source_of("digits-{0..1}.tar").list_shards()
        ['digits-0.tar', 'digits-1.tar']
        >>> source_of("s3://shards/digits-{0..1}.tar").list_shards()
        ['s3://shards/digits-0.tar', 's3://shards/digits-1.tar']
        >>> source_of("pipe:cat digits.tar")
        Traceback (most recent call last):
        atdata._exceptions.UnsafeURLError: cannot read pipe:…
          reason  addresses of the kind 'pipe:' are not opened
          Allowed: a path, file:, http:, https: or s3:. Write ./pipe:… for a file of that name.
    """
    if isinstance(spec, str | Path):
        return _by_scheme(spec, [spec])
    if isinstance(spec, list | tuple):
        urls = URLSource(cast("Sequence[str | Path]", spec)).url  # checks what the list holds
        return _by_scheme(urls, cast("Sequence[str | Path]", urls))
    if isinstance(spec, DataSource) and not isinstance(spec, type):
        return spec
    kind = f"the class {spec.__name__}" if isinstance(spec, type) else type(spec).__name__
    raise TypeError(
        f"cannot read shards from {kind}\n"
        "  Give a path or URL, a list of them, or an object with list_shards() and open_shard()."
    )


def _by_scheme(spec: str | Path | Sequence[str | Path], urls: Sequence[str | Path]) -> DataSource:
    schemes = {None if isinstance(url, Path) else gate.scheme_of(url) for url in urls}
    if schemes <= _BUILT_IN:
        for url in urls:
            if isinstance(url, str):
                _refuse_early(url)
        return URLSource(spec)
    if len(schemes) > 1:
        shown = ", ".join(sorted(f"{s}:" if s else "paths" for s in schemes))
        raise ValueError(f"one source cannot read from several kinds of places: {shown}")
    if schemes == {"s3"}:
        # Loaded only now, with what it needs of HTTP.
        from_env: SourceFactory = import_module("atdata.sources.s3").S3Source.from_env
        return from_env(list(map(str, urls)))
    first = str(urls[0])
    for entry in entry_points(group=_GROUP, name=schemes.pop() or ""):
        factory = cast(SourceFactory, entry.load())
        return factory(cast("str | list[str]", spec if isinstance(spec, str) else list(urls)))
    _refuse_early(first)
    raise UnsafeURLError(redacted(first), "nothing reads addresses of that kind")


def _refuse_early(url: str) -> None:
    """Refuse now what could not be opened later; braces are not expanded for this."""
    if not any(c in url for c in "{}\\"):
        gate.check(url)
