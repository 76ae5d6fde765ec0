"""Files that are being filled: locked, hidden until they are whole, and gone if that never is.

A part is locked with `flock`, which the kernel releases when its process ends, however it ends. So
a part that nobody holds is a left-over, and whoever wants the same file takes it over.
"""

import errno
import fcntl
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from atdata._exceptions import AtdataError
from atdata.transport.file import commit, is_scarcity

_FDS = Path("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd")

_guard = threading.Lock()
# A fork copies descriptors, and with them the hold on the lock, which then would outlive us.
_held: set[int] = set()


class Part:
    """A file that is being filled, and that nobody else fills; get one from `take`.

    Attributes:
        view: A path that leads to the file as long as this holds it, whatever its name is.
    """

    def __init__(self, path: Path, fd: int) -> None:
        self._path: Path | None = path
        self._shown = path
        self._fd = fd
        self.view = _FDS / str(fd)

    @property
    def has_name(self) -> bool:
        """Whether it can be published."""
        return self._path is not None

    def hide(self) -> None:
        """Take the file's name away, so that nothing is left behind whatever happens."""
        path, self._path = self._path, None
        if path is not None:
            path.unlink(missing_ok=True)

    def empty(self) -> None:
        """Begin anew."""
        with storing(self._shown):
            os.ftruncate(self._fd, 0)

    def write(self, data: bytes | memoryview, at: int) -> None:
        """Write bytes at an offset; several threads may, at different ones."""
        rest = memoryview(data)
        with storing(self._shown):
            while rest:
                n = os.pwrite(self._fd, rest, at)
                rest, at = rest[n:], at + n

    def publish(self, final: Path) -> None:
        """Give the file its name, durably; what had the name is replaced."""
        path, self._path = self._path, None
        if path is None:
            raise ValueError("a part has its name already")
        with storing(final):
            try:
                commit(path, final)
            except BaseException:
                path.unlink(missing_ok=True)
                raise

    def keep(self) -> int:
        """Hide the file, and hand it on to the caller.

        Returns:
            The descriptor, which is now the caller's to close. Its lock is released.
        """
        self.hide()
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        fd, self._fd = self._fd, -1
        with _guard:
            _held.discard(fd)
        return fd

    def close(self) -> None:
        """Remove the file, unless it has its name or was handed on, and release it."""
        self.hide()
        fd, self._fd = self._fd, -1
        if fd >= 0:
            _release(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def take(path: Path, *, create: bool = True) -> Part | None:
    """Take a part for filling, whether it is new or was left behind.

    Returns:
        None if another process or thread holds it, or has just let go of it.

    Raises:
        FileNotFoundError: It does not exist, and is not to be created.

    Examples:
        >>> part = take(tmp / "a.part")
        >>> take(tmp / "a.part") is None
        True
        >>> part.close()
    """
    with _guard:
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
        fd = os.open(path, flags, 0o600)
        _held.add(fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Between opening and locking, its holder may have given it its name, or removed it.
        if os.path.samestat(os.fstat(fd), os.stat(path)):
            return Part(path, fd)
    except BaseException as error:
        _release(fd)
        if isinstance(error, BlockingIOError | FileNotFoundError):
            return None
        raise
    _release(fd)
    return None


def remove_left_over(path: Path) -> None:
    """Remove a part if nobody holds it.

    Examples:
        >>> remove_left_over(tmp / "never-there.part")
    """
    with suppress(FileNotFoundError):
        part = take(path, create=False)
        if part is not None:
            part.close()


@contextmanager
def storing(path: Path) -> Generator[None]:
    """Let an error of the disk say what can be done about it.

    It stays an `OSError` and no error of ours: no policy for damaged data may pass it over.

    Examples:
        >>> with storing(tmp / "a"):
        ...     raise OSError(errno.ENOSPC, "No space left on device")
        Traceback (most recent call last):
        OSError: [Errno 28] No space left on device: a shard cannot be kept in the cache; ...
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, AtdataError) or is_scarcity(error):
            raise
        reason = error.strerror or os.strerror(error.errno or errno.EIO)
        advice = (
            "make room on that disk, lower the cache's bound (cache_bytes), or give the cache "
            "another folder (cache_dir, $ATDATA_CACHE_DIR)"
        )
        message = f"{reason}: a shard cannot be kept in the cache; {advice}"
        raise OSError(error.errno, message, str(path)) from error


def _release(fd: int) -> None:
    with _guard:
        _held.discard(fd)
        os.close(fd)


def _leave_to_parent() -> None:
    for fd in _held:
        os.close(fd)
    _held.clear()
    _guard.release()


os.register_at_fork(
    before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_leave_to_parent
)
