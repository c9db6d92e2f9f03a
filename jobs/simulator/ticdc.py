"""Writer of a TiCDC storage sink: canal-json, day directories, the tree of the new architecture.

A change is a row of an Arrow table of the source's columns, with its operation and commit TSO beside it.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.simulator.rng import Array
from jobs.simulator.schema import SCHEMA, SqlColumn, SqlTable
from jobs.simulator.text import content, join, json_text, string

DELETE, INSERT, UPDATE = 0, 1, 2
"""Operations of a change."""

_FLUSH_DELAY = 1_500
"""Milliseconds from commit to encoding."""


class StorageSink:
    """One changefeed's folder. Files of a directory are numbered from 1 in the order they are appended."""

    def __init__(self, root: Path, digits: int = 20) -> None:
        """Begin the feed below `root`; file numbers have `digits` digits."""
        self._root, self._digits = root, digits
        self._count: dict[Path, int] = {}

    def schema(self, table: SqlTable, version: int, query: str = "", action: int = 0) -> None:
        """Write the schema file of a table version; query and action say which DDL made it."""
        folder = self._root / SCHEMA / table.name / "meta"
        folder.mkdir(parents=True, exist_ok=True)
        name, body = table.schema_file(version, query, action)
        (folder / name).write_bytes(body)

    def append(self, table: str, version: int, day: str, lines: bytes | memoryview) -> None:
        """Write the next data file of a directory, then its index."""
        folder = self._root / SCHEMA / table / str(version) / day
        number = self._count.get(folder, 0) + 1
        self._count[folder] = number
        (folder / "meta").mkdir(parents=True, exist_ok=True)
        name = f"CDC{number:0{self._digits}d}.json"
        (folder / name).write_bytes(lines)
        (folder / "meta" / "CDC.index").write_text(name + "\n")

    def checkpoint(self, tso: int) -> None:
        """Write `metadata`: every change up to `tso` is in the tree."""
        self._root.mkdir(parents=True, exist_ok=True)
        (self._root / "metadata").write_text(f'{{"checkpoint-ts":{tso}}}')


def canal_lines(table: SqlTable, op: Array, commit: Array, after: Any, before: Any) -> Any:
    """Return one canal-json line per change, CRLF included, in the order given.

    `op` and `commit` are arrays; `after` and `before` are Arrow tables of as many rows with the table's columns:
    the row as it is after an insert or update, and as it was before an update or delete.
    """
    order, pieces = [], []
    for kind in (DELETE, INSERT, UPDATE):
        places = np.flatnonzero(op == kind)
        if len(places):
            take = pa.array(places)
            new = before.take(take) if kind == DELETE else after.take(take)
            old = before.take(take) if kind == UPDATE else None
            pieces.append(_lines(table, kind, commit[places], new, old))
            order.append(places)
    if not pieces:
        return pa.array([], pa.string())
    lines = pa.concat_arrays(pieces)
    return lines.take(pa.array(np.argsort(np.concatenate(order), kind="stable")))


def _lines(table: SqlTable, kind: int, commit: Array, new: Any, old: Any) -> Any:
    names = ("DELETE", "INSERT", "UPDATE")
    head = (
        f'{{"id":0,"database":"{SCHEMA}","table":"{table.name}","pkNames":{_compact(_key(table))},'
        f'"isDdl":false,"type":"{names[kind]}","es":'
    )
    kinds = {c.name: c.sql_type for c in table.columns}, {c.name: c.type for c in table.columns}
    types = ',"sql":"","sqlType":{},"mysqlType":{},"old":'.format(*(_compact(k) for k in kinds))
    es = commit >> 18
    before: list[Any] = ["null"] if old is None else ["[", *_row(table, old), "]"]
    tail = ['],"_tidb":{"commitTs":', string(commit), "}}\r\n"]
    return join(
        head, string(es), ',"ts":', string(es + _FLUSH_DELAY), types, *before, ',"data":[', *_row(table, new), *tail
    )


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _key(table: SqlTable) -> list[str]:
    return [c.name for c in table.columns if c.name in table.key]


def _row(table: SqlTable, rows: Any) -> list[Any]:
    parts: list[Any] = []
    for number, column in enumerate(table.columns):
        parts += [("," if number else "{") + f'"{column.name}":', json_text(_value(column, rows[column.name]), go=True)]
    return [*parts, "}"]


def _value(column: SqlColumn, values: Any) -> Any:
    text = string(values)
    if column.type != "enum":
        return text
    # canal-json sends the 1-based number of an ENUM value, not its name.
    return pc.add(pc.index_in(text, pa.array(column.members)), 1).cast(pa.string())


def unterminated(lines: Any) -> memoryview:
    """Return the bytes of the lines without the last CRLF."""
    return content(lines)[:-2]
