"""Kafka archives of both layouts, from files to event tables."""

import base64
import gzip
import io
import itertools
import json

import fastavro
import numpy as np
import pytest

from jobs.ingest.kafka import job as kafka
from jobs.settings import Settings
from tests.unit.ingest.test_messages import record_batch

pytestmark = pytest.mark.spark

PARTS = ("applied", "superseded", "other_topics", "pending", "quarantined")
TS = 1_791_331_721_136  # 2026-10-07 UTC


@pytest.fixture
def run(lake, ctx, tmp_path):
    """Return a function that ingests the archive below tmp_path and checks that the numbers add up."""
    from jobs.engine.context import ActionContext

    numbers = itertools.count(1)

    def ingest():
        def nothing(*_):
            pass

        roots = [str(root) for root in (tmp_path / "secor", tmp_path / "topics") if root.is_dir()]
        run_id = f"run-{next(numbers)}"
        work = ActionContext(lake.spark, lake, ctx, run_id, nothing, nothing, nothing, options={"kafka": roots})
        done = kafka.run(work)
        counts = done.counts
        ingest.detail = done.detail
        assert counts["read"] + counts["carried"] == sum(counts[name] for name in PARTS), counts
        return counts

    return ingest


def event(number, ts=TS, **more):
    body = {"event_id": f"e{number}", "kind": "save", "user_id": number, "pin_id": 7, "board_id": 3}
    body |= {"surface": "home_feed", "position": 1, "propensity": 0.5, "ts": ts}
    return json.dumps(body | more).encode()


def secor(tmp_path, name, *lines, topic="pin_events", day="dt=2026-10-07"):
    file = tmp_path / "secor" / topic / day / f"1_0_{name:020d}.gz"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))


def connect(tmp_path, topic, offset, *lines):
    file = tmp_path / "topics" / topic / "partition=1" / f"{topic}+1+{offset:010d}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"\n".join(lines))


