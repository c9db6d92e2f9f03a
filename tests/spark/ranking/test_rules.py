"""Each rule that looks at one candidate on a case made for it, and their order."""

import pytest
from pyspark.sql import functions as F

from jobs.ranking.rules import SINGLE, Facts, first_rule, flagged, with_image_cluster
from tests.builders import build

pytestmark = pytest.mark.spark
ME = 1
# pin -> (creator, visibility, image); the pin's number names the rule it is made for
PINS = {
    10: (50, "public", "a"),
    11: (50, "public", "b"),
    12: (ME, "public", "c"),
    14: (50, "secret", "e"),
    15: (50, "protected", "f"),
    16: (50, None, "g"),
    17: (60, "public", "h"),
    18: (61, "public", "i"),
    19: (62, "public", "j"),
    20: (63, "public", "k"),
    21: (50, "public", "a"),
    22: (50, "public", "l"),
    23: (50, "public", None),
    24: (None, "public", None),
    25: (64, "public", None),
}
EXPECTED = {
    10: "saved",
    11: "hidden",
    12: "own",
    13: "deleted",
    14: "secret",
    15: "protected",
    16: "not_public",
    17: "blocked",
    18: "blocked",
    19: "creator_inactive",
    20: "creator_inactive",
    21: "saved_image",
    22: None,
    23: None,
    24: None,  # no creator
    25: None,  # the creator's status is not known
}


@pytest.fixture(scope="module")
def facts(spark):
    pins = [
        {"pin_id": pin, "creator_id": creator, "visibility": visibility, "image_signature": image}
        for pin, (creator, visibility, image) in PINS.items()
    ]
    users = [{"id": user} for user in (ME, 50, 60, 61)] + [{"id": 62, "status": "suspended"}]  # 63 is gone
    users += [{"id": 64, "status": None}]
    return Facts(
        interactions=build(
            spark,
            "gold.interactions",
            [{"user_id": ME, "pin_id": 10, "saves": 1}, {"user_id": ME, "pin_id": 11, "hides": 1}],
            weight=0.0,
        ),
        pins=with_image_cluster(build(spark, "gold.pin_stats", pins), build(spark, "gold.image_clusters", [])),
        app_users=build(spark, "silver.app_users", users),
        blocks=build(
            spark, "silver.app_blocks", [{"user_id": ME, "blocked_id": 60}, {"user_id": 61, "blocked_id": ME}]
        ),
    )


def outcome(spark, facts, pins, user=ME):
    """Return pin -> rule for candidates scored by falling pin number."""
    scored = spark.createDataFrame(
        [(user, pin, -float(pin)) for pin in pins], "user_id bigint, pin_id bigint, score float"
    )
    known = facts.pins.select("pin_id", "creator_id", "image_cluster", "visibility", F.lit(True).alias("pin_known"))
    candidates = flagged(scored.join(known, "pin_id", "left"), facts)
    return {row["pin_id"]: row["rule"] for row in candidates.select("pin_id", first_rule().alias("rule")).collect()}


def test_every_rule_that_looks_at_one_pin_fires_on_its_case_and_on_no_other(spark, facts):
    assert outcome(spark, facts, EXPECTED) == EXPECTED
    assert {rule for rule in EXPECTED.values() if rule} == {rule.name for rule in SINGLE}


def test_the_first_rule_in_order_is_the_one_named(spark):
    """A pin against which every rule speaks is dropped by the first; that one silenced, by the next, and so on."""
    flags = "saved, hidden, creator_id, pin_known, visibility, blocked, creator_status, image_saved"
    cases = [
        ("saved", "true, true, 1, null, 'secret', true, 'suspended', true"),
        ("hidden", "false, true, 1, null, 'secret', true, 'suspended', true"),
        ("own", "null, null, 1, null, 'secret', true, 'suspended', true"),
        ("deleted", "null, null, 2, null, 'secret', true, 'suspended', true"),
        ("secret", "null, null, 2, true, 'secret', true, 'suspended', true"),
        ("protected", "null, null, 2, true, 'protected', true, 'suspended', true"),
        ("not_public", "null, null, 2, true, 'odd', true, 'suspended', true"),
        ("blocked", "null, null, 2, true, 'public', true, 'suspended', true"),
        ("creator_inactive", "null, null, 2, true, 'public', null, 'suspended', true"),
        ("saved_image", "null, null, 2, true, 'public', null, 'active', true"),
    ]
    values = ", ".join(f"(1L, {n}L, 1f, 'i{n}', {row})" for n, (_, row) in enumerate(cases))
    frame = spark.sql(f"SELECT * FROM VALUES {values} AS t(user_id, pin_id, score, image_cluster, {flags})")
    named = [row["rule"] for row in frame.orderBy("pin_id").select(first_rule().alias("rule")).collect()]
    assert named == [rule for rule, _ in cases] == [rule.name for rule in SINGLE]
