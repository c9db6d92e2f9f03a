"""The decayed mean of embeddings, against numbers worked out by hand."""

import numpy as np
import pyarrow as pa

from jobs.features.taste import mean_batches, weighted_means

X, Y = np.array([1.0, 0.0]), np.array([0.0, 1.0])


def test_a_run_of_rows_is_averaged_by_weight_and_brought_to_unit_length():
    vectors = np.stack([X, Y, Y])
    means = weighted_means(vectors, np.array([3.0, 4.0, 0.5]), np.array([2, 1]))
    np.testing.assert_allclose(means, [[0.6, 0.8], [0.0, 1.0]], atol=1e-6)


def test_only_ratios_of_weights_matter_even_when_all_are_tiny():
    vectors = np.stack([X, Y])
    old = weighted_means(vectors, np.array([3e-60, 4e-60]), np.array([2]))
    np.testing.assert_allclose(old, [[0.6, 0.8]], atol=1e-6)


def test_rows_that_cancel_out_have_no_direction():
    assert not weighted_means(np.stack([X, -X]), np.array([1.0, 1.0]), np.array([2])).any()


def test_batches_carry_saves_in_order_and_float16_bytes_null_where_there_is_no_direction():
    def items(*saves):
        return [
            {"rank": i, "pin_id": 10 + i, "decay": w, "embedding": None if v is None else v.astype("<f2").tobytes()}
            for i, (w, v) in enumerate(saves)
        ]

    struct = pa.struct(
        [("rank", pa.int32()), ("pin_id", pa.int64()), ("decay", pa.float64()), ("embedding", pa.binary())]
    )
    users = pa.array([6, 7, 8, 9], pa.int64())
    rows = [items((1, None)), items((1, X)), items((1, X), (1, -X)), items((3, X), (9, None), (4, Y))]
    lists = pa.array(rows, pa.list_(struct))
    whole = pa.RecordBatch.from_arrays([users, lists], names=["user_id", "items"])
    # a slice as well: its first list does not start at the first value
    out = [batch.to_pylist() for batch in mean_batches([whole, whole.slice(3, 1)])]
    assert [(row["user_id"], row["recent_saves"]) for row in out[0]] == [
        (6, [10]),
        (7, [10]),
        (8, [10, 11]),
        (9, [10, 11, 12]),
    ]
    assert [row["taste"] for row in out[0][:3]] == [None, X.astype("<f2").tobytes(), None]
    assert out[1][0] == out[0][3]
    np.testing.assert_allclose(np.frombuffer(out[1][0]["taste"], "<f2"), [0.6, 0.8], atol=1e-3)
