"""Names for the arrays and buffers that the reading and writing code passes around."""

import numpy as np
from numpy.typing import NDArray

type Buffer = bytes | bytearray | memoryview | NDArray[np.uint8]
"""Contiguous bytes."""

type ByteArray = NDArray[np.uint8]
type Int64Array = NDArray[np.int64]
