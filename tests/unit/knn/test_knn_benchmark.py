"""The benchmark of all neighbours, at a size that says nothing about its figures."""

from datetime import date

import numpy as np

from jobs.benchmarks.knn import Ratios, clustered, measure, page, table


def test_the_vectors_are_of_length_one_and_the_same_twice():
    x = clustered(2000, seed=3)
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(x, clustered(2000, seed=3))


def test_one_size_is_searched_in_a_process_of_its_own_and_told_in_a_row(tmp_path):
    cost = measure(tmp_path, 1500, 0.9)
    assert cost.recall == 1, "so few are compared with all"
    assert min(cost.compared, cost.joined, cost.peak_mb) > 0
    assert cost.report["neighbours"] == 1500 * 50
    lines = table([cost])
    assert lines[2].startswith("| 1,500 | 0.9 | 1.0000 |")
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2] in page(lines, Ratios(1.02, 1.05, 0.7), date(2026, 11, 27))
