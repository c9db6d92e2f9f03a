"""Reads TiCDC schema files: the columns of a table at one version, and the DDL that made it.

In: path and bytes. Out: a `SchemaFile`. Its checksum and version must be those in its name; otherwise a `SourceError`
says why (the caller blocks the table, other tables go on). One statement may stand in two schema files of one version:
a writer of another release, or another setting, writes other details of the columns (ENUM members, ColumnId), so the
checksum in the name differs and both files stay. `merge_duplicates` returns one file with the details of both; files
that contradict each other are an error.
"""

import json
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from itertools import groupby
from typing import Any

from jobs.common.errors import SourceError
from jobs.ingest.tidb.ddl.alter_table import column_changes
from jobs.ingest.tidb.ddl.source_column import SourceColumn, base_type
from jobs.ingest.tidb.ddl.sql_tokens import tokens
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
        named: the parsed path.
        content: the file's bytes.

    Raises:
        SourceError: it is not JSON, lacks a field, has an unknown type, or differs from its name.
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


class Contradiction(Exception):
    """Two files of one version contradict each other; the message states how."""


def merge_duplicates(files: Iterable[SchemaFile]) -> tuple[list[SchemaFile], list[tuple[SchemaPath, SourceError]]]:
    """Return one schema file for each version of one table, and the versions whose files contradict each other.

    Args:
        files: of one table.
    """
    kept: list[SchemaFile] = []
    broken: list[tuple[SchemaPath, SourceError]] = []
    ordered = sorted(files, key=lambda file: (file.version, file.table_id, file.path))
    for (version, _), group in groupby(ordered, lambda file: (file.version, file.table_id)):
        same = list(group)
        try:
            kept.append(reduce(_merge, same))
        except Contradiction as what:
            paths = " and ".join(file.path for file in same)
            error = SourceError(f"{paths} are of one version and {what}. Restore the right one, remove the other.")
            broken.append((SchemaPath(same[0].schema, same[0].table, version, 0), error))
    return kept, broken


def _merge(one: SchemaFile, other: SchemaFile) -> SchemaFile:
    """Merge two files of one version.

    Raises:
        Contradiction: they cannot both be true.
    """
    told = _merge_statements(one, other)
    if one.key and other.key and one.key != other.key:
        raise Contradiction(f"name different keys, {', '.join(one.key)} and {', '.join(other.key)}")
    columns = one.columns or other.columns
    if one.columns and other.columns:
        if [column.name for column in one.columns] != [column.name for column in other.columns]:
            raise Contradiction("list different columns")
        added = column_changes(told.query).added
        columns = tuple(_merge_columns(*pair, added) for pair in zip(one.columns, other.columns, strict=True))
    return replace(told, columns=columns, key=one.key or other.key)


def _merge_statements(one: SchemaFile, other: SchemaFile) -> SchemaFile:
    """Return the file that has the statement: a restarted feed writes one without it."""
    if not one.query and not one.action:
        return other
    if not other.query and not other.action:
        return one
    if one.action != other.action or _normalized(one.query) != _normalized(other.query):
        raise Contradiction(f"hold different statements, {one.query!r} and {other.query!r}")
    return one


def _normalized(query: str) -> list[tuple[str, str]]:
    """Return a statement's words, whichever case and quotes they have."""
    kinds = {"name": "word"}
    return [
        (kinds.get(token.kind, token.kind), token.value if token.kind == "text" else token.value.lower())
        for token in tokens(query)
        if token.value != ";"
    ]


def _merge_columns(one: SourceColumn, other: SourceColumn, added: set[str]) -> SourceColumn:
    filled = {what: getattr(one, what) or getattr(other, what) for what in ("members", "id", "length", "scale")}
    default = one.default if one.default is not None else other.default
    this, that = (replace(column, default=default, **filled) for column in (one, other))
    for what in (*filled, *(["default"] if one.name.lower() in added else [])):
        mine, its = getattr(one, what), getattr(other, what)
        if mine and its and mine != its:
            raise Contradiction(f"differ in column {one.name} ({what} {mine} and {its})")
    if this != that:
        raise Contradiction(f"give column {one.name} different types, {one.sql} and {other.sql}")
    return this
