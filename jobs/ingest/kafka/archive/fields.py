"""One rule for every message: from its bytes to the columns of its topic's table, or the reason why not.

In: messages as bytes, whatever brought them (archives, brokers, a replay of quarantine), JSON or Avro, which becomes
the JSON of its fields. Out: batches of the table's columns with `reason` and `detail`. Runs on the executors, needs no
Spark.
"""

import binascii
from collections.abc import Callable
from datetime import date
from functools import lru_cache, partial
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from jobs.common.errors import ConfigError
from jobs.ingest.kafka.archive.layouts import is_epoch
from jobs.ingest.kafka.archive.payloads import decoder
from jobs.ingest.kafka.archive.strict import Unreadable, json_object
from jobs.ingest.kafka.archive.times import micros
from jobs.ingest.kafka.archive.typed_records import as_json
from jobs.schema.columns import DS, TS
from jobs.schema.table import Table
from jobs.settings.ingest import TopicRules

PLACE = {"path": pa.string(), "row_no": pa.int64()}
"""Where a message stands."""
_DAY = 86_400_000_000
"""Microseconds."""
_INFINITE = 0x7C00
"""Exponent of a float16, all ones: NaN or infinite."""
_SHOWN = 80
"""Characters of a wrong value that its fault shows."""
_LARGEST = float(np.finfo(np.float32).max)
_WRONG = object()
_ARROW = {
    "string": pa.string(), "bigint": pa.int64(), "int": pa.int32(), "smallint": pa.int16(), "tinyint": pa.int8(),
    "double": pa.float64(), "float": pa.float32(), "boolean": pa.bool_(), "binary": pa.binary(),
    "timestamp": pa.timestamp("us", "UTC"), "date": pa.date32(),
}  # fmt: skip


class MessageReader:
    """Reads the messages of one topic."""

    def __init__(self, table: Table, rules: TopicRules) -> None:
        """Prepare for a topic.

        Args:
            table: its silver table.
            rules: what its messages are.

        Raises:
            ConfigError: a schema of its messages is not there, or a column has a type that no message has.
        """
        self._rules = rules
        self._decode = None if rules.format == "json" else decoder(rules)
        self._columns = {column.name: column.type for column in table.columns}
        odd = sorted(name for name, kind in self._columns.items() if kind not in _ARROW)
        if odd:
            raise ConfigError(
                f"{table.name}: {', '.join(odd)} cannot be read from messages; their types can be {', '.join(_ARROW)}. "
                "Change the columns in jobs/schema/bronze_silver.py."
            )
        places = {name: place for place, name in enumerate(self._columns)}
        self._day = (places[DS.name], places[TS.name]) if DS.name in places else None
        self._fields = [(n, _nothing if n == DS.name else _reader(n, k, rules)) for n, k in self._columns.items()]
        self._required = [(places[c.name], c.name) for c in table.columns if not c.nullable and c.name != DS.name]
        embedded = {"dim", "embedding"} <= {name for _, name in self._required}
        self._vector = (places["dim"], places["embedding"]) if embedded else None

    @property
    def schema(self) -> pa.Schema:
        """Columns of `batch`: object, row_no, value (of bad messages), reason, detail, then the table's."""
        fixed = PLACE | {"value": pa.binary(), "reason": pa.string(), "detail": pa.string()}
        return pa.schema(list((fixed | {name: _ARROW[kind] for name, kind in self._columns.items()}).items()))

    @property
    def layout(self) -> str:
        """The same columns as Spark DDL."""
        fixed = {"path": "string", "row_no": "bigint", "value": "binary", "reason": "string", "detail": "string"}
        return ", ".join(f"`{name}` {kind}" for name, kind in (fixed | self._columns).items())

    def batch(self, messages: pa.RecordBatch) -> pa.RecordBatch:
        """Return what messages say.

        Args:
            messages: object, row_no, layout (who wrote the object), value.
        """
        values = messages.column("value").to_pylist()
        places = zip(messages.column("layout").to_pylist(), messages.column("path").to_pylist(), strict=True)
        nothing = (None,) * len(self._columns)
        rows: list[tuple[Any, ...]] = []
        for value, (written_by, path) in zip(values, places, strict=True):
            try:
                if written_by == "secor" and _is_epoch(path):
                    raise Unreadable("epoch_directory", "Secor could not tell the message's time")
                rows.append((None, None, None, *self.read(value)))
            except Unreadable as fault:
                rows.append((value, *fault.args, *nothing))
        told = zip(*rows, strict=True) if rows else [[] for _ in range(3 + len(self._columns))]
        fields = list(self.schema)[len(PLACE) :]
        arrays = [pa.array(column, field.type) for column, field in zip(told, fields, strict=True)]
        return pa.RecordBatch.from_arrays([*(messages.column(name) for name in PLACE), *arrays], schema=self.schema)

    def read(self, value: bytes | None) -> list[Any]:
        """Return the values of a message in the order of the table's columns.

        Raises:
            Unreadable: it cannot be used; the first reason.
        """
        if value is None:
            raise Unreadable("tombstone", "a message without a value: events have nothing to delete")
        if self._decode is not None:
            value = as_json(self._decode(value))
        body = json_object(value)
        self._refuse_unknown_type(body)
        found: list[Any] = []
        for name, read in self._fields:
            given = body.get(name)
            value = None if given is None else read(given)
            if value is _WRONG:
                raise Unreadable("bad_json", f"{name} is not of type {self._columns[name]}: {_shown(given)}")
            found.append(value)
        # an empty key would make one row of all the events that have it
        lacking = [name for place, name in self._required if found[place] is None or found[place] == ""]
        if lacking:
            raise Unreadable("missing_field", f"missing: {', '.join(lacking)}")
        if self._vector:
            dim, embedding = self._vector
            _refuse_vector(found[dim], found[embedding])
        if self._day is not None:
            place, ts = self._day
            found[place] = None if found[ts] is None else found[ts] // _DAY
        return found

    def _refuse_unknown_type(self, body: dict[str, Any]) -> None:
        """Raise Unreadable for a type nobody knows, before faults of form: of which form it is nobody knows either."""
        rules = self._rules
        kind = body.get(rules.type_field) if rules.types and rules.type_field else None
        if kind is not None and kind not in rules.types:
            known = ", ".join(rules.types)
            shown = kind if type(kind) is str else _shown(kind)
            raise Unreadable("unknown_event_type", f"{rules.type_field} is {shown}; known are {known}")


