"""Runs of equal keys are handed on whole, however they lie in batches."""

import numpy as np
import pyarrow as pa
import pytest

from jobs.image_dedup.shuffle import map_sorted_runs, sorted_runs


@pytest.mark.parametrize("size", [1, 3, 7, 100])
@pytest.mark.parametrize("least", [1, 5, 1000])
def test_no_run_is_torn_and_no_row_is_lost(size, least):
    keys = np.repeat(np.arange(12), [1, 2, 9, 1, 1, 15, 3, 1, 1, 4, 1, 2])
    table = pa.table({"key": keys, "row": np.arange(len(keys))})
    pieces = list(sorted_runs(iter(table.to_batches(size)), least))
    assert np.concatenate([rows for _, rows in pieces]).tolist() == list(range(len(keys)))
    seen = [set(piece.tolist()) for piece, _ in pieces]
    assert sum(map(len, seen)) == 12


def test_rows_are_handed_on_as_soon_as_there_are_enough():
    batches = pa.table({"key": [0, 1, 2, 3]}).to_batches(2)
    assert [keys.tolist() for (keys,) in sorted_runs(batches, 2)] == [[0], [1, 2], [3]]


def test_none():
    empty = pa.table({"key": pa.array([], pa.int64())})
    assert list(sorted_runs(empty.to_batches() or [pa.record_batch({"key": pa.array([], pa.int64())})])) == []
    assert list(map_sorted_runs(lambda keys: iter([(keys,)]), ["key"])([])) == []
