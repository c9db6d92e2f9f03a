"""Segments of Kafka's own log, as tiered storage keeps them: record batches of version 2, with exact offsets.

In: the bytes of a .log file. Out: its messages; control batches are none. Layout by Kafka's DefaultRecordBatch and
DefaultRecord; a batch's checksum is verified.
"""

import gzip
import json
import struct
from base64 import b64encode
from collections.abc import Iterator

import cramjam
import google_crc32c

from jobs.ingest.kafka.archive.message import Broken, Message
from jobs.ingest.loading.codecs import XERIAL, snappy_block, unxerial, unzstd

_HEADER = struct.Struct(">qiibIhiqqqhii")
"""baseOffset, length, leaderEpoch, magic, crc, attributes, lastOffsetDelta, baseTimestamp, maxTimestamp, producerId,
producerEpoch, baseSequence, count."""
_PREFIX = 12
"""Bytes before what `length` counts."""
_CHECKED = 21
"""Where the bytes begin that the checksum covers."""
_CODEC, _APPEND_TIME, _CONTROL = 0x07, 0x08, 0x20
"""Bits of a batch's attributes."""


def messages(content: bytes) -> Iterator[Message]:
    """Yield the messages of a segment; Broken where it cannot be read on."""
    at, number = 0, 0
    while at < len(content):
        # a segment that was still written to may end in zeros, or within a batch
        if not any(content[at : at + _HEADER.size]):
            return
        try:
            batch, size = _batch(content, at)
            for message in batch:
                number += 1
                yield Message(message.value, number, message.offset, message.key, message.ts, message.headers)
        except Exception as error:
            detail = f"at byte {at}, after {number} messages: {type(error).__name__} {error}"
            raise Broken("bad_segment", detail, number + 1, content[at : at + (1 << 20)]) from error
        at += size


def _batch(content: bytes, at: int) -> tuple[list[Message], int]:
    """Return the messages of the batch at `at`, and its size."""
    if len(content) - at < _HEADER.size:
        raise ValueError("the file ends within a batch")
    base, length, _, magic, crc, attributes, _, first_ts, last_ts, _, _, _, count = _HEADER.unpack_from(content, at)
    if magic != 2:
        raise ValueError(f"record format {magic}; only 2 (Kafka 0.11 and later) can be read")
    size = _PREFIX + length
    if size < _HEADER.size or at + size > len(content):
        raise ValueError("the file ends within a batch")
    if google_crc32c.value(content[at + _CHECKED : at + size]) != crc:
        raise ValueError("the checksum is not that of the bytes")
    if attributes & _CONTROL:
        return [], size
    body = _decompressed(attributes & _CODEC, content[at + _HEADER.size : at + size])
    records, place = [], 0
    for _ in range(count):
        length, place = _varint(body, place)
        if length < 0 or place + length > len(body):
            raise ValueError("a record longer than its batch")
        records.append(_record(body, place + 1, base, last_ts if attributes & _APPEND_TIME else None, first_ts))
        place += length
    return records, size


def _record(body: bytes, at: int, base: int, append_ts: int | None, first_ts: int) -> Message:
    ts_delta, at = _varint(body, at)
    offset_delta, at = _varint(body, at)
    key, at = _bytes(body, at)
    value, at = _bytes(body, at)
    count, at = _varint(body, at)
    headers: list[list[str | None]] = []
    for _ in range(count):
        name, at = _bytes(body, at)
        told, at = _bytes(body, at)
        headers.append([(name or b"").decode("utf-8", "replace"), _shown(told)])
    ts = append_ts if append_ts is not None else first_ts + ts_delta
    return Message(value, 0, base + offset_delta, key, ts, json.dumps(headers) if headers else None)


def _shown(value: bytes | None) -> str | None:
    """Return a header's value as text, else as base64."""
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return "base64:" + b64encode(value).decode()


def _bytes(body: bytes, at: int) -> tuple[bytes | None, int]:
    size, at = _varint(body, at)
    if size < 0:
        return None, at
    if at + size > len(body):
        raise ValueError("a field longer than its batch")
    return body[at : at + size], at + size


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """Return the zig-zag integer at `at` and where it ends."""
    value, shift = 0, 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
        if shift > 63:
            raise ValueError("an integer of more than ten bytes")


def _decompressed(codec: int, body: bytes) -> bytes:
    if codec == 0:
        return body
    if codec == 1:
        return gzip.decompress(body)
    if codec == 2:
        return unxerial(body) if body.startswith(XERIAL) else snappy_block(body)
    if codec == 3:
        return bytes(cramjam.lz4.decompress(body))
    if codec == 4:
        return unzstd(body)
    raise ValueError(f"codec {codec} is not one of Kafka's")
