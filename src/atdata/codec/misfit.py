"""What is raised, deep inside a value, when a part of it does not fit its type."""

import sys
from collections.abc import Collection
from datetime import date, time, timedelta
from decimal import Decimal
from reprlib import Repr
from typing import Any

from atdata._exceptions import SchemaError

_brief = Repr()
_brief.maxstring = _brief.maxother = 60
_brief.maxlevel = 2


class Misfit(Exception):  # noqa: N818 - it is a value on its way to becoming a SchemaError
    """A value does not fit. Each container on the way up adds its part of the path."""

    def __init__(
        self,
        wanted: str,
        found: str,
        hint: str = "",
        *,
        expected: Collection[str] | None = None,
        actual: Collection[str] | None = None,
    ) -> None:
        super().__init__(wanted, found)
        self.wanted = wanted
        self.found = found
        self.hint = hint
        self.expected = expected
        self.actual = actual
        self.parts: list[str] = []

    def within(self, part: str) -> "Misfit":
        """Note that this happened inside `part`, a field name or an index such as `[3]`."""
        self.parts.append(part)
        return self

    def error(self, owner: str) -> SchemaError:
        """The error to show, naming the sample type and the path."""
        path = "".join(
            part if part.startswith("[") or not i else f".{part}"
            for i, part in enumerate(reversed(self.parts))
        )
        return SchemaError(
            owner,
            list(self.expected) if self.expected is not None else None,
            list(self.actual or ()) if self.expected is not None else None,
            path=path,
            wanted=self.wanted,
            found=self.found,
            hint=self.hint,
        )


def wrong(wanted: str, value: object, hint: str = "") -> Misfit:
    """The misfit of a value that is not what was wanted."""
    return Misfit(wanted, describe(value), hint)


def describe(value: object) -> str:
    """Show a value in one short line, without ever printing the contents of an array.

    Examples:
        >>> describe(3), describe("x"), describe([1, 2])
        ('int 3', "str 'x'", 'list of 2')
    """
    kind = type(value).__name__
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray):
        array: Any = value
        return f"{kind} of {array.dtype}, shape {array.shape}"
    if isinstance(value, int) and value.bit_length() > 128:
        return f"{kind} of {value.bit_length()} bits"
    if value is None:
        return "None"
    if isinstance(value, (bool, int, float, complex, str, bytes, Decimal, date, time, timedelta)):
        return f"{kind} {_brief.repr(value)}"
    if isinstance(value, (list, tuple, set, frozenset, dict)):
        return f"{kind} of {len(value)}"
    return kind
