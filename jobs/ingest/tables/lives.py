"""The life of every source table: its names one after another, truncations, columns, and how far it can be followed.

In: all schema files of a feed in the order of their versions, and the tables of the snapshot. Out: a `SourceTable` for
each table there is at the checkpoint, and for each that is gone by then. What a table's rows are is said in terms of
the ledger: which names they were written under in which span of commit_ts, and after which truncation.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from operator import itemgetter

from jobs.config.ingest import TableRules
from jobs.ingest.tables.alter import TableName, alterations, renamed_tables
from jobs.ingest.tables.evolution import Column, Underivable, evolved, plain
from jobs.ingest.tables.history import SourceTable
from jobs.ingest.tables.versions import Knowledge, Snapshot, Version
from jobs.ingest.ticdc.schemafile import SchemaFile
from jobs.lake.life import Segment

CREATES, DROPS, TRUNCATES, RENAMES, DROP_SCHEMA = {3, 60}, {4}, {11}, {14, 47}, 2
# TiDB's action codes that change rows without row events
_BREAKS = {
    20: "drops a partition", 23: "truncates a partition", 25: "brings a table back", 32: "adds a primary key",
    33: "drops the primary key", 42: "exchanges a partition", 62: "turns the cluster back", 63: "brings a schema back",
}  # fmt: skip


@dataclass
class _Table:
    """One table while its DDL is replayed. It keeps its identity under any name."""

    knowledge: Knowledge
    snapshot: Snapshot | None
    segments: list[Segment]
    columns: tuple[Column, ...] = ()
    key: tuple[str, ...] = ()
    floors: list[int] = field(default_factory=list)
    barrier: int | None = None
    held: str | None = None

    def hold(self, version: int, message: str) -> None:
        """Follow the table no further, unless it is not followed already."""
        if self.barrier is None:
            self.barrier, self.held = version, message

    def begin(self, version: Version) -> None:
        """Take the version's columns for the table's own: there are no older rows."""
        self.columns = tuple(Column.first(column) for column in plain(version.columns))
        self.key = version.key
        self.barrier = self.held = None


class Lives:
    """Replays DDL. `tables` is the state so far, by name; `gone` are tables that have ended, by name and version."""

    def __init__(self, snapshots: Mapping[TableName, Snapshot], rules: Callable[[TableName], TableRules]) -> None:
        self.rules = rules
        self.tables: dict[TableName, _Table] = {}
        self.gone: list[tuple[TableName, int, _Table]] = []
        self.versions: dict[TableName, dict[int, Version]] = {}
        for name, snapshot in snapshots.items():
            table = self._new(name, 0, snapshot)
            first = table.knowledge.snapshot_version()
            if first is not None:
                table.begin(first)

    def replay(
        self, files: Iterable[SchemaFile], checkpoint: int, later: Mapping[TableName, Snapshot] | None = None
    ) -> dict[str, SourceTable]:
        """Go through all DDL; return the tables as of the checkpoint, by full name and for those gone by `name@end`.

        Versions above the checkpoint are learnt too: rows above it are decoded, and wait.

        Args:
            files: all schema files.
            checkpoint: commit_ts that the feed is complete up to.
            later: snapshots that were taken of single tables since.
        """
        ordered = sorted(files, key=lambda file: (file.version, file.table, not file.query))
        steps = [
            (version, partial(self._step, version, list(group)))
            for version, group in groupby(ordered, key=lambda file: file.version)
        ]
        steps += [(snapshot.tso, partial(self._retake, name, snapshot)) for name, snapshot in (later or {}).items()]
        found: dict[str, SourceTable] | None = None
        for at, step in sorted(steps, key=itemgetter(0)):
            if at > checkpoint and found is None:
                found = self._seen()
            step()
        found = self._seen() if found is None else found
        return {key: replace(t, versions=self.versions.get((t.schema, t.name), {})) for key, t in found.items()}

    def _new(self, name: TableName, version: int, snapshot: Snapshot | None = None) -> _Table:
        segment = Segment(".".join(name), version, None)
        table = _Table(Knowledge(self.rules(name), snapshot), snapshot, [segment])
        self.tables[name] = table
        return table

    def _retake(self, name: TableName, snapshot: Snapshot) -> None:
        """Begin a table anew with a later snapshot: nothing before it counts, nor what the table was held for."""
        table = self.tables.get(name) or self._new(name, snapshot.tso)
        table.knowledge = Knowledge(self.rules(name), snapshot)
        table.snapshot = snapshot
        table.floors.append(snapshot.tso)
        version = table.knowledge.snapshot_version()
        if version is not None:
            table.begin(version)
            older = [known for number, known in self.versions.get(name, {}).items() if number <= snapshot.tso]
            for known in older[-1:]:
                _settle(table, known)

    def _step(self, version: int, files: list[SchemaFile]) -> None:
        self._rename(version, files)
        for file in files:
            if file.table:
                self._one(file)
            elif file.action == DROP_SCHEMA:
                for name in [name for name in self.tables if name[0] == file.schema]:
                    self._end(name, version)

    def _rename(self, version: int, files: list[SchemaFile]) -> None:
        """Move all tables that one statement renames at once: names may be swapped."""
        said = {file.query: file for file in files if file.action in RENAMES}
        moves = {old: new for file in said.values() for old, new in _net(renamed_tables(file.query, file.schema))}
        taken = {new: self.tables.pop(old) for old, new in moves.items() if self._follows(old, version)}
        for new, table in taken.items():
            last = table.segments[-1]
            table.segments[-1] = replace(last, end=version)
            table.segments.append(Segment(".".join(new), version, None))
            self.tables[new] = table

    def _follows(self, name: TableName, version: int) -> bool:
        """Return whether a statement at `version` is news of the table: the snapshot has those before it."""
        table = self.tables.get(name)
        return table is not None and (table.snapshot is None or version > table.snapshot.tso)

    def _end(self, name: TableName, version: int) -> None:
        if not self._follows(name, version):
            return
        table = self.tables.pop(name)
        table.segments[-1] = replace(table.segments[-1], end=version)
        self.gone.append((name, version, table))

    def _one(self, file: SchemaFile) -> None:
        name = (file.schema, file.table)
        if file.action in CREATES and self._follows(name, file.version):
            self._end(name, file.version)
        fresh = name not in self.tables
        if fresh and file.action in DROPS:
            return
        # a table that was there before the feed has its first file at the feed's start, and rows from before
        start = file.version if file.action in CREATES or name in self.versions else 0
        table = self.tables[name] if not fresh else self._new(name, start)
        table.knowledge.rename(alterations(file.query).renames, file.columns)
        version = table.knowledge.version(file)
        self.versions.setdefault(name, {})[file.version] = version
        if file.action in DROPS:
            self._end(name, file.version)
        elif fresh:
            self._first(table, file, version)
        elif self._follows(name, file.version):
            self._change(table, file, version)
        else:
            _settle(table, version)

    def _first(self, table: _Table, file: SchemaFile, version: Version) -> None:
        table.begin(version)
        if file.action in RENAMES:
            message = _message(file, "renames a table that the feed does not know")
            table.hold(file.version, message)

    def _change(self, table: _Table, file: SchemaFile, version: Version) -> None:
        if file.action in TRUNCATES:
            table.floors.append(file.version)
            table.begin(version)
            return
        if table.barrier is not None:
            return
        reason = _BREAKS.get(file.action)
        if reason is None:
            try:
                columns = evolved(table.columns, plain(version.columns), file.query, file.version)
                _require_same_key(table, columns, version.key)
                table.columns, table.key = columns, version.key or table.key
            except Underivable as underivable:
                reason = str(underivable)
        if reason is not None:
            table.hold(file.version, _message(file, reason))

    def _seen(self) -> dict[str, SourceTable]:
        found = {".".join(name): _told(name, table, None) for name, table in self.tables.items()}
        return found | {f"{'.'.join(name)}@{end}": _told(name, table, end) for name, end, table in self.gone}


def _net(pairs: Iterable[tuple[TableName, TableName]]) -> list[tuple[TableName, TableName]]:
    """Return from where to where tables went in the end: a statement may swap names by way of a third."""
    net: dict[TableName, TableName] = {}
    for old, new in pairs:
        origin = next((start for start, end in net.items() if end == old), old)
        net[origin] = new
    return list(net.items())


def _told(name: TableName, table: _Table, end: int | None) -> SourceTable:
    told = SourceTable(
        *name,
        columns=table.columns,
        key=table.key,
        segments=tuple(table.segments),
        floors=tuple(table.floors),
        snapshot=table.snapshot,
        barrier=table.barrier if end is None else None,
        held=table.held if end is None else None,
        ended=end,
    )
    return told if told.key or told.barrier is not None or end is not None else _keyless(told)


def _settle(table: _Table, version: Version) -> None:
    """Take the version's columns for those of the same table in the snapshot: it tells sizes that CREATE does not."""
    columns = plain(version.columns)
    if [c.name for c in columns] == [c.name for c in table.columns]:
        table.columns = tuple(Column.first(column) for column in columns)


def _require_same_key(table: _Table, columns: tuple[Column, ...], key: tuple[str, ...]) -> None:
    """Raise Underivable if rows would have another key than before: then they cannot be told apart from older ones."""
    before = [column.identity for column in table.columns if column.name in table.key]
    now = [column.identity for column in columns if column.name in key]
    if key and now != before:
        raise Underivable(f"changes the key from {', '.join(table.key)} to {', '.join(key)}")


def _message(file: SchemaFile, reason: str) -> str:
    ddl = file.query or f"the new schema of version {file.version}"
    return (
        f"{file.schema}.{file.table} is held at {file.version}: {ddl!r} {reason}, which cannot be derived from its "
        "changes. Later ones wait in bronze; take a new snapshot of the table."
    )


def _keyless(table: SourceTable) -> SourceTable:
    return table.hold(
        table.segments[0].start,
        f"{table.full_name} is held: it has no primary key and no unique key without nullable columns. "
        f"Name its key columns in conf: ingest.tables.{table.full_name}.keys.",
    )
