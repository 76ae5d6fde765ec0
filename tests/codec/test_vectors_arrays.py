"""Array blobs that the earlier implementation wrote."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atdata._helpers import (
    FORMAT_SERIALIZERS,
    array_to_bytes,
    bytes_to_array,
    bytes_to_arrow_tensor,
    bytes_to_dataframe,
    bytes_to_safetensors,
    bytes_to_sparse,
    bytes_to_structured,
    structured_to_bytes,
)

VECTORS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "vectors" / "array_blobs.json").read_text()
)
DENSE = sorted(name for name, vector in VECTORS.items() if "c_order_hex" in vector)
COMPACT = [name for name in DENSE if name not in {"structured", "legacy_npy_f4_2x2"}]


def blob(name: str) -> bytes:
    return bytes.fromhex(VECTORS[name]["blob_hex"])


def test_the_formats_have_their_public_names() -> None:
    """`FORMAT_SERIALIZERS` has exactly the six kinds that a field can name."""
    names = {"ndarray", "structured", "sparse", "arrow_tensor", "safetensors", "dataframe"}

    assert set(FORMAT_SERIALIZERS) == names


@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize("copy", [True, False])
def test_a_dense_blob_reads_to_its_array(name: str, copy: bool) -> None:
    """Dtype, shape and every byte are those that the vector tells."""
    vector = VECTORS[name]

    array = bytes_to_array(blob(name), copy=copy)

    descr = str(array.dtype.descr) if array.dtype.names else array.dtype.str
    assert descr == vector["dtype"]
    assert list(array.shape) == vector["shape"]
    assert array.tobytes().hex() == vector["c_order_hex"]


@pytest.mark.parametrize("name", [*COMPACT, "structured"])
def test_an_array_is_written_to_the_same_bytes(name: str) -> None:
    """What was read is written to the blob it came from, byte for byte."""
    array = bytes_to_array(blob(name))

    assert array_to_bytes(array) == blob(name)


def test_the_structured_blob_is_one_of_its_own_format() -> None:
    """The format for named fields reads and writes the same `.npy` file."""
    array = bytes_to_structured(blob("structured"))

    assert array["y"].tolist() == [2, 4]
    assert structured_to_bytes(array) == blob("structured")


def test_the_sparse_blob_reads_to_its_matrix() -> None:
    """A compressed file by `save_npz` gives the matrix and its class."""
    matrix = bytes_to_sparse(blob("sparse_csr"))

    assert type(matrix).__name__ == "csr_matrix"
    assert matrix.toarray().tolist() == VECTORS["sparse_csr"]["dense"]


def test_the_arrow_blob_reads_to_its_tensor() -> None:
    """An Arrow IPC message gives the tensor."""
    tensor = bytes_to_arrow_tensor(blob("arrow_tensor"))

    assert tensor.to_numpy().tolist() == VECTORS["arrow_tensor"]["dense"]


def test_the_safetensors_blob_reads_to_its_tensors() -> None:
    """A safetensors file gives arrays by name."""
    tensors = bytes_to_safetensors(blob("safetensors"))

    found = {name: tensor.tolist() for name, tensor in tensors.items()}
    assert found == VECTORS["safetensors"]["tensors"]
    assert tensors["a"].dtype == np.float32


def test_the_dataframe_blob_reads_to_its_columns() -> None:
    """A Parquet file by fastparquet gives the frame and its plain index."""
    frame = bytes_to_dataframe(blob("dataframe"))

    assert frame.to_dict("list") == VECTORS["dataframe"]["columns"]
    assert frame.index.tolist() == [0, 1]
