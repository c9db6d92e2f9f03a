"""Feed and snapshot put together: the life of every source table, and the files that can be read now.

In: a `Feed`, an `Export`, or both; the settings. Out: `SourceTable`s and the `Item`s of the files. Files of a
table whose layout is not known (schema file missing or broken, no key) are not read; they wait, and the table says why.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from jobs.config.ingest import Ingest, TableRules
from jobs.ingest.dumpling.export import Export, dialect_of, format_of
from jobs.ingest.dumpling.reader import DumpSpec
from jobs.ingest.intake.manifest import Item
from jobs.ingest.intake.rows import RowSpec
from jobs.ingest.intake.stream import Task
from jobs.ingest.retakes import Retake
from jobs.ingest.tables.history import SourceTable
from jobs.ingest.tables.lives import Lives
from jobs.ingest.tables.masks import covered_table, masks_of
from jobs.ingest.tables.owners import Past, hold_unwritable, unnameable
from jobs.ingest.tables.versions import Snapshot, Version
from jobs.ingest.tables.words import TableName
from jobs.ingest.ticdc.changefeed import Changefeed
from jobs.ingest.ticdc.csv_records import Dialect
from jobs.ingest.ticdc.feed import Feed
from jobs.ingest.ticdc.feed_csv import CsvSpec
from jobs.lake.checkpoints import is_gone

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
    held_files: list[str] = field(default_factory=list)
    """Files that cannot be decoded for now."""
    named_ids: set[int] = field(default_factory=set)
    """Tables that have ids for paths, and names."""


def join(
    feed: Feed | None,
    export: Export | None,
    settings: Ingest,
    later: Mapping[TableName, Retake] | None = None,
    past: Past | None = None,
) -> Sources:
    """Return the tables and files of feed and snapshot.

    Args:
        feed: the change feed.
        export: the snapshot it begins with.
        settings: what single tables need.
        later: snapshots that were taken of single tables since.
        past: newest row of ops.checkpoints by table.

    Raises:
        SourceError: a column has an unknown type.
    """
    checkpoint = feed.checkpoint if feed else export.tso if export else 0
    sources = Sources(checkpoint)
    feed, export, aside = _set_aside(sources, feed, export)

    def rules(name: TableName) -> TableRules:
        return settings.tables.get(".".join(name), TableRules())

    creates = export.creates if export else {}
    lives = Lives({n: Snapshot(export.tso, c) for n, c in creates.items() if export and not rules(n).exclude}, rules)
    files = [f for name, some in (feed.schemas if feed else {}).items() if not rules(name).exclude for f in some]
    taken = {name: retake for name, retake in (later or {}).items() if not rules(name).exclude}
    retaken = {name: retake.snapshot for name, retake in taken.items()}
    known = [((p.schema, p.table), p.version, str(e)) for p, e in (feed.broken if feed else []) if p.table]
    broken = [one for one in known if not rules(one[0]).exclude]
    sources.tables = lives.replay([*files, *(feed.databases if feed else [])], checkpoint, retaken, broken)
    sources.tables = {n: covered_table(t, masks_of(settings, t.full_name, t.key)) for n, t in sources.tables.items()}
    sources.tables |= aside
    sources.versions = lives.versions
    if feed is not None:
        sources.held_files += feed.unnamed
        _show_nameless(sources, feed)
        _hold_slashed(sources, feed)
        _hold_exchanged(sources, feed)
        _hold_late_start(sources, feed, settings, past or {})
        _feed_items(sources, feed, settings)
    if export is not None:
        _export_items(sources, export, settings, "dumpling")
    for retake in taken.values():
        found = retake.export()
        if found is not None:
            _export_items(sources, found, settings, retake.source)
    hold_unwritable(sources.tables, past or {})
    return sources


def _set_aside(
    sources: Sources, feed: Feed | None, export: Export | None
) -> tuple[Feed | None, Export | None, dict[str, SourceTable]]:
    """Return feed and export without the tables that bronze cannot have by their names, and those tables, held."""
    names = {*(feed.schemas if feed else ()), *(export.creates if export else ())}
    names |= {(data.folder.schema, data.folder.table) for _, data in (feed.data if feed else ())}
    why = unnameable(names)
    if not why:
        return feed, export, {}
    if feed is not None:
        lost = [file.path for file, data in feed.data if (data.folder.schema, data.folder.table) in why]
        sources.held_files += lost
        kept = [one for one in feed.data if (one[1].folder.schema, one[1].folder.table) not in why]
        feed = replace(feed, data=kept, schemas={n: files for n, files in feed.schemas.items() if n not in why})
    if export is not None:
        sources.held_files += [file.path for file, name in export.data if name in why]
        creates = {name: create for name, create in export.creates.items() if name not in why}
        export = replace(export, creates=creates, data=[one for one in export.data if one[1] not in why])
    return feed, export, {".".join(name): SourceTable(*name).hold(0, said) for name, said in why.items()}


def _show_nameless(sources: Sources, feed: Feed) -> None:
    """Show an id below which no schema file can be read as a table that is held: its rows wait, under no name yet."""
    sources.named_ids = {file.table_id for files in feed.schemas.values() for file in files if file.table_id}
    found = [(path.schema, path.version, str(error)) for path, error in feed.broken if not path.table]
    for path in feed.unnamed:
        number, at, *_ = path.split("/")
        found.append((number, int(at), f"no schema file says whose rows {path} has. Restore it from the store."))
    for number, version, reason in found:
        if number.isdigit() and int(number) not in sources.named_ids and version <= sources.checkpoint:
            table = sources.tables.get(f"{NAMELESS}.{number}") or SourceTable(NAMELESS, number)
            said = f"the table with the id {number} is held at {version}: {reason}"
            sources.tables[table.full_name] = table.hold(version, said)


def _hold_slashed(sources: Sources, feed: Feed) -> None:
    """Hold tables with a slash in their name: TiCDC writes it into paths as it is, and their folders fit no rule."""
    for path in feed.unknown:
        found = _SLASHED.fullmatch(path)
        name = (found["schema"], found["table"]) if found else None
        if name is None:
            continue
        table = sources.tables.get(".".join(name)) or SourceTable(*name)
        said = (
            f"{table.full_name} is held: a name with a slash cannot be told from folders, its files are in quarantine "
            "(unknown_path). Rename it at the source, or leave it out of the changefeed."
        )
        # what a snapshot has of it stays
        sources.tables[table.full_name] = table.hold(table.snapshot.tso + 1 if table.snapshot else 0, said)


def _hold_exchanged(sources: Sources, feed: Feed) -> None:
    """Hold both tables of an exchange of partitions: only one of them has the statement."""
    for version in feed.exchanged():
        for name, table in list(sources.tables.items()):
            floor = table.snapshot.tso if table.snapshot else 0
            if table.ended is None and version in table.versions and floor < version <= sources.checkpoint:
                reason = "a partition was exchanged with another table"
                message = (
                    f"{name} is held at {version}: {reason}. Later changes wait; take a new snapshot of the table."
                )
                sources.tables[name] = table.hold(version, message)


def _hold_late_start(sources: Sources, feed: Feed, settings: Ingest, past: Past) -> None:
    """Hold tables that the feed begins after: changes between it and their snapshot, or an earlier feed, are lost."""
    start = feed.start() if settings.feed_start is None else settings.feed_start
    for name, table in list(sources.tables.items()):
        if start is None or table.ended is not None or not table.segments or table.segments[0].start > 0:
            continue
        begun = past.get(name)
        reached = begun["checkpoint_ts"] if begun and not is_gone(begun) else 0
        known = max(table.snapshot.tso if table.snapshot else 0, reached or 0)
        # the changes of the very next timestamp: people give the snapshot's position plus one
        if known and start > known + 1:
            message = (
                f"{name} is held at {known + 1}: it is known up to {known}, and the change feed begins at {start}. "
                f"What was changed between is in neither. Create the changefeed with --start-ts={known}, or take a "
                f"snapshot that is not older than the feed: `pinlake resnapshot {name} EXPORT`. If the changefeed was "
                f"created with that start-ts and taken up again later, say so: ingest.feed_start: {known}."
            )
            sources.tables[name] = table.hold(known + 1, message)


def _feed_items(sources: Sources, feed: Feed, settings: Ingest) -> None:
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
            sources.held_files.append(file.path)
            continue
        version = _version(known, folder.version, unreadable.get((folder.schema, folder.table), ()))
        spec = _row_spec(folder.schema, folder.table, version, zone, settings) if version else None
        if spec is None:
            _wait(sources, name, folder.schema, folder.table, folder.version, file.path)
            continue
        read = spec if data.extension == "json" else _csv_spec(spec, feed.changefeed)
        task = Task("ticdc", feed.root, file.path, file.size, name, read, bool(spec.masks.columns))
        sources.items.append(Item(file, task))


def _csv_spec(rows: RowSpec, changefeed: Changefeed) -> CsvSpec:
    csv = changefeed.sink.csv
    dialect = Dialect(csv.delimiter, csv.quote, csv.null, changefeed.sink.terminator)
    return CsvSpec(rows, dialect, csv.output_old_value, csv.binary_encoding_method)


def _version(versions: Mapping[int, Version], wanted: int, unreadable: Iterable[int] = ()) -> Version | None:
    """Return the version of that number, else the newest one below it; None where that one cannot be read."""
    lower = [number for number in versions if number <= wanted]
    lost = max((number for number in unreadable if number <= wanted), default=-1)
    return versions[max(lower)] if lower and max(lower) > lost else None


def _row_spec(schema: str, table: str, version: Version, zone: str, settings: Ingest) -> RowSpec | None:
    names = {column.name for column in version.columns}
    if not version.key or not set(version.key) <= names:
        return None
    key = tuple(column.name for column in version.columns if column.name in version.key)
    name = f"{schema}.{table}"
    zone = settings.tables.get(name, TableRules()).timezone or zone
    return RowSpec(schema, table, version.version, version.columns, key, zone, masks_of(settings, name, key))


def _wait(sources: Sources, name: str, schema: str, table: str, version: int, path: str) -> None:
    """Leave a file for later and hold its table: rows are there that cannot be read."""
    sources.held_files.append(path)
    known = sources.tables.get(name) or SourceTable(schema, table)
    reason = (
        f"{name} is held at {version}: no schema file says how {path} is to be read. Restore schema_{version}_*.json."
    )
    sources.tables[name] = known.hold(version, reason)


def _export_items(sources: Sources, export: Export, settings: Ingest, source: str) -> None:
    dialect = dialect_of(export, settings.dump)
    for file, name in export.data:
        create = export.creates.get(name)
        rules = settings.tables.get(".".join(name), TableRules())
        if create is None or rules.exclude:
            continue
        columns = tuple(replace(c, generated=c.generated or c.name in rules.generated) for c in create.columns)
        spec = _row_spec(*name, Version(export.tso, columns, rules.keys or create.key), settings.timezone, settings)
        if spec is None:
            sources.held_files.append(file.path)
            continue
        dump = DumpSpec(spec, export.tso, dialect, format_of(file.path))
        task = Task(source, export.root, file.path, file.size, ".".join(name), dump, bool(spec.masks.columns))
        sources.items.append(Item(file, task))
