"""`DictSample`, a sample of no defined type."""

import sys
from collections.abc import Buffer, Iterator, Mapping
from importlib import import_module
from typing import Any, Self
from uuid import uuid4

from atdata.codec.compile import SampleCodec
from atdata.codec.misfit import Misfit, wrong
from atdata.codec.msgpack import encode, flat, read_map
from atdata.codec.record import Record
from atdata.codec.values import plain_value, to_str
from atdata.sample.same import repr_mapping, same


class DictSample:
    """A sample whose fields are whatever its payload holds.

    Fields are attributes and items. Bytes that are exactly one array, as sample types write them,
    are given as the array, which is made on first access; `raw` gives the bytes.

    Args:
        _data: Field names and values. Kept as it is, not copied.
        fields: The same by keyword, where `_data` is not given.

    Examples:
        >>> sample = DictSample(label=3, name="three")
        >>> sample.label, sample["name"], sample.keys()
        (3, 'three', ['label', 'name'])
        >>> DictSample.from_bytes(sample.packed) == sample
        True
    """

    __slots__ = ("__weakref__", "_arrays", "_data")

    _data: dict[str, Any]
    _arrays: dict[str, Any]

    def __init__(self, _data: dict[str, Any] | None = None, **fields: Any) -> None:
        if _data is not None and not isinstance(_data, dict):  # pyright: ignore[reportUnnecessaryIsInstance]  # users need not check types
            raise TypeError(f"a DictSample is made of a dict, not of {type(_data).__name__}")
        object.__setattr__(self, "_data", fields if _data is None else _data)
        object.__setattr__(self, "_arrays", {})

    @classmethod
    def __sample_codec__(cls) -> "SampleCodec[Self]":
        """What reads and writes samples of no defined type."""
        return _DictCodec(cls)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """Wrap a dictionary."""
        return cls(data)

    @classmethod
    def from_bytes(cls, bs: Buffer) -> Self:
        """Read a sample from its payload.

        Raises:
            SchemaError: It is not one msgpack map with text as keys.
        """
        return _DictCodec(cls).decode(bs)

    @property
    def packed(self) -> bytes:
        """The sample as one msgpack map; arrays and numpy scalars are written as sample types do.

        Raises:
            SchemaError: A value has no form in a payload. The error names the field.
        """
        return _DictCodec(type(self)).encode(self)

    @property
    def as_wds(self) -> dict[str, Any]:
        """The sample as a dictionary for a WebDataset `TarWriter`, under a new key each time."""
        return {"__key__": str(uuid4()), "msgpack": self.packed}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in DictSample.__slots__:
            raise AttributeError(f"DictSample has no attribute {name!r}")
        if name in self._data:
            return self[name]
        there = ", ".join(map(str, self._data)) or "none"
        raise AttributeError(f"DictSample has no field {name!r}\n  Fields there are: {there}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(
            f"cannot set {name!r}: a DictSample does not change\n"
            "  Make another:  DictSample({**sample.to_dict(), ...})"
        )

    def __getitem__(self, key: str) -> Any:
        value = self._data[key]
        if type(value) is not bytes:
            return value
        if key not in self._arrays:
            self._arrays[key] = _array_or_bytes(value)
        return self._arrays[key]

    def raw(self, key: str) -> Any:
        """The value as it is stored: bytes stay bytes, also where they are an array.

        Raises:
            KeyError: There is no such field.

        Examples:
            >>> import numpy as np
            >>> sample = DictSample.from_bytes(DictSample(x=np.zeros(2, "i2")).packed)
            >>> sample.x, len(sample.raw("x"))
            (array([0, 0], dtype=int16), 17)
        """
        return self._data[key]

    def __contains__(self, key: object) -> bool:
        return key in self._data

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __bool__(self) -> bool:
        return True

    def keys(self) -> list[str]:
        """The field names."""
        return list(self._data)

    def values(self) -> list[Any]:
        """The values, in the order of the fields."""
        return [self[key] for key in self._data]

    def items(self) -> list[tuple[str, Any]]:
        """Pairs of name and value."""
        return [(key, self[key]) for key in self._data]

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a field, or `default` if there is none."""
        return self[key] if key in self._data else default

    def to_dict(self) -> dict[str, Any]:
        """A new dictionary of the fields."""
        return dict(self.items())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DictSample):
            return NotImplemented
        if self._data.keys() != other._data.keys():
            return False
        return all(same(self[key], other[key]) for key in self._data)

    __hash__ = None  # type: ignore[assignment]  # compared by value, and the values may change

    def __repr__(self) -> str:
        return repr_mapping("DictSample", dict(self.items()))

    def __copy__(self) -> Self:
        return type(self)(self._current())

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._current(),)

    def _current(self) -> dict[str, Any]:
        """The stored values, and the arrays that may have changed since they were looked at."""
        return {**self._data, **self._arrays}


class _DictCodec[T: DictSample](SampleCodec[T]):
    """Writes and reads samples of no defined type."""

    def __init__(self, cls: type[T]) -> None:
        self.sample_type = cls
        self.name = cls.__name__
        self.fields = ()
        self.construct = cls
        self._record = Record(cls)

    def __reduce__(self) -> Any:
        return type(self), (self.sample_type,)

    def encode(self, sample: T) -> bytes:
        """Write a sample as one msgpack map."""
        try:
            return encode(self._wires(sample))
        except Misfit as misfit:
            raise misfit.error(self.name) from misfit.__cause__
        except RecursionError:
            raise Misfit("a sample", "values nested too deeply").error(self.name) from None

    def decode(self, data: Buffer, *, copy: bool = True, own: bool = False) -> T:  # noqa: ARG002 - arrays are made later, of bytes that are copied anyway
        """Read one sample from its payload, all of it."""
        try:
            fields = read_map(flat(data))
            for value in fields.values():
                if type(value) in (list, dict):
                    plain_value(value)  # maps inside must have text as keys too
        except Misfit as misfit:
            raise misfit.error(self.name) from misfit.__cause__
        except RecursionError:
            raise Misfit("a sample", "values nested too deeply").error(self.name) from None
        return self.sample_type(fields)

    def from_data(self, data: Mapping[str, Any]) -> T:
        """Wrap a mapping."""
        return self.sample_type(dict(data))

    def check(self, sample: T) -> None:
        """Check that a sample can be written."""
        self.encode(sample)

    def _wires(self, sample: T) -> dict[str, Any]:
        wires: dict[str, Any] = {}
        for key, value in sample._current().items():  # pyright: ignore[reportPrivateUsage]
            if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users need not check types
                raise wrong("str keys", key, "Names of fields are text.")
            try:
                wires[to_str(key)] = _wire(value)
            except Misfit as misfit:
                raise misfit.within(key)  # noqa: B904 - it is the same one
        return wires


def _wire(value: Any) -> Any:
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.generic):
        value = numpy.asarray(value) if value.dtype.kind in "mMcV" else value.item()
    if numpy is not None and isinstance(value, numpy.ndarray):
        return import_module("atdata.codec.arrays").ANY_ARRAY.to_wire(value)
    return plain_value(value)


def _array_or_bytes(data: bytes) -> Any:
    """The array that a value is exactly, or the bytes."""
    try:
        return import_module("atdata.codec.formats.ndarray").bytes_to_array(data)
    except (ValueError, ImportError):
        return data
