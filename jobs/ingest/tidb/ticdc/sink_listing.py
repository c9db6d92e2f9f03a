"""A TiCDC storage sink as one run sees it: checkpoint first, then the listing, schema files and index files.

In: the changefeed's root. Out: a `SinkListing`. Data files above the number in their index are left for the next run,
as they may be half written. Schema files that cannot be trusted are listed separately, so that only their tables are
blocked.
"""

import json
import re
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from jobs.common.errors import SourceError
from jobs.ingest.loading.storage import StoredFile, listing, read_raw, stat
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.ddl.sql_tokens import TableName
from jobs.ingest.tidb.ticdc.changefeed import Changefeed
from jobs.ingest.tidb.ticdc.data_files import DataFolder
from jobs.ingest.tidb.ticdc.infer_options import Named, date_separator, infer_options
from jobs.ingest.tidb.ticdc.object_paths import Data, Folder, Index, Object, SchemaPath, Unknown, classify, index_number
from jobs.ingest.tidb.ticdc.schema_files import SchemaFile, merge_duplicates, parse_schema_file

WHAT = "TiCDC storage sink"
_READERS = 16
T = TypeVar("T")


@dataclass
class SinkListing:
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
    """Schema files that cannot be trusted, by table; `table` is empty where that cannot be determined."""
    data: list[tuple[StoredFile, Data]] = field(default_factory=list)
    """Data files that are complete."""
    waiting: list[str] = field(default_factory=list)
    """Data files that no index names yet."""
    unnamed: list[str] = field(default_factory=list)
    """Data files below a table id that no schema file gives a name; they wait."""
    folders: list[DataFolder] = field(default_factory=list)
    """Data files by folder and number: what of them is missing is told by what was taken in before."""
    unknown: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    """Objects that fit no rule: size, reason, detail."""

    def exchanged(self) -> set[int]:
        """Return the versions at which a partition was exchanged: they concern two tables, and name one."""
        return {file.version for files in self.schemas.values() for file in files if file.action == 42}

    def start(self) -> int | None:
        """Return the commit_ts that the feed seems to begin at; None where its files do not show it.

        Of a table that was there before, the first schema file has no statement and the version that its changes begin
        at: the feed's start-ts, or later where a changefeed was taken up again before the table's first change. So only
        the first file of all tells, and none where statements were written before or with it.
        """
        told = [file for files in self.schemas.values() for file in files] + self.databases
        versions = [file.version for file in told] + [path.version for path, _ in self.broken]
        earliest = min([*versions, *(mine.folder.version for mine in self.folders)], default=None)
        first = [file for file in told if file.version == earliest]
        plain = [not file.query and file.action == 0 for file in first]
        return earliest if plain and all(plain) else None


def read_feed(root: str, named: Named | None = None, patience: float = 0) -> SinkListing:
    """Return what the sink at `root` holds.

    Args:
        root: path or URI of the changefeed's root folder.
        named: the changefeed's own file, where it was given.
        patience: seconds to wait for files that an index names and that are not there: they may be on their way.

    Raises:
        SourceError: the folder, or its `metadata`, is missing or unreadable; or the feed is of a kind that cannot be
            ingested safely.
    """
    feed = SinkListing(root, _checkpoint(root))
    files = listing(root, WHAT)
    separator = date_separator((file.path for file in files), named)
    found = [(file, classify(file.path, separator)) for file in files]
    indexes = _of(found, Index)
    contents = _parallel(lambda entry: read_raw(root, entry[0].path).decode("utf-8", "replace"), indexes)
    schema_files = _of(found, SchemaPath)
    for (_, path), parsed in zip(schema_files, _parallel(lambda e: _schema(root, *e), schema_files), strict=True):
        _keep_schema(feed, path, parsed)
    data = _of(found, Data)
    folders = _numbered(data, [(*entry, text) for entry, text in zip(indexes, contents, strict=True)])
    data += _come_since(root, folders, patience)
    _sort_data(feed, data, folders)
    _name_folders(feed)
    feed.broken = [(name, error) for path, error in feed.broken for name in _owners(feed, root, path)]
    for name, schemas in feed.schemas.items():
        feed.schemas[name], contradictory = merge_duplicates(schemas)
        feed.broken += contradictory
    feed.changefeed = infer_options(root, feed.data, named, lambda folder: _columns_of(feed, folder))
    for file, what in _of(found, Unknown):
        feed.unknown[file.path] = (file.size, what.reason, "no rule of the storage sink's layout fits this path")
    return feed


