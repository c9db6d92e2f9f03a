"""Joins feed and snapshot: the lineage of every source table, and the files that can be read now.

In: a `SinkListing`, an `Export`, or both; the settings. Out: `SourceTable`s and the `Item`s of the files. Files of a
table whose layout is not known (schema file missing or broken, no key) are not read;
they wait, and the table is blocked with the reason.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from jobs.engine.checkpoints import TableStatus
from jobs.ingest.loading.manifest import Item
from jobs.ingest.loading.stream import Task
from jobs.ingest.tidb.ddl.create_table import CreateTable
from jobs.ingest.tidb.ddl.indexes import ROW_ID
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.ddl.sql_tokens import TableName
from jobs.ingest.tidb.dumpling.export import Export, dialect_of, format_of
from jobs.ingest.tidb.dumpling.generated_columns import computable
from jobs.ingest.tidb.dumpling.reader import DumpSpec
from jobs.ingest.tidb.resnapshots import Resnapshot
from jobs.ingest.tidb.rows.ledger_rows import RowSpec
from jobs.ingest.tidb.rows.masks import masks_of
from jobs.ingest.tidb.tables.ddl_replay import DdlReplay
from jobs.ingest.tidb.tables.row_layouts import sample_row_layouts
from jobs.ingest.tidb.tables.schema_history import SchemaHistory, Snapshot, Version
from jobs.ingest.tidb.tables.source_table import SourceTable, blocked_at, masked_table
from jobs.ingest.tidb.tables.table_names import Past, block_unwritable, check_names, unwritable_names
from jobs.ingest.tidb.ticdc.changefeed import Changefeed
from jobs.ingest.tidb.ticdc.csv_records import dialect_of_feed
from jobs.ingest.tidb.ticdc.feed_csv import CsvSpec
from jobs.ingest.tidb.ticdc.sink_listing import SinkListing
from jobs.settings.ingest import Ingest, TableRules

_SLASHED = re.compile(r"(?P<schema>[^/]+)/(?P<table>.+/.+)/meta/schema_\d+_\d{10}\.json")
NAMELESS = "table-id"
"""Stands for the schema of a table of which only the id is known."""


@dataclass
class Sources:
    """Everything there is to ingest from TiDB."""

    checkpoint: int
    """Greatest commit_ts that may show: the feed's checkpoint, without a feed the snapshot's TSO."""
    tables: dict[str, SourceTable] = field(default_factory=dict)
    """By full name; tables that are gone by `name@end`."""
    versions: dict[TableName, dict[int, Version]] = field(default_factory=dict)
    """How rows are read, by name and version."""
    items: list[Item] = field(default_factory=list)
    blocked_files: list[str] = field(default_factory=list)
    """Files that cannot be decoded for now."""
    named_ids: set[int] = field(default_factory=set)
    """Tables that have ids for paths, and names."""


def join(
    feed: SinkListing | None,
    export: Export | None,
    settings: Ingest,
    later: Mapping[TableName, Resnapshot] | None = None,
    unfit: Mapping[tuple[TableName, int], str] | None = None,
    past: Past | None = None,
) -> Sources:
    """Return the tables and files of feed and snapshot.

    Args:
        feed: the change feed.
        export: the snapshot it begins with.
        settings: what single tables need.
        later: snapshots that were taken of single tables since.
        unfit: values that do not fit the type that a statement gives, by table and version of the statement.
        past: newest row of ops.checkpoints by table.

    Raises:
        SourceError: a column has an unknown type.
    """
    checkpoint = feed.checkpoint if feed else export.tso if export else 0
    sources = Sources(checkpoint)
    feed, export, aside = _set_aside(sources, feed, export)

    def rules(name: TableName) -> TableRules:
        return settings.tables.get(".".join(name), TableRules())

    creates = {name: c for name, c in export.creates.items() if name not in export.blocked} if export else {}
    begun = {n: Snapshot(export.tso, c) for n, c in creates.items() if export and not rules(n).exclude}
    replay = DdlReplay(begun, rules, unfit, sample_row_layouts(feed) if feed else None)
    files = [f for name, some in (feed.schemas if feed else {}).items() if not rules(name).exclude for f in some]
    taken = {name: resnapshot for name, resnapshot in (later or {}).items() if not rules(name).exclude}
    later_snapshots = {name: resnapshot.snapshot for name, resnapshot in taken.items()}
    known = [((p.schema, p.table), p.version, str(e)) for p, e in (feed.broken if feed else []) if p.table]
    broken = [one for one in known if not rules(one[0]).exclude]
    sources.tables = replay.replay([*files, *(feed.databases if feed else [])], checkpoint, later_snapshots, broken)
    sources.tables = {n: masked_table(t, masks_of(settings, t.full_name, t.key)) for n, t in sources.tables.items()}
    sources.tables |= aside
    sources.versions = replay.versions
    check_names(settings, {*creates, *(feed.schemas if feed else ())}, _columns_of(creates, replay))
    if feed is not None:
        _add_feed(sources, feed, settings, past or {})
    if export is not None:
        _export_items(sources, export, settings, "dumpling")
        _block_blocked(sources, export)
    for resnapshot in taken.values():
        _block_exported(sources, resnapshot.full_name, resnapshot.snapshot, settings)
        found = resnapshot.export()
        if found is not None:
            _export_items(sources, found, settings, resnapshot.source)
            _block_blocked(sources, found)
    block_unwritable(sources.tables, past or {})
    return sources


def _add_feed(sources: Sources, feed: SinkListing, settings: Ingest, past: Past) -> None:
    """Add the feed's files, and hold the tables that it cannot be followed for."""
    sources.blocked_files += feed.unnamed
    _show_nameless(sources, feed)
    _block_slashed(sources, feed)
    _block_exchanged(sources, feed)
    _block_late_start(sources, feed, settings, past)
    _feed_items(sources, feed, settings)


