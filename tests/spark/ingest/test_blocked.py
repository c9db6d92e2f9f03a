"""One run over tables and topics that cannot be taken in, and good ones beside them; then the same, mended."""

import gzip

import pytest

from jobs.engine.attention import attention
from jobs.ingest.kafka import job as kafka
from jobs.ingest.loading import batches
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
    """Write tables of which one is whole, and a snapshot of two of them, one of which cannot be read."""
    write(root, "metadata", f'{{"checkpoint-ts":{checkpoint}}}')
    for table in ("good", "gap", "broken", "snap", "tail", "narrow"):
        schema(root, table)
    # a column that its schema file does not have
    files(root, "narrow", {1: [110]}, 1, text=lambda *s: line("narrow", *s).replace('"id"', '"id": "1", "n"'))
    files(root, "good", {1: [110], 2: [120]}, 2, text=lambda *s: line("good", *s))
    files(root, "gap", {1: [110, 150], 3: [300]}, 3, text=lambda *s: line("gap", *s))
    files(root, "tail", {1: [110]}, 2, text=lambda *s: line("tail", *s))
    files(root, "snap", {1: [130]}, 1, text=lambda *s: line("snap", *s))
    files(root, "broken", {1: [110]}, 1, text=lambda *_: "{broken\n{again")


def write_dump(root, *lines):
    write(root, "metadata", f"\tPos: {V}\nFinished dump at: x\n")
    for table in ("good", "snap"):
        write(root, f"app.{table}-schema.sql", f"CREATE TABLE `{table}` (`id` BIGINT PRIMARY KEY)")
    write(root, "app.good.000000000.csv", '"id"\r\n1\r\n')
    write(root, "app.snap.000000000.csv", '"id"\r\n' + "".join(f"{text}\r\n" for text in lines))


def test_tables_that_cannot_be_followed_stop_alone_and_go_on_when_they_are_mended(lake, work, tmp_path):
    feed, dump = tmp_path / "feed", tmp_path / "dump"
    write_feed(feed, 1000)
    write_dump(dump, "x", "y")
    options = {"ticdc": str(feed), "dumpling": str(dump)}
    outcome = cdc.run(work(**options))
    counts = adds_up(outcome)
    assert set(outcome.detail["blocked"]) == {"app.gap", "app.broken", "app.snap", "app.narrow"}
    assert (counts["quarantined"], counts["missing_files"], counts["applied"]) == (5, 2, 5)
    assert [rows(lake, name) for name in ("good", "gap", "broken", "snap", "tail")] == [
        {1, 110, 120}, {110}, None, None, {110},
    ]  # fmt: skip
    told = {one.table: one for one in status(lake.root)}
    names = ("good", "tail", "gap", "broken", "snap", "narrow")
    assert [told[f"app.{name}"].blocked_reason is None for name in names] == [
        True, True, False, False, False, False,
    ]  # fmt: skip
    assert f"app/gap/{V}/CDC000002.json" in told["app.gap"].blocked_reason
    assert told["app.tail"].awaited == (f"app/tail/{V}/CDC000002.json",)
    said = attention(counts, outcome.detail)
    assert (len(said.blocked), said.error(strict=False).exit_code) == (4, 10)
    assert f"app/tail/{V}/CDC000002.json" in said.waiting[0]
    again = cdc.run(work(**options))
    assert set(again.detail["blocked"]) == {"app.gap", "app.broken", "app.snap", "app.narrow"}
    assert not any(adds_up(again)[name] for name in ("read", "applied", "files", "quarantined"))

    files(feed, "gap", {2: [200]}, 3, text=lambda *s: line("gap", *s))
    files(feed, "broken", {1: [110]}, 1, text=lambda *s: line("broken", *s))
    write_dump(dump, "2", "3")
    for file in (feed / "app/narrow/meta").iterdir():
        file.unlink()
    schema(feed, "narrow", columns=[COLUMN, COLUMN | {"ColumnName": "n", "ColumnIsPk": "false"}])
    write(feed, "metadata", '{"checkpoint-ts":1001}')
    mended = cdc.run(work(**options))
    assert set(mended.detail["blocked"]) == {"app.tail"}, "the checkpoint has moved, the file did not come"
    adds_up(mended)
    assert [rows(lake, name) for name in ("good", "gap", "broken", "snap")] == [
        {1, 110, 120}, {110, 150, 200, 300}, {110}, {2, 3, 130},
    ]  # fmt: skip
    assert rows(lake, "narrow") == {1}, "its schema file was mended, its data are as they were"
    assert lake.read("ops.quarantine").isEmpty(), "what was read again is no longer set aside"


