"""Shards from elsewhere, kept on this machine as files that can be mapped.

What has a name in the folder is whole: every block was compared with its digest before it got the
name. The name follows from what names the bytes (the address with the index, or with an ETag), so
a shard that changed has another name and nothing stale is ever found. Processes share the folder
and need nothing else of each other: a shard is fetched under a lock, which the kernel releases if
its holder is killed, and a file that is removed stays with those who have it mapped.
"""

import os
import re
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_cache_path

from atdata._exceptions import (
    AtdataError,
    ShardError,
    ShardNotFoundError,
    SourceError,
    printable,
    shard_name,
)
from atdata._logging import get_logger
from atdata._protocols import DataSource, SupportsRange
from atdata.shard.mapped import MappedShard, forget_open_shards, open_mapped
from atdata.sources import remembered
from atdata.sources.download import download
from atdata.sources.naming import Named, is_compressed, local_path, look
from atdata.sources.part import Part, remove_left_over, storing, take
from atdata.sources.picking import Pick, fill
from atdata.sources.prefetch import Prefetch
from atdata.sources.remembered import Copy
from atdata.transport import halt
from atdata.transport.file import open_file

_LEAST_LIMIT = 4 << 30
"""A shard of this many bytes is taken whatever the bound; a larger one only within the bound."""

_TRIES = 3
_POLL = 0.05
_STALLED = 600.0
"""Seconds without progress after which a process no longer waits for another, which may have been
stopped in mid-download, and fetches for itself."""

_SHARD = re.compile(r"[0-9a-f]{64}\.tar")
_PART = re.compile(r"\.[0-9a-f]{64}\.part")


def cache_folder() -> Path:
    """Where shards are kept: `$ATDATA_CACHE_DIR`, or a folder in the user's cache directory.

    Examples:
        >>> cache_folder().is_absolute()
        True
    """
    named = os.environ.get("ATDATA_CACHE_DIR")
    folder = Path(named).expanduser() if named else user_cache_path("atdata") / "shards"
    return folder.absolute()


