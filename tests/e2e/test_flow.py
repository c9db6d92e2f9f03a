"""From source files to a served generation: what the platform promises as a whole, held against the world's truth."""

from collections import defaultdict
from datetime import timedelta
from itertools import combinations

import numpy as np
import pytest
from pyspark.sql import functions as F

from jobs.engine.context import Context
from jobs.flow import FLOW
from jobs.history.as_of import read_as_of
from jobs.lake.table_frames import checksum
from jobs.related.job import related_pins
from jobs.schema.tables import TABLES
from tests.asserts import CROSS

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(1800)]

GOLD = [name.removeprefix("gold.") for name in TABLES if name.startswith("gold.")]


def test_no_query_of_the_flow_joins_every_row_with_every_row(flowed):
    store = flowed.lake.spark._jsparkSession.sharedState().statusStore()
    queries = store.executionsList()
    plans = [queries.apply(number).physicalPlanDescription() for number in range(queries.size())]
    assert len(plans) > 100, "Spark kept the flow's plans"
    crossed = [plan for plan in plans if any(name in plan for name in CROSS)]
    assert not crossed, crossed[0][:3000]


def evaluation(flowed, model, metric, k):
    row = flowed.gold("evaluations").where(f"model = '{model}' and metric = '{metric}' and k = {k}").first()
    assert row is not None, f"no {metric}@{k} of {model}"
    return row


def test_feeds_beat_popularity_clearly(flowed):
    ours, popular = evaluation(flowed, "home_feed", "ndcg", 10), evaluation(flowed, "popularity", "ndcg", 10)
    assert ours.users > 300
    assert ours.lower > popular.upper, (
        f"home_feed {ours.value} [{ours.lower}..], popularity {popular.value} [..{popular.upper}]"
    )
    assert ours.value > 1.5 * popular.value
    gain = evaluation(flowed, "home_feed_minus_popularity", "ndcg", 10)
    assert gain.lower > 0


def rows(frame):
    return frame.toArrow().to_pylist()


def test_no_feed_breaks_a_rule_of_the_truth(flowed):
    pins = {row["pin_id"]: row for row in flowed.told("pins").to_pylist()}
    gone = {row["user_id"] for row in flowed.told("users").to_pylist() if row["gone_at"] is not None}
    blocks = {(row["user_id"], row["blocked_id"]) for row in flowed.told("blocks").to_pylist()}
    blocks |= {(b, a) for a, b in blocks}
    saved = flowed.lake.read("silver.app_board_pins").where("not _deleted").select("user_id", "pin_id").distinct()
    feeds = flowed.gold("home_feed").select("user_id", "position", "pin_id")
    broken = []
    for row in rows(feeds):
        pin, user = pins[row["pin_id"]], row["user_id"]
        broken += [("not public", row)] if pin["visibility"] != "public" else []
        broken += [("deleted", row)] if pin["deleted_at"] is not None else []
        broken += [("own", row)] if pin["creator_id"] == user else []
        broken += [("blocked", row)] if (user, pin["creator_id"]) in blocks else []
        broken += [("gone creator", row)] if pin["creator_id"] in gone else []
    assert not broken, broken[:5]
    assert feeds.join(saved, ["user_id", "pin_id"], "left_semi").count() == 0
    assert feeds.groupBy("user_id", "pin_id").count().where("count > 1").count() == 0
    owners = feeds.join(flowed.gold("pin_stats").select("pin_id", "creator_id"), "pin_id")
    most = owners.groupBy("user_id", "creator_id").count().agg(F.max("count")).first()[0]
    assert most <= flowed.settings.ranking.owner_cap


def test_no_related_pin_is_private_deleted_or_a_double(flowed):
    pins = {row["pin_id"]: row for row in flowed.told("pins").to_pylist()}
    doubles = {(row["pin_id"], row["original_id"]) for row in flowed.told("duplicates").to_pylist()}
    doubles |= {(b, a) for a, b in doubles}
    related = rows(flowed.gold("related_pins").select("pin_id", "related_pin_id"))
    assert len(related) > 100_000
    assert all(pins[row["related_pin_id"]]["servable"] for row in related)
    assert all(pins[row["pin_id"]]["visibility"] == "public" for row in related)
    beside = [row for row in related if (row["pin_id"], row["related_pin_id"]) in doubles]
    assert len(beside) / len(doubles) < 0.02, beside[:5]


