"""JSON and nothing else: what a record may hold, checked before anything is written."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

_DEEPEST = 32


def plain_json(value: object, path: str) -> Any:
    """A value as plain JSON data: tuples become lists, mappings become dictionaries.

    Args:
        value: Mappings with text keys, lists, text, integers, finite floats, booleans and None.
        path: How to call the value in an error.

    Raises:
        TypeError: It holds what JSON has no form for.
        ValueError: A float is not finite, a text is no Unicode, or the value is nested too deep.

    Examples:
        >>> plain_json({"size": (28, 28)}, "metadata")
        {'size': [28, 28]}
        >>> plain_json({"x": [1, b"raw"]}, "metadata")
        Traceback (most recent call last):
        TypeError: metadata.x[1] is bytes, which a record cannot hold
          Use text, numbers, True, False, None, lists, and mappings with text keys.
    """
    return _plain(value, path, 0)


def _plain(value: object, path: str, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError(f"{path[:200]} is nested more than {_DEEPEST} deep")
    if value is None or isinstance(value, bool):
        return value
    # A subclass, such as an enum's or numpy's, would be read back as something else.
    if type(value) is int:
        return value
    if type(value) is str:
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{path} is no valid Unicode text: {error.reason}") from None
        return value
    if type(value) is float:
        if not math.isfinite(value):
            raise ValueError(
                f"{path} is {value}, which JSON has no form for; leave it out or None"
            )
        return value
    if isinstance(value, Mapping):
        return _mapping(cast("Mapping[object, object]", value), path, depth)
    if isinstance(value, list | tuple):
        items = cast("Sequence[object]", value)
        return [_plain(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(items)]
    raise TypeError(
        f"{path} is {type(value).__name__}, which a record cannot hold\n"
        "  Use text, numbers, True, False, None, lists, and mappings with text keys."
    )


def _mapping(value: Mapping[object, object], path: str, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in value.items():
        if type(key) is not str:
            raise TypeError(f"{path} has the key {ascii(key)[:100]}, and keys of records are text")
        found[key] = _plain(item, f"{path}.{key}", depth + 1)
    return found


def dumps(value: Any) -> str:
    """Plain JSON data as text, the same for the same data in the same order.

    Examples:
        >>> dumps({"b": 1, "a": "é"})
        '{"b":1,"a":"é"}'
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
