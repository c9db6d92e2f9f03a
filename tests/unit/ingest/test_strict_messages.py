"""Which messages are good: one rule for JSON and Avro, told without Spark; and numbers that add up whatever comes."""

import base64
import io
import json
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone

import fastavro
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark import cloudpickle

from jobs.common.errors import ConfigError
from jobs.ingest.kafka.archive.events import TOPICS
from jobs.ingest.kafka.archive.fields import MessageReader
from jobs.ingest.kafka.archive.layouts import Archived
from jobs.ingest.kafka.archive.messages import read_messages
from jobs.ingest.kafka.archive.strict import Unreadable
from jobs.ingest.kafka.archive.typed_records import as_json
from jobs.ingest.loading.stream import BAD, CHANGE, Task
from jobs.schema.columns import Column
from jobs.schema.table import AsOf, Table
from jobs.settings.ingest import TopicRules

TS = 1_780_000_000_000
RULES = TopicRules(type_field="kind", types=("save", "click"))
EVENTS = MessageReader(TOPICS["pin_events"], RULES)
BODY = {"event_id": "e1", "kind": "save", "user_id": 1, "pin_id": 11, "propensity": 0.5, "ts": TS}
NAMES = [column.name for column in TOPICS["pin_events"].columns]


def good(value, reader=EVENTS):
    names = NAMES if reader is EVENTS else [name for name in reader.schema.names if name not in _FIXED]
    return dict(zip(names, reader.read(value), strict=True))


_FIXED = {"path", "row_no", "value", "reason", "detail"}


def fault(value, reader=EVENTS):
    with pytest.raises(Unreadable) as said:
        reader.read(value)
    return said.value.args


def text(**more):
    return json.dumps(BODY | more)


ONE = text()


@pytest.mark.parametrize(
    "value",
    [
        ONE + ONE,
        ONE + " " + text(event_id="e2"),
        ONE + "garbage",
        ONE + "\0",
        ONE + "//",
        "/* */" + ONE,
        ONE[:-1] + ",}",
        ONE[:-1],
        ONE.replace('"', "'"),
        ONE.replace("0.5", "NaN"),
        ONE.replace("0.5", "-Infinity"),
        ONE.replace("0.5", '"NaN"'),
        ONE.replace("0.5", '"Infinity"'),
        ONE.replace("0.5", '"0.5"'),
        ONE.replace("0.5", "1e999"),
        ONE.replace("0.5", ".5"),
        ONE.replace("11", "011"),
        ONE.replace("11", "+11"),
        ONE.replace("11", "0x11"),
        ONE.replace("11", "11.0"),
        ONE.replace("11", '"11"'),
        ONE.replace("11", "true"),
        ONE.replace("11", str(2**63)),
        ONE.replace("11", "123456789012345678901234567890"),
        "\ufeff" + ONE,
        ONE.replace("e1", "\\ud800"),
        ONE.replace("e1", "a\tb"),
        ONE.replace('"pin_id": 11', '"pin_id": 11, "pin_id": 12'),
        ONE.replace('"pin_id": 11', '"pin_id": 11, "\\u0070in_id": 11'),
        text(device={"os": 1}).replace('"os": 1', '"os": 1, "os": 2'),
        text(event_id={"a": 1}),
        text(event_id=1.0),
        f"[{ONE}]",
        "[]",
        "null",
        '"text"',
        "1",
        "",
        " ",
        "[" * 5000,
        '{"a":' * 900 + "1" + "}" * 900 + "x",
    ],
)
def test_what_is_not_exactly_one_json_object_of_the_columns_types_is_bad_json(value):
    assert fault(value.encode())[0] == "bad_json"


def test_a_reader_that_has_travelled_to_an_executor_reads_the_same():
    there = cloudpickle.loads(cloudpickle.dumps(EVENTS))
    for more in ({"pin_id": "x"}, {"ts": 5}, {"propensity": "NaN"}, {"event_id": []}, {"kind": "x"}, {"pin_id": None}):
        assert fault(text(**more).encode(), there) == fault(text(**more).encode())


