"""What a commit may hold, checked before any database sees it, and keys as databases take them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from atdata._exceptions import ConflictError, printable
from atdata._logging import get_logger
from atdata.model.record import Change, Check, Delete, Put, Row, SearchText

type Key = tuple[str, str, str]

# Four bytes for each of 200, 128 and 600 characters: what an index of PostgreSQL takes.
_MOST_BYTES = {"kind": 32, "name": 800, "tag": 512}
_MOST_REF_BYTES = 2400
_MOST_REFS = 1000


def check_changes(changes: Sequence[Change]) -> list[Change]:
    """The steps of a commit, if it can be taken.

    Raises:
        TypeError: Something is no step.
        ValueError: A key is named twice, or something cannot be stored.

    Examples:
        >>> check_changes([Delete(("label", "a", "")), Check(("label", "a", ""), 0)])
        Traceback (most recent call last):
        ValueError: a commit names label 'a' twice
          Give each row one step.
    """
    steps = list(changes)
    seen: set[Key] = set()
    for step in steps:
        if not isinstance(step, Put | Delete | Check):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a step is a Put, Delete or Check, not {type(step).__name__}")
        check_key(step.key)
        if step.key in seen:
            raise ValueError(f"a commit names {_shown(step.key)} twice\n  Give each row one step.")
        seen.add(step.key)
        if step.expect is not None and step.expect < 0:
            raise ValueError(f"expect is the number of a commit or 0, not {step.expect}")
        if isinstance(step, Put):
            _check_row(step.row)
    return steps


def check_key(key: Key) -> None:
    """Check that a key can be stored.

    Raises:
        TypeError: A part is no text.
        ValueError: A part is no Unicode, or too long.

    Examples:
        >>> check_key(("label", "a" * 1000, ""))
        Traceback (most recent call last):
        ValueError: a name of 1000 bytes cannot be stored
          At most 800 bytes of UTF-8 are taken.
    """
    for (what, most), part in zip(_MOST_BYTES.items(), key, strict=True):
        _check_text(what, part, most)
    if not key[0] or "\0" in key[0]:
        raise ValueError(f"{key[0]!a} is no kind of record")


def _check_row(row: Row) -> None:
    if "\0" in row.body:
        raise ValueError(f"the body of {_shown(row.key)} holds a NUL, which JSON text does not")
    _check_text("body", row.body, None)
    if len(row.refs) > _MOST_REFS:
        raise ValueError(f"{_shown(row.key)} has {len(row.refs)} refs of at most {_MOST_REFS}")
    for ref in row.refs:
        _check_text("ref", ref, _MOST_REF_BYTES)
    if row.text is not None:
        for column in (row.text.name, row.text.tags, row.text.fields, row.text.description):
            _check_text("text", column, None)


def _check_text(what: str, value: object, most: int | None) -> None:
    if not isinstance(value, str):
        raise TypeError(f"a {what} is a str, not {type(value).__name__}")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise ValueError(f"a {what} is no valid Unicode text: {error.reason}") from None
    if most is not None and size > most:
        raise ValueError(
            f"a {what} of {size} bytes cannot be stored\n"
            f"  At most {most} bytes of UTF-8 are taken."
        )


def check_limit(limit: int) -> int:
    """Check how many rows are asked for.

    Raises:
        ValueError: None are.

    Examples:
        >>> check_limit(0)
        Traceback (most recent call last):
        ValueError: limit must be at least 1, not 0
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    return limit


def check_expected(steps: Sequence[Change], there: Mapping[Key, int]) -> None:
    """Check that rows are as a commit's steps expect them.

    Args:
        steps: The steps.
        there: The commit that wrote each row that is there.

    Raises:
        ConflictError: A row is not.

    Examples:
        >>> check_expected([Check(("label", "a", ""), 3)], {("label", "a", ""): 3})
    """
    for step in steps:
        found = there.get(step.key, 0)
        if step.expect is not None and step.expect != found:
            raise ConflictError(step.key, step.expect, found)


def ref_digest(ref: str) -> bytes:
    """What a row is found by under a ref: 16 bytes, however long the ref is.

    Examples:
        >>> len(ref_digest("schema:atdata://local/schema/S@1.0.0"))
        16
    """
    return hashlib.blake2b(ref.encode(), digest_size=16).digest()


def ref_digests(row: Row) -> list[bytes]:
    """The digests of a row's refs, each once.

    Examples:
        >>> len(ref_digests(Row("label", "a", "", "{}", ("x", "x"))))
        1
    """
    return [ref_digest(ref) for ref in dict.fromkeys(row.refs)]


def without_nul(text: str) -> str:
    """A text without NUL, in the same order among others, for databases that end a text there.

    Examples:
        >>> with_nul(without_nul(chr(0) + chr(1))) == chr(0) + chr(1)
        True
    """
    return text.replace("\1", "\1\2").replace("\0", "\1\1")


def with_nul(text: str) -> str:
    """The text that `without_nul` was given.

    Examples:
        >>> with_nul("plain")
        'plain'
    """
    if "\1" not in text:
        return text
    return text.replace("\1\1", "\0").replace("\1\2", "\1")


def write_refs(row: Row) -> str:
    """A row's refs as one text.

    Examples:
        >>> write_refs(Row("label", "a", "", "{}", ("latest",)))
        '["latest"]'
    """
    return json.dumps(row.refs, ensure_ascii=False, separators=(",", ":"))


def write_text(row: Row) -> str | None:
    """What a search finds a row by as one text, or None.

    Examples:
        >>> write_text(Row("label", "a", "", "{}", text=SearchText("a")))
        '["a","","",""]'
    """
    if row.text is None:
        return None
    columns = [row.text.name, row.text.tags, row.text.fields, row.text.description]
    return json.dumps(columns, ensure_ascii=False, separators=(",", ":"))


def read_row(key: Key, seq: int, body: str, refs: str, text: str | None) -> Row:
    """A row of what a database holds; what is damaged beside the body is left out, and said.

    Examples:
        >>> read_row(("label", "a", ""), 1, "{}", '["latest"]', None).refs
        ('latest',)
    """
    kept = tuple(_texts(key, "refs", refs)) if refs != "[]" else ()
    columns = _texts(key, "search text", text) if text is not None else []
    found = SearchText(*columns) if len(columns) == 4 else None
    return Row(*key, body, kept, found, seq)


def _texts(key: Key, what: str, said: str) -> list[str]:
    try:
        data: Any = json.loads(said)
    except (ValueError, RecursionError):
        data = None
    if isinstance(data, list):
        items = cast("list[object]", data)
        texts = [item for item in items if isinstance(item, str)]
        if len(texts) == len(items):
            return texts
    get_logger().warning("the %s of %s cannot be read", what, _shown(key))
    return []


def _shown(key: Key) -> str:
    kind, name, tag = key
    return f"{printable(kind)} {printable(f'{name}@{tag}' if tag else name)!r}"
