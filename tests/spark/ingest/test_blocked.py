"""One run over tables and topics that cannot be taken in, and good ones beside them; then the same, mended."""

import gzip

import pytest

from jobs.engine.attention import attention
from jobs.ingest.kafka import job as kafka
from jobs.ingest.loading import batches
from jobs.ingest.loading.replay import Wanted
from jobs.ingest.status import status, without_table
from jobs.ingest.tidb import job as cdc
from jobs.settings.ingest import ErrorThreshold, TableRules
from tests.spark.ingest.test_cdc import adds_up
from tests.spark.ingest.test_kafka import event
from tests.unit.ingest.test_absent import COLUMN, V, canal, files, schema
from tests.unit.ingest.test_sources_on_disk import write

pytestmark = pytest.mark.spark


def rows(lake, table):
    """Return the ids of a table's live rows; None where it has no silver."""
    if not lake.exists(f"silver.app_{table}"):
        return None
    return {row["id"] for row in lake.read(f"silver.app_{table}").where("not _deleted").collect()}


def line(table, *stamps):
    return canal(*stamps).replace('{"type"', f'{{"database": "app", "table": "{table}", "type"')


def write_feed(root, checkpoint):
    """Write tables of which few are whole."""
    write(root, "metadata", f'{{"checkpoint-ts":{checkpoint}}}')
    for table in ("good", "gap", "lost", "broken", "snap", "tail", "narrow", "vanish", "later"):
        schema(root, table)
    # a column that its schema file does not have
    files(root, "narrow", {1: [110]}, 1, text=lambda *s: line("narrow", *s).replace('"id"', '"id": "1", "n"'))
    files(root, "good", {1: [110], 2: [120]}, 2, text=lambda *s: line("good", *s))
    files(root, "gap", {1: [110, 150], 3: [300]}, 3, text=lambda *s: line("gap", *s))
    files(root, "lost", {1: [110, 150], 3: [300], 4: [950]}, 4, text=lambda *s: line("lost", *s))
    files(root, "tail", {1: [110]}, 2, text=lambda *s: line("tail", *s))
    files(root, "snap", {1: [130]}, 1, text=lambda *s: line("snap", *s))
    files(root, "broken", {1: [110]}, 1, text=lambda *_: "{broken\n{again")
    files(root, "vanish", {1: [110, 115], 2: [120]}, 2, text=lambda *s: line("vanish", *s))
    files(root, "later", {1: [checkpoint + 500]}, 1, text=lambda *s: line("later", *s))


def write_dump(root, *lines, tso=V, tables=("good", "snap")):
    """Write a snapshot of two tables, or others: one row each, and `lines` of the last one."""
    write(root, "metadata", f"\tPos: {tso}\nFinished dump at: x\n")
    for table in tables:
        write(root, f"app.{table}-schema.sql", f"CREATE TABLE `{table}` (`id` BIGINT PRIMARY KEY)")
        write(root, f"app.{table}.000000000.csv", '"id"\r\n1\r\n')
    write(root, f"app.{tables[-1]}.000000000.csv", '"id"\r\n' + "".join(f"{text}\r\n" for text in lines))


def mend(feed, dump):
    """Bring what is missing, write anew what cannot be read, and move the checkpoint."""
    files(feed, "gap", {2: [200]}, 3, text=lambda *s: line("gap", *s))
    files(feed, "broken", {1: [110]}, 1, text=lambda *s: line("broken", *s))
    write_dump(dump, "2", "3")
    for file in (feed / "app/narrow/meta").iterdir():
        file.unlink()
    schema(feed, "narrow", columns=[COLUMN, COLUMN | {"ColumnName": "n", "ColumnIsPk": "false"}])
    write(feed, "metadata", '{"checkpoint-ts":1001}')


BLOCKED = {"app.gap", "app.lost", "app.broken", "app.snap", "app.narrow", "app.vanish"}


def test_tables_that_cannot_be_followed_stop_alone_and_go_on_when_they_are_mended(lake, work, tmp_path, monkeypatch):
    feed, dump = tmp_path / "feed", tmp_path / "dump"
    write_feed(feed, 1000)
    write_dump(dump, "x", "y")
    options = {"ticdc": str(feed), "dumpling": str(dump)}
    a_file_vanishes_before_its_rows_are_committed(lambda: cdc.run(work(**options)), feed, monkeypatch)
    outcome = cdc.run(work(**options))
    counts = adds_up(outcome)
    assert set(outcome.detail["blocked"]) == BLOCKED
    assert (counts["quarantined"], counts["missing_files"], counts["applied"]) == (5, 4, 7)
    shown = ("good", "gap", "lost", "broken", "snap", "tail", "vanish")
    assert [rows(lake, name) for name in shown] == [{1, 110, 120}, {110}, {110}, None, None, {110}, {110}]
    assert rows(lake, "later") == set(), "a table without rows is a table too"
    assert lake.schema("silver.app_later").names == ["id", "_commit_ts", "_op_rank", "_deleted"]
    status_says_what_is_wrong(lake, counts, outcome.detail)
    again = cdc.run(work(**options))
    assert set(again.detail["blocked"]) == BLOCKED
    assert not any(adds_up(again)[name] for name in ("read", "applied", "files", "quarantined"))

    mend(feed, dump)
    write_dump(tmp_path / "newer", "7", tso=900, tables=("lost",))
    options |= {"resnapshot": ("app.lost", str(tmp_path / "newer"))}
    mended = cdc.run(work(**options))
    assert set(mended.detail["blocked"]) == {"app.tail", "app.vanish"}, "the checkpoint has moved, no file came"
    adds_up(mended)
    assert [rows(lake, name) for name in ("good", "gap", "broken", "snap")] == [
        {1, 110, 120}, {110, 150, 200, 300}, {110}, {2, 3, 130},
    ]  # fmt: skip
    assert rows(lake, "lost") == {7, 950}, "a snapshot makes up for the file"
    assert rows(lake, "narrow") == {1}, "its schema file was mended, its data are as they were"
    left = {row["reason"] for row in lake.rows("ops.quarantine", "reason")}
    assert left == {"vanished"}, "what was read again is no longer set aside"
    assert "app.lost" not in cdc.run(work(**options)).detail["blocked"]
    assert rows(lake, "lost") == {7, 950}