def test_bytes_that_are_no_text_and_messages_without_a_value_have_reasons_of_their_own():
    assert fault(ONE.encode().replace(b"e1", b"\xff"))[0] == "bad_utf8"
    assert fault(ONE.encode().replace(b"e1", b"\xed\xa0\x80"))[0] == "bad_utf8"
    assert fault(ONE.encode("utf-16"))[0] == "bad_utf8"
    assert fault(None)[0] == "tombstone"
    assert fault(text(pin_id=None, kind=None).encode()) == ("missing_field", "missing: kind, pin_id")
    assert fault(text(event_id="").encode()) == ("missing_field", "missing: event_id")
    assert fault(text(kind="teleport", pin_id={}).encode())[0] == "unknown_event_type"
    assert fault(text(kind=["save"]).encode())[0] == "unknown_event_type"


def test_what_json_allows_is_read_without_a_change():
    row = good(text(event_id="é\0😀: ", request_id=12, position=None, more={"a": [1, {"b": None}]}).encode())
    assert (row["event_id"], row["request_id"], row["position"], row["board_id"]) == ("é\0😀: ", "12", None, None)
    row = good(f" \r\n\t{ONE.replace('11', str(-(2**63)))}\n".encode())
    assert (row["pin_id"], row["propensity"], row["ts"], row["ds"]) == (-(2**63), 0.5, TS * 1000, 20601)
    assert good(ONE.replace("0.5", "1").encode())["propensity"] == 1.0


@pytest.mark.parametrize(
    "value",
    [
        TS // 1000,
        TS,
        TS * 1000,
        TS * 1_000_000,
        TS / 1000,
        float(TS),
        "2026-05-28T20:26:40Z",
        "2026-05-28T22:26:40.000000000+02:00",
        "2026-05-28 20:26:40+0000",
    ],
)
@pytest.mark.parametrize("topic", ["pin_events", "searches", "pin_embeddings"])
def test_a_time_is_the_same_in_every_unit_and_topic(topic, value):
    body = BODY | {"model": "m", "dim": 1, "embedding": base64.b64encode(b"\0\x3c").decode(), "query": "q", "ts": value}
    row = good(json.dumps(body).encode(), MessageReader(TOPICS[topic], TopicRules()))
    assert (row["ts"], row["ds"]) == (TS * 1000, 20601)


def test_a_time_of_avro_keeps_its_microseconds():
    for micros in (TS * 1000 + 123_456, TS * 1000 + 999_999, TS * 1000 + 1000, 4_102_444_799_999_999):
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
        for value in (at, at.astimezone(timezone(timedelta(hours=9))), at.replace(tzinfo=None)):
            assert good(as_json(BODY | {"ts": value}))["ts"] == micros


