"""Too much that cannot be read holds a table; what was set aside can be read again; every table says how far it is."""

import pytest

from jobs.ingest.kafka import job as kafka
from jobs.ingest.loading.replay import Wanted
from jobs.ingest.status import status
from jobs.ingest.tidb import job as cdc
from jobs.settings.ingest import ErrorThreshold, TableRules
from tests.spark.ingest.test_cdc import adds_up, line, small, state
from tests.spark.ingest.test_kafka import event

pytestmark = pytest.mark.spark


@pytest.fixture
def strict(settings):
    """One bad row in three is too much for app.t, anything goes for others."""
    tables = {"app.t": TableRules(quarantine=ErrorThreshold(rows=1, ratio=0.3))}
    return settings.model_copy(update={"ingest": settings.ingest.model_copy(update={"tables": tables})})


def test_a_table_of_which_too_much_cannot_be_read_is_blocked_until_that_is_let_go(lake, work, strict, tmp_path):
    lines = [[line("INSERT", 1, 10), "{broken"], [line("INSERT", 2, 11), line("INSERT", 3, 12), "{again"]]
    root = small(tmp_path / "feed", lines)
    outcome = cdc.run(work(ticdc=root, settings=strict))
    counts = adds_up(outcome)
    assert {name: counts[name] for name in ("pending", "quarantined", "blocked")} == {
        "pending": 3, "quarantined": 2, "blocked": 1,
    }  # fmt: skip
    assert "2 of 5 rows (40%) cannot be read: bad_json 2" in outcome.detail["blocked"]["app.t"]
    assert not lake.exists("silver.app_t"), "never served as if it were empty"
    assert lake.read("ops.quarantine").where("raw is not null").count() == 2
    again = adds_up(cdc.run(work(ticdc=root, settings=strict)))
    assert (again["blocked"], again["pending"], again["files"]) == (1, 3, 0)
    assert adds_up(cdc.run(work(ticdc=root)))["applied"] == 3
    assert [table.blocked_reason for table in status(lake.root)] == [None]


def test_rows_read_again_after_a_mend_leave_quarantine_and_reach_silver(lake, work, tmp_path):
    good, odd = line("INSERT", 1, 10), line("INSERT", 2, 11).replace('"v"', '"w"')
    root = small(tmp_path / "feed", [[good, odd, "{broken"], [line("INSERT", 3, 12)]])
    assert adds_up(cdc.run(work(ticdc=root)))["quarantined"] == 2
    # the same length, as a source would not do it: what is mended in practice is the schema file or a reader
    mended = [[good, line("INSERT", 2, 11), "{broken"], [line("INSERT", 3, 12)]]
    small(tmp_path / "feed", mended)
    counts = adds_up(cdc.run(work(ticdc=root, replay=Wanted(table="app.t"))))
    assert (counts["read"], counts["applied"], counts["quarantined"], counts["files"]) == (2, 1, 1, 1)
    assert {key for key, *_ in state(lake)} == {1, 2, 3}
    assert lake.read("bronze.ledger").count() == 3, "only what was in quarantine came again"
    left = lake.read("ops.quarantine").select("row_no", "reason", "run_id").collect()
    assert [(row["row_no"], row["reason"], row["run_id"]) for row in left] == [(3, "bad_json", "run-2")]
    again = adds_up(cdc.run(work(ticdc=root, replay=Wanted(reason="bad_value"))))
    assert (again["read"], again["files"]) == (0, 0), "nothing of that reason is left"


def test_messages_read_again_reach_silver_once(lake, work, tmp_path):
    folder = tmp_path / "secor/pin_events/dt=2026-10-07"
    folder.mkdir(parents=True)
    broken = event(2).replace(b"}", b" ")
    (folder / "1_0_00000000000000000000").write_bytes(event(1) + b"\n" + broken + b"\n")
    first = kafka.run(work(kafka=[str(tmp_path / "secor")])).counts
    assert (first["applied"], first["quarantined"]) == (1, 1)
    (folder / "1_0_00000000000000000000").write_bytes(event(1) + b"\n" + event(2) + b"\n")
    again = kafka.run(work(kafka=[str(tmp_path / "secor")], replay=Wanted())).counts
    assert (again["applied"], again["quarantined"]) == (1, 0)
    assert lake.read("silver.pin_events").count() == 2
    assert lake.read("ops.quarantine").isEmpty()


def test_each_table_says_how_far_it_is_and_what_was_done_for_it(lake, work, tmp_path):
    lines = [[line("INSERT", 1, 10), "{broken"], [line("INSERT", 1, 12), line("INSERT", 3, 2000)]]
    root = small(tmp_path / "feed", lines)
    cdc.run(work(ticdc=root))
    [table] = status(lake.root)
    assert (table.table, table.files, table.applied, table.superseded) == ("app.t", 2, 1, 1)
    assert (table.pending, table.quarantined, table.blocked_reason) == (1, 1, None)
    small(tmp_path / "feed", lines, checkpoint=2000 << 18)
    cdc.run(work(ticdc=root))
    cdc.run(work(ticdc=root))
    [table] = status(lake.root)
    assert (table.files, table.applied, table.superseded, table.pending, table.quarantined) == (2, 2, 1, 0, 1)
    assert table.checkpoint.timestamp() == 2
    assert table.plain()["lag"] > 0
