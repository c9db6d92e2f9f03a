"""What a proposal teaches, and the ranker learning it."""

import json
from datetime import timedelta

import numpy as np
import pytest

from jobs.common.errors import ConfigError
from jobs.engine.context import Context
from jobs.ranking import xgb as boost
from jobs.ranking.features import FEATURES
from jobs.ranking.metrics import auc
from jobs.ranking.ranker import labelled, learn, outcomes, ranker, sampled
from jobs.settings import Settings
from jobs.settings.ranking import Labels, Ranker, Ranking
from tests.builders import CUT, build

pytestmark = pytest.mark.spark
USERS, PINS = 60, 40
SMALL = Ranker(trees=15, depth=3, min_rows=50, min_child_weight=2.0, holdout=0.25)


def context(settings=SMALL):
    return Context(Settings(ranking=Ranking(ranker=settings)), CUT.date())


@pytest.fixture(scope="module")
def tables(spark):
    """A user saves a pin exactly when their factors agree; each user was proposed 20 pins and met each on some page."""
    random = np.random.default_rng(3)
    mine, theirs = random.normal(size=(USERS, 8)), random.normal(size=(PINS, 8))
    events, proposed = [], []
    for user in range(USERS):
        for rank, pin in enumerate(random.permutation(PINS)[:20].tolist(), 1):
            proposed.append({"source": "content", "user_id": user, "pin_id": pin, "rank": rank})
            common = {"user_id": user, "pin_id": pin, "ts": 3}
            events.append({**common, "kind": "impression", "event_id": f"i{user}-{pin}"})
            if mine[user] @ theirs[pin] > 1.5:
                events.append({**common, "kind": "save", "event_id": f"s{user}-{pin}"})
    factors = [{"kind": "user", "id": u, "factor": mine[u]} for u in range(USERS)]
    factors += [{"kind": "pin", "id": p, "factor": theirs[p]} for p in range(PINS)]
    return {
        "silver.pin_events": build(spark, "silver.pin_events", events),
        "gold.candidates@horizon": build(spark, "gold.candidates", proposed),
        "gold.pin_stats@horizon": build(spark, "gold.pin_stats", [{"pin_id": p} for p in range(PINS)]),
        "gold.user_profile@horizon": build(spark, "gold.user_profile", [{"user_id": u} for u in range(USERS)]),
        "gold.cf_factors@horizon": build(spark, "gold.cf_factors", factors),
        "silver.pin_embeddings@horizon": build(spark, "silver.pin_embeddings"),
        "silver.app_user_follows@horizon": build(spark, "silver.app_user_follows"),
    }


def test_the_best_that_a_user_did_with_a_proposal_is_its_label(spark):
    did = {
        1: ["impression"],
        2: ["impression", "closeup", "save"],
        3: ["impression", "closeup"],
        4: ["impression", "click", "hide"],
        5: ["save"],  # from outside any page
        6: ["save", "report"],
        9: ["save"],  # was not proposed
    }
    events = [{"event_id": f"{p}{k}", "pin_id": p, "kind": k} for p, kinds in did.items() for k in kinds]
    proposed = [{"pin_id": pin, "source": "content"} for pin in range(1, 9)] + [{"pin_id": 2, "source": "fresh"}]
    acts = outcomes(build(spark, "silver.pin_events", events, user_id=1), Labels(save=1.0, click=0.5, closeup=0.25))
    candidates = build(spark, "gold.candidates", proposed, user_id=1)

    def labels(share):
        rows = labelled(candidates, acts, Ranker(unseen_negative_rate=share)).collect()
        assert len(rows) == len({row["pin_id"] for row in rows})
        return {row["pin_id"]: row["label"] for row in rows}

    met = {1: 0.0, 2: 1.0, 3: 0.25, 4: 0.0, 5: 1.0, 6: 0.0}
    assert labels(0.0) == met
    assert labels(1.0) == met | {7: 0.0, 8: 0.0}


def test_a_planted_signal_is_learned_and_learned_alike_again(tables):
    row = ranker(tables, context()).first()
    again = ranker({name: df.repartition(3) for name, df in tables.items()}, context()).first()
    assert row["auc"] > 0.85
    assert row["features"] == list(FEATURES)
    assert row["trained_rows"] > 600
    assert 0 < row["positives"] < row["trained_rows"]
    assert max(row["importance"], key=row["importance"].get) == "cf_score"
    assert json.loads(row["model"])["learner"]
    assert again == row


def test_without_proposals_or_events_there_is_no_model_and_no_failure(tables, spark):
    first_day = {**tables, "gold.candidates@horizon": build(spark, "gold.candidates")}
    row = ranker(first_day, context()).first()
    assert (row["model"], row["trained_rows"], row["positives"], row["auc"]) == (None, 0, 0, None)
    assert row["features"] == list(FEATURES)
    no_acts = {**tables, "silver.pin_events": tables["silver.pin_events"].where("kind = 'impression'")}
    row = ranker(no_acts, context()).first()
    assert (row["model"], row["positives"]) == (None, 0)


def test_events_before_the_horizon_teach_nothing(tables):
    later = Context(context().settings, (CUT + timedelta(days=5)).date())
    assert ranker(tables, later).first()["positives"] == 0


def test_the_sample_depends_on_ids_alone(spark):
    shown = spark.range(4000).selectExpr("id AS user_id", "id % 7 AS pin_id").repartition(3)
    settings = Ranker(max_rows=1000)
    first = {row["user_id"] for row in sampled(shown, settings).collect()}
    second = {row["user_id"] for row in sampled(shown.repartition(5), settings).collect()}
    assert first == second
    assert 850 < len(first) < 1150
    assert sampled(shown, Ranker(max_rows=4000)) is shown


def test_more_workers_than_task_slots_are_refused_instead_of_waited_for(spark):
    with pytest.raises(ConfigError, match="workers = 99"):
        boost.workers(spark, Ranker(workers=99))
    assert boost.workers(spark, Ranker()) == 2


@pytest.mark.slow
def test_the_cluster_learns_about_what_one_node_learns(spark):
    random = np.random.default_rng(11)
    rows = random.normal(size=(1500, len(FEATURES))).astype(np.float32)
    rows[random.random(1500) < 0.3, 3] = np.nan
    label = (rows[:, 0] + 0.5 * random.normal(size=1500) > 0).astype(float)
    columns = {name: rows[:, place].tolist() for place, name in enumerate(FEATURES)}
    import pyarrow as pa

    examples = spark.createDataFrame(
        pa.table({"user_id": range(1500), "pin_id": range(1500), "label": label, **columns})
    )
    node = learn(examples, SMALL)
    cluster = learn(examples, SMALL.model_copy(update={"node_rows": 100}))
    assert node.rows == cluster.rows
    assert node.auc > 0.9
    assert cluster.auc == pytest.approx(node.auc, abs=0.02)
    both = [boost.predict(str(made.model), rows) for made in (node, cluster)]
    assert np.corrcoef(*both)[0, 1] > 0.98
    assert auc(both[1], label > 0) > 0.9
