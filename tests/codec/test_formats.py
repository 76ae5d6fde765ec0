"""Array formats: what comes back, what is refused, and what damage does."""

import contextlib
import io
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from atdata._helpers import (
    FORMAT_SERIALIZERS,
    array_to_bytes,
    arrow_tensor_to_bytes,
    bytes_to_array,
    bytes_to_arrow_tensor,
    bytes_to_dataframe,
    bytes_to_safetensors,
    bytes_to_sparse,
    bytes_to_structured,
    dataframe_to_bytes,
    safetensors_to_bytes,
    sparse_to_bytes,
    structured_to_bytes,
)
from atdata.codec import parquet
from atdata.codec.dtypes import dtype_from_name, dtype_name
from atdata.codec.formats.ndarray import array_header, parse_header

ML_DTYPES = [
    "bfloat16",
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e8m0fnu",
    "float6_e2m3fn",
    "float4_e2m1fn",
    "int2",
    "int4",
    "uint4",
]
SPARSE = ["csr", "csc", "coo", "bsr", "dia"]


def plain_dtypes() -> st.SearchStrategy[np.dtype[Any]]:
    return st.one_of(
        hnp.boolean_dtypes(),
        hnp.integer_dtypes(),
        hnp.unsigned_integer_dtypes(),
        hnp.floating_dtypes(sizes=(16, 32, 64)),
        hnp.complex_number_dtypes(sizes=(64, 128)),
        hnp.unicode_string_dtypes(max_len=5),
        hnp.byte_string_dtypes(max_len=5),
        hnp.datetime64_dtypes(),
        hnp.timedelta64_dtypes(),
    )


def shapes() -> st.SearchStrategy[tuple[int, ...]]:
    return hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


@st.composite
def laid_out(draw: st.DrawFn, arrays: st.SearchStrategy[Any]) -> Any:
    """An array as it may lie in memory: forward, backward, by columns, with gaps, repeated."""
    array = draw(arrays)
    layout = draw(st.sampled_from(["plain", "fortran", "reversed", "strided", "broadcast"]))
    if layout == "fortran":
        return np.asfortranarray(array) if array.ndim else array
    if layout == "reversed" and array.ndim:
        return array[(slice(None, None, -1),) * array.ndim]
    if layout == "strided" and array.ndim:
        return array[..., ::2]
    if layout == "broadcast":
        return np.broadcast_to(array, (2, *array.shape))
    return array


def arrays() -> st.SearchStrategy[Any]:
    return laid_out(hnp.arrays(plain_dtypes(), shapes()))


def assert_same(found: Any, wanted: Any) -> None:
    assert type(found) is np.ndarray
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    assert found.tobytes() == wanted.tobytes()


def assert_fresh(array: Any) -> None:
    assert array.flags.writeable
    assert array.flags.aligned
    assert array.flags.c_contiguous


# --- dense arrays ---------------------------------------------------------------------------


@given(array=arrays())
def test_any_array_comes_back(array: Any) -> None:
    """Every dtype, byte order, shape and memory layout gives the same elements, fresh."""
    packed = array_to_bytes(array)

    found = bytes_to_array(packed)

    assert_same(found, array)
    assert_fresh(found)
    assert packed[1 : 1 + packed[0]].decode() == array.dtype.str
    assert packed.startswith(array_header(array.dtype, array.shape))


@given(array=arrays(), wrap=st.sampled_from([bytes, bytearray, memoryview]))
def test_a_view_equals_the_copy(array: Any, wrap: Callable[[bytes], Any]) -> None:
    """Without a copy the same array is a read-only view of any kind of buffer."""
    packed = wrap(array_to_bytes(array))

    view = bytes_to_array(packed, copy=False)

    assert_same(view, array)
    assert not view.flags.writeable
    assert array.size == 0 or np.shares_memory(view, np.frombuffer(packed, np.uint8))


@given(array=arrays())
def test_the_header_tells_where_the_elements_lie(array: Any) -> None:
    """`parse_header` gives what a reader in bulk needs, and dtype names go both ways."""
    packed = array_to_bytes(array)

    dtype, shape, at = parse_header(memoryview(packed))

    assert (dtype, shape) == (array.dtype, array.shape)
    assert packed[at:] == array.tobytes()
    assert dtype_from_name(dtype_name(dtype)) == dtype


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_files_of_each_version_are_read(version: tuple[int, int], order: Any) -> None:
    """NumPy's own files give the array, whichever order it lies in, always fresh in C order."""
    array = np.asarray(np.arange(6.0).reshape(2, 3), order=order)
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version)

    found = bytes_to_array(file.getvalue())

    assert_same(found, array)
    assert_fresh(found)
    assert_same(bytes_to_array(file.getvalue(), copy=False), array)


