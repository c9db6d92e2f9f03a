"""Formats of Kafka archives other than lines: what their own libraries or their specification write is read."""

import io
import json
import struct
import zlib
from datetime import UTC, date, datetime
from decimal import Decimal

import cramjam
import fastavro
import google_crc32c
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from jobs.ingest.kafka.archive.layouts import Archived, classify
from jobs.ingest.kafka.archive.messages import read_messages
from jobs.ingest.loading.stream import BAD, CHANGE, FILE, Task

TS, AT = 1_791_331_721_136, datetime(2026, 10, 7, 0, 8, 41, 136000, UTC)


def rows(content, root="/", **archived):
    spec = Archived(**({"layout": "connect", "topic": "t", "partition": 2, "first_offset": None} | archived))
    found = [row for b in read_messages(Task("kafka", root, "f", 1, "t", spec), content) for row in b.to_pylist()]
    (end,) = [row for row in found if row["kind"] == FILE]
    good, bad = ([row for row in found if row["kind"] == kind] for kind in (CHANGE, BAD))
    assert end["rows"] == len(good) + len(bad)
    return good, bad


RECORDS = [
    {
        "id": 1,
        "ts": datetime(2026, 10, 7, 0, 8, 41, 136000, UTC),
        "raw": b"\x00\xff",
        "price": Decimal("1.50"),
        "x": None,
    },
    {"id": 2, "ts": None, "raw": None, "price": None, "x": "é"},
]
AS_JSON = [
    {"id": 1, "ts": TS, "raw": "AP8=", "price": "1.50", "x": None},
    {"id": 2, "ts": None, "raw": None, "price": None, "x": "é"},
]


def avro_file(codec):
    names = {
        "ts": {"type": "long", "logicalType": "timestamp-millis"}, "raw": "bytes", "x": "string",
        "price": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
    }  # fmt: skip
    fields = [{"name": "id", "type": "long"}, *({"name": n, "type": ["null", t]} for n, t in names.items())]
    file = io.BytesIO()
    fastavro.writer(file, {"type": "record", "name": "R", "fields": fields}, RECORDS, codec=codec)
    return file.getvalue()


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy"])
def test_avro_records_are_the_json_that_their_producer_could_have_sent(codec):
    good, bad = rows(avro_file(codec), format="avro", first_offset=300)
    assert bad == []
    assert [json.loads(row["value"]) for row in good] == AS_JSON
    assert [(row["offset"], row["offset_quality"]) for row in good] == [(300, "inferred"), (301, "inferred")]
    good, bad = rows(avro_file(codec)[:-20], format="avro")
    assert [row["reason"] for row in bad] == ["bad_avro"]


def test_parquet_rows_are_the_same_json():
    table = pa.Table.from_pylist(RECORDS).append_column("day", pa.array([date(2026, 1, 2)] * 2))
    file = io.BytesIO()
    pq.write_table(table, file, compression="snappy")
    good, bad = rows(file.getvalue(), format="parquet", layout="secor")
    assert bad == []
    assert [json.loads(row["value"]) for row in good] == [record | {"day": "2026-01-02"} for record in AS_JSON]
    assert {row["offset_quality"] for row in good} == {"none"}
    assert [row["reason"] for row in rows(b"PAR1 no", format="parquet")[1]] == ["bad_parquet"]


def sequence(pairs, key_class="LongWritable", block=False, codec=None):
    """Write a sequence file as hadoop's SequenceFile.Writer does."""

    def text(value):
        return bytes([len(value)]) + value.encode()

    sync = bytes(range(16))
    hadoop = "org.apache.hadoop.io."
    data = b"SEQ\x06" + text(hadoop + key_class) + text(hadoop + "BytesWritable")
    data += bytes([codec is not None, block]) + (text(hadoop + "compress.DefaultCodec") if codec else b"")
    data += (0).to_bytes(4, "big") + sync
    if not block:
        for number, (key, value) in enumerate(pairs):
            stored = zlib.compress(value) if codec else value
            data += (b"\xff" * 4 + sync if number else b"") + struct.pack(">ii", len(key) + len(stored), len(key))
            data += key + stored
        return data

    def vint(value):
        return bytes([value]) if value <= 127 else bytes([0x8E, *value.to_bytes(2, "big")])  # -114: two bytes

    columns = [
        b"".join(vint(len(key)) for key, _ in pairs), b"".join(key for key, _ in pairs),
        b"".join(vint(len(value)) for _, value in pairs), b"".join(value for _, value in pairs),
    ]  # fmt: skip
    data += b"\xff" * 4 + sync + vint(len(pairs))
    for column in columns:
        packed = zlib.compress(column)
        data += vint(len(packed)) + packed
    return data


def writable(value):
    return len(value).to_bytes(4, "big") + value


PAIRS = [(offset.to_bytes(8, "big"), writable(b"body %d" % offset)) for offset in (7, 9, 4_000_000_000)]


@pytest.mark.parametrize(("block", "codec"), [(False, None), (False, "zlib"), (True, "zlib")])
def test_sequence_files_keep_exact_offsets_and_are_known_by_their_first_bytes(block, codec):
    content = sequence(PAIRS, block=block, codec=codec)
    good, bad = rows(content, layout="secor")
    assert bad == []
    assert [(row["offset"], row["offset_quality"], row["value"]) for row in good] == [
        (7, "exact", b"body 7"), (9, "exact", b"body 9"), (4_000_000_000, "exact", b"body 4000000000"),
    ]  # fmt: skip
    good, bad = rows(content[:-5], layout="secor")
    assert [row["reason"] for row in bad] == ["bad_sequence"]
    assert len(good) == (0 if block else 2)


