"""What rows of a feed have, by a look into the first file of a table's version.

In: a feed and a schema file. Out: the shape of a whole row, an insert or update, as deletes may have the key alone.
Only tables whose definition is not known, or has virtual columns, are looked at.
"""

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

import orjson

from jobs.ingest.loading.storage import StoredFile, read_head
from jobs.ingest.tidb.ddl.shape import RowShape
from jobs.ingest.tidb.ddl.sql_tokens import TableName
from jobs.ingest.tidb.tables.versions import Shapes
from jobs.ingest.tidb.ticdc.changefeed import Changefeed
from jobs.ingest.tidb.ticdc.csv_records import Dialect, records
from jobs.ingest.tidb.ticdc.feed_csv import plain_body
from jobs.ingest.tidb.ticdc.schemafile import SchemaFile
from jobs.ingest.tidb.ticdc.sink_listing import SinkListing

_HEAD, _FILES = 1 << 18, 3
"""Bytes of a file, and files of a version, that are looked at."""


def dialect_of_feed(changefeed: Changefeed) -> Dialect:
    """Return how a changefeed writes CSV."""
    csv = changefeed.sink.csv
    return Dialect(csv.delimiter, csv.quote, csv.null, changefeed.sink.terminator)


def shapes_of(feed: SinkListing) -> Shapes:
    """Return what tells, for a schema file, the shape of the rows below it."""
    versions = {name: sorted({file.version for file in files}) for name, files in feed.schemas.items()}
    files: dict[tuple[TableName, int], list[StoredFile]] = {}
    for stored, data in feed.data:
        name = (data.folder.schema, data.folder.table)
        known = versions.get(name, [])
        at = bisect_right(known, data.folder.version)
        if at and stored.size:
            files.setdefault((name, known[at - 1]), []).append(stored)

    def shape(file: SchemaFile) -> RowShape | None:
        for stored in files.get(((file.schema, file.table), file.version), [])[:_FILES]:
            with suppress(OSError):  # whoever reads the file whole says what is wrong with it
                found = _shape(feed, stored)
                if found is not None:
                    return found
        return None

    return shape


def _shape(feed: SinkListing, file: StoredFile) -> RowShape | None:
    head = read_head(feed.root, file.path, _HEAD)
    found = _csv(head, feed.changefeed) if file.path.endswith(".csv") else _canal(head)
    # of a file that goes on, the last record may be cut
    whole = list(islice(found, 2)) if file.size > len(head) else list(islice(found, 1))
    if not whole or (file.size > len(head) and len(whole) < 2):
        return None
    return RowShape(file.path, whole[0][0], whole[0][1])


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
