"""Names that people give, checked once, and references taken apart.

A dataset's name is one or more segments with a slash between, each of letters, digits and `. _ -`:
what a file system, an object store, a URL and a record key all take as it is.
"""

import re
from dataclasses import dataclass

LONGEST_NAME = 200
LONGEST_SEGMENT = 100
LONGEST_VERSION = 100
_SEGMENT = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?", re.ASCII)
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*", re.ASCII)
LOCAL = "local"


def check_name(name: object) -> str:
    """Check a dataset's or lens's name.

    Raises:
        TypeError: It is no text.
        ValueError: It is no name, and why.

    Examples:
        >>> check_name("vision/mnist-2.b")
        'vision/mnist-2.b'
        >>> check_name("../x")
        Traceback (most recent call last):
        ValueError: '../x' is no name: '..' is not allowed between slashes
          Use letters, digits and . _ - with a slash between parts, such as vision/mnist.
    """
    if not isinstance(name, str):
        raise TypeError(f"a name is a str, not {type(name).__name__}")
    reason = _fault(name)
    if reason:
        shown = ascii(name if len(name) <= LONGEST_NAME else name[:40] + "…")
        raise ValueError(
            f"{shown} is no name: {reason}\n"
            "  Use letters, digits and . _ - with a slash between parts, such as vision/mnist."
        )
    return name


def _fault(name: str) -> str:
    if not name:
        return "it is empty"
    if len(name) > LONGEST_NAME:
        return f"it has {len(name)} characters, and at most {LONGEST_NAME} are allowed"
    for segment in name.split("/"):
        if not segment:
            return "nothing stands before, after or between slashes"
        if len(segment) > LONGEST_SEGMENT:
            return f"a part has {len(segment)} characters of at most {LONGEST_SEGMENT}"
        if not _SEGMENT.fullmatch(segment):
            bad = next((c for c in segment if not re.match(r"[A-Za-z0-9._-]", c, re.ASCII)), None)
            at = ascii(segment if bad is None else bad)
            return f"{at} is not allowed" + (" between slashes" if bad is None else "")
    return ""


def check_version(version: object) -> str:
    """Check a version: `1.0.0`, or any short word such as `v2` or `2026-11`.

    Raises:
        TypeError: It is no text.
        ValueError: It is no version.

    Examples:
        >>> check_version("1.2.0-rc.1")
        '1.2.0-rc.1'
        >>> check_version("")
        Traceback (most recent call last):
        ValueError: '' is no version
          Use letters, digits and . _ + - such as 1.2.0 or 2026-11.
    """
    if not isinstance(version, str):
        raise TypeError(f"a version is a str, not {type(version).__name__}")
    if len(version) > LONGEST_VERSION or not _VERSION.fullmatch(version):
        raise ValueError(
            f"{version[:LONGEST_VERSION]!a} is no version\n"
            "  Use letters, digits and . _ + - such as 1.2.0 or 2026-11."
        )
    return version


@dataclass(frozen=True, slots=True)
class Reference:
    """What someone wrote to name a dataset, taken apart.

    Attributes:
        repo: The mounted repository, or None for another account's on the network.
        name: The dataset's name in it, or the whole of an `at://` address.
        version: The version asked for, or None.
        account: The handle or DID, where it is not a mounted repository.
    """

    repo: str | None
    name: str
    version: str | None = None
    account: str | None = None

    def __str__(self) -> str:
        place = self.account if self.repo is None else self.repo
        version = "" if self.version is None else f"@{self.version}"
        if self.name.startswith("at://"):
            return self.name
        return f"@{place}/{self.name}{version}"


def parse_reference(text: object, mounted: frozenset[str] = frozenset({LOCAL})) -> Reference:
    """Take a reference to a dataset apart.

    `name`, `name@version`, `repo/name@version`, `@repo/name@version`, `@account/name@version`,
    `atdata://repo/dataset/name@version` and `at://…`. What stands before the first slash is a
    repository if one of that name is mounted.

    Args:
        text: The reference.
        mounted: Names of the mounted repositories.

    Raises:
        TypeError: It is no text.
        ValueError: It names nothing.

    Examples:
        >>> parse_reference("mnist@1.0.0")
        Reference(repo='local', name='mnist', version='1.0.0', account=None)
        >>> parse_reference("@lab/vision/mnist", frozenset({"local", "lab"}))
        Reference(repo='lab', name='vision/mnist', version=None, account=None)
        >>> parse_reference("@alice.example.org/mnist").account
        'alice.example.org'
    """
    if not isinstance(text, str):
        raise TypeError(f"a reference is a str, not {type(text).__name__}")
    if text.startswith("at://"):
        return Reference(None, text)
    if text.startswith("atdata://"):
        place, _, rest = text.removeprefix("atdata://").partition("/")
        kind, slash, inner = rest.partition("/")
        if not place or not slash or kind not in {"dataset", "entry"}:
            raise ValueError(
                f"{text!a} names no dataset\n  Write atdata://local/dataset/mnist@1.0.0."
            )
        return _placed(place, inner, mounted, text)
    if text.startswith("@"):
        place, slash, rest = text[1:].partition("/")
        if not slash or not place or not rest:
            raise ValueError(
                f"{text!a} names no dataset\n"
                "  Write @repository/name or @account/name, with @version if you like."
            )
        return _placed(place, rest, mounted, text)
    place, slash, rest = text.partition("/")
    if slash and place in mounted:
        return _placed(place, rest, mounted, text)
    return _placed(LOCAL, text, mounted, text)


def _placed(place: str, rest: str, mounted: frozenset[str], text: str) -> Reference:
    name, at, version = rest.partition("@")
    if at and not version:
        raise ValueError(f"{text!a} names no version after its last @\n  Leave the @ away.")
    checked = check_name(name)
    wanted = check_version(version) if at else None
    if place in mounted:
        return Reference(place, checked, wanted)
    return Reference(None, checked, wanted, place)
