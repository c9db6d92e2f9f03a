"""The booster on one node: it learns what there is to learn, and learns it the same way twice."""

import numpy as np
import pytest

from jobs.ranking import xgb as boost
from jobs.ranking.metrics import auc
from jobs.settings.ranking import Ranker

NAMES = ("signal", "noise", "mostly_missing")
SETTINGS = Ranker(trees=20, depth=3)


@pytest.fixture(scope="module")
def planted():
    """4,000 rows whose label hangs on the first column, and a model of them."""
    random = np.random.default_rng(7)
    rows = random.normal(size=(4000, 3)).astype(np.float32)
    rows[random.random(4000) < 0.9, 2] = np.nan
    labels = (random.random(4000) < 1 / (1 + np.exp(-3 * rows[:, 0]))).astype(np.float32)
    return rows, labels, boost.train_on_node(rows, labels, NAMES, SETTINGS)


def test_a_planted_signal_is_found(planted):
    rows, labels, model = planted
    assert auc(boost.predict(model, rows), labels > 0) > 0.85
    shares = boost.importance(model, NAMES)
    assert shares["signal"] > 0.8
    assert sum(shares.values()) == pytest.approx(1, abs=1e-5)


def test_training_again_gives_the_same_model_byte_for_byte(planted):
    rows, labels, model = planted
    assert boost.train_on_node(rows, labels, NAMES, SETTINGS) == model


def test_a_score_does_not_depend_on_the_rows_beside_it(planted):
    rows, _, model = planted
    alone = np.concatenate([boost.predict(model, rows[i : i + 1]) for i in range(50)])
    assert np.array_equal(alone, boost.predict(model, rows)[:50])


def test_no_rows_have_no_scores(planted):
    assert boost.predict(planted[2], np.zeros((0, 3), np.float32)).tolist() == []
