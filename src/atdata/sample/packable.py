"""`@packable`, which makes a class a sample type."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, dataclass_transform, overload

from atdata._type_utils import own_annotations
from atdata.codec.compile import check_annotations
from atdata.sample.base import MARK, METHODS, PackableSample, give_dunders, refuse_reserved


@overload
@dataclass_transform(field_specifiers=(dataclasses.field,))
def packable[T](cls: type[T], /) -> type[T]: ...


@overload
def packable[T](
    *,
    init: bool = True,
    repr: bool = True,
    eq: bool = True,
    order: bool = False,
    unsafe_hash: bool = False,
    frozen: bool = False,
    match_args: bool = True,
    kw_only: bool = False,
    slots: bool = False,
    weakref_slot: bool = False,
) -> Callable[[type[T]], type[T]]: ...


def packable[T](
    cls: type[T] | None = None, /, **options: bool
) -> type[T] | Callable[[type[T]], type[T]]:
    """Make a class a sample type: a dataclass that can be written to shards and read back.

    Takes the options of `dataclasses.dataclass` and returns the class it was given (a new one with
    `slots=True`, as dataclasses do). The class gets `from_data`, `from_bytes`, `packed` and
    `as_wds`, an `==` that compares arrays by value, and a `repr` that does not print them.
    `atdata.pack` and `atdata.unpack` do the same and are known to type checkers.

    Args:
        cls: The class.
        options: As for `dataclasses.dataclass`: `frozen`, `slots`, `kw_only`, `order`, `eq` and
            others.

    Raises:
        UnsupportedTypeError: An annotation cannot be represented. The error says what to use.
        TypeError: A field has a name that samples use.

    Examples:
        >>> import numpy as np
        >>> from numpy.typing import NDArray
        >>> @packable
        ... class Digit:
        ...     image: NDArray[np.uint8]
        ...     label: int
        >>> Digit(np.zeros((8, 8), dtype=np.uint8), label=3)
        Digit(image=array(shape=(8, 8), dtype=uint8), label=3)
    """
    if cls is None:
        return lambda decorated: _make(decorated, options)
    return _make(cls, options)


def _make[T](cls: type[T], options: dict[str, bool]) -> type[T]:
    refuse_reserved(cls, own_annotations(cls))
    # A class that is a dataclass already is not made one again: its options would be lost.
    ready = not options and "__dataclass_fields__" in vars(cls)
    chosen = _options_of(cls) if ready else options
    give_dunders(cls, eq=chosen.get("eq", True), representation=chosen.get("repr", True))
    made = cls if ready else dataclasses.dataclass(**options)(cls)
    if made is not cls:
        _repair_super(cls, made)
    refuse_reserved(made, {field.name: None for field in dataclasses.fields(made)})  # type: ignore[arg-type]  # it is a dataclass now
    for name in (*METHODS, "_ensure_good"):
        if name not in vars(made):
            setattr(made, name, vars(PackableSample)[name])
    setattr(made, MARK, True)
    check_annotations(made)
    return made


def _options_of(cls: Any) -> dict[str, bool]:
    parameters = cls.__dataclass_params__
    return {"eq": parameters.eq, "repr": parameters.repr}


def _repair_super(old: type[Any], new: type[Any]) -> None:
    """Let `super()` in methods mean the class that dataclasses made anew for `slots=True`.

    Python 3.14 does so itself. All methods of a class share one cell.
    """
    for value in vars(new).values():
        accessors = (
            (value.fget, value.fset, value.fdel) if isinstance(value, property) else (value,)
        )
        for accessor in accessors:
            function: Any = getattr(accessor, "__func__", accessor)
            function = inspect.unwrap(function) if callable(function) else None
            code = getattr(function, "__code__", None)
            if code is None or "__class__" not in code.co_freevars:
                continue
            cell = function.__closure__[code.co_freevars.index("__class__")]
            if cell.cell_contents is old:
                cell.cell_contents = new
                return