def test_keys_and_times_of_message_pack_sequence_files_are_kept():
    key = msgspec.msgpack.encode({1: 5, 2: b"user", 3: TS})
    content = sequence([(writable(key), writable(b"v"))], key_class="BytesWritable")
    (row,), bad = rows(content, layout="secor")
    assert bad == []
    assert (row["offset"], row["key"], row["ts"], row["value"]) == (5, b"user", TS, b"v")


def varint(value):
    value = (value << 1) ^ (value >> 63)
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def sized(value):
    return varint(-1) if value is None else varint(len(value)) + value


def record_batch(base, records, codec=0, control=False):
    """Write a batch as Kafka's DefaultRecordBatch does: records are key, value, headers."""
    body = b""
    for number, (key, value, headers) in enumerate(records):
        record = b"\0" + varint(number * 10) + varint(number) + sized(key) + sized(value) + varint(len(headers))
        record += b"".join(sized(name.encode()) + sized(told) for name, told in headers)
        body += varint(len(record)) + record
    packed = {
        0: bytes, 1: lambda b: bytes(cramjam.gzip.compress(b)), 2: lambda b: bytes(cramjam.snappy.compress_raw(b)),
        3: lambda b: bytes(cramjam.lz4.compress(b)), 4: zstandard.ZstdCompressor().compress,
    }[codec](body)  # fmt: skip
    checked = struct.pack(">hiqqqhii", codec | control << 5, len(records) - 1, TS, TS + 99, -1, -1, -1, len(records))
    checked += packed
    crc = google_crc32c.value(checked)
    return struct.pack(">qiibI", base, len(checked) + 9, 0, 2, crc) + checked


@pytest.mark.parametrize("codec", range(5))
def test_segments_of_kafkas_log_are_read_with_all_they_keep(codec):
    records = [(b"k", b"v" * 300, [("trace", b"ab"), ("odd", b"\xff")]), (None, None, [])]
    content = record_batch(40, records, codec) + record_batch(42, [(b"", b"", [])], control=True)
    content += record_batch(43, [(None, b"last", [])], codec) + bytes(500)
    good, bad = rows(content, layout="segment", format="segment", first_offset=40)
    assert bad == []
    assert [(r["offset"], r["offset_quality"], r["key"], r["value"], r["ts"]) for r in good] == [
        (40, "exact", b"k", b"v" * 300, TS), (41, "exact", None, None, TS + 10), (43, "exact", None, b"last", TS),
    ]  # fmt: skip
    assert json.loads(good[0]["headers"]) == [["trace", "ab"], ["odd", "base64:/w=="]]
    assert [row["row_no"] for row in good] == [1, 2, 3]


def test_a_damaged_segment_keeps_what_came_before_the_damage():
    whole = record_batch(1, [(None, b"a", []), (None, b"b", [])])
    flipped = bytearray(whole + record_batch(3, [(None, b"c", [])]))
    flipped[-3] ^= 1
    good, bad = rows(bytes(flipped), layout="segment", format="segment")
    assert [row["value"] for row in good] == [b"a", b"b"]
    assert [(row["reason"], row["row_no"]) for row in bad] == [("bad_segment", 3)]
    assert "checksum" in bad[0]["detail"]
    assert [row["reason"] for row in rows(whole[:-4], layout="segment", format="segment")[1]] == ["bad_segment"]


def test_keys_and_headers_beside_a_file_belong_to_its_messages(tmp_path):
    (tmp_path / "k.json").write_bytes(b'"a"\n"b"\n')
    (tmp_path / "h.json").write_bytes(b"[]\n[1]\n")
    good, bad = rows(b"1\n2\n", str(tmp_path), keys="k.json", headers="h.json")
    assert [(row["key"], row["headers"]) for row in good] == [(b'"a"', "[]"), (b'"b"', "[1]")]
    assert bad == []
    good, bad = rows(b"1\n", str(tmp_path), keys="gone.json")
    assert ([row["key"] for row in good], [row["reason"] for row in bad]) == ([None], ["bad_side_file"])


@pytest.mark.parametrize(
    ("path", "form", "offset"),
    [
        ("a/partition=2/a+2+0000000300.avro", "avro", 300),
        ("a/year=2026/a+2+0000000300.snappy.parquet", "parquet", None),
        ("a/dt=2026-10-02/1_2_00000000000000000100.parquet", "parquet", None),
        ("a/dt=2026-10-02/1_2_00000000000000000100.seq", "sequence", None),
        ("tiered/7/main/a-2/00000000000000000300.log", "segment", 300),
    ],
)
def test_names_say_the_format(path, form, offset):
    found = classify(path)
    assert (found.topic, found.partition, found.format, found.first_offset) == ("a", 2, form, offset)


def test_what_lies_beside_segments_is_no_message_and_unknown_formats_are_refused_by_name():
    for name in ("offset.wm", "00000000000000000300.index", "00000000000000000300.timeindex"):
        assert classify(f"tiered/main/a-2/{name}") is None, name
    for path in ("a/dt=2026-10-02/1_2_00000000000000000100.orc", "a/partition=0/a+0+1.bin"):
        assert classify(path).reason == "unsupported_format", path
    assert classify("main/notopic/00000000000000000300.log").reason == "unknown_path"