def test_a_bulk_reader_is_told_of_fortran_order() -> None:
    """`parse_header` promises C order, so it refuses a file in another one."""
    file = io.BytesIO()
    np.save(file, np.asfortranarray(np.zeros((2, 3))))

    with pytest.raises(ValueError, match="Fortran order"):
        parse_header(memoryview(file.getvalue()))


def test_subclasses_are_written_as_plain_arrays() -> None:
    """A matrix comes back as an array of two dimensions."""
    matrix = np.zeros((2, 2)).view(type("Mine", (np.ndarray,), {}))

    assert_same(bytes_to_array(array_to_bytes(matrix)), np.zeros((2, 2)))


@pytest.mark.parametrize("name", ML_DTYPES)
def test_dtypes_of_ml_dtypes_come_back(name: str) -> None:
    """bfloat16, float8 and int4 keep their dtype, which the blob names (fault 7)."""
    array = np.array([[0, 1], [1, 0]]).astype(getattr(ml_dtypes, name))

    packed = array_to_bytes(array)

    assert packed[1 : 1 + packed[0]].decode() == name
    assert_same(bytes_to_array(packed), array)
    assert_same(bytes_to_array(packed, copy=False), array)


def test_void_arrays_come_back() -> None:
    """Elements of raw bytes are kept."""
    array = np.array([b"abc", b"d\0f"], dtype="V3")

    assert_same(bytes_to_array(array_to_bytes(array)), array)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([{}, None]), "object-dtype"),
        (np.array(["a"], dtype=np.dtypes.StringDType()), "StringDType"),
        (np.zeros(2, dtype="V0"), "no bytes"),
        (np.zeros(2, dtype=np.longdouble), "float64"),
        (np.zeros(2, dtype=np.clongdouble), "complex128"),
        (np.zeros(2, dtype=np.dtype(ml_dtypes.bfloat16).newbyteorder(">")), "byte order"),
        (np.zeros(2, dtype=[]), "no bytes"),
        (np.zeros(2, dtype=[("a", "O")]), "object-dtype"),
        (np.zeros(2, dtype=[("a", "<i4"), ("b", [("c", np.longdouble)])]), "float64"),
        (np.zeros(2, dtype=[("a", ml_dtypes.bfloat16)]), "bfloat16"),
        (
            np.zeros(2, dtype={"names": ["a", "b"], "formats": ["<i4", "<i2"], "offsets": [0, 2]}),
            "overlap",
        ),
        (np.zeros(1, dtype=[(f"f{i:04}" * 8, "i1") for i in range(2000)]), "2000 fields"),
    ],
)
def test_what_would_not_come_back_is_refused(array: Any, message: str) -> None:
    """A dtype without plain bytes is refused when written, with what to do (faults 7 and 8)."""
    with pytest.raises(ValueError, match=message) as caught:
        array_to_bytes(array)

    assert "\n  " in str(caught.value)


@pytest.mark.parametrize("dtype", ["<f4", [("a", "<f4")]])
def test_masked_arrays_are_refused(dtype: Any) -> None:
    """A mask is never dropped without a word (fault 7)."""
    masked = np.ma.MaskedArray(np.zeros(3, dtype))

    with pytest.raises(TypeError, match="filled"):
        array_to_bytes(masked)
    with pytest.raises(TypeError, match="filled"):
        safetensors_to_bytes({"a": masked})


@pytest.mark.skipif(np.dtype(np.longdouble).str != "<f16", reason="no 16-byte long double here")
def test_old_long_doubles_are_read() -> None:
    """Data that the earlier implementation wrote is readable where the platform has its dtype."""
    values = np.array([1.5], dtype="<f16")
    blob = b"\x04<f16\x01" + (1).to_bytes(8, "little") + values.tobytes()

    assert bytes_to_array(blob).tolist() == [1.5]


@pytest.mark.parametrize("value", [[1, 2], None, b"raw", np.float32(1), pd.DataFrame()])
def test_what_is_no_array_is_refused(value: Any) -> None:
    """A value of another type is named."""
    with pytest.raises(TypeError, match=f"Expected numpy ndarray, found {type(value).__name__}"):
        array_to_bytes(value)


