"""The codec of a sample type, put together once from its annotations.

`codec_of(T)` reads the annotations of `T` and finds a `ValueCodec` for each. What no payload can
represent is refused here, when the class is defined, with what to use instead.
"""

from collections.abc import Buffer, Callable, Mapping, Sequence
from contextlib import suppress
from inspect import isclass
from typing import Any, get_args, get_origin

from msgspec.structs import astuple

from atdata._exceptions import UnsupportedTypeError
from atdata._type_utils import UnreadableAnnotationError, evaluate, own_annotations
from atdata.codec.annotations import Compiler
from atdata.codec.misfit import Misfit, wrong
from atdata.codec.msgpack import (
    DECODE_ERRORS,
    encode,
    flat,
    holds_timestamp,
    map_header,
    read_map,
    struct_decoder,
)
from atdata.codec.record import UNSET, FieldPlan, Record
from atdata.codec.values import LARGEST_EXACT_FLOAT, Kind

__all__ = ["UNSET", "FieldPlan", "Kind", "SampleCodec", "check_annotations", "codec_of"]

_CACHE = "__atdata_codecs__"


class SampleCodec[T]:
    """Writes samples of one type as msgpack maps and reads them back.

    Attributes:
        sample_type: The type, with its type arguments where there are any.
        name: Its name, as errors show it.
        fields: How each field is written and read, in their order.
        construct: Takes the value of every field by position, in the order of `fields`.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Point:
        ...     x: float
        ...     y: float
        >>> codec = codec_of(Point)
        >>> codec.decode(codec.encode(Point(1.0, 2.0)))
        Point(x=1.0, y=2.0)
    """

    sample_type: type[T]
    name: str
    fields: tuple[FieldPlan, ...]
    construct: Callable[..., T]

    def __init__(self, record: Record) -> None:
        self.sample_type = record.type
        self.name = record.name
        self.fields = record.fields
        self.construct = record.construct
        self._record = record
        self._header = map_header(len(record.fields))
        self._floats = [i for i, plan in enumerate(record.fields) if plan.kind == "float"]
        self._decode: Callable[[bytes | memoryview], Any] | None = None

    @property
    def generic(self) -> bool:
        """The type has parameters, and none of them is given."""
        return bool(getattr(self.sample_type, "__parameters__", ()))

    def __reduce__(self) -> Any:
        """Pickle the type alone; the codec is compiled again where it is needed."""
        return codec_of, (self.sample_type,)

    def encode(self, sample: T) -> bytes:
        """Check a sample and write it as one msgpack map.

        Raises:
            SchemaError: A value is not of its declared type. The error names the field.
        """
        try:
            return encode(self._record.to_wire(sample))
        except Misfit as misfit:
            raise misfit.error(self.name) from misfit.__cause__
        except RecursionError:
            raise Misfit("a sample", "values nested too deeply").error(self.name) from None
        except (OverflowError, ValueError) as error:
            raise Misfit("what msgpack can hold", str(error)).error(self.name) from error

    def decode(self, data: Buffer, *, copy: bool = True, own: bool = False) -> T:
        """Read one sample from its payload, all of it, and check it.

        Args:
            data: One msgpack map and nothing after it.
            copy: Give fresh, writable arrays. Otherwise they are read-only views of `data`.
            own: Nothing else reads `data`, so large arrays that need no alignment may stay in it.

        Raises:
            SchemaError: The payload is damaged, or does not fit the type.
        """
        payload = flat(data)
        if not own and type(payload) is memoryview and not payload.readonly:
            payload = payload.toreadonly()
        if self._decode is None:
            self._decode = struct_decoder(self._record.struct)
        try:
            # With as many entries as there are fields, and every field there, none is there twice.
            if payload[: len(self._header)] == self._header:
                wire = self._decode(payload)
                values = list(astuple(wire))
                if not self._hides(wire, payload, values):
                    return self._record.from_values(values, copy)  # type: ignore[no-any-return]
        except DECODE_ERRORS:
            pass  # the general way reads what is merely unusual, and says what is wrong
        except Misfit as misfit:
            raise misfit.error(self.name) from misfit.__cause__
        return self._decode_any(payload, copy)

    def from_data(self, data: Mapping[str, Any]) -> T:
        """Make a sample of values as they are decoded or as they are ready, and check them.

        Raises:
            SchemaError: A field is missing, or a value is not of its declared type.
        """
        try:
            if not isinstance(data, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # users need not check types
                raise wrong("a mapping of field names to values", data)
            return self._record.from_map(data, True)  # type: ignore[no-any-return]
        except Misfit as misfit:
            raise misfit.error(self.name) from misfit.__cause__
        except RecursionError:
            raise Misfit("a sample", "values nested too deeply").error(self.name) from None

    def check(self, sample: T) -> None:
        """Check that a sample can be written.

        Raises:
            SchemaError: A value is not of its declared type.
        """
        try:
            self._record.to_wire(sample)
        except Misfit as misfit:
            raise misfit.error(self.name) from misfit.__cause__
        except RecursionError:
            raise Misfit("a sample", "values nested too deeply").error(self.name) from None

    def _decode_any(self, payload: bytes | memoryview, copy: bool) -> T:
        try:
            return self._record.from_map(read_map(payload), copy)  # type: ignore[no-any-return]
        except Misfit as misfit:
            raise misfit.error(self.name) from misfit.__cause__
        except RecursionError:
            raise Misfit("a sample", "values nested too deeply").error(self.name) from None
        except MemoryError:
            raise Misfit("a sample", "more than fits in memory").error(self.name) from None

    def _hides(self, wire: Any, payload: bytes | memoryview, values: Sequence[Any]) -> bool:
        """Whether decoding may have overlooked something; then the general way looks closer."""
        if self._record.recheck and encode(wire) != payload:
            return True
        if self._record.loose and holds_timestamp(values):
            return True
        for i in self._floats:
            value = values[i]
            if value is not None and not -LARGEST_EXACT_FLOAT < value < LARGEST_EXACT_FLOAT:
                # It may be an int that a float cannot hold. NaN is none.
                return bool(value == value)  # noqa: PLR0124
        return False


def codec_of[T](sample_type: type[T]) -> SampleCodec[T]:
    """The codec of a sample type, compiled once.

    Args:
        sample_type: A dataclass, with type arguments where it takes any, or a type that brings its
            own codec by a class method `__sample_codec__`.

    Raises:
        UnsupportedTypeError: It is no sample type, or a field's annotation cannot be represented.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Box[T]:
        ...     value: T
        >>> codec_of(Box[int]).encode(Box(5)).hex()
        '81a576616c756505'
    """
    own = getattr(sample_type, "__sample_codec__", None)
    if own is not None:
        return own()  # type: ignore[no-any-return]
    try:
        return _compiled(sample_type)
    except UnreadableAnnotationError as error:
        raise _unreadable(error) from error


class _Codecs(dict[tuple[Any, ...], Any]):
    """Codecs of one class by type arguments; a class that is sent by value gets new ones."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _Codecs, ()


def _compiled[T](sample_type: type[T]) -> SampleCodec[T]:
    cls: Any = get_origin(sample_type) or sample_type
    arguments = get_args(sample_type)
    if isclass(cls) and _CACHE in vars(cls) and arguments in vars(cls)[_CACHE]:
        return vars(cls)[_CACHE][arguments]  # type: ignore[no-any-return]
    codec = SampleCodec[T](Compiler().record(sample_type))
    if _CACHE not in vars(cls):
        setattr(cls, _CACHE, _Codecs())  # on the class, so that both are forgotten together
    vars(cls)[_CACHE][arguments] = codec
    return codec


def check_annotations(cls: type[Any]) -> None:
    """Refuse a class as soon as an annotation that can be read already cannot be represented.

    Args:
        cls: A dataclass, or a class that is about to become one.

    Raises:
        UnsupportedTypeError: An annotation cannot be represented.
    """
    if "__dataclass_fields__" in vars(cls):
        with suppress(UnreadableAnnotationError):
            _compiled(cls)
            return
    formats = getattr(cls, "__field_formats__", {})
    for name, annotation in own_annotations(cls).items():
        text = str(annotation)
        if any(mark in text for mark in ("ClassVar", "InitVar", "KW_ONLY")):
            continue
        with suppress(UnreadableAnnotationError):
            compiler = Compiler()
            compiler.records[cls] = Record(cls)
            compiler.field(cls, name, evaluate(annotation, cls), formats.get(name))


def _unreadable(error: UnreadableAnnotationError) -> UnsupportedTypeError:
    return UnsupportedTypeError(
        error.owner.__qualname__,
        wanted="annotations that can be read",
        found=f"{error.annotation!r}: {error}",
        hint=(
            "An annotation that is a string, as all are under `from __future__ import "
            "annotations`, can name what its module defines and nothing local to a function.\n"
            "  Define the type at the top of the module, or write the annotation without quotes."
        ),
    )
