"""A sample type without its hooks, which holds what payloads hold and nothing made of it."""

import dataclasses
from typing import Any, get_origin

from atdata._exceptions import AtdataError
from atdata._type_utils import field_types
from atdata.codec.compile import codec_of
from atdata.sample.holding import holds_what_it_is_given


def plain_twin(sample_type: Any) -> Any:
    """A dataclass of the same name and fields that keeps what it is given.

    Payloads may lack the same fields, which then are None: no manifest says what stands for them.

    Args:
        sample_type: A dataclass, with type arguments where it takes any.

    Returns:
        The type itself if it does so already; None where no such class can be made.

    Examples:
        >>> import atdata
        >>> @atdata.packable
        ... class Name:
        ...     text: str
        ...     def __post_init__(self):
        ...         self.text = self.text.strip()
        >>> plain_twin(Name)(text=" Ada ").text
        ' Ada '
    """
    if holds_what_it_is_given(sample_type):
        return sample_type
    kind = get_origin(sample_type) or sample_type
    try:
        made: Any = dataclasses.make_dataclass(
            kind.__name__,
            [(one.name, annotation, _like(one)) for one, annotation in field_types(sample_type)],
            kw_only=True,
            namespace={"__field_formats__": getattr(kind, "__field_formats__", {})},
            module=kind.__module__,
        )
        codec_of(made)
    except (AtdataError, TypeError, ValueError, NameError):
        return None
    return made if holds_what_it_is_given(made) else None


def _like(field: "dataclasses.Field[Any]") -> Any:
    """A field that may be lacking where this one may."""
    default, factory = field.default, field.default_factory
    if field.init and default is dataclasses.MISSING and factory is dataclasses.MISSING:
        return dataclasses.field()
    return dataclasses.field(default=None)
