"""Plain values that a schema holds, such as defaults: exact, comparable, and writable as JSON.

JSON has no bytes, and its readers disagree about floats; the records of the AT Protocol allow no
floats at all. So a float is `{"$float": "0.5"}`, bytes are `{"$bytes": "…"}` in base64, and a map
with a key that begins with `$` is `{"$map": [[key, value], …]}`.
"""

import base64
import binascii
import json
import math
import re
from dataclasses import dataclass
from typing import Any, Self

from atdata.model.reading import Part, refusal

LONGEST_CONSTANT = 20_000
"""Most characters of a constant, written as JSON."""

_MOST_ITEMS = 10_000
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1
_FLOAT = re.compile(r"-?(?:[0-9]{1,20}(?:\.[0-9]{1,20})?(?:e[+-]?[0-9]{1,3})?|inf)|nan", re.ASCII)


@dataclass(frozen=True, slots=True)
class Constant:
    """A plain value: None, bool, int, float, text, bytes, and lists and maps of these.

    Two constants are equal if they are written alike: `1`, `1.0` and `True` are three constants,
    and NaN is one.

    Attributes:
        text: The value as JSON, with sorted keys.

    Examples:
        >>> Constant.of([1, 0.5, b"hi"])
        Constant(text='[1,{"$float":"0.5"},{"$bytes":"aGk="}]')
        >>> Constant.of([1, 0.5, b"hi"]).value
        [1, 0.5, b'hi']
    """

    text: str

    @classmethod
    def of(cls, value: Any) -> Self:
        """The constant of a plain value.

        Raises:
            SchemaRecordError: The value is none that a payload could hold, or is too large.
        """
        text = json.dumps(_tagged(value), sort_keys=True, separators=(",", ":"))
        if len(text) > LONGEST_CONSTANT:
            raise refusal("a value is too long to be part of a schema", found=text[:40])
        return cls(text)

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `json` gives.

        Raises:
            SchemaRecordError: It is no such form.
        """
        return cls.read(Part(data))

    @classmethod
    def read(cls, part: Part) -> Self:
        """Read a part of a record."""
        value = _plain(part)
        return part.make(lambda: cls.of(value))

    @property
    def json(self) -> Any:
        """The value as `json` writes it."""
        return json.loads(self.text)

    @property
    def value(self) -> Any:
        """The value; a fresh one each time."""
        return _plain(Part(self.json))


def _tagged(value: Any, depth: int = 0) -> Any:
    if depth > 32:
        raise refusal("a value nests too deep to be part of a schema")
    if value is None or type(value) in (bool, str):
        if type(value) is str and not value.isascii():
            _check_text(value)
        return value
    if type(value) is int:
        if not _INT_MIN <= value <= _INT_MAX:
            raise refusal(
                "a number is too large", wanted="-2**63 to 2**64-1", found="a larger one"
            )
        return value
    if type(value) is float:
        return {"$float": repr(value)}
    if type(value) is bytes:
        return {"$bytes": base64.b64encode(value).decode()}
    if type(value) is list:
        return [_tagged(item, depth + 1) for item in value]
    if type(value) is dict and all(type(key) is str for key in value):
        if any(key.startswith("$") or not key.isascii() for key in value):
            pairs = [[_tagged(key), _tagged(item, depth + 1)] for key, item in value.items()]
            return {"$map": sorted(pairs, key=lambda pair: str(pair[0]))}
        return {key: _tagged(item, depth + 1) for key, item in value.items()}
    raise refusal(
        "a value is no plain one",
        wanted="None, bool, int, float, str, bytes, list or dict",
        found=type(value).__name__,
    )


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise refusal("a text in it has a lone surrogate") from None


def _plain(part: Part) -> Any:
    value = part.value
    if type(value) is float:  # as others may write it
        return value
    if isinstance(value, str):
        return part.text(LONGEST_CONSTANT)
    if isinstance(value, list):
        return [_plain(item) for item in part.each(_MOST_ITEMS)]
    if not isinstance(value, dict):
        return value
    tags = [key for key in value if isinstance(key, str) and key.startswith("$")]
    if not tags:
        return {key: _plain(item) for key, item in part.items(_MOST_ITEMS)}
    if len(value) > 1 or tags[0] not in ("$float", "$bytes", "$map"):
        part.fail("a value has an unknown tag", 'one of "$float", "$bytes" and "$map"')
    inner = part.at(tags[0])
    if tags[0] == "$map":
        return _pairs(inner)
    text = inner.text(LONGEST_CONSTANT)
    if tags[0] == "$bytes":
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error:
            inner.fail("a value is no base64", "base64")
    if not _FLOAT.fullmatch(text) or (math.isinf(float(text)) and "inf" not in text):
        inner.fail("a value is no float", 'a float as text, such as "0.5"')
    return float(text)


def _pairs(part: Part) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in part.each(_MOST_ITEMS):
        key, *rest = pair.each(2) or [pair]
        if len(rest) != 1 or key.text(LONGEST_CONSTANT) in found:
            pair.fail("an entry of a map is none, or is there twice", "a key and a value")
        found[key.value] = _plain(rest[0])
    return found
