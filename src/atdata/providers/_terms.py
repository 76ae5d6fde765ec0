"""How a search finds rows: terms that a row is indexed under, tiers of a query, and its cursor.

Each word of a row is indexed once, as a term: the level of the best column it stands in, 1 for
the name, 2 for tags and fields, 3 for the description, and the word. A provider finds rows by the
beginnings of terms and never needs to know of columns.
"""

import base64
import binascii
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from atdata.model.record import Row, SearchText, words

_LEVELS = (("name", 1), ("tags", 2), ("fields", 2), ("description", 3))
_SCORES = (1.0, 0.8, 0.5, 0.25)
_LONGEST_WORD = 100
_MOST_WORDS = 32
_MOST_BYTES = 1 << 16
_CURSOR = struct.Struct(">BQ")
_SUM_BYTES = 7


def terms(text: SearchText) -> tuple[str, ...]:
    """The terms of a row's text, the best first; what exceeds 64 KiB is not searched.

    Examples:
        >>> terms(SearchText("mnist", "vision", "", "mnist digits"))
        ('1mnist', '2vision', '3digits')
    """
    levels: dict[str, int] = {}
    room = _MOST_BYTES
    for column, level in _LEVELS:
        for word in words(getattr(text, column)):
            cut = word[:_LONGEST_WORD]
            if cut in levels:
                continue
            room -= len(cut.encode()) + 2
            if room < 0:
                return tuple(f"{level}{word}" for word, level in levels.items())
            levels[cut] = level
    return tuple(f"{level}{word}" for word, level in levels.items())


def term_line(text: SearchText) -> str:
    """The terms of a row's text as one line, each after a space.

    Examples:
        >>> term_line(SearchText("mnist", "vision"))
        ' 1mnist 2vision'
    """
    return "".join(f" {term}" for term in terms(text))


@dataclass(frozen=True, slots=True)
class Tier:
    """The rows that fit a query equally well.

    Level 0 are those of that very name. The others have, for each word, a term of that level or
    a better one that begins with it; those that fit the level above do not count again. Without
    name and words, it is all rows.

    Attributes:
        level: From 0, the best, to 3.
        name: What was searched for, as it was written; None for everything.
        words: Its words.
    """

    level: int
    name: str | None = None
    words: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """How well these rows fit, in (0, 1]."""
        return _SCORES[self.level]

    def starts(self, word: str, level: int | None = None) -> tuple[str, ...]:
        """How terms begin that have this word, at this level or better.

        Examples:
            >>> Tier(2, "a", ("a",)).starts("a")
            ('1a', '2a')
        """
        return tuple(f"{at}{word}" for at in range(1, (level or self.level) + 1))

    def accepts(self, name: str, line: str) -> bool:
        """Whether a row of that name and line of terms is one of these.

        Examples:
            >>> tier = Tier(2, "a", ("a",))
            >>> tier.accepts("x", " 2abc"), tier.accepts("x", " 1ab")
            (True, False)
        """
        if self.name is None or self.level == 0:
            return self.name in {None, name}
        if name == self.name or not self._holds(line, self.level):
            return False
        return self.level == 1 or not self._holds(line, self.level - 1)

    def _holds(self, line: str, level: int) -> bool:
        return all(
            any(f" {start}" in line for start in self.starts(word, level)) for word in self.words
        )


def tiers(text: str) -> list[Tier]:
    """The tiers of a search, the best first.

    Raises:
        ValueError: There are too many words.

    Examples:
        >>> [(tier.level, tier.words) for tier in tiers("Galaxy!")]
        [(0, ()), (1, ('galaxy',)), (2, ('galaxy',)), (3, ('galaxy',))]
        >>> tiers(" ")
        [Tier(level=3, name=None, words=())]
    """
    wanted = text.strip()
    if not wanted:
        return [Tier(3)]
    # What is stored went through `words` twice: in `SearchText.of` and in `terms`.
    again = words(" ".join(words(wanted)))
    found = tuple(dict.fromkeys(word[:_LONGEST_WORD] for word in again))
    if len(found) > _MOST_WORDS:
        raise ValueError(
            f"a search takes at most {_MOST_WORDS} words, not {len(found)}\n  Search for fewer."
        )
    return [Tier(0, wanted)] + [Tier(level, wanted, found) for level in (1, 2, 3) if found]


@dataclass(frozen=True, slots=True)
class Match:
    """A row that a tier holds.

    Attributes:
        doc: The row's number: given when it was first stored, higher than any before.
        row: The row.
    """

    doc: int
    row: Row


def write_cursor(level: int, doc: int, text: str, refs: Sequence[str]) -> str:
    """Where a page of a search ended, as text for whoever asks for the next.

    Examples:
        >>> read_cursor(write_cursor(2, 7, "mnist", []), "mnist", [])
        (2, 7)
    """
    place = _CURSOR.pack(level, doc)
    return base64.urlsafe_b64encode(place + _sum(place, text, refs)).decode("ascii").rstrip("=")


def read_cursor(cursor: str, text: str, refs: Sequence[str]) -> tuple[int, int]:
    """The level and the row's number where the last page ended.

    Raises:
        ValueError: It is no cursor, or one of another search.

    Examples:
        >>> read_cursor("AAAA", "mnist", [])
        Traceback (most recent call last):
        ValueError: 'AAAA' is no cursor of this search
          Give the cursor of the page before, with the same text and refs.
    """
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        data = b""
    place = data[: _CURSOR.size]
    if len(place) == _CURSOR.size and data[_CURSOR.size :] == _sum(place, text, refs):
        level, doc = _CURSOR.unpack(place)
        return int(level), int(doc)
    raise ValueError(
        f"{cursor[:100]!a} is no cursor of this search\n"
        "  Give the cursor of the page before, with the same text and refs."
    )


def _sum(place: bytes, text: str, refs: Sequence[str]) -> bytes:
    said = repr((place, text.strip(), sorted(refs))).encode("utf-8", "backslashreplace")
    return hashlib.blake2b(said, digest_size=_SUM_BYTES).digest()
