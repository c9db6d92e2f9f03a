"""From candidates to feeds and drops, on a small made-up lake."""

import numpy as np
import pytest

from jobs.engine.context import Context
from jobs.ranking import arms
from jobs.ranking import xgb as boost
from jobs.ranking.features import FEATURES, Known, pair_features
from jobs.ranking.merge import merged
from jobs.ranking.ranked import feed_drops, home_feed, ranked
from jobs.settings import Settings
from jobs.settings.ranking import Ranking
from tests.asserts import assert_no_cross_join
from tests.builders import CUT, build

pytestmark = pytest.mark.spark
USERS, PINS = 12, 60
CTX = Context(Settings(ranking=Ranking(feed_length=15, owner_cap=3, mmr_pool=30)), CUT.date())
CATEGORIES = ("garden", "food", "travel")


@pytest.fixture(scope="module")
def tables(spark):
    """12 users (the last inactive), 60 pins of 12 creators; content proposes every pin to every user."""
    random = np.random.default_rng(1)
    pins = [
        {
            "pin_id": pin,
            "creator_id": 100 + pin % 12,
            "category": CATEGORIES[pin % 3],
            # pins 50-54 show the images of 0-4, and 55-59 near-duplicates of those of 5-9
            "image_signature": f"s{pin % 50}" if pin < 55 else f"near{pin}",
            "visibility": "secret" if pin == 33 else "protected" if pin == 34 else "public",
            "popularity": float(pin % 7),
        }
        for pin in range(PINS)
    ]
    profiles = [
        {"user_id": user, "is_active": user < 11, "categories": {"garden": 0.7, "food": 0.3}, "taste": [1.0, 0.0]}
        for user in range(USERS)
    ]
    proposed = []
    for user in range(USERS):
        for rank, pin in enumerate(random.permutation(PINS).tolist(), 1):
            proposed.append({"source": "content", "user_id": user, "pin_id": pin, "rank": rank,
                             "evidence_kind": "pin", "evidence_id": 1000 + pin})  # fmt: skip
    proposed += [{"source": "trending", "user_id": u, "pin_id": 5, "evidence_kind": "category"} for u in range(USERS)]
    clusters = [{"image_signature": f"near{pin}", "cluster_id": pin % 50} for pin in range(55, 60)]
    clusters += [{"image_signature": f"s{pin}", "cluster_id": pin} for pin in range(50) if pin != 3]
    vectors = random.normal(size=(PINS, 2))
    model = boost.train_on_node(
        random.normal(size=(500, len(FEATURES))).astype(np.float32),
        random.random(500).astype(np.float32),
        FEATURES,
        CTX.settings.ranking.ranker.model_copy(update={"trees": 10}),
    )
    ranker = {"model": model, "features": list(FEATURES)}
    return {
        "gold.candidates": build(spark, "gold.candidates", proposed),
        "gold.ranker": build(spark, "gold.ranker", [ranker]),
        "gold.pin_stats": build(spark, "gold.pin_stats", pins),
        "gold.image_clusters": build(spark, "gold.image_clusters", clusters, image_id=1),
        "gold.user_profile": build(spark, "gold.user_profile", profiles),
        "gold.cf_factors": build(spark, "gold.cf_factors"),
        "gold.interactions": build(spark, "gold.interactions", [{"user_id": 0, "pin_id": 7, "saves": 1}], weight=1.0),
        "silver.pin_embeddings": build(
            spark, "silver.pin_embeddings", [{"pin_id": p, "embedding": vectors[p]} for p in range(PINS)]
        ),
        "silver.app_users": build(spark, "silver.app_users", [{"id": 100 + n} for n in range(12)]),
        "silver.app_user_follows": build(spark, "silver.app_user_follows", [{"user_id": 0, "followee_id": 105}]),
        "silver.app_blocks": build(spark, "silver.app_blocks"),
    }


@pytest.fixture(scope="module")
def rows(tables):
    return ranked(tables, CTX).collect()


def test_every_candidate_of_every_active_user_is_accounted_for_once(rows):
    assert len(rows) == 11 * PINS
    assert len({(row["user_id"], row["pin_id"]) for row in rows}) == len(rows)
    assert all((row["rule"] is None) or (row["position"] is None) for row in rows)


def test_a_feed_is_whole_in_order_and_free_of_what_rules_forbid(rows):
    for user in range(11):
        feed = sorted((r for r in rows if r["user_id"] == user and r["position"]), key=lambda r: r["position"])
        assert [row["position"] for row in feed] == list(range(1, 16))
        assert not {33, 34} & {row["pin_id"] for row in feed}
        images = [row["pin_id"] % 50 for row in feed]
        assert len(set(images)) == len(images)
        creators = [row["creator_id"] for row in feed]
        assert max(map(creators.count, creators)) <= 3
        assert all(row["reason"] for row in feed)
    dropped = {row["rule"] for row in rows if row["pin_id"] in {33, 34}}
    assert dropped == {"secret", "protected"}
    assert [r["rule"] for r in rows if (r["user_id"], r["pin_id"]) in {(0, 7), (0, 57)}] == ["saved", "saved_image"]


def test_the_result_is_the_same_under_other_partitions(tables, rows, spark):
    moved = ("gold.candidates", "gold.pin_stats", "silver.pin_embeddings")
    other = ranked(tables | {name: tables[name].repartition(3) for name in moved}, CTX)
    assert sorted(other.collect(), key=str) == sorted(rows, key=str)


