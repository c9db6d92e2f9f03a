"""Embeddings as bytes and as matrices."""

import numpy as np
import pyarrow as pa
import pytest

from jobs.common.errors import TableError
from jobs.lake.vectors import decode, encode, unit

MATRIX = np.arange(24, dtype=np.float16).reshape(6, 4)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_bytes_and_matrix_are_one_another_back(kind):
    stored = encode(MATRIX).cast(kind)
    assert stored[1].as_py() == MATRIX[1].astype("<f2").tobytes()
    np.testing.assert_array_equal(decode(stored, 4), MATRIX)


def test_decoding_copies_nothing_and_knows_slices_and_chunks():
    stored = encode(MATRIX)
    assert not decode(stored, 4).flags.owndata
    np.testing.assert_array_equal(decode(stored.slice(2, 3), 4), MATRIX[2:5])
    chunks = pa.chunked_array([stored.slice(0, 2), stored.slice(4, 2)])
    np.testing.assert_array_equal(decode(chunks, 4), MATRIX[[0, 1, 4, 5]])


@pytest.mark.parametrize("empty", [pa.array([], pa.binary()), pa.chunked_array([], pa.binary())])
def test_no_rows_are_an_empty_matrix(empty):
    assert decode(empty, 4).shape == (0, 4)


def test_bytes_that_do_not_fit_the_dim_are_refused_with_their_number():
    with pytest.raises(TableError, match=r"dim 4 must be of 8 bytes.*found 6 bytes in 1 of 3 rows"):
        decode(pa.array([b"\0" * 8, b"\0" * 6, b"\0" * 8]), 4)
    # the total fits: only the single lengths tell
    with pytest.raises(TableError, match="found 6 bytes in 2 of 2 rows"):
        decode(pa.array([b"\0" * 6, b"\0" * 10]), 4)
    with pytest.raises(TableError, match="found null in 1 of 2 rows"):
        decode(pa.array([b"\0" * 8, None]), 4)


def test_unit_makes_float16_vectors_of_length_one_and_leaves_zero():
    rough = (np.random.default_rng(0).standard_normal((50, 64)) / 8).astype(np.float16)
    rough[3] = 0
    length = np.linalg.norm(unit(rough), axis=1)
    assert length[3] == 0
    np.testing.assert_allclose(np.delete(length, 3), 1, atol=1e-6)