def compact(name: bytes, shape: list[int], elements: bytes = b"") -> bytes:
    dims = b"".join(size.to_bytes(8, "little", signed=True) for size in shape)
    return bytes([len(name)]) + name + bytes([len(shape)]) + dims + elements


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (b"", "too short: 0 bytes"),
        (b"\x03", "too short: 1 bytes"),
        (b"\x03<f4", "too short: its dtype name ends at offset 4"),
        (b"\x03<f4\x01\x00\x00", "too short: its shape ends at offset 13"),
        (compact(b"<f4", [2], b"\0" * 7), "needs 8 bytes at offset 13, and 7 are there"),
        (compact(b"<f4", [2], b"\0" * 9), "needs 8 bytes at offset 13, and 9 are there"),
        (compact(b"<f4", [-1], b"\0" * 8), "negative dimension -1, in the shape at offset 5"),
        (compact(b"<f4", [-2, -1], b"\0" * 8), "negative dimension"),
        (compact(b"<f8", [2**62, 2**62]), "overflows"),
        (compact(b"<f8", [2**61 + 1, 8], b"\0" * 64), "overflows"),
        (compact(b"<f8", [0, 2**62]), "overflows"),
        (compact(b"|i1", [1] * 65, b"\0"), "65 dimensions at offset 4"),
        (compact(b"|i1", [1] * 255, b"\0"), "255 dimensions at offset 4"),
        (compact(b"|O", [1], b"\0" * 8), "no dtype that an array blob may hold, at offset 1"),
        (compact(b"|V0", [2**40]), "no dtype"),
        (compact(b"<U0", [2**40]), "no dtype"),
        (compact(b"f4,f4", [1], b"\0" * 8), "no dtype"),
        (compact(b"(2,2)f4", [1], b"\0" * 16), "no dtype"),
        (compact(b"=f4", [1], b"\0" * 4), "no dtype"),
        (compact(b"<f4 ", [1], b"\0" * 4), "no dtype"),
        (compact(b"float32", [1], b"\0" * 4), "no dtype"),
        (compact(b"<M8[" + b"9" * 12 + b"s]", [1], b"\0" * 8), "no dtype"),
        (compact(b"StringDType()", [1], b"\0" * 16), "no dtype"),
        (compact(b"__import__('os').system('id')", [1], b"\0"), "no dtype"),
        (compact(b"float8_e1m1", [1], b"\0"), "no dtype"),
        (compact(b"\xff\xfe", [1], b"\0"), "no dtype"),
        (b"\x93NUMPY", "too short|no .npy file"),
        (b"\x93NUMPY\x01\x00", ".npy header is too short"),
        (b"\x93NUMPY\x07\x00\x00\x00", "version 7.0 is unknown"),
        (b"\x93NUMPY\x01\x00\xff\xff{}", "claims 65535 bytes at offset 8, and 2 are left"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}", "claims 4294967295 bytes"),
        (b"\x93NUMPY\x02\x00\x00\x00\x02\x00" + b" " * 0x20000, "65535 allowed"),
    ],
)
def test_a_bad_blob_says_what_is_wrong_and_where(blob: bytes, message: str) -> None:
    """Lengths, shapes and dtypes that lie are refused before anything is allocated (fault 54)."""
    with pytest.raises(ValueError, match=message):
        bytes_to_array(blob)
    with pytest.raises(ValueError, match=message):
        parse_header(memoryview(blob))


def npy(header: str, elements: bytes = b"", version: int = 1) -> bytes:
    text = header.encode("utf-8")
    length = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + elements


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,)}",
        "{'descr': ('<f4', (2,)), 'fortran_order': False, 'shape': (1,)}",
        "{'descr': 'T', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': 'bfloat16', 'fortran_order': False, 'shape': (4,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-2, -1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (True, 2)}x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '|V0', 'fortran_order': False, 'shape': (99,)}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}",
        "{'descr': '<f4', 'shape': (2,)}",
        "{'descr': __import__('os'), 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1," * 70 + "2)}",
        "[" * 5000,
        "(" * 150 + ")" * 150,
        "-" * 60000 + "1",
        "'" + "x" * 100,
        "\0\0\0",
        "",
    ],
)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_bad_npy_header_is_refused(header: str, version: int) -> None:
    """Objects, code, nesting and shapes that lie are refused in every version."""
    blob = npy(header, b"\0" * 8, version)

    with pytest.raises(ValueError, match=r"\.npy|dimension|overflows"):
        bytes_to_array(blob)


def test_reading_allocates_no_more_than_the_array() -> None:
    """Packing an array makes one copy of it, unpacking one, a view none (fault 21)."""
    array = np.zeros(1_000_000, dtype=np.float32)

    def peak(action: Callable[[], object]) -> float:
        tracemalloc.start()
        kept = action()
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        del kept
        return highest / array.nbytes

    packed = array_to_bytes(array)

    assert peak(lambda: array_to_bytes(array)) < 1.1
    assert peak(lambda: bytes_to_array(packed)) < 1.1
    assert peak(lambda: bytes_to_array(packed, copy=False)) < 0.1


# --- arrays with named fields ---------------------------------------------------------------


@given(
    array=laid_out(
        hnp.arrays(
            hnp.array_dtypes(plain_dtypes(), min_size=1, max_size=4, allow_subarrays=True),
            hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3),
        ).filter(lambda array: array.dtype.itemsize > 0)
    )
)
def test_any_structured_array_comes_back(array: Any) -> None:
    """Fields keep their names, dtypes and values, by either format."""
    packed = structured_to_bytes(array)

    assert_same(bytes_to_structured(packed), array)
    assert_same(bytes_to_array(packed), array)
    assert array_to_bytes(array) == packed


