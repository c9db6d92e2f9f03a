"""Topics read straight from a real broker: each message once, whatever happens on the way.

One lake follows four topics through three runs: what each run counted, and what the lake holds then, is told by the
fixture `told`, and every test looks at one side of it.
"""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobs.common.errors import SourceError
from jobs.common.redaction import redacted
from jobs.ingest.kafka import job as kafka
from jobs.ingest.status import status
from jobs.settings import Settings
from tests.broker import sent
from tests.scenes import lake_at, worker
from tests.unit.ingest.test_messages import record_batch

pytestmark = [pytest.mark.spark, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[3]
PARTS = ("applied", "superseded", "other_topics", "quarantined")
TS = 1_791_331_721_136
TOPICS = ("pin_events", "searches", "lossy", "again")
EVENTS = [sent(n, partition=n % 3, timestamp=TS + n, headers=[("trace", b"\xff"), ("by", "é")]) for n in range(12)]
SEARCHES = [json.dumps({"event_id": f"s{n}", "user_id": n, "query": "q", "ts": TS}).encode() for n in range(4)]
SEARCHES += [b"no JSON", SEARCHES[0], b"bad too"]


def settings(max_offsets=1000, **brokers):
    values = Settings().model_dump()
    values["ingest"]["brokers"] |= {"max_offsets": max_offsets} | brokers
    return Settings.model_validate(values)


def ingester(work):
    """Return a function that ingests what the URIs name and checks that the numbers add up."""

    def run(*uris, **brokers):
        outcome = kafka.run(work(settings=settings(**brokers), kafka=uris, work=str(ROOT / ".pinlake")))
        counts = outcome.counts
        assert counts["read"] + counts["backlog"] == sum(counts[name] for name in PARTS), counts
        return counts

    return run


def numbered(*numbers):
    return [{"value": b"%d" % n, "partition": 1} for n in numbers]


def fill(broker, segment):
    """Four topics; the first five searches are in an archive too."""
    for topic, partitions in zip(TOPICS, (3, 1, 2, 1), strict=True):
        broker.create(topic, partitions)
    broker.send("pin_events", *EVENTS, {"value": None, "key": b"u3", "partition": 0})
    broker.send("searches", *[{"value": body, "timestamp": TS} for body in SEARCHES])
    segment.parent.mkdir(parents=True)
    segment.write_bytes(b"".join(record_batch(n, [(b"k", body, [])]) for n, body in enumerate(SEARCHES[:5])))
    broker.send("lossy", *numbered(*range(4)))
    broker.send("again", {"value": b"a"}, {"value": b"b"})
    broker.send_in_transaction("lossy", {"value": b"no", "partition": 0}, commit=False)
    broker.send_in_transaction("lossy", {"value": b"yes", "partition": 0})
    broker.send("lossy", {"value": b"plain", "partition": 0})


def go_on(broker, segment):
    """More of three topics. Of one some are gone before they were read, and it has a partition more; one is made anew.

    The archive has one more of the searches that had come from the broker alone.
    """
    broker.send("pin_events", sent(12), sent(3), sent(13, partition=2))
    broker.send("lossy", *numbered(*range(6)))
    broker.forget("lossy", 1, 7)
    broker.add_partitions("lossy", 3)
    broker.send("lossy", {"value": b"new", "partition": 2})
    broker.delete("again")
    segment.with_name(f"{6:020d}.log").write_bytes(record_batch(6, [(b"k", SEARCHES[6], [])]))
    broker.create_when_gone("again", 1)
    broker.send("again", {"value": b"c"})


def seen(lake, counts):
    """Return what a run counted, and how each topic stands after it."""
    return SimpleNamespace(counts=counts, topics={one.table.removeprefix("kafka:"): one for one in status(lake.root)})


SASL = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN"}


def secret(password):
    module = "org.apache.kafka.common.security.plain.PlainLoginModule required username=reader"
    return json.dumps({"sasl.jaas.config": f'{module} password="{password}";'})


@pytest.fixture(scope="module")
def told(spark, broker, tmp_path_factory):
    """Three runs; before the second one, runs that cannot be."""
    folder = tmp_path_factory.mktemp("brokers")
    lake, archive = lake_at(spark, folder / "lake"), folder / "tiered"
    ingest, segment = ingester(worker(lake)), archive / "main/searches-0" / f"{0:020d}.log"
    fill(broker, segment)
    first = seen(lake, ingest(str(archive), broker.uri(*TOPICS), max_offsets=8))
    go_on(broker, segment)
    version = lake.version("bronze.kafka")
    refused = refusals(ingest, broker)
    assert lake.version("bronze.kafka") == version, "nothing was read"
    # by another address, and as somebody: the streams go on
    guarded = f"kafka://127.0.0.1:{broker.sasl_port}/{','.join(TOPICS)}"
    allowed = {"properties": SASL, "secrets": secret(broker.password)}
    second = seen(lake, ingest(str(archive), guarded, fail_on_data_loss=False, **allowed))
    third = seen(lake, ingest(str(archive), broker.uri(*TOPICS)))
    rows = lake.scan("bronze.kafka").collect()
    return SimpleNamespace(lake=lake, first=first, second=second, third=third, refused=refused, rows=rows)


def refusals(ingest, broker):
    """Return what runs say that cannot be, by a word for why."""
    wanted = {
        "lost": (broker.uri("lossy"), {}),
        "password": (f"kafka://127.0.0.1:{broker.sasl_port}/lossy", {"properties": SASL, "secrets": secret("wrong-1")}),
        "absent": (broker.uri("absent"), {}),
        "nobody": ("kafka://127.0.0.1:9/lossy", {"timeout": 2}),
    }
    said = {}
    for why, (uri, brokers) in wanted.items():
        with pytest.raises(SourceError) as refused:
            ingest(uri, **brokers)
        said[why] = str(refused.value)
    return said


def of_topic(told, topic):
    return [row for row in told.rows if row["topic"] == topic]


def numbers(one, *names):
    return tuple(getattr(one, name) for name in names)


def test_what_runs_counted_is_what_was_sent(told):
    assert [{name: run.counts[name] for name in ("read", "backlog", *PARTS, "gaps")} for run in told_runs(told)] == [
        # pin_events 13, searches 7 and 5 of the archive, lossy 6, again 2
        {"read": 33, "backlog": 0, "applied": 16, "superseded": 6, "other_topics": 8, "quarantined": 3, "gaps": 1},
        # pin_events 3, one search of the archive, lossy 4, again 1
        {"read": 9, "backlog": 0, "applied": 2, "superseded": 2, "other_topics": 5, "quarantined": 0, "gaps": 1},
        dict.fromkeys(("read", "backlog", *PARTS, "gaps"), 0),
    ]


def told_runs(told):
    return told.first, told.second, told.third


def test_messages_come_with_place_key_time_and_headers(told):
    rows = {(row["partition"], row["offset"]): row for row in of_topic(told, "pin_events")}
    fifth, tombstone = rows[1, 1], rows[0, 4]
    cluster = fifth["path"].split("/")[2]
    assert (fifth["path"], fifth["layout"]) == (f"kafka://{cluster}/pin_events/1", "broker")
    assert (fifth["row_no"], fifth["ts"], bytes(fifth["key"])) == (1, TS + 4, b"u4")
    assert bytes(fifth["value"]) == EVENTS[4]["value"]
    assert json.loads(fifth["headers"]) == [["trace", "base64:/w=="], ["by", "é"]]
    assert {row["offset_quality"] for row in rows.values()} == {"exact"}
    assert (tombstone["value"], tombstone["headers"], bytes(tombstone["key"])) == (None, None, b"u3")
    (bad,) = quarantined(told, "pin_events")
    assert (bad["reason"], bad["path"], bad["row_no"]) == ("tombstone", f"kafka://{cluster}/pin_events/0", 4)


def quarantined(told, topic):
    rows = told.lake.rows("ops.quarantine", "table", "reason", "path", "row_no", "raw")
    return [row for row in rows if row["table"] == topic]


def test_events_are_applied_once_over_all_runs(told):
    assert {row["event_id"] for row in told.lake.scan("silver.pin_events").collect()} == {f"e{n}" for n in range(14)}
    assert [numbers(run.topics["pin_events"], "applied", "superseded", "quarantined") for run in told_runs(told)] == [
        (12, 0, 1), (14, 1, 1), (14, 1, 1),
    ]  # fmt: skip
    for topic, there in (("pin_events", 16), ("lossy", 10)):
        places = {(row["partition"], row["offset"]) for row in of_topic(told, topic)}
        assert len(places) == len(of_topic(told, topic)) == there


def test_each_epoch_has_a_batch_of_its_own_in_the_manifest(told):
    columns = ("source", "path", "status", "rows", "batch")
    taken = [row for row in told.lake.rows("ops.source_files", *columns) if row["status"] == "committed"]
    assert len({row["batch"] for row in taken}) == len(taken)
    mine = [row for row in taken if row["source"] == "broker" and row["path"].endswith("/pin_events")]
    assert (len(mine), sum(row["rows"] for row in mine)) == (3, 16)


def test_what_an_archive_and_a_broker_both_have_counts_once(told):
    assert [numbers(run.topics["searches"], "applied", "superseded", "quarantined") for run in told_runs(told)] == [
        (4, 6, 2), (4, 7, 2), (4, 7, 2),
    ]  # fmt: skip
    assert told.lake.scan("silver.searches").count() == 4
    assert sorted(row["raw"] for row in quarantined(told, "searches")) == [b"bad too", b"no JSON"], (
        "bad messages are set aside once"
    )


def test_lost_offsets_stop_a_run_and_are_written_down_where_that_is_wanted(told):
    said = told.refused["lost"]
    assert "lossy, partition 1: offsets 4 to 6 are missing" in said
    assert "fail_on_data_loss=false" in said
    lost = quarantined(told, "lossy")
    assert [(row["reason"], row["row_no"]) for row in lost] == [("lost_offsets", 4)]
    assert {row["offset"] for row in of_topic(told, "lossy") if row["partition"] == 1} == {0, 1, 2, 3, 7, 8, 9}


def test_a_topic_made_again_is_another_one_and_new_partitions_are_read_from_their_beginning(told):
    values = Counter((row["offset"], bytes(row["value"])) for row in of_topic(told, "again"))
    assert values == Counter([(0, b"a"), (1, b"b"), (0, b"c")])
    assert [bytes(row["value"]) for row in of_topic(told, "lossy") if row["partition"] == 2] == [b"new"]


def test_aborted_messages_do_not_come_and_markers_are_gaps(told):
    there = [(row["offset"], bytes(row["value"])) for row in of_topic(told, "lossy") if not row["partition"]]
    assert sorted(there) == [(2, b"yes"), (4, b"plain")]


def test_brokers_that_refuse_or_are_not_there_are_one_sentence_without_the_password(told, broker):
    assert "SaslAuthenticationException" in told.refused["password"]
    assert "no topic absent on these brokers" in told.refused["absent"]
    assert "127.0.0.1:9: TimeoutException" in told.refused["nobody"]
    said = redacted("".join(told.refused.values()))
    assert "wrong-1" not in said
    assert broker.password not in said
    assert redacted(f"a client quotes {broker.password}") == "a client quotes ***"


KILLER = """
import os, signal, sys
from jobs.ingest.kafka.broker import load
from jobs.ingest.loading.manifest import COMMITTED
real, when = load.note, sys.argv.pop(1)
def note(work, items, counts, status, *rest):
    if status == COMMITTED and when == "before":
        os.killpg(0, signal.SIGKILL)
    real(work, items, counts, status, *rest)
    if status == COMMITTED and when == "after":
        os.killpg(0, signal.SIGKILL)
load.note = note
from jobs.cli import main
main()
"""


@pytest.mark.long
def test_killed_between_bronze_and_the_streams_checkpoint_each_message_comes_once(lake, work, broker):
    """SIGKILL to the process, its JVM and its workers: once bronze has the epoch, and once the manifest has it too."""
    ingest = ingester(work)
    broker.create("killed", 2)
    broker.send("killed", *[{"value": b"%d" % n, "partition": n % 2} for n in range(6)])
    uri = broker.uri("killed")
    assert ingest(uri, max_offsets=2)["read"] == 6
    for number, when in enumerate(("before", "after"), 1):
        broker.send("killed", *[{"value": b"%d %d" % (number, n), "partition": n % 2} for n in range(4)])
        command = [sys.executable, "-c", KILLER, when, "--set", "ingest.brokers.max_offsets=2", "--lake", lake.root]
        done = subprocess.run(
            [*command, "ingest", "--kafka", uri],
            cwd=ROOT,
            env=os.environ,
            capture_output=True,
            start_new_session=True,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
        assert lake.scan("bronze.kafka").count() == 6 + 4 * (number - 1) + 2, "the first of two epochs was committed"
        counts = ingest(uri, max_offsets=2)
        assert (counts["read"], counts["backlog"], counts["other_topics"]) == (2, 2, 4)
        assert lake.scan("bronze.kafka").count() == 6 + 4 * number
    assert ingest(uri)["read"] == 0
    told = [one for one in status(lake.root) if one.table == "kafka:killed"]
    assert sum(one.superseded for one in told) == 14
