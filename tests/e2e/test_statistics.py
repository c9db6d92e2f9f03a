"""What holds in the mean, on the demo's world: quality, planted duplicates, the burst, against the world's truth."""

from collections import defaultdict
from datetime import timedelta
from itertools import combinations

import numpy as np
import pytest

from jobs.engine.context import Context
from jobs.flow import FLOW
from jobs.history.as_of import read_as_of
from jobs.lake.table_frames import checksum
from jobs.related.job import related_pins
from jobs.schema.tables import TABLES
from tests.asserts import assert_no_cross_join_ran

pytestmark = [pytest.mark.spark, pytest.mark.long, pytest.mark.timeout(2400)]

GOLD = [name.removeprefix("gold.") for name in TABLES if name.startswith("gold.")]


@pytest.fixture
def flow(demo_flow):
    return demo_flow


def rows(frame):
    return frame.toArrow().to_pylist()


def evaluation(flow, model, metric, k):
    row = flow.gold("evaluations").where(f"model = '{model}' and metric = '{metric}' and k = {k}").first()
    assert row is not None, f"no {metric}@{k} of {model}"
    return row


def test_feeds_beat_popularity_clearly(flow):
    ours, popular = evaluation(flow, "home_feed", "ndcg", 10), evaluation(flow, "popularity", "ndcg", 10)
    assert ours.users > 300
    assert ours.lower > popular.upper, (
        f"home_feed {ours.value} [{ours.lower}..], popularity {popular.value} [..{popular.upper}]"
    )
    assert ours.value > 1.5 * popular.value
    gain = evaluation(flow, "home_feed_minus_popularity", "ndcg", 10)
    assert gain.lower > 0


def test_planted_duplicates_are_found_and_none_is_invented(flow):
    """Among all live pins, hidden ones too; by embeddings alone, for this world has no images."""
    pins = flow.gold("pin_stats").select("pin_id", "image_signature")
    found = rows(pins.join(flow.gold("image_clusters"), "image_signature").select("pin_id", "cluster_id"))
    root = {row["pin_id"]: row["original_id"] for row in flow.truth_table("duplicates").to_pylist()}
    families, clusters = defaultdict(list), defaultdict(list)
    for row in found:
        families[root.get(row["pin_id"], row["pin_id"])].append(row["pin_id"])
        clusters[row["cluster_id"]].append(row["pin_id"])
    planted, clustered = (
        {p for f in groups.values() for p in combinations(sorted(f), 2)} for groups in (families, clusters)
    )
    assert len(planted) > 300
    assert len(planted & clustered) / len(clustered) >= 0.99
    assert len(planted & clustered) / len(planted) >= 0.99


def test_related_pins_share_the_truths_topic(flow):
    pins = {row["pin_id"]: row["topic"] for row in flow.truth_table("pins").to_pylist()}
    related = rows(flow.gold("related_pins").where("position <= 10").select("pin_id", "related_pin_id"))
    same = sum(pins[row["pin_id"]] == pins[row["related_pin_id"]] for row in related) / len(related)
    assert same > 0.5, same


def test_related_pins_beat_each_source_alone_in_true_relevance(flow):
    """Relevance: how much a person who likes a pin likes those shown with it (jobs/simulator/outcome.py)."""
    pins = flow.truth_table("pins")
    row_of = np.full(max(pins["pin_id"].to_pylist()) + 1, -1)
    row_of[pins["pin_id"].to_numpy()] = np.arange(len(pins))
    topic, quality = np.array(pins["topic"].to_pylist()), pins["quality"].to_numpy()
    aspects = np.array(pins["aspects"].to_pylist())
    aspects /= np.linalg.norm(aspects, axis=1, keepdims=True)

    def relevance(frame):
        pairs = frame.where("position <= 10").select("pin_id", "related_pin_id").toArrow()
        query, pin = (row_of[pairs[name].to_numpy()] for name in ("pin_id", "related_pin_id"))
        match = (aspects[query] * aspects[pin]).sum(axis=1)
        return float(((topic[query] == topic[pin]) * np.exp(0.75 * (0.9 * match + 0.5 * quality[pin]))).mean())

    job = next(job for job in FLOW if job.name == "related.pins")
    context = Context(flow.settings, flow.as_of)
    tables = {name: read_as_of(flow.lake, name, context.as_of) for name in job.reads}
    weights = ("similarity_weight", "co_save_weight", "session_weight", "collaborative_weight")
    alone = {}
    for name in weights:
        chosen = dict.fromkeys((*weights, "link_weight", "save_rate_weight"), 0.0) | {name: 1.0}
        related = flow.settings.related.model_copy(update=chosen)
        one = Context(flow.settings.model_copy(update={"related": related}), flow.as_of)
        alone[name] = relevance(related_pins(tables, one))
    assert relevance(flow.gold("related_pins")) > max(alone.values()), alone


def test_related_pins_of_a_week_ago_are_evaluated_against_each_source_alone(flow):
    found = {(r.model, r.segment, r.metric, r.k): r for r in flow.gold("related_evaluations").collect()}

    def recall(model, k=10):
        return found[model, "all", "recall", k]

    blend = recall("related_pins")
    parts = [found["related_pins", segment, "recall", 10] for segment in ("head", "torso", "tail")]
    assert blend.judged == sum(part.judged for part in parts) > 3_000
    assert blend.hits == sum(part.hits for part in parts) > 500
    for source in ("looks_alike", "saved_together", "co_viewed", "collaborative"):
        assert recall(source).value > 0
        gap = recall(f"related_pins_minus_{source}")
        assert gap.value == pytest.approx(blend.value - recall(source).value, abs=2e-6)
        assert gap.lower > 0, f"{source} alone finds as much: {gap}"
    rate, others = (found["related_pins", "all", name, 30] for name in ("save_rate", "save_rate_others"))
    assert rate.judged > 50
    assert rate.judged + others.judged > 1_500
    assert rate.value > others.value
    # the lists judged are those that were made before anything they are judged by
    made = flow.gold("related_pins", flow.as_of - timedelta(days=flow.settings.ranking.horizon_days))
    assert made.count() > 100_000


def test_the_burst_shows_in_trending(flow):
    import json

    burst = json.loads((flow.truth / "summary.json").read_text())
    topics = {row["pin_id"]: row["topic"] for row in flow.truth_table("pins").to_pylist()}
    top = rows(flow.gold("trending").where(f"category = '{burst['burst_category']}' and rank <= 10"))
    assert sum(topics[row["pin_id"]] == burst["burst_topic"] for row in top) >= 5, top


def test_again_gives_the_same_tables_and_the_same_generation(flow):
    from jobs.serving.registry import open_store

    dates = [flow.as_of, flow.as_of - timedelta(days=flow.settings.ranking.horizon_days)]
    before = {(name, as_of): checksum(flow.gold(name, as_of)) for name in GOLD for as_of in dates}
    store = open_store("rocksdb", flow.options["store"])
    served, generations = store.read_pointer(), store.generations()
    flow.run_again()
    after = {(name, as_of): checksum(flow.gold(name, as_of)) for name in GOLD for as_of in dates}
    assert {key for key in before if before[key] != after[key]} == set()
    assert store.generations() == generations
    assert store.read_pointer().current == served.current


def test_no_query_joins_every_row_with_every_row(flow):
    assert_no_cross_join_ran(flow.lake.spark)
