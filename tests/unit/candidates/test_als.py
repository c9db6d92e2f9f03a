"""Training, on data whose right answer is known: even users save even pins, odd users odd pins."""

import os
import subprocess
import sys

import numpy as np
import pytest

from jobs.candidates.als import confidence, fit
from jobs.settings.candidates import Collaborative

CFG = Collaborative(factors=8, regularization=1.0, alpha=10.0, threads=1)
USERS, PINS = 40, 60


@pytest.fixture(scope="module")
def board():
    """Pairs (user, pin, weight); each user saved two thirds of the pins of their own parity."""
    users, pins = np.meshgrid(np.arange(USERS), np.arange(PINS), indexing="ij")
    saved = (users % 2 == pins % 2) & ((users * 7 + pins // 2) % 3 != 0)
    return users[saved] + 1000, pins[saved] + 5_000_000_000, np.ones(saved.sum())


def test_unseen_pins_of_the_right_color_score_above_all_others(board):
    # two factors, since there are two groups: more would learn which third each user has not saved
    factors = fit(*board, CFG.model_copy(update={"factors": 2}), seed=1)
    scores = factors.user_factors @ factors.pin_factors.T
    same = factors.users[:, None] % 2 == factors.pins[None, :] % 2
    assert scores[same].min() > scores[~same].max() + 0.3


def test_ids_ascend_and_rows_belong_to_them(board):
    factors = fit(*board, CFG, seed=1)
    assert factors.users.tolist() == list(range(1000, 1000 + USERS))
    assert factors.pins.tolist() == list(range(5_000_000_000, 5_000_000_000 + PINS))
    assert factors.user_factors.shape == (USERS, 8)
    assert factors.pin_factors.dtype == np.float32


def test_order_of_the_pairs_and_number_of_threads_do_not_change_a_bit(board):
    once = fit(*board, CFG, seed=1)
    shuffled = np.random.default_rng(5).permutation(len(board[0]))
    again = fit(*(part[shuffled] for part in board), CFG.model_copy(update={"threads": 4}), seed=1)
    np.testing.assert_array_equal(once.user_factors, again.user_factors)
    np.testing.assert_array_equal(once.pin_factors, again.pin_factors)


def test_another_seed_gives_other_factors(board):
    assert not np.array_equal(fit(*board, CFG, seed=1).pin_factors, fit(*board, CFG, seed=2).pin_factors)


def test_only_ratios_of_weights_matter(board):
    users, pins, weights = board
    once, faded = fit(users, pins, weights, CFG, seed=1), fit(users, pins, weights / 1024, CFG, seed=1)
    np.testing.assert_array_equal(once.pin_factors, faded.pin_factors)


def test_nothing_in_nothing_out():
    nothing = np.array([], np.int64)
    factors = fit(nothing, nothing, np.array([]), CFG, seed=1)
    assert len(factors.users) == len(factors.pins) == 0
    assert factors.user_factors.shape == (0, 8)


def test_confidence_falls_with_the_degree_of_user_and_pin():
    # user 0 saved pins 0 and 1, user 1 saved pin 0: degrees 2 and 1 of users, 2 and 1 of pins, mean 1.5
    rows, columns = np.array([0, 0, 1]), np.array([0, 1, 0])
    matrix = confidence(rows, columns, np.array([2.0, 2.0, 2.0]), (2, 2), 0.5).toarray()
    busy, rare = (2 / 1.5) ** -0.5, (1 / 1.5) ** -0.5
    np.testing.assert_allclose(matrix, [[busy * busy, busy * rare], [rare * busy, 0]], rtol=1e-6)


def test_without_exponent_confidence_is_weight_over_mean_weight_and_duplicates_add_up():
    rows, columns = np.array([0, 0, 1]), np.array([0, 0, 1])
    matrix = confidence(rows, columns, np.array([1.0, 2.0, 1.0]), (2, 2), 0.0).toarray()
    np.testing.assert_allclose(matrix, [[1.5, 0], [0, 0.5]], rtol=1e-6)


def test_scores_agree_with_implicit_run_directly_on_the_same_matrix(board):
    from implicit.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    cfg = CFG.model_copy(update={"degree_exponent": 0.0})
    ours = fit(*board, cfg, seed=3)
    matrix = csr_matrix((np.ones(len(board[0]), np.float32), (board[0] - 1000, board[1] - 5_000_000_000)))
    theirs = AlternatingLeastSquares(8, 1.0, 10.0, iterations=15, random_state=3, num_threads=1)
    theirs.fit(matrix, show_progress=False)
    np.testing.assert_allclose(ours.pin_factors, theirs.item_factors, atol=1e-4)


def test_blas_threads_are_held_back_whatever_the_environment_says():
    lines = (
        "import numpy as np",
        "from jobs.candidates.als import fit",
        "from jobs.settings.candidates import Collaborative",
        "fit(np.arange(9), np.arange(9), np.ones(9), Collaborative(factors=4, iterations=1), 1)",
    )
    # implicit warns where BLAS would run threads of its own inside its
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", "\n".join(lines)]
    subprocess.run(command, env=os.environ | {"OPENBLAS_NUM_THREADS": "2"}, check=True)
