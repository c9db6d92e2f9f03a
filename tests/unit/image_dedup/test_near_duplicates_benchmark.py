"""What the benchmark of near-duplicates makes, and that it would see a pair that is missing."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.benchmarks import duplicates
from jobs.common.errors import ConfigError


def test_planted_pairs_are_near_and_all_found(tmp_path, monkeypatch):
    monkeypatch.setattr(duplicates, "ROUNDS", 1)
    data = duplicates.made(2000)
    distance = np.bitwise_count(data.hashes[data.left] ^ data.hashes[data.right])
    assert distance.max() == 6
    assert np.unique(data.hashes, return_counts=True)[1].max() >= 10  # the hot one
    costs = duplicates.measure(tmp_path, 2000)
    assert (costs.found, costs.wrong) == (costs.expected, 0)
    assert costs.expected > 5000
    assert "Recall 1.000000" in duplicates.table(costs)[-1]
    pairs = pq.read_table(tmp_path / "pairs.parquet")
    pq.write_table(pairs.slice(3), tmp_path / "pairs.parquet")
    lowest = pq.read_table(tmp_path / "groups.parquet").column("representative").to_numpy()
    expected, found, _ = duplicates._held(data, lowest, tmp_path)
    assert expected - found == 3


def test_too_few_rows_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="at least 1,000, got 10"):
        duplicates.measure(tmp_path, 10)