def _set_aside(
    sources: Sources, feed: SinkListing | None, export: Export | None
) -> tuple[SinkListing | None, Export | None, dict[str, SourceTable]]:
    """Return feed and export without the tables that bronze cannot have by their names, and those tables, blocked."""
    names = {*(feed.schemas if feed else ()), *(export.creates if export else ())}
    names |= {(data.folder.schema, data.folder.table) for _, data in (feed.data if feed else ())}
    why = unwritable_names(names)
    if not why:
        return feed, export, {}
    if feed is not None:
        lost = [file.path for file, data in feed.data if (data.folder.schema, data.folder.table) in why]
        sources.blocked_files += lost
        kept = [one for one in feed.data if (one[1].folder.schema, one[1].folder.table) not in why]
        feed = replace(feed, data=kept, schemas={n: files for n, files in feed.schemas.items() if n not in why})
    if export is not None:
        sources.blocked_files += [file.path for file, name in export.data if name in why]
        creates = {name: create for name, create in export.creates.items() if name not in why}
        export = replace(export, creates=creates, data=[one for one in export.data if one[1] not in why])
    return feed, export, {".".join(name): SourceTable(*name).block(0, said) for name, said in why.items()}


def _columns_of(creates: Mapping[TableName, CreateTable], replay: DdlReplay) -> dict[TableName, list[Version]]:
    """Return all that is known of each table's columns, by its names."""
    known = {name: [Version(0, create.columns, create.key)] for name, create in creates.items()}
    for name, versions in replay.versions.items():
        known[name] = [*known.get(name, ()), *versions.values()]
    return known


def _show_nameless(sources: Sources, feed: SinkListing) -> None:
    """Show an id below which no schema file can be read as a blocked table: its rows wait, under no name yet."""
    sources.named_ids = {file.table_id for files in feed.schemas.values() for file in files if file.table_id}
    found = [(path.schema, path.version, str(error)) for path, error in feed.broken if not path.table]
    for path in feed.unnamed:
        number, at, *_ = path.split("/")
        found.append((number, int(at), f"no schema file names the table of {path}. Restore it from the store."))
    for number, version, reason in found:
        if number.isdigit() and int(number) not in sources.named_ids and version <= sources.checkpoint:
            table = sources.tables.get(f"{NAMELESS}.{number}") or SourceTable(NAMELESS, number)
            message = blocked_at(f"the table with the id {number}", version, reason)
            sources.tables[table.full_name] = table.block(version, message)


def _block_slashed(sources: Sources, feed: SinkListing) -> None:
    """Block tables with a slash in their name: TiCDC writes it into paths as it is, and their folders fit no rule."""
    for path in feed.unknown:
        found = _SLASHED.fullmatch(path)
        name = (found["schema"], found["table"]) if found else None
        if name is None:
            continue
        table = sources.tables.get(".".join(name)) or SourceTable(*name)
        said = (
            f"{table.full_name} is blocked: a name with a slash cannot be told from folders, its files are in "
            "quarantine (unknown_path). Rename it at the source, or leave it out of the changefeed."
        )
        # what a snapshot has of it stays
        sources.tables[table.full_name] = table.block(table.snapshot.tso + 1 if table.snapshot else 0, said)


