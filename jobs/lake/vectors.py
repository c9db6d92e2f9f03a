"""Vectors between their stored bytes and matrices, without a copy where it can be helped.

Embeddings and tastes are little-endian float16, factors float32. They travel as binary, never as array<double>: a
quarter of the bytes, and no object per value.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.common.errors import TableError

HALF, SINGLE = "<f2", "<f4"
"""How a stored value is written, in numpy's words."""

Matrix = NDArray[np.floating]


def encode(matrix: Matrix, kind: str = HALF) -> pa.Array:
    """Return one binary value per row of `matrix` [n, d]."""
    stored = np.ascontiguousarray(matrix, dtype=kind)
    width = stored.shape[1] * stored.itemsize
    offsets = pa.py_buffer(np.arange(0, (len(stored) + 1) * width, width, dtype=np.int32).tobytes())
    return pa.Array.from_buffers(pa.binary(), len(stored), [None, offsets, pa.py_buffer(stored.tobytes())])


def decode(column: Any, dim: int | None = None, kind: str = HALF) -> Matrix:
    """Return a matrix [n, dim] over the bytes of an Arrow binary column.

    A view of the column's own memory where it is one array (a chunked column is joined first, which copies).

    Args:
        column: vectors of one length.
        dim: that length; None: that of the first vector.
        kind: HALF or SINGLE.

    Raises:
        TableError: a value is null or is not of dim values.
    """
    array, size = _whole(column), np.dtype(kind).itemsize
    offsets = _offsets(array)
    lengths = np.diff(offsets)
    width = dim * size if dim is not None else int(lengths[0]) if len(lengths) else 0
    wrong = np.flatnonzero(lengths != width)
    if array.null_count or len(wrong):
        found = "null" if array.null_count else f"{int(lengths[wrong[0]])} bytes"
        raise TableError(
            f"A vector of dim {width // size} must be of {width} bytes ({np.dtype(kind).name}), found {found} "
            f"in {array.null_count or len(wrong)} of {len(array)} rows: correct dim or the bytes at the source."
        )
    if not len(array):
        return np.empty((0, width // size), kind)
    flat = np.frombuffer(array.buffers()[-1], kind, count=len(array) * width // size, offset=int(offsets[0]))
    return flat.reshape(len(array), width // size)


def _whole(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _offsets(array: Any) -> NDArray[np.int64]:
    if not len(array):
        return np.zeros(1, np.int64)
    kind = np.int64 if pa.types.is_large_binary(array.type) else np.int32
    found = np.frombuffer(array.buffers()[1], dtype=kind)
    return found[array.offset : array.offset + len(array) + 1].astype(np.int64)


def unit(matrix: Matrix) -> NDArray[np.float32]:
    """Return the rows as float32 of length one; zero rows stay zero.

    float16 leaves lengths off by up to 0.05 %, enough to put a pin's duplicate above 1.
    """
    full: NDArray[np.float32] = matrix.astype(np.float32)
    length = np.sqrt(np.einsum("ij,ij->i", full, full))
    length[length == 0] = 1
    full /= length[:, None]
    return full
