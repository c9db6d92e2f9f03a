"""Events that come late, or from clocks that are wrong: they land in their own day; only what reads it runs again."""

import json
from datetime import date, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from jobs.engine.runner import Runner
from jobs.ingest.kafka import job as kafka
from jobs.schema.job import Job
from jobs.validate.checks import Validator

pytestmark = [pytest.mark.spark, pytest.mark.slow]

TS, DAY_MS = 1_791_331_721_136, 86_400_000  # 2026-10-07 UTC
FIRST = date(2026, 10, 7)
MODULE = """
from pyspark.sql import functions as F


def rise(tables, context):
    events = next(iter(tables.values()))
    rows = events.groupBy().agg(F.count(F.lit(1)).cast("int").alias("rank"))
    return rows.selectExpr("'garden' AS category", "5L AS pin_id", "rank + 1 AS rank", "1F AS score",
                           "1D AS observed", "1D AS expected")
"""
JOB = Job(
    name="candidates.trending_pins",
    summary="Counts the events before the cut.",
    function="fake_late:rise",
    reads=("silver.pin_events",),
    writes="gold.trending",
)


def event(name, ts, **more):
    body = {"event_id": name, "kind": "save", "user_id": 1, "pin_id": 7, "ts": ts}
    return json.dumps(body | more).encode()


@pytest.fixture
def arrive(work, tmp_path):
    """Return a function that writes an archive file of messages and ingests it."""

    def ingest(*lines):
        folder = tmp_path / "secor" / "pin_events" / "dt=2026-10-07"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"1_0_{len(list(folder.iterdir())):020d}").write_bytes(b"\n".join(lines) + b"\n")
        return kafka.run(work(kafka=[str(tmp_path / "secor")])).counts

    return ingest


def files(lake):
    """Return the files of each day."""
    found = {}
    for file in DeltaTable(lake.path("silver.pin_events")).file_uris():
        found.setdefault(Path(file).parent.name.removeprefix("ds="), set()).add(file)
    return found


def test_a_late_event_changes_its_day_alone_and_reruns_the_cuts_after_it(lake, arrive, settings, tmp_path, monkeypatch):
    (tmp_path / "fake_late.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))

    def ran(cut):
        runner = Runner(lake, settings, Validator(tmp_path / "expectations", settings, tmp_path))
        return runner.run(JOB, FIRST + timedelta(days=cut)).status

    strange = event("x1", TS, kind="teleport", pin_id={"of": "another form"})
    more = event("e0", TS, device={"os": "é"})
    counts = arrive(strange, more, event("x2", TS, kind=None), *[event(f"e{n}", TS + n * DAY_MS) for n in range(1, 4)])
    assert (counts["applied"], counts["quarantined"]) == (4, 2)
    unknown_types_are_set_aside_and_unknown_fields_kept(lake, strange)
    cuts = (2, 3)  # the cut n sees days 0 to n - 1
    assert [ran(cut) for cut in cuts] == ["ok"] * 2
    before = files(lake)
    assert [ran(cut) for cut in cuts] == ["up_to_date"] * 2

    arrive(event("late", TS + 2 * DAY_MS), event("ahead", TS + 300 * DAY_MS))
    after = files(lake)
    assert {day for day in after if after[day] != before.get(day)} == {"2026-10-09", "2027-08-03"}
    assert [ran(cut) for cut in cuts] == ["up_to_date", "ok"], "a clock that is ahead touches no cut before its day"
    ranks = {str(row["as_of"]): row["rank"] for row in lake.rows("gold.trending", "as_of", "rank")}
    assert ranks == {"2026-10-09": 3, "2026-10-10": 5}

    lake.delta("silver.pin_events").optimize().executeCompaction()
    assert [ran(cut) for cut in cuts] == ["up_to_date"] * 2, "joining files changes no rows"


def unknown_types_are_set_aside_and_unknown_fields_kept(lake, strange):
    bad = {row["reason"]: row for row in lake.rows("ops.quarantine", "reason", "raw", "detail")}
    assert set(bad) == {"unknown_event_type", "missing_field"}
    assert bad["unknown_event_type"]["raw"] == strange
    assert "kind is teleport; known are impression" in bad["unknown_event_type"]["detail"]
    kept = lake.read("bronze.kafka").selectExpr("get_json_object(cast(value as string), '$.device.os') os")
    assert {row["os"] for row in kept.collect()} == {None, "é"}
