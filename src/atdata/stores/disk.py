"""Shards in a folder of this machine.

A shard has its name only once it is whole, checked and on the disk, and a name is never given
twice. What is not finished lies in a hidden folder beside, where a cleaner finds it.
"""

import errno
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from platformdirs import user_data_path

from atdata._exceptions import AtdataError, RecordExistsError, StorageError
from atdata._protocols import DataSource
from atdata.model.shard import FinishedShard, StoredObject, StoredShard
from atdata.shard.digest import sha256_file
from atdata.sources.joined import joined
from atdata.stores.files import check_size, copy_checked, files_in, flush, is_same, is_within, link
from atdata.stores.keys import check_key, check_prefix, check_relative, is_address, with_sidecars
from atdata.stores.together import Kept, put_together
from atdata.stores.writing import Samples, ShardWriteResult, write_shards
from atdata.transport.file import temporary_beside

_STAGING = ".staging"
_TRIES = 100


class LocalDiskStore:
    """Keeps shards in a folder, each as a file that has its name once it is whole.

    Keys are relative, so that the folder may be moved or copied; open the store where it is then.
    A key is never given twice: of two different shards that are put under one key, one is kept,
    and who puts the other gets an error. This holds for threads and processes of one machine, and
    wherever the file system makes hard links atomically.

    Args:
        root: The folder; made when the first shard is put. By default `data` in the folder that
            the system has for the user's data.

    Examples:
        >>> import atdata
        >>> store = LocalDiskStore(tmp / "store")
        >>> ds = atdata.write_samples([atdata.DictSample(n=i) for i in range(5)], tmp / "five.tar")
        >>> urls = store.write_shards(ds, prefix="fives", maxcount=3)
        >>> len(urls), len(atdata.Dataset(list(urls)))
        (2, 5)
    """

    def __init__(self, root: str | Path | None = None) -> None:
        given = user_data_path("atdata") / "data" if root is None else Path(root)
        self._root = Path(os.path.realpath(given.expanduser()))

    @property
    def root(self) -> Path:
        """The folder, absolute, without symbolic links."""
        return self._root

    def put(self, shard: FinishedShard, *, key: str) -> StoredShard:
        """Keep a shard and what lies beside it, whole or not at all.

        A shard that was written into `staging` is only given its name. Any other is copied, and
        its bytes are compared with its digest while they are.

        Args:
            shard: The shard; a file outside of `staging` stays where it is.
            key: Such as `"mnist/7f3a-000000.tar"`.

        Returns:
            The shard as it is kept; its `url` is the key.

        Raises:
            ValueError: It is no key.
            RecordExistsError: Another shard is kept under this key, or something else beside it.
            StorageError: The disk is full, or the folder may not be written to, or the shard is
                not what it was when it was finished. Nothing is kept.

        Examples:
            >>> (tmp / "a.tar").write_bytes(bytes(1024))
            1024
            >>> shard = FinishedShard(tmp / "a.tar", 0, 1024, None)
            >>> LocalDiskStore(tmp / "s").put(shard, key="x/a.tar").sha256[:8]
            '5f70bf18'
        """
        with _storing(self._root / check_key(key)):
            return put_together(
                shard, key, keep=self._keep, holds=self._holds, remove=self._remove
            )

    def _keep(self, shard: FinishedShard, key: str) -> Kept:
        final = self._root / key
        if self._is_staged(shard.path):
            temporary, sha256 = shard.path, shard.sha256 or sha256_file(shard.path)
            check_size(shard)
            flush(temporary)
            is_new = self._name(temporary, final, key, shard.n_bytes, sha256)
            temporary.unlink(missing_ok=True)
        else:
            temporary, copy = self._new_part(key)
            try:
                with copy:
                    sha256 = copy_checked(shard, copy)
                is_new = self._name(temporary, final, key, shard.n_bytes, sha256)
            finally:
                temporary.unlink(missing_ok=True)
        return Kept(shard.n_bytes, sha256, is_new)

    def _holds(self, shard: FinishedShard, key: str) -> bool:
        """Whether a shard is there under a key; an error if another is."""
        final = self._root / key
        if not os.path.lexists(final):
            return False
        if not is_same(final, shard.n_bytes, shard.sha256 or sha256_file(shard.path)):
            raise _exists(key)
        return True

    def staging(self, prefix: str) -> Path:
        """A hidden folder in the store for shards that are to be put, made if it is not there.

        Examples:
            >>> folder = LocalDiskStore(tmp / "s").staging("mnist")
            >>> folder.name, folder.is_dir()
            ('mnist', True)
        """
        folder = self._root / _STAGING / check_prefix(prefix)
        with _storing(folder):
            return self._in_folder(folder, lambda: folder)

    def url(self, key: str) -> str:
        """The path of what is kept under a key; an address is returned as it is.

        Examples:
            >>> LocalDiskStore("/data").url("mnist/a.tar")
            '/data/mnist/a.tar'
            >>> LocalDiskStore("/data").url("https://example.org/a.tar")
            'https://example.org/a.tar'
        """
        return key if is_address(key) else str(self._root / check_relative(key))

    def read_url(self, url: str) -> str:
        """The address to read from: the same as `url`."""
        return self.url(url)

    def supports_streaming(self) -> bool:
        """True: shards are read where they lie."""
        return True

    def source(self, shards: Sequence[StoredShard]) -> DataSource:
        """What reads these shards: from this folder, and those with an address from there.

        Raises:
            ValueError: There are none, or a key leads out of the folder.
            UnsafeURLError: An address is of a kind that is not opened.

        Examples:
            >>> LocalDiskStore("/data").source([StoredShard("mnist/a.tar")]).list_shards()
            ['/data/mnist/a.tar']
        """
        return joined(
            [shard.url if is_address(shard.url) else self._file(shard.url) for shard in shards]
        )

    def list_keys(self, prefix: str = "") -> Iterator[StoredObject]:
        """What lies in the folder under keys that begin so, in order.

        Parts that are not finished are found under the key that they were to have, and are listed
        under one that begins with `.staging/`.

        Examples:
            >>> list(LocalDiskStore(tmp / "none").list_keys())
            []
        """
        with _storing(self._root):
            for path in (path for folder in self._folders(prefix) for path in files_in(folder)):
                key = path.relative_to(self._root).as_posix()
                if key.startswith(prefix) or _unstaged(key).startswith(prefix):
                    with suppress(FileNotFoundError, NotADirectoryError):
                        found = path.lstat()
                        yield StoredObject(key, found.st_size, found.st_mtime)

    def remove(self, key: str) -> None:
        """Remove what is kept under a key, and folders that are empty then.

        What lies beside a shard goes with it.

        Raises:
            ValueError: The key leads out of the folder.
            StorageError: It may not be removed.

        Examples:
            >>> LocalDiskStore(tmp / "s").remove("never/there.tar")
        """
        for one in with_sidecars(check_relative(key)):
            self._remove(one)

    def _remove(self, key: str) -> None:
        path = self._path(key)
        with _storing(path):
            if path.is_dir() and not path.is_symlink():
                self._prune(path)
                return
            with suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
                self._prune(path.parent)

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
            cache_local: Without a meaning here.

        Returns:
            The shards' paths, with their digests as `.checksums`.

        Raises:
            ValueError: There are no samples, or no key may begin so.
            StorageError: The disk is full, or the folder may not be written to.

        Examples:
            >>> import atdata
            >>> ds = atdata.write_samples([atdata.DictSample(n=1)], tmp / "one.tar")
            >>> urls = LocalDiskStore(tmp / "s").write_shards(ds, prefix="ones")
            >>> [len(urls.checksums[url]) for url in urls]
            [64]
        """
        del cache_local
        return write_shards(self, ds, prefix=prefix, maxcount=maxcount, maxsize=maxsize)

    def __repr__(self) -> str:
        return f"LocalDiskStore({str(self._root)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LocalDiskStore) and other._root == self._root

    def __hash__(self) -> int:
        return hash((LocalDiskStore, self._root))

    def __reduce__(self) -> tuple[Any, ...]:
        return LocalDiskStore, (self._root,)

    def _folders(self, prefix: str) -> list[Path]:
        """The folders that hold all files of keys that begin so; no link leads there."""
        above = prefix.rpartition("/")[0]
        if not above:
            return [] if prefix.startswith("/") else [self._root]
        if "\0" in above or any(part in {"", ".", ".."} for part in above.split("/")):
            return []  # no key begins so
        folders = [self._root / above]
        if folders[0] != self._root / _STAGING and not above.startswith(f"{_STAGING}/"):
            folders.insert(0, self._root / _STAGING / above)
        return [folder for folder in folders if os.path.realpath(folder) == str(folder)]

    def _path(self, key: str) -> Path:
        """The file of a key; a symbolic link on the way may not lead out."""
        path = self._root / check_relative(key)
        if not is_within(path.parent, self._root):
            raise _leads_out(path)
        return path

    def _file(self, key: str) -> Path:
        """The file of a key, which may not be a symbolic link that leads out either."""
        path = self._path(key)
        if not is_within(path, self._root):
            raise _leads_out(path)
        return path

    def _is_staged(self, path: Path) -> bool:
        return is_within(path, self._root / _STAGING)

    def _new_part(self, key: str) -> tuple[Path, BinaryIO]:
        """A new hidden file for what is to have a key."""
        part = self._root / _STAGING / key

        def create() -> tuple[Path, BinaryIO]:
            temporary = temporary_beside(part)
            return temporary, temporary.open("xb", buffering=0)

        return self._in_folder(part.parent, create)

    def _in_folder[R](self, folder: Path, act: Callable[[], R]) -> R:
        """Do something in a folder that a cleaner may find empty, and remove, at any moment."""
        for _ in range(_TRIES):
            with suppress(FileNotFoundError):
                self._make(folder)
                return act()
        reason = f"it was removed each time it was made, {_TRIES} times"
        raise StorageError(str(folder), reason, hint="See what cleans up there.")

    def _make(self, folder: Path) -> None:
        """Make a folder, durably, in the root and nowhere else."""
        missing: list[Path] = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        if folder.is_relative_to(self._root) and not is_within(folder, self._root):
            raise _leads_out(folder)
        for one in reversed(missing):
            one.mkdir(exist_ok=True)
            with suppress(PermissionError):  # above the root, we may be allowed to pass only
                flush(one.parent)

    def _name(self, temporary: Path, final: Path, key: str, n_bytes: int, sha256: str) -> bool:
        """Give a whole file its name, unless another has it; False if it has it already."""

        def give_name() -> None:
            try:
                link(temporary, final)
            except FileNotFoundError:
                if temporary.exists():
                    raise
                raise _gone(temporary) from None

        try:
            self._in_folder(final.parent, give_name)
        except FileExistsError:
            if not is_same(final, n_bytes, sha256):
                raise _exists(key) from None
            is_new = False
        else:
            is_new = True
        with suppress(FileNotFoundError):
            flush(final.parent)
        return is_new

    def _prune(self, folder: Path) -> None:
        """Remove a folder and those above it as far as they are empty, but never the root."""
        with suppress(OSError):
            while folder != self._root and folder.is_relative_to(self._root):
                folder.rmdir()
                folder = folder.parent


@contextmanager
def _storing(place: Path) -> Generator[None]:
    """Make an error of the file system one of the store, which says what can be done."""
    try:
        yield
    except AtdataError:
        raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        hint = "Make room on that disk." if full else "Check the folder and its permissions."
        raise StorageError(str(place), reason, hint=f"{hint} Nothing was kept.") from error


def _unstaged(key: str) -> str:
    """The key that a part was to have, or the beginning of it."""
    folder, slash, name = key.removeprefix(f"{_STAGING}/").rpartition("/")
    return f"{folder}{slash}{name.removeprefix('.')}" if key.startswith(f"{_STAGING}/") else key


def _exists(key: str) -> RecordExistsError:
    hint = "Put it under another key; what is kept is never replaced."
    return RecordExistsError("shard", key, hint)


def _gone(path: Path) -> StorageError:
    return StorageError(str(path), "it is gone", hint="Write the shard again. Nothing was kept.")


def _leads_out(path: Path) -> ValueError:
    return ValueError(
        f"{str(path)!r} leads out of the store\n"
        "  A symbolic link on the way leads elsewhere; a store keeps its shards in one folder."
    )