def a_file_vanishes_before_its_rows_are_committed(run, feed, monkeypatch):
    def dies(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(batches, "_commit", dies)
        with pytest.raises(KeyboardInterrupt):
            run()
    (feed / f"app/vanish/{V}/CDC000002.json").unlink()


def status_says_what_is_wrong(lake, counts, detail):
    told = {one.table: one for one in status(lake.root)}
    assert {name for name, one in told.items() if one.blocked_reason is not None} == BLOCKED
    assert f"app/gap/{V}/CDC000002.json" in told["app.gap"].blocked_reason
    assert f"app/vanish/{V}/CDC000002.json" in told["app.vanish"].blocked_reason
    assert told["app.tail"].awaited == (f"app/tail/{V}/CDC000002.json",)
    said = attention(counts, detail)
    assert (len(said.blocked), said.error(strict=False).exit_code) == (len(BLOCKED), 10)
    assert f"app/tail/{V}/CDC000002.json" in said.waiting[0]


def secor(root, topic, number, content):
    write(root, f"{topic}/dt=2026-10-07/1_0_{number:020d}.gz", content)


def test_topics_that_cannot_be_read_stop_alone_and_come_in_once_when_they_are_mended(lake, work, settings, tmp_path):
    root = tmp_path / "secor"
    good = [gzip.compress(event(number) + b"\n") for number in range(4)]
    for number, content in enumerate([good[0], b"not gzip", b"nor this"]):
        secor(root, "pin_events", number, content)
    write(root, "pin_events/dt=2026-10-07/1_0_00000000000000000009", event(9) + b"\n" + event(8).replace(b"}", b" "))
    secor(root, "searches", 0, gzip.compress(b"{'query': 'x'}\n[1]\n"))
    secor(root, "unheard_of", 0, good[3])
    outcome = kafka.run(work(kafka=[str(root)]))
    counts = outcome.counts
    parts = ("applied", "superseded", "other_topics", "pending", "quarantined")
    assert counts["read"] + counts["backlog"] == sum(counts[name] for name in parts), counts
    assert (set(outcome.detail["blocked"]), outcome.detail["other_topics"]) == (
        {"pin_events", "searches"},
        {"unheard_of": 1},
    )
    assert [counts[name] for name in parts] == [0, 0, 1, 3, 4]
    assert "2 of 4 files as a whole" in outcome.detail["blocked"]["pin_events"]
    bad = lake.rows("ops.quarantine", "reason", "raw")
    assert len([row for row in bad if row["reason"] == "bad_json" and row["raw"] is not None]) == 2
    found = status(lake.root)
    assert {one.table for one in found if one.blocked_reason} == {"kafka:pin_events", "kafka:searches"}
    assert without_table(found, settings.ingest) == ["unheard_of"]
    assert len(attention(counts, outcome.detail).blocked) == 2

    secor(root, "pin_events", 1, good[1])
    secor(root, "pin_events", 2, good[2])
    let_go = {"searches": TableRules(quarantine=ErrorThreshold(ratio=1))}
    looser = settings.model_copy(update={"ingest": settings.ingest.model_copy(update={"tables": let_go})})
    mended = kafka.run(work(kafka=[str(root)], settings=looser))
    assert mended.detail["blocked"] == {}
    assert (mended.counts["applied"], mended.counts["pending"]) == (4, 0)
    assert [row["reason"] for row in lake.rows("ops.quarantine", "reason")] == ["bad_json"] * 3
    assert not any(one.blocked_reason for one in status(lake.root))

    # as long as it was: its good message is in silver already, the other one is read once more
    write(root, "pin_events/dt=2026-10-07/1_0_00000000000000000009", event(9) + b"\n" + event(8))
    again = kafka.run(work(kafka=[str(root)], settings=looser, replay=Wanted(table="pin_events"))).counts
    assert (again["applied"], again["quarantined"]) == (1, 0)
    events = [row["event_id"] for row in lake.read("silver.pin_events").select("event_id").collect()]
    assert sorted(events) == ["e0", "e1", "e2", "e8", "e9"]
    assert [row["reason"] for row in lake.rows("ops.quarantine", "reason")] == ["bad_json"] * 2, "of searches"
