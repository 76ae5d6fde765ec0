"""What a field's annotation can say about its array: `Annotated[NDArray, Shape(3), Format("…")]`.

Standard library only, so that defining sample types loads nothing else.
"""

from dataclasses import dataclass
from types import EllipsisType

type Dimension = int | str | EllipsisType | None
"""A size; a name that stands for one size throughout a sample; `None` for any size; `...` for any
number of dimensions."""


@dataclass(frozen=True, slots=True)
class Format:
    """The name of the array format that a field is written in.

    Needed only where the annotation does not tell, as for safetensors.

    Attributes:
        name: `"ndarray"`, `"structured"`, `"sparse"`, `"arrow_tensor"`, `"safetensors"`,
            `"dataframe"`, or one that another package brings under the entry point group
            `atdata.array_formats`.

    Examples:
        >>> from typing import Annotated
        >>> from numpy.typing import NDArray
        >>> Weights = Annotated[dict[str, NDArray], Format("safetensors")]
    """

    name: str

    def __post_init__(self) -> None:
        _check_name(self.name)


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Shape:
    """The shape that a field's arrays must have.

    Attributes:
        dims: One entry for each dimension: a size, a name that stands for one size throughout a
            sample, or `None` for any size. A single `...` stands for any number of dimensions.

    Examples:
        >>> from typing import Annotated
        >>> import numpy as np
        >>> from numpy.typing import NDArray
        >>> Image = Annotated[NDArray[np.uint8], Shape("H", "W", 3)]
        >>> Shape(..., 3)
        Shape(..., 3)
    """

    dims: tuple[Dimension, ...]

    def __init__(self, *dims: Dimension) -> None:
        for dim in dims:
            _check_dimension(dim)
        if dims.count(...) > 1:
            raise ValueError("a shape can hold '...' once")
        object.__setattr__(self, "dims", dims)

    def __repr__(self) -> str:
        """As it is written, `Shape('H', 'W', 3)`."""
        return f"Shape({', '.join('...' if dim is ... else repr(dim) for dim in self.dims)})"


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise TypeError(f"the name of an array format is text, not {name!r}")


def _check_dimension(dim: object) -> None:
    if isinstance(dim, int) and not isinstance(dim, bool):
        if dim < 0:
            raise ValueError(f"a dimension cannot be {dim}")
    elif not (dim is None or dim is ... or (isinstance(dim, str) and dim)):
        raise TypeError(f"a dimension is a size, a name, None or ..., not {dim!r}")
