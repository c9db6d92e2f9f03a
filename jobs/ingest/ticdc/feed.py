"""A TiCDC storage sink as one run sees it: checkpoint first, then the listing, schema files and index files.

In: the changefeed's root. Out: a `Feed`. Data files above what their index names are left for the next run, as they
may be half written. Schema files that cannot be trusted are kept beside the good ones, so that only their tables are
held.
"""

import json
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from jobs.errors import SourceError
from jobs.ingest.intake.storage import StoredFile, listing, read_raw
from jobs.ingest.tables.mysql import SourceColumn
from jobs.ingest.tables.words import TableName
from jobs.ingest.ticdc.changefeed import Changefeed
from jobs.ingest.ticdc.detect import Named, date_separator, settled
from jobs.ingest.ticdc.schemafile import SchemaFile, parse_schema_file
from jobs.ingest.ticdc.tree import Data, Folder, Index, Object, SchemaPath, Unknown, classify, index_number

WHAT = "TiCDC storage sink"
_VIEWS = {21, 24}
_READERS = 16
T = TypeVar("T")


@dataclass
class Feed:
    """What the sink holds now."""

    root: str
    checkpoint: int
    """Every transaction with commit_ts up to it is in the files listed."""
    changefeed: Changefeed = field(default_factory=Changefeed)
    """How it was told to write."""
    schemas: dict[TableName, list[SchemaFile]] = field(default_factory=dict)
    databases: list[SchemaFile] = field(default_factory=list)
    """DDL of whole databases."""
    broken: list[tuple[SchemaPath, SourceError]] = field(default_factory=list)
    """Schema files that cannot be trusted, by the tables they are of; `table` is empty where nobody can tell those."""
    data: list[tuple[StoredFile, Data]] = field(default_factory=list)
    """Data files that are complete."""
    waiting: list[str] = field(default_factory=list)
    """Data files that no index names yet."""
    unnamed: list[str] = field(default_factory=list)
    """Data files below a table id that no schema file gives a name; they wait."""
    missing: list[str] = field(default_factory=list)
    """Folders whose index names a file that is not there."""
    unknown: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    """Objects that fit no rule: size, reason, detail."""

    def exchanged(self) -> set[int]:
        """Return the versions at which a partition was exchanged: they concern two tables, and name one."""
        return {file.version for files in self.schemas.values() for file in files if file.action == 42}


def read_feed(root: str, named: Named | None = None) -> Feed:
    """Return what the sink at `root` holds.

    Args:
        root: path or URI of the changefeed's root folder.
        named: the changefeed's own file, where it was given.

    Raises:
        SourceError: the folder, or its `metadata`, is missing or unreadable; or the feed is of a kind that cannot be
            ingested safely.
    """
    feed = Feed(root, _checkpoint(root))
    files = listing(root, WHAT)
    separator = date_separator((file.path for file in files), named)
    found = [(file, classify(file.path, separator)) for file in files]
    indexes = _of(found, Index)
    numbers = _parallel(lambda entry: index_number(read_raw(root, entry[0].path).decode("utf-8", "replace")), indexes)
    limits = {entry[1].folder: number for entry, number in zip(indexes, numbers, strict=True) if number is not None}
    schema_files = _of(found, SchemaPath)
    for (_, path), parsed in zip(schema_files, _parallel(lambda e: _schema(root, *e), schema_files), strict=True):
        _keep_schema(feed, path, parsed)
    _sort_data(feed, _of(found, Data), limits)
    _name_folders(feed)
    feed.broken = [(name, error) for path, error in feed.broken for name in _owners(feed, root, path)]
    feed.changefeed = settled(root, feed.data, named, lambda folder: _columns_of(feed, folder))
    for file, what in _of(found, Unknown):
        feed.unknown[file.path] = (file.size, what.reason, "no rule of the storage sink's layout fits this path")
    return feed


def _columns_of(feed: Feed, folder: Folder) -> tuple[SourceColumn, ...] | None:
    """Return the columns of the newest schema file up to a folder's version."""
    known = [f for f in feed.schemas.get((folder.schema, folder.table), []) if f.version <= folder.version]
    return max(known, key=lambda file: file.version).columns if known else None


