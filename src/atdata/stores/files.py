"""Files of a store: copied and compared, linked to their names, found."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from atdata._exceptions import StorageError
from atdata.model.shard import FinishedShard
from atdata.shard.digest import sha256_file

_PIECE = 4 << 20
# What says that a file system knows no hard links.
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


def copy_checked(shard: FinishedShard, copy: BinaryIO) -> str:
    """Copy a shard, and compare what is copied with what was finished."""
    digest, n_bytes = hashlib.sha256(), 0
    with shard.path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            n_bytes += len(piece)
            rest = memoryview(piece)
            while rest:
                rest = rest[copy.write(rest) :]
    os.fsync(copy.fileno())
    if n_bytes != shard.n_bytes or shard.sha256 not in {None, digest.hexdigest()}:
        raise _changed(shard, n_bytes)
    return digest.hexdigest()


def check_size(shard: FinishedShard) -> None:
    """Refuse a shard whose file has another size than it had, or is no file.

    Raises:
        StorageError: It is so.
    """
    found = shard.path.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_size != shard.n_bytes:
        raise _changed(shard, found.st_size)


def _changed(shard: FinishedShard, n_bytes: int) -> StorageError:
    reason = "it is not what it was when it was finished"
    if n_bytes != shard.n_bytes:
        reason += f": it has {n_bytes} bytes and not {shard.n_bytes}"
    return StorageError(str(shard.path), reason, hint="Write the shard again. Nothing was kept.")


def link(temporary: Path, final: Path) -> None:
    """Give a file a second name, which nothing has yet.

    Raises:
        FileExistsError: Something has it.
    """
    try:
        os.link(temporary, final, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(final):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final)) from error
        temporary.rename(final)  # the best there is where there are no links


def is_same(path: Path, n_bytes: int, sha256: str) -> bool:
    """Whether there is a file of that size and digest."""
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_size != n_bytes:
        return False
    return sha256_file(path) == sha256


def flush(path: Path) -> None:
    """Bring a file, or a folder's names, to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def files_in(folder: Path) -> Iterator[Path]:
    """All files beneath a folder, in order of their paths; symbolic links are left alone."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from files_in(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path)


def is_within(path: Path, root: Path) -> bool:
    """Whether a path lies within a folder after all symbolic links are followed."""
    return Path(os.path.realpath(path)).is_relative_to(root)
