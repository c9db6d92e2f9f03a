"""The first screen: what each state of a lake is called."""

from datetime import UTC, date, datetime

import pytest

from jobs.flow import FLOW
from jobs.report.headline import headline
from jobs.report.input_faults import BlockedTable, Fault
from jobs.report.quality import Estimate, Quality
from jobs.report.run_snapshot import Generation, JobRun, RunSnapshot

DAY, AT = date(2026, 11, 1), datetime(2026, 11, 1, 4, tzinfo=UTC)
SURFACES = {"home_feed": {"keys": 1}, "related_pins": {"keys": 2_000}, "fallback": {"keys": 3}}
MADE = {"content": {"keys": 2_004, "bytes": 5_000_000, "surfaces": SURFACES}, "arms": {"": 1}}


def generation(name="g1", status="served", as_of=DAY):
    return Generation(name, as_of, status, AT, MADE)


def runs(broken=(), failed=None, jobs=FLOW):
    rows = []
    for number, job in enumerate(jobs):
        row = {"run_id": job.name, "status": "ok", "started_at": AT.replace(minute=number), "counts": {}}
        row |= {"counts": {"read": 1_000}} if job.name == "ingest.cdc" else {}
        row |= {"status": "failed", "error": "Broke."} if job.name == failed else {}
        mine = [check for check in broken if check["suite"] == job.writes]
        rows.append(JobRun(job, row, tuple(mine) if mine else (check(job.writes, True),)))
    return tuple(rows)


def check(suite, success, severity="critical"):
    return {"suite": suite, "column": "rows", "observed": "3", "success": success, "severity": severity}


def snapshot(made=None, served=None, **more):
    return RunSnapshot(DAY, None, more.pop("runs", runs()), made, served, **more)


def fault(new):
    return Fault("ticdc", "app.pins", "bad_json", 9, new, AT)


def test_a_good_day_is_good_throughout():
    one = generation()
    head = headline(snapshot(one, one), None, [fault(0)], [])
    assert head.tone == "good"
    assert head.title == "Published for 1 November 2026: home feeds for 1 user, related pins beside 2,000 pins"
    assert head.lead == "Every job ran and every check held. It is what the online store serves."
    assert [v.title for v in head.verdicts] == [
        "Published",
        "Not evaluated yet",
        "Every check held",
        "All input was used",
    ]
    assert "2,004 keys, 5.0 MB" in head.verdicts[0].text
    assert head.verdicts[3].text == "1,000 rows read, none quarantined, no table blocked."


def test_a_generation_that_was_rolled_back_is_not_called_served():
    head = headline(snapshot(generation("g2"), generation("g1")), None, [], [])
    assert head.lead == ("Every job ran and every check held. The earlier generation g1 of 2026-11-01 still serves.")


def test_a_refusal_by_the_gate_is_not_called_a_failure_of_a_job():
    old = generation("g0", as_of=date(2026, 10, 31))
    broken = runs(failed="publish.generation")
    head = headline(snapshot(generation(status="refused"), old, runs=broken), None, [], [])
    assert (head.tone, head.title) == ("bad", "The gate refused the lists for 1 November 2026")
    assert head.lead == "The earlier generation g0 of 2026-10-31 still serves."
    assert head.verdicts[0].title == "Refused by the gate"


def test_a_failure_of_a_first_day_says_that_nothing_is_served():
    head = headline(snapshot(runs=runs(failed="ranking.ranked")), None, [], [])
    assert head.title == "The run for 1 November 2026 failed at ranking.ranked"
    assert head.lead == "Nothing has been published before, so nothing is served."


@pytest.mark.parametrize(
    ("broken", "tone", "title"),
    [
        ([check("gold.ranked", False, "warning")], "warn", "1 warning"),
        ([check("gold.ranked", False), check("gold.ranked", False, "warning")], "bad", "1 critical check failed"),
        ([check("gold.ranked", False), check("gold.trending", False)], "bad", "2 critical checks failed"),
    ],
)
def test_checks_that_did_not_hold_are_named_by_the_worst(broken, tone, title):
    verdict = headline(snapshot(generation(), generation(), runs=runs(broken)), None, [], []).verdicts[2]
    assert (verdict.tone, verdict.title) == (tone, title)
    assert "gold.ranked: rows is 3" in verdict.text


@pytest.mark.parametrize(
    ("faults", "blocked", "tone", "title"),
    [
        ([fault(2)], [], "note", "2 rows quarantined"),
        ([fault(2)], [BlockedTable("app.pins", "its key changed")], "warn", "1 source table blocked"),
        ([fault(0)], [], "good", "All input was used"),
    ],
)
def test_what_ingest_could_not_use_is_told(faults, blocked, tone, title):
    verdict = headline(snapshot(generation(), generation()), None, faults, blocked).verdicts[3]
    assert (verdict.tone, verdict.title) == (tone, title)


@pytest.mark.parametrize(
    ("gap", "tone", "title"),
    [
        (0.2, "good", "Better than popularity"),
        (-0.2, "bad", "Worse than popularity"),
        (0.0, "warn", "No clear difference to popularity"),
    ],
)
def test_quality_is_called_by_the_paired_difference(gap, tone, title):
    means = {"home_feed": 0.3 + gap, "popularity": 0.3, "home_feed_minus_popularity": gap}
    figures = {
        (model, metric, 10): Estimate(v, v - 0.05, v + 0.05, 40)
        for model, v in means.items()
        for metric in ("hr", "ndcg")
    }
    verdict = headline(snapshot(generation(), generation()), Quality(DAY, figures, ()), [], []).verdicts[1]
    assert (verdict.tone, verdict.title) == (tone, title)
