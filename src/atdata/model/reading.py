"""Reading a record of unknown origin: each part knows where it stands, and how much is left.

A record may claim anything. Nothing is taken from it but what was asked for, of the kind that was
asked for; how deep it nests and how many parts it has is bounded.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from atdata._exceptions import SchemaRecordError, printable

MOST_PARTS = 100_000
"""Most parts that one record may have: fields, types, values."""

DEEPEST = 64
"""Most levels of maps and lists, one inside the other."""


def refusal(
    reason: str, *, path: str = "", wanted: str = "", found: object = "", hint: str = ""
) -> SchemaRecordError:
    """The error of a schema that is wrong; whoever knows its name and the place adds them."""
    shown = found if isinstance(found, str) else printable(repr(found))
    return SchemaRecordError("", reason, path=path, wanted=wanted, found=shown, hint=hint)


class Part:
    """A value inside a record.

    Attributes:
        value: The value; None where the record has none.
        path: Where it is, such as `fields[0].fieldType`.
    """

    __slots__ = ("_budget", "_depth", "_record", "path", "value")

    def __init__(self, value: object, record: str = "") -> None:
        self.value: Any = value
        self.path = ""
        self._record = record
        self._budget = [MOST_PARTS]
        self._depth = 0

    def named(self, record: str) -> "Part":
        """The same part, once it is known what the record is called."""
        self._record = record
        return self

    def fail(self, reason: str, wanted: str = "", hint: str = "") -> NoReturn:
        """Refuse this part."""
        found = _shown(self.value)
        raise SchemaRecordError(
            self._record or "of unknown name",
            reason,
            path=self.path,
            wanted=wanted,
            found=found,
            hint=hint,
        )

    def make[T](self, call: Callable[[], T]) -> T:
        """Make a value of this part; what is wrong with it is said to be here."""
        try:
            return call()
        except SchemaRecordError as error:
            raise SchemaRecordError(
                self._record or error.record or "of unknown name",
                error.reason,
                path=_joined(self.path, error.path),
                wanted=error.wanted,
                found=error.found,
                hint=error.hint,
            ) from None

    def map(self) -> "Part":
        """This part, which is a map."""
        if not isinstance(self.value, Mapping):
            self.fail("a part of it is no map", "a map")
        return self

    def has(self, key: str) -> bool:
        """Whether the map has something under a key."""
        return self.map().value.get(key) is not None

    def at(self, key: str) -> "Part":
        """What the map has under a key; a part that holds None if it has nothing."""
        return self._inner(self.map().value.get(key), _joined(self.path, key))

    def each(self, most: int) -> list["Part"]:
        """The items of a list."""
        if not isinstance(self.value, Sequence) or isinstance(self.value, (str, bytes)):
            self.fail("a part of it is no list", "a list")
        if len(self.value) > most:
            wanted = f"at most {most}"
            raise self._error("a list in it is too long", wanted, f"{len(self.value)} items")
        return [self._inner(item, f"{self.path}[{i}]") for i, item in enumerate(self.value)]

    def items(self, most: int) -> list[tuple[Any, "Part"]]:
        """The keys of a map and what it has under them."""
        if len(self.map().value) > most:
            wanted = f"at most {most}"
            raise self._error("a map in it is too large", wanted, f"{len(self.value)} entries")
        return [
            (key, self._inner(item, _joined(self.path, printable(key, 40))))
            for key, item in self.value.items()
        ]

    def text(self, most: int) -> str:
        """This part, which is text that UTF-8 can hold."""
        if not isinstance(self.value, str):
            self.fail("a part of it is no text", "text")
        text: str = self.value
        if len(text) > most:
            wanted = f"at most {most} characters"
            raise self._error("a text in it is too long", wanted, f"{len(text)} characters")
        try:
            text.encode()
        except UnicodeEncodeError:
            self.fail("a text in it has a lone surrogate", "text that UTF-8 can hold")
        return text

    def flag(self) -> bool:
        """This part, which is true or false; what is not there is false."""
        if self.value is not None and not isinstance(self.value, bool):
            self.fail("a part of it is neither true nor false", "true or false")
        return bool(self.value)

    def _error(self, reason: str, wanted: str, found: str) -> SchemaRecordError:
        return SchemaRecordError(
            self._record or "of unknown name", reason, path=self.path, wanted=wanted, found=found
        )

    def _inner(self, value: object, path: str) -> "Part":
        inner = Part(value, self._record)
        inner.path = path
        inner._budget = self._budget
        inner._depth = self._depth + 1
        self._budget[0] -= 1
        if self._budget[0] < 0:
            raise inner._error("it is too large", f"at most {MOST_PARTS} parts", "more")
        if inner._depth > DEEPEST:
            raise inner._error("it nests too deep", f"at most {DEEPEST} levels", "more")
        return inner


def _joined(path: str, inner: str) -> str:
    if not path or not inner or inner.startswith("["):
        return path + inner
    return f"{path}.{inner}"


def _shown(value: object) -> str:
    if isinstance(value, (Mapping, list, tuple)):
        return f"{type(value).__name__} of {len(value)}"
    if value is None:
        return "nothing"
    if isinstance(value, int) and value.bit_length() > 256:
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, (str, bytes)):
        return f"{printable(repr(value[:80]))}{'…' if len(value) > 80 else ''}"
    return printable(f"{type(value).__name__} {json.dumps(value, default=type)}", 80)