def test_padding_is_written_as_zeros() -> None:
    """Equal arrays give equal bytes, and no byte of memory leaks through gaps (fault 8)."""
    inner = np.dtype([("b", "i1"), ("d", "<f8")], align=True)
    dtype = np.dtype([("a", "i1"), ("n", inner, (2,)), ("c", "i1")], align=True)
    noisy = np.frombuffer(b"\xaa" * dtype.itemsize * 2, dtype).copy()
    clean = np.zeros(2, dtype)
    for array in (noisy, clean):
        array["a"], array["c"] = 1, 2
        array["n"]["b"], array["n"]["d"] = 3, 4.0

    assert structured_to_bytes(noisy) == structured_to_bytes(clean)
    assert b"\xaa" not in structured_to_bytes(noisy)
    assert_same(bytes_to_structured(structured_to_bytes(noisy)), clean)


@pytest.mark.parametrize("name", ["é", "名前", "𝒙", "a'b", "a\\b"])
def test_field_names_of_any_script_come_back(name: str) -> None:
    """Names outside of Latin-1 are kept, in a `.npy` file that numpy reads."""
    array = np.array([(1,)], dtype=[(name, "<i4")])

    packed = structured_to_bytes(array)

    assert_same(bytes_to_structured(packed), array)
    assert_same(np.load(io.BytesIO(packed)), array)


def test_the_structured_format_wants_named_fields() -> None:
    """Plain arrays and other values are refused on both ways."""
    file = io.BytesIO()
    np.save(file, np.zeros(3))

    with pytest.raises(TypeError, match="compound dtype"):
        structured_to_bytes(np.zeros(3))
    with pytest.raises(TypeError, match="Expected numpy ndarray"):
        structured_to_bytes([1])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="compound dtype"):
        bytes_to_structured(file.getvalue())
    with pytest.raises(ValueError, match="magic"):
        bytes_to_structured(array_to_bytes(np.zeros(3)))


# --- sparse ---------------------------------------------------------------------------------


@given(
    dense=hnp.arrays(
        st.sampled_from(["<f4", "<f8", "<i8", "|i1", "|b1", "<c16", "<u2"]),
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=5),
    ),
    kind=st.sampled_from(SPARSE),
    family=st.sampled_from(["array", "matrix"]),
)
def test_any_sparse_matrix_comes_back(dense: Any, kind: str, family: str) -> None:
    """Class, dtype, shape and values are kept, and scipy reads what we write."""
    if kind == "bsr" and 0 in dense.shape:
        dense = np.zeros((2, 2), dense.dtype)
    matrix = getattr(scipy.sparse, f"{kind}_{family}")(dense)

    packed = sparse_to_bytes(matrix)

    for found in (bytes_to_sparse(packed), scipy.sparse.load_npz(io.BytesIO(packed))):
        assert type(found) is type(matrix)
        assert (found.dtype, found.shape) == (matrix.dtype, matrix.shape)
        np.testing.assert_array_equal(found.toarray(), matrix.toarray())
    assert sparse_to_bytes(bytes_to_sparse(packed)) == packed


@given(dense=hnp.arrays("<f4", hnp.array_shapes(min_dims=1, max_dims=4, max_side=4)))
def test_coordinate_arrays_of_any_dimension_come_back(dense: Any) -> None:
    """`coo_array` may have one dimension, or more than two."""
    matrix = scipy.sparse.coo_array(dense)

    found = bytes_to_sparse(sparse_to_bytes(matrix))

    assert found.shape == dense.shape
    np.testing.assert_array_equal(found.toarray(), dense)


def test_sparse_bytes_hold_no_time_and_no_platform() -> None:
    """Members are stored, dated 1980 and in one order, so that every machine writes the same."""
    packed = sparse_to_bytes(scipy.sparse.csr_array(np.eye(3)))

    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        members = archive.infolist()
    assert {m.date_time for m in members} == {(1980, 1, 1, 0, 0, 0)}
    assert {(m.compress_type, m.create_system) for m in members} == {(zipfile.ZIP_STORED, 3)}


@pytest.mark.parametrize("kind", ["lil", "dok"])
def test_classes_for_building_are_refused_with_a_hint(kind: str) -> None:
    """LIL and DOK say how to convert."""
    with pytest.raises(TypeError, match="tocsr"):
        sparse_to_bytes(getattr(scipy.sparse, f"{kind}_array")((2, 2)))


