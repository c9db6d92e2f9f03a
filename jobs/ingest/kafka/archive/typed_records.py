"""Archives of typed records, Avro and Parquet: each record as the JSON object that a producer of JSON would have sent.

Timestamps become milliseconds since 1970, dates text, decimals text, bytes base64: what event tables are read from. NaN
and infinite numbers, which JSON does not have, are written as NaN, Infinity and -Infinity, so that they are refused as
those of a producer of JSON are, and not lost.
"""

import base64
import io
import json
import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import fastavro
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.ingest.kafka.archive.message import Broken, Message

_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
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
        file = pq.ParquetFile(pa.BufferReader(content))
        _refuse_repeated(file.schema_arrow.names)
        for batch in file.iter_batches(_ROWS):
            for record in batch.to_pylist():
                number += 1
                yield _message(record, number)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Broken("bad_parquet", str(error), number + 1) from error


def _refuse_repeated(names: list[str]) -> None:
    """Raise ValueError if two columns have one name: a record has room for one of them."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"more than one column is called {', '.join(twice)}")


def _message(record: Any, number: int) -> Message:
    if isinstance(record, bytes):  # Kafka Connect writes a schema of bytes where the topic has none
        return Message(record, number)
    return Message(as_json(record), number)


def as_json(record: Any) -> bytes:
    """Return a typed record as JSON."""
    text = orjson.dumps(record, default=_plain, option=_OPTIONS)
    # orjson writes null for a number that JSON does not have
    if b"null" in text and _has_odd_number(record):
        return json.dumps(_untyped(record), ensure_ascii=False, separators=(",", ":")).encode()
    return text


def _has_odd_number(value: Any) -> bool:
    if type(value) is float:
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(_has_odd_number, value.values()))
    return isinstance(value, list | tuple) and any(map(_has_odd_number, value))


def _untyped(value: Any) -> Any:
    """Return a record of what JSON has, numbers that it does not have included."""
    if isinstance(value, dict):
        return {str(name): _untyped(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_untyped(inner) for inner in value]
    return value if value is None or isinstance(value, str | int | float) else _plain(value)


def _millis(micros: int) -> int | float:
    """Return milliseconds, with a fraction where there is one."""
    return micros // 1000 if micros % 1000 == 0 else micros / 1000


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        # Parquet's timestamps without zone are at UTC, as all of Kafka's
        micros = (value if value.tzinfo else value.replace(tzinfo=UTC)) - _EPOCH
        return _millis(micros // _MICROSECOND)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return _millis(value // _MICROSECOND)
    if isinstance(value, Decimal | UUID):
        return str(value)
    raise TypeError(f"a value of type {type(value).__name__}")
