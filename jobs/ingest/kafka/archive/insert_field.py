"""Offset, partition and time that Kafka Connect's InsertField wrote into each message: exact under every partitioner.

Files of field and time partitioners have gaps in their offsets and no order of them, so that a name tells none.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from jobs.ingest.kafka.archive.message import Message
from jobs.settings.ingest import InsertField

_LARGEST = {"partition": (1 << 31) - 1, "offset": (1 << 63) - 1, "ts": (1 << 63) - 1}


def placed(messages: Iterator[Message], fields: InsertField) -> Iterator[Message]:
    """Yield the messages with what their own fields say; one that is no JSON object, or lacks them, as it came."""
    names = {"offset": fields.offset, "partition": fields.partition, "ts": fields.timestamp}
    for message in messages:
        body = _body(message.value)
        told: dict[str, Any] = {what: body.get(name) for what, name in names.items() if name}
        yield message._replace(**{what: value for what, value in told.items() if _fits(what, value)})


def _body(value: bytes | None) -> dict[str, Any]:
    try:
        body = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _fits(what: str, value: Any) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST[what]
