"""The key of a table: its primary key, else the unique index that TiCDC identifies rows by.

In: a table's indexes and columns. Out: the key's columns. TiCDC takes unique indexes whose columns are all NOT NULL and
in rows; of those the one with fewest columns, then the oldest (tiflow cdc/model/schema_storage.go: findHandleIndex). As
long as the key in use is one of them it stays: another one identifies the same rows.
"""

from collections.abc import Iterable, Sequence

from jobs.ingest.tidb.ddl.indexes import Index
from jobs.ingest.tidb.ddl.mysql import SourceColumn

ROW_ID = "_row_id"
"""Column of silver that stands for the key of a table without one, where conf takes it append-only."""
ROW_ID_COLUMN = SourceColumn(ROW_ID, "VARCHAR", length=120, nullable=False)


def usable(indexes: Iterable[Index], columns: Iterable[SourceColumn], exported: bool = False) -> list[Index]:
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


def key_of(
    indexes: Sequence[Index], columns: Sequence[SourceColumn], current: Iterable[str] = (), exported: bool = False
) -> tuple[str, ...]:
    """Return the key of a table without a primary key, in column order; empty where it has none.

    Args:
        indexes: of the table, oldest first.
        columns: of the table.
        current: names of the key's columns so far; empty where there is none.
        exported: whether rows of an export are there too.
    """
    found = usable(indexes, columns, exported)
    now = {name.lower() for name in current}
    same = [index for index in found if set(index.columns) == now]
    chosen = set(min(same or found, key=lambda index: len(index.columns)).columns) if found else set()
    return tuple(column.name for column in columns if column.name.lower() in chosen)


def primary_key(indexes: Iterable[Index], columns: Iterable[SourceColumn]) -> tuple[str, ...]:
    """Return the columns of the primary key, in column order; empty where there is none."""
    named = {name for index in indexes if index.primary for name in index.columns}
    return tuple(column.name for column in columns if column.name.lower() in named)
