"""Indexes that statements define, and the key of a table: its primary key, else the unique index that identifies rows.

In: the tokens of a part of CREATE TABLE or ALTER TABLE. Out: an `Index`, named as TiDB names it. TiCDC identifies rows
by a unique index whose columns are all NOT NULL and present in rows: the one with fewest columns, then the oldest
(tiflow cdc/model/schema_storage.go: findHandleIndex). The key in use stays as long as it is one of them: another one
identifies the same rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.ddl.sql_tokens import Token, group, outside, parts

NOT_COLUMNS = {"PRIMARY", "UNIQUE", "KEY", "INDEX", "CONSTRAINT", "FULLTEXT", "SPATIAL", "FOREIGN", "CHECK", "LIKE"}
"""Words that a part begins with that defines no column."""
_OPEN = Token("sign", "(")
_INDEX_WORDS = {"PRIMARY", "UNIQUE", "KEY", "INDEX", "FULLTEXT", "SPATIAL", "VECTOR", "COLUMNAR"}


@dataclass(frozen=True)
class Index:
    """An index; names are in lower case."""

    name: str
    columns: tuple[str, ...]
    """In the order of the index."""
    unique: bool = False
    whole: bool = True
    """Whether it covers whole columns of all rows: no prefix, no expression, no condition."""
    primary: bool = False


def with_default_name(index: Index, taken: Iterable[str]) -> Index:
    """Return an index with the name that TiDB gives to one without: that of its first column, numbered from 2 on."""
    if index.name:
        return index
    base = index.columns[0] if index.columns else "expression_index"
    names, number, name = set(taken), 2, base
    while name in names or name == "primary":
        name, number = f"{base}_{number}", number + 1
    return replace(index, name=name)


def with_default_names(indexes: Sequence[Index]) -> list[Index]:
    """Return indexes of one CREATE TABLE with their names."""
    taken = {index.name for index in indexes if index.name}
    made = []
    for index in indexes:
        made.append(with_default_name(index, taken))
        taken.add(made[-1].name)
    return made


def parse_index(words: Sequence[Token]) -> Index | None:
    """Return the index that a part of CREATE or ALTER TABLE defines; None where it defines none."""
    said = [str(word) for word in words]
    at, symbol = 0, ""
    if said[:1] == ["CONSTRAINT"]:
        at = 1
        if said[1:2] and said[1] not in {"PRIMARY", "UNIQUE", "CHECK", "FOREIGN"}:
            at, symbol = 2, words[1].value
    first = said[at : at + 2]
    # VECTOR and COLUMNAR are words like any other where INDEX or KEY does not follow
    if not first or first[0] not in _INDEX_WORDS or (first[0] in {"VECTOR", "COLUMNAR"} and first[1:] != ["INDEX"]):
        return None
    while said[at : at + 1] and said[at] in _INDEX_WORDS | {"IF", "NOT", "EXISTS"}:
        at += 1
    if at >= len(words):
        return None
    name = symbol or ("" if words[at] == _OPEN or said[at] in {"USING", "TYPE"} else words[at].value)
    covered = list(parts(group(list(words), at)))
    plain = [part for part in covered if [str(word) for word in part[1:]] in ([], ["ASC"], ["DESC"])]
    plain = [part for part in plain if part[0].kind in {"name", "word"}]
    condition = "WHERE" in [str(word) for word in outside(words)]
    # a prefix in a primary key names the column all the same, as ColumnIsPk does
    columns = [part[0].value.lower() for part in covered if part and part[0] != _OPEN]
    primary = "PRIMARY" in first
    whole = bool(plain) and len(plain) == len(covered) and not condition
    return Index(name.lower(), tuple(columns), "UNIQUE" in first or primary, whole, primary)


def parse_column_index(words: Sequence[Token]) -> Index | None:
    """Return the index that a column definition asks for: PRIMARY KEY, KEY alone, which means the same, or UNIQUE."""
    if not words or str(words[0]) in NOT_COLUMNS:
        return None
    said = {str(word) for word in outside(words[1:])}
    if not said & {"PRIMARY", "UNIQUE", "KEY"}:
        return None
    primary = "PRIMARY" in said or "UNIQUE" not in said
    return Index("", (words[0].value.lower(),), True, True, primary)


ROW_ID = "_row_id"
"""Column of silver that stands for the key of a table without one, where conf takes it append-only."""
ROW_ID_COLUMN = SourceColumn(ROW_ID, "VARCHAR", length=120, nullable=False)


def identifying_indexes(
    indexes: Iterable[Index], columns: Iterable[SourceColumn], exported: bool = False
) -> list[Index]:
    """Return the unique indexes that identify rows by columns that rows have.

    Args:
        indexes: of the table, oldest first.
        columns: of the table.
        exported: whether rows of an export are there too, which have no generated columns at all.
    """
    plain = {c.name.lower() for c in columns if not (c.nullable or c.virtual or c.left_out or (exported and c.stored))}
    return [
        index
        for index in indexes
        if index.unique and index.whole and not index.primary and index.columns and plain.issuperset(index.columns)
    ]


def identifying_key(
    indexes: Sequence[Index], columns: Sequence[SourceColumn], current: Iterable[str] = (), exported: bool = False
) -> tuple[str, ...]:
    """Return the key of a table without a primary key, in column order; empty where it has none.

    Args:
        indexes: of the table, oldest first.
        columns: of the table.
        current: names of the key's columns so far; empty where there is none.
        exported: whether rows of an export are there too.
    """
    found = identifying_indexes(indexes, columns, exported)
    now = {name.lower() for name in current}
    same = [index for index in found if set(index.columns) == now]
    chosen = set(min(same or found, key=lambda index: len(index.columns)).columns) if found else set()
    return tuple(column.name for column in columns if column.name.lower() in chosen)


def primary_key(indexes: Iterable[Index], columns: Iterable[SourceColumn]) -> tuple[str, ...]:
    """Return the columns of the primary key, in column order; empty where there is none."""
    named = {name for index in indexes if index.primary for name in index.columns}
    return tuple(column.name for column in columns if column.name.lower() in named)
