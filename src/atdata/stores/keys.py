"""Keys of stores, checked once: what a file system, a bucket and a URL all take as it is."""

import re
from collections.abc import Iterable

from atdata._exceptions import printable
from atdata.model.shard import SIDECARS, beside
from atdata.transport.gate import scheme_of

LONGEST_KEY = 400
SUFFIXES = (".tar", *SIDECARS)
"""What a store keeps: shards, and what describes them."""

_SEGMENT = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?", re.ASCII)
_HINT = "Use letters, digits and . _ - with a slash between parts, such as mnist/a-000000.tar."


def check_key(key: object) -> str:
    """Check the key that something new is to have.

    Raises:
        TypeError: It is no text.
        ValueError: It is no key, and why.

    Examples:
        >>> check_key("vision/mnist/7f3a-000000.tar")
        'vision/mnist/7f3a-000000.tar'
        >>> check_key("../../etc/a.tar")
        Traceback (most recent call last):
        ValueError: '../../etc/a.tar' is no key: '..' is not allowed between slashes
          Use letters, digits and . _ - with a slash between parts, such as mnist/a-000000.tar.
    """
    checked = check_prefix(key)
    if not checked.endswith(SUFFIXES):
        raise _no_key(checked, f"it ends with none of {', '.join(SUFFIXES)}")
    return checked


def check_prefix(prefix: object) -> str:
    """Check what comes before the number and the suffix of several keys.

    Raises:
        TypeError: It is no text.
        ValueError: No key may begin so.

    Examples:
        >>> check_prefix("vision/mnist")
        'vision/mnist'
    """
    if not isinstance(prefix, str):
        raise TypeError(f"a key is a str, not {type(prefix).__name__}")
    if len(prefix) > LONGEST_KEY:
        raise _no_key(prefix[:40] + "…", f"it has {len(prefix)} characters of {LONGEST_KEY}")
    for segment in prefix.split("/"):
        if not segment:
            raise _no_key(prefix, "nothing stands before, after or between slashes")
        if len(segment) > 200:
            raise _no_key(prefix, f"a part has {len(segment)} characters of at most 200")
        if not _SEGMENT.fullmatch(segment):
            bad = re.search(r"[^A-Za-z0-9._-]", segment)
            shown = ascii(bad[0]) if bad else f"{segment!r}"
            raise _no_key(prefix, f"{shown} is not allowed" + ("" if bad else " between slashes"))
    return prefix


def check_relative(key: object) -> str:
    """Check a key that is there already, or may be: whatever it is called, it stays inside.

    Raises:
        TypeError: It is no text.
        ValueError: It leads out of the store, or could.

    Examples:
        >>> check_relative("100%/{a}.tar")
        '100%/{a}.tar'
        >>> check_relative("a/../../b.tar")
        Traceback (most recent call last):
        ValueError: 'a/../../b.tar' is no key: '..' is not allowed between slashes
          Use letters, digits and . _ - with a slash between parts, such as mnist/a-000000.tar.
    """
    if not isinstance(key, str):
        raise TypeError(f"a key is a str, not {type(key).__name__}")
    for segment in key.split("/"):
        if segment in {"", ".", ".."}:
            raise _no_key(key, f"{segment!r} is not allowed between slashes")
    if "\\" in key or not key.isprintable():
        raise _no_key(key, "backslashes and control characters are not allowed")
    return key


def is_address(url: str) -> bool:
    """Whether an address says by itself where it leads: an absolute path, or one with a scheme.

    Examples:
        >>> is_address("mnist/a.tar"), is_address("/data/a.tar"), is_address("s3://bucket/a.tar")
        (False, True, True)
    """
    return url.startswith("/") or scheme_of(url) is not None


def with_sidecars(key: str) -> list[str]:
    """A key and those of what may lie beside it; a shard's comes last.

    Examples:
        >>> with_sidecars("a.tar")
        ['a.manifest.json', 'a.manifest.parquet', 'a.tar']
        >>> with_sidecars("a.manifest.json")
        ['a.manifest.json']
    """
    return [*(beside(key, suffix) for suffix in SIDECARS if key.endswith(".tar")), key]


def shard_of(key: str) -> str:
    """The key of the shard that something lies beside; a shard's own key as it is.

    Examples:
        >>> shard_of("a.manifest.parquet"), shard_of("a.tar")
        ('a.tar', 'a.tar')
    """
    suffix = next((one for one in SIDECARS if key.endswith(one)), None)
    return key if suffix is None else f"{key.removesuffix(suffix)}.tar"


def to_remove(keys: Iterable[str]) -> list[str]:
    """Keys without those that go along when the shard is removed which they lie beside.

    Examples:
        >>> to_remove(["a.manifest.json", "a.tar", "b.manifest.json"])
        ['a.tar', 'b.manifest.json']
    """
    every = dict.fromkeys(keys)
    return [key for key in every if shard_of(key) == key or shard_of(key) not in every]


def _no_key(key: str, reason: str) -> ValueError:
    return ValueError(f"{printable(repr(key))} is no key: {reason}\n  {_HINT}")
