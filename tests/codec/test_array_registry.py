"""Which format a value, an annotation or a name means, and what annotations can say of shapes."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
from numpy.typing import NDArray

from atdata._protocols import ArrayFormat
from atdata.codec.markers import Format, Shape
from atdata.codec.registry import format_for_annotation, format_for_value, format_named

NAMES = ["ndarray", "structured", "sparse", "arrow_tensor", "safetensors", "dataframe"]

type Image = NDArray[np.uint8]


class Mine(np.ndarray):
    """An array class of a user."""


@pytest.mark.parametrize("name", NAMES)
def test_every_format_is_found_by_its_name(name: str) -> None:
    """Each is an `ArrayFormat` and knows its name."""
    found = format_named(name)

    assert isinstance(found, ArrayFormat)
    assert found.name == name


def test_an_unknown_name_lists_those_there_are() -> None:
    """The error shows the known names."""
    with pytest.raises(ValueError, match=r"no array format 'zarr'\n.*ndarray, structured"):
        format_named("zarr")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (np.zeros(3), "ndarray"),
        (np.zeros(3, dtype=[("a", "<i4")]), "ndarray"),
        (np.zeros(3).view(Mine), "ndarray"),
        (scipy.sparse.csr_array((2, 2)), "sparse"),
        (scipy.sparse.dia_matrix((2, 2)), "sparse"),
        (scipy.sparse.lil_array((2, 2)), "sparse"),
        (pa.Tensor.from_numpy(np.zeros(3)), "arrow_tensor"),
        (pd.DataFrame(), "dataframe"),
    ],
)
def test_a_value_is_told_by_its_class(value: Any, name: str) -> None:
    """Arrays of every library are known, and the format accepts them."""
    found = format_for_value(value)

    assert found is not None
    assert found.name == name
    assert found.accepts(value)


@pytest.mark.parametrize("value", [None, 1, "x", b"x", [1], {"a": np.zeros(2)}, np.float32(1)])
def test_other_values_have_no_format(value: Any) -> None:
    """A dictionary of arrays is a dictionary, unless its field says otherwise."""
    assert format_for_value(value) is None


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (np.ndarray, "ndarray"),
        (NDArray, "ndarray"),
        (NDArray[np.float32], "ndarray"),
        (np.ndarray[tuple[int, int], np.dtype[np.uint8]], "ndarray"),
        (NDArray[Any] | None, "ndarray"),
        (Optional[np.ndarray], "ndarray"),  # noqa: UP045  (the old spelling is the case)
        (Annotated[NDArray[np.uint8], Shape("H", "W", 3)], "ndarray"),
        (Annotated[NDArray[Any] | None, Shape(3)], "ndarray"),
        (Image, "ndarray"),
        (Mine, "ndarray"),
        (Annotated[NDArray[Any], Format("structured")], "structured"),
        (Annotated[dict[str, NDArray[Any]], Format("safetensors")], "safetensors"),
        (Annotated[dict[str, NDArray[Any]], Format("safetensors")] | None, "safetensors"),
        (scipy.sparse.csr_array, "sparse"),
        (scipy.sparse.csr_matrix, "sparse"),
        (scipy.sparse.spmatrix, "sparse"),
        (scipy.sparse.sparray | None, "sparse"),
        (pa.Tensor, "arrow_tensor"),
        (pd.DataFrame, "dataframe"),
    ],
)
def test_an_annotation_is_told_in_every_spelling(annotation: Any, name: str) -> None:
    """Bare, subscripted, optional, annotated and aliased forms mean the same (fault 1)."""
    found = format_for_annotation(annotation)

    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(
    "annotation", [int, None, Any, list[NDArray[Any]], dict[str, Any], NDArray[Any] | int, "x"]
)
def test_other_annotations_have_no_format(annotation: Any) -> None:
    """Containers of arrays and unions are for the codec to look into."""
    assert format_for_annotation(annotation) is None


def test_asking_imports_no_library() -> None:
    """Values of other classes are told without numpy, scipy, pandas or pyarrow."""
    script = """
import sys
from atdata.codec.registry import format_for_annotation, format_for_value
assert format_for_value("x") is None
assert format_for_annotation(list[int] | None) is None
heavy = {"numpy", "scipy", "pandas", "pyarrow", "safetensors", "ml_dtypes"}
print(sorted(heavy & set(sys.modules)))
"""

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)

    assert ran.stdout == b"[]\n"


def test_an_installed_package_can_bring_a_format(tmp_path: Path) -> None:
    """The entry point group `atdata.array_formats` is looked up when a name is not ours."""
    (tmp_path / "others.py").write_text(
        "class Upper:\n"
        "    name = 'upper'\n"
        "    def accepts(self, value): return isinstance(value, str)\n"
        "    def encode(self, value): return value.upper().encode()\n"
        "    def decode(self, data, *, copy=True): return bytes(data).decode().lower()\n"
    )
    info = tmp_path / "others-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[atdata.array_formats]\nupper = others:Upper\nnone = builtins:object\n"
    )
    script = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from atdata.codec.registry import format_named
print(format_named("upper").encode("abc"))
try:
    format_named("none")
except TypeError as error:
    print("none" in str(error))
try:
    format_named("other")
except ValueError as error:
    print("upper" in str(error))
"""

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)

    assert ran.stdout.split() == [b"b'ABC'", b"True", b"True"]


def test_shapes_say_what_they_are() -> None:
    """A shape compares by its dimensions, can be hashed, and prints as it is written."""
    shape = Shape("H", None, 3, ...)

    assert shape.dims == ("H", None, 3, ...)
    assert shape == Shape("H", None, 3, ...)
    assert hash(shape) == hash(Shape("H", None, 3, ...))
    assert repr(shape) == "Shape('H', None, 3, ...)"


@pytest.mark.parametrize("dims", [(-1,), (..., ...)])
def test_impossible_shapes_are_refused(dims: Any) -> None:
    """Negative sizes and a second ellipsis mean nothing."""
    with pytest.raises(ValueError):
        Shape(*dims)


@pytest.mark.parametrize("dim", [1.5, True, "", [3], (3, 4)])
def test_dimensions_of_other_types_are_refused(dim: Any) -> None:
    """A tuple in place of several dimensions is noticed."""
    with pytest.raises(TypeError, match="a dimension is"):
        Shape(dim)


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_format_is_named_by_text(name: Any) -> None:
    """Anything but a name is refused."""
    with pytest.raises(TypeError, match="is text"):
        Format(name)
