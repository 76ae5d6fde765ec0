"""Patterns with `*`, `?`, `[…]` and `**`, and the walk that finds what fits them.

A pattern is a row of parts, one for each folder and the last for the file. While a walk goes down,
it keeps which parts may come next, so no folder is entered in which nothing can fit.
"""

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from atdata.load._names import is_hidden, is_shard

_MAGIC = re.compile(r"[*?\[]")
_ANY_FOLDERS = "**"

type Next = frozenset[int]
"""Which parts of a pattern may come next."""


def is_pattern(text: str) -> bool:
    """Whether a text has characters that stand for others.

    Examples:
        >>> is_pattern("train-*.tar"), is_pattern("train-{0..9}.tar")
        (True, False)
    """
    return _MAGIC.search(text) is not None


@dataclass(frozen=True, slots=True)
class Pattern:
    """Which files below a folder are meant.

    Where the last part ends in a wildcard, only files with a shard's suffix fit: what lies beside
    shards is not meant. Names that begin with a dot need a part that begins with one.

    Attributes:
        parts: What fits each folder's name, and the file's; `**` fits any number of folders, and
            as the last part all files in them.

    Examples:
        >>> Pattern(("**", "train-*.tar")).matches(["a", "b", "train-1.tar"])
        True
        >>> Pattern(("*",)).matches(["readme.txt"]), Pattern(("*.txt",)).matches(["readme.txt"])
        (False, True)
    """

    parts: tuple[str, ...]

    def begin(self) -> Next:
        """What may come first."""
        return self._closed({0})

    def step(self, at: Next, folder: str) -> Next:
        """What may come in a folder; nothing if nothing in it can fit."""
        reached: set[int] = set()
        for i in at:
            if i == len(self.parts):
                continue
            if self.parts[i] == _ANY_FOLDERS:
                reached |= set() if is_hidden(folder) else {i}
            elif i + 1 < len(self.parts) and _fits(self.parts[i], folder):
                reached.add(i + 1)
        return self._closed(reached)

    def takes(self, at: Next, file: str) -> bool:
        """Whether a file fits."""
        last = len(self.parts) - 1
        if last not in at or (self._ends_open and not is_shard(file)):
            return False
        return self.parts[last] == _ANY_FOLDERS or _fits(self.parts[last], file)

    def matches(self, names: Sequence[str]) -> bool:
        """Whether a file, given with its folders, fits."""
        at = self.begin()
        for folder in names[:-1]:
            at = self.step(at, folder)
        return self.takes(at, names[-1])

    @property
    def _ends_open(self) -> bool:
        return self.parts[-1][-1] in "*?]"

    def _closed(self, reached: set[int]) -> Next:
        for i, part in enumerate(self.parts):
            if i in reached and part == _ANY_FOLDERS:
                reached.add(i + 1)
        return frozenset(reached)


EVERYTHING = Pattern((_ANY_FOLDERS,))
"""All shards in a folder and the folders below it."""


def split(path: str) -> tuple[str, Pattern | None]:
    """The folder that a path with a pattern names, and the pattern below it.

    Returns:
        What comes before the first part that is a pattern, and the rest; None in its place where
        nothing is a pattern. A path that ends in a slash means all shards below.

    Raises:
        ValueError: The pattern leads upwards.

    Examples:
        >>> split("data/*/train-*.tar")
        ('data', Pattern(parts=('*', 'train-*.tar')))
        >>> split("data/a.tar")
        ('data/a.tar', None)
    """
    parts = path.split("/")
    first = next((i for i, part in enumerate(parts) if is_pattern(part)), None)
    if first is None:
        return (path, None) if parts[-1] or not path else (path, EVERYTHING)
    below = [part for part in parts[first:] if part not in {"", "."}]
    below += [] if parts[-1] else [_ANY_FOLDERS]
    if ".." in below:
        raise ValueError(
            f"'..' cannot stand behind a wildcard: {path!r}"
            "\n  Write where it leads in front of it."
        )
    folder = "/".join(parts[:first])
    same = [part == before == _ANY_FOLDERS for before, part in pairwise(["", *below])]
    once = tuple(part for part, again in zip(below, same, strict=True) if not again)
    return folder or ("/" if first else ""), Pattern(once)


@dataclass(frozen=True, slots=True)
class Entry:
    """What a folder holds under one name."""

    name: str
    is_folder: bool


type Listing = Callable[[tuple[str, ...]], Iterable[Entry]]
"""Gives the entries of a folder, which is named by the folders that lead to it."""


def walk(pattern: Pattern, listing: Listing) -> Iterator[tuple[str, ...]]:
    """Files that fit a pattern, each with the folders that lead to it, in no certain order.

    Examples:
        >>> tree = {(): [Entry("a", True), Entry("x.tar", False)], ("a",): [Entry("y.tar", False)]}
        >>> sorted(walk(EVERYTHING, tree.__getitem__))
        [('a', 'y.tar'), ('x.tar',)]
    """
    folders: list[tuple[tuple[str, ...], Next]] = [((), pattern.begin())]
    while folders:
        folder, at = folders.pop()
        for entry in listing(folder):
            if not entry.is_folder:
                if pattern.takes(at, entry.name):
                    yield (*folder, entry.name)
            elif below := pattern.step(at, entry.name):
                folders.append(((*folder, entry.name), below))


@lru_cache(maxsize=1024)
def _compiled(part: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(part))


def _fits(part: str, name: str) -> bool:
    if is_hidden(name) and part[0] != name[0]:
        return False
    return _compiled(part).match(name) is not None