def npz(**parts: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **parts)
    return file.getvalue()


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (b"", "end record"),
        (b"PK\x03\x04" + b"\0" * 100, "end record"),
        (npz(), "no member format"),
        (npz(format=b"csr", shape=(2, 2), data=[1.0]), "no member indices"),
        (npz(format=b"lil", shape=(2, 2), data=[1.0]), "unknown sparse format"),
        (npz(format=np.zeros(2), shape=(2, 2), data=[1.0]), "not a word"),
        (npz(format=b"csr", shape=(2.0, 2), data=[1.0], indices=[0], indptr=[0]), "list of int"),
        (npz(format=b"csr", shape=(-2, 2), data=[1.0], indices=[0], indptr=[0]), "out of range"),
        (npz(format=b"csr", shape=(2, 2), data=[1.0], indices=[9], indptr=[0, 1, 1]), "not fit"),
        (npz(format=b"csr", shape=(2, 2), data=[1.0], indices=[-1], indptr=[0, 1, 1]), "not fit"),
        (npz(format=b"csc", shape=(2, 2), data=[1.0], indices=[0], indptr=[0, 9, 1]), "not fit"),
        (npz(format=b"coo", shape=(2, 2), data=[1.0], row=[9], col=[0]), "not fit"),
        (npz(format=b"coo", shape=(2, 2), data=[1.0], row=[0.5], col=[0]), "lists of integers"),
        (npz(format=b"coo", shape=(2, 2), data=[1.0, 2.0], row=[0], col=[0]), "not fit"),
        (npz(format=b"csr", evil=np.zeros(3)), "unexpected members"),
        (npz(format=b"coo", shape=(2, 2), data=[1.0], coords=3), "lists of integers"),
        (npz(format=b"coo", shape=(2, 2), data=[1.0], coords=[0, 0]), "lists of integers"),
        (npz(format=b"coo", shape=(2, 2), data=[1.0], coords=[[0]], _is_array="x"), "not fit"),
        (npz(format=b"csr", shape=np.array([{}], dtype=object)), "cannot be read"),
    ],
)
def test_a_bad_sparse_file_is_refused(blob: bytes, message: str) -> None:
    """Missing parts, indices outside of the shape, pickles and foreign members are refused."""
    with pytest.raises(ValueError, match=message):
        bytes_to_sparse(blob)


def test_a_sparse_bomb_is_refused_unread() -> None:
    """A small file that unpacks to far more than its size is refused by its directory."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("data.npy", bytes(400_000_000))

    with pytest.raises(ValueError, match="claim to unpack to 400000000"):
        bytes_to_sparse(file.getvalue())


def test_a_member_that_lies_about_its_size_is_cut_there() -> None:
    """Unpacking stops at the size that the directory tells."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.npy", bytes(10_000_000))
    lying = file.getvalue().replace(
        (10_000_000).to_bytes(4, "little"), (100).to_bytes(4, "little")
    )

    with pytest.raises(ValueError, match="cannot be read"):
        bytes_to_sparse(lying)


# --- Arrow tensors --------------------------------------------------------------------------


@given(
    array=laid_out(
        hnp.arrays(
            st.sampled_from(
                ["<f2", "<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u8"]
            ),
            hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        )
    ),
    copy=st.booleans(),
)
def test_any_arrow_tensor_comes_back(array: Any, copy: bool) -> None:
    """Type, shape, order and dimension names are kept."""
    array = array.copy() if any(stride < 0 for stride in array.strides) else array
    tensor = pa.Tensor.from_numpy(array, dim_names=list("abcd"[: array.ndim]))

    found = bytes_to_arrow_tensor(memoryview(arrow_tensor_to_bytes(tensor)), copy=copy)

    assert found.type == tensor.type
    assert found.dim_names == tensor.dim_names
    assert_same(np.ascontiguousarray(found.to_numpy()).reshape(array.shape), array)


def test_what_is_no_tensor_is_refused() -> None:
    """An array is not taken for a tensor, and what follows a message is noticed."""
    packed = arrow_tensor_to_bytes(pa.Tensor.from_numpy(np.zeros(3)))

    with pytest.raises(TypeError, match=r"Expected pyarrow\.Tensor, found ndarray"):
        arrow_tensor_to_bytes(np.zeros(3))
    with pytest.raises(ValueError, match="1 bytes follow"):
        bytes_to_arrow_tensor(packed + b"\0")
    with pytest.raises(ValueError, match="cannot be read"):
        bytes_to_arrow_tensor(b"")


# --- safetensors ----------------------------------------------------------------------------


@given(
    tensors=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        laid_out(
            hnp.arrays(
                st.one_of(
                    hnp.boolean_dtypes(),
                    hnp.integer_dtypes(endianness="<"),
                    hnp.unsigned_integer_dtypes(endianness="<"),
                    hnp.floating_dtypes(endianness="<", sizes=(16, 32, 64)),
                ),
                shapes(),
            )
        ),
        max_size=4,
    ),
    copy=st.booleans(),
)
def test_any_tensors_come_back(tensors: dict[str, Any], copy: bool) -> None:
    """Names, dtypes, shapes and values are kept, however the arrays lie in memory."""
    found = bytes_to_safetensors(memoryview(safetensors_to_bytes(tensors)), copy=copy)

    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert_same(found[name], tensor)
        assert found[name].flags.writeable is copy