def test_planted_duplicates_are_found_and_none_is_invented(flowed):
    """Among all live pins, hidden ones too; by embeddings alone, for this world has no images."""
    pins = flowed.gold("pin_stats").select("pin_id", "image_signature")
    found = rows(pins.join(flowed.gold("image_clusters"), "image_signature").select("pin_id", "cluster_id"))
    root = {row["pin_id"]: row["original_id"] for row in flowed.told("duplicates").to_pylist()}
    families, clusters = defaultdict(list), defaultdict(list)
    for row in found:
        families[root.get(row["pin_id"], row["pin_id"])].append(row["pin_id"])
        clusters[row["cluster_id"]].append(row["pin_id"])
    true, told = ({p for f in groups.values() for p in combinations(sorted(f), 2)} for groups in (families, clusters))
    assert len(true) > 300
    assert len(true & told) / len(told) >= 0.99
    assert len(true & told) / len(true) >= 0.99


def test_related_pins_share_the_truths_topic(flowed):
    pins = {row["pin_id"]: row["topic"] for row in flowed.told("pins").to_pylist()}
    related = rows(flowed.gold("related_pins").where("position <= 10").select("pin_id", "related_pin_id"))
    same = sum(pins[row["pin_id"]] == pins[row["related_pin_id"]] for row in related) / len(related)
    assert same > 0.5, same


def test_related_pins_beat_each_source_alone_in_true_relevance(flowed):
    """How much a person who likes a pin likes those beside it, as the world decides it (jobs/simulator/outcome.py)."""
    told = flowed.told("pins")
    place = np.full(max(told["pin_id"].to_pylist()) + 1, -1)
    place[told["pin_id"].to_numpy()] = np.arange(len(told))
    topic, quality = np.array(told["topic"].to_pylist()), told["quality"].to_numpy()
    aspects = np.array(told["aspects"].to_pylist())
    aspects /= np.linalg.norm(aspects, axis=1, keepdims=True)

    def relevance(frame):
        found = frame.where("position <= 10").select("pin_id", "related_pin_id").toArrow()
        query, pin = (place[found[name].to_numpy()] for name in ("pin_id", "related_pin_id"))
        match = (aspects[query] * aspects[pin]).sum(axis=1)
        return float(((topic[query] == topic[pin]) * np.exp(0.75 * (0.9 * match + 0.5 * quality[pin]))).mean())

    job = next(job for job in FLOW if job.name == "related.pins")
    context = Context(flowed.settings, flowed.cut)
    tables = {name: read_as_of(flowed.lake, name, context.as_of) for name in job.reads}
    weights = ("similarity_weight", "co_save_weight", "session_weight", "collaborative_weight")
    alone = {}
    for name in weights:
        chosen = dict.fromkeys((*weights, "link_weight", "save_rate_weight"), 0.0) | {name: 1.0}
        related = flowed.settings.related.model_copy(update=chosen)
        one = Context(flowed.settings.model_copy(update={"related": related}), flowed.cut)
        alone[name] = relevance(related_pins(tables, one))
    assert relevance(flowed.gold("related_pins")) > max(alone.values()), alone


def test_related_pins_of_a_week_ago_are_judged_each_source_alone_beside(flowed):
    found = {(r.model, r.segment, r.metric, r.k): r for r in flowed.gold("related_evaluations").collect()}

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
    made = flowed.gold("related_pins", flowed.cut - timedelta(days=flowed.settings.ranking.horizon_days))
    assert made.count() > 100_000


