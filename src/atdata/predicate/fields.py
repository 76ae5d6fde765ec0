"""`Fields`: the fields of one sample type, for predicates."""

from typing import Any, get_origin

from atdata.predicate.field import Field, field_at
from atdata.predicate.kinds import fields_in, is_free


class Fields:
    """The fields of a sample type as attributes; in brackets where a name is none of Python's.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Word:
        ...     text: str
        ...     count: int
        >>> Q = fields_of(Word)
        >>> Q
        WordFields(text, count)
        >>> Q.count > 3
        F.count > 3
        >>> Q.txt
        Traceback (most recent call last):
        atdata._exceptions.UnknownFieldError: Word has no field 'txt'
          closest: text
          Fields there are: text, count...
    """

    __slots__ = ("_names", "_type")

    def __init__(self, sample_type: Any, names: tuple[str, ...] | None) -> None:
        self._type = sample_type
        self._names = names

    def __getattr__(self, name: str) -> Field[Any]:
        if name.startswith("__") or name in Fields.__slots__:
            raise AttributeError(f"{self!r} has no attribute {name!r}")
        return self[name]

    def __getitem__(self, path: str) -> Field[Any]:
        return field_at(path, self._type)

    def __dir__(self) -> list[str]:
        return list(self._names or ())

    def __repr__(self) -> str:
        origin = get_origin(self._type) or self._type
        return f"{origin.__name__}Fields({', '.join(self._names or ('...',))})"


def fields_of(sample_type: Any) -> Fields:
    """The fields of a sample type, to ask for with `fields.name`.

    Args:
        sample_type: A `@packable` class or another dataclass; with type arguments if it takes any;
            or `DictSample`, which may have any field.

    Raises:
        TypeError: It is no sample type.

    Examples:
        >>> from atdata import DictSample
        >>> fields_of(DictSample).any_name > 3
        F.any_name > 3
    """
    if is_free(sample_type):
        return Fields(sample_type, None)
    return Fields(sample_type, tuple(fields_in(sample_type)))