def _block_exchanged(sources: Sources, feed: SinkListing) -> None:
    """Hold both tables of an exchange of partitions: only one of them has the statement."""
    for version in feed.exchanged():
        for name, table in list(sources.tables.items()):
            floor = table.snapshot.tso if table.snapshot else 0
            if table.ended is None and version in table.versions and floor < version <= sources.checkpoint:
                reason = "a partition was exchanged with another table"
                reason += ". Later changes wait; take a new snapshot of the table."
                sources.tables[name] = table.block(version, blocked_at(name, version, reason))


def _block_late_start(sources: Sources, feed: SinkListing, settings: Ingest, past: Past) -> None:
    """Block tables that the feed begins after: changes between it and their snapshot, or an earlier feed, are lost."""
    start = feed.start() if settings.feed_start is None else settings.feed_start
    reached = {name: row.checkpoint_ts or 0 for name, row in past.items() if row.status != TableStatus.GONE}
    for name, table in list(sources.tables.items()):
        if start is None or table.ended is not None or not table.segments or table.segments[0].start > 0:
            continue
        known = max(table.snapshot.tso if table.snapshot else 0, reached.get(name, 0))
        # the changes of the very next timestamp: people give the snapshot's position plus one
        if known and start > known + 1:
            reason = (
                f"it is known up to {known}, and the change feed begins at {start}. "
                f"What was changed between is in neither. Create the changefeed with --start-ts={known}, or take a "
                f"snapshot that is not older than the feed: `pinlake resnapshot {name} EXPORT`. If the changefeed was "
                f"created with that start-ts and taken up again later, say so: ingest.feed_start: {known}."
            )
            sources.tables[name] = table.block(known + 1, blocked_at(name, known + 1, reason))


def _feed_items(sources: Sources, feed: SinkListing, settings: Ingest) -> None:
    zone = feed.changefeed.server_timezone or settings.timezone
    unreadable: dict[TableName, list[int]] = {}
    for path, _ in feed.broken:
        unreadable.setdefault((path.schema, path.table), []).append(path.version)
    for file, data in feed.data:
        folder = data.folder
        name = f"{folder.schema}.{folder.table}"
        if settings.tables.get(name, TableRules()).exclude:
            continue
        known = sources.versions.get((folder.schema, folder.table), {})
        if folder.version not in known and folder.version > sources.checkpoint:
            # its schema file may still come; once the checkpoint has passed the version, there is none
            sources.blocked_files.append(file.path)
            continue
        version = _version(known, folder.version, unreadable.get((folder.schema, folder.table), ()))
        spec = _row_spec(folder.schema, folder.table, version, zone, settings) if version else None
        if spec is None:
            _wait(sources, name, folder.schema, folder.table, folder.version, file.path, version)
            continue
        read = spec if data.extension == "json" else _csv_spec(spec, feed.changefeed)
        task = Task("ticdc", feed.root, file.path, file.size, name, read, bool(spec.masks.columns))
        sources.items.append(Item(file, task))


def _csv_spec(rows: RowSpec, changefeed: Changefeed) -> CsvSpec:
    csv = changefeed.sink.csv
    return CsvSpec(rows, dialect_of_feed(changefeed), csv.output_old_value, csv.binary_encoding_method)


def _version(versions: Mapping[int, Version], wanted: int, unreadable: Iterable[int] = ()) -> Version | None:
    """Return the version of that number, else the newest one below it; None where that one cannot be read."""
    lower = [number for number in versions if number <= wanted]
    lost = max((number for number in unreadable if number <= wanted), default=-1)
    return versions[max(lower)] if lower and max(lower) > lost else None


def _row_spec(schema: str, table: str, version: Version, zone: str, settings: Ingest) -> RowSpec | None:
    if version.fault or _lacking(version):
        return None
    append = version.key == (ROW_ID,)
    columns = tuple(column for column in version.columns if not append or column.name != ROW_ID)
    key = tuple(column.name for column in columns if column.name in version.key)
    name = f"{schema}.{table}"
    zone = settings.tables.get(name, TableRules()).timezone or zone
    return RowSpec(schema, table, version.version, columns, key, zone, masks_of(settings, name, key), append)


