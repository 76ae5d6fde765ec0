"""Records as a catalogue keeps them: rows of one shape, whatever they describe.

A provider knows nothing of datasets. It keeps rows by kind, name and tag, finds them by what they
refer to, and commits several at once. What a row says is JSON text, read by the layers above.
"""

import re
import unicodedata
from dataclasses import dataclass, field, replace
from typing import Self

ENTRY = "entry"
SCHEMA = "schema"
LABEL = "label"
LENS = "lens"
PENDING = "pending"
KINDS = (ENTRY, SCHEMA, LABEL, LENS, PENDING)
"""The kinds of records; the tag is a CID for entries, a version or nothing for the others."""

_WORD = re.compile(r"[^\W_]+")
COLUMNS = ("name", "tags", "fields", "description")
"""The columns of `SearchText`, the weightiest first."""


def words(text: str) -> list[str]:
    """The words of a text as they are searched for: letters and digits, without case.

    Examples:
        >>> words("Galaxy-cutouts_v2 (RGB)")
        ['galaxy', 'cutouts', 'v2', 'rgb']
    """
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


@dataclass(frozen=True, slots=True)
class SearchText:
    """What a row is found by in a search, as words with a space between.

    Attributes:
        name: Words of the dataset's name.
        tags: Words of its tags.
        fields: Words of its schema's name and fields.
        description: Words of what is said of it.
    """

    name: str = ""
    tags: str = ""
    fields: str = ""
    description: str = ""

    @classmethod
    def of(cls, **columns: str) -> Self:
        """Search text of plain texts.

        Examples:
            >>> SearchText.of(name="vision/MNIST", description="Digits, 28 x 28.").description
            'digits 28 x 28'
        """
        return cls(**{name: " ".join(words(text)) for name, text in columns.items()})


@dataclass(frozen=True, slots=True)
class Row:
    """One record in a catalogue.

    Attributes:
        kind: One of `KINDS`.
        name: Its name.
        tag: What tells it from others of its name: a version, a CID, or nothing.
        body: What it says, as JSON text.
        refs: What it can be found by, such as `cid:bafy…`; at most a few dozen.
        text: What a search finds it by, or None: no search finds it.
        seq: Number of the commit that wrote it; the provider gives it, counting up from 1.
    """

    kind: str
    name: str
    tag: str
    body: str
    refs: tuple[str, ...] = ()
    text: SearchText | None = None
    seq: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        """What the row is stored under; a second row of the same key replaces the first."""
        return self.kind, self.name, self.tag

    def at(self, seq: int) -> "Row":
        """The row as written by that commit."""
        return replace(self, seq=seq)


@dataclass(frozen=True, slots=True)
class Put:
    """Store a row.

    Attributes:
        row: The row.
        expect: None stores it whatever is there; 0 only where nothing is; another number only
            over the row that this commit wrote.
    """

    row: Row
    expect: int | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """The row's key."""
        return self.row.key


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a row.

    Attributes:
        key: The row's kind, name and tag.
        expect: None removes it if it is there; a number only if that commit wrote it.
    """

    key: tuple[str, str, str]
    expect: int | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """Let a commit pass only if a row is as it was read.

    Attributes:
        key: The row's kind, name and tag.
        expect: Number of the commit that wrote it, or 0: there is none.
    """

    key: tuple[str, str, str]
    expect: int


type Change = Put | Delete | Check
"""A step of a commit. A commit takes all its steps or none, and names no key twice."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A row that a search found.

    Attributes:
        row: The row.
        score: How well it fits, in (0, 1]: 1 for the very name, less for words in the name, then
            in tags and fields, then in the description.
    """

    row: Row
    score: float


@dataclass(frozen=True, slots=True)
class Hits:
    """A page of what a search found.

    Attributes:
        hits: The best first, and among equals what was catalogued last.
        cursor: Where the next page begins, or None after the last.
    """

    hits: list[Hit] = field(default_factory=list[Hit])
    cursor: str | None = None
