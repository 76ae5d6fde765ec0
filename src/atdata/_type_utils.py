"""Reading annotations: the one place where what a class declares becomes types.

Strings, forward references, `Annotated`, `type` aliases, `NewType` and type parameters are all
seen through here, so the rest of the code meets only plain types. numpy is looked up among the
modules that are loaded: as long as nobody imported it, no annotation can name it.
"""

import dataclasses
import inspect
import re
import sys
import types
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import (
    Annotated,
    Any,
    Final,
    NewType,
    TypeAliasType,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

NUMPY_DTYPE_MAP: dict[str, str] = {
    name: name
    for name in (
        *("float16", "float32", "float64", "int8", "int16", "int32", "int64"),
        *("uint8", "uint16", "uint32", "uint64", "bool", "complex64", "complex128"),
    )
}
"""The element types that a schema names, each by its own name."""

PRIMITIVE_TYPE_MAP: dict[type, str] = {
    str: "str",
    int: "int",
    float: "float",
    bool: "bool",
    bytes: "bytes",
}
"""The plain types that a schema names."""


class UnreadableAnnotationError(NameError):
    """An annotation written as a string names something that cannot be found.

    Attributes:
        annotation: The annotation as it was written.
        owner: The class it stands in.
    """

    def __init__(self, annotation: object, owner: type[Any], reason: str) -> None:
        self.annotation = annotation
        self.owner = owner
        super().__init__(
            f"{reason}, seen from module {owner.__module__!r} of {owner.__qualname__}"
        )


def field_types(sample_type: Any) -> Iterator[tuple["dataclasses.Field[Any]", object]]:
    """Pair each field of a dataclass with its annotation, evaluated, type arguments put in.

    Args:
        sample_type: A dataclass, or one with type arguments such as `Box[int]`.

    Yields:
        The field and its type, in the order of the fields. `Annotated` is kept.

    Raises:
        UnreadableAnnotationError: A string annotation names what its module does not define.

    Examples:
        >>> @dataclasses.dataclass
        ... class Box[T]:
        ...     items: list[T]
        >>> [(field.name, kind) for field, kind in field_types(Box[int])]
        [('items', list[int])]
    """
    origin: type[Any] = get_origin(sample_type) or sample_type
    arguments = _type_arguments(sample_type)
    written = {owner: own_annotations(owner) for owner in origin.__mro__}
    for field in dataclasses.fields(origin):
        owner = next((c for c in origin.__mro__ if field.name in written[c]), origin)
        yield field, _substitute(evaluate(field.type, owner), arguments.get(owner, {}))


def own_annotations(cls: type[Any]) -> Mapping[str, object]:
    """What a class itself declares, as it is written; forward references may be in it.

    Examples:
        >>> class Point:
        ...     x: "int"
        >>> dict(own_annotations(Point))
        {'x': 'int'}
    """
    if sys.version_info < (3, 14):
        return inspect.get_annotations(cls)
    library = import_module("annotationlib")  # annotations are evaluated on demand since 3.14
    found: Mapping[str, object] = library.get_annotations(cls, format=library.Format.FORWARDREF)
    return found


def evaluate(annotation: object, owner: type[Any]) -> object:
    """Read an annotation as it stands in a class: strings become the types they name.

    Raises:
        UnreadableAnnotationError: It names what cannot be found from the class's module.

    Examples:
        >>> evaluate("int | None", dict)
        int | None
    """
    if isinstance(annotation, type):
        return annotation
    module = sys.modules.get(owner.__module__)
    fields = getattr(owner, "__dataclass_fields__", {})
    names = {
        owner.__name__: owner,
        **{str(p): p for p in getattr(owner, "__type_params__", ())},
        # A default stands in the class under its field's name and is not what an annotation means.
        **{name: value for name, value in vars(owner).items() if name not in fields},
    }
    holder = type("_", (), {"__annotations__": {"it": annotation}})
    try:
        return get_type_hints(holder, vars(module) if module else {}, names, include_extras=True)[
            "it"
        ]
    except NameError as error:
        raise UnreadableAnnotationError(annotation, owner, str(error)) from error


def bare(annotation: object) -> tuple[Any, tuple[object, ...]]:
    """Take `Annotated`, `Final`, `NewType` and `type` aliases off an annotation.

    Returns:
        The type beneath, and all the metadata of `Annotated` that was met on the way.

    Examples:
        >>> bare(Annotated[NewType("Label", int), "a mark"])
        (<class 'int'>, ('a mark',))
    """
    kind: Any = annotation
    metadata: tuple[object, ...] = ()
    while True:
        origin = get_origin(kind)
        if origin is Annotated:
            metadata = kind.__metadata__ + metadata
            kind = kind.__origin__
        elif origin is Final:
            kind = get_args(kind)[0]
        elif isinstance(origin, TypeAliasType):
            arguments = dict(zip(origin.__type_params__, get_args(kind), strict=False))
            kind = _substitute(origin.__value__, arguments)
        elif isinstance(kind, NewType):
            kind = kind.__supertype__
        elif isinstance(kind, TypeAliasType):
            kind = kind.__value__
        else:
            return kind, metadata


def union_members(kind: Any) -> tuple[Any, ...] | None:
    """The members of a union in either spelling, or None for what is no union.

    Examples:
        >>> union_members(int | None)
        (<class 'int'>, <class 'NoneType'>)
    """
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else None


def unwrap_optional(kind: Any) -> tuple[Any, bool]:
    """Split `X | None` into `X` and whether None is allowed.

    Raises:
        TypeError: The union has several members besides None.

    Examples:
        >>> unwrap_optional(int | None)
        (<class 'int'>, True)
    """
    members = union_members(kind)
    if members is None:
        return kind, False
    rest = [m for m in members if m is not type(None)]
    if len(rest) != 1:
        raise TypeError(f"Complex union: {kind} has {len(rest)} members besides None")
    return rest[0], len(rest) < len(members)


def is_ndarray_type(kind: Any) -> bool:
    """Whether an annotation stands for a numpy array, `NDArray[...]` and `| None` included.

    Examples:
        >>> is_ndarray_type(int)
        False
    """
    if isinstance(kind, str):
        return re.search(r"\b(NDArray|ndarray)\b", kind) is not None
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return False
    plain, _ = bare(kind)
    members = union_members(plain)
    if members is not None:
        return any(is_ndarray_type(member) for member in members)
    return plain is numpy.ndarray or get_origin(plain) is numpy.ndarray


def extract_ndarray_dtype(kind: Any) -> str:
    """Name the element type of an array annotation; `"float32"` where none is declared.

    Examples:
        >>> import numpy as np
        >>> from numpy.typing import NDArray
        >>> extract_ndarray_dtype(NDArray[np.uint8])
        'uint8'
    """
    if isinstance(kind, str):
        found = re.search(r"(?:NDArray|ndarray)\[.*?(\w+)\W*$", kind)
        return numpy_dtype_to_string(found[1]) if found else "float32"
    plain, _ = bare(kind)
    for member in union_members(plain) or ():
        if is_ndarray_type(member):
            return extract_ndarray_dtype(member)
    declared = [a for a in get_args(plain)[1:] if get_args(a)]
    element: Any = get_args(declared[0])[0] if declared else Any
    return "float32" if element is Any or isinstance(element, TypeVar) else _dtype_name(element)


def numpy_dtype_to_string(dtype: object) -> str:
    """Name an element type as schemas do; one that they do not know keeps its own name.

    Args:
        dtype: A numpy dtype or scalar type, or the text of one.

    Examples:
        >>> import numpy as np
        >>> numpy_dtype_to_string(np.dtype("<f8")), numpy_dtype_to_string(np.bool_)
        ('float64', 'bool')
        >>> numpy_dtype_to_string("bfloat16")
        'bfloat16'
    """
    return _dtype_name(dtype)


def parse_semver(version: str) -> tuple[int, int, int]:
    """Read a version of three numbers.

    Raises:
        ValueError: It is not three numbers with dots between them.

    Examples:
        >>> parse_semver("1.20.3")
        (1, 20, 3)
    """
    found = re.fullmatch(r"([0-9]{1,18})\.([0-9]{1,18})\.([0-9]{1,18})", version)
    if found is None:
        raise ValueError(f"Invalid semver: {version!r}; it needs three numbers, such as 1.2.3")
    return int(found[1]), int(found[2]), int(found[3])


def _dtype_name(dtype: Any) -> str:
    if isinstance(dtype, str):
        name = (re.findall(r"\w+", dtype) or [dtype])[-1]
    elif isinstance(dtype, type):
        name = dtype.__name__
    else:
        name = str(getattr(dtype, "name", dtype))
    return "bool" if name == "bool_" else name


def _type_arguments(kind: Any) -> dict[type, dict[Any, Any]]:
    """What each class among the ancestors has in place of its type parameters."""
    found: dict[type, dict[Any, Any]] = {}

    def visit(alias: Any, outer: Mapping[Any, Any]) -> None:
        origin = get_origin(alias) or alias
        given = [_substitute(argument, outer) for argument in get_args(alias)]
        parameters = getattr(origin, "__parameters__", ())
        found.setdefault(origin, dict(zip(parameters, given, strict=False)))
        for base in vars(origin).get("__orig_bases__", origin.__bases__):
            if isinstance(get_origin(base) or base, type):
                visit(base, found[origin])

    visit(kind, {})
    return found


def _substitute(annotation: Any, arguments: Mapping[Any, Any]) -> Any:
    if isinstance(annotation, TypeVar):
        return arguments.get(annotation, annotation)
    parameters = getattr(annotation, "__parameters__", ())
    if not arguments or not parameters or isinstance(annotation, type):
        return annotation
    return annotation[tuple(arguments.get(parameter, parameter) for parameter in parameters)]