def test_big_endian_tensors_keep_their_values() -> None:
    """The format is little-endian; values are converted, not reinterpreted."""
    found = bytes_to_safetensors(safetensors_to_bytes({"a": np.array([1, 2], dtype=">i4")}))

    assert found["a"].tolist() == [1, 2]


@pytest.mark.parametrize(
    "name",
    [
        "bfloat16",
        "float8_e4m3fn",
        "float8_e4m3fnuz",
        "float8_e5m2",
        "float8_e5m2fnuz",
        "float8_e8m0fnu",
    ],
)
def test_tensors_of_ml_dtypes_come_back(name: str) -> None:
    """The short float dtypes that the format knows are kept."""
    array = np.ones((2, 2), getattr(ml_dtypes, name))

    assert_same(bytes_to_safetensors(safetensors_to_bytes({"a": array}))["a"], array)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ([1], TypeError, "Expected dict"),
        ({1: np.zeros(2)}, TypeError, "text as keys"),
        ({"a": [1]}, TypeError, "found list"),
        ({"a": np.array(["x"])}, ValueError, "cannot write these tensors"),
        ({"a": np.array([{}])}, ValueError, "object-dtype"),
        ({"__metadata__": np.zeros(2)}, ValueError, "__metadata__"),
    ],
)
def test_what_safetensors_cannot_hold_is_refused(
    value: Any, error: type[Exception], message: str
) -> None:
    """The first thing that does not fit is named."""
    with pytest.raises(error, match=message):
        safetensors_to_bytes(value)


@pytest.mark.parametrize(
    "header",
    [
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,800]}}',
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}',
        b'{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}',
        b'{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}',
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
        b'"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
        b'{"a":{"dtype":"F4","shape":[16],"data_offsets":[0,8]}}',
        b'{"a":{"dtype":"O","shape":[1],"data_offsets":[0,8]}}',
        b"[" * 500,
        b"",
    ],
)
def test_a_bad_safetensors_header_is_refused(header: bytes) -> None:
    """Offsets that overlap, overflow or lie outside are refused, and dtypes that numpy has not."""
    blob = len(header).to_bytes(8, "little") + header + b"\0" * 8

    with pytest.raises(ValueError, match=r"safetensors|tensor"):
        bytes_to_safetensors(blob)
    with pytest.raises(ValueError, match="safetensors header claims"):
        bytes_to_safetensors(b"\xff" * 8 + blob[8:])


# --- DataFrames -----------------------------------------------------------------------------


COLUMNS = {
    "int": [1, 2, 3],
    "float": [1.5, float("nan"), 3.0],
    "text": ["a", None, "ccc"],
    "objects": pd.Series(["a", None, "c"], dtype=object),
    "bytes": [b"a", None, b"c"],
    "maybe": pd.Series([True, None, False], dtype=object),
    "nullable": pd.Series([1, None, 3], dtype="Int64"),
    "category": pd.Categorical(["b", "a", "b"], categories=["b", "a", "z"], ordered=True),
    "seconds": np.array([1, 2, 3], dtype="M8[s]"),
    "nanoseconds": np.array([1, 2, 3], dtype="M8[ns]"),
    "zoned": pd.date_range("2026-01-01", periods=3, tz="Europe/Paris"),
    "delta": np.array([1, 2, 3], dtype="m8[us]"),
    "period": pd.period_range("2026-01", periods=3, freq="M"),
    "half": np.array([1, 2, 3], dtype=np.float16),
    "cells": [{"a": 1}, {"a": 2}, {"a": 3}],
}
INDEXES = {
    "range": pd.RangeIndex(3),
    "stepped": pd.RangeIndex(5, 11, 2, name="r"),
    "named": pd.Index(["u", "v", "w"], name="k"),
    "like a column": pd.Index([7, 8, 9], name="int"),
    "times": pd.date_range("2026-01-01", periods=3, name="t"),
    "multi": pd.MultiIndex.from_tuples([(1, "a"), (1, "b"), (2, "a")], names=["x", None]),
}


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_of_each_type_comes_back(column: str) -> None:
    """Values and dtypes are kept."""
    frame = pd.DataFrame({column: COLUMNS[column]})

    pd.testing.assert_frame_equal(bytes_to_dataframe(dataframe_to_bytes(frame)), frame)


@pytest.mark.parametrize("index", INDEXES)
def test_an_index_of_each_kind_comes_back(index: str) -> None:
    """Indexes keep their values and names, several levels included (fault 19)."""
    frame = pd.DataFrame({"int": [1, 2, 3], "text": ["a", "b", "c"]}, index=INDEXES[index])

    found = bytes_to_dataframe(dataframe_to_bytes(frame))

    pd.testing.assert_frame_equal(found, frame, check_freq=False)


