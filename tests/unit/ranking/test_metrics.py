"""Metrics against numbers worked out by hand."""

from math import log2

import numpy as np
import pytest

from jobs.ranking import metrics

HITS = metrics.hit_matrix([[1, 3], [2], []], 5)
TRUTHS = np.array([2, 4, 1])


def test_a_hit_matrix_has_true_at_each_place_counted_from_one():
    assert HITS.tolist() == [
        [True, False, True, False, False],
        [False, True, False, False, False],
        [False, False, False, False, False],
    ]


def test_hit_rate_asks_whether_any_of_the_first_k_was_saved():
    assert metrics.hit_rate(HITS, 1).tolist() == [1.0, 0.0, 0.0]
    assert metrics.hit_rate(HITS, 2).tolist() == [1.0, 1.0, 0.0]


def test_recall_is_over_the_whole_truth():
    assert metrics.recall(HITS, TRUTHS, 2).tolist() == [0.5, 0.25, 0.0]
    assert metrics.recall(HITS, TRUTHS, 5).tolist() == [1.0, 0.25, 0.0]


def test_ndcg_divides_by_the_ideal_over_the_smaller_of_k_and_the_truth():
    two = 1 + 1 / log2(3)
    three = two + 1 / log2(4)
    expected = [(1 + 1 / log2(4)) / two, (1 / log2(3)) / three, 0.0]
    assert metrics.ndcg(HITS, TRUTHS, 3) == pytest.approx(expected)


def test_a_perfect_list_has_ndcg_one_whatever_its_length():
    hits = metrics.hit_matrix([[1, 2, 3], [1]], 10)
    assert metrics.ndcg(hits, np.array([3, 1]), 10) == pytest.approx([1.0, 1.0])
    assert metrics.ndcg(hits, np.array([3, 1]), 2) == pytest.approx([1.0, 1.0])


def test_auc_counts_the_pairs_in_order_and_ties_half():
    scores = np.array([0.9, 0.5, 0.5, 0.1])
    positive = np.array([True, True, False, False])
    # pairs: .9>.5, .9>.1, .5=.5 (half), .5>.1
    assert metrics.auc(scores, positive) == pytest.approx(3.5 / 4)


def test_auc_of_one_class_is_unknown():
    assert metrics.auc(np.array([0.1, 0.2]), np.array([True, True])) is None
    assert metrics.auc(np.zeros(0), np.zeros(0, bool)) is None


def test_an_interval_is_the_mean_and_two_standard_errors():
    from jobs.common.intervals import interval

    values = [0.0, 0.5, 1.0, 0.5]
    mean, lower, upper = interval(sum(values), sum(v * v for v in values), len(values))
    half = 1.959964 * np.std(values, ddof=1) / 2
    assert mean == 0.5
    assert (lower, upper) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-6)


def test_one_user_has_a_mean_and_no_interval():
    from jobs.common.intervals import interval

    assert interval(0.5, 0.25, 1) == (0.5, None, None)
