"""Versions: their order, and the next one."""

import re
from dataclasses import dataclass
from typing import Any, Literal, Self

from atdata._exceptions import printable
from atdata._type_utils import parse_semver

__all__ = ["Bump", "Version", "is_version", "latest", "parse_semver", "version_key"]

type Bump = Literal["patch", "minor", "major"]
"""Which of a version's numbers grows."""

_LONGEST = 256
_NUMBER = r"(0|[1-9][0-9]{0,17})"
_IDENTIFIERS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_SEMVER = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_IDENTIFIERS}))?(?:\+({_IDENTIFIERS}))?", re.ASCII
)
_LEADING_ZERO = re.compile(r"0[0-9]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Version:
    """A version as Semantic Versioning 2.0 defines it.

    The order is the precedence of that definition. It leaves the order of versions that differ in
    their build alone open; here they are ordered by it, so that no two versions are equal unless
    they are the same.

    Attributes:
        major: Grows with what breaks readers.
        minor: Grows with what readers need a bridge for.
        patch: Grows with everything else.
        pre_release: The identifiers after `-`; with any, the version comes before the one without.
        build: The identifiers after `+`.

    Examples:
        >>> versions = ["1.0.0", "1.0.0-rc.1", "1.0.0-beta.11", "0.9.10", "1.0.0-beta.2"]
        >>> [str(version) for version in sorted(map(Version.parse, versions))]
        ['0.9.10', '1.0.0-beta.2', '1.0.0-beta.11', '1.0.0-rc.1', '1.0.0']
    """

    major: int
    minor: int
    patch: int
    pre_release: tuple[str, ...] = ()
    build: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a version.

        Raises:
            ValueError: It is no version.

        Examples:
            >>> Version.parse("1.0.0-rc.1+linux").pre_release
            ('rc', '1')
        """
        found = _SEMVER.fullmatch(text) if len(text) <= _LONGEST else None
        before = tuple((found[4] or "").split(".")) if found and found[4] else ()
        if found is None or any(_LEADING_ZERO.fullmatch(part) for part in before):
            raise ValueError(
                f"{printable(repr(text))} is no version\n"
                "  Write three numbers, such as 1.2.3, 1.2.3-rc.1 or 1.2.3+build.7"
            )
        after = tuple(found[5].split(".")) if found[5] else ()
        return cls(int(found[1]), int(found[2]), int(found[3]), before, after)

    def bump(self, part: Bump) -> Self:
        """The next version, without pre-release and build.

        Args:
            part: The number that grows; those after it become 0. A pre-release becomes the
                release it leads to where that is far enough.

        Raises:
            ValueError: There is no such part.

        Examples:
            >>> str(Version(1, 2, 3).bump("minor")), str(Version.parse("2.0.0-rc.1").bump("major"))
            ('1.3.0', '2.0.0')
        """
        coming = bool(self.pre_release)
        kind = type(self)
        match part:
            case "patch":
                return kind(self.major, self.minor, self.patch + (not coming))
            case "minor":
                return kind(self.major, self.minor + (not (coming and self.patch == 0)), 0)
            case "major":
                ready = coming and self.minor == self.patch == 0
                return kind(self.major + (not ready), 0, 0)
        raise ValueError(f"a version has no part {part!r}\n  Choose 'patch', 'minor' or 'major'")

    @property
    def precedence(self) -> tuple[Any, ...]:
        """What versions are ordered by."""
        numbers = (self.major, self.minor, self.patch)
        return (numbers, not self.pre_release, _order(self.pre_release), _order(self.build))

    def __lt__(self, other: "Version") -> bool:
        return self.precedence < other.precedence

    def __le__(self, other: "Version") -> bool:
        return self.precedence <= other.precedence

    def __gt__(self, other: "Version") -> bool:
        return self.precedence > other.precedence

    def __ge__(self, other: "Version") -> bool:
        return self.precedence >= other.precedence

    def __str__(self) -> str:
        """As it is written, `1.2.3-rc.1+build.7`."""
        before = f"-{'.'.join(self.pre_release)}" if self.pre_release else ""
        after = f"+{'.'.join(self.build)}" if self.build else ""
        return f"{self.major}.{self.minor}.{self.patch}{before}{after}"


def is_version(text: str) -> bool:
    """Whether a text is a version by Semantic Versioning 2.0.

    Examples:
        >>> is_version("1.0.0-beta+build.123"), is_version("1_0.0.0"), is_version("weird")
        (True, False, False)
    """
    try:
        Version.parse(text)
    except ValueError:
        return False
    return True


def version_key(text: str) -> tuple[Any, ...]:
    """A key to sort any texts by as versions: those that are none come first.

    Examples:
        >>> sorted(["1.10.0", "weird", "1.9.9", ""], key=version_key)
        ['', 'weird', '1.9.9', '1.10.0']
    """
    try:
        return (1, Version.parse(text).precedence, text)
    except ValueError:
        return (0, (), text)


def latest(versions: "list[str]") -> Version | None:
    """The highest of some versions; texts that are none are passed over.

    Examples:
        >>> str(latest(["1.2.0", "1.10.0", "weird"]))
        '1.10.0'
    """
    found = [Version.parse(text) for text in versions if is_version(text)]
    return max(found, default=None)


def _order(identifiers: tuple[str, ...]) -> tuple[tuple[int, int, str], ...]:
    """Numbers come before texts and are ordered as numbers."""
    return tuple((0, int(i), i) if i.isdigit() else (1, 0, i) for i in identifiers)
