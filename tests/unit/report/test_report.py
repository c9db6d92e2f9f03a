"""The report of a lake of a few rows: every figure counted by hand, nothing unescaped, nothing fetched."""

import re
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from jobs.common.errors import ConfigError, TableError
from jobs.flow import FLOW
from jobs.lake.query import Tables
from jobs.report.headline import headline
from jobs.report.page import Places, write_report
from jobs.report.run_snapshot import find
from jobs.serving.codec import card_key, encode_card
from jobs.serving.models import PinCard
from jobs.serving.reader import Reader
from jobs.serving.rocks import RocksStore
from tests.feeds import card, feed, put, related
from tests.pages import Parsed, beside
from tests.tables import append, append_day

GOOD, BAD = date(2026, 11, 1), date(2026, 11, 2)
START = datetime(2026, 11, 1, 4, tzinfo=UTC)
NAME = "g20261101-00000001"
EVIL = "</style><script>alert(1)</script><img src=x onerror=alert(2)>"
SECRET_BOARD = "surprise party for Ann"
ERROR = "gold.ranked: user_id.duplicates is 3, expected {'max_value': 0}. Nothing was committed."
ROWS = {"ingest.cdc": 90, "ingest.kafka": 900, "ranking.ranked": 7, "ranking.home_feed": 3}


def run_row(number, job, day, **more):
    as_of = None if job.stage == "ingest" else day
    at = START + (day - GOOD) + timedelta(minutes=number)
    counts = {"read": 100, "applied": 90, "quarantined": 1, "files": 5} if job.name == "ingest.cdc" else {}
    counts = {"read": 900, "applied": 900, "files": 7} if job.name == "ingest.kafka" else counts
    return {
        "run_id": f"{job.name}-{day}", "job": job.name, "as_of": as_of, "status": "ok", "started_at": at,
        "seconds": 10.0, "output": job.writes, "output_version": 1 if job.writes else None,
        "rows": ROWS.get(job.name, 1), "bytes": 2_000_000, "peak_mb": 1500.0, "inputs": {}, "counts": counts,
        "config_hash": "c", "code_hash": "d",
    } | more  # fmt: skip


def check_row(run_id, suite, success=True, severity="critical", **more):
    return {
        "run_id": run_id, "suite": suite, "as_of": GOOD, "expectation": "expect_column_max_to_be_between",
        "column": "row_count", "severity": severity, "success": success, "observed": "7",
        "expected": '{"min_value": 1.0}', "at": START,
    } | more  # fmt: skip


def fill_ops(root, manifest):
    """Two days: all went well on the first; on the second ranking.ranked failed, and what follows did not run."""
    stop = [job.name for job in FLOW].index("ranking.ranked")
    runs = [run_row(n, job, GOOD) for n, job in enumerate(FLOW)]
    runs += [run_row(n, job, BAD) for n, job in enumerate(FLOW[:stop])]
    failed = {"status": "failed", "rows": None, "bytes": None, "output_version": None, "error": ERROR}
    runs.append(run_row(stop, FLOW[stop], BAD, **failed))
    append(root, "ops.runs", runs)
    checks = [check_row(f"{job.name}-{GOOD}", job.writes) for job in FLOW if job.writes]
    gate = {"column": "coverage", "observed": "0.75", "expected": '{"min_value": 0.5}'}
    checks.append(check_row(f"publish.generation-{GOOD}", "generation", **gate))
    broken = {"success": False, "column": "user_id.duplicates", "observed": "3", "expected": '{"max_value": 0}'}
    checks.append(check_row(f"ranking.ranked-{BAD}", "gold.ranked", **broken))
    append(root, "ops.checks", checks)
    event = {"generation": NAME, "as_of": GOOD, "store": "rocksdb", "manifest": manifest.text()}
    append(root, "ops.generations", [event | {"status": "served", "run_id": "r", "at": START + timedelta(hours=1)}])
    raw = f'{{"name":"{SECRET_BOARD}","privacy":"secret"'.encode()
    faults = [
        {"table": "app.boards", "row_no": 3, "detail": f"near {SECRET_BOARD}", "raw": raw},
        {"table": "app.blocks", "row_no": 4, "detail": "cut short", "raw": b'{"user_id":7,<script>'},
    ]
    common = {"source": "ticdc", "reason": "bad_json", "path": "app/x/CDC1.json", "run_id": f"ingest.cdc-{GOOD}"}
    append(root, "ops.quarantine", [common | fault | {"at": START} for fault in faults])
    seen = {"checkpoint_ts": 1, "batch": 1, "start_ts": 1, "keys": ["id"], "run_id": "r", "status": "blocked"}
    append(
        root,
        "ops.checkpoints",
        [
            seen | {"table": "app.pins", "blocked_reason": "app.pins was blocked", "at": START},
            seen | {"table": "app.pins", "blocked_reason": None, "at": START + timedelta(minutes=1)},
            seen
            | {"table": "app.boards", "blocked_reason": "app.boards is blocked at 7: its key changed", "at": START},
        ],
    )


