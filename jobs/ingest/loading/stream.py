"""What the readers on the executors hand back: changes, bad rows and a summary per file, in one stream.

One pass over a file yields all three, told apart by `kind`. The summary counts what was found in the file before
any of it was judged, so that nothing can be lost unseen: rows found = changes + bad rows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

CHANGE, BAD, FILE = 0, 1, 2
"""Values of `kind`."""

BATCH_ROWS = 20_000
"""Rows in one Arrow batch: bounds what a worker holds besides the file."""

RAW_LIMIT = 1 << 20
"""Bytes of a bad row that are kept."""


@dataclass(frozen=True)
class Task:
    """One file to read, small enough to travel in a closure."""

    source: str
    """ticdc, dumpling or kafka."""
    root: str
    path: str
    size: int
    table: str
    """Source table, or topic."""
    spec: Any = None
    """What the reader needs to know of its rows."""
    personal: bool = False
    """Whether it has columns that must not be written: bad rows are then kept without their bytes."""


@dataclass
class RejectedRows:
    """Rows that cannot be used."""

    row_no: list[int | None] = field(default_factory=list)
    reason: list[str] = field(default_factory=list)
    detail: list[str] = field(default_factory=list)
    raw: list[bytes | None] = field(default_factory=list)

    def add(self, row_no: int | None, reason: str, detail: str, raw: bytes | None) -> None:
        """Note one bad row, or with row_no None a whole file."""
        self.row_no.append(row_no)
        self.reason.append(reason)
        self.detail.append(detail[:2000])
        self.raw.append(None if raw is None else raw[:RAW_LIMIT])

    def __len__(self) -> int:
        return len(self.reason)


_COMMON = {
    "kind": pa.int32(), "source": pa.string(), "table": pa.string(), "path": pa.string(), "row_no": pa.int64(),
    "reason": pa.string(), "detail": pa.string(), "raw": pa.binary(), "rows": pa.int64(),
}  # fmt: skip
LEDGER_FIELDS = {
    "op": pa.string(), "_commit_ts": pa.int64(), "_op_rank": pa.int32(), "key": pa.string(),
    "before": pa.map_(pa.string(), pa.string()), "after": pa.map_(pa.string(), pa.string()),
    "table_version": pa.int64(),
}  # fmt: skip
KAFKA_FIELDS = {
    "layout": pa.string(), "partition": pa.int32(), "offset": pa.int64(), "offset_quality": pa.string(),
    "value": pa.binary(), "key": pa.binary(), "ts": pa.int64(), "headers": pa.string(),
}  # fmt: skip


def arrow_schema(fields: Mapping[str, pa.DataType]) -> pa.Schema:
    """Return the Arrow schema of a stream that carries `fields` besides the common ones."""
    return pa.schema(list((_COMMON | dict(fields)).items()))


def spark_schema(fields: Mapping[str, pa.DataType]) -> str:
    """Return the same schema as Spark DDL."""
    names = {pa.string(): "string", pa.int64(): "bigint", pa.int32(): "int", pa.binary(): "binary"}
    kinds = _COMMON | dict(fields)
    return ", ".join(f"`{name}` {names.get(kind, 'map<string,string>')}" for name, kind in kinds.items())


def batch(schema: pa.Schema, task: Task, kind: int, rows: int, columns: Mapping[str, Any]) -> pa.RecordBatch:
    """Return one batch of `rows` rows; columns not given are constants of the task, or null."""
    constants = {"kind": kind, "source": task.source, "table": task.table, "path": task.path}
    arrays = []
    for item in schema:
        if item.name in columns:
            values = columns[item.name]
            arrays.append(values if isinstance(values, pa.Array) else pa.array(values, item.type))
        elif constants.get(item.name) is not None:
            arrays.append(pa.repeat(pa.scalar(constants[item.name], item.type), rows))
        else:
            arrays.append(pa.nulls(rows, item.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def ending(schema: pa.Schema, task: Task, found: int, bad: RejectedRows) -> Iterator[pa.RecordBatch]:
    """Yield a file's bad rows, then its summary."""
    if len(bad):
        named = {"row_no": bad.row_no, "reason": bad.reason, "detail": bad.detail, "raw": bad.raw}
        if task.personal:
            named |= {"detail": ["not shown, columns of the table are masked: look into the file"] * len(bad)}
            named |= {"raw": [None] * len(bad)}
        yield batch(schema, task, BAD, len(bad), named)
    yield batch(schema, task, FILE, 1, {"rows": [found]})