def test_duplicates_are_removed_bad_messages_set_aside_and_late_files_picked_up(lake, run, tmp_path):
    broken = [
        b'{"event_id": "e9"',
        event(10, user_id=None),
        event(11, pin_id="x"),
        event(12, ts=-5),
        b"\xff" + event(13),
        event(15) + event(16),
        event(17, propensity=float("nan")),
        event(18, ts=TS // 1_000_000),
    ]
    secor(tmp_path, 0, event(1), event(2), event(2), *broken)
    # overlaps the file before, below a prefix and the value of a field; seconds
    secor(tmp_path, 2, event(2), event(3, ts=TS // 1000 + 86_400), topic="raw/pin_events/save")
    secor(tmp_path, 9, event(14), day="19700101")
    secor(tmp_path, 11, event(15), topic="raw/nobody/save")
    connect(tmp_path, "searches", 40, json.dumps({"event_id": "s1", "user_id": 5, "query": "é", "ts": TS}).encode())
    connect(tmp_path, "unheard_of", 0, b"anything", b"at all")
    counts = run()
    assert {name: counts[name] for name in ("read", *PARTS)} == {
        "read": 17, "applied": 4, "superseded": 2, "other_topics": 2, "pending": 0, "quarantined": 9,
    }  # fmt: skip
    assert (counts["unknown_files"], run.detail["other_topics"]) == (1, {"unheard_of": 2})
    assert "ingest.topic_folder" in next(iter(run.detail["unknown_paths"].values()))
    events = {
        r["event_id"]: (r["user_id"], str(r["ts"]), str(r["ds"])) for r in lake.read("silver.pin_events").collect()
    }
    assert events == {
        "e1": (1, "2026-10-07 00:08:41.136000", "2026-10-07"),
        "e2": (2, "2026-10-07 00:08:41.136000", "2026-10-07"),
        "e3": (3, "2026-10-08 00:08:41", "2026-10-08"),
    }
    bad = lake.read("ops.quarantine").where("raw is not null").collect()
    bad = {(r["row_no"], r["reason"], bytes(r["raw"])) for r in bad}
    assert {(number, reason) for number, reason, _ in bad} == {
        (4, "bad_json"), (5, "missing_field"), (6, "bad_json"), (7, "implausible_time"), (8, "bad_utf8"),
        (9, "bad_json"), (10, "bad_json"), (11, "implausible_time"), (1, "epoch_directory"),
    }  # fmt: skip
    assert {raw for *_, raw in bad} == {*broken, event(14)}
    (search,) = lake.read("bronze.kafka").where("topic = 'searches'").collect()
    assert (search["layout"], search["offset"], search["offset_quality"]) == ("connect", 40, "inferred")

    assert not any(run()[name] for name in ("read", "carried", "applied", "files")), "a second run changes nothing"
    # one event is one row on whatever day, in whatever archive and run it comes again: the first stays
    connect(tmp_path, "pin_events", 0, event(1), event(4), event(4, ts=TS + 86_400_000))
    secor(tmp_path, 20, event(2, ts=TS + 9 * 86_400_000), day="dt=2026-10-16")
    secor(tmp_path, 21, event(3), event(0, ts=TS - 86_400_000))
    counts = run()
    assert (counts["read"], counts["applied"], counts["superseded"]) == (6, 2, 4)
    rows = lake.read("silver.pin_events").selectExpr("event_id", "cast(ds as string) ds").collect()
    days = {"e0": "2026-10-06", "e1": "2026-10-07", "e2": "2026-10-07", "e3": "2026-10-08", "e4": "2026-10-07"}
    assert len(rows) == len(days)
    assert {row["event_id"]: row["ds"] for row in rows} == days


def test_embeddings_keep_their_values_and_must_be_as_long_as_they_say(lake, run, tmp_path):
    vector = np.array([0.6, 0.8], "<f2")

    def message(pin, ts=TS, values=vector, **more):
        stored = base64.b64encode(np.array(values, "<f2").tobytes()).decode()
        body = {"pin_id": pin, "model": "w1", "dim": 2, "embedding": stored}
        return json.dumps(body | {"ts": ts} | more).encode()

    lines = [
        message(1),
        message(1),
        message(1, TS + 1),
        message(2, dim=3),
        message(3, embedding="*"),
        message(4, dim=0),
        message(5, values=[1.0, np.nan]),
        message(6, values=[-np.inf, 1.0]),
        message(7, values=[0.0, -0.0]),
        message(8, values=[0.0, 65504.0]),  # the greatest there is, and the least
        message(9, values=[6e-8, -65504.0]),
        message(10, dim=4096, values=np.linspace(-1, 1, 4096)),
    ]
    connect(tmp_path, "pin_embeddings", 0, *lines)
    counts = run()
    assert (counts["applied"], counts["superseded"], counts["quarantined"]) == (5, 1, 6)
    rows = lake.read("silver.pin_embeddings").where("pin_id < 8").collect()
    assert {np.frombuffer(row["embedding"], "<f2").tolist() == vector.tolist() for row in rows} == {True}
    reasons = {r["row_no"]: r["reason"] for r in lake.read("ops.quarantine").collect()}
    bad = dict.fromkeys((4, 6, 7, 8, 9), "bad_embedding")
    assert reasons == bad | {5: "bad_json"}
    details = {r["row_no"]: r["detail"] for r in lake.read("ops.quarantine").collect()}
    assert [details[row].split(":")[0] for row in (7, 8, 9)] == [
        "embedding must be finite",
        "embedding must be finite",
        "embedding must not be all zero",
    ]


def test_a_damaged_file_and_a_format_that_cannot_be_read_are_reported(lake, run, tmp_path):
    secor(tmp_path, 0, event(1))
    (tmp_path / "secor/pin_events/dt=2026-10-07/1_0_00000000000000000005.gz").write_bytes(b"not gzip")
    (tmp_path / "secor/pin_events/dt=2026-10-07/1_0_00000000000000000007.orc").write_bytes(b"ORC")
    (tmp_path / "secor/pin_events-0-70.jsonl").write_bytes(event(70) + b"\n" + event(71))
    (tmp_path / "topics").mkdir()
    (tmp_path / "topics/part-0-0.json").write_bytes(event(80))
    counts = run()
    assert (counts["pending"], counts["quarantined"], counts["unknown_files"]) == (3, 1, 2)
    assert set(run.detail["blocked"]) == {"pin_events"}, "how many messages the file has nobody knows"
    bad = {(r["reason"], r["table"]) for r in lake.read("ops.quarantine").collect()}
    assert bad == {("unreadable_file", "pin_events"), ("unsupported_format", None), ("unknown_topic", None)}
    assert run.detail["without_topic"] == [str(tmp_path / "topics")]


def test_messages_of_kafkas_own_segments_come_with_exact_offsets_and_gaps_are_said(lake, run, tmp_path):
    def segment(first, *numbers):
        file = tmp_path / "topics/main/pin_events-1" / f"{first:020d}.log"
        file.parent.mkdir(parents=True, exist_ok=True)
        batches = [record_batch(number, [(b"k", event(number), [])]) for number in numbers]
        file.write_bytes(b"".join(batches))

    segment(0, 0, 1, 4)
    assert run()["gaps"] == 1
    segment(6, 4, 6, 7)
    counts = run()
    assert (counts["gaps"], counts["applied"], counts["superseded"]) == (1, 2, 1)
    rows = lake.read("bronze.kafka").select("offset", "offset_quality", "key", "ts", "layout").collect()
    assert {row["offset"] for row in rows} == {0, 1, 4, 6, 7}
    assert {(row["offset_quality"], bytes(row["key"]), row["layout"]) for row in rows} == {("exact", b"k", "segment")}
    assert {row["ts"] for row in rows} == {TS}


def test_sequence_files_written_by_hadoop_itself_are_read(lake, run, spark, tmp_path):
    jvm, conf = spark.sparkContext._jvm, spark.sparkContext._jsc.hadoopConfiguration()
    io_ = jvm.org.apache.hadoop.io
    folder = tmp_path / "secor/pin_events/dt=2026-10-07"
    folder.mkdir(parents=True)
    kinds = ((0, "NONE", ""), (10, "RECORD", "DefaultCodec"), (20, "BLOCK", "GzipCodec"), (30, "BLOCK", "SnappyCodec"))
    for first, kind, codec in kinds:
        options = [
            io_.SequenceFile.Writer.file(jvm.org.apache.hadoop.fs.Path(str(folder / f"1_0_{first:020d}"))),
            io_.SequenceFile.Writer.keyClass(io_.LongWritable().getClass()),
            io_.SequenceFile.Writer.valueClass(io_.BytesWritable().getClass()),
        ]
        how = getattr(io_.SequenceFile.CompressionType, kind)
        if codec:
            made = jvm.org.apache.hadoop.util.ReflectionUtils.newInstance(
                jvm.java.lang.Class.forName(f"org.apache.hadoop.io.compress.{codec}"), conf
            )
            options.append(io_.SequenceFile.Writer.compression(how, made))
        else:
            options.append(io_.SequenceFile.Writer.compression(how))
        writer = create_writer(spark, conf, options)
        for number in range(first, first + 3):
            writer.append(io_.LongWritable(number), io_.BytesWritable(bytearray(event(number))))
        writer.close()
    counts = run()
    assert (counts["applied"], counts["quarantined"]) == (12, 0)
    offsets = {row["offset"] for row in lake.read("bronze.kafka").select("offset").collect()}
    assert offsets == {first + n for first, *_ in kinds for n in range(3)}


def create_writer(spark, conf, options):
    """Call SequenceFile.createWriter, which takes a Java array of options."""
    gateway = spark.sparkContext._gateway
    kind = gateway.jvm.java.lang.Class.forName("org.apache.hadoop.io.SequenceFile$Writer$Option")
    array = gateway.jvm.java.lang.reflect.Array.newInstance(kind, len(options))
    for place, option in enumerate(options):
        gateway.jvm.java.lang.reflect.Array.set(array, place, option)
    return gateway.jvm.org.apache.hadoop.io.SequenceFile.createWriter(conf, array)


def test_avro_messages_go_to_the_table_their_topic_is_told(lake, work, tmp_path, monkeypatch):
    fields = [{"name": name, "type": "long"} for name in ("user_id", "pin_id")]
    fields += [{"name": "event_id", "type": "string"}, {"name": "kind", "type": "string"}]
    fields.append({"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}})
    plain = {"type": "record", "name": "Event", "fields": fields}
    wider = plain | {"fields": [*fields, {"name": "device", "type": "string"}]}
    folder = tmp_path / "conf" / "schemas"
    folder.mkdir(parents=True)
    (folder / "plain.avsc").write_text(json.dumps(plain))
    (folder / "wider.avsc").write_text(json.dumps(wider))
    monkeypatch.setenv("PINLAKE_CONF", str(folder.parent))
    body = {"user_id": 1, "pin_id": 2, "event_id": "a", "kind": "save", "ts": TS}
    good = b"\0\0\0\0\7" + datum(plain, body)
    seen = b"\0\0\0\0\x08" + datum(wider, body | {"event_id": "b", "device": "tv"})
    bad = [b"\0\0\0\0\x09" + datum(plain, body), good[:-2], b"{}"]
    odd = b"\0\0\0\0\7" + datum(plain, body | {"kind": "teleport"})
    segment = tmp_path / "tiered/main/prod.events-0" / f"{0:020d}.log"
    segment.parent.mkdir(parents=True)
    bodies = [good, seen, *bad, odd]
    segment.write_bytes(b"".join(record_batch(n, [(None, value, [])]) for n, value in enumerate(bodies)))
    rules = {"table": "pin_events", "format": "confluent", "avro_ids": {7: "plain.avsc", 8: "wider.avsc"}}
    topics = {"prod.events": rules | {"type_field": "kind", "types": ["save"]}}
    settings = Settings.model_validate(Settings().model_dump() | {"ingest": {"topics": topics}})
    counts = kafka.run(work(settings=settings, kafka=[str(tmp_path / "tiered")])).counts
    assert (counts["read"], counts["applied"], counts["quarantined"]) == (6, 2, 4)
    rows = lake.read("silver.pin_events").collect()
    assert {(row["event_id"], row["user_id"], str(row["ds"])) for row in rows} == {
        ("a", 1, "2026-10-07"), ("b", 1, "2026-10-07"),
    }  # fmt: skip
    set_aside = {(row["reason"], bytes(row["raw"])) for row in lake.read("ops.quarantine").collect()}
    assert set_aside == {
        ("unknown_schema", bad[0]), ("bad_avro", bad[1]), ("bad_avro", bad[2]), ("unknown_event_type", odd),
    }  # fmt: skip


def datum(schema, record):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), record)
    return out.getvalue()