def test_a_lost_file_is_made_up_for_by_a_snapshot(lake, work, tmp_path):
    feed = tmp_path / "feed"
    write_feed(feed, 1000)
    cdc.run(work(ticdc=str(feed)))
    write(tmp_path / "later", "metadata", "\tPos: 900\nFinished dump at: x\n")
    write(tmp_path / "later", "app.gap-schema.sql", "CREATE TABLE `gap` (`id` BIGINT PRIMARY KEY)")
    write(tmp_path / "later", "app.gap.000000000.csv", '"id"\r\n7\r\n')
    write(feed, f"app/gap/{V}/CDC000004.json", line("gap", 950))
    write(feed, f"app/gap/{V}/meta/CDC.index", "CDC000004.json\n")
    for _ in range(2):
        outcome = cdc.run(work(ticdc=str(feed), resnapshot=("app.gap", str(tmp_path / "later"))))
        assert "app.gap" not in outcome.detail["blocked"]
        assert rows(lake, "gap") == {7, 950}


def secor(root, topic, number, content):
    write(root, f"{topic}/dt=2026-10-07/1_0_{number:020d}.gz", content)


def test_topics_of_which_files_or_messages_cannot_be_read_stop_alone(lake, work, settings, tmp_path):
    root = tmp_path / "secor"
    good = [gzip.compress(event(number) + b"\n") for number in range(4)]
    for number, content in enumerate([good[0], b"not gzip", b"nor this"]):
        secor(root, "pin_events", number, content)
    secor(root, "searches", 0, gzip.compress(b"{'query': 'x'}\n[1]\n"))
    secor(root, "unheard_of", 0, good[3])
    outcome = kafka.run(work(kafka=[str(root)]))
    counts = outcome.counts
    parts = ("applied", "superseded", "other_topics", "pending", "quarantined")
    assert counts["read"] + counts["carried"] == sum(counts[name] for name in parts), counts
    assert (set(outcome.detail["blocked"]), outcome.detail["other_topics"]) == (
        {"pin_events", "searches"},
        {"unheard_of": 1},
    )
    assert [counts[name] for name in parts] == [0, 0, 1, 1, 4]
    assert "2 of 3 files as a whole" in outcome.detail["blocked"]["pin_events"]
    assert lake.read("ops.quarantine").where("reason = 'bad_json' and raw is not null").count() == 2
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
    assert (mended.counts["applied"], mended.counts["pending"]) == (3, 0)
    assert {row["reason"] for row in lake.read("ops.quarantine").collect()} == {"bad_json"}
    assert not any(one.blocked_reason for one in status(lake.root))


def test_a_file_that_vanished_before_its_rows_were_committed_is_missed(lake, work, tmp_path, monkeypatch):
    feed = tmp_path / "feed"
    write_feed(feed, 1000)

    def dies(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(batches, "_commit", dies)
        with pytest.raises(KeyboardInterrupt):
            cdc.run(work(ticdc=str(feed)))
    (feed / f"app/good/{V}/CDC000002.json").unlink()
    blocked = cdc.run(work(ticdc=str(feed))).detail["blocked"]
    assert f"app/good/{V}/CDC000002.json" in blocked["app.good"]
    assert lake.read("ops.quarantine").where("reason = 'vanished'").count() == 1
