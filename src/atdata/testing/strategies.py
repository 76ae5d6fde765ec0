"""Hypothesis strategies for samples of any type.

They give values that can be written and that come back equal: so NaN is left out of plain floats,
because it differs from itself.
"""

import dataclasses
import datetime
import sys
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from decimal import Decimal
from enum import Enum
from importlib import import_module
from inspect import isclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, Literal, TypeVar, cast, get_args, get_origin
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from atdata._type_utils import bare, evaluate, field_types, union_members
from atdata.codec.compile import codec_of
from atdata.codec.markers import Shape

_LARGEST = 4
"""Most elements of a container that is made up."""

_zones = st.builds(
    datetime.timezone, st.integers(-1439, 1439).map(lambda m: datetime.timedelta(minutes=m))
)
_text = st.text(st.characters(codec="utf-8"), max_size=20)
_ints = st.integers(-(2**63), 2**64 - 1)
_plain = st.recursive(
    st.none()
    | st.booleans()
    | _ints
    | st.floats(allow_nan=False)
    | _text
    | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=_LARGEST) | st.dictionaries(_text, inner, max_size=_LARGEST)
    ),
    max_leaves=8,
)
_paths = st.text("abc./_", max_size=12)

_BY_TYPE: dict[Any, SearchStrategy[Any]] = {
    None: st.none(),
    type(None): st.none(),
    Any: _plain,
    object: _plain,
    bool: st.booleans(),
    int: _ints,
    float: st.floats(allow_nan=False),
    str: _text,
    bytes: st.binary(max_size=40),
    bytearray: st.binary(max_size=40).map(bytearray),
    complex: st.complex_numbers(allow_nan=False),
    datetime.datetime: st.datetimes(timezones=st.none() | _zones),
    datetime.date: st.dates(),
    datetime.time: st.times(timezones=st.none() | _zones),
    datetime.timedelta: st.timedeltas(),
    UUID: st.uuids(),
    Decimal: st.decimals(allow_nan=False),
    Path: _paths.map(Path),
    PurePath: _paths.map(PurePath),
    PurePosixPath: _paths.map(PurePosixPath),
}


def samples[T](sample_type: type[T]) -> SearchStrategy[T]:
    """A strategy for samples of a type: declared dtypes, shapes and literals are kept to.

    Args:
        sample_type: A `@packable` class, or any dataclass whose fields can be written; with type
            arguments where it takes any.

    Examples:
        >>> from hypothesis import given
        >>> import atdata
        >>> @atdata.packable
        ... class Word:
        ...     text: str
        ...     tags: list[str]
        >>> @given(samples(Word))
        ... def test_a_word_comes_back(word: Word) -> None:
        ...     assert atdata.unpack(Word, atdata.pack(word)) == word
        >>> test_a_word_comes_back()
    """
    codec_of(sample_type)  # refuses here what cannot be written
    return cast("SearchStrategy[T]", _samples(sample_type, {}))


def values(annotation: Any) -> SearchStrategy[Any]:
    """A strategy for the values of one annotation, as a field would have it.

    Examples:
        >>> from hypothesis import find
        >>> find(values(list[int]), lambda numbers: sum(numbers) > 10)
        [11]
    """
    return _values(annotation, {})


type _Known = dict[Any, SearchStrategy[Any]]


def _samples(kind: Any, known: _Known) -> SearchStrategy[Any]:
    if kind in known:
        return known[kind]
    known[kind] = st.deferred(lambda: made)
    cls: Any = get_origin(kind) or kind
    dims: dict[str, SearchStrategy[Any]] = {}
    fields = [(field, hint) for field, hint in field_types(kind) if field.init]
    names = sorted({name for _, hint in fields for name in _named_dims(hint)})
    sizes = st.fixed_dictionaries({name: st.integers(0, 3) for name in names})
    if names:
        made = sizes.flatmap(
            lambda sized: st.builds(
                cls, **{f.name: _values(hint, known, sized) for f, hint in fields}
            )
        )
    else:
        dims = {field.name: _values(hint, known) for field, hint in fields}
        made = st.builds(cls, **dims)
    return made


def _named_dims(hint: Any) -> list[str]:
    kind, metadata = bare(hint)
    found = [d for m in metadata if isinstance(m, Shape) for d in m.dims if isinstance(d, str)]
    return found + [name for member in union_members(kind) or () for name in _named_dims(member)]


def _values(
    annotation: Any, known: _Known, sizes: Mapping[str, int] | None = None, shape: Any = None
) -> SearchStrategy[Any]:
    kind, metadata = bare(annotation)
    shape = next((m for m in reversed(metadata) if isinstance(m, Shape)), shape)
    members = union_members(kind)
    if members is not None:
        return st.one_of(*(_values(member, known, sizes, shape) for member in members))
    if isinstance(kind, TypeVar):
        return _values(kind.__bound__ or Any, known)
    if kind in _BY_TYPE:
        return _BY_TYPE[kind]
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if isclass(kind) and issubclass(kind, Enum):
        return st.sampled_from(kind)
    if "numpy" in sys.modules:
        array = import_module("atdata.testing.arrays").array_strategy(kind, shape, sizes or {})
        if array is not None:
            return cast("SearchStrategy[Any]", array)
    return _container(kind, known)


def _container(kind: Any, known: _Known) -> SearchStrategy[Any]:
    origin: Any = get_origin(kind) or kind
    arguments: Any = get_args(kind)

    def item(at: int = 0) -> SearchStrategy[Any]:
        return _values(arguments[at] if arguments else Any, known)

    if origin in (list, Sequence, MutableSequence):
        return st.lists(item(), max_size=_LARGEST)
    if origin is set:
        return st.sets(item() if arguments else _ints, max_size=_LARGEST)
    if origin is frozenset:
        return st.frozensets(item() if arguments else _ints, max_size=_LARGEST)
    if origin is tuple:
        if kind is tuple or (len(arguments) == 2 and arguments[1] is ...):
            return st.lists(item(), max_size=_LARGEST).map(tuple)
        return st.tuples(*(_values(argument, known) for argument in arguments))
    if origin in (dict, Mapping, MutableMapping):
        keys = item() if arguments else _text
        return st.dictionaries(keys, item(1) if arguments else _plain, max_size=_LARGEST)
    if isclass(origin) and issubclass(origin, tuple) and hasattr(origin, "_fields"):
        made: Callable[..., Any] = origin
        hints: dict[str, Any] = getattr(origin, "__annotations__", {})
        named: Sequence[str] = getattr(origin, "_fields", ())
        return st.builds(made, *(_values(evaluate(hints[n], origin), known) for n in named))
    if dataclasses.is_dataclass(origin):
        return _samples(kind, known)
    raise TypeError(f"no strategy for {kind!r}: give one with hypothesis.strategies.builds")
