"""The words, signs and values of a text."""

import datetime as dt
import math
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from atdata._exceptions import PredicateSyntaxError, printable
from atdata.predicate.text import WORDS


@dataclass(frozen=True, slots=True)
class Token:
    """One word, sign, name or value.

    Attributes:
        kind: What it is.
        key: The word in lower case, or the sign; empty for a name or value.
        value: The path of a name, or the value.
        at: Where it begins in the text.
        shown: How an error calls it.
    """

    kind: Literal["word", "name", "value", "sign", "end"]
    key: str
    value: Any
    at: int
    shown: str


_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
  | (?P<typed>(?:[xX]|[a-zA-Z]+\s*)'(?:[^']|'')*')
  | (?P<text>'(?:[^']|'')*')
  | (?P<name>(?:[^\W\d]\w*|"(?:[^"]|"")+")(?:\s*\.\s*(?:[^\W\d]\w*|"(?:[^"]|"")+"))*)
  | (?P<sign><=|>=|<>|!=|==|[-+*/%()\[\],<>=&|~])
    """,
    re.VERBOSE,
)
_STEP = re.compile(r'[^\W\d]\w*|"(?:[^"]|"")+"')
_NUMBER = re.compile(r"\d+")
_TOO_FINE = re.compile(r"[.,][0-9]{6}[0-9]*[1-9]")
_LONGEST_NUMBER = 1300
"""Digits. Python takes quadratic time to read a number."""


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a text, read as they are asked for; the last one is its end.

    Raises:
        PredicateSyntaxError: A character begins no token, or a value is none.

    Examples:
        >>> [token.key or token.value for token in tokens("a.b >= 1")]
        ['a.b', '>=', 1, 'end']
    """
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise PredicateSyntaxError(_reason(text, at), text, at)
        if match.lastgroup != "space":
            yield from _read(match, text)
        at = match.end()
    yield Token("end", "end", None, len(text), "the end")


def _reason(text: str, at: int) -> str:
    if text[at] in "'\"":
        return f"the quote {text[at]} has no end"
    if text[at].isdigit():
        return "this is no number"
    return f"{text[at]!r} has no meaning here"


def _read(match: re.Match[str], text: str) -> list[Token]:
    at, shown = match.start(), printable(match[0], 40)
    match match.lastgroup:
        case "number":
            return [Token("value", "", _number(match[0], text, at), at, shown)]
        case "text":
            return [Token("value", "", _unquoted(match[0]), at, shown)]
        case "typed":
            word, _, rest = match[0].partition("'")
            word, quoted = word.strip().lower(), _unquoted(f"'{rest}")
            if word in WORDS:
                start = at + match[0].index("'")
                value = Token("value", "", quoted, start, shown)
                return [Token("word", word, None, at, word), value]
            return [Token("value", "", literal(word, quoted, text, at), at, shown)]
        case "name":
            steps = [_plain(step) for step in _STEP.findall(match[0])]
            key = match[0].lower()
            if key in WORDS:
                return [Token("word", key, None, at, f"{shown!r}")]
            return [Token("name", "", ".".join(steps), at, f"{shown!r}")]
        case _:
            return [Token("sign", match[0], None, at, f"{shown!r}")]


def _number(digits: str, text: str, at: int) -> int | float:
    if len(digits) > _LONGEST_NUMBER:
        raise PredicateSyntaxError(f"a number of {len(digits)} digits", text, at)
    if _NUMBER.fullmatch(digits):
        return int(digits)
    try:
        return real(digits)
    except ValueError as error:
        raise PredicateSyntaxError(str(error), text, at) from None


def real(digits: str) -> float:
    """A float that is written in decimal digits.

    Raises:
        ValueError: It is none, or so large or small that it would become infinite or zero.

    Examples:
        >>> real("1.5e3"), real("0e999")
        (1500.0, 0.0)
        >>> real("1e999")
        Traceback (most recent call last):
        ValueError: a float goes from 5e-324 to 1.7976931348623157e+308; larger ones are inf
    """
    found = float(digits)
    if math.isinf(found) and "inf" not in digits.lower():
        raise ValueError(
            f"a float goes from 5e-324 to {sys.float_info.max!r}; larger ones are inf"
        )
    mantissa = digits.lower().partition("e")[0]
    if found == 0 and any(one.isdecimal() and int(one) for one in mantissa):
        raise ValueError(f"a float goes from 5e-324 to {sys.float_info.max!r}; smaller ones are 0")
    return found


def _plain(step: str) -> str:
    return step[1:-1].replace('""', '"') if step.startswith('"') else step


def _unquoted(quoted: str) -> str:
    return quoted[1:-1].replace("''", "'")


def literal(word: str, quoted: str, text: str, at: int) -> Any:
    """A value that is written as a word and a quoted text.

    Raises:
        PredicateSyntaxError: There is no such value.
    """
    if word not in _READERS:
        known = ", ".join(_READERS)
        raise PredicateSyntaxError(f"{word!r} before a quote; there are {known}", text, at)
    read, form = _READERS[word]
    try:
        return read(quoted)
    except (ValueError, OverflowError):
        fine = ", in microseconds at the finest" if _TOO_FINE.search(quoted) else ""
        reason = f"{quoted[:60]!r} is no {word}; write it as {word} '{form}'{fine}"
        raise PredicateSyntaxError(reason, text, at) from None


_SECONDS = re.compile(r"(-?)([0-9]{1,15})(?:\.([0-9]{1,6}))?")


def _duration(quoted: str) -> dt.timedelta:
    found = _SECONDS.fullmatch(quoted.strip())
    if found is None:
        raise ValueError
    micro = int(found[2]) * 1_000_000 + int((found[3] or "").ljust(6, "0") or 0)
    return dt.timedelta(microseconds=-micro if found[1] else micro)


def _timestamp(quoted: str) -> dt.datetime:
    return dt.datetime.fromisoformat(_in_microseconds(quoted))


def _in_microseconds(quoted: str) -> str:
    """A text of a time; Python would drop what is finer."""
    if _TOO_FINE.search(quoted):
        raise ValueError
    return quoted


def _time(quoted: str) -> dt.time:
    found = dt.time.fromisoformat(_in_microseconds(quoted))
    if found.tzinfo is not None:
        raise ValueError
    return found


_READERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "timestamp": (_timestamp, "2024-01-31 12:30:00+00:00"),
    "date": (dt.date.fromisoformat, "2024-01-31"),
    "time": (_time, "12:30:00"),
    "duration": (_duration, "90.5"),
    "x": (bytes.fromhex, "00ff"),
}
