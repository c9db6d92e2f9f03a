"""One statement that stands in two schema files of one version: it counts once.

A writer of another release, or another setting, tells more or less of the columns (ENUM members, ColumnId), so that
the checksum in the name is another one and both files stay. In: schema files. Out: one for each table and version,
that knows what any of them knows; and those that contradict each other, which nobody can trust.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from itertools import groupby

from jobs.common.errors import SourceError
from jobs.ingest.tidb.ddl.alter import alterations
from jobs.ingest.tidb.ddl.mysql import SourceColumn
from jobs.ingest.tidb.ddl.sql_tokens import tokens
from jobs.ingest.tidb.ticdc.object_paths import SchemaPath
from jobs.ingest.tidb.ticdc.schemafile import SchemaFile


class Contradiction(Exception):
    """Two files of one version tell different things; the message says what."""


def told_once(files: Iterable[SchemaFile]) -> tuple[list[SchemaFile], list[tuple[SchemaPath, SourceError]]]:
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
            kept.append(reduce(_both, same))
        except Contradiction as what:
            paths = " and ".join(file.path for file in same)
            error = SourceError(f"{paths} are of one version and {what}. Restore the right one, remove the other.")
            broken.append((SchemaPath(same[0].schema, same[0].table, version, 0), error))
    return kept, broken


def _both(one: SchemaFile, other: SchemaFile) -> SchemaFile:
    """Return what two files of one version say together.

    Raises:
        Contradiction: they cannot both be true.
    """
    told = _statement(one, other)
    if one.key and other.key and one.key != other.key:
        raise Contradiction(f"name different keys, {', '.join(one.key)} and {', '.join(other.key)}")
    columns = one.columns or other.columns
    if one.columns and other.columns:
        if [column.name for column in one.columns] != [column.name for column in other.columns]:
            raise Contradiction("list different columns")
        added = alterations(told.query).added
        columns = tuple(_column(*pair, added) for pair in zip(one.columns, other.columns, strict=True))
    return replace(told, columns=columns, key=one.key or other.key)


def _statement(one: SchemaFile, other: SchemaFile) -> SchemaFile:
    """Return the file that tells the statement: one is written without it when a feed begins again."""
    if not one.query and not one.action:
        return other
    if not other.query and not other.action:
        return one
    if one.action != other.action or _words(one.query) != _words(other.query):
        raise Contradiction(f"hold different statements, {one.query!r} and {other.query!r}")
    return one


def _words(query: str) -> list[tuple[str, str]]:
    """Return a statement's words, whichever case and quotes they have."""
    kinds = {"name": "word"}
    return [
        (kinds.get(token.kind, token.kind), token.value if token.kind == "text" else token.value.lower())
        for token in tokens(query)
        if token.value != ";"
    ]


def _column(one: SourceColumn, other: SourceColumn, added: set[str]) -> SourceColumn:
    filled = {what: getattr(one, what) or getattr(other, what) for what in ("members", "id", "length", "scale")}
    default = one.default if one.default is not None else other.default
    this, that = (replace(column, default=default, **filled) for column in (one, other))
    for what in (*filled, *(["default"] if one.name.lower() in added else [])):
        mine, its = getattr(one, what), getattr(other, what)
        if mine and its and mine != its:
            raise Contradiction(f"say different things of column {one.name} ({what} {mine} and {its})")
    if this != that:
        raise Contradiction(f"give column {one.name} different types, {one.sql} and {other.sql}")
    return this
