"""What `atdata diagnose` looks at: one module for each kind of place."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

from atdata._exceptions import printable


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What it is.
        result: `ok`; `warn` if it will matter; `fail` if it does now.
        fact: What was found.
        advice: What to do, unless all is well.
    """

    name: str
    result: Literal["ok", "warn", "fail"]
    fact: str
    advice: str = ""


type Checks = Iterator[Check]


def ok(name: str, fact: object) -> Check:
    """All is well."""
    return Check(name, "ok", printable(fact))


def warn(name: str, fact: object, advice: str) -> Check:
    """It works, and one should know."""
    return Check(name, "warn", printable(fact, 500), advice)


def fail(name: str, fact: object, advice: str) -> Check:
    """It does not work, or data will be lost."""
    return Check(name, "fail", printable(fact, 500), advice)


def judge(fine: bool, name: str, fact: object, advice: str, *, worst: str = "fail") -> Check:
    """A check that fails, or warns, unless it is fine."""
    if fine:
        return ok(name, fact)
    return (fail if worst == "fail" else warn)(name, fact, advice)


def without_secrets(message: object, *places: str) -> str:
    """What a server said, without the passwords that stand in the addresses it was asked by.

    Examples:
        >>> without_secrets("bad password 'x y'", "redis://me:x%20y@host")
        "bad password '…'"
        >>> without_secrets("no word hunter2", "host=h password='hunter2'")
        'no word …'
    """
    text = str(message)
    for secret in sorted({s for place in places for s in _secrets(place)}, key=len, reverse=True):
        text = text.replace(secret, "…")
    return text


def _secrets(place: str) -> Iterator[str]:
    for found in re.finditer(r"password\s*=\s*('[^']*'|[^\s&]+)", place):
        yield from (found[1], found[1].strip("'"), unquote(found[1]))
    before, at, _ = place.rpartition("@")
    if at and (password := before.rpartition("/")[2].partition(":")[2]):
        yield from (password, unquote(password))
    try:
        password = urlsplit(place).password or ""
    except ValueError:
        return
    if password:
        yield from (password, unquote(password))


def n_bytes(count: float) -> str:
    """A size for people.

    Examples:
        >>> n_bytes(1536), n_bytes(3)
        ('1.5 KiB', '3 B')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"
