"""What a path of a Kafka archive says."""

import json

import pytest

from jobs.ingest.archive.layouts import Archived, Refused, classify
from jobs.ingest.archive.messages import read_messages
from jobs.ingest.intake.stream import CHANGE, FILE, Task

SECOR = "1_0_00000000000000000100"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"pin_events/dt=2026-10-02/{SECOR}.gz", Archived("secor", "pin_events", 0, None)),
        (f"backup/pin_events/dt=2026-10-02/hr=07/{SECOR}", Archived("secor", "pin_events", 0, None)),
        (f"4f2a/t/dt=2026-10-02/{SECOR}", Archived("secor", "t", 0, None)),
        (f"pin_events/dt=1970-01-01/{SECOR}.gz", Archived("secor", "pin_events", 0, None, True)),
        ("t/dt=2026-10-02/1_0-3_dGhpcyBpcyBubyBtZDU.gz", Archived("secor", "t", None, None)),
        ("searches/partition=1/searches+1+0000000300.json", Archived("connect", "searches", 1, 300)),
        ("s/partition=1/s+1+0000000300.json.gz", Archived("connect", "s", 1, 300)),
        ("s/year=2026/month=10/day=02/hour=07/s+1+0000000300.json", Archived("connect", "s", 1, None)),
        ("s/partition=1/s+1+0000000300.keys.json", None),
        ("t/dt=2026-10-02/_SUCCESS", None),
        (f"t/dt=2026-10-02/.{SECOR}.crc", None),
        ("s/tombstone/partition=1/s+1+0000000300.json", None),
        ("readme.txt", Refused("unknown_path", "neither Secor nor Kafka Connect nor Kafka itself names files so")),
    ],
)
def test_a_path_says_what_the_object_is(path, expected):
    assert classify(path) == expected


def test_the_key_names_of_confluents_tests_are_read(shared):
    lines = (shared / "fixtures/kafka/confluent_s3_key_cases.jsonl").read_text().splitlines()
    tried = 0
    for case in map(json.loads, lines):
        for key in case.get("keys", []):
            path = key.removeprefix("topics/").removesuffix(".avro") + ".json"
            found = classify(path)
            if isinstance(found, Archived):
                assert (found.layout, found.topic, found.partition) == ("connect", "test-topic", 12)
                assert (found.first_offset is not None) == ("/partition=12/" in path)
                tried += 1
    assert tried >= 6


def test_the_log_path_of_secors_tests_is_read(shared):
    lines = (shared / "fixtures/kafka/secor/golden_cases.jsonl").read_text().splitlines()
    case = next(c for c in map(json.loads, lines) if c["src"] == "LogFilePathTest")
    below = case["path"].removeprefix(case["prefix"] + "/")
    found = classify(below.replace("some_partition", "dt=2026-01-01"))
    assert (found.topic, found.partition) == (case["topic"], case["kafka_partition"])
    assert classify(case["crc_path"]) is None


def _read(content, spec):
    task = Task("kafka", "/", "f", 1, "t", spec)
    return [row for batch in read_messages(task, content) for row in batch.to_pylist()]


def test_messages_come_byte_for_byte_with_their_place():
    rows = _read(b'{"a":1}\r\n\n\xff\xfe\nlast', Archived("secor", "t", 0, None))
    messages = [(r["row_no"], r["value"], r["offset"], r["offset_quality"]) for r in rows if r["kind"] == CHANGE]
    assert messages == [(1, b'{"a":1}', None, "none"), (3, b"\xff\xfe", None, "none"), (4, b"last", None, "none")]
    assert [r["rows"] for r in rows if r["kind"] == FILE] == [3]


def test_offsets_follow_the_files_name_where_a_file_holds_them_all():
    rows = _read(b"a\nb\n", Archived("connect", "t", 2, 300))
    assert [(r["offset"], r["offset_quality"]) for r in rows if r["kind"] == CHANGE] == [
        (300, "inferred"), (301, "inferred"),
    ]  # fmt: skip
