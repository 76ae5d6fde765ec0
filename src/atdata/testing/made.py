"""A few plain samples of any type, without Hypothesis."""

import random
from collections.abc import Callable
from dataclasses import MISSING, Field
from typing import Any, get_args, get_origin

from atdata._lazy import require
from atdata._type_utils import bare, field_types, is_ndarray_type, unwrap_optional
from atdata.codec.compile import FieldPlan, codec_of


def make_samples[T](sample_type: type[T], n: int = 10, seed: int | None = None) -> list[T]:
    """Make `n` samples with recognisable values.

    A text is `"<field>_<i>"`, an int is `i`, a bool alternates, a float lies in `[0, 1)`, bytes
    are 16 random ones, and an array has the declared dtype and shape, or is a float32 one of
    `(4, 4)`. An optional field with a default keeps it.

    Args:
        sample_type: A type whose fields are plain values, arrays or lists of text.
        n: How many.
        seed: Makes the random parts the same each time.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Word:
        ...     text: str
        ...     count: int
        >>> make_samples(Word, 2)
        [Word(text='text_0', count=0), Word(text='text_1', count=1)]
    """
    plans = {plan.name: plan for plan in codec_of(sample_type).fields}
    chance = random.Random(seed)
    return [
        sample_type(
            **{
                field.name: _value(field, kind, plans[field.name], i, chance)
                for field, kind in field_types(sample_type)
                if field.init and not _kept(field, kind)
            }
        )
        for i in range(n)
    ]


def _kept(field: "Field[Any]", kind: object) -> bool:
    has_default = field.default is not MISSING or field.default_factory is not MISSING
    plain, _ = bare(kind)
    try:
        return has_default and unwrap_optional(plain)[1]
    except TypeError:
        return has_default


def _value(
    field: "Field[Any]", kind: object, plan: FieldPlan, i: int, chance: random.Random
) -> Any:
    plain, _ = bare(kind)
    try:
        inner, _ = bare(unwrap_optional(plain)[0])
    except TypeError:
        inner = plain
    if is_ndarray_type(inner):
        return _array(plan, chance)
    if get_origin(inner) is list or inner is list:
        item = next(iter(get_args(inner)), str)
        return [_plain(item, f"{field.name}_{i}_{j}", i + j, chance) for j in range(3)]
    return _plain(inner, f"{field.name}_{i}", i, chance)


def _plain(kind: Any, text: str, number: int, chance: random.Random) -> Any:
    makers: dict[Any, Callable[[], Any]] = {
        int: lambda: number,
        bool: lambda: number % 2 == 0,
        float: chance.random,
        bytes: lambda: chance.randbytes(16),
    }
    return makers.get(bare(kind)[0], lambda: text)()


def _array(plan: FieldPlan, chance: random.Random) -> Any:
    numpy = require("numpy", extra="all")
    dims = plan.codec.shape if plan.codec.shape is not None else (4, 4)
    shape = [dim if isinstance(dim, int) else 4 for dim in dims if dim is not ...]
    dtype = plan.dtype if plan.dtype is not None else numpy.dtype("float32")
    made = numpy.random.default_rng(chance.getrandbits(64)).random(shape)
    return (made if dtype.kind in "fc" else made * 100).astype(dtype)
