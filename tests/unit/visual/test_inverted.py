"""The inverted-file index: all cells give the exact answer, tuning keeps its promise."""

import numpy as np
import pytest

from jobs.errors import ConfigError
from jobs.lake.vectors import unit
from jobs.visual.knn.index import top_k
from jobs.visual.knn.inverted import Inverted, lower_recall, train, tune


@pytest.fixture(scope="module")
def clustered():
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((60, 32)) * 1.5
    return unit(centres[rng.integers(0, 60, 3000)] + rng.standard_normal((3000, 32)) * 0.9)


@pytest.fixture(scope="module")
def cells(clustered):
    return train(clustered, seed=7)


def test_looking_into_every_cell_is_the_exact_search(clustered, cells):
    scores, rows = Inverted(clustered, cells, len(cells.centroids)).search(clustered[:1500], 20)
    true_scores, true_rows = top_k(clustered, clustered[:1500], 20)
    np.testing.assert_array_equal(rows, true_rows)
    np.testing.assert_array_equal(scores, true_scores)


def test_tuning_reaches_its_recall_on_pins_it_did_not_see(clustered, cells):
    sample, unseen = np.arange(0, 3000, 6), np.arange(1, 3000, 6)
    probes = tune(clustered, cells, sample, 20, recall=0.9)
    assert probes < len(cells.centroids)
    _, truth = top_k(clustered, clustered[unseen], 20)
    _, found = Inverted(clustered, cells, probes).search(clustered[unseen], 20)
    assert lower_recall(truth, found) >= 0.88
    _, fewer = Inverted(clustered, cells, probes // 2 or 1).search(clustered[sample], 20)
    assert probes == 1 or lower_recall(top_k(clustered, clustered[sample], 20)[1], fewer) < 0.9


def test_training_is_the_same_twice_and_whatever_the_threads(clustered, cells):
    again = train(clustered, seed=7, threads=2)
    np.testing.assert_array_equal(again.cell, cells.cell)
    np.testing.assert_array_equal(again.centroids, cells.centroids)


def test_neighbours_that_were_not_found_are_marked_not_made_up(clustered, cells):
    scores, rows = Inverted(clustered, cells, 1).search(clustered[:1000], 300)
    missing = rows < 0
    assert missing.any()
    assert np.isneginf(scores[missing]).all()
    assert np.isfinite(scores[~missing]).all()
    assert (np.diff(missing.astype(int), axis=1) >= 0).all(), "what is missing stands last"
    assert all(len(set(line[line >= 0])) == (line >= 0).sum() for line in rows), "no row twice"


def test_recall_is_judged_by_the_lower_end_of_its_interval():
    truth = np.arange(40).reshape(4, 10)
    assert lower_recall(truth, truth) == 1
    half = truth.copy()
    half[:2] += 100
    assert lower_recall(truth, half) == pytest.approx(0.5 - 1.96 * np.sqrt(1 / 3) / 2)
    with pytest.raises(ConfigError, match="got 1"):
        lower_recall(truth[:1], truth[:1])
