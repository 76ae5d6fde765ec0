"""Names of shards: patterns with braces, and numbers in a row.

A pattern is first read into a small tree that knows how many names it stands for. A pattern that
stands for too many is refused before the first of them is made.
"""

import itertools
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

DEFAULT_LIMIT = 1_000_000
"""How many names a pattern may stand for unless the caller says otherwise."""

_LONGEST_PATTERN = 1 << 20
_MOST_CHARACTERS = 100_000_000
_DEEPEST = 50
_MOST_DIGITS = 18
_COUNTLESS = 10**36  # counting stops here, so that numbers stay small enough to multiply fast

_PIECE = re.compile(r"\\.|[{},]|[^\\{},]+|\\", re.DOTALL)
_DIGITS = re.compile(r"([0-9]+)")
_NUMBERS = re.compile(r"(-?[0-9]+)\.\.(-?[0-9]+)(?:\.\.-?([0-9]+))?")
_LETTERS = re.compile(r"([A-Za-z])\.\.([A-Za-z])(?:\.\.-?([0-9]+))?")
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def expand(pattern: str, *, limit: int = DEFAULT_LIMIT) -> list[str]:
    r"""The names a pattern with braces stands for, as in bash.

    `{000..010}` counts and keeps zero padding, `{9..1..2}` goes down in steps, `{a..e}` runs
    through letters, `{train,test}` lists. Braces nest. `{x}` and `{}` stay as they are, and a
    backslash takes the meaning from the character after it.

    Args:
        pattern: The pattern.
        limit: How many names it may stand for.

    Returns:
        The names, the last braces varying fastest.

    Raises:
        ValueError: Braces do not pair, or there are too many names.

    Examples:
        >>> expand("digits-{08..10}.tar")
        ['digits-08.tar', 'digits-09.tar', 'digits-10.tar']
        >>> expand("{train,test-{a,b}}.tar")
        ['train.tar', 'test-a.tar', 'test-b.tar']
        >>> expand(r"a\{1,2\}.tar")
        ['a{1,2}.tar']
        >>> expand("{0..999999999}.tar")
        Traceback (most recent call last):
        ValueError: the pattern stands for 1000000000 names; at most 1000000 are made
    """
    tree = _parse(pattern)
    if tree.count > limit:
        shown = str(tree.count) if tree.count < 10**15 else "more than 10^15"
        raise ValueError(f"the pattern stands for {shown} names; at most {limit} are made")
    if tree.n_characters > _MOST_CHARACTERS:
        raise ValueError(
            f"the names of the pattern are longer than {_MOST_CHARACTERS} characters together"
        )
    return tree.names()


def count(pattern: str) -> int:
    """How many names a pattern stands for, without making them; 10^36 means that many or more.

    Raises:
        ValueError: Braces do not pair.

    Examples:
        >>> count("{0..9}-{a..z}.tar")
        260
    """
    return _parse(pattern).count


@dataclass(frozen=True, slots=True)
class _Literal:
    text: str

    @property
    def count(self) -> int:
        return 1

    @property
    def n_characters(self) -> int:
        return len(self.text)

    def names(self) -> list[str]:
        return [self.text]


@dataclass(frozen=True, slots=True)
class _Numbers:
    values: range
    count: int
    width: int

    @property
    def n_characters(self) -> int:
        return self.count * max(self.width, len(str(self.values.start)))

    def names(self) -> list[str]:
        return [f"{n:0{self.width}d}" for n in self.values]


@dataclass(frozen=True, slots=True)
class _Either:
    choices: "Sequence[_Node]"
    count: int
    n_characters: int

    def names(self) -> list[str]:
        return [name for choice in self.choices for name in choice.names()]


@dataclass(frozen=True, slots=True)
class _Row:
    parts: "Sequence[_Node]"
    count: int
    n_characters: int

    def names(self) -> list[str]:
        return ["".join(row) for row in itertools.product(*(part.names() for part in self.parts))]


type _Node = _Literal | _Numbers | _Either | _Row


def _either(choices: Sequence[_Node]) -> _Either:
    number = min(sum(c.count for c in choices), _COUNTLESS)
    return _Either(choices, number, min(sum(c.n_characters for c in choices), _COUNTLESS))


def _row(parts: Sequence[_Node]) -> _Node:
    if len(parts) == 1:
        return parts[0]
    number, characters = 1, 0
    for part in parts:
        characters = min(characters * part.count + part.n_characters * number, _COUNTLESS)
        number = min(number * part.count, _COUNTLESS)
    return _Row(parts, number, characters)


@dataclass(slots=True)
class _Open:
    """Braces that are not closed yet."""

    position: int
    choices: list[_Node]
    parts: list[_Node]

    def end_choice(self) -> None:
        self.choices.append(_row(self.parts))
        self.parts = []


def _parse(pattern: str) -> _Node:
    if len(pattern) > _LONGEST_PATTERN:
        raise ValueError(f"a pattern may have at most {_LONGEST_PATTERN} characters")
    stack = [_Open(0, [], [])]
    for match in _PIECE.finditer(pattern):
        piece, position, top = match[0], match.start(), stack[-1]
        if piece == "{":
            if len(stack) > _DEEPEST:
                _fail(pattern, position, f"braces nest deeper than {_DEEPEST}")
            stack.append(_Open(position, [], []))
        elif piece == "}":
            if len(stack) == 1:
                _fail(pattern, position, "'}' without a '{' before it")
            closed = stack.pop()
            stack[-1].parts += _close(pattern, closed, position)
        elif piece == "," and len(stack) > 1:
            top.end_choice()
        else:
            escaped = piece.startswith("\\") and len(piece) > 1
            top.parts.append(_Literal(piece[1:] if escaped else piece))
    if len(stack) > 1:
        _fail(pattern, stack[-1].position, "'{' without a '}' after it")
    return _row(stack[0].parts)


