"""Too much that cannot be read holds a table; what was set aside can be read again; every table says how far it is."""

import pytest

from jobs.ingest.loading.replay import Wanted
from jobs.ingest.status import status
from jobs.ingest.tidb import job as cdc
from jobs.settings.ingest import ErrorThreshold, TableRules
from tests.spark.ingest.test_cdc import adds_up, line, small, state

pytestmark = pytest.mark.spark


@pytest.fixture
def strict(settings):
    """One bad row in three is too much for app.t, anything goes for others."""
    tables = {"app.t": TableRules(quarantine=ErrorThreshold(rows=1, ratio=0.3))}
    return settings.model_copy(update={"ingest": settings.ingest.model_copy(update={"tables": tables})})


GOOD, ODD = line("INSERT", 1, 10), line("INSERT", 2, 11).replace('"v"', '"w"')
REST = [line("INSERT", 1, 12), line("INSERT", 3, 13), line("INSERT", 4, 2000)]


def test_too_much_that_cannot_be_read_blocks_a_table_until_it_is_let_go_or_mended(lake, work, strict, tmp_path):
    root = small(tmp_path / "feed", [[GOOD, ODD, "{broken"], REST])
    is_blocked(lake, lambda: cdc.run(work(ticdc=root, settings=strict)))
    counts = adds_up(cdc.run(work(ticdc=root)))
    assert (counts["applied"], counts["superseded"], counts["pending"], counts["blocked"]) == (2, 1, 1, 0), "let go"
    [table] = status(lake.root)
    assert (table.table, table.files, table.applied, table.superseded) == ("app.t", 2, 2, 1)
    assert (table.pending, table.quarantined, table.blocked_reason) == (1, 2, None)

    # the same length, as a source would not do it: what is mended in practice is the schema file or a reader
    small(tmp_path / "feed", [[GOOD, line("INSERT", 2, 11), "{broken"], REST], checkpoint=2000 << 18)
    counts = adds_up(cdc.run(work(ticdc=root, replay=Wanted(table="app.t"))))
    assert (counts["read"], counts["applied"], counts["quarantined"], counts["files"]) == (2, 2, 1, 1)
    assert {key for key, *_ in state(lake)} == {1, 2, 3, 4}
    assert lake.read("bronze.ledger").count() == 5, "only what was in quarantine came again"
    left = lake.rows("ops.quarantine", "row_no", "reason", "run_id", "raw")
    assert left == [{"row_no": 3, "reason": "bad_json", "run_id": "run-4", "raw": b"{broken"}]
    again = adds_up(cdc.run(work(ticdc=root, replay=Wanted(reason="unknown_column"))))
    assert (again["read"], again["files"]) == (0, 0), "nothing of that reason is left"
    [table] = status(lake.root)
    assert (table.files, table.applied, table.superseded, table.pending, table.quarantined) == (3, 4, 1, 0, 3)
    assert table.checkpoint.timestamp() == 2
    assert table.plain()["lag"] > 0


def is_blocked(lake, run):
    outcome = run()
    counts = adds_up(outcome)
    assert {name: counts[name] for name in ("pending", "quarantined", "blocked")} == {
        "pending": 4, "quarantined": 2, "blocked": 1,
    }  # fmt: skip
    assert "2 of 6 rows (33%) cannot be read: unknown_column 1, bad_json 1" in outcome.detail["blocked"]["app.t"]
    assert not lake.exists("silver.app_t"), "never served as if it were empty"
    assert None not in [row["raw"] for row in lake.rows("ops.quarantine", "raw")]
    again = adds_up(run())
    assert (again["blocked"], again["pending"], again["files"]) == (1, 4, 0)
