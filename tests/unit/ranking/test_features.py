"""Inner products of stored vectors."""

import numpy as np
import pyarrow as pa
import pytest

from jobs.ranking.features import FEATURES, dots, matrix


def packed(rows, kind):
    return pa.array([None if row is None else np.array(row, kind).tobytes() for row in rows], pa.binary())


@pytest.mark.parametrize("kind", ["<f2", "<f4"])
def test_dots_are_inner_products_row_by_row(kind):
    left = packed([[1, 2], [0.5, 0], [3, 4]], kind)
    right = packed([[3, 4], [2, 9], [-1, 1]], kind)
    assert dots(left, right, kind).tolist() == [11.0, 1.0, 1.0]


def test_a_missing_vector_or_another_length_has_no_product():
    left = packed([[1, 2], None, [1, 2], [1, 2, 3]], "<f4")
    right = packed([None, [1, 2], [1, 2, 3], [1, 1, 1]], "<f4")
    assert np.isnan(dots(left, right, "<f4")).tolist() == [True, True, True, False]
    assert dots(left, right, "<f4")[3] == 6.0


def test_a_product_does_not_depend_on_the_rows_beside_it():
    random = np.random.default_rng(5)
    a, b = random.normal(size=(2, 300, 64)).astype("<f4")
    left, right = packed(a, "<f4"), packed(b, "<f4")
    whole = dots(left, right, "<f4")
    parts = np.concatenate([dots(left[i : i + 7], right[i : i + 7], "<f4") for i in range(0, 300, 7)])
    assert np.array_equal(whole, parts)
    assert whole == pytest.approx((a * b).sum(axis=1), abs=1e-5)


def test_the_model_sees_the_features_in_order_and_missing_ones_as_nan():
    columns = [pa.array([float(place), None], pa.float32()) for place in range(len(FEATURES))]
    batch = pa.RecordBatch.from_arrays(columns[::-1], names=list(FEATURES)[::-1])
    rows = matrix(batch)
    assert rows[0].tolist() == list(range(len(FEATURES)))
    assert np.isnan(rows[1]).all()