@given(
    columns=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5).filter(
            lambda name: not name.startswith("__index_level")
        ),
        st.one_of(
            st.lists(st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3),
            st.lists(st.floats(), min_size=3, max_size=3),
            st.lists(st.booleans(), min_size=3, max_size=3),
            st.lists(
                st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
                min_size=3,
                max_size=3,
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_plain_frame_comes_back(columns: dict[str, Any]) -> None:
    """Columns of numbers, truth values and text are kept under any name."""
    frame = pd.DataFrame(columns)

    pd.testing.assert_frame_equal(bytes_to_dataframe(dataframe_to_bytes(frame)), frame)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"a": [1, "x"]}, "column  'a'"),
        ({"fine": [1, 2], "b": pd.Series([1, None], dtype=object)}, "column 'b' of dtype object"),
        ({"c": [[1], [2, 3]]}, "column 'c'"),
        ({"d": pd.Categorical([3, 1])}, "column 'd' of dtype category"),
        ({"e": [1j, 2j]}, "column  'e'"),
        ({"f": [2**70, 1]}, "column  'f'"),
        ({"g": pd.arrays.SparseArray([0, 1])}, "column  'g'"),
        ({7: [1, 2]}, "column name 7 is not text"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "column name 'a' is there more than once"),
        (pd.DataFrame({"a": [1]}, index=pd.Index([1], name=5)), "index name 5"),
    ],
)
def test_a_frame_that_parquet_would_change_is_refused(frame: Any, message: str) -> None:
    """What would come back different is refused when written, by the column's name."""
    with pytest.raises(ValueError, match=message):
        dataframe_to_bytes(pd.DataFrame(frame))


def test_what_is_no_frame_is_refused() -> None:
    """A Series is not taken for a DataFrame."""
    with pytest.raises(TypeError, match="Expected pandas DataFrame, found Series"):
        dataframe_to_bytes(pd.Series([1]))


