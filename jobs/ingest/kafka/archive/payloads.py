"""What the bytes of a topic's messages are where they are no JSON: Avro, whose records become the JSON of their fields.

Avro is decoded on the executors, a datum at a time, by fastavro: which schema wrote it may differ from message to
message, and one that cannot be read is set aside by itself (docs/adr/0039).
"""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fastavro

from jobs.common.errors import ConfigError
from jobs.ingest.kafka.archive.strict import Unreadable
from jobs.settings.ingest import TopicRules
from jobs.settings.load import conf_dir

_MAGIC = b"\x00"
"""What begins a message in Confluent's wire format; four bytes with the schema's id follow."""
FOLDER = "schemas"


def decoder(rules: TopicRules) -> Callable[[bytes], Any]:
    """Return the function that reads one message; it raises Unreadable."""
    if rules.format == "avro":
        schema = _schema(str(rules.avro))
        return lambda value: _datum(value, schema)
    schemas = {number: _schema(file) for number, file in rules.avro_ids.items()}
    return lambda value: _enveloped(value, schemas)


def _enveloped(value: bytes, schemas: Mapping[int, Any]) -> Any:
    if len(value) < 5 or value[:1] != _MAGIC:
        raise Unreadable("bad_avro", "not in Confluent's wire format: it begins with a zero byte and a schema's id")
    number = int.from_bytes(value[1:5], "big")
    if number not in schemas:
        known = ", ".join(map(str, sorted(schemas)))
        raise Unreadable("unknown_schema", f"written by schema {number}; avro_ids of the topic has {known}")
    return _datum(value[5:], schemas[number])


def _datum(value: bytes, schema: Any) -> Any:
    stream = io.BytesIO(value)
    try:
        record = fastavro.schemaless_reader(stream, schema, None)
    except Exception as error:  # the reader raises whatever its types raise
        raise Unreadable("bad_avro", f"not a datum of the schema: {type(error).__name__} {error}") from error
    if stream.tell() != len(value):
        left = len(value) - stream.tell()
        raise Unreadable("bad_avro", f"not a datum of the schema: {left} bytes are left after it")
    return record


def _schema(file: str) -> Any:
    path: Path = conf_dir() / FOLDER / file
    try:
        return fastavro.parse_schema(json.loads(path.read_text()))
    except OSError as error:
        raise ConfigError(
            f"{path}: no such file, though ingest.topics names it. Put the Avro schema that the messages were written "
            "by there (.avsc), or change ingest.topics."
        ) from error
    except Exception as error:  # fastavro has a dozen of its own
        raise ConfigError(f"{path} is no Avro schema: {type(error).__name__} {error}.") from error
