"""From a place as people write it to the files it means.

A place is a path, an address or a pattern. Each kind finds files in its own way: on this machine
by looking, on web servers by the pages that list folders, in buckets by listing keys. What is
found is sorted, so that the same files are the same dataset in whatever order they are listed.
"""

import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from atdata._exceptions import ShardNotFoundError, redacted
from atdata.load._buckets import Access, from_environment, keys_of
from atdata.load._folders import Folder, held, missing, nothing_fits, refusal
from atdata.load._pages import WebFolder
from atdata.load._patterns import EVERYTHING, Pattern, is_pattern, split, walk
from atdata.shard import names
from atdata.shard.names import natural
from atdata.sources.registry import source_of
from atdata.transport import gate

_LOCAL = frozenset({None, "file"})
_WEB = frozenset({"http", "https"})
_ADDRESS = re.compile(
    r"(?P<origin>[A-Za-z][A-Za-z0-9+.\-]*:(?://[^/?#]*)?)(?P<path>[^?#]*)(?P<query>.*)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Found:
    """A file that was meant.

    Attributes:
        shard: Its path or address, in which nothing stands for anything else.
        origin: The machine or bucket; empty for this machine.
        where: Its folders and its name.
        n_given: How many of its folders belong to the path that was given.
    """

    shard: str | Path
    origin: str
    where: tuple[str, ...]
    n_given: int

    @property
    def identity(self) -> object:
        """What no other file has, however it was named."""
        return self.where if not self.origin else str(self.shard)


def find(
    given: str | Path | Sequence[str | Path],
    base: str | Path | None = None,
    access: Access = from_environment,
) -> list[Found]:
    """The files that places mean: in the order of the places, each file once.

    Args:
        given: A path, an address or a pattern, or a list of those. A `Path` stands for itself.
        base: What relative paths are relative to: a folder, or the address of one.
        access: Who lists buckets.

    Raises:
        ShardNotFoundError: A path leads nowhere, or nothing fits a pattern.
        SourceError: A place refused or failed.
        UnsafeURLError: An address is not of a kind that is opened.
        ValueError: A list is empty, or a pattern makes no sense.

    Examples:
        >>> (tmp / "files").mkdir()
        >>> for name in ["a-10.tar", "a-2.tar", "b.txt"]:
        ...     (tmp / "files" / name).touch()
        >>> [one.where[-1] for one in find(tmp / "files")]
        ['a-2.tar', 'a-10.tar']
    """
    if isinstance(given, str | Path):
        return _once(_places(given, base, access))
    if not isinstance(given, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]  # users need not check types
        raise TypeError(f"a path is a str or Path, or a list of them, not {type(given).__name__}")
    if not given:
        raise ValueError("the list of files is empty")
    return _once(found for one in given for found in _places(one, base, access))


def folder_at(path: str | Path) -> str | Path:
    """A folder that files are relative to: of this machine as a `Path`, else its address.

    Raises:
        ShardNotFoundError: There is no such folder.
        ValueError: It is a file, or a pattern.

    Examples:
        >>> folder_at(str(tmp)) == tmp, folder_at("https://example.org/data")
        (True, 'https://example.org/data')
    """
    if isinstance(path, str) and gate.scheme_of(path) not in _LOCAL:
        _joined(path, "")
        if is_pattern(path) or names.count(path) > 1:
            raise ValueError(f"{redacted(path)} is no folder but a pattern")
        return path
    folder = _folder_of(path)
    try:
        if not stat.S_ISDIR(os.stat(folder).st_mode):
            raise ValueError(f"{folder} is a file; data_files are files of a folder")
    except OSError as error:
        raise refusal(folder, error) from error
    return folder


def _once(found: Iterable[Found]) -> list[Found]:
    first: dict[object, Found] = {}
    for one in found:
        first.setdefault(one.identity, one)
    return list(first.values())


def _places(given: str | Path, base: str | Path | None, access: Access) -> list[Found]:
    if not isinstance(given, str | Path):  # pyright: ignore[reportUnnecessaryIsInstance]  # users need not check types
        raise TypeError(f"a path is a str or Path, not {type(given).__name__}")
    is_local_base = base is None or isinstance(base, Path) or gate.scheme_of(base) in _LOCAL
    if not is_local_base and _is_relative(given):
        given = _joined(str(base), str(given))
    if isinstance(given, Path):
        return _exactly(Path() if base is None else _folder_of(base), given)
    scheme = gate.scheme_of(given)
    if scheme in _LOCAL:
        return _on_this_machine(given, _folder_of(base) if is_local_base and base else Path())
    if scheme in _WEB:
        return [one for url in names.expand(given) for one in _on_the_web(url)]
    if scheme == "s3":
        return [one for url in names.expand(given) for one in _in_a_bucket(url, access)]
    source_of(given)  # refuses what nothing reads
    return [_addressed(one) for one in names.expand(given)]


def _is_relative(given: str | Path) -> bool:
    if isinstance(given, Path):
        return not given.is_absolute()
    return gate.scheme_of(given) is None and not given.startswith("/")


def _joined(base: str, name: str) -> str:
    parts = _ADDRESS.fullmatch(base)
    if parts is None or parts["query"]:
        raise ValueError(f"{redacted(base)} is no folder: its address has a query")
    if ".." in name.split("/"):
        raise ValueError(f"{name!r} leads out of {redacted(base)}\n  Write its whole address.")
    return f"{base.rstrip('/')}/{name}"


# -- files of this machine


def _folder_of(base: str | Path) -> Path:
    if isinstance(base, Path):
        return base
    address = gate.check(base)
    assert isinstance(address, gate.FileAddress)
    return address.path


def _on_this_machine(given: str, base: Path) -> list[Found]:
    path = _folder_of(given)
    text = f"{path}/" if given.endswith("/") else str(path)
    if os.path.lexists(base / path):
        return _exactly(base, path)
    if not any(c in text for c in "{}\\"):
        return _fitting(base, text)
    return [one for each in names.expand(text) for one in _fitting(base, each)]


def _fitting(base: Path, text: str) -> list[Found]:
    """What a path without braces means."""
    if not is_pattern(text) or os.path.lexists(base / text):
        return _exactly(base, Path(text))
    folder, pattern = split(text)
    assert pattern is not None
    found = _below(base / folder, pattern)
    if not found:
        below = "" if "**" in pattern.parts else "'**' goes into folders"
        raise nothing_fits(str(base / text), base / folder, below)
    return found


def _exactly(base: Path, path: Path) -> list[Found]:
    """A file, or all shards of a folder."""
    whole = base / path
    try:
        is_folder = stat.S_ISDIR(os.stat(whole).st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        advice = "what stands for itself is no pattern: write it as a str"
        raise missing(whole, advice if is_pattern(str(path)) else "") from error
    except OSError as error:
        raise refusal(whole, error) from error
    if not is_folder:
        where = _parts(whole)
        return [Found(whole, "", where, len(where) - 1)]
    found = _below(whole, EVERYTHING)
    if not found:
        raise nothing_fits(str(whole), whole, "a shard's name ends in .tar, .tar.gz or the like")
    return found


def _below(folder: Path, pattern: Pattern) -> list[Found]:
    given = _parts(folder)
    found = [
        Found(Path(folder, *parts), "", (*given, *parts), len(given))
        for parts in _sorted(walk(pattern, Folder(folder)))
    ]
    for one in found:
        try:
            os.stat(one.shard)
        except OSError as error:  # a link that leads nowhere
            raise refusal(Path(one.shard), error) from error
    return found


def _parts(path: Path) -> tuple[str, ...]:
    return Path(os.path.abspath(path)).parts


def _sorted(found: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return sorted(found, key=lambda parts: [natural(part) for part in parts])


# -- files of web servers


def _on_the_web(url: str) -> list[Found]:
    parts = _ADDRESS.fullmatch(url)
    assert parts is not None
    folder, pattern = split(parts["path"])
    if pattern is None:
        return [_addressed(_escaped(url))]
    if parts["query"]:
        raise ValueError(
            f"{redacted(url)} is a folder or pattern, and its address has a query"
            "\n  In an address, '?' begins a query; write '*'."
        )
    base = parts["origin"] + _escaped(folder).rstrip("/") + "/"
    listing = WebFolder(base)
    found = _sorted(walk(pattern, listing))
    if not found:
        reason = f"no file that the server lists there fits; the folder {held(listing.names)}"
        raise ShardNotFoundError(redacted(url), reason)
    given = _web_parts(folder)
    origin = parts["origin"]
    return [Found(listing.url(one), origin, (*given, *one), len(given)) for one in found]


# -- objects of buckets, and files of other places


def _in_a_bucket(url: str, access: Access) -> list[Found]:
    bucket, folder, keys = keys_of(url, access)
    given = tuple(folder.split("/")) if folder else ()
    origin = f"s3://{bucket}"
    return [
        Found("/".join((origin, *given, *key)), origin, (*given, *key), len(given)) for key in keys
    ]


def _addressed(url: str) -> Found:
    """A file by its address."""
    if gate.scheme_of(url) in _WEB:
        gate.check(url)
    parts = _ADDRESS.fullmatch(url)
    assert parts is not None
    where = _web_parts(parts["path"]) or ("",)
    return Found(url, parts["origin"], where, len(where) - 1)


def _web_parts(path: str) -> tuple[str, ...]:
    return tuple(unquote(part) for part in path.split("/") if part)


def _escaped(url: str) -> str:
    """An address in which no brace stands for anything else."""
    return url.replace("{", "%7B").replace("}", "%7D")
