r"""Reads CREATE TABLE: columns, types, indexes, generated columns, partitions.

In: the text of a Dumpling `-schema.sql`, or of a schema file's `Query`. Out: a `CreateTable`, with columns in order and
the row's key, or the `TableDefinition` alone. Each column definition is parsed on its own: words inside texts, quoted
names and parentheses decide nothing. A type that is not known is an error that names it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from jobs.common.errors import SourceError
from jobs.ingest.tidb.ddl.indexes import (
    NOT_COLUMNS,
    Index,
    identifying_key,
    parse_column_index,
    parse_index,
    primary_key,
    with_default_names,
)
from jobs.ingest.tidb.ddl.partitions import PartitionLayout, parse_layout
from jobs.ingest.tidb.ddl.source_column import SourceColumn, base_type
from jobs.ingest.tidb.ddl.sql_tokens import (
    TableName,
    Token,
    group,
    outside,
    parts,
    qualified,
    statement,
    tokens,
)

_OPEN = Token("sign", "(")


_STORED = {"STORED", "PERSISTENT"}


@dataclass(frozen=True)
class Generation:
    """How a generated column gets its values."""

    stored: bool
    """Whether its values are stored, and are in rows; a virtual column is not."""
    expression: str
    """Its expression: words in lower case, between single spaces."""


@dataclass(frozen=True)
class ColumnDefinition:
    """The definition of a column without its type."""

    name: str
    generation: Generation | None = None
    members: tuple[str, ...] = ()
    """Member names of an ENUM or SET."""
    words: tuple[Token, ...] = ()
    """The whole of it, from the column's name on."""


@dataclass(frozen=True)
class TableDefinition:
    """Columns and indexes that a CREATE TABLE defines."""

    columns: tuple[ColumnDefinition, ...] = ()
    indexes: tuple[Index, ...] = ()
    """In the order in which TiDB numbers them."""
    like: TableName | None = None
    """The model of CREATE TABLE LIKE."""


def parse_column_definition(words: Sequence[Token]) -> ColumnDefinition:
    """Parse a column definition, which begins with the column's name, without its type."""
    kind = str(words[1]) if len(words) > 1 else ""
    members = group(list(words), 2) if kind in {"ENUM", "SET"} and words[2:3] == [_OPEN] else []
    names = tuple(word.value for word in members if word.kind == "text")
    return ColumnDefinition(words[0].value, _generation(list(words)), names, tuple(words))


def table_definition(sql: str, schema: str = "") -> TableDefinition | None:
    """Return what a CREATE TABLE defines, None for any other statement.

    Args:
        sql: the statement.
        schema: of a model named without one.
    """
    words = statement(sql)
    said = [str(word) for word in words]
    at = 1 + sum(word in {"GLOBAL", "TEMPORARY"} for word in said[1:3])
    if said[:1] != ["CREATE"] or said[at : at + 1] != ["TABLE"]:
        return None
    at += 1
    while said[at : at + 1] and said[at] in {"IF", "NOT", "EXISTS"}:
        at += 1
    if at >= len(words):
        return None
    _, at = qualified(words, at, schema)
    rest = group(words, at) if words[at : at + 1] == [_OPEN] else words[at:]
    if [str(word) for word in rest[:1]] == ["LIKE"] and len(rest) > 1:
        return TableDefinition(like=qualified(rest, 1, schema)[0])
    return parse_definitions(list(parts(rest))) if words[at : at + 1] == [_OPEN] else TableDefinition()


def parse_definitions(items: Sequence[Sequence[Token]]) -> TableDefinition:
    """Return what the parts between the parentheses of a CREATE TABLE define."""
    columns = [item for item in items if item and str(item[0]) not in NOT_COLUMNS]
    found = [index for index in map(parse_index, items) if index is not None]
    # TiDB numbers the constraints of the table before those that stand at their columns
    found += [index for index in map(parse_column_index, columns) if index is not None]
    return TableDefinition(
        tuple(parse_column_definition(column) for column in columns), tuple(with_default_names(found))
    )


def _generation(words: list[Token]) -> Generation | None:
    """Return what stands behind AS, outside parentheses, in a column definition."""
    depth = 0
    for at, word in enumerate(words):
        if depth == 0 and at and str(word) == "AS" and words[at + 1 : at + 2] == [_OPEN]:
            inside = group(words, at)
            after = words[at + len(inside) + 3 :]
            return Generation(bool(after) and str(after[0]) in _STORED, _expression(inside))
        depth += (word == _OPEN) - (word == Token("sign", ")"))
    return None


