"""Kafka archives of every layout, from files to event tables.

One lake takes in archives of all layouts in one run, then the same files again, then late ones; each test looks at one
side of what that left.
"""

import base64
import gzip
import io
import json
from types import SimpleNamespace

import fastavro
import numpy as np
import pytest

from jobs.ingest.kafka import job as kafka
from jobs.ingest.status import status
from jobs.settings import Settings
from tests.scenes import lake_at, worker
from tests.unit.ingest.test_messages import record_batch

pytestmark = pytest.mark.spark

PARTS = ("applied", "superseded", "other_topics", "pending", "quarantined")
TS = 1_791_331_721_136  # 2026-10-07 UTC
DAY = 86_400_000
SEQUENCES = (
    (0, "NONE", ""), (10, "RECORD", "DefaultCodec"), (20, "BLOCK", "GzipCodec"), (30, "BLOCK", "SnappyCodec"),
)  # fmt: skip


def event(number, ts=TS, **more):
    body = {"event_id": f"e{number}", "kind": "save", "user_id": number, "pin_id": 7, "board_id": 3}
    body |= {"surface": "home_feed", "position": 1, "propensity": 0.5, "ts": ts}
    return json.dumps(body | more).encode()


BROKEN = [
    b'{"event_id": "e9"',
    event(10, user_id=None),
    event(11, pin_id="x"),
    event(12, ts=-5),
    b"\xff" + event(13),
    event(15) + event(16),
    event(17, propensity=float("nan")),
    event(18, ts=TS // 1_000_000),
]


def secor(folder, name, *lines, topic="pin_events", day="dt=2026-10-07"):
    file = folder / "secor" / topic / day / f"1_0_{name:020d}.gz"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))


def connect(folder, topic, offset, *lines):
    file = folder / "topics" / topic / "partition=1" / f"{topic}+1+{offset:010d}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"\n".join(lines))


def segment(folder, place, first, messages):
    """Write a segment of Kafka's own log: offset -> value."""
    file = folder / "tiered/main" / place / f"{first:020d}.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"".join(record_batch(n, [(b"k", value, [])]) for n, value in messages.items()))


def vector(pin, ts=TS, values=(0.6, 0.8), **more):
    stored = base64.b64encode(np.array(values, "<f2").tobytes()).decode()
    return json.dumps({"pin_id": pin, "model": "w1", "dim": 2, "embedding": stored, "ts": ts} | more).encode()


VECTORS = [
    vector(1),
    vector(1),
    vector(1, TS + 1),
    vector(2, dim=3),
    vector(3, embedding="*"),
    vector(4, dim=0),
    vector(5, values=[1.0, np.nan]),
    vector(6, values=[-np.inf, 1.0]),
    vector(7, values=[0.0, -0.0]),
    vector(8, values=[0.0, 65504.0]),  # the greatest there is, and the least
    vector(9, values=[6e-8, -65504.0]),
    vector(10, dim=4096, values=np.linspace(-1, 1, 4096)),
]


def datum(schema, record):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), record)
    return out.getvalue()


