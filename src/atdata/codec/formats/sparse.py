"""SciPy's sparse arrays and matrices, in the files of `scipy.sparse.save_npz`.

A ZIP of `.npy` members. Ours stores them uncompressed and undated, in one order, so that the same
matrix gives the same bytes on every machine; `scipy.sparse.load_npz` reads it. Reading takes
compressed members too, within a bound that is checked before anything is unpacked.
"""

import sys
import zipfile
from io import BytesIO
from typing import Any

import numpy as np

from atdata._exceptions import printable
from atdata._lazy import require
from atdata.codec.npy import array_at, flat_bytes, npy_bytes, npy_layout

_FIRST_DATE = (1980, 1, 1, 0, 0, 0)
_LONGEST_DIRECTORY = 4096
_EXPANSION = 64
_SLACK = 256 * 1024 * 1024
_PARTS = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "bsr": ("data", "indices", "indptr"),
    "dia": ("data", "offsets"),
    "coo": ("data", "row", "col"),
}
_MEMBERS = frozenset(f"{name}.npy" for parts in _PARTS.values() for name in parts) | {
    "coords.npy",
    "format.npy",
    "shape.npy",
    "_is_array.npy",
}


def sparse_to_bytes(x: Any) -> bytes:
    """Pack a sparse array or matrix as an `.npz` file that `scipy.sparse.load_npz` reads.

    Args:
        x: A `csr`, `csc`, `bsr`, `dia` or `coo` array or matrix.

    Raises:
        TypeError: It is not sparse, or is of a class (LIL, DOK) made for building, not keeping.
        ValueError: The dtype of its elements cannot be written.
        MissingExtraError: SciPy is not installed.

    Examples:
        >>> import scipy.sparse
        >>> bytes_to_sparse(sparse_to_bytes(scipy.sparse.eye_array(3, format="csr"))).nnz
        3
    """
    sparse = require("scipy.sparse", extra="sparse")
    if not sparse.issparse(x):
        raise TypeError(f"Expected scipy sparse matrix or array, found {type(x).__name__}")
    kind: str = x.format
    if kind not in _PARTS:
        raise TypeError(
            f"cannot write a {type(x).__name__}, which is for building a sparse matrix\n"
            "  Convert it:  x.tocsr()"
        )
    if x.ndim != 2 and kind == "coo":
        parts = {"data": x.data, "coords": np.stack(x.coords)}
    else:
        parts = {name: getattr(x, name) for name in _PARTS[kind]}
    parts["format"] = np.array(kind.encode("ascii"))
    parts["shape"] = np.array(x.shape, dtype="<i8")
    if isinstance(x, sparse.sparray):
        parts["_is_array"] = np.array(True)
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, part in parts.items():
            member = zipfile.ZipInfo(f"{name}.npy", _FIRST_DATE)
            member.create_system = 3  # zipfile writes the system it runs on, unless told
            member.external_attr = 0o644 << 16
            archive.writestr(member, npy_bytes(np.asarray(part)))
    return out.getvalue()


def bytes_to_sparse(b: bytes | bytearray | memoryview, *, copy: bool = True) -> Any:
    """Unpack a sparse array or matrix, of the class it had.

    Args:
        b: A file by `sparse_to_bytes` or `scipy.sparse.save_npz`.
        copy: Has no effect: the parts are always fresh.

    Raises:
        ValueError: The file is damaged, unpacks to far more than its size, or its indices lie
            outside its shape.
        MissingExtraError: SciPy is not installed.

    Examples:
        >>> import scipy.sparse
        >>> bytes_to_sparse(sparse_to_bytes(scipy.sparse.csc_matrix([[0, 7]])))[0, 1]
        np.int64(7)
    """
    del copy
    sparse = require("scipy.sparse", extra="sparse")
    parts = _read_members(flat_bytes(b))
    kind = _word(_part(parts, "format"))
    if kind not in _PARTS:
        raise ValueError(f"unknown sparse format {printable(repr(kind))}")
    data, shape = _part(parts, "data"), _shape(_part(parts, "shape"))
    flag = parts.get("_is_array")
    is_array = flag is not None and flag.dtype.kind == "b" and bool(flag.any())
    matrix_class = getattr(sparse, f"{kind}_{'array' if is_array else 'matrix'}")
    index: Any
    if kind == "coo" and "coords" in parts:
        index = tuple(np.atleast_1d(_part(parts, "coords")))
    elif kind == "coo":
        index = (_part(parts, "row"), _part(parts, "col"))
    else:
        index = tuple(_part(parts, name) for name in _PARTS[kind][1:])
    for part in index:
        if part.ndim != 1 or part.dtype.kind not in "iu":
            raise ValueError("the indices of a sparse matrix are not lists of integers")
    try:
        arguments = (data, index) if kind == "coo" else (data, *index)
        matrix = matrix_class(arguments, shape=shape)
        if kind in {"csr", "csc", "bsr"}:
            # Without this, an index outside the shape is an access outside of memory later on.
            matrix.check_format(full_check=True)
    except Exception as error:  # scipy raises whatever it stumbles over
        raise ValueError(f"the parts of a sparse matrix do not fit: {printable(error)}") from error
    return matrix