def _columns_of(feed: SinkListing, folder: Folder) -> tuple[SourceColumn, ...] | None:
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


def _numbered(
    data: list[tuple[StoredFile, Data]], indexes: list[tuple[StoredFile, Index, str]]
) -> dict[Folder, DataFolder]:
    """Return the data files by folder and number, and how far each folder's index goes."""
    folders: dict[Folder, DataFolder] = {}
    for file, what in data:
        folders.setdefault(what.folder, DataFolder(what.folder)).add(what.number, file)
    for file, index, text in indexes:
        number = index_number(text)
        if number is not None:
            mine = folders.setdefault(index.folder, DataFolder(index.folder))
            mine.limit, mine.named_at = number, file.etag
            mine.sample = f"{file.path.rpartition('/meta/')[0]}/{text.strip()}"
    return folders


def _come_since(root: str, folders: dict[Folder, DataFolder], patience: float) -> list[tuple[StoredFile, Data]]:
    """Return the newest files that were not there yet when their folder was listed, and were when its index was read.

    The classic writer writes the index first: what is still not there is looked for once more.
    """
    come = []
    for wait in (0.0, patience):
        wanted = {path: mine for mine in folders.values() for path in mine.newest_absent()}
        if not wanted:
            break
        time.sleep(wait)
        for file in stat(root, list(wanted)):
            what = classify(file.path)
            if isinstance(what, Data) and file.size:
                wanted[file.path].add(what.number, file)
                come.append((file, what))
    return come


def _sort_data(feed: SinkListing, data: list[tuple[StoredFile, Data]], folders: dict[Folder, DataFolder]) -> None:
    feed.folders = list(folders.values())
    for file, what in sorted(data, key=lambda entry: entry[0].path):
        if what.number <= folders[what.folder].limit:
            feed.data.append((file, what))
        else:
            feed.waiting.append(file.path)


def _name_folders(feed: SinkListing) -> None:
    """Name the tables of folders that have an id for a path: by the newest schema file of that id up to the folder's.

    A rename keeps the id and changes the name, so the version decides. Without such a file, or where it is broken,
    the table cannot be determined.
    """
    by_id: dict[int, dict[int, SchemaFile | None]] = {}
    for file in (file for files in feed.schemas.values() for file in files if file.table_id):
        by_id.setdefault(file.table_id, {})[file.version] = file
    for path, _ in feed.broken:
        if not path.table and path.schema.isdigit():
            by_id.setdefault(int(path.schema), {})[path.version] = None

    def named(folder: Folder) -> Folder | None:
        if not folder.table_id:
            return folder
        known = {version: file for version, file in by_id.get(folder.table_id, {}).items() if version <= folder.version}
        newest = known[max(known)] if known else None
        return None if newest is None else replace(folder, schema=newest.schema, table=newest.table)

    feed.folders = [replace(mine, folder=named(mine.folder) or mine.folder) for mine in feed.folders]
    found = [(file, data, named(data.folder)) for file, data in feed.data]
    feed.unnamed = [file.path for file, _, folder in found if folder is None]
    feed.data = [(file, replace(data, folder=folder)) for file, data, folder in found if folder is not None]


def _owners(feed: SinkListing, root: str, path: SchemaPath) -> list[SchemaPath]:
    """Return a broken schema file once for each table that it may be of; itself where none can be determined.

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


def _keep_schema(feed: SinkListing, named: SchemaPath, parsed: SchemaFile | SourceError) -> None:
    if isinstance(parsed, SourceError):
        feed.broken.append((named, parsed))
    elif parsed.no_table:
        return
    elif not parsed.table:
        feed.databases.append(parsed)
    else:
        feed.schemas.setdefault((parsed.schema, parsed.table), []).append(parsed)