def gold(root, name, rows):
    append_day(root, name, rows, GOOD)


def fill_gold(root):
    """Three users; seven candidates: three in feeds, two dropped by rules, two without a place."""
    ranked = [
        (1, 11, ["content", "fresh"], None, 1), (1, 12, ["content"], None, 2), (1, 13, ["fresh"], "owner_cap", None),
        (2, 21, ["fresh"], None, 1), (2, 22, ["content"], None, None), (2, 23, ["content", "fresh"], None, None),
        (3, 31, ["content"], "blocked", None),
    ]  # fmt: skip
    names = ("user_id", "pin_id", "sources", "rule", "position")
    gold(root, "gold.ranked", [dict(zip(names, row, strict=True)) | {"score": 1.0} for row in ranked])
    places = [(1, 1, 11), (1, 2, 12), (2, 1, 21)]
    feeds = [{"user_id": u, "position": p, "pin_id": pin, "score": 1.0} for u, p, pin in places]
    gold(root, "gold.home_feed", [row | {"source": "content", "reason": "save", "reason_id": 50} for row in feeds])
    gold(root, "gold.user_profile", [{"user_id": 1, "n_saves": 20, "recent_saves": [50, 51]}, {"user_id": 2}])
    means = {"home_feed": (0.4, 0.05), "popularity": (0.1, 0.02), "home_feed_minus_popularity": (0.3, 0.04)}
    judged = [
        {"model": model, "metric": metric, "k": 10, "value": v, "lower": v - w, "upper": v + w, "users": 40}
        for model, (v, w) in means.items()
        for metric in ("hr", "ndcg")
    ]
    gold(root, "gold.evaluations", judged)
    audit = {"pins": 5000, "left_out": 1, "sampled": 500, "recall": 0.91, "lower": 0.9, "upper": 0.92, "target": 0.98}
    index = {"version": "w1/128/k50/2026-10-29/ab", "probes": 64, "trained_on": date(2026, 10, 29)}
    gold(root, "gold.neighbour_recall", [audit | index])
    gold(root, "gold.related_evaluations", beside())


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A lake and a store with one served generation."""
    folder = tmp_path_factory.mktemp("report")
    store = RocksStore(folder / "store")
    save = {"reasons": ["save", "taste"], "reason_ids": [50, None]}
    odd = PinCard(12, EVIL, "javascript:alert(3)", "garden", "green", 9, "ab")
    pairs = [feed(1, [11, 12], **save), feed(2, [21]), related(11, [21]), (card_key(12), encode_card(odd))]
    pairs += [card(11, "Pin 11"), card(21, "Pin 21"), card(50, "A saved pin")]
    versions = {"gold.home_feed": 1, "gold.user_profile": 1}
    root = str(folder / "lake")
    manifest = put(store, NAME, pairs, inputs=versions, arms={"control": 2})
    fill_gold(root)
    fill_ops(root, manifest)
    return root, Reader(store), folder


@pytest.fixture(scope="module")
def page(world, tmp_path_factory):
    """Return a function that returns the page of a run; each is written once."""
    root, reader, _ = world

    @cache
    def write(wanted=None):
        path, _ = write_report(Places(root, tmp_path_factory.mktemp("out")), reader, wanted)
        html = path.read_text(encoding="utf-8")
        return html, Parsed(html)

    return write


def test_a_good_day_says_what_was_published_and_counts_right(page):
    _, parsed = page(str(GOOD))
    for words in (
        "Published for 1 November 2026: home feeds for 2 users, related pins beside 1 pin",
        "The newest feeds that can be evaluated beat popularity, beyond chance.",
        # 40 % of 40 users (35 to 45), popularity 10 % (8 to 12)
        "Of 40 users who saved something new, 40 % had it among their first 10 places (35.0 to 45.0 %); "
        "by popularity 10 % (8.0 to 12.0 %).",
        "For 3 users the sources proposed 7 pins; the rules let through 5 (71 %); 3 (43 %) stand in a feed.",
        f"{len(FLOW)} jobs, {len(FLOW) // 6} min {10 * len(FLOW) % 60} s of work from 01 Nov 04:00 to "
        f"04:{len(FLOW) - 1} UTC; peak memory 1.5 GB.",
        "Of the true neighbours of 500 pins drawn for this date, compared with all 5,000, the lists hold 91.00 % "
        "(90.00 to 92.00); 98 % is asked for.",
        "They are looked for in 64 cells of an index that is 3 days old. 1 embedding could not be used",
        "fewer are found than asked for, beyond chance",
        "read 1,000, applied 990, quarantined 1, files 12",
        "active users with a feed 0.75 at least 0.5",
        "1 source table blocked",
        "app.boards is blocked at 7: its key changed",
        "Because you saved “A saved pin”",
        "someone with many saves",
    ):
        assert words in parsed.text, words
    assert "app.pins was blocked" not in parsed.text, "it is blocked no more"


def test_the_funnel_by_source_and_rule_is_that_of_the_rows(page):
    _, parsed = page(str(GOOD))
    start = parsed.text.index("rule pairs content fresh")
    assert parsed.text[start:].startswith(
        "rule pairs content fresh no place left in the feed length 2 2 1 "
        "user and creator block each other blocked 1 1 0 too many of one creator owner_cap 1 0 1 "
        "in a feed 3 2 2 proposed 7 5 4"
    )


def test_related_pins_stand_beside_each_source_alone_the_best_first(page):
    _, parsed = page(str(GOOD))
    start = parsed.text.index("Related pins The lists of one horizon earlier")
    part = parsed.text[start:]
    assert "(50 query pins)" in part
    assert "Worth a look: saved by the same people, alone, finds more than the blend, beyond chance." in part
    assert (
        "related pins as shown 20.0 (18.0 to 22.0) 20.0 20.0 20.0 25.0 10.0 40 of 100 "
        "saved by the same people, alone 30.0 (28.0 to 32.0) 30.0 30.0 30.0 25.0 10.0 40 of 100 "
        "looks alike, alone 10.0 (8.0 to 12.0) 10.0 10.0 10.0 - - 0 of 0"
    ) in part


def test_every_job_has_its_row_with_rows_bytes_seconds_peak_and_checks(page):
    html, _ = page(str(GOOD))
    for job in FLOW:
        row = Parsed(html[html.index(f'id="job-{job.name}"') :].split("</summary>")[0]).text
        checks = " 1 passed" if job.stage != "ingest" else ""
        assert row.endswith(f"{job.summary} {ROWS.get(job.name, 1)} 2.0 MB 10 s 1.5 GB{checks}"), row


def test_what_pin_makers_typed_is_text_and_nothing_is_fetched(page):
    html, parsed = page(str(GOOD))
    assert EVIL in parsed.text
    assert "<script" not in html
    assert not {"script", "img", "iframe", "link", "object"} & set(parsed.tags)
    assert not [key for _, key, _ in parsed.attributes if key.startswith("on")]
    assert not [key for _, key, _ in parsed.attributes if key in {"src", "srcset", "data", "action", "poster"}]
    links = {value for _, key, value in parsed.attributes if key == "href" and not value.startswith("#")}
    assert links == {"https://x.example"}, "pins lead to their own pages, and to web pages only"
    assert re.sub(r'href="https://x\.example"', "", html).count("http") == 1, "http-equiv"
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_a_secret_boards_name_stays_in_the_quarantine(page):
    html, parsed = page(str(GOOD))
    assert SECRET_BOARD not in html
    assert "not shown: the table holds what people typed" in parsed.text
    assert '{"user_id":7,<script>' in parsed.text, "a table of ids shows its bytes"


def test_a_failed_run_says_why_and_what_still_serves(page):
    _, parsed = page(str(BAD))
    for words in (
        "The run for 2 November 2026 failed at ranking.ranked",
        f"The earlier generation {NAME} of 2026-11-01 still serves.",
        ERROR,
        "gold.ranked user_id.duplicates is 3, expected at most 0 (critical",
        "Did not run because of it: ranking.home_feed, ranking.feed_drops",
        "What is still served",
        "Nothing was ranked for this date.",
    ):
        assert words in parsed.text, words
    assert "Better than popularity" not in parsed.text.replace("Better than popularity?", "")


def test_without_run_it_is_the_newest_published_cut_and_a_later_failure_is_told(page):
    _, parsed = page()
    assert "Published for 1 November 2026" in parsed.text
    assert f"Since then ranking.ranked failed for 2026-11-02: {ERROR[:60]}" in parsed.text
    assert f"pinlake report ranking.ranked-{BAD}" in parsed.text


def test_a_runs_id_tells_how_things_stood_until_its_job_ran_again(world, tmp_path):
    root, reader, _ = world
    tables = Tables(shutil.copytree(root, tmp_path / "lake").as_posix())
    asked = f"ranking.ranked-{BAD}"
    assert find(tables, asked).until is None
    mended = run_row(60, next(job for job in FLOW if job.name == "ranking.ranked"), BAD, run_id="mended")
    append(tables.root, "ops.runs", [mended])
    assert find(tables, str(BAD)).run("ranking.ranked").row["run_id"] == "mended"
    assert find(tables).later is None, "it was mended"
    snapshot = find(tables, asked)
    assert snapshot.until == mended["started_at"]
    assert [run.job.name for run in snapshot.failed] == ["ranking.ranked"]
    path, _ = write_report(Places(tables.root, tmp_path), reader, asked)
    assert path.name == f"report-{asked}.html"
    assert f"The earlier generation {NAME} of 2026-11-01 served on." in Parsed(path.read_text()).text


def test_a_run_that_found_nothing_to_do_gives_way_to_the_one_that_did_the_work(world, tmp_path):
    root, *_ = world
    tables = Tables(shutil.copytree(root, tmp_path / "lake").as_posix())
    jobs = {job.name: job for job in FLOW}
    idle = [
        run_row(30, jobs["ingest.cdc"], GOOD, run_id="idle-cdc", rows=0, counts={"read": 0, "files": 0}),
        run_row(31, jobs["publish.generation"], GOOD, run_id="idle-publish", counts={"loaded": 0}),
    ]
    append(tables.root, "ops.runs", idle)
    snapshot = find(tables, str(GOOD))
    shown = [snapshot.run(name).row["run_id"] for name in ("ingest.cdc", "publish.generation")]
    assert shown == [f"ingest.cdc-{GOOD}", f"publish.generation-{GOOD}"]
    assert find(tables, "idle-publish").run("publish.generation").row["run_id"] == "idle-publish", "it was asked for"


def test_a_rollback_that_only_the_store_knows_of_is_told(world):
    root, *_ = world
    assert find(Tables(root), current=NAME).served.as_of == GOOD
    snapshot = find(Tables(root), current="g20261031-00000000")
    assert headline(snapshot, None, [], []).lead.endswith("The earlier generation g20261031-00000000 still serves.")


def test_the_command_says_where_the_page_is_and_what_has_failed_since(world, tmp_path):
    root, _, folder = world
    pinlake = Path(sys.executable).with_name("pinlake")
    store = ["--set", f"publish.path={folder / 'store'}"]

    command = [pinlake, "--lake", root, *store, "report", "--out", str(tmp_path / "one.html")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "one.html") in done.stdout
    assert f"pinlake report ranking.ranked-{BAD}" in done.stdout
    assert "User 1, someone with many saves" in Parsed((tmp_path / "one.html").read_text()).text


def test_a_table_whose_old_files_are_gone_costs_its_section_and_no_more(world, tmp_path):
    root, reader, _ = world
    copy = shutil.copytree(root, tmp_path / "lake")
    for file in copy.glob("gold/ranked/*/*.parquet"):
        file.unlink()
    path, _ = write_report(Places(copy.as_posix(), tmp_path), reader, str(GOOD))
    text = Parsed(path.read_text()).text
    assert "gold.ranked cannot be read at version" in text
    assert "Published for 1 November 2026" in text
    assert "NDCG@10" in text


def test_an_unknown_run_lists_those_there_are(world):
    root, *_ = world
    with pytest.raises(ConfigError, match=rf"got 'yesterday'.*{GOOD}, {BAD}.*ranking\.ranked-{BAD}"):
        find(Tables(root), "yesterday")
    with pytest.raises(ConfigError, match="got '2026-12-24'"):
        find(Tables(root), "2026-12-24")


def test_data_docs_are_linked_relative_to_the_page(world, tmp_path):
    root, reader, _ = world
    docs = tmp_path / "gx" / "docs"
    results = docs / "validations" / "gold" / "ranked" / str(GOOD)
    at = run_row([job.name for job in FLOW].index("ranking.ranked"), FLOW[0], GOOD)["started_at"]
    for seconds in (-5, 5):  # the first is of an earlier run
        made = results / f"{at + timedelta(seconds=seconds):%Y%m%dT%H%M%S.%fZ}" / "measured-gold.ranked.html"
        made.parent.mkdir(parents=True)
        made.touch()
    (docs / "index.html").touch()
    path, _ = write_report(Places(root, tmp_path / "out", docs=docs), reader, str(GOOD))
    parsed = Parsed(path.read_text())
    links = {value for _, key, value in parsed.attributes if key == "href" and "gx" in value}
    assert links == {"../gx/docs/index.html", "../" + made.relative_to(tmp_path).as_posix()}


def test_a_lakes_first_day_has_a_page_too(tmp_path):
    root = str(tmp_path / "lake")
    with pytest.raises(TableError, match="pinlake flow"):
        find(Tables(root))
    first = [job for job in FLOW if job.stage in {"ingest", "features"}]
    append(root, "ops.runs", [run_row(n, job, GOOD) for n, job in enumerate(first)])
    path, _ = write_report(Places(root, tmp_path / "first.html"), None)
    text = Parsed(path.read_text()).text
    assert path.name == "first.html"
    assert "Nothing is published for 1 November 2026" in text
    assert f"{len(first)} of {len(FLOW)} jobs have run, none failed. Nothing has been published before" in text
    assert "Not evaluated yet" in text
    assert "Nothing was ranked for this date." in text
    assert "Nothing has ever been quarantined." in text


def test_a_failed_ingest_has_a_page_before_any_cut(tmp_path):
    root = str(tmp_path / "lake")
    row = run_row(0, FLOW[0], GOOD, status="failed", error="No space left", counts={})
    append(root, "ops.runs", [row])
    path, _ = write_report(Places(root, tmp_path), None, row["run_id"])
    text = Parsed(path.read_text()).text
    assert "The run of ingest failed at ingest.cdc" in text
    assert "No space left" in text