def _read_members(data: memoryview) -> dict[str, np.ndarray[Any, Any]]:
    _check_directory(data)
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            members = archive.infolist()
            _check_members(members, len(data))
            return {m.filename[:-4]: _read_member(archive, m) for m in members}
    except Exception as error:  # a damaged ZIP ends zipfile and zlib in many ways
        raise ValueError(f"sparse .npz file cannot be read: {printable(error)}") from error


def _check_directory(data: memoryview) -> None:
    # The end record is 22 bytes and tells the directory's size, which zipfile reads as a whole.
    # Its 64-bit form could tell another one; a blob that needs it would not fit into a payload.
    end = bytes(data[-22:])
    if len(end) < 22 or end[:4] != b"PK\x05\x06":
        raise ValueError("sparse .npz file is damaged: no end record in its last 22 bytes")
    n_directory = int.from_bytes(end[12:16], "little")
    if n_directory > _LONGEST_DIRECTORY or bytes(data[-42:-38]) == b"PK\x06\x07":
        raise ValueError(
            f"sparse .npz file has a directory of {n_directory} bytes, "
            f"{_LONGEST_DIRECTORY} allowed"
        )


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    names = [member.filename for member in members]
    if len(set(names)) != len(names) or not _MEMBERS.issuperset(names):
        raise ValueError(f"unexpected members {printable(names)}")
    for member in members:
        # zlib gives its output in pieces of the size asked for; the other methods do not.
        if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise ValueError(f"member {member.filename} has an unknown compression")
        if member.flag_bits & 1:
            raise ValueError(f"member {member.filename} is encrypted")
    claimed, limit = sum(member.file_size for member in members), _EXPANSION * size + _SLACK
    if claimed > limit:
        raise ValueError(f"{size} bytes claim to unpack to {claimed}, {limit} allowed")


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray[Any, Any]:
    with archive.open(member) as file:
        data = memoryview(file.read(member.file_size + 1))
    return array_at(data, npy_layout(data), copy=True)


def _part(parts: dict[str, np.ndarray[Any, Any]], name: str) -> np.ndarray[Any, Any]:
    if name not in parts:
        raise ValueError(f"sparse .npz file has no member {name}.npy")
    return parts[name]


def _word(part: np.ndarray[Any, Any]) -> str:
    if part.ndim != 0 or part.dtype.kind not in "SU":
        raise ValueError("the format of a sparse matrix is not a word")
    word = part.astype("S16").item() if part.dtype.kind == "S" else part.astype("U16").item()
    return word.decode("latin-1") if isinstance(word, bytes) else str(word)


def _shape(part: np.ndarray[Any, Any]) -> tuple[int, ...]:
    if part.ndim != 1 or part.dtype.kind not in "iu" or not 1 <= len(part) <= 64:
        raise ValueError("the shape of a sparse matrix is not a list of integers")
    shape = tuple(int(size) for size in part)
    if any(not 0 <= size < 2**63 for size in shape):
        raise ValueError(f"sparse shape {printable(shape)} is out of range")
    return shape


class SparseFormat:
    """SciPy's sparse arrays and matrices."""

    name = "sparse"

    def accepts(self, value: object) -> bool:
        """Whether the value is a sparse array or matrix."""
        sparse = sys.modules.get("scipy.sparse")  # who has a sparse matrix has imported it
        return sparse is not None and bool(sparse.issparse(value))

    def encode(self, value: Any) -> bytes:
        """Write a sparse array or matrix."""
        return sparse_to_bytes(value)

    def decode(self, data: memoryview, *, copy: bool = True) -> Any:
        """Read a sparse array or matrix."""
        return bytes_to_sparse(data, copy=copy)