def avro(conf):
    """Write two schemas and return messages by them: two good ones, four bad."""
    fields = [{"name": name, "type": "long"} for name in ("user_id", "pin_id")]
    fields += [{"name": "event_id", "type": "string"}, {"name": "kind", "type": "string"}]
    fields.append({"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}})
    plain = {"type": "record", "name": "Event", "fields": fields}
    wider = plain | {"fields": [*fields, {"name": "device", "type": "string"}]}
    (conf / "schemas").mkdir(parents=True)
    (conf / "schemas/plain.avsc").write_text(json.dumps(plain))
    (conf / "schemas/wider.avsc").write_text(json.dumps(wider))
    body = {"user_id": 1, "pin_id": 2, "event_id": "a", "kind": "save", "ts": TS}
    good = b"\0\0\0\0\7" + datum(plain, body)
    seen = b"\0\0\0\0\x08" + datum(wider, body | {"event_id": "b", "device": "tv"})
    bad = [b"\0\0\0\0\x09" + datum(plain, body), good[:-2], b"{}"]
    return [good, seen, *bad, b"\0\0\0\0\7" + datum(plain, body | {"kind": "teleport"})]


def settings():
    """Avro of one topic, and another whose files are damaged: both in tables of other names."""
    values = Settings().model_dump()
    rules = {"table": "pin_events", "format": "confluent", "avro_ids": {7: "plain.avsc", 8: "wider.avsc"}}
    topics = {"prod.events": rules | {"type_field": "kind", "types": ["save"]}, "damaged": {"table": "searches"}}
    values["ingest"]["topics"] |= topics
    return Settings.model_validate(values)


def write_sequences(spark, folder):
    """Let Hadoop itself write sequence files of every compression."""
    jvm, conf = spark.sparkContext._jvm, spark.sparkContext._jsc.hadoopConfiguration()
    io_ = jvm.org.apache.hadoop.io
    folder = folder / "secor/pin_events/dt=2026-10-07"
    for first, kind, codec in SEQUENCES:
        options = [
            io_.SequenceFile.Writer.file(jvm.org.apache.hadoop.fs.Path(str(folder / f"1_3_{first:020d}"))),
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
            writer.append(io_.LongWritable(number), io_.BytesWritable(bytearray(event(200 + number))))
        writer.close()


def create_writer(spark, conf, options):
    """Call SequenceFile.createWriter, which takes a Java array of options."""
    gateway = spark.sparkContext._gateway
    kind = gateway.jvm.java.lang.Class.forName("org.apache.hadoop.io.SequenceFile$Writer$Option")
    array = gateway.jvm.java.lang.reflect.Array.newInstance(kind, len(options))
    for place, option in enumerate(options):
        gateway.jvm.java.lang.reflect.Array.set(array, place, option)
    return gateway.jvm.org.apache.hadoop.io.SequenceFile.createWriter(conf, array)


def fill(spark, folder, avros):
    secor(folder, 0, event(1), event(2), event(2), *BROKEN)
    # overlaps the file before, below a prefix and the value of a field; seconds
    secor(folder, 2, event(2), event(3, ts=TS // 1000 + 86_400), topic="raw/pin_events/save")
    secor(folder, 9, event(14), day="19700101")
    secor(folder, 11, event(15), topic="raw/nobody/save")
    secor(folder, 0, json.dumps({"event_id": "s2", "user_id": 5, "query": "q", "ts": TS}).encode(), topic="damaged")
    (folder / "secor/damaged/dt=2026-10-07/1_0_00000000000000000005.gz").write_bytes(b"not gzip")
    (folder / "secor/pin_events/dt=2026-10-07/1_0_00000000000000000007.orc").write_bytes(b"ORC")
    (folder / "secor/pin_events-0-70.jsonl").write_bytes(event(70) + b"\n" + event(71))
    connect(folder, "searches", 40, json.dumps({"event_id": "s1", "user_id": 5, "query": "é", "ts": TS}).encode())
    connect(folder, "unheard_of", 0, b"anything", b"at all")
    connect(folder, "pin_embeddings", 0, *VECTORS)
    (folder / "odd/topics").mkdir(parents=True)
    (folder / "odd/topics/part-0-0.json").write_bytes(event(80))
    segment(folder, "pin_events-7", 0, {n: event(300 + n) for n in (0, 1, 4)})
    segment(folder, "prod.events-0", 0, dict(enumerate(avros)))
    write_sequences(spark, folder)


def come_late(folder):
    """One event is one row on whatever day, in whatever archive and run it comes again: the first stays."""
    connect(folder, "pin_events", 0, event(1), event(4), event(4, ts=TS + DAY))
    secor(folder, 20, event(2, ts=TS + 9 * DAY), day="dt=2026-10-16")
    secor(folder, 21, event(3), event(0, ts=TS - DAY))
    segment(folder, "pin_events-7", 6, {n: event(300 + n) for n in (4, 6, 7)})


@pytest.fixture(scope="module")
def told(spark, tmp_path_factory):
    """Three runs over archives of all layouts: all files, the same again, late ones."""
    folder = tmp_path_factory.mktemp("archives")
    lake, avros = lake_at(spark, folder / "lake"), avro(folder / "conf")
    work, runs = worker(lake), []
    fill(spark, folder, avros)

    def run():
        roots = [str(folder / root) for root in ("secor", "topics", "tiered", "odd/topics")]
        done = kafka.run(work(settings=settings(), kafka=roots))
        counts = done.counts
        assert counts["read"] + counts["backlog"] == sum(counts[name] for name in PARTS), counts
        topics = {one.table.removeprefix("kafka:"): one for one in status(lake.root)}
        runs.append(SimpleNamespace(counts=counts, detail=done.detail, topics=topics))

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PINLAKE_CONF", str(folder / "conf"))
        run()
        run()
        come_late(folder)
        run()
    bronze, silver = (lake.scan(name).collect() for name in ("bronze.kafka", "silver.pin_events"))
    bad = lake.rows("ops.quarantine", "table", "path", "row_no", "reason", "detail", "raw")
    return SimpleNamespace(lake=lake, folder=folder, runs=runs, avros=avros, bronze=bronze, silver=silver, bad=bad)


def bad_of(told, topic):
    return [row for row in told.bad if row["table"] == topic]


def counted(run, topic):
    one = run.topics[topic]
    return one.applied, one.superseded, one.pending, one.quarantined


def test_every_message_of_a_run_is_accounted_for(told):
    first, again, late = ({name: run.counts[name] for name in ("read", "backlog", *PARTS)} for run in told.runs)
    nothing = dict.fromkeys(first, 0)
    assert first == {
        "read": 54, "backlog": 0, "applied": 28, "superseded": 3, "other_topics": 2, "pending": 1, "quarantined": 20,
    }  # fmt: skip
    assert again == nothing | {"backlog": 1, "pending": 1}, "a second run changes nothing: one topic is blocked"
    assert late == nothing | {"read": 9, "backlog": 1, "applied": 4, "superseded": 5, "pending": 1}
    assert [run.counts["files"] for run in told.runs[1:]] == [0, 4]


def test_duplicates_are_removed_and_the_first_copy_stays_over_days_archives_and_runs(told):
    events = {r["event_id"]: (r["user_id"], str(r["ts"]), str(r["ds"])) for r in told.silver}
    assert len(events) == len(told.silver)
    assert {name: events[name] for name in ("e1", "e2", "e3")} == {
        "e1": (1, "2026-10-07 00:08:41.136000", "2026-10-07"),
        "e2": (2, "2026-10-07 00:08:41.136000", "2026-10-07"),
        "e3": (3, "2026-10-08 00:08:41", "2026-10-08"),
    }
    assert (events["e0"][2], events["e4"][2]) == ("2026-10-06", "2026-10-07")
    wanted = {0, 1, 2, 3, 4, 70, 71, *(300 + n for n in (0, 1, 4, 6, 7))}
    wanted |= {200 + first + n for first, *_ in SEQUENCES for n in range(3)}
    assert events.keys() == {f"e{number}" for number in wanted} | {"a", "b"}
    assert [counted(run, "pin_events") for run in told.runs] == [(20, 2, 0, 9), (20, 2, 0, 9), (24, 7, 0, 9)]


def test_bad_messages_are_set_aside_with_their_bytes(told):
    bad = {(row["row_no"], row["reason"], row["raw"]) for row in bad_of(told, "pin_events")}
    assert {(number, reason) for number, reason, _ in bad} == {
        (4, "bad_json"), (5, "missing_field"), (6, "bad_json"), (7, "implausible_time"), (8, "bad_utf8"),
        (9, "bad_json"), (10, "bad_json"), (11, "implausible_time"), (1, "epoch_directory"),
    }  # fmt: skip
    assert {raw for *_, raw in bad} == {*BROKEN, event(14)}


def test_messages_of_topics_without_a_table_stay_in_bronze(told):
    assert told.runs[0].detail["other_topics"] == {"unheard_of": 2}
    (search,) = [row for row in told.bronze if row["topic"] == "searches"]
    assert (search["layout"], search["offset"], search["offset_quality"]) == ("connect", 40, "inferred")


def test_embeddings_keep_their_values_and_must_be_as_long_as_they_say(told):
    assert counted(told.runs[0], "pin_embeddings") == (5, 1, 0, 6)
    rows = told.lake.scan("silver.pin_embeddings").where("pin_id < 8").collect()
    whole = np.array([0.6, 0.8], "<f2").tolist()
    assert {np.frombuffer(row["embedding"], "<f2").tolist() == whole for row in rows} == {True}
    bad = {row["row_no"]: row for row in bad_of(told, "pin_embeddings")}
    reasons = dict.fromkeys((4, 6, 7, 8, 9), "bad_embedding") | {5: "bad_json"}
    assert {number: row["reason"] for number, row in bad.items()} == reasons
    assert [bad[number]["detail"].split(":")[0] for number in (7, 8, 9)] == [
        "embedding must be finite",
        "embedding must be finite",
        "embedding must not be all zero",
    ]


def test_a_damaged_file_and_a_format_that_cannot_be_read_are_reported(told):
    first = told.runs[0]
    assert set(first.detail["blocked"]) == {"damaged"}, "how many messages the file has nobody knows"
    assert counted(first, "damaged") == (0, 0, 1, 1)
    assert [row["reason"] for row in bad_of(told, "damaged")] == ["unreadable_file"]
    refused = sorted(row["reason"] for row in bad_of(told, None))
    assert refused == ["unknown_topic", "unknown_topic", "unsupported_format"]
    assert [run.counts["unknown_files"] for run in told.runs] == [3, 0, 0]
    assert any("ingest.topic_folder" in why for why in first.detail["unknown_paths"].values())
    assert first.detail["without_topic"] == [str(told.folder / "odd/topics")]


def test_messages_of_kafkas_own_segments_come_with_exact_offsets_and_gaps_are_said(told):
    gaps = [[gap for gap in run.detail["gaps"] if gap.startswith("pin_events, partition 7")] for run in told.runs]
    said = "pin_events, partition 7: offsets {} to {} are missing"
    assert gaps == [[said.format(2, 3)], [], [said.format(5, 5)]]
    rows = [row for row in told.bronze if (row["topic"], row["partition"]) == ("pin_events", 7)]
    assert {row["offset"] for row in rows} == {0, 1, 4, 6, 7}
    assert {(row["offset_quality"], bytes(row["key"]), row["layout"]) for row in rows} == {("exact", b"k", "segment")}
    assert {row["ts"] for row in rows} == {TS}


def test_sequence_files_written_by_hadoop_itself_are_read(told):
    offsets = sorted(row["offset"] for row in told.bronze if (row["topic"], row["partition"]) == ("pin_events", 3))
    assert offsets == [first + n for first, *_ in SEQUENCES for n in range(3)]


def test_avro_messages_go_to_the_table_their_topic_is_told(told):
    assert counted(told.runs[0], "prod.events") == (2, 0, 0, 4)
    rows = {(row["event_id"], row["user_id"], str(row["ds"])) for row in told.silver if row["event_id"] in "ab"}
    assert rows == {("a", 1, "2026-10-07"), ("b", 1, "2026-10-07")}
    reasons = {row["raw"]: row["reason"] for row in bad_of(told, "prod.events")}
    assert reasons == dict(
        zip(told.avros[2:], ("unknown_schema", "bad_avro", "bad_avro", "unknown_event_type"), strict=True)
    )
