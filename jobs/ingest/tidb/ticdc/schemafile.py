"""Reading a TiCDC schema file: the table's columns at one version, and the DDL that made it.

In: path and bytes. Out: a `SchemaFile`. Its checksum and version must be those in its name; otherwise it is not to be
trusted and `SourceError` says why (the caller holds the table, other tables go on).
"""

import json
import re
import zlib
from dataclasses import dataclass
from typing import Any

from jobs.common.errors import SourceError
from jobs.ingest.tidb.ddl.mysql import SourceColumn, base_type
from jobs.ingest.tidb.ticdc.object_paths import SchemaPath

_NO_TABLES = {21, 24, 34, 35, 36}
"""TiDB's codes of what is done to views (create, drop) and sequences (create, alter, drop)."""
_OF_VIEWS = "UNSPECIFIED"
"""Type of a view's columns."""


@dataclass(frozen=True)
class SchemaFile:
    """One schema file."""

    path: str
    schema: str
    table: str
    """Empty for a database's own DDL."""
    version: int
    query: str
    action: int
    """TiDB's DDL code; 0 where no DDL made the file."""
    columns: tuple[SourceColumn, ...]
    key: tuple[str, ...]
    """Columns of the primary key in column order; empty where it has none."""
    table_id: int = 0
    """Of the folder it lies in, where tables have ids for paths."""
    no_table: bool = False
    """Whether it is of a view or a sequence: those have no rows of their own."""


def parse_schema_file(path: str, named: SchemaPath, content: bytes) -> SchemaFile:
    """Read and verify one schema file.

    Args:
        path: for messages.
        named: what the path says.
        content: the file's bytes.

    Raises:
        SourceError: it is no JSON, lacks a field, has an unknown type, or differs from its name.
    """
    try:
        body = json.loads(content)
        found = checksum(body)
        version = int(body["TableVersion"])
        entries = body["TableColumns"] or []
        query, action = str(body["Query"]), int(body["Type"])
        no_table = action in _NO_TABLES or any(entry["ColumnType"].upper() == _OF_VIEWS for entry in entries)
        columns = () if no_table else tuple(_column(entry, path) for entry in entries)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{path}: not a TiCDC schema file ({error!r}). Restore it from the store.") from error
    if (found, version) != (named.checksum, named.version):
        raise SourceError(
            f"{path}: a schema file must hold the version and checksum of its name, this one holds version {version} "
            f"and checksum {found:010d}. It was altered or half written: restore it from the store."
        )
    key = tuple(entry["ColumnName"] for entry in entries if entry.get("ColumnIsPk") == "true")
    by_id = not named.table and bool(body["Table"])
    schema, table = (body["Schema"], body["Table"]) if by_id else (named.schema, named.table)
    table_id = int(named.schema) if by_id else 0
    return SchemaFile(path, schema, table, version, query, action, columns, key, table_id, no_table)


def checksum(body: dict[str, Any]) -> int:
    """Return TiCDC's checksum of a table definition: CRC-32 of its Go JSON without version and DDL."""
    columns = sorted(body["TableColumns"] or [], key=lambda entry: entry["ColumnName"])
    fixed = {"Table": body["Table"], "Schema": body["Schema"], "Version": 0}
    total = {"TableColumns": columns, "TableColumnsTotal": body["TableColumnsTotal"]}
    text = json.dumps(fixed | total, indent=4, ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return zlib.crc32(text.encode())


def _column(entry: dict[str, Any], path: str) -> SourceColumn:
    kind, unsigned = base_type(entry["ColumnType"], f"{path}, column {entry['ColumnName']}")
    default = entry.get("ColumnDefault")
    return SourceColumn(
        entry["ColumnName"],
        kind,
        unsigned,
        _number(entry.get("ColumnPrecision")),
        _number(entry.get("ColumnScale")),
        entry.get("ColumnNullable") != "false",
        None if default is None else str(default),
        tuple(entry.get("ColumnElems") or ()),
        id=str(entry.get("ColumnId") or ""),
    )


def _number(text: Any) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"\d+", str(text)) else None
