"""Regular expressions as RE2 reads them, in time linear in the text; pyarrow brings RE2."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pyarrow as pa

pc: Any = import_module("pyarrow.compute")  # its functions are made when it is loaded


def finder(pattern: str) -> Callable[[str], bool]:
    """A function that says whether a pattern is found in a text."""
    options = pc.MatchSubstringOptions(pattern)

    def found(text: str) -> bool:
        return bool(
            pc.match_substring_regex(pa.scalar(text, pa.string()), options=options).as_py()
        )

    return found


def check(pattern: str) -> None:
    """See that a pattern is one of RE2.

    Raises:
        ValueError: It is none; the error says why.
    """
    try:
        finder(pattern)("")
    except pa.ArrowInvalid as error:
        reason = str(error).removeprefix("Invalid regular expression: ")
        raise ValueError(
            f"{pattern!r} is no regular expression of RE2: {reason}\n"
            "  RE2 has no look-around and no back references."
        ) from None
