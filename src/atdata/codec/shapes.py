"""Declared shapes and whether an array has them, without numpy."""

from collections.abc import Sequence

from atdata.codec.markers import Dimension

type Dims = tuple[Dimension, ...]


def shape_fits(dims: Sequence[Dimension], shape: Sequence[int]) -> bool:
    """Whether an array's shape is as declared, and its named dimensions agree with each other.

    Examples:
        >>> shape_fits(("N", "N"), (3, 3)), shape_fits(("N", "N"), (3, 4))
        (True, False)
    """
    if ... not in dims and len(dims) != len(shape):
        return False
    if ... in dims and len(dims) - 1 > len(shape):
        return False
    sizes: dict[str, int] = {}
    return all(
        dim == size if isinstance(dim, int) else sizes.setdefault(dim, size) == size
        for dim, size in aligned(dims, shape)
        if isinstance(dim, (int, str))
    )


def named_sizes(dims: Sequence[Dimension], shape: Sequence[int]) -> list[tuple[str, int]]:
    """The sizes that an array gives to named dimensions; none if it has another shape.

    Examples:
        >>> named_sizes(("H", "W", 3), (28, 32, 3))
        [('H', 28), ('W', 32)]
    """
    if not shape_fits(dims, shape):
        return []
    return [(dim, size) for dim, size in aligned(dims, shape) if isinstance(dim, str)]


def aligned(dims: Sequence[Dimension], shape: Sequence[int]) -> list[tuple[Dimension, int]]:
    """Pair declared dimensions with sizes, `...` taking what the others leave."""
    if ... not in dims:
        return list(zip(dims, shape, strict=True))
    at = dims.index(...)
    after = len(dims) - at - 1
    head = list(zip(dims[:at], shape[:at], strict=True))
    return head + list(zip(dims[at + 1 :], shape[len(shape) - after :], strict=True))


def shown(dims: Dims) -> str:
    """A declared shape as errors show it.

    Examples:
        >>> shown(("H", None, 3))
        '(H, *, 3)'
    """
    inner = ", ".join("..." if d is ... else "*" if d is None else str(d) for d in dims)
    return f"({inner},)" if len(dims) == 1 else f"({inner})"
