"""Avro messages by their schemas, and the fields that Kafka Connect puts into messages."""

import io
import json

import fastavro
import pytest

from jobs.common.errors import ConfigError
from jobs.ingest.kafka.archive.insert_field import placed
from jobs.ingest.kafka.archive.layouts import Archived
from jobs.ingest.kafka.archive.message import Message
from jobs.ingest.kafka.archive.messages import read_messages
from jobs.ingest.kafka.archive.payloads import Unreadable, decoder
from jobs.ingest.loading.stream import Task
from jobs.settings.ingest import InsertField, TopicRules

FIRST = {"type": "record", "name": "Event", "fields": [{"name": "event_id", "type": "string"}]}
SECOND = {**FIRST, "fields": [*FIRST["fields"], {"name": "app", "type": ["null", "string"], "default": None}]}


@pytest.fixture
def conf(tmp_path, monkeypatch):
    folder = tmp_path / "conf" / "schemas"
    folder.mkdir(parents=True)
    for name, schema in (("first", FIRST), ("second", SECOND)):
        (folder / f"{name}.avsc").write_text(json.dumps(schema))
    monkeypatch.setenv("PINLAKE_CONF", str(folder.parent))
    return folder


def datum(schema, record):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), record)
    return out.getvalue()


def test_a_datum_is_read_whole_or_not_at_all(conf):
    decode = decoder(TopicRules(format="avro", avro="first.avsc"))
    assert decode(datum(FIRST, {"event_id": "é"})) == {"event_id": "é"}
    for bad in (b"", b"\x04a", datum(SECOND, {"event_id": "e", "app": "web"})):
        with pytest.raises(Unreadable) as said:
            decode(bad)
        assert said.value.args[0] == "bad_avro"


def test_each_message_is_read_by_the_schema_whose_id_it_carries(conf):
    decode = decoder(TopicRules(format="confluent", avro_ids={1: "first.avsc", 300: "second.avsc"}))
    assert decode(b"\0\0\0\0\x01" + datum(FIRST, {"event_id": "a"})) == {"event_id": "a"}
    second = {"event_id": "b", "app": "web"}
    assert decode(b"\0\0\0\x01\x2c" + datum(SECOND, second)) == second
    for bad, reason, detail in (
        (
            b"\0\0\0\0\x02" + datum(FIRST, {"event_id": "a"}),
            "unknown_schema",
            "schema 2; avro_ids of the topic has 1, 300",
        ),
        (datum(FIRST, {"event_id": "a"}), "bad_avro", "zero byte"),
    ):
        with pytest.raises(Unreadable) as said:
            decode(bad)
        assert said.value.args[0] == reason
        assert detail in said.value.args[1]


def test_a_schema_that_is_not_there_or_none_is_named(conf):
    with pytest.raises(ConfigError, match=r"third\.avsc: no such file"):
        decoder(TopicRules(format="avro", avro="third.avsc"))
    (conf / "third.avsc").write_text('{"type": "wreckord"}')
    with pytest.raises(ConfigError, match=r"third\.avsc is no Avro schema"):
        decoder(TopicRules(format="avro", avro="third.avsc"))


def test_a_format_without_its_schema_is_refused():
    for given in ({"format": "avro"}, {"format": "confluent"}, {"types": ("a",)}):
        with pytest.raises(ValueError, match="need"):
            TopicRules.model_validate(given)


def test_inserted_fields_give_offset_partition_and_time():
    fields = InsertField(offset="_o", partition="_p", timestamp="_t")
    bodies = [b'{"_o": 41, "_p": 3, "_t": 5}', b'{"_o": "41", "_p": true, "_t": -1}', b"no JSON", None, b"[1]"]
    found = list(placed((Message(body, n) for n, body in enumerate(bodies, 1)), fields))
    assert [(m.offset, m.partition, m.ts) for m in found] == [(41, 3, 5), *[(None, None, None)] * 4]


def test_offsets_of_a_file_of_a_field_partitioner_are_exact_where_the_message_has_them():
    archived = Archived("connect", "t", 2, None, inserted=InsertField(offset="_o"))
    task = Task("kafka", "root", "t/kind=save/t+2+0000000000.json", 1, "t", archived)
    rows = [row for batch in read_messages(task, b'{"_o": 0}\n{"_o": 3}\n{}\n') for row in batch.to_pylist()]
    told = [(row["partition"], row["offset"], row["offset_quality"]) for row in rows if row["kind"] == 0]
    assert told == [(2, 0, "exact"), (2, 3, "exact"), (2, None, "none")]
