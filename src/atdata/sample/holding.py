"""Whether a class keeps the values that its samples are made of."""

import dataclasses
from typing import Any, get_origin

from atdata.sample.base import PackableSample
from atdata.sample.same import is_generated


def holds_what_it_is_given(sample_type: Any) -> bool:
    """Whether a sample's fields are always the values that it is made of.

    A class with a hook, a constructor or descriptors of its own may change them.

    Examples:
        >>> import atdata
        >>> @atdata.packable
        ... class Name:
        ...     text: str
        ...     def __post_init__(self):
        ...         self.text = self.text.strip()
        >>> holds_what_it_is_given(Name)
        False
    """
    kind: Any = get_origin(sample_type) or sample_type
    hook = getattr(kind, "__post_init__", PackableSample.__post_init__)
    if not hasattr(kind, "__dataclass_fields__") or hook is not PackableSample.__post_init__:
        return False
    own = {name for base in kind.__mro__[:-1] for name in vars(base)}
    frozen: bool = vars(kind)["__dataclass_params__"].frozen
    if "__getattribute__" in own or "__new__" in own or ("__setattr__" in own and not frozen):
        return False
    if getattr(type(kind), "__call__", None) is not type.__call__:  # noqa: B004
        return False
    return is_generated(kind.__init__) and not _has_descriptors(kind)


def _has_descriptors(kind: type[Any]) -> bool:
    """Whether a field is a property or the like."""
    slot = type(vars(_Slotted)["slot"])
    for field in dataclasses.fields(kind):
        found = next((vars(b)[field.name] for b in kind.__mro__ if field.name in vars(b)), None)
        if hasattr(found, "__set__") and not isinstance(found, slot):
            return True
    return False


class _Slotted:
    __slots__ = ("slot",)