def test_the_plan_joins_by_keys_only(tables):
    assert_no_cross_join(ranked(tables, CTX))


def test_without_a_model_the_sources_ranks_decide(tables, spark):
    bare = ranked({**tables, "gold.ranker": build(spark, "gold.ranker", [{"features": list(FEATURES)}])}, CTX)
    made = bare.collect()
    for user in range(11):
        mine = [row for row in made if row["user_id"] == user and row["rule"] is None]
        first = next(row for row in mine if row["position"] == 1)
        assert first["score"] == max(row["score"] for row in mine)
    # pin 5 has two sources: its score is the sum of both votes
    vote = next(row for row in made if (row["user_id"], row["pin_id"]) == (3, 5))
    assert vote["sources"] == ["trending", "content"]
    assert vote["score"] > 1.0


def test_reasons_follow_the_most_telling_evidence(spark):
    proposed = [
        {"pin_id": 1, "source": "collaborative", "rank": 1},
        {"pin_id": 1, "source": "content", "rank": 9, "evidence_kind": "pin", "evidence_id": 77},
        {"pin_id": 2, "source": "fresh", "rank": 3, "evidence_kind": "user", "evidence_id": 55},
        {"pin_id": 2, "source": "trending", "rank": 1, "evidence_kind": "category"},
        {"pin_id": 3, "source": "trending", "rank": 2, "evidence_kind": "category"},
        {"pin_id": 4, "source": "fresh", "rank": 2, "evidence_kind": "category", "evidence_id": 5},
        {"pin_id": 5, "source": "collaborative", "rank": 2},
        {"pin_id": 6, "source": "content", "rank": 2, "evidence_kind": "pin", "evidence_id": 4},
        {"pin_id": 6, "source": "search", "rank": 1, "evidence_kind": "pin", "evidence_id": 9},
    ]
    made = merged(build(spark, "gold.candidates", proposed, user_id=1), Ranking()).collect()
    found = {row["pin_id"]: (row["reason"], row["reason_id"], row["sources"]) for row in made}
    assert found == {
        1: ("save", 77, ["collaborative", "content"]),
        2: ("follow", 55, ["trending", "fresh"]),
        3: ("trending", None, ["trending"]),
        4: ("fresh", None, ["fresh"]),
        5: ("taste", None, ["collaborative"]),
        6: ("save", 9, ["search", "content"]),
    }


def test_features_are_what_the_tables_say(tables):
    pairs = tables["gold.candidates"].where("source = 'trending' AND user_id < 2").select("user_id", "pin_id")
    found = {row["user_id"]: row for row in pair_features(pairs, Known.of(tables)).collect()}
    assert found[0]["creator_followed"] == 1.0
    assert found[1]["creator_followed"] == 0.0
    assert found[0]["category_share"] == 0.0  # pin 5 is of travel
    assert found[0]["log_popularity"] == pytest.approx(np.log1p(5))
    assert found[0]["cf_score"] is None
    embedding = tables["silver.pin_embeddings"].where("pin_id = 5").first()["embedding"]
    assert found[0]["taste_cosine"] == pytest.approx(float(np.frombuffer(embedding, "<f2")[0]))


def test_feed_and_drops_share_the_candidates_between_them(tables, rows, spark):
    table = {"gold.ranked": spark.createDataFrame(rows, ranked(tables, CTX).schema)}
    feed, drops = home_feed(table, CTX).collect(), feed_drops(table, CTX).collect()
    assert len(feed) == 11 * 15
    assert len(feed) + len(drops) == len(rows)
    assert {row["rule"] for row in drops} >= {"secret", "protected", "saved", "owner_cap", "length"}
    few = Context(Settings(ranking=Ranking(drops_per_user=2)), CTX.as_of)
    kept = feed_drops(table, few).where("user_id = 0").collect()
    scores = sorted((row["score"] for row in rows if row["user_id"] == 0 and row["position"] is None), reverse=True)
    assert sorted((row["score"] for row in kept), reverse=True) == scores[:2]


def test_arms_take_their_shares_and_keep_their_users(spark):
    users = spark.range(20_000).withColumnRenamed("id", "user_id")
    settings = Ranking(arms={"control": 0.7, "a": 0.2, "diverse": 0.1})
    first = {row["user_id"]: row["arm"] for row in users.select("user_id", arms.arm(settings).alias("arm")).collect()}
    again = {row[0]: row[1] for row in users.repartition(5).select("user_id", arms.arm(settings)).collect()}
    assert first == again
    counts = {name: list(first.values()).count(name) / 20_000 for name in settings.arms}
    assert counts == pytest.approx(settings.arms, abs=0.01)
    wider = Ranking(arms={"control": 0.6, "a": 0.3, "diverse": 0.1})
    moved = {row[0]: row[1] for row in users.select("user_id", arms.arm(wider)).collect()}
    assert {(first[user], moved[user]) for user in first if first[user] != moved[user]} == {("control", "a")}
    salted = {row[0]: row[1] for row in users.select("user_id", arms.arm(Ranking(arm_salt="x"))).collect()}
    assert salted != first


def test_an_arm_changes_lambda_for_its_users_only(spark):
    frame = spark.createDataFrame([("control",), ("diverse",)], "arm string")
    settings = Ranking(mmr_lambda=0.9, arm_settings={"diverse": {"mmr_lambda": 0.25}})
    found = dict(frame.select("arm", arms.mmr_lambda(settings).alias("l")).collect())
    assert found == pytest.approx({"control": 0.9, "diverse": 0.25})
