"""Array formats and digests as functions.

Their homes are `atdata.codec.formats`, one file each, and `atdata.shard.digest`.
"""

from collections.abc import Callable
from typing import Any

from atdata.codec.formats.arrow_tensor import arrow_tensor_to_bytes, bytes_to_arrow_tensor
from atdata.codec.formats.dataframe import bytes_to_dataframe, dataframe_to_bytes
from atdata.codec.formats.ndarray import array_to_bytes, bytes_to_array
from atdata.codec.formats.safetensors import bytes_to_safetensors, safetensors_to_bytes
from atdata.codec.formats.sparse import bytes_to_sparse, sparse_to_bytes
from atdata.codec.formats.structured import bytes_to_structured, structured_to_bytes
from atdata.shard.digest import sha256_bytes, sha256_file

__all__ = [
    "FORMAT_SERIALIZERS",
    "array_to_bytes",
    "arrow_tensor_to_bytes",
    "bytes_to_array",
    "bytes_to_arrow_tensor",
    "bytes_to_dataframe",
    "bytes_to_safetensors",
    "bytes_to_sparse",
    "bytes_to_structured",
    "dataframe_to_bytes",
    "safetensors_to_bytes",
    "sha256_bytes",
    "sha256_file",
    "sparse_to_bytes",
    "structured_to_bytes",
]

FORMAT_SERIALIZERS: dict[str, tuple[Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    "ndarray": (array_to_bytes, bytes_to_array),
    "structured": (structured_to_bytes, bytes_to_structured),
    "sparse": (sparse_to_bytes, bytes_to_sparse),
    "arrow_tensor": (arrow_tensor_to_bytes, bytes_to_arrow_tensor),
    "safetensors": (safetensors_to_bytes, bytes_to_safetensors),
    "dataframe": (dataframe_to_bytes, bytes_to_dataframe),
}
"""Each array format's name, with the functions that write it and read it."""
