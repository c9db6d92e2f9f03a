"""Feed and snapshot put together: the life of every source table, and the files that can be read now.

In: a `Feed`, an `Export`, or both; the settings. Out: `SourceTable`s and the `Item`s of the files. Files of a
table whose layout is not known (schema file missing or broken, no key) are not read; they wait, and the table says why.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from jobs.config.ingest import Ingest, TableRules
from jobs.errors import SourceError
from jobs.ingest.changefeed import Changefeed
from jobs.ingest.csv_records import Dialect
from jobs.ingest.dump_csv import DumpSpec
from jobs.ingest.dumpling import Export
from jobs.ingest.feed import Feed
from jobs.ingest.feed_csv import CsvSpec
from jobs.ingest.history import DROP_SCHEMA, SourceTable, broken, trace
from jobs.ingest.manifest import Item
from jobs.ingest.rows import RowSpec
from jobs.ingest.stream import Task
from jobs.ingest.versions import Snapshot, Version

TableName = tuple[str, str]


@dataclass
class Sources:
    """Everything there is to ingest from TiDB."""

    checkpoint: int
    """Greatest commit_ts that may show: the feed's checkpoint, without a feed the snapshot's TSO."""
    tables: dict[str, SourceTable] = field(default_factory=dict)
    """By full name."""
    items: list[Item] = field(default_factory=list)
    held_files: list[str] = field(default_factory=list)
    """Files that cannot be decoded for now."""


def join(feed: Feed | None, export: Export | None, settings: Ingest) -> Sources:
    """Return the tables and files of feed and snapshot.

    Raises:
        SourceError: two source tables would share one silver table, or a column has an unknown type.
    """
    checkpoint = feed.checkpoint if feed else export.tso if export else 0
    sources = Sources(checkpoint)
    names = set(feed.schemas if feed else ()) | set(export.creates if export else ())
    names |= {(path.schema, path.table) for path, _ in (feed.broken if feed else []) if path.table}
    for name in sorted(names):
        rules = settings.tables.get(".".join(name), TableRules())
        if not rules.exclude:
            table = _table(name, feed, export, rules, checkpoint)
            sources.tables[table.full_name] = table
    if feed is not None:
        sources.held_files += feed.unnamed
        _hold_others(sources, feed)
        _feed_items(sources, feed, settings)
    if export is not None:
        _export_items(sources, export, settings)
    _refuse_collisions(sources.tables)
    return sources


def _table(
    name: TableName, feed: Feed | None, export: Export | None, rules: TableRules, checkpoint: int
) -> SourceTable:
    create = export.creates.get(name) if export else None
    snapshot = Snapshot(export.tso, create) if export and create else None
    files = feed.schemas.get(name, []) if feed else []
    table = trace(name, files, snapshot, rules, checkpoint)
    for path, error in feed.broken if feed else []:
        if (path.schema, path.table) == name and path.version <= checkpoint:
            table = broken(table, path.version, error)
    return table


def _hold_others(sources: Sources, feed: Feed) -> None:
    """Hold tables that DDL written elsewhere concerns: renamed away, dropped with their database, exchanged."""
    for name, file in feed.renamed():
        _hold(sources, ".".join(name), file.version, f"{file.query!r} renames it away")
    for file in feed.databases:
        if file.action == DROP_SCHEMA:
            for table in list(sources.tables.values()):
                if table.schema == file.schema:
                    _hold(sources, table.full_name, file.version, f"{file.query!r} drops its database")
    for version in feed.exchanged():
        for table in list(sources.tables.values()):
            if version in table.versions:
                _hold(sources, table.full_name, version, "a partition was exchanged with another table")


def _hold(sources: Sources, name: str, version: int, reason: str) -> None:
    table = sources.tables.get(name)
    floor = table.snapshot.tso if table and table.snapshot else 0
    if table is not None and floor < version <= sources.checkpoint:
        message = (
            f"{name} is held at {version}: {reason}. Later changes wait in bronze; take a new snapshot of the table."
        )
        sources.tables[name] = table.hold(version, message)


def _feed_items(sources: Sources, feed: Feed, settings: Ingest) -> None:
    zone = feed.changefeed.server_timezone or settings.timezone
    unreadable = {(path.schema, path.table, path.version) for path, _ in feed.broken}
    for file, data in feed.data:
        folder = data.folder
        name = f"{folder.schema}.{folder.table}"
        if settings.tables.get(name, TableRules()).exclude:
            continue
        table = sources.tables.get(name)
        trusted = (folder.schema, folder.table, folder.version) not in unreadable
        version = _version(table.versions, folder.version) if table and trusted else None
        spec = _row_spec(folder.schema, folder.table, version, zone) if version else None
        if spec is None:
            _wait(sources, name, folder.schema, folder.table, folder.version, file.path)
            continue
        read = spec if data.extension == "json" else _csv_spec(spec, feed.changefeed)
        sources.items.append(Item(file, Task("ticdc", feed.root, file.path, file.size, name, read)))


def _csv_spec(rows: RowSpec, changefeed: Changefeed) -> CsvSpec:
    csv = changefeed.sink.csv
    dialect = Dialect(csv.delimiter, csv.quote, csv.null, changefeed.sink.terminator)
    return CsvSpec(rows, dialect, csv.output_old_value, csv.binary_encoding_method)


def _version(versions: Mapping[int, Version], wanted: int) -> Version | None:
    """Return the version of that number, else the newest one below it."""
    lower = [number for number in versions if number <= wanted]
    return versions[max(lower)] if lower else None


def _row_spec(schema: str, table: str, version: Version, zone: str) -> RowSpec | None:
    names = {column.name for column in version.columns}
    if not version.key or not set(version.key) <= names:
        return None
    key = tuple(column.name for column in version.columns if column.name in version.key)
    return RowSpec(schema, table, version.version, version.columns, key, zone)


def _wait(sources: Sources, name: str, schema: str, table: str, version: int, path: str) -> None:
    """Leave a file for later and hold its table: rows are there that cannot be read."""
    sources.held_files.append(path)
    known = sources.tables.get(name) or SourceTable(schema, table)
    reason = (
        f"{name} is held at {version}: no schema file says how {path} is to be read. Restore schema_{version}_*.json."
    )
    sources.tables[name] = known.hold(version, reason)


def _export_items(sources: Sources, export: Export, settings: Ingest) -> None:
    for file, name in export.data:
        table = sources.tables.get(".".join(name))
        if table is None or table.snapshot is None:
            continue
        create = table.snapshot.create
        rules = settings.tables.get(table.full_name, TableRules())
        columns = tuple(replace(c, generated=c.generated or c.name in rules.generated) for c in create.columns)
        spec = _row_spec(*name, Version(export.tso, columns, rules.keys or create.key), settings.timezone)
        if spec is None:
            sources.held_files.append(file.path)
            continue
        dump = DumpSpec(spec, export.tso, settings.dump)
        sources.items.append(Item(file, Task("dumpling", export.root, file.path, file.size, table.full_name, dump)))


def _refuse_collisions(tables: Mapping[str, SourceTable]) -> None:
    taken: dict[str, str] = {}
    for name, table in sorted(tables.items()):
        other = taken.setdefault(table.silver.lower(), name)
        if other != name:
            raise SourceError(
                f"{other} and {name} would both be {table.silver}: every source table needs a silver table of its own. "
                "Exclude one in conf (ingest.tables)."
            )
