"""Defaults of fields: from what a class declares to what a schema holds, and back."""

import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, NoReturn, get_origin
from uuid import UUID

import msgspec

from atdata._exceptions import SchemaError, SchemaRecordError
from atdata.codec.misfit import Misfit, wrong
from atdata.codec.values import ValueCodec
from atdata.model.constant import Constant

_PLAIN_FACTORIES: tuple[Any, ...] = (list, dict, set, frozenset, tuple, bytearray, str, bytes)


_SAID = (
    *(type(None), bool, int, float, complex, str, bytes, bytearray, Enum),
    *(date, time, timedelta, Decimal, UUID, PurePath),
)


class StoredDefault[T]:
    """A default factory that gives a copy of one value, so that samples do not share it.

    Examples:
        >>> make = StoredDefault([1, 2])
        >>> make(), make() is make()
        ([1, 2], False)
    """

    def __init__(self, value: T) -> None:
        self.value = value

    def __call__(self) -> T:
        """A copy of the value."""
        return deepcopy(self.value)

    def __repr__(self) -> str:
        return f"StoredDefault({self.value!r})"


class DefaultNotStored:
    """A default factory for a default that no schema can hold: asking for it is an error.

    Examples:
        >>> DefaultNotStored("Digit", "made_at")()
        Traceback (most recent call last):
        atdata._exceptions.SchemaError: Digit does not fit
          field   made_at
          wanted  a value
          found   a default that is not stored
          Give it a value, or read the data with the type that it was written with.
    """

    def __init__(self, sample_type_name: str, field: str) -> None:
        self.sample_type_name = sample_type_name
        self.field = field

    def __call__(self) -> NoReturn:
        """Refuse.

        Raises:
            SchemaError: Always.
        """
        raise SchemaError(
            self.sample_type_name,
            path=self.field,
            wanted="a value",
            found="a default that is not stored",
            hint="Give it a value, or read the data with the type that it was written with.",
        )


def stored(field: "Field[Any]", codec: ValueCodec) -> tuple[Constant | None, bool]:
    """The default of a field as a schema holds it, and whether there is one that it cannot hold.

    A default is what data would hold in its place, so it has to survive being written and read. A
    value that differs afterwards is not stored, and no function is called but those that make
    empty containers.
    """
    factory: Any = field.default_factory
    if factory is not MISSING:
        plain = (get_origin(factory) or factory) in _PLAIN_FACTORIES
        if plain or isinstance(factory, StoredDefault):
            return _written(factory(), codec)
        return None, True
    if field.default is MISSING:
        return None, not field.init  # the class itself sets it
    return _written(field.default, codec)


def written_default(value: Any, codec: ValueCodec) -> tuple[Constant | None, bool]:
    """A value as a default that a schema holds, and whether it is one that it cannot hold."""
    return _written(value, codec)


def _written(value: Any, codec: ValueCodec) -> tuple[Constant | None, bool]:
    try:
        payload = _packed(value, codec)
        constant = Constant.of(_plain(value, codec))
        again = codec.from_wire(constant.value, True)
        if _packed(again, codec) != payload or not (_alike(value, again) and _is_said(again)):
            return None, True
    except (Misfit, SchemaRecordError, TypeError, ValueError, OverflowError, RecursionError):
        return None, True
    return constant, False


def _is_said(value: Any) -> bool:
    """Whether a value, and what is in it, can be said in a line of Python; an array cannot."""
    if isinstance(value, (list, tuple, set, frozenset)):
        inside: Any = value
        return all(map(_is_said, inside))
    if isinstance(value, dict):
        held: Any = value
        return all(map(_is_said, (*held.keys(), *held.values())))
    if is_dataclass(value):
        return all(_is_said(getattr(value, field.name)) for field in fields(value))
    numpy = sys.modules.get("numpy")
    return isinstance(value, _SAID) or (numpy is not None and isinstance(value, numpy.generic))


def _plain(value: Any, codec: ValueCodec) -> Any:
    return msgspec.msgpack.decode(_packed(value, codec))


def _packed(value: Any, codec: ValueCodec) -> bytes:
    return msgspec.msgpack.encode(codec.to_wire(value))


def _alike(value: Any, again: Any) -> bool:
    """Whether what was read back is of the type that was written; a tuple may become a list."""
    return isinstance(value, type(again)) or (
        isinstance(value, (list, tuple)) and isinstance(again, (list, tuple))
    )


def restored(constant: Constant, codec: ValueCodec, path: str, record: str) -> Any:
    """The value of a default that a schema holds.

    Raises:
        SchemaRecordError: It is no value of the field's type.
    """
    try:
        value = codec.from_wire(constant.value, True)
        if not _is_said(value) or Constant.of(_plain(value, codec)) != constant:
            raise wrong("a value in the form in which it is written", constant.value)
    except (Misfit, SchemaError, TypeError, ValueError) as error:
        wanted = getattr(error, "wanted", "") or codec.label
        raise SchemaRecordError(
            record,
            "a default is no value of its field",
            path=path,
            wanted=wanted,
            found=constant.text[:80],
        ) from None
    return value


def factory_of(value: Any) -> Callable[[], Any] | None:
    """A factory for a value that samples must not share; None for one that they may."""
    if type(value) in (list, dict, set, bytearray) and not value:
        empty: Callable[[], Any] = type(value)
        return empty
    try:
        hash(value)
    except TypeError:
        return StoredDefault(value)
    return StoredDefault(value) if type(value).__hash__ is None else None
