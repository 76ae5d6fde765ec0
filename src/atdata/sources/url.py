"""Shards that have an address each: files of this machine, and files of web servers."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, cast

from atdata._exceptions import ShardNotFoundError, printable, redacted
from atdata.model.shard import beside
from atdata.shard import names
from atdata.sources import sidecars
from atdata.transport import file, gate, remote
from atdata.transport.gate import FileAddress


@dataclass(frozen=True, repr=False)
class URLSource:
    """Shards named by paths or URLs, with braces for many.

    Text may hold braces (`{000..010}`, `{train,test}`), be a path, or an address of the kind
    `file:`, `http:` or `https:`. A `Path`, and a path under which a file lies, is taken as it
    stands. Nothing else is opened, and nothing is ever run.

    Attributes:
        url: What was given; a list becomes a tuple.

    Examples:
        >>> source = URLSource("data/digits-{00..02}.tar")
        >>> source.list_shards()
        ['data/digits-00.tar', 'data/digits-01.tar', 'data/digits-02.tar']
        >>> URLSource(["https://me:secret@example.org/a.tar", "b.tar"])
        URLSource(['https://example.org/a.tar', 'b.tar'])
    """

    url: str | Path | Sequence[str | Path]

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", _given(self.url))

    @cached_property
    def _ids(self) -> list[str]:
        given = [self.url] if isinstance(self.url, str | Path) else self.url
        ids: list[str] = []
        for one in given:
            ids += _expand(one, limit=names.DEFAULT_LIMIT - len(ids))
        return ids

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self._ids)

    def list_shards(self) -> list[str]:
        """The shards' paths and URLs, braces expanded, in the order given.

        Raises:
            ValueError: Braces do not pair, or stand for too many names.

        Examples:
            >>> URLSource(["b.tar", "a.tar"]).list_shards()
            ['b.tar', 'a.tar']
        """
        return list(self._ids)

    @property
    def shards(self) -> Iterator[tuple[str, BinaryIO]]:
        """Each shard's id and its open stream, which is the caller's to close.

        Examples:
            >>> [shard_id for shard_id, stream in URLSource([Path(__file__)]).shards
            ...  if stream.close() is None] == [__file__]
            True
        """
        for shard_id in self.list_shards():
            yield shard_id, self.open_shard(shard_id)

    def open_shard(self, shard_id: str) -> BinaryIO:
        """Open a shard for reading from its first byte; the caller closes it.

        Raises:
            KeyError: The source has no such shard.
            ShardNotFoundError: There is nothing at its address.
            SourceError: The place refused or failed.
            UnsafeURLError: The address is not of a kind that is opened.

        Examples:
            >>> URLSource("a.tar").open_shard("b.tar")
            Traceback (most recent call last):
            KeyError: 'Shard not found: b.tar'
        """
        address = self._address(shard_id)
        if isinstance(address, FileAddress):
            return file.open_file(address.path)
        return remote(address.scheme).open_url(shard_id)

    def local_path(self, shard_id: str) -> Path | None:
        """The shard's file, or None if it is on a server.

        Examples:
            >>> URLSource("file:///data/a.tar").local_path("file:///data/a.tar")
            PosixPath('/data/a.tar')
        """
        address = self._address(shard_id)
        return address.path if isinstance(address, FileAddress) else None

    def shard_size(self, shard_id: str) -> int:
        """The shard's size in bytes.

        Examples:
            >>> source = URLSource(Path(__file__))
            >>> source.shard_size(__file__) == Path(__file__).stat().st_size
            True
        """
        address = self._address(shard_id)
        if isinstance(address, FileAddress):
            return file.size(address.path)
        return remote(address.scheme).size(shard_id)

    def read_range(self, shard_id: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start`; a negative `start` counts from the end.

        Raises:
            ShardError: The shard does not hold those bytes.

        Examples:
            >>> URLSource(Path(__file__)).read_range(__file__, 3, 6)
            b'Shards'
        """
        address = self._address(shard_id)
        if isinstance(address, FileAddress):
            return file.read_range(address.path, start, length)
        return remote(address.scheme).read_range(shard_id, start, length)

    def shard_version(self, shard_id: str) -> str | None:
        """What names a shard's bytes from one process to the next, if its server says so.

        Returns:
            An ETag or a time of change, with the length. None for files of this machine, which
            are read where they lie.

        Examples:
            >>> URLSource(Path(__file__)).shard_version(__file__) is None
            True
        """
        address = self._address(shard_id)
        if isinstance(address, FileAddress):
            return None
        return remote(address.scheme).version(shard_id)

    def read_sidecar(self, shard_id: str, suffix: str) -> bytes | None:
        """What lies beside a shard under its name with a suffix, or None if nothing does.

        A web address may have a query that is good for the shard alone, such as a signature; then
        nothing is asked for, and there is none. See `sidecars.beside_url`.

        Args:
            shard_id: The shard.
            suffix: Such as `".manifest.json"`: beside `a.tar` lies `a.manifest.json`.

        Raises:
            KeyError: The source has no such shard.
            SourceError: The place refused or failed, or the file is too long to be a sidecar.

        Examples:
            >>> URLSource(Path(__file__)).read_sidecar(__file__, ".manifest.json") is None
            True
        """
        address = self._address(shard_id)
        if isinstance(address, FileAddress):
            return sidecars.read_file(Path(beside(str(address.path), suffix)))
        url = sidecars.beside_url(shard_id, suffix)
        if url is None:
            return None
        try:
            stream = remote(address.scheme).open_url(url)
        except ShardNotFoundError:
            return None
        with stream:
            return sidecars.read_whole(stream, url)

    def __repr__(self) -> str:
        if isinstance(self.url, str | Path):
            return f"URLSource({_shown(self.url)!r})"
        shown = ", ".join(repr(_shown(one)) for one in self.url[:3])
        more = f", … {len(self.url) - 3} more" if len(self.url) > 3 else ""
        return f"URLSource([{shown}{more}])"

    def __reduce__(self) -> tuple[Any, ...]:
        return URLSource, (self.url,)

    def _address(self, shard_id: str) -> gate.Address:
        if shard_id not in self._known:
            raise KeyError(f"Shard not found: {printable(redacted(shard_id))}")
        return gate.check(shard_id)


def _given(url: object) -> str | Path | tuple[str | Path, ...]:
    if isinstance(url, str | Path):
        return url
    if not isinstance(url, list | tuple):
        raise TypeError(f"a URL is a str or Path, or a list of them, not {type(url).__name__}")
    given: list[str | Path] = []
    for i, one in enumerate(cast("Sequence[object]", url)):
        if not isinstance(one, str | Path):
            raise TypeError(f"url[{i}] must be a str or Path, not {type(one).__name__}")
        given.append(one)
    if not given:
        raise ValueError("the list of URLs is empty")
    return tuple(given)


def _expand(one: str | Path, *, limit: int) -> list[str]:
    if isinstance(one, Path):
        path = str(one)
        # A file may be called `a:b.tar` or `-`; said as a path, it is no address.
        return [f"./{path}" if gate.scheme_of(path) or path == "-" else path]
    if gate.scheme_of(one) in {None, "file"} and any(c in one for c in "{}\\") and _is_file(one):
        return [one]
    return names.expand(one, limit=limit)


def _is_file(one: str) -> bool:
    address = gate.check(one)
    return isinstance(address, FileAddress) and os.path.isfile(address.path)


def _shown(one: str | Path) -> str:
    return printable(redacted(one) if isinstance(one, str) else one)