@pytest.mark.parametrize(
    "value",
    [
        *(0, -5, 1, 20_601, TS // 1_000_000, 20_260_528, TS // 100, TS * 10, TS * 100_000, 2**62, 5e18, 1e300),
        *(
            "2026-05-28T20:26:40",
            "2026-05-28",
            "20260528",
            str(TS),
            "",
            "now",
            "2026-02-30T00:00Z",
            "0001-01-01T00:00Z",
        ),
        *(True, [TS], {"ms": TS}),
    ],
)
def test_a_time_that_cannot_be_told_is_refused_and_never_1970(value):
    assert fault(text(ts=value).encode())[0] == "implausible_time"


def test_a_topic_can_name_the_unit_of_its_older_events():
    reader = MessageReader(TOPICS["searches"], TopicRules(ts_unit="ms"))
    assert good(text(ts=86_400_000).encode(), reader)["ds"] == 1
    assert fault(text(ts=TS * 1000).encode(), reader)[0] == "implausible_time"
    assert fault(text(ts=0).encode(), reader)[0] == "implausible_time"
    row = good(text(ts=TS // 1000).encode(), MessageReader(TOPICS["searches"], TopicRules(ts_unit="s")))
    assert row["ts"] == TS * 1000


def test_vectors_must_have_their_length_a_direction_and_finite_values():
    reader = MessageReader(TOPICS["pin_embeddings"], TopicRules())

    def message(values, dim, coded=None):
        stored = coded or base64.b64encode(np.array(values, "<f2").tobytes()).decode()
        return json.dumps({"pin_id": 1, "model": "m", "dim": dim, "embedding": stored, "ts": TS}).encode()

    assert good(message([0, 65504], 2), reader)["dim"] == 2
    folded = base64.encodebytes(np.ones(64, "<f2").tobytes()).decode()
    assert len(good(message([], 64, folded), reader)["embedding"]) == 128
    for values, dim in (([1], 2), ([], 0), ([1], -1), ([1, np.nan], 2), ([-np.inf], 1), ([0, -0.0], 2)):
        assert fault(message(values, dim), reader)[0] in {"bad_embedding", "missing_field"}, values
    for coded in ("*", "AAA", "AA==A", "A-_/"):
        assert fault(message([], 1, coded), reader)[0] == "bad_json"


def test_numbers_that_json_does_not_have_are_refused_in_avro_as_in_json(tmp_path, monkeypatch):
    fields = [{"name": name, "type": "long"} for name in ("user_id", "pin_id", "ts")]
    fields += [{"name": name, "type": "string"} for name in ("event_id", "kind")]
    fields += [{"name": "propensity", "type": ["null", "double"]}, {"name": "board_id", "type": ["null", "long"]}]
    schema = {"type": "record", "name": "e", "fields": fields}
    numbers = [0.5, float("nan"), float("inf"), -float("inf"), None]
    records = [BODY | {"event_id": f"e{n}", "propensity": p, "board_id": None} for n, p in enumerate(numbers)]
    file = io.BytesIO()
    fastavro.writer(file, fastavro.parse_schema(schema), records)
    task = Task("kafka", "/", "f", 1, "pin_events", Archived("connect", "pin_events", 0, None, format="avro"))
    rows = [row for batch in read_messages(task, file.getvalue()) for row in batch.to_pylist()]
    values = [row["value"] for row in rows if row["kind"] == CHANGE]
    expected = [None, "bad_json", "bad_json", "bad_json", None]
    assert [_reason(EVENTS, value) for value in values] == expected
    assert b'"propensity":-Infinity' in values[3]
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas/e.avsc").write_text(json.dumps(schema))
    monkeypatch.setenv("PINLAKE_CONF", str(tmp_path))
    reader = MessageReader(TOPICS["pin_events"], TopicRules(format="avro", avro="e.avsc"))
    for record, reason in zip(records, expected, strict=True):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, fastavro.parse_schema(schema), record)
        assert _reason(reader, out.getvalue()) == reason


def _reason(reader, value):
    try:
        reader.read(value)
    except Unreadable as error:
        return error.args[0]
    return None


def test_parquet_with_two_columns_of_one_name_is_not_read_by_halves():
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), file)
    task = Task("kafka", "/", "f", 1, "t", Archived("connect", "t", 0, None, format="parquet"))
    rows = [row for batch in read_messages(task, file.getvalue()) for row in batch.to_pylist()]
    assert [row["reason"] for row in rows if row["kind"] == BAD] == ["bad_parquet"]


def test_every_type_that_a_registered_column_may_have_is_read_and_others_are_named():
    kinds = {
        "string": "a", "bigint": 1, "int": 1, "smallint": 1, "tinyint": 1, "double": 0.5, "float": 0.5, "boolean": True,
        "binary": "AA==", "timestamp": TS, "date": "2026-05-28",
    }  # fmt: skip
    columns = tuple(Column(kind, kind, "One.") for kind in kinds)
    reader = MessageReader(Table("silver.x", "X.", "one", ("string",), columns, AsOf.EVENTS), TopicRules())
    row = pa.RecordBatch.from_pylist([{"path": "o", "row_no": 1, "layout": "x", "value": json.dumps(kinds).encode()}])
    assert reader.batch(row).column("reason").to_pylist() == [None]
    wrong = {"bigint": 0.5, "int": 2**31, "smallint": 2**15, "tinyint": 128, "float": 1e300, "boolean": 1, "date": "x"}
    for kind, value in wrong.items():
        assert fault(json.dumps({kind: value}).encode(), reader)[0] == "bad_json", kind
    odd = Table("silver.x", "X.", "one", ("a",), (Column("a", "array<int>", "One."),), AsOf.EVENTS)
    with pytest.raises(ConfigError, match=r"silver\.x: a cannot be read"):
        MessageReader(odd, TopicRules())