def _checkpoint(root: str) -> int:
    try:
        content = read_raw(root, "metadata")
        return int(json.loads(content)["checkpoint-ts"])
    except FileNotFoundError as error:
        raise SourceError(
            f"{WHAT}: no file `metadata` in {root}. It must be the changefeed's root folder, and the changefeed "
            "must have run; check the URI."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{WHAT}: {root}/metadata does not hold a checkpoint ({error}). Restore it.") from error


def _of(found: list[tuple[StoredFile, Object]], kind: type[T]) -> list[tuple[StoredFile, T]]:
    return [(file, what) for file, what in found if isinstance(what, kind)]


def _parallel(function: Callable[[Any], T], items: Iterable[Any]) -> list[T]:
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(function, items))


def _sort_data(feed: Feed, data: list[tuple[StoredFile, Data]], limits: dict[Folder, int]) -> None:
    greatest: dict[Folder, int] = {}
    for file, what in data:
        greatest[what.folder] = max(greatest.get(what.folder, 0), what.number)
        if what.number <= limits.get(what.folder, 0):
            feed.data.append((file, what))
        else:
            feed.waiting.append(file.path)
    for folder, number in limits.items():
        if number > greatest.get(folder, 0):
            owner = str(folder.table_id) if folder.table_id else f"{folder.schema}/{folder.table}"
            feed.missing.append(f"{owner}/{folder.version}/{folder.date}")


def _name_folders(feed: Feed) -> None:
    """Name the tables of folders that have an id for a path: by the newest schema file of that id up to the folder's.

    A rename keeps the id and changes the name, so the version decides. Without such a file, or where it is broken,
    nobody can tell the table.
    """
    by_id: dict[int, dict[int, SchemaFile | None]] = {}
    for file in (file for files in feed.schemas.values() for file in files if file.table_id):
        by_id.setdefault(file.table_id, {})[file.version] = file
    for path, _ in feed.broken:
        if not path.table and path.schema.isdigit():
            by_id.setdefault(int(path.schema), {})[path.version] = None
    named: list[tuple[StoredFile, Data]] = []
    for stored, data in feed.data:
        folder = data.folder
        if not folder.table_id:
            named.append((stored, data))
            continue
        known = {version: file for version, file in by_id.get(folder.table_id, {}).items() if version <= folder.version}
        newest = known[max(known)] if known else None
        if newest is None:
            feed.unnamed.append(stored.path)
        else:
            named.append((stored, replace(data, folder=replace(folder, schema=newest.schema, table=newest.table))))
    feed.data = named


def _owners(feed: Feed, root: str, path: SchemaPath) -> list[SchemaPath]:
    """Return a broken schema file once for each table that it may be of; itself where none can be told.

    Below a table's id that is every name that other schema files of the id say, from the last one before it on: it may
    be the one that renames the table. What can be read of its own text counts too: to hold a table no proof is needed.
    """
    if path.table or not path.schema.isdigit():
        return [path]
    mine = [file for files in feed.schemas.values() for file in files if file.table_id == int(path.schema)]
    last = max((file.version for file in mine if file.version <= path.version), default=0)
    names = {(file.schema, file.table) for file in mine if file.version >= last}
    names |= _names_in(root, f"{path.schema}/meta/schema_{path.version}_{path.checksum:010d}.json")
    return [replace(path, schema=schema, table=table) for schema, table in sorted(names)] or [path]


def _names_in(root: str, path: str) -> set[TableName]:
    """Return the table that a schema file's text names, however broken it is: TiCDC writes the names first."""
    try:
        text = read_raw(root, path).decode("utf-8", "replace")
    except OSError:
        return set()
    found = [re.search(rf'"{what}":\s*("(?:[^"\\]|\\.)+")', text) for what in ("Schema", "Table")]
    try:
        names = [json.loads(match[1]) for match in found if match is not None]
    except ValueError:
        return set()
    return {(names[0], names[1])} if len(names) == 2 else set()


def _schema(root: str, file: StoredFile, named: SchemaPath) -> SchemaFile | SourceError:
    try:
        return parse_schema_file(file.path, named, read_raw(root, file.path))
    except SourceError as error:
        return error
    except OSError as error:
        return SourceError(f"{file.path}: cannot be read ({error}). Restore it from the store.")


def _keep_schema(feed: Feed, named: SchemaPath, parsed: SchemaFile | SourceError) -> None:
    if isinstance(parsed, SourceError):
        feed.broken.append((named, parsed))
    elif not parsed.table:
        feed.databases.append(parsed)
    elif parsed.action not in _VIEWS:
        feed.schemas.setdefault((parsed.schema, parsed.table), []).append(parsed)