def _close(pattern: str, braces: _Open, end: int) -> list[_Node]:
    if braces.choices:
        braces.end_choice()
        return [_either(braces.choices)]
    inside = pattern[braces.position + 1 : end]
    if numbers := _NUMBERS.fullmatch(inside):
        return [_numbers(pattern, braces.position, *numbers.groups())]
    if letters := _LETTERS.fullmatch(inside):
        return [_letters(pattern, braces.position, *letters.groups())]
    return [_Literal("{"), *braces.parts, _Literal("}")]


def _numbers(pattern: str, position: int, first: str, last: str, step: str | None) -> _Numbers:
    if max(len(first), len(last), len(step or "")) > _MOST_DIGITS:
        _fail(pattern, position, f"a number has more than {_MOST_DIGITS} digits")
    padded = any(
        end.removeprefix("-").startswith("0") and end not in {"0", "-0"} for end in (first, last)
    )
    values = _steps(int(first), int(last), step)
    n = abs(int(last) - int(first)) // abs(values.step) + 1
    return _Numbers(values, n, max(len(first), len(last)) if padded else 1)


def _letters(pattern: str, position: int, first: str, last: str, step: str | None) -> _Either:
    if len(step or "") > _MOST_DIGITS:
        _fail(pattern, position, f"a number has more than {_MOST_DIGITS} digits")
    steps = _steps(_ALPHABET.index(first), _ALPHABET.index(last), step)
    return _either([_Literal(_ALPHABET[n]) for n in steps])


def _steps(first: int, last: int, step: str | None) -> range:
    by = int(step or 1) or 1
    return range(first, last + 1, by) if first < last else range(first, last - 1, -by)


def _fail(pattern: str, position: int, reason: str) -> NoReturn:
    near = pattern[position : position + 20]
    raise ValueError(f"{reason}, at position {position} of the pattern: {near!r}")


_NUMBER_PLACE = re.compile(r"%(?:0([0-9]{1,2}))?d(?![A-Za-z0-9])")
_SUFFIX = re.compile(r"(?P<stem>.+?)(?P<suffix>\.tar(?:\.[A-Za-z0-9]+)?)", re.DOTALL)
_WIDTH = 6


def numbered(path: str, n: int) -> str:
    """The path of the n-th shard of several that are written under one path.

    A `%06d` or `%d` in the file name is where the number goes; otherwise it goes before the
    suffix, with six digits. A `%` in the folder is just a character.

    Args:
        path: Where the shards were asked for.
        n: The shard's number, from 0.

    Returns:
        The path.

    Raises:
        ValueError: The file name has more than one place for a number, or `n` is negative.

    Examples:
        >>> numbered("data/digits.tar", 3)
        'data/digits-000003.tar'
        >>> numbered("data/digits.tar.gz", 3)
        'data/digits-000003.tar.gz'
        >>> numbered("100%data/digits-%03d.tar", 3)
        '100%data/digits-003.tar'
    """
    if n < 0:
        raise ValueError(f"a shard's number cannot be negative: {n}")
    folder, name = os.path.split(path)
    before, width, after = _place(name)
    return os.path.join(folder, f"{before}{n:0{width}d}{after}")


def is_numbered_sibling(path: str, candidate: str) -> int | None:
    """The number of a file that was written under the same path, or None if it was not.

    This finds the shards that an earlier, longer write left behind.

    Args:
        path: Where the shards were asked for, as given to `numbered`.
        candidate: A file's name, without its folder.

    Returns:
        The number that gives `candidate`, or None.

    Examples:
        >>> is_numbered_sibling("data/digits.tar", "digits-000003.tar")
        3
        >>> is_numbered_sibling("data/digits.tar", "digits-3.tar") is None
        True
    """
    before, _, after = _place(os.path.basename(path))
    if not (candidate.startswith(before) and candidate.endswith(after)):
        return None
    digits = candidate[len(before) : len(candidate) - len(after)]
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 99):
        return None
    n = int(digits)
    return n if os.path.basename(numbered(path, n)) == candidate else None


def _place(name: str) -> tuple[str, int, str]:
    """What stands before and after the number in a file name, and the number's least width."""
    places = list(_NUMBER_PLACE.finditer(name))
    if len(places) > 1:
        raise ValueError(
            f"a file name may have one place for a number, not {len(places)}: {name!r}"
        )
    if places:
        place = places[0]
        return name[: place.start()], int(place[1] or 1), name[place.end() :]
    double = _SUFFIX.fullmatch(name)
    stem, suffix = (double["stem"], double["suffix"]) if double else os.path.splitext(name)
    return f"{stem}-", _WIDTH, suffix


type NaturalKey = tuple[tuple[str | tuple[int, str], ...], str]


def natural(name: str) -> NaturalKey:
    """A key to sort by: digits count as numbers, so that 2 comes before 10.

    Examples:
        >>> sorted(["a-10", "a-2", "a-02", "b-1"], key=natural)
        ['a-02', 'a-2', 'a-10', 'b-1']
    """
    pieces = _DIGITS.split(name)
    # A number is compared by its length and then as text: it may have any number of digits.
    return tuple(_number(piece) if i % 2 else piece for i, piece in enumerate(pieces)), name


def _number(digits: str) -> tuple[int, str]:
    significant = digits.lstrip("0")
    return len(significant), significant
