"""What every sample type can do: be made of data, be written as bytes and be read back."""

import dataclasses
from abc import ABC
from collections.abc import Buffer, Mapping
from typing import Any, Self
from uuid import uuid4

from atdata._type_utils import own_annotations
from atdata.codec.compile import SampleCodec, check_annotations, codec_of
from atdata.sample.same import equal_samples, is_generated, repr_sample

METHODS = ("from_data", "from_bytes", "packed", "as_wds")
"""What `@packable` gives a class, and so the names that no field can have."""


def pack(sample: object) -> bytes:
    """Write a sample as one msgpack map.

    Every value is checked against its declared type, dtype and shape included.

    Args:
        sample: An instance of a `@packable` class, of any dataclass, or a `DictSample`.

    Raises:
        SchemaError: A value does not fit. The error names the field.

    Examples:
        >>> import atdata
        >>> @atdata.packable
        ... class Point:
        ...     x: float
        ...     y: float
        >>> pack(Point(x=1.0, y=0.0)).hex()
        '82a178cb3ff0000000000000a179cb0000000000000000'
    """
    return _codec_for(sample).encode(sample)


def unpack[T](sample_type: type[T], data: Buffer, *, copy: bool = True) -> T:
    """Read a sample back from its payload, checked against its type.

    Args:
        sample_type: The type to read, with type arguments where it takes any: `Box[int]`.
        data: What `pack` gave, and nothing after it. More fields than the type has are ignored.
        copy: Give fresh, writable arrays. Otherwise they are read-only views of `data`.

    Raises:
        SchemaError: The payload is damaged, or does not fit the type.

    Examples:
        >>> import atdata
        >>> @atdata.packable
        ... class Point:
        ...     x: float
        ...     y: float = 0.0
        >>> unpack(Point, bytes.fromhex("81 a178 cb3ff0000000000000"))
        Point(x=1.0, y=0.0)
    """
    return codec_of(sample_type).decode(data, copy=copy)


MARK = "__atdata_packable__"
"""What `@packable` leaves on a class."""


class PackableSample(ABC):  # noqa: B024 - it is a base class, with nothing to fill in
    """The base of sample types, for those who prefer a base class to `@packable`.

    Decorate the class with `@dataclass`. Classes made by `@packable` are subclasses in the eyes of
    `isinstance` and `issubclass`.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Word(PackableSample):
        ...     text: str
        ...     count: int = 1
        >>> Word.from_bytes(Word("hello").packed)
        Word(text='hello', count=1)
    """

    __slots__ = ()

    @classmethod
    def __subclasshook__(cls, other: type[Any]) -> Any:
        """Classes made by `@packable` say so themselves, also after they were sent by value."""
        return True if cls is PackableSample and hasattr(other, MARK) else NotImplemented

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        refuse_reserved(cls, own_annotations(cls))
        give_dunders(cls)
        check_annotations(cls)

    def __post_init__(self, *_: Any) -> None:  # noqa: B027 - there is nothing that must be done
        """Nothing; a hook of your own may call it."""

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Make a sample of its fields, each as it is stored or as it is ready.

        Args:
            data: Field names and values. Names that are no fields are ignored.

        Raises:
            SchemaError: A field without default is missing, or a value is not of its type.
        """
        return _typed_codec(cls).from_data(data)

    @classmethod
    def from_bytes(cls, bs: Buffer) -> Self:
        """Read a sample back from its payload.

        Args:
            bs: One msgpack map, and nothing after it.

        Raises:
            SchemaError: The payload is damaged, or does not fit the type.
        """
        return _typed_codec(cls).decode(bs)

    @property
    def packed(self) -> bytes:
        """The sample as one msgpack map, checked against its type."""
        return pack(self)

    @property
    def as_wds(self) -> dict[str, Any]:
        """The sample as a dictionary for a WebDataset `TarWriter`, under a new key each time."""
        return {"__key__": str(uuid4()), "msgpack": pack(self)}

    def _ensure_good(self) -> None:
        """Check the sample now, as writing it would.

        Raises:
            SchemaError: A value is not of its declared type.
        """
        _codec_for(self).check(self)


def refuse_reserved(cls: type[Any], names: Mapping[str, Any]) -> None:
    """Refuse field names that mean something else on a sample.

    Raises:
        TypeError: A name is taken.
    """
    for name in names:
        if name in METHODS or name.startswith("__"):
            raise TypeError(
                f"{cls.__qualname__} cannot have a field named {name!r}: samples use that name\n"
                f"  Give the field another name, such as {name.strip('_')}_value"
            )


def give_dunders(cls: type[Any], *, eq: bool = True, representation: bool = True) -> None:
    """Give a class `==` and `repr` that know arrays, unless it has its own.

    Done before the class becomes a dataclass, which keeps those that it finds, or after.
    """
    if eq and not _has_own(cls, "__eq__"):

        def __eq__(self: Any, other: object) -> Any:  # noqa: N807 - becomes a method
            return equal_samples(self, other)

        _adopt(cls, "__eq__", __eq__)
    if representation and not _has_own(cls, "__repr__"):

        def __repr__(self: Any) -> str:  # noqa: N807 - becomes a method
            return repr_sample(self)

        _adopt(cls, "__repr__", __repr__)


def _has_own(cls: type[Any], name: str) -> bool:
    return name in vars(cls) and not is_generated(vars(cls)[name])


def _adopt(cls: type[Any], name: str, function: Any) -> None:
    function.__qualname__ = f"{cls.__qualname__}.{name}"
    setattr(cls, name, function)


def _codec_for(sample: object) -> SampleCodec[Any]:
    codec: SampleCodec[Any] = codec_of(type(sample))
    if codec.generic:
        return codec_of(getattr(sample, "__orig_class__", type(sample)))
    return codec


def _typed_codec[T](cls: type[T]) -> SampleCodec[T]:
    return codec_of(cls)


def is_sample_type(cls: object) -> bool:
    """Whether instances of a class can be written: a dataclass, or one with its own codec."""
    return dataclasses.is_dataclass(cls) or hasattr(cls, "__sample_codec__")
