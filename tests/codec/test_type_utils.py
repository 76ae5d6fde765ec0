"""Reading annotations, and the small public helpers for them."""

import subprocess
import sys
from typing import Annotated, Any, Final, NewType, Optional

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from atdata._type_utils import (
    NUMPY_DTYPE_MAP,
    PRIMITIVE_TYPE_MAP,
    bare,
    extract_ndarray_dtype,
    is_ndarray_type,
    numpy_dtype_to_string,
    parse_semver,
    unwrap_optional,
)

Meter = NewType("Meter", float)
type Meters = Annotated[list[Meter], "m"]


def test_aliases_and_marks_are_taken_off() -> None:
    """`Annotated`, `Final`, `NewType` and `type` aliases in any nesting."""
    assert bare(Annotated[Final[Annotated[Meter, 1]], 2]) == (float, (1, 2))
    assert bare(Meters) == (list[Meter], ("m",))
    assert bare(int) == (int, ())


def test_optional_is_unwrapped_in_both_spellings() -> None:
    """And a union of several types is a TypeError."""
    assert unwrap_optional(int | None) == (int, True)
    assert unwrap_optional(Optional[int]) == (int, True)  # noqa: UP045 - the spelling is tested
    assert unwrap_optional(int) == (int, False)
    with pytest.raises(TypeError, match="Complex union"):
        unwrap_optional(int | str | None)


def test_arrays_are_recognised_in_every_spelling() -> None:
    """Types, unions, marks and text."""
    for kind in (
        NDArray,
        np.ndarray,
        NDArray[np.float32],
        NDArray | None,
        Annotated[NDArray, 1],
        np.ndarray[Any, np.dtype[np.int8]],
        "NDArray[np.float32]",
        "np.ndarray",
    ):
        assert is_ndarray_type(kind), kind
    for kind in (int, list[NDArray], str, "list[int]", None):
        assert not is_ndarray_type(kind), kind


def test_dtypes_are_named_by_their_own_names() -> None:
    """A dtype that schemas do not know is never called float32."""
    assert extract_ndarray_dtype(NDArray[np.uint8]) == "uint8"
    assert extract_ndarray_dtype(NDArray[np.float16] | None) == "float16"
    assert extract_ndarray_dtype(NDArray) == "float32"
    assert extract_ndarray_dtype(np.ndarray) == "float32"
    assert extract_ndarray_dtype("NDArray[np.int64]") == "int64"
    assert extract_ndarray_dtype(NDArray[ml_dtypes.bfloat16]) == "bfloat16"
    assert numpy_dtype_to_string(np.float32) == "float32"
    assert numpy_dtype_to_string(np.dtype("int8")) == "int8"
    assert numpy_dtype_to_string(np.bool_) == "bool"
    assert numpy_dtype_to_string("<class 'numpy.uint16'>") == "uint16"
    assert numpy_dtype_to_string(np.dtype(ml_dtypes.bfloat16)) == "bfloat16"
    assert numpy_dtype_to_string(np.dtype("U4")) == "str128"
    assert numpy_dtype_to_string("float8_e4m3fn") == "float8_e4m3fn"
    assert all(numpy_dtype_to_string(name) == name for name in NUMPY_DTYPE_MAP)
    assert PRIMITIVE_TYPE_MAP[int] == "int"


@pytest.mark.parametrize("bad", ["", "1", "1.2", "1.2.3.4", "1.2.x", "v1.2.3", "1.2.-3", "1.2.٣"])
def test_versions_are_three_numbers(bad: str) -> None:
    """Anything else is a ValueError."""
    assert parse_semver("10.0.3") == (10, 0, 3)
    with pytest.raises(ValueError, match="Invalid semver"):
        parse_semver(bad)


def test_reading_annotations_loads_no_numpy() -> None:
    """Before numpy is imported nothing is an array."""
    program = (
        "import sys\n"
        "from atdata._type_utils import is_ndarray_type\n"
        "assert not is_ndarray_type(int)\n"
        "print('numpy' in sys.modules)\n"
    )

    shown = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )

    assert shown.stdout.strip() == "False"
