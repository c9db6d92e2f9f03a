"""Intervals of ratios, by formulas known from elsewhere."""

from math import sqrt

import numpy as np
import pytest

from jobs.common.intervals import Z95, ratio_interval


def sums(*columns):
    frame = np.asarray(columns, float)
    return frame.sum(axis=1), frame @ frame.T, frame.shape[1]


def test_a_share_of_independent_trials_has_the_binomial_interval():
    hits = [1, 0, 0, 1, 1, 0, 0, 0]
    value, lower, upper = ratio_interval(*sums(hits, [1] * 8))
    half = Z95 * sqrt(3 / 8 * 5 / 8 / 7)
    assert (value, lower, upper) == (
        0.375,
        pytest.approx(0.375 - half, abs=1e-6),
        pytest.approx(0.375 + half, abs=1e-6),
    )


def test_trials_of_one_user_that_go_alike_count_as_one():
    once = ratio_interval(*sums([1, 0, 0, 1], [1, 1, 1, 1]))
    assert ratio_interval(*sums([5, 0, 0, 5], [5, 5, 5, 5])) == once


def test_the_difference_of_two_ratios_of_the_same_users_is_paired():
    # each user saves a tenth more of what is listed, however eager the user is: the difference is beyond doubt
    seen, more = np.full(4, 10), np.array([1, 3, 5, 7])
    value, lower, upper = ratio_interval(*sums(more + 1, seen, more, seen))
    assert value == lower == upper == 0.1
    value, lower, upper = ratio_interval(*sums(more + 1, seen, more[::-1], seen))
    assert value == 0.1
    assert lower < 0 < upper


def test_nothing_to_divide_by_is_nothing_and_one_user_has_no_interval():
    assert ratio_interval(*sums([0, 0], [0, 0])) is None
    assert ratio_interval(*sums([1, 1], [2, 2], [0, 0], [0, 0])) is None
    assert ratio_interval(*sums([1], [4])) == (0.25, None, None)
