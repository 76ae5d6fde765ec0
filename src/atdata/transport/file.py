"""Files of this machine: written so that a crash leaves the old or the new, read in part."""

import errno
import os
import secrets
import stat
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from atdata._exceptions import ShardError, ShardNotFoundError, SourceError

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})


def open_file(path: str | Path) -> BinaryIO:
    """Open a file for reading.

    Only regular files: a pipe or a device could block for ever or never end.

    Args:
        path: The file.

    Returns:
        The file, positioned at its first byte. The caller closes it.

    Raises:
        ShardNotFoundError: There is no such file.
        SourceError: It is not a regular file, or may not be read.

    Examples:
        >>> open_file("/no/such.tar")
        Traceback (most recent call last):
        atdata._exceptions.ShardNotFoundError: cannot read shard /no/such.tar
          reason  no such file
          Check the path; see what is there with ls.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for its writer, before fstat could tell.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _refusal(path, error) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise _irregular(path)
    return os.fdopen(fd, "rb")


def size(path: str | Path) -> int:
    """The size of a file in bytes.

    Raises:
        ShardNotFoundError: There is no such file.
        SourceError: It is not a regular file, or may not be looked at.

    Examples:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     size(file.name)
        0
    """
    try:
        found = os.stat(path)
    except OSError as error:
        raise _refusal(path, error) from error
    if not stat.S_ISREG(found.st_mode):
        raise _irregular(path)
    return found.st_size


def read_range(path: str | Path, start: int, length: int) -> bytes:
    """Read part of a file.

    Args:
        path: The file.
        start: First byte; a negative one counts from the end.
        length: How many bytes.

    Returns:
        Exactly `length` bytes.

    Raises:
        ShardError: The file does not hold those bytes.
        ShardNotFoundError: There is no such file.
        SourceError: It is not a regular file, or may not be read.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_write(f"{folder}/a") as file:
        ...         _ = file.write(b"abcdef")
        ...     read_range(f"{folder}/a", -3, 2)
        b'de'
    """
    check_range(start, length)
    with open_file(path) as file:
        n_bytes = os.fstat(file.fileno()).st_size
        first = start if start >= 0 else n_bytes + start
        if first < 0 or first + length > n_bytes:
            raise too_short(str(path), n_bytes, start, length)
        file.seek(first)
        data = file.read(length)
    if len(data) != length:  # the file was cut between the two looks
        raise too_short(str(path), first + len(data), start, length)
    return data


def check_range(start: int, length: int) -> None:
    """Refuse a range that no file could have.

    Raises:
        ValueError: `length` is negative, or reaches past the end that `start` counts from.

    Examples:
        >>> check_range(-4, 8)
        Traceback (most recent call last):
        ValueError: 8 bytes cannot follow a start that is 4 bytes before the end
    """
    if length < 0:
        raise ValueError(f"a length cannot be negative: {length}")
    if start < 0 and length > -start:
        raise ValueError(
            f"{length} bytes cannot follow a start that is {-start} bytes before the end"
        )


def too_short(shard_id: str, n_bytes: int, start: int, length: int) -> ShardError:
    """The error for a range that lies outside a shard.

    Examples:
        >>> print(too_short("a.tar", 10, 512, 512).reason)
        holds 10 bytes, and 512 bytes from 512 on were asked for
    """
    place = f"from {start} on" if start >= 0 else f"from {-start} before its end on"
    reason = f"holds {n_bytes} bytes, and {length} bytes {place} were asked for"
    return ShardError(shard_id, reason, offset=n_bytes)


def temporary_beside(path: str | Path) -> Path:
    """A name for writing what is to become `path`; `commit` makes it so.

    The name is in the same folder, so that the final rename is atomic; it is hidden, unique and
    ends in `.tmp`. Missing folders are made; the file itself is not.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     name = temporary_beside(f"{folder}/new/a.tar").name
        >>> name.startswith(".a.tar."), name.endswith(".tmp")
        (True, True)
    """
    final = Path(path)
    if not final.name:
        raise ValueError(f"{str(path)!r} does not name a file")
    final.parent.mkdir(parents=True, exist_ok=True)
    # 40 characters are at most 160 bytes, so the name fits into the 255 bytes a name may have.
    return final.with_name(f".{final.name[:40]}.{secrets.token_hex(8)}.tmp")


def commit(temporary: Path, path: str | Path) -> None:
    """Give a written file its final name, durably.

    The bytes reach the disk before the name does, and the name before this returns. What was at
    `path` is replaced at once: a reader sees the old file or the new one.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     temporary = temporary_beside(f"{folder}/a")
        ...     _ = temporary.write_bytes(b"new")
        ...     commit(temporary, f"{folder}/a")
        ...     Path(folder, "a").read_bytes()
        b'new'
    """
    commit_all([(temporary, path)])


def commit_all(files: Sequence[tuple[Path, str | Path]]) -> None:
    """Give written files their final names, in this order, durably; see `commit`.

    Args:
        files: Each file's temporary name and its final one.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     temporary = temporary_beside(f"{folder}/a")
        ...     _ = temporary.write_bytes(b"new")
        ...     commit_all([(temporary, f"{folder}/a")])
        ...     Path(folder, "a").read_bytes()
        b'new'
    """
    for temporary, path in files:
        _flush(temporary, os.O_RDONLY)
        temporary.replace(path)
    for folder in {Path(path).parent: None for _, path in files}:
        _flush(folder, os.O_RDONLY | os.O_DIRECTORY)


@contextmanager
def atomic_write(path: str | Path) -> Generator[BinaryIO]:
    """Write a file that appears whole, or not at all.

    Yields:
        A file for writing, under a temporary name. It gets its own name when the block ends, and
        is removed when the block raises.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_write(f"{folder}/a.txt") as file:
        ...         _ = file.write(b"whole")
        ...     [p.name for p in Path(folder).iterdir()]
        ['a.txt']
    """
    temporary = temporary_beside(path)
    try:
        with temporary.open("xb") as file:
            yield file
        commit(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _flush(path: Path, flags: int) -> None:
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


_SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


def is_scarcity(error: OSError) -> bool:
    """Whether this process ran out of something, which says nothing of the file.

    Such an error is not one of ours, so that no policy for damaged data can pass it over.

    Examples:
        >>> is_scarcity(OSError(errno.EMFILE, "")), is_scarcity(OSError(errno.ENOENT, ""))
        (True, False)
    """
    return error.errno in _SCARCE


def scarcity(path: str | Path, error: OSError) -> OSError:
    """The error for a file that cannot be opened because too many others are."""
    advice = "raise the limit (ulimit -n), or read fewer shards at a time (buffer_shards)"
    return OSError(error.errno, f"{error.strerror}: {advice}", str(path))


def _refusal(path: str | Path, error: OSError) -> OSError:
    if is_scarcity(error):
        return scarcity(path, error)
    if error.errno in _ABSENT:
        return ShardNotFoundError(str(path))
    reason = (error.strerror or type(error).__name__).lower()
    return SourceError(str(path), reason, hint="Check the path and its permissions.")


def _irregular(path: str | Path) -> SourceError:
    return SourceError(
        str(path),
        "is not a regular file",
        hint="A shard is a file; a folder, pipe or device cannot be read as one.",
    )
