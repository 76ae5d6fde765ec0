"""A batch: samples of one type, seen field by field."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar, cast, get_args, overload

import numpy as np

from atdata.codec.columns import Columns, joined, stack
from atdata.codec.compile import FieldPlan, codec_of
from atdata.sample.dynamic import DictSample


class SampleBatch[T]:
    """Samples of one type; each field is an attribute that holds the values of all of them.

    A field is put together when it is first asked for, and kept. Numbers, bools and arrays of one
    shape become one array with the batch as its first dimension; texts, ragged arrays and fields
    with a None among their values become a list, in sample order. Fields whose names the batch
    itself uses, such as `samples`, are in `to_dict()`.

    Args:
        samples: The samples.

    Attributes:
        sample_type: The samples' type.

    Raises:
        AttributeError: On access, if the samples have no field of that name.

    Examples:
        >>> from atdata import packable
        >>> @packable
        ... class Point:
        ...     name: str
        ...     x: float
        >>> batch = SampleBatch[Point]([Point("a", 1.0), Point("b", 2.5)])
        >>> batch.x, batch.name
        (array([1. , 2.5]), ['a', 'b'])
        >>> len(batch), batch[1]
        (2, Point(name='b', x=2.5))
    """

    def __init__(self, samples: Sequence[T]) -> None:
        self._samples: list[T] | None = list(samples)
        self._pieces: list[Columns[T]] = []
        self._fields: dict[str, Any] = {}
        self._n = len(self._samples)
        self._type: type[T] | None = None

    @classmethod
    def of_columns(cls, sample_type: type[T], pieces: Sequence[Columns[T]]) -> Self:
        """A batch whose samples were decoded together, in one or more pieces."""
        batch = cls([])
        batch._samples = None
        batch._pieces = list(pieces)
        batch._n = sum(map(len, pieces))
        batch._type = sample_type
        return batch

    @classmethod
    def of_fields(cls, sample_type: type[T], n: int, fields: Mapping[str, Any]) -> Self:
        """A batch whose fields are put together already."""
        batch = cls([])
        batch._samples = None
        batch._fields = dict(fields)
        batch._n = n
        batch._type = sample_type
        return batch

    @property
    def sample_type(self) -> type[T]:
        """The samples' type.

        Raises:
            TypeError: The batch is empty, and was not made as `SampleBatch[T]([])`.
        """
        known = self._known_type()
        if known is None:
            raise TypeError("an empty batch knows its samples' type as SampleBatch[T]([]) only")
        return known

    def _known_type(self) -> type[T] | None:
        if self._type is None:
            declared = get_args(self.__dict__.get("__orig_class__"))
            if declared and not isinstance(declared[0], TypeVar):
                self._type = declared[0]
            elif self._samples:
                self._type = type(self._samples[0])
        return self._type

    @property
    def samples(self) -> list[T]:
        """The samples as objects."""
        if self._samples is None:
            if self._pieces:
                for piece in self._pieces:
                    piece.memory.check()
                self._samples = [sample for piece in self._pieces for sample in piece.samples()]
            else:
                codec = codec_of(self.sample_type)
                values = [_rows(self._fields[plan.name], plan.kind) for plan in codec.fields]
                self._samples = list(map(codec.construct, *values))
        return self._samples

    def column_names(self) -> list[str]:
        """Names of the fields.

        Examples:
            >>> from atdata import DictSample
            >>> SampleBatch[DictSample]([DictSample(a=1)]).column_names()
            ['a']
        """
        names = [plan.name for plan in self._plans()]
        if names or not self._samples:
            return names
        return list(dict.fromkeys(name for sample in self._samples for name in _names(sample)))

    def _plans(self) -> Sequence[FieldPlan]:
        try:
            return codec_of(self.sample_type).fields
        except TypeError:  # results of `map` may be of any type
            return ()

    def to_dict(self) -> dict[str, Any]:
        """All fields, by name.

        Examples:
            >>> from atdata import DictSample
            >>> SampleBatch[DictSample]([DictSample(a=1), DictSample(a=2)]).to_dict()
            {'a': array([1, 2])}
        """
        return {name: self._field(name) for name in self.column_names()}

    def _field(self, name: str) -> Any:
        if name not in self._fields:
            self._fields[name] = self._aggregate(name)
        return self._fields[name]

    def _aggregate(self, name: str) -> Any:
        if self._samples is None:
            for piece in self._pieces:
                piece.memory.check()
            return joined([(piece.column(name), piece.memory) for piece in self._pieces])
        return stack([_value(sample, name) for sample in self._samples])

    def __getattr__(self, name: str) -> Any:
        """The values of a field."""
        if name.startswith("__") or "_n" not in self.__dict__:
            raise AttributeError(name)
        if name in self._fields:
            return self._fields[name]
        if self._pieces and name in self._pieces[0]:
            return self._field(name)
        names = self.column_names()
        if self._n == 0 and not names:
            return []
        if name not in names:
            raise AttributeError(
                f"No sample attribute named {name!r}; the fields are {', '.join(names) or 'none'}"
            )
        return self._field(name) if self._n else []

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[T]:
        return iter(self.samples)

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> "SampleBatch[T]": ...
    def __getitem__(self, at: int | slice) -> "T | SampleBatch[T]":
        if isinstance(at, slice):
            part = SampleBatch(self.samples[at])
            part._type = self._known_type()
            return part
        return self.samples[at]

    def __getstate__(self) -> dict[str, Any]:
        """Pickle what the batch holds, not the memory that it was read from."""
        fields = {} if self._samples is not None else self.to_dict()
        kind = self._known_type()
        return {"_samples": self._samples, "_fields": fields, "_n": self._n, "_type": kind}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _pieces=[])

    def __repr__(self) -> str:
        name = getattr(self._known_type(), "__name__", "?")
        return f"SampleBatch[{name}]({self._n} samples)"


def _names(sample: Any) -> Iterable[str]:
    """The field names of a sample that no type declares."""
    keys: Any = getattr(sample, "keys", None)
    if callable(keys):
        return cast("Iterable[str]", keys())
    fields: dict[str, Any] = getattr(sample, "__dict__", {})
    return fields


def _value(sample: Any, name: str) -> Any:
    """A field of a sample; None where a sample of no defined type lacks it."""
    get = getattr(sample, "get", None) if isinstance(sample, Mapping | DictSample) else None
    return getattr(sample, name) if get is None else get(name)


_SCALARS = ("int", "float", "bool")


def _rows(values: Any, kind: str) -> Any:
    """The values of a field one by one, as samples hold them."""
    if not isinstance(values, np.ndarray):
        return values
    if kind in _SCALARS:
        return values.tolist()
    values = values.copy()  # who changes a sample does not change the batch
    return [values[i, ...] for i in range(len(values))] if values.ndim == 1 else values
