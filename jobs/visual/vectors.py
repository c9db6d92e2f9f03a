"""Embeddings between their stored bytes (little-endian float16) and matrices, without a copy where it can be helped.

Vectors travel as binary, never as array<double>: a quarter of the bytes, and no object per value.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.errors import TableError
from jobs.visual.exact import Floats

Halves = NDArray[np.float16]
BYTES = 2
"""Bytes of one stored value."""


def encode(matrix: NDArray[np.floating]) -> pa.Array:
    """Return one binary value per row of `matrix` [n, d], little-endian float16."""
    small = np.ascontiguousarray(matrix, dtype="<f2")
    data = pa.py_buffer(small.tobytes())
    width = small.shape[1] * BYTES
    offsets = pa.py_buffer(np.arange(0, (len(small) + 1) * width, width, dtype=np.int32).tobytes())
    return pa.Array.from_buffers(pa.binary(), len(small), [None, offsets, data])


def decode(column: Any, dim: int) -> Halves:
    """Return a float16 matrix [n, dim] over the bytes of an Arrow binary column.

    A view of the column's own memory where it is one array (a chunked column is joined first, which copies).

    Raises:
        TableError: a value is null or is not of 2 * dim bytes.
    """
    array = _whole(column)
    width = dim * BYTES
    offsets = _offsets(array)
    lengths = np.diff(offsets)
    wrong = np.flatnonzero(lengths != width)
    if array.null_count or len(wrong):
        size = "null" if array.null_count else f"{int(lengths[wrong[0]])} bytes"
        raise TableError(
            f"An embedding of dim {dim} must be of {width} bytes (float16), found {size} "
            f"in {array.null_count or len(wrong)} of {len(array)} rows: correct dim or the bytes at the source."
        )
    if not len(array):
        return np.empty((0, dim), np.float16)
    data = array.buffers()[-1]
    flat = np.frombuffer(data, dtype="<f2", count=len(array) * dim, offset=int(offsets[0]))
    return flat.reshape(len(array), dim)


def _whole(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _offsets(array: Any) -> NDArray[np.int64]:
    if not len(array):
        return np.zeros(1, np.int64)
    kind = np.int64 if pa.types.is_large_binary(array.type) else np.int32
    found = np.frombuffer(array.buffers()[1], dtype=kind)
    return found[array.offset : array.offset + len(array) + 1].astype(np.int64)


def unit(matrix: NDArray[np.floating]) -> Floats:
    """Return the rows as float32 of length one; zero rows stay zero.

    float16 leaves lengths off by up to 0.05 %, enough to put a pin's duplicate above 1.
    """
    full: Floats = matrix.astype(np.float32)
    length = np.sqrt(np.einsum("ij,ij->i", full, full))
    length[length == 0] = 1
    full /= length[:, None]
    return full