@dataclass(frozen=True, slots=True)
class ShardCache:
    """Keeps shards from elsewhere as files of this machine.

    The value holds nothing open; it may be pickled and used by any number of threads and
    processes, which share what is in the folder.

    Attributes:
        folder: Where shards are kept; created with access for its owner alone.
        n_bytes: Whenever a shard is added, those used least recently are removed until all
            together have no more bytes than this. The one just added stays, whatever its size;
            but one of more than 4 GiB that is larger than this is refused. What has no name (see
            `fetch`) is bounded likewise, in each process.
        is_kept: Whether what is added stays for other processes and later ones. Otherwise it
            goes into files without a name, of which nothing is left when the process ends.

    Examples:
        >>> import gzip, atdata
        >>> from atdata.sources.url import URLSource
        >>> @atdata.packable
        ... class Word:
        ...     text: str
        >>> _ = atdata.write_samples([Word("a"), Word("b")], tmp / "words.tar")
        >>> _ = (tmp / "words.tar.gz").write_bytes(gzip.compress((tmp / "words.tar").read_bytes()))
        >>> source = URLSource(tmp / "words.tar.gz")
        >>> len(ShardCache(tmp / "cache").open(source, source.list_shards()[0]))
        2
    """

    folder: Path = field(default_factory=cache_folder)
    n_bytes: int = 32 << 30
    is_kept: bool = True

    def __post_init__(self) -> None:
        if self.n_bytes < 0:
            raise ValueError(f"a cache cannot hold {self.n_bytes} bytes")
        object.__setattr__(self, "folder", Path(self.folder).expanduser().absolute())

    def open(self, source: DataSource, shard_id: str) -> MappedShard:
        """Open a shard, fetched first if it is not here.

        Blocks that are damaged at their source are reported in their place when they are read.

        Raises:
            ShardError: It is not there, or so damaged that nothing of it can be read.
            SourceError: Its place failed or refused.
            OSError: The disk is full, or this process may not open any more files.

        Examples:
            >>> from atdata.sources.url import URLSource
            >>> ShardCache(tmp / "cache").open(URLSource("none.tar"), "none.tar")
            Traceback (most recent call last):
            atdata._exceptions.ShardNotFoundError: cannot read shard none.tar
              reason  no such file
              Check the path; see what is there with ls.
        """
        return self._opened(lambda: self._fetch(source, shard_id), shard_id)

    def open_picked(self, source: DataSource, shard_id: str, pick: Pick) -> MappedShard:
        """Open some samples of a shard as a small one, fetched first if it is not here.

        Raises:
            ShardError: The shard is not the one that the samples were picked from.
            SourceError: Its place failed or refused.
            OSError: The disk is full, or this process may not open any more files.
        """
        return self._opened(lambda: self._fetch_picked(source, shard_id, pick), shard_id)

    def _opened(self, fetch: Callable[[], Copy], shard_id: str) -> MappedShard:
        for _ in range(_TRIES):
            copy = fetch()  # keeps a file without a name open meanwhile
            with suppress(ShardNotFoundError):  # another process removed it just now
                return open_mapped(copy.path, shard_id)
        raise SourceError(
            shard_name(shard_id),
            "it was removed from the cache each time before it could be opened",
            hint=f"Raise the bound of the cache (cache_bytes), which is {self.n_bytes} bytes.",
        )

    def fetch(self, source: DataSource, shard_id: str) -> Path:
        """Have a shard as a file of this machine, plain and whole; this waits until it is.

        A shard that is a plain file here already stays where it is. One that is remote and has
        neither an index nor a version is fetched for this process alone, into a file without a
        name: the path then holds in this process, while the source lives and fewer than some
        dozens of such shards were fetched since. `open` has no such limits.

        Returns:
            The file. It may be removed to make room; once opened, it can be read to its end.

        Raises:
            ShardError: It is not there, or so damaged that nothing of it can be read.
            SourceError: Its place failed or refused.
            OSError: The disk is full, or this process may not open any more files.

        Examples:
            >>> import tarfile
            >>> from atdata.sources.url import URLSource
            >>> tarfile.open(tmp / "here.tar", "w").close()
            >>> ShardCache(tmp / "cache").fetch(
            ...     URLSource(tmp / "here.tar"), str(tmp / "here.tar")
            ... ).name
            'here.tar'
        """
        return self._fetch(source, shard_id).path

    def fetch_picked(self, source: DataSource, shard_id: str, pick: Pick) -> Path:
        """Have some samples of a shard as a small one on this machine; as `fetch` does."""
        return self._fetch_picked(source, shard_id, pick).path

    def prefetch(
        self, source: DataSource, shard_ids: Iterable[str], *, threads: int = 4
    ) -> Prefetch[str]:
        """Fetch shards in threads, in the given order; whoever needs one before waits for it.

        Args:
            source: Where the shards are.
            shard_ids: The shards; together no larger than the cache, or the first are removed
                again before they are read.
            threads: How many shards to fetch at once.

        Returns:
            What to `close` when no more are wanted.

        Examples:
            >>> from atdata.sources.url import URLSource
            >>> source = URLSource("data-{0..9}.tar")
            >>> with ShardCache(tmp / "cache").prefetch(source, source.list_shards()[:4]):
            ...     pass
        """
        return Prefetch(lambda one: self._fetch(source, one), shard_ids, threads=threads)

    def _fetch(self, source: DataSource, shard_id: str) -> Copy:
        path = local_path(source, shard_id)
        if path is not None and not is_compressed(path, shard_id):
            return Copy(path)
        most = max(self.n_bytes, _LEAST_LIMIT)
        wanted = _Wanted(
            shard_id,
            lambda: look(source, shard_id),
            lambda named, part: download(source, shard_id, named, part, most),
        )
        return self._remembered(source, shard_id, wanted)

    def _fetch_picked(self, source: DataSource, shard_id: str, pick: Pick) -> Copy:
        name = pick.name(shard_id)
        wanted = _Wanted(
            shard_id, lambda: Named(name), lambda _, part: self._pick(source, shard_id, pick, part)
        )
        return self._remembered(source, name, wanted)

    def _pick(self, source: DataSource, shard_id: str, pick: Pick, part: Part) -> bool:
        try:
            if isinstance(source, SupportsRange):
                fill(source, shard_id, pick, part)
                return True
        except SourceError as error:
            if error.status is None or error.status >= 400:
                raise
        # It gives no parts, so all of it is fetched.
        fill(_Whole(self.open(source, shard_id)), shard_id, pick, part)
        return True

    def _remembered(self, source: DataSource, name: str, wanted: "_Wanted") -> Copy:
        with remembered.slot(source, self.folder, name) as slot:
            copy = slot.copy
            if copy is None or not _use(copy.path):
                copy = slot.copy = self._find_or_add(wanted)
                remembered.bound(slot, self.n_bytes)
            return copy

    def _find_or_add(self, wanted: "_Wanted") -> Copy:
        for _ in range(_TRIES):
            named = wanted.look()
            final = self.folder / f"{named.key}.tar"
            if _is(final, named):
                return Copy(final)
            try:
                with storing(self.folder):
                    self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                copy = self._add(wanted, named, final)
            except FileNotFoundError as error:
                if isinstance(error, AtdataError):
                    raise
                continue  # the folder was removed meanwhile
            if copy is not None:
                return copy
        raise SourceError(
            shard_name(wanted.shard_id),
            f"it changed each time it was fetched, {_TRIES} times",
            hint="Read it again when it is no longer written to.",
        )

    def _add(self, wanted: "_Wanted", named: Named, final: Path) -> Copy | None:
        """Fetch a shard; None if it changed meanwhile."""
        with self._part(named.key if self.is_kept else "") as part:
            if _is(final, named):
                return Copy(final)  # another process was faster
            try:
                whole = wanted.fetch(named, part)
            except ShardError:
                if named.key and wanted.look() != named:
                    return None
                raise
            # Bytes that agree with an index are those it belongs to. Otherwise we have to ask.
            if named.key and not (whole and named.tail) and wanted.look() != named:
                return None
            if not (whole and named.key and part.has_name):
                return remembered.unnamed(part)
            part.publish(final)
        shown = printable(shard_name(wanted.shard_id))
        get_logger().debug("shard %s is kept as %s", shown, final)
        self._make_room(final)
        return Copy(final)

    def _part(self, key: str) -> Part:
        """The file to fill, alone; without a name where nothing names the bytes."""
        part = self._part_named(self.folder / f".{key}.part") if key else None
        while part is None:
            path = self.folder / f".{secrets.token_hex(32)}.part"
            with storing(path):
                part = take(path)
            if part is not None:  # else another process has taken it for a left-over
                part.hide()
        return part

    def _part_named(self, path: Path) -> Part | None:
        """Wait for a part while others fill it; None if they do not get on with it."""
        seen: tuple[int, ...] = ()
        since = time.monotonic()
        while True:
            with storing(path):
                part = take(path)
            if part is not None:
                return part
            now = _progress(path)
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > _STALLED:
                return None
            halt.pause(_POLL)

    def _make_room(self, added: Path) -> None:
        """Remove what was used least recently, and what killed processes left behind."""
        kept: list[tuple[int, int, Path]] = []
        with storing(self.folder), suppress(FileNotFoundError):
            for path in self.folder.iterdir():
                if _PART.fullmatch(path.name):
                    remove_left_over(path)
                elif _SHARD.fullmatch(path.name):
                    with suppress(FileNotFoundError):  # another process removed it
                        stat = path.stat()
                        kept.append((stat.st_atime_ns, stat.st_size, path))
            total = sum(size for _, size, _ in kept)
            for _, size, path in sorted(kept):
                if total <= self.n_bytes:
                    break
                if path != added:
                    path.unlink(missing_ok=True)
                    total -= size
                    forget_open_shards()  # or what is open for later would still take its room


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be kept.

    Attributes:
        shard_id: The shard.
        look: Finds out what names the bytes.
        fetch: Fills a part with them, and says whether all came.
    """

    shard_id: str
    look: Callable[[], Named]
    fetch: Callable[[Named, Part], bool]


class _Whole:
    """A shard that is here, as a place that gives parts of it."""

    def __init__(self, shard: MappedShard) -> None:
        self._shard = shard

    def shard_size(self, shard_id: str) -> int:  # noqa: ARG002 - there is one
        return self._shard.n_bytes

    def read_range(self, shard_id: str, start: int, length: int) -> bytes:  # noqa: ARG002
        return self._shard.data[start : start + length].tobytes()


def _is(path: Path, named: Named) -> bool:
    """Whether a file is the shard that is wanted; if so, note that it is used."""
    if not named.key or not _use(path):
        return False
    if not named.tail:
        return True
    n = len(named.tail)
    try:
        with open_file(path) as file:
            if os.fstat(file.fileno()).st_size != named.end + n:
                return False
            file.seek(named.end)
            return file.read(n) == named.tail
    except ShardNotFoundError:
        return False


def _use(path: Path) -> bool:
    """Note that a file is used; False if it is not there.

    The time of access says so, which is set here and not left to the file system. The time of
    change is left alone: by it, those who read the file see that nobody writes to it.
    """
    try:
        stat = path.stat()
    except OSError:
        return False
    with suppress(OSError):  # a folder that is only read keeps no order, and needs none
        os.utime(path, ns=(time.time_ns(), stat.st_mtime_ns))
    return True


def _progress(path: Path) -> tuple[int, ...]:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return ()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
