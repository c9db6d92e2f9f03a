"""Which columns the rows of a table version have, from the first rows of its data files.

A schema file lists virtual generated columns, and rows lack them. In: a feed and a schema file. Out: the layout of a
whole row, an insert or update, as deletes may have the key alone; and which columns are virtual, or why that cannot be
determined. Only tables whose definition is not known, or has virtual columns, are sampled.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

import orjson

from jobs.ingest.loading.storage import StoredFile, read_head
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.ddl.sql_tokens import TableName
from jobs.ingest.tidb.ticdc.changefeed import Changefeed
from jobs.ingest.tidb.ticdc.csv_records import dialect_of_feed, records
from jobs.ingest.tidb.ticdc.feed_csv import plain_body
from jobs.ingest.tidb.ticdc.schema_files import SchemaFile
from jobs.ingest.tidb.ticdc.sink_listing import SinkListing


@dataclass(frozen=True)
class RowLayout:
    """What one whole row of a data file has."""

    path: str
    """The file, for messages."""
    names: frozenset[str] | None
    """Its columns, in lower case; None where rows do not name them."""
    fields: int
    """How many columns it has."""


def virtual_columns(
    shape: RowLayout,
    columns: Iterable[SourceColumn],
    key: Iterable[str],
    virtual: Iterable[str],
    generated: Iterable[str] | None,
    optional: Iterable[str] = (),
) -> set[str] | str:
    """Return the columns that rows lack, in lower case; a sentence where those cannot be determined.

    Args:
        shape: of a row.
        columns: those of the schema file.
        key: of the primary key, which every row has.
        virtual: columns assumed virtual so far, in lower case.
        generated: all generated columns, in lower case; None where they are not known.
        optional: those that conf names, whatever kind of generated column they are.
    """
    listed = {column.name.lower(): column for column in columns}
    missing = {name for name in virtual if name in listed}
    if shape.names is None:
        return _by_count(shape, len(listed), missing, set(optional) & set(listed))
    if shape.names - set(listed):  # not of this version
        return missing
    absent = set(listed) - shape.names - {name.lower() for name in key}
    if generated is not None:  # a column that is plain by its definition is missing, not virtual
        return absent & (set(generated) | set(optional))
    # rows of the key alone leave everything out; a generated column has no default
    known = {name for name in absent if listed[name].default is None}
    return missing & absent if len(shape.names) <= len(set(key)) else known | (missing & absent)


def _by_count(shape: RowLayout, listed: int, missing: set[str], optional: set[str]) -> set[str] | str:
    """Return the columns that rows lack, as far as the number of fields determines them."""
    for guess in (missing, missing - optional, missing | optional):
        if listed - shape.fields == len(guess):
            return guess
    return (
        f"rows in {shape.path} have {shape.fields} fields, and the schema file lists {listed} columns, of which "
        f"{len(missing)} are known to be virtual generated columns, which rows lack. Name the generated columns in conf"
    )


_HEAD, _FILES = 1 << 18, 3
"""Bytes of a file, and files of a version, that are looked at."""


RowLayouts = Callable[[SchemaFile], RowLayout | None]
"""Returns what the rows below a schema file have; None where there are none to look at."""


def sample_row_layouts(feed: SinkListing) -> RowLayouts:
    """Return a function from a schema file to the layout of the rows below it."""
    versions = {name: sorted({file.version for file in files}) for name, files in feed.schemas.items()}
    files: dict[tuple[TableName, int], list[StoredFile]] = {}
    for stored, data in feed.data:
        name = (data.folder.schema, data.folder.table)
        known = versions.get(name, [])
        at = bisect_right(known, data.folder.version)
        if at and stored.size:
            files.setdefault((name, known[at - 1]), []).append(stored)

    def shape(file: SchemaFile) -> RowLayout | None:
        for stored in files.get(((file.schema, file.table), file.version), [])[:_FILES]:
            with suppress(OSError):  # the reader of the whole file reports what is wrong with it
                found = _layout_in(feed, stored)
                if found is not None:
                    return found
        return None

    return shape


def _layout_in(feed: SinkListing, file: StoredFile) -> RowLayout | None:
    head = read_head(feed.root, file.path, _HEAD)
    found = _csv(head, feed.changefeed) if file.path.endswith(".csv") else _canal(head)
    # of a file that goes on, the last record may be cut
    whole = list(islice(found, 2)) if file.size > len(head) else list(islice(found, 1))
    if not whole or (file.size > len(head) and len(whole) < 2):
        return None
    return RowLayout(file.path, whole[0][0], whole[0][1])


def _canal(head: bytes) -> Iterator[tuple[frozenset[str] | None, int]]:
    for line in head.split(b"\n"):
        with suppress(ValueError, LookupError, TypeError, AttributeError):
            message = orjson.loads(line)
            if message["type"] in {"INSERT", "UPDATE"}:
                names = frozenset(str(name).lower() for name in message["data"][0])
                yield names, len(names)


def _csv(head: bytes, changefeed: Changefeed) -> Iterator[tuple[frozenset[str] | None, int]]:
    csv = changefeed.sink.csv
    fixed = 4 + csv.output_old_value
    dialect = dialect_of_feed(changefeed)
    for record in records(plain_body(head, dialect), dialect):
        if record.fields is not None and len(record.fields) > fixed:
            yield None, len(record.fields) - fixed