def parquet_file(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    return sink.getvalue().to_pybytes()


def test_cells_that_fastparquet_keeps_as_json_are_read() -> None:
    """A column marked as JSON gives the lists and dictionaries that its texts hold."""
    cells = pa.ExtensionArray.from_storage(pa.json_(), pa.array(["[1, 2]", None, '{"a": "b"}']))
    blob = parquet_file(pa.table({"c": cells}), store_schema=False)

    assert bytes_to_dataframe(blob)["c"].tolist() == [[1, 2], None, {"a": "b"}]


@pytest.mark.parametrize("page_version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_every_page_of_a_file_is_counted(page_version: str, dictionary: bool) -> None:
    """The walk over page headers finds each value that pyarrow wrote, in each kind of page."""
    table = pa.table({"n": range(5000), "t": ["x", None] * 2500, "l": [[1, 2], []] * 2500})
    blob = memoryview(
        parquet_file(
            table,
            data_page_version=page_version,
            use_dictionary=dictionary,
            data_page_size=1000,
            row_group_size=2000,
        )
    )

    chunks = parquet.chunks(blob)
    counted = [
        sum(p.n_values for p in parquet.pages(blob, chunk) if not p.is_dictionary)
        for chunk in chunks
    ]

    assert counted == [chunk.n_values for chunk in chunks]
    assert sum(counted) == 5000 + 5000 + 7500
    assert len(list(parquet.pages(blob, chunks[0]))) > 1


def repeated(text: str, n: int) -> pa.Table:
    indices = pa.array(np.zeros(n, dtype=np.int32))
    return pa.table({"a": pa.DictionaryArray.from_arrays(indices, pa.array([text]))})


@pytest.mark.parametrize(
    "blob",
    [
        parquet_file(pa.table({"a": np.zeros(50_000_000, np.int64)}), compression="zstd"),
        parquet_file(pa.table({"a": pa.nulls(50_000_000)}), compression="zstd"),
        parquet_file(repeated("x" * 100_000, 1_000_000), store_schema=False),
        parquet_file(pa.table({"a": [[0] * 50_000_000]}), compression="zstd"),
        parquet_file(
            pa.table({"a": ["x" * 10_000] * 100}),
            use_dictionary=False,
            column_encoding={"a": "DELTA_BYTE_ARRAY"},
        ),
    ],
    ids=["numbers", "nulls", "texts", "lists", "prefixes"],
)
def test_a_parquet_bomb_is_refused(blob: bytes) -> None:
    """A small file that stands for far more than its size is refused before it is unpacked."""
    before = pa.total_allocated_bytes()

    with pytest.raises(ValueError, match=r"claims to unpack|expand to|DELTA_BYTE_ARRAY"):
        bytes_to_dataframe(blob)

    assert pa.total_allocated_bytes() - before < 50_000_000


def test_texts_in_every_kind_of_cell_are_counted() -> None:
    """Lists, structs and maps of repeated texts come back as they are, when they fit."""
    table = pa.table(
        {
            "l": pa.array([["x", "y"], None, ["x"]]),
            "s": pa.array([{"k": "x"}, None, {"k": "y"}]),
            "t": pa.array(["x", None, "x"]),
        }
    )

    found = bytes_to_dataframe(parquet_file(table, store_schema=False))

    assert [None if c is None else list(c) for c in found["l"]] == [["x", "y"], None, ["x"]]
    assert found["s"].tolist() == [{"k": "x"}, None, {"k": "y"}]
    assert found["t"].isna().tolist() == [False, True, False]


# --- damage ---------------------------------------------------------------------------------


EXAMPLES: dict[str, list[Any]] = {
    "ndarray": [
        np.arange(6, dtype="<i2").reshape(2, 3),
        np.array(["ab", "c"]),
        np.ones(3, ml_dtypes.bfloat16),
        np.array(["2026"], dtype="M8[D]"),
    ],
    "structured": [np.zeros(2, dtype=[("x", "<f4"), ("n", [("a", "<i4"), ("b", "S3", (2,))])])],
    "sparse": [
        scipy.sparse.csr_array(np.eye(3)),
        scipy.sparse.coo_matrix(np.eye(3)),
        scipy.sparse.dia_array(np.eye(3)),
        scipy.sparse.bsr_matrix(np.eye(4)),
    ],
    "arrow_tensor": [pa.Tensor.from_numpy(np.arange(6.0).reshape(2, 3), dim_names=["a", "b"])],
    "safetensors": [{"a": np.arange(3.0), "b": np.ones(2, ml_dtypes.bfloat16)}],
    "dataframe": [
        pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"], "c": pd.Categorical(list("uvu"))})
    ],
}
BLOBS = [
    (name, FORMAT_SERIALIZERS[name][0](value)) for name in EXAMPLES for value in EXAMPLES[name]
]


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A blob with bytes changed, cut off or put in."""
    name, blob = draw(st.sampled_from(BLOBS))
    changed = bytearray(blob)
    places = st.integers(0, len(blob) - 1)
    how = draw(st.sampled_from(["change", "change", "change", "cut", "insert"]))
    if how == "change":
        for at in draw(st.lists(places, min_size=1, max_size=4)):
            changed[at] = draw(st.sampled_from([0, 1, 127, 128, 255]) | st.integers(0, 255))
    elif how == "cut":
        del changed[draw(places) :]
    else:
        at = draw(places)
        changed[at:at] = draw(st.binary(min_size=1, max_size=9))
    return name, bytes(changed)


@given(damage=damaged())
def test_damage_is_an_error_or_an_array_of_the_stated_size(damage: tuple[str, bytes]) -> None:
    """No change of a blob raises anything but `ValueError`, or gives more than the blob holds."""
    name, blob = damage

    try:
        found = FORMAT_SERIALIZERS[name][1](blob)
    except ValueError:
        return

    if name in {"ndarray", "structured"}:
        assert found.nbytes <= len(blob)
    elif name == "safetensors":
        assert sum(tensor.nbytes for tensor in found.values()) <= len(blob)


@pytest.mark.parametrize(("name", "blob"), [b for b in BLOBS if b[0] != "dataframe"])
def test_a_blob_cut_anywhere_is_an_error(name: str, blob: bytes) -> None:
    """Every proper beginning of a blob is refused."""
    for end in range(len(blob)):
        with pytest.raises(ValueError):
            FORMAT_SERIALIZERS[name][1](blob[:end])


@pytest.mark.parametrize("name", FORMAT_SERIALIZERS)
@given(blob=st.binary(max_size=200))
def test_noise_is_an_error_or_an_array(name: str, blob: bytes) -> None:
    """Any bytes at all give `ValueError` or a value, in every format."""
    with contextlib.suppress(ValueError):
        FORMAT_SERIALIZERS[name][1](blob)


def test_damage_to_a_column_does_not_end_the_process() -> None:
    """A footer with statistics of the wrong length is an error, and the process lives on."""
    script = """
import pandas as pd
from atdata._helpers import bytes_to_dataframe, dataframe_to_bytes
blob = dataframe_to_bytes(pd.DataFrame({"a": ["x", None, "y"], "b": [1.0, None, 2.0]}))
for at in range(len(blob)):
    for bits in (1, 2, 16, 255):
        changed = bytearray(blob)
        changed[at] ^= bits
        try:
            bytes_to_dataframe(changed)
        except ValueError:
            pass
print("alive")
"""

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)

    assert ran.stdout == b"alive\n", ran.stderr.decode()[-2000:]