def _expression(words: Iterable[Token]) -> str:
    quoted = {"text": "'", "name": "`"}
    return " ".join(f"{quoted.get(word.kind, '')}{word.value}{quoted.get(word.kind, '')}".lower() for word in words)


@dataclass(frozen=True)
class CreateTable:
    """A parsed CREATE TABLE."""

    columns: tuple[SourceColumn, ...]
    key: tuple[str, ...]
    """Columns of the primary key, else of the unique index that identifies rows; in column order."""
    indexes: tuple[Index, ...] = ()
    """All its indexes, oldest first."""
    layout: PartitionLayout | None = None
    """Its partitions; None where it has none, or they are not of a kind that can be followed."""


def parse_create(sql: str, place: str) -> CreateTable:
    """Read the first CREATE TABLE of `sql`.

    Args:
        sql: text of the file or statement.
        place: file name, for messages.

    Raises:
        SourceError: there is none, or a column has an unknown type.
    """
    start = re.search(r"\bCREATE\s+TABLE\b", sql, re.I)
    if start is None:
        raise SourceError(f"{place}: holds no CREATE TABLE. Export the table's schema again.")
    items = _items(list(tokens(sql[start.end() :])))
    columns = tuple(_column(item, place) for item in items if not _is_key(item))
    if not columns:
        raise SourceError(f"{place}: its CREATE TABLE lists no columns. Export the table's schema again.")
    indexes = parse_definitions(items).indexes
    key = primary_key(indexes, columns) or identifying_key(indexes, columns)
    return CreateTable(columns, key, indexes, parse_layout(sql[start.end() :]))


def _items(tokens: list[Token]) -> list[list[Token]]:
    """Return the comma-separated parts of the outermost parentheses."""
    items: list[list[Token]] = [[]]
    depth = 0
    for token in group(tokens, 0):
        depth += (token == Token("sign", "(")) - (token == Token("sign", ")"))
        if depth == 0 and token == Token("sign", ","):
            items.append([])
        else:
            items[-1].append(token)
    return [item for item in items if item]


def _is_key(item: list[Token]) -> bool:
    return str(item[0]) in NOT_COLUMNS


def _column(item: list[Token], place: str) -> SourceColumn:
    name, words = item[0].value, [str(token) for token in item]
    if len(item) < 2:
        raise SourceError(f"{place}: column {name!r} has no type. Export the table's schema again.")
    attributes = [str(token) for token in outside(item)]
    kind = "DOUBLE PRECISION" if words[1:3] == ["DOUBLE", "PRECISION"] else words[1]
    unsigned = " UNSIGNED" if {"UNSIGNED", "ZEROFILL"} & set(attributes) else ""
    kind, is_unsigned = base_type(kind + unsigned, f"{place}, column {name}")
    arguments = group(item, 2) if len(item) > 2 and item[2].value == "(" else []
    defined = parse_column_definition(item)
    column = SourceColumn(
        name,
        _binary_char(kind, attributes),
        is_unsigned,
        nullable=not _has(attributes, "NOT", "NULL") and not _has(attributes, "PRIMARY"),
        default=_default(item, words),
        generated=defined.generation is not None,
        stored=defined.generation is not None and defined.generation.stored,
        expression=defined.generation.expression if defined.generation else "",
    )
    if kind in {"ENUM", "SET"}:
        return replace(column, members=_texts(arguments))
    numbers = [int(token.value) for token in arguments if token.value.isdigit()]
    fsp = kind in {"DATETIME", "TIMESTAMP", "TIME"}
    length = numbers[0] if numbers and not fsp else (10 if kind == "DECIMAL" else None)
    scale = numbers[0] if numbers and fsp else (numbers[1] if len(numbers) > 1 else None)
    return replace(column, length=length, scale=scale)


def _binary_char(kind: str, words: list[str]) -> str:
    if _has(words, "CHARACTER", "SET", "BINARY") or _has(words, "CHARSET", "BINARY"):
        return {"CHAR": "BINARY", "VARCHAR": "VARBINARY"}.get(kind, kind.replace("TEXT", "BLOB"))
    return kind


def _has(words: list[str], *run: str) -> bool:
    return any(tuple(words[at : at + len(run)]) == run for at in range(len(words)))


def _default(item: list[Token], words: list[str]) -> str | None:
    if "DEFAULT" not in words:
        return None
    rest = item[words.index("DEFAULT") + 1 :]
    value = [token for token in rest if not token.value.startswith("_")][:1]  # _utf8mb4'x' names its charset first
    return value[0].value if value and str(value[0]) != "NULL" else None


def _texts(tokens: list[Token]) -> tuple[str, ...]:
    return tuple(token.value for token in tokens if token.kind == "text")
