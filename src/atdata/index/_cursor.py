"""Where the next page begins, as a text that callers hand back as it is."""

import base64
import json
from typing import Any


def write_cursor(*facts: Any) -> str:
    """A cursor that holds plain facts.

    Examples:
        >>> read_cursor(write_cursor("lab", ["mnist", None]), 2)
        ['lab', ['mnist', None]]
    """
    return base64.urlsafe_b64encode(json.dumps(facts).encode()).decode()


def read_cursor(cursor: str, n: int) -> list[Any] | None:
    """The facts of a cursor; None if it is no cursor of so many.

    Examples:
        >>> read_cursor("nonsense", 2) is None
        True
    """
    try:
        facts = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except (ValueError, RecursionError):
        return None
    return facts if isinstance(facts, list) and len(facts) == n else None
