"""When the cells of the neighbour index are trained anew, and what is said of it."""

from datetime import date, timedelta

import pytest

from jobs.engine.context import Context
from jobs.knn.tables import Model, index_key
from jobs.neighbours.ann_index import retrain_reason
from jobs.settings import Settings

DAY = date(2026, 11, 1)
MODEL = Model("w1", 16, 600)
NEIGHBOURS = Settings().neighbours.model_copy(update={"k": 10, "min_recall": 0.9, "rebuild_days": 7})
TRAINED = {"version": f"{index_key(MODEL, NEIGHBOURS)}{DAY}/0123", "trained_on": DAY, "trained_pins": 600}


def reason(days=1, trained=TRAINED, audited=None, model=MODEL, **changes):
    settings = Settings().model_copy(update={"neighbours": NEIGHBOURS.model_copy(update=changes)})
    return retrain_reason(trained, audited, model, Context(settings, DAY + timedelta(days=days)))


@pytest.mark.parametrize(
    "given",
    [{}, {"days": 6}, {"audited": {"recall": 0.89, "upper": 0.91}}, {"model": Model("w1", 16, 1200)},
     {"model": Model("w1", 16, 300)}],
)  # fmt: skip
def test_cells_that_serve_stay(given):
    assert reason(**given) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"trained": None}, "yesterday has no index"),
        ({"days": 7}, "7 days old, neighbours.rebuild_days is 7"),
        ({"audited": {"recall": 0.8, "upper": 0.85}}, "the audit measured a recall of 0.8000"),
        ({"model": Model("w1", 16, 1300)}, "trained for 600 pins, there are 1300"),
        ({"model": Model("w1", 16, 299)}, "trained for 600 pins, there are 299"),
        ({"model": Model("w2", 16, 600)}, "w2/16/k10"),
        ({"model": Model("w1", 8, 600)}, "w1/8/k10"),
        ({"k": 11}, "k11"),
    ],
)
def test_cells_that_serve_no_more_are_trained_anew_and_it_is_said_why(given, said):
    assert said in reason(**given)
