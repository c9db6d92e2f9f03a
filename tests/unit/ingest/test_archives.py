"""What a path of a Kafka archive says."""

import json

import pytest

from jobs.ingest.kafka.archive.layouts import Archived, Refused, Topics, classify, is_epoch
from jobs.ingest.kafka.archive.messages import read_messages
from jobs.ingest.loading.stream import CHANGE, FILE, Task

_UNKNOWN = "neither Secor, Kafka Connect, Aiven's connectors nor Kafka itself name files so"
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
        ("s/tombstone/partition=1/s+1+0000000300.keys.json", None),
        ("readme.txt", Refused("unknown_path", _UNKNOWN)),
        # a value of the field that Secor split by, a prefix, dates without one, or nothing that says more
        (f"raw/pin_events/save/dt=2026-10-02/{SECOR}", Archived("secor", "pin_events", 0, None)),
        (f"raw/pin_events/tombstone/dt=2026-10-02/{SECOR}", Archived("secor", "pin_events", 0, None)),
        (f"pin_events/2026-10-02/07/{SECOR}", Archived("secor", "pin_events", 0, None)),
        (f"t/2026-10-02/07/{SECOR}.bz2", Archived("secor", "t", 0, None)),
        (f"t/20261002/{SECOR}.deflate", Archived("secor", "t", 0, None)),
        (f"pin_events/dt=19700101/{SECOR}", Archived("secor", "pin_events", 0, None, True)),
        ("pin_events-3-100.jsonl.gz", Archived("aiven", "pin_events", 3, 100)),
        ("aiven/2026/10/02/pin_events-0000000003-00000000000000000100", Archived("aiven", "pin_events", 3, 100)),
        ("pin_events-3-100.avro", Archived("aiven", "pin_events", 3, 100, format="avro")),
    ],
)
def test_a_path_says_what_the_object_is(path, expected):
    assert classify(path, Topics(frozenset({"pin_events", "searches"}))) == expected


@pytest.mark.parametrize(
    ("path", "topics", "reason", "said"),
    [
        (f"raw/t/save/dt=2026-10-02/{SECOR}", Topics(), "unknown_topic", "raw, save, t"),
        (f"a/b/dt=2026-10-02/{SECOR}", Topics(frozenset({"a", "b"})), "unknown_topic", "ingest.topic_folder"),
        (f"dt=2026-10-02/{SECOR}", Topics(), "unknown_topic", "none"),
        (f"raw/t/dt=2026-10-02/{SECOR}", Topics(folder=3), "unknown_topic", "folder 3"),
        ("part-0-100.jsonl", Topics(frozenset({"t"})), "unknown_topic", "part is no known topic"),
        (f"t/dt=2026-10-02/{SECOR}.lzo", Topics(), "unsupported_format", "compressed by LZO"),
        (f"t/dt=2026-10-02/{SECOR}.gz.gz", Topics(), "unsupported_format", "as .gz"),
    ],
)
def test_a_file_whose_topic_or_codec_cannot_be_told_is_refused_and_says_what_to_do(path, topics, reason, said):
    found = classify(path, topics)
    assert isinstance(found, Refused)
    assert found.reason == reason
    assert said in found.detail


def test_the_folder_of_the_topic_can_be_named_or_be_the_root_itself():
    assert classify(f"raw/t/save/dt=2026-10-02/{SECOR}", Topics(folder=2)).topic == "t"
    assert classify(f"dt=2026-10-02/{SECOR}", Topics(frozenset({"t"}), root="t")).topic == "t"
    assert classify(f"save/dt=2026-10-02/{SECOR}", Topics(frozenset({"t"}), root="t")).topic == "t"


EPOCHS = ("dt=1970-01-01", "1970-01-01", "dt=19700101", "dt=1970-01-01-00", "dt=1969-12-31/hr=16", "1970/01/01/00")
EPOCHS += ("year=1970/month=01/day=01", "day_1970_01_01", "dt=1970010100", "dt=01-01-1970", "y=1970/m=1/d=1")


def test_secors_folder_of_messages_without_a_time_is_known_in_every_format_and_zone():
    for folder in EPOCHS:
        assert is_epoch(f"pin_events/{folder}/{SECOR}"), folder
    for folder in (
        "dt=2026-01-01",
        "dt=19701001",
        "dt=1970-01-10",
        "offset=19700101000",
        "dt=2019-70-01",
        "1970/12/31",
    ):
        assert not is_epoch(f"pin_events/{folder}/{SECOR}"), folder


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
