"""Archives of typed records, Avro and Parquet: each record as the JSON object that a producer of JSON would have sent.

Timestamps become milliseconds since 1970, dates text, decimals text, bytes base64: what event tables are read from.
"""

import base64
import io
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import fastavro
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.ingest.archive.message import Broken, Message

_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS
_ROWS = 4096
"""Rows of Parquet turned into Python at a time."""


def avro(content: bytes) -> Iterator[Message]:
    """Yield the records of an Avro container file; Broken where it cannot be read on."""
    number = 0
    try:
        for number, record in enumerate(fastavro.reader(io.BytesIO(content)), 1):
            yield _message(record, number)
    except Exception as error:
        raise Broken("bad_avro", f"{type(error).__name__}: {error}", number + 1) from error


def parquet(content: bytes) -> Iterator[Message]:
    """Yield the rows of a Parquet file; Broken if it is none."""
    number = 0
    try:
        for batch in pq.ParquetFile(pa.BufferReader(content)).iter_batches(_ROWS):
            for record in batch.to_pylist():
                number += 1
                yield _message(record, number)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Broken("bad_parquet", str(error), number + 1) from error


def _message(record: Any, number: int) -> Message:
    if isinstance(record, bytes):  # Kafka Connect writes a schema of bytes where the topic has none
        return Message(record, number)
    return Message(as_json(record), number)


def as_json(record: Any) -> bytes:
    """Return a typed record as JSON."""
    return orjson.dumps(record, default=_plain, option=_OPTIONS)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        # Parquet's timestamps without zone are at UTC, as all of Kafka's
        seconds = value.timestamp() if value.tzinfo else (value - datetime(1970, 1, 1)).total_seconds()
        return round(seconds * 1000)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return round(value.total_seconds() * 1000)
    if isinstance(value, Decimal | UUID):
        return str(value)
    raise TypeError(f"a value of type {type(value).__name__}")