_is_epoch = lru_cache(1024)(is_epoch)


def _shown(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _reader(name: str, kind: str, rules: TopicRules) -> Callable[[Any], Any]:
    """Return the function that reads a value of a column; it returns _WRONG for one of another type."""
    # no lambdas: they would travel to the executors with a _WRONG of their own
    if kind == "timestamp":
        return partial(_time, name, rules)
    if kind in _BITS:
        most = (1 << (_BITS[kind] - 1)) - 1
        return partial(_integer, most)
    return _READERS[kind]


_BITS = {"bigint": 64, "int": 32, "smallint": 16, "tinyint": 8}


def _nothing(_: Any) -> None:
    """Return no value: the day is that of ts, whatever a message says."""


def _integer(most: int, value: Any) -> Any:
    return value if type(value) is int and -most - 1 <= value <= most else _WRONG


def _time(name: str, rules: TopicRules, value: Any) -> int:
    try:
        return micros(value, rules.ts_unit)
    except ValueError as error:
        raise Unreadable("implausible_time", f"{name} = {_shown(value)}: {error}") from error


def _text(value: Any) -> Any:
    """Return a text; an integer is its digits, as ids come both ways."""
    if type(value) is str:
        return value
    return str(value) if type(value) is int else _WRONG


def _float(value: Any) -> Any:
    return float(value) if type(value) is float or type(value) is int else _WRONG


def _float32(value: Any) -> Any:
    found = _float(value)
    return _WRONG if found is _WRONG or abs(found) > _LARGEST else found


def _boolean(value: Any) -> Any:
    return value if type(value) is bool else _WRONG


def _binary(value: Any) -> Any:
    if type(value) is not str:
        return _WRONG
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except ValueError:
        pass
    try:  # by MIME, base64 has a line's end after every 76 characters
        return binascii.a2b_base64("".join(value.split()), strict_mode=True)
    except ValueError:
        return _WRONG


def _date(value: Any) -> Any:
    try:
        return date.fromisoformat(value) if type(value) is str and len(value) == len("2026-05-28") else _WRONG
    except ValueError:
        return _WRONG


_READERS: dict[str, Callable[[Any], Any]] = {
    "string": _text, "double": _float, "float": _float32, "boolean": _boolean, "binary": _binary, "date": _date,
}  # fmt: skip


def _refuse_vector(dim: int, embedding: bytes) -> None:
    """Raise Unreadable if a vector is not `dim` finite float16 values, little-endian, with a direction."""
    if dim <= 0 or len(embedding) != 2 * dim:
        raise Unreadable("bad_embedding", "embedding must be dim float16 values, two bytes each")
    magnitudes = np.frombuffer(embedding, "<u2") & 0x7FFF
    if magnitudes.max() >= _INFINITE:
        raise Unreadable("bad_embedding", "embedding must be finite: a value of it is NaN or infinite")
    if not magnitudes.any():
        raise Unreadable("bad_embedding", "embedding must not be all zero: it has no direction")
