"""From source files to a served generation: what must hold always, on a small world, against its truth."""

import pytest
from pyspark.sql import functions as F

from jobs.schema.tables import TABLES
from tests.asserts import assert_no_cross_join_ran

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(1800)]

GOLD = [name.removeprefix("gold.") for name in TABLES if name.startswith("gold.")]


@pytest.fixture
def flow(small_flow):
    return small_flow


def test_no_query_of_the_flow_joins_every_row_with_every_row(flow):
    assert_no_cross_join_ran(flow.lake.spark)


def rows(frame):
    return frame.toArrow().to_pylist()


def test_no_feed_breaks_a_rule_of_the_truth(flow):
    pins = {row["pin_id"]: row for row in flow.truth_table("pins").to_pylist()}
    gone = {row["user_id"] for row in flow.truth_table("users").to_pylist() if row["gone_at"] is not None}
    blocks = {(row["user_id"], row["blocked_id"]) for row in flow.truth_table("blocks").to_pylist()}
    blocks |= {(b, a) for a, b in blocks}
    saved = flow.lake.read("silver.app_board_pins").where("not _deleted").select("user_id", "pin_id").distinct()
    feeds = flow.gold("home_feed").select("user_id", "position", "pin_id")
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
    owners = feeds.join(flow.gold("pin_stats").select("pin_id", "creator_id"), "pin_id")
    most = owners.groupBy("user_id", "creator_id").count().agg(F.max("count")).first()[0]
    assert most <= flow.settings.ranking.owner_cap


def test_no_related_pin_is_private_deleted_or_a_double(flow):
    pins = {row["pin_id"]: row for row in flow.truth_table("pins").to_pylist()}
    doubles = {(row["pin_id"], row["original_id"]) for row in flow.truth_table("duplicates").to_pylist()}
    doubles |= {(b, a) for a, b in doubles}
    related = rows(flow.gold("related_pins").select("pin_id", "related_pin_id"))
    assert len(related) > 5_000
    assert all(pins[row["related_pin_id"]]["servable"] for row in related)
    assert all(pins[row["pin_id"]]["visibility"] == "public" for row in related)
    shown = [row for row in related if (row["pin_id"], row["related_pin_id"]) in doubles]
    assert len(shown) / len(doubles) < 0.02, shown[:5]


def test_what_came_in_is_applied_superseded_pending_or_quarantined(flow):
    ingests = "job in ('ingest.cdc', 'ingest.kafka') and status = 'ok'"
    runs = flow.lake.read("ops.runs").where(ingests).select("job", "counts").collect()
    for run in runs:
        counts = dict(run.counts)
        parts = ("applied", "superseded", "pending", "quarantined")
        assert counts["read"] == sum(counts.get(part, 0) for part in parts), (run.job, counts)
        assert counts["quarantined"] > 0, "the world plants bad rows"
    assert flow.lake.read("ops.checkpoints").where("blocked_reason is not null").isEmpty(), "nothing planted blocks"
    bad = flow.lake.read("ops.quarantine")
    assert bad.where("raw is null or reason is null or path is null").count() == 0


def test_silver_is_the_state_at_the_checkpoint(flow):
    live = flow.lake.read("silver.app_pins").where("not _deleted")
    pins = flow.truth_table("pins").to_pylist()
    assert live.count() == sum(row["deleted_at"] is None for row in pins)
    boards = {row["id"]: row["privacy"] for row in rows(flow.lake.read("silver.app_boards").where("not _deleted"))}
    assert boards == {row["board_id"]: row["privacy"] for row in flow.truth_table("boards").to_pylist()}
    newest = flow.lake.read("silver.app_board_pins").agg(F.max("_commit_ts")).first()[0]
    checkpoint = flow.lake.read("ops.checkpoints").where("table = 'app.board_pins'").first()["checkpoint_ts"]
    assert newest <= checkpoint


def test_every_feed_row_has_a_reason_and_every_gold_table_is_validated(flow):
    assert flow.gold("home_feed").where("reason is null").count() == 0
    validated = {row.suite for row in flow.lake.read("ops.checks").select("suite").distinct().collect()}
    assert {f"gold.{name}" for name in GOLD} <= validated
    assert "generation" in validated


def test_gold_is_read_without_a_jvm(flow):
    import polars
    from deltalake import DeltaTable

    for name in GOLD:
        path = flow.lake.path(f"gold.{name}")
        count = flow.lake.read(f"gold.{name}").count()
        assert DeltaTable(path).to_pyarrow_dataset().count_rows() == count, name
        assert polars.read_delta(path).height == count, name


def test_the_store_serves_the_rows_of_the_tables(flow):
    from jobs.serving.reader import Reader

    reader = Reader.open(flow.options["store"])
    users = [row.user_id for row in flow.gold("home_feed").select("user_id").distinct().orderBy("user_id").take(20)]
    table = flow.gold("home_feed").where(F.col("user_id").isin(users)).orderBy("user_id", "position")
    lists: dict[int, list[int]] = {}
    for row in rows(table):
        lists.setdefault(row["user_id"], []).append(row["pin_id"])
    for user in users:
        feed = reader.home_feed(user)
        assert [item.pin_id for item in feed.items] == lists[user]
        assert str(feed.as_of) == str(flow.as_of)
        assert all(reader.card(item.pin_id) is not None for item in feed.items)
    pin = flow.gold("related_pins").orderBy("pin_id").first().pin_id
    assert reader.related(pin).items
    assert reader.home_feed(10**12).fallback
