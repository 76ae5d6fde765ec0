"""Declaring a lens as data: which field of the view comes from which field of the source."""

from collections.abc import Mapping
from dataclasses import dataclass

from atdata.lens._lens import Lens, type_name
from atdata.lens._mapped import MappedLens, dataclass_fields
from atdata.lens._rules import obstacles
from atdata.model.lens_parts import (
    AsType,
    Cast,
    CastName,
    Constant,
    Default,
    DtypeName,
    FieldRule,
    Scalar,
    Transform,
    Unwrap,
)


@dataclass(frozen=True, slots=True)
class Taken:
    """Where a field of a view comes from, for `mapping`.

    Attributes:
        source_field: The field of the source; None for a constant.
        transform: What happens to its value on the way.
    """

    source_field: str | None
    transform: Transform


def mapping[S, V](source: type[S], view: type[V], fields: Mapping[str, str | Taken]) -> Lens[S, V]:
    """Make a lens of fields alone: a lens that is data, reads and writes, and runs no code.

    Such a lens can be stored in a catalogue and loaded again by anyone who has both types. It is
    not registered; `LensNetwork().register(lens)` does that.

    Args:
        source: The type of the samples, a dataclass.
        view: The type of the views, a dataclass.
        fields: For each field of the view, the name of the field it is read from, as it is, or
            one of `cast`, `astype`, `default`, `constant` and `unwrap`. Fields of the view that
            are left out have their defaults.

    Returns:
        The lens. It keeps all laws with fields as they are, `cast`, `astype`, `constant` and
        `unwrap`. With `default` and `astype(…, lossy=True)` it keeps GetPut and PutGet; of PutPut
        only what the source can tell apart.

    Raises:
        ValueError: A field is not there, or its type does not fit; all that is in the way is told.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Photo:
        ...     title: str
        ...     stars: int
        >>> @dataclass
        ... class Rated:
        ...     text: str
        ...     score: float
        >>> rated = mapping(Photo, Rated, {"text": "title", "score": cast("stars", "int->float")})
        >>> rated(Photo("sea", 3))
        Rated(text='sea', score=3.0)
        >>> rated.put(Rated("lake", 4.0), Photo("sea", 3))
        Photo(title='lake', stars=4)
    """
    rules = [
        FieldRule(name, taken.source_field, taken.transform)
        if isinstance(taken, Taken)
        else FieldRule(name, taken)
        for name, taken in fields.items()
    ]
    found = list(obstacles(source, view, rules))
    if found:
        lines = [f"cannot map {type_name(source)} to {type_name(view)}", *map(str, found)]
        raise ValueError("\n  ".join(lines))
    return mapped(source, view, rules)


def mapped[S, V](source: type[S], view: type[V], rules: list[FieldRule]) -> Lens[S, V]:
    """The lens of rules that are sound. Each field of a type as itself is the identity.

    Examples:
        >>> mapped(Taken, Taken, [FieldRule(n, n) for n in ("source_field", "transform")]).kind
        'identity'
    """
    each = {FieldRule(field.name, field.name) for field in dataclass_fields(source)}
    if source == view and set(rules) == each:
        return Lens.identity(source)  # type: ignore[return-value]  # they are one type
    return MappedLens(f"mapping({type_name(source)}, {type_name(view)})", source, view, rules)


def cast(field: str, kind: CastName) -> Taken:
    """Read a field of one plain type as another, both ways exactly; what is not is refused.

    Args:
        field: The source's field.
        kind: Both types, such as `"int->float"` or `"str->int"`. None stays None.

    Raises:
        ValueError: There is no such cast.

    Examples:
        >>> cast("stars", "int->float").source_field
        'stars'
    """
    return Taken(field, Cast(kind))


def astype(field: str, dtype: DtypeName, *, lossy: bool = False) -> Taken:
    """Read an array with elements of another dtype. It is written back in the sample's dtype.

    Args:
        field: The source's field, an array of bools, integers or floats.
        dtype: The dtype of the view's array.
        lossy: Let elements change, as numpy has it; otherwise an array in which one would is
            refused. A lossy field is written back only if it was changed.

    Raises:
        ValueError: The dtype is not among those that records know.

    Examples:
        >>> astype("image", "float32").transform
        AsType(dtype='float32', lossy=False)
    """
    return Taken(field, AsType(dtype, lossy))


def default(field: str, value: bool | float | str) -> Taken:
    """Read a field that may be None, with a value in place of None.

    Which of both the sample had is lost, so the field is written back only if it was changed.

    Args:
        field: The source's field.
        value: Text, a number, True or False.

    Raises:
        ValueError: The value is none that a record can hold.

    Examples:
        >>> default("score", 0.0).transform
        Default(value=0.0)
    """
    return Taken(field, Default(value))


def constant(value: Scalar) -> Taken:
    """Give a field of the view the same value always; another cannot be written back.

    Args:
        value: Text, a number, True, False or None.

    Raises:
        ValueError: The value is none that a record can hold.

    Examples:
        >>> constant("CC0-1.0").source_field is None
        True
    """
    return Taken(None, Constant(value))


def unwrap(field: str) -> Taken:
    """Read a field that may be None as one that may not; a sample in which it is, is refused.

    Args:
        field: The source's field.

    Examples:
        >>> unwrap("label").transform
        Unwrap()
    """
    return Taken(field, Unwrap())
