"""Topics read straight from a real broker: each message once, whatever happens on the way."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.common.errors import SourceError
from jobs.common.redaction import redacted
from jobs.ingest.kafka import job as kafka
from jobs.ingest.status import status
from jobs.settings import Settings
from tests.broker import sent
from tests.unit.ingest.test_messages import record_batch

pytestmark = [pytest.mark.spark, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[3]
PARTS = ("applied", "superseded", "other_topics", "quarantined")
TS = 1_791_331_721_136


def settings(max_offsets=1000, **brokers):
    values = Settings().model_dump()
    values["ingest"]["brokers"] |= {"max_offsets": max_offsets} | brokers
    return Settings.model_validate(values)


@pytest.fixture
def ingest(work):
    """Return a function that ingests what the URIs name and checks that the numbers add up."""

    def run(*uris, **brokers):
        outcome = kafka.run(work(settings=settings(**brokers), kafka=uris, work=str(ROOT / ".pinlake")))
        counts = outcome.counts
        assert counts["read"] + counts["carried"] == sum(counts[name] for name in PARTS), counts
        return counts

    return run


def bronze(lake):
    rows = lake.read("bronze.kafka").collect()
    places = [(row["topic"], row["partition"], row["offset"]) for row in rows]
    assert len(places) == len(set(places)), "each message is there once"
    return rows


def test_messages_come_once_with_place_key_time_and_headers(lake, ingest, broker):
    broker.create("pin_events", 3)
    broker.create("unheard_of")
    first = [sent(n, partition=n % 3, timestamp=TS + n, headers=[("trace", b"\xff"), ("by", "é")]) for n in range(12)]
    broker.send("pin_events", *first, {"value": None, "key": b"u3", "partition": 0})
    broker.send("unheard_of", {"value": b"anything"})
    uri = broker.uri("pin_events", "unheard_of")
    counts = ingest(uri, max_offsets=5)
    assert {name: counts[name] for name in ("read", *PARTS)} == {
        "read": 14, "applied": 12, "superseded": 0, "other_topics": 1, "quarantined": 1,
    }  # fmt: skip
    rows = {}
    for row in bronze(lake):
        key = bytes(row["key"]).decode() if row["key"] else None
        rows[f"{key} tombstone" if row["value"] is None else key] = row
    cluster = rows["u4"]["path"].split("/")[2]
    assert (rows["u4"]["partition"], rows["u4"]["offset"], rows["u4"]["row_no"], rows["u4"]["ts"]) == (1, 1, 1, TS + 4)
    assert (rows["u4"]["path"], rows["u4"]["layout"]) == (f"kafka://{cluster}/pin_events/1", "broker")
    assert bytes(rows["u4"]["value"]) == first[4]["value"]
    assert json.loads(rows["u4"]["headers"]) == [["trace", "base64:/w=="], ["by", "é"]]
    assert {row["offset_quality"] for row in rows.values()} == {"exact"}
    assert rows["u3 tombstone"]["headers"] is None
    (bad,) = lake.read("ops.quarantine").collect()
    assert (bad["reason"], bad["path"], bad["row_no"]) == ("tombstone", f"kafka://{cluster}/pin_events/0", 4)

    broker.send("pin_events", sent(12), sent(3), sent(13, partition=2))
    counts = ingest(uri)
    assert [counts[name] for name in ("read", "carried", "applied", "superseded", "gaps")] == [3, 0, 2, 1, 0]
    assert not any(ingest(uri)[name] for name in ("read", "carried", "applied")), "a third run finds nothing new"
    assert {row["event_id"] for row in lake.read("silver.pin_events").collect()} == {f"e{n}" for n in range(14)}
    assert len(bronze(lake)) == 17
    (told,) = [one for one in status(lake.root) if one.table == "kafka:pin_events"]
    assert (told.applied, told.superseded, told.quarantined) == (14, 1, 1)
    taken = [
        row for row in lake.rows("ops.source_files", "path", "status", "rows", "batch") if row["status"] == "committed"
    ]
    assert sum(row["rows"] for row in taken) == 17
    assert len({row["batch"] for row in taken}) == len(taken) > 3


def test_what_an_archive_and_a_broker_both_have_counts_once(lake, ingest, broker, tmp_path):
    broker.create("searches", 1)
    good = [json.dumps({"event_id": f"s{n}", "user_id": n, "query": "q", "ts": TS}).encode() for n in range(4)]
    bodies = [*good, b"no JSON", *good[:1]]
    broker.send("searches", *[{"value": body, "timestamp": TS} for body in bodies])
    segment = tmp_path / "tiered/main/searches-0" / f"{0:020d}.log"
    segment.parent.mkdir(parents=True)
    segment.write_bytes(b"".join(record_batch(n, [(b"k", body, [])]) for n, body in enumerate(bodies[:5])))
    counts = ingest(str(tmp_path / "tiered"), broker.uri("searches"))
    assert [counts[name] for name in ("read", *PARTS)] == [11, 4, 6, 0, 1]
    assert lake.read("ops.quarantine").count() == 1, "the bad message is set aside once"
    assert lake.read("silver.searches").count() == 4

    broker.send("searches", {"value": b"bad too", "timestamp": TS})
    assert ingest(broker.uri("searches"))["quarantined"] == 1
    later = segment.with_name(f"{6:020d}.log")
    later.write_bytes(record_batch(6, [(b"k", b"bad too", [])]))
    counts = ingest(str(tmp_path / "tiered"))
    assert [counts[name] for name in ("read", "superseded", "quarantined")] == [1, 1, 0]


def test_lost_offsets_stop_a_run_and_are_written_down_where_that_is_wanted(lake, ingest, broker):
    broker.create("lossy", 2)
    broker.send("lossy", *[{"value": b"%d" % n, "partition": 1} for n in range(4)])
    uri = broker.uri("lossy")
    assert ingest(uri)["read"] == 4
    broker.send("lossy", *[{"value": b"%d" % n, "partition": 1} for n in range(6)])
    broker.forget("lossy", 1, 7)
    with pytest.raises(SourceError, match=r"lossy, partition 1: offsets 4 to 6 are missing.*fail_on_data_loss=false"):
        ingest(uri)
    assert len(bronze(lake)) == 4
    counts = ingest(uri, fail_on_data_loss=False)
    assert (counts["read"], counts["gaps"]) == (3, 1)
    (told,) = lake.read("ops.quarantine").collect()
    assert (told["reason"], told["table"], told["row_no"]) == ("lost_offsets", "lossy", 4)
    assert ingest(uri)["gaps"] == 0
    assert {row["offset"] for row in bronze(lake)} == {0, 1, 2, 3, 7, 8, 9}


def test_a_topic_made_again_is_another_one_and_new_partitions_are_read_from_their_beginning(lake, ingest, broker):
    broker.create("again", 1)
    broker.send("again", {"value": b"a"}, {"value": b"b"})
    uri = broker.uri("again")
    assert ingest(uri)["read"] == 2
    broker.add_partitions("again", 2)
    broker.send("again", {"value": b"c", "partition": 1})
    assert ingest(uri)["read"] == 1
    broker.delete("again")
    broker.create_when_gone("again", 1)
    broker.send("again", {"value": b"d"})
    assert ingest(uri)["read"] == 1
    values = {(row["partition"], row["offset"], bytes(row["value"])) for row in lake.read("bronze.kafka").collect()}
    assert values == {(0, 0, b"a"), (0, 1, b"b"), (1, 0, b"c"), (0, 0, b"d")}


def test_aborted_messages_do_not_come_and_the_marker_is_a_gap(lake, ingest, broker):
    broker.create("money", 1)
    broker.send_in_transaction("money", {"value": b"no"}, commit=False)
    broker.send_in_transaction("money", {"value": b"yes"})
    broker.send("money", {"value": b"plain"})
    counts = ingest(broker.uri("money"))
    assert (counts["read"], counts["gaps"]) == (2, 1)
    assert {bytes(row["value"]) for row in bronze(lake)} == {b"yes", b"plain"}


def test_brokers_that_refuse_or_are_not_there_are_one_sentence_without_the_password(lake, ingest, broker, capfd):
    broker.create("guarded", 1)
    broker.send("guarded", {"value": b"x"})
    uri = f"kafka://127.0.0.1:{broker.sasl_port}/guarded"
    sasl = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN"}
    module = "org.apache.kafka.common.security.plain.PlainLoginModule required username=reader"

    def secret(password):
        return json.dumps({"sasl.jaas.config": f'{module} password="{password}";'})

    with pytest.raises(SourceError, match="SaslAuthenticationException") as refused:
        ingest(uri, properties=sasl, secrets=secret("wrong-password"))
    assert ingest(uri, properties=sasl, secrets=secret(broker.password))["read"] == 1
    said = redacted(str(refused.value)) + "".join(capfd.readouterr())
    assert "wrong-password" not in said
    assert broker.password not in said
    assert redacted(f"a client quotes {broker.password}") == "a client quotes ***"
    with pytest.raises(SourceError, match="no topic absent on these brokers"):
        ingest(broker.uri("absent"))
    with pytest.raises(SourceError, match=r"127.0.0.1:9: TimeoutException"):
        ingest("kafka://127.0.0.1:9/guarded", timeout=2)


KILLER = """
import os, signal, sys
from jobs.ingest.kafka.broker import intake
from jobs.ingest.loading.manifest import COMMITTED
real, when = intake.note, sys.argv.pop(1)
def note(work, items, counts, status, *rest):
    if status == COMMITTED and when == "before":
        os.killpg(0, signal.SIGKILL)
    real(work, items, counts, status, *rest)
    if status == COMMITTED and when == "after":
        os.killpg(0, signal.SIGKILL)
intake.note = note
from jobs.cli import main
main()
"""


@pytest.mark.long
def test_killed_between_bronze_and_the_streams_checkpoint_each_message_comes_once(lake, ingest, broker):
    """SIGKILL to the process, its JVM and its workers: once bronze has the epoch, and once the manifest has it too."""
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
        assert len(bronze(lake)) == 6 + 4 * (number - 1) + 2, "the first of two epochs was committed"
        counts = ingest(uri, max_offsets=2)
        assert (counts["read"], counts["carried"], counts["other_topics"]) == (2, 2, 4)
        assert len(bronze(lake)) == 6 + 4 * number
    assert ingest(uri)["read"] == 0
    told = [one for one in status(lake.root) if one.table == "kafka:killed"]
    assert sum(one.superseded for one in told) == 14