# messages of any kind, of few ids, over days and units: a model of what should become of each
_EVENT = st.builds(
    lambda number, day, unit, space: (
        f"e{number}",
        json.dumps(BODY | {"event_id": f"e{number}", "ts": (TS + day * 86_400_000) * unit // 1000}) + space,
    ),
    st.integers(0, 5),
    st.integers(-40, 40),
    st.sampled_from([1, 1000, 1_000_000]),
    st.sampled_from(["", " ", "\t"]),
)
_DAMAGE = (
    lambda text: text[:-3],
    lambda text: text + text,
    lambda text: text.replace('"', "'"),
    lambda text: text.replace("0.5", "NaN"),
    lambda text: text.replace('"pin_id"', '"user_id"'),
    lambda text: f"[{text}]",
    lambda text: text.replace('"ts"', '"at"'),
    lambda text: "\ufeff" + text,
)
_MESSAGE = st.one_of(
    _EVENT,
    st.builds(lambda event, damage: (None, damage(event[1])), _EVENT, st.sampled_from(_DAMAGE)),
    st.builds(lambda body: (None, body), st.sampled_from(["", "{}", "null", "{", "x"])),
)


@given(st.lists(_MESSAGE, max_size=30))
def test_every_message_is_applied_superseded_or_quarantined_as_a_plain_model_says(messages):
    rows = [
        {"path": "f", "row_no": number, "layout": "broker", "value": body.encode()}
        for number, (_, body) in enumerate(messages, 1)
    ]
    schema = pa.schema([("path", pa.string()), ("row_no", pa.int64()), ("layout", pa.string()), ("value", pa.binary())])
    told = EVENTS.batch(pa.RecordBatch.from_pylist(rows, schema)).to_pylist()
    quarantined = {row["row_no"]: row["value"] for row in told if row["reason"]}
    assert quarantined == {n: body.encode() for n, (key, body) in enumerate(messages, 1) if key is None}
    kept = {}
    for row in sorted((row for row in told if not row["reason"]), key=lambda row: row["row_no"]):
        kept.setdefault(row["event_id"], row)
    wanted = Counter(key for key, _ in messages if key is not None)
    assert set(kept) == set(wanted)
    superseded = sum(wanted.values()) - len(kept)
    assert len(messages) == len(kept) + superseded + len(quarantined)
    assert all(abs(row["ts"].timestamp() * 1000 - TS) <= 40 * 86_400_000 for row in kept.values())
    assert all(row["ds"] == row["ts"].date() for row in kept.values())


@given(st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_no_bytes_at_all_end_a_run(value):
    assert _reason(EVENTS, value) is not None


def test_a_batch_keeps_place_and_bytes_of_bad_messages_and_of_no_others():
    schema = pa.schema([("path", pa.string()), ("row_no", pa.int64()), ("layout", pa.string()), ("value", pa.binary())])
    epoch, one = "pin_events/dt=19700101/1_0_00000000000000000000", ONE.encode()
    columns = [[epoch, epoch, "f", "f"], [1, 2, 3, 4], ["secor", "broker", "secor", "secor"], [one, one, None, b"x"]]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    told = EVENTS.batch(pa.record_batch(arrays, schema=schema))
    assert told.schema == EVENTS.schema
    rows = [(row["row_no"], row["reason"], row["value"], row["event_id"]) for row in told.to_pylist()]
    assert rows == [
        (1, "epoch_directory", one, None),
        (2, None, None, "e1"),
        (3, "tombstone", None, None),
        (4, "bad_json", b"x", None),
    ]
    assert EVENTS.batch(pa.RecordBatch.from_pylist([], schema)).num_rows == 0
