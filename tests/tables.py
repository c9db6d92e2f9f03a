"""Registered tables of a few rows, written by delta-rs: no JVM."""

import re
from datetime import date
from typing import Any

import pyarrow as pa
from deltalake import Schema

from jobs.lake import delta_rs as direct
from jobs.schema.table import AsOf
from jobs.schema.tables import table
from tests.builders import filled

_KINDS = {
    "bigint": pa.int64(), "int": pa.int32(), "smallint": pa.int16(), "double": pa.float64(), "float": pa.float32(),
    "string": pa.string(), "binary": pa.binary(), "boolean": pa.bool_(), "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
}  # fmt: skip


def arrow_of(kind: str) -> pa.DataType:
    """Return the Arrow type of a registered column's type."""
    if inner := re.fullmatch(r"array<(.+)>", kind):
        return pa.list_(arrow_of(inner[1]))
    if inner := re.fullmatch(r"map<(\w+), ?(.+)>", kind):
        return pa.map_(arrow_of(inner[1]), arrow_of(inner[2]))
    return _KINDS[kind]


def append(root: str, name: str, rows: list[dict[str, Any]]) -> None:
    """Append rows in one commit, as `Lake.append_rows` does: the table is made first, a missing column is null."""
    path, known = f"{root}/{name.replace('.', '/', 1)}", table(name)
    if not direct.exists(path):
        fields = [pa.field(column.name, arrow_of(column.type), column.nullable) for column in known.columns]
        direct.create(path, known, Schema.from_arrow(pa.schema(fields)).to_json())
    direct.append(path, rows)


def append_day(root: str, name: str, rows: list[dict[str, Any]], day: date) -> None:
    """Append rows as `build` fills them; a table of cuts gets those of one day."""
    cut = {"as_of": day} if table(name).time is AsOf.PARTITION else {}
    append(root, name, [row | cut for row in filled(name, rows)])