def test_what_came_in_is_applied_superseded_pending_or_quarantined(flowed):
    took = "job in ('ingest.cdc', 'ingest.kafka') and status = 'ok'"
    runs = flowed.lake.read("ops.runs").where(took).select("job", "counts").collect()
    for run in runs:
        counts = dict(run.counts)
        parts = ("applied", "superseded", "pending", "quarantined")
        assert counts["read"] == sum(counts.get(part, 0) for part in parts), (run.job, counts)
        assert counts["quarantined"] > 0, "the world plants bad rows"
    assert flowed.lake.read("ops.checkpoints").where("blocked_reason is not null").isEmpty(), (
        "what is planted holds nothing"
    )
    bad = flowed.lake.read("ops.quarantine")
    assert bad.where("raw is null or reason is null or path is null").count() == 0


def test_silver_is_the_state_at_the_checkpoint(flowed):
    live = flowed.lake.read("silver.app_pins").where("not _deleted")
    told = flowed.told("pins").to_pylist()
    assert live.count() == sum(row["deleted_at"] is None for row in told)
    boards = {row["id"]: row["privacy"] for row in rows(flowed.lake.read("silver.app_boards").where("not _deleted"))}
    assert boards == {row["board_id"]: row["privacy"] for row in flowed.told("boards").to_pylist()}
    newest = flowed.lake.read("silver.app_board_pins").agg(F.max("_commit_ts")).first()[0]
    checkpoint = flowed.lake.read("ops.checkpoints").where("table = 'app.board_pins'").first()["checkpoint_ts"]
    assert newest <= checkpoint


def test_the_burst_shows_in_trending(flowed):
    import json

    burst = json.loads((flowed.truth / "summary.json").read_text())
    topics = {row["pin_id"]: row["topic"] for row in flowed.told("pins").to_pylist()}
    top = rows(flowed.gold("trending").where(f"category = '{burst['burst_category']}' and rank <= 10"))
    assert sum(topics[row["pin_id"]] == burst["burst_topic"] for row in top) >= 5, top


def test_every_feed_row_has_a_reason_and_every_gold_table_was_judged(flowed):
    assert flowed.gold("home_feed").where("reason is null").count() == 0
    judged = {row.suite for row in flowed.lake.read("ops.checks").select("suite").distinct().collect()}
    assert {f"gold.{name}" for name in GOLD} <= judged
    assert "generation" in judged


@pytest.mark.parametrize("name", GOLD)
def test_gold_is_read_without_a_jvm(flowed, name):
    import polars
    from deltalake import DeltaTable

    path = flowed.lake.path(f"gold.{name}")
    there = flowed.lake.read(f"gold.{name}").count()
    assert DeltaTable(path).to_pyarrow_dataset().count_rows() == there
    assert polars.read_delta(path).height == there


def test_the_store_serves_what_the_tables_say(flowed):
    from jobs.serving.reader import Reader

    reader = Reader.open(flowed.options["store"])
    users = [row.user_id for row in flowed.gold("home_feed").select("user_id").distinct().orderBy("user_id").take(20)]
    table = flowed.gold("home_feed").where(F.col("user_id").isin(users)).orderBy("user_id", "position")
    told: dict[int, list[int]] = {}
    for row in rows(table):
        told.setdefault(row["user_id"], []).append(row["pin_id"])
    for user in users:
        feed = reader.home_feed(user)
        assert [item.pin_id for item in feed.items] == told[user]
        assert str(feed.as_of) == str(flowed.cut)
        assert all(reader.card(item.pin_id) is not None for item in feed.items)
    pin = flowed.gold("related_pins").orderBy("pin_id").first().pin_id
    assert reader.related(pin).items
    assert reader.home_feed(10**12).fallback


@pytest.mark.long
def test_again_gives_the_same_tables_and_the_same_generation(flowed):
    from jobs.serving.stores import open_store

    cuts = [flowed.cut, flowed.cut - timedelta(days=flowed.settings.ranking.horizon_days)]
    before = {(name, cut): checksum(flowed.gold(name, cut)) for name in GOLD for cut in cuts}
    store = open_store("rocksdb", flowed.options["store"])
    served, kept = store.read_pointer(), store.generations()
    flowed.again(force=True)
    after = {(name, cut): checksum(flowed.gold(name, cut)) for name in GOLD for cut in cuts}
    assert {key for key in before if before[key] != after[key]} == set()
    assert store.generations() == kept
    assert store.read_pointer().current == served.current