def _lacking(version: Version) -> str:
    """Return why rows of a version have no key, "" where they have one."""
    if not version.key:
        return "the table has no primary key and no unique key of whole columns that are NOT NULL and in rows"
    there = {column.name for column in version.columns if not column.virtual}
    lost = [name for name in version.key if name not in there]
    return f"rows lack {', '.join(lost)} of the key ({', '.join(version.key)})" if lost else ""


def _wait(
    sources: Sources, name: str, schema: str, table: str, number: int, path: str, version: Version | None = None
) -> None:
    """Leave a file for later and block its table: rows are there that cannot be read."""
    sources.blocked_files.append(path)
    known = sources.tables.get(name) or SourceTable(schema, table)
    reason = f"no schema file describes the columns of {path}. Restore schema_{number}_*.json."
    if version is not None:
        conf = f"Name its key columns in conf: ingest.tables.{name}.keys"
        reason = version.fault or f"{_lacking(version)}, so {path} waits. {conf}."
    sources.tables[name] = known.block(number, blocked_at(name, number, reason))


def _export_items(sources: Sources, export: Export, settings: Ingest, source: str) -> None:
    dialect = dialect_of(export, settings.dump)
    known: dict[TableName, tuple[RowSpec | None, tuple[SourceColumn, ...]]] = {}
    """What the rows of each table are: an export may have many files of one."""
    for file, name in export.data:
        full = ".".join(name)
        if settings.tables.get(full, TableRules()).exclude:
            continue
        if name in export.blocked:
            sources.blocked_files.append(file.path)
            continue
        if name not in known:
            snapshot = Snapshot(export.tso, export.creates[name])
            version, found = _exported(full, snapshot, settings)
            known[name] = _row_spec(*name, version, settings.timezone, settings), found
            _block_exported(sources, full, snapshot, settings)
        spec, found = known[name]
        if spec is None:
            sources.blocked_files.append(file.path)
            continue
        dump = DumpSpec(spec, export.tso, dialect, format_of(file.path), found)
        task = Task(source, export.root, file.path, file.size, full, dump, bool(spec.masks.columns))
        sources.items.append(Item(file, task))


def _told(full: str, snapshot: Snapshot, settings: Ingest) -> Version:
    """Return a table's columns and key from its CREATE TABLE in an export and the settings."""
    rules = settings.tables.get(full, TableRules())
    return SchemaHistory(rules, snapshot).snapshot_version() or Version(snapshot.tso, (), ())


def _exported(full: str, snapshot: Snapshot, settings: Ingest) -> tuple[Version, tuple[SourceColumn, ...]]:
    """Return how rows of an export are read, and which of the generated columns that they lack are computed."""
    version, masked = _told(full, snapshot, settings), settings.tables.get(full, TableRules()).mask
    # an export has no generated columns at all; conf speaks of the feed's rows alone
    columns = tuple(replace(c, generated=c.expression != "", stored=False) for c in version.columns)
    there = [c for c in columns if not c.generated and c.name not in masked]
    found = (c for c in version.columns if c.stored and not c.left_out and computable(c, there))
    return replace(version, columns=columns), tuple(found)


def _block_exported(sources: Sources, full: str, snapshot: Snapshot, settings: Ingest) -> None:
    """Hold a table of which an export has rows without a key, or without values that silver needs."""
    version, found = _exported(full, snapshot, settings)
    stored = [c.name for c in _told(full, snapshot, settings).columns if c.stored and not c.left_out]
    lost = ", ".join(name for name in stored if name not in {c.name for c in found})
    reason = ""
    if lost:
        reason = (
            f"an export has no values of STORED generated columns, and those of {lost} cannot be computed here. Leave "
            f"them out of silver by conf: ingest.tables.{full}.generated: [{lost}]"
        )
    if _lacking(version):
        reason = f"in the export {_lacking(version)}. Name its key columns in conf: ingest.tables.{full}.keys"
    for key, table in list(sources.tables.items()) if reason else ():
        if table.snapshot == snapshot and full in {segment.table for segment in table.segments}:
            sources.tables[key] = table.block(snapshot.tso, blocked_at(full, snapshot.tso, f"{reason}."))


def _block_blocked(sources: Sources, export: Export) -> None:
    """Hold the tables that cannot be begun with the export, from their beginning on."""
    for name, reason in export.blocked.items():
        table = sources.tables.get(".".join(name)) or SourceTable(*name)
        sources.tables[table.full_name] = table.block(0, reason)
