"""Files of this machine: what a folder holds, and what to say where nothing is."""

import os
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from atdata._exceptions import ShardNotFoundError, SourceError, printable
from atdata.load._names import is_hidden
from atdata.load._patterns import Entry
from atdata.shard.names import natural
from atdata.transport.file import is_scarcity, scarcity

_SHOWN = 5
_LOOKED_AT = 1000


class Folder:
    """Lists a folder and those below it; links are followed, but not round in circles.

    Args:
        base: The folder.

    Examples:
        >>> (tmp / "listed" / "a").mkdir(parents=True)
        >>> list(Folder(tmp / "listed")(()))
        [Entry(name='a', is_folder=True)]
    """

    def __init__(self, base: Path) -> None:
        self._base = base
        self._seen: dict[tuple[str, ...], tuple[int, int]] = {}

    def __call__(self, folder: tuple[str, ...]) -> list[Entry]:
        """The entries of a folder; none of one that leads back into itself.

        Raises:
            ShardNotFoundError: There is no such folder.
            SourceError: It may not be looked into.
        """
        path = Path(self._base, *folder)
        try:
            stat = path.stat()
            identity = stat.st_dev, stat.st_ino
            if any(self._seen[folder[:n]] == identity for n in range(len(folder))):
                return []
            self._seen[folder] = identity
            with os.scandir(path) as found:
                return [Entry(entry.name, _is_folder(entry)) for entry in found]
        except OSError as error:
            raise refusal(path, error) from error


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that cannot be followed: if it is meant, looking at it says why
        return False


def refusal(path: Path, error: OSError) -> OSError:
    """The error for a path that could not be looked at."""
    if is_scarcity(error):
        return scarcity(path, error)
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return missing(path)
    reason = (error.strerror or str(error)).lower()
    return SourceError(str(path), reason, hint="Check the path and its permissions.")


def missing(path: Path, advice: str = "") -> ShardNotFoundError:
    """The error for a path under which nothing lies; it tells what lies beside it."""
    what = "a link that leads nowhere" if path.is_symlink() else "no such file or folder"
    reason = f"{what}; {_beside(path)}"
    return ShardNotFoundError(str(path), f"{reason}; {advice}" if advice else reason)


def nothing_fits(shown: str, folder: Path, advice: str = "") -> ShardNotFoundError:
    """The error for a folder in which nothing is meant; it tells what there is."""
    reason = f"no file there fits; {_held(folder, '')}"
    return ShardNotFoundError(shown, f"{reason}; {advice}" if advice else reason)


def _beside(path: Path) -> str:
    folder = path.parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return _held(folder, path.name)


def _held(folder: Path, name: str) -> str:
    try:
        with os.scandir(folder) as found:
            names = [entry.name for entry in islice(found, _LOOKED_AT)]
    except OSError as error:
        return f"the folder {printable(folder)} cannot be looked into ({error.strerror})"
    shown = [one for one in names if not is_hidden(one)]
    return f"the folder {printable(folder)} {held(shown, name)}"


def held(names: Sequence[str], like: str = "") -> str:
    """What a folder holds, in a few words, the names most like the one that is wanted first.

    Examples:
        >>> held(["b.tar", "a.tar"]), held([])
        ('holds a.tar, b.tar', 'holds nothing')
    """
    if not names:
        return "holds nothing"
    close = get_close_matches(like, names, _SHOWN) if like else []
    shown = [*close, *sorted(set(names) - set(close), key=natural)][:_SHOWN]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"holds {', '.join(printable(name, 60) for name in shown)}{more}"
