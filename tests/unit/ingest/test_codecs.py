"""Compressed files: known by their first bytes, read whole or not at all."""

import bz2
import gzip
import lzma
import zlib

import cramjam
import pytest
import zstandard

from jobs.ingest.kafka.archive.layouts import Archived
from jobs.ingest.kafka.archive.messages import read_messages
from jobs.ingest.loading.codecs import codec_of, decompress, hadoop_framed, plain_name, snappy_block
from jobs.ingest.loading.storage import open_stream, read, read_head
from jobs.ingest.loading.stream import CHANGE, Task
from tests.unit.ingest.test_messages import rows, sequence

LINES = b"".join(b'{"event_id": "e%d", "kind": "save"}\n' % number for number in range(5000))


def snappy(data):
    return bytes(cramjam.snappy.compress_raw(data))


def lz4(data):
    return bytes(cramjam.lz4.compress_block(data, store_size=False))


def hadoop(block, data, chunk=50_000):
    """Write data as Hadoop's BlockCompressorStream does: two frames, the first of several chunks."""
    out = b""
    for frame in (data[:120_000], data[120_000:]):
        out += len(frame).to_bytes(4, "big")
        for start in range(0, len(frame), chunk):
            packed = block(frame[start : start + chunk])
            out += len(packed).to_bytes(4, "big") + packed
    return out


def xerial(data):
    parts = [snappy(data[start : start + 32_768]) for start in range(0, len(data), 32_768)]
    return b"\x82SNAPPY\0" + (1).to_bytes(4, "big") * 2 + b"".join(len(p).to_bytes(4, "big") + p for p in parts)


FILES = {
    "a.gz": gzip.compress(LINES),
    "b.gz": gzip.compress(LINES[:100]) + gzip.compress(LINES[100:]),
    "a.zst": zstandard.compress(LINES),
    "b.zst": zstandard.compress(LINES[:100]) + zstandard.compress(LINES[100:]),
    "a.bz2": bz2.compress(LINES[:100]) + bz2.compress(LINES[100:]),
    "a.xz": lzma.compress(LINES),
    "a.deflate": zlib.compress(LINES),
    "a.snappy": bytes(cramjam.snappy.compress(LINES)),
    "b.snappy": hadoop(snappy, LINES),
    "c.snappy": xerial(LINES),
    "d.snappy": snappy(LINES),
    "a.lz4": bytes(cramjam.lz4.compress(LINES)),
    "b.lz4": hadoop(lz4, LINES),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_whole_or_not_at_all(tmp_path, name):
    raw = FILES[name]
    (tmp_path / name).write_bytes(raw)
    assert read(str(tmp_path), name) == LINES
    assert read_head(str(tmp_path), name, 10) == LINES[:10]
    with open_stream(str(tmp_path), name) as stream:
        assert stream.read() == LINES
    for cut in (raw[:-7], raw[: len(raw) // 2], raw + b"garbage"):
        (tmp_path / name).write_bytes(cut)
        with pytest.raises(OSError, match="cannot be decompressed"):
            read(str(tmp_path), name)


@pytest.mark.parametrize("name", ["a.gz", "a.zst", "a.bz2", "a.xz", "a.snappy", "c.snappy", "a.lz4"])
def test_the_first_bytes_tell_the_codec_where_they_are_certain(name):
    for wrong in ("x.json", "x", "x.gz", "x.snappy", "x.csv"):
        assert decompress(wrong, FILES[name]) == LINES, wrong


@pytest.mark.parametrize("name", [*FILES, "x.lz4", "x.snappy", "x.deflate"])
def test_plain_json_under_the_name_of_a_codec_is_plain(name):
    assert decompress(name, LINES) == LINES
    assert decompress(name, b"PAR1 and more") == b"PAR1 and more"
    for unsure in (b"e1,save\n" * 99, b"\x1f\x8b\x08 this is no gzip", b"not gzip", b"\xff" * 99):
        with pytest.raises(ValueError, match="not whole, or not"):
            decompress(name, unsure)


def test_one_suffix_is_that_of_the_codec():
    assert [plain_name(name) for name in ("a.json.gz", "a.gz.gz", "a", "a.jsonl.bz2", "b.deflate")] == [
        "a.json", "a.gz", "a", "a.jsonl", "b",
    ]  # fmt: skip
    assert codec_of("a.json", b'{"a"') is None


def test_lengths_of_frames_that_are_not_those_of_the_bytes_are_refused():
    for damaged in (b"\0\0\0\x05", b"\0\0\0\x05\0\0\0\0", b"\0\0\0\x02\0\0\0\x05" + snappy(b"abc"), b"\0\0"):
        with pytest.raises(ValueError, match=r"frame|chunk"):
            hadoop_framed(damaged, snappy_block)


def test_messages_of_a_text_file_by_hadoops_snappy_are_read():
    task = Task(
        "kafka", "/", "t/dt=2026-05-28/1_0_00000000000000000000.snappy", 1, "t", Archived("secor", "t", 0, None)
    )
    content = decompress(task.path, hadoop(snappy, LINES))
    found = [row for batch in read_messages(task, content) for row in batch.to_pylist() if row["kind"] == CHANGE]
    assert b"\n".join(row["value"] for row in found) + b"\n" == LINES


@pytest.mark.parametrize(("codec", "block"), [("SnappyCodec", snappy), ("Lz4Codec", lz4)])
def test_sequence_files_of_framed_codecs_are_read(codec, block):
    value = b"x" * 300
    pairs = [((7).to_bytes(8, "big"), len(value).to_bytes(4, "big") + value)]
    name = f"org.apache.hadoop.io.compress.{codec}".encode()
    head = sequence(pairs).partition((0).to_bytes(4, "big") + bytes(range(16)))[0]
    packed = hadoop(block, pairs[0][1])
    record = (8 + len(packed)).to_bytes(4, "big") + (8).to_bytes(4, "big") + pairs[0][0] + packed
    content = head[:-2] + b"\1\0" + bytes([len(name)]) + name + (0).to_bytes(4, "big") + bytes(range(16)) + record
    good, bad = rows(content, layout="secor")
    assert ([row["value"] for row in good], bad) == ([value], [])
