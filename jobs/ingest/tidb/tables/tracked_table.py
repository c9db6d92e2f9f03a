"""One table while its DDL is replayed: what each statement makes of its columns, its rows and its partitions."""

from copy import deepcopy
from dataclasses import dataclass, field, replace

from jobs.history.partition_drops import PartitionDrop
from jobs.history.table_lineage import Segment
from jobs.ingest.tidb.ddl.evolution import Column, Statement, UnsupportedDdl, evolved, plain
from jobs.ingest.tidb.ddl.partitions import Layout, altered, dropped_partitions, emptying
from jobs.ingest.tidb.ddl.sql_tokens import TableName
from jobs.ingest.tidb.tables.source_table import SourceTable
from jobs.ingest.tidb.tables.versions import SchemaHistory, Snapshot, Version
from jobs.ingest.tidb.ticdc.schemafile import SchemaFile

TRUNCATES = {11}
# TiDB's action codes that change rows without row events
_EMPTIES = {20: "drops a partition", 23: "truncates a partition"}
_BREAKS = {
    25: "brings a table back", 32: "adds a primary key", 33: "drops the primary key", 42: "exchanges a partition",
    62: "turns the cluster back", 63: "brings a schema back",
}  # fmt: skip


@dataclass
class TrackedTable:
    """A table keeps its identity under any name."""

    knowledge: SchemaHistory
    snapshot: Snapshot | None
    segments: list[Segment]
    layout: Layout | None = None
    """Its partitions; None where it has none, or they cannot be followed."""
    columns: tuple[Column, ...] = ()
    key: tuple[str, ...] = ()
    truncated_at: list[int] = field(default_factory=list)
    dropped_partitions: list[PartitionDrop] = field(default_factory=list)
    blocked_from_ts: int | None = None
    blocked_reason: str | None = None

    def block(self, version: int, reason: str) -> None:
        """Follow the table no further, unless it is not followed already."""
        if self.blocked_from_ts is None:
            self.blocked_from_ts, self.blocked_reason = version, reason

    def begin(self, version: Version) -> None:
        """Take the version's columns for the table's own: there are no older rows."""
        self.columns = tuple(Column.first(column) for column in plain(version.columns))
        self.key = version.key
        self.blocked_from_ts = self.blocked_reason = None

    def settle(self, version: Version) -> None:
        """Take the version's columns for the same ones of the snapshot: it tells sizes that CREATE does not."""
        columns = plain(version.columns)
        if [c.name for c in columns] == [c.name for c in self.columns]:
            self.columns = tuple(Column.first(column) for column in columns)

    def ended(self, version: int) -> "TrackedTable":
        """Return a copy of the table as it was until a statement took its rows away."""
        segments = [*self.segments[:-1], replace(self.segments[-1], end=version)]
        copy = replace(
            self,
            segments=segments,
            truncated_at=list(self.truncated_at),
            dropped_partitions=list(self.dropped_partitions),
        )
        copy.knowledge = deepcopy(self.knowledge)
        return copy

    def resume(self, name: TableName, file: SchemaFile) -> None:
        """Go on, under a name, with a table that had ended: its rows are those from before its end.

        Args:
            name: that it has now.
            file: what brings it back.
        """
        self.segments.append(Segment(".".join(name), file.version, None))
        if file.columns:
            self.evolve(file, self.knowledge.version(file))

    def change(self, file: SchemaFile, version: Version, unfit: str | None = None) -> None:
        """Go through one statement.

        Args:
            file: its schema file.
            version: the columns there are after it.
            unfit: which values of the table do not fit a type that the statement gives, None where all do.
        """
        before, self.layout = self.layout, altered(self.layout, file.query)
        said = emptying(file.query)
        if file.action in TRUNCATES or (said is not None and said.all):
            self.truncated_at.append(file.version)
            self.begin(version)
            return
        if self.blocked_from_ts is not None:
            return
        try:
            if file.action in _BREAKS or (file.action in _EMPTIES and said is None):
                raise UnsupportedDdl((_BREAKS | _EMPTIES)[file.action])
            if said is not None:
                masked = self.knowledge.rules.mask
                self.dropped_partitions.append(
                    dropped_partitions(before, said.names, self.columns, masked, file.version)
                )
            if unfit is not None:
                raise UnsupportedDdl(unfit)
        except UnsupportedDdl as underivable:
            self.block(file.version, message(file, str(underivable)))
            return
        self.evolve(file, version)

    def evolve(self, file: SchemaFile, version: Version) -> None:
        """Take a version's columns for the table's, each for the one that it was before the statement."""
        if self.blocked_from_ts is not None:
            return
        statement = Statement(file.query, file.version, file.action)
        hashed = {name for name, how in self.knowledge.rules.mask.items() if how == "hash"}
        try:
            if version.computes:
                raise UnsupportedDdl(f"computes the STORED column {version.computes} of older rows")
            columns = evolved(self.columns, plain(version.columns), statement, self.key, hashed)
            self._require_same_key(columns, version.key)
            self.columns, self.key = columns, version.key
        except UnsupportedDdl as underivable:
            self.block(file.version, message(file, str(underivable)))

    def _require_same_key(self, columns: tuple[Column, ...], key: tuple[str, ...]) -> None:
        """Raise UnsupportedDdl if rows would have another key than before."""
        before = [column.identity for column in self.columns if column.name in self.key]
        now = [column.identity for column in columns if column.name in key]
        if now == before or not (key or self.key):
            return
        kept = {column.identity for column in columns}
        lost = [column.name for column in self.columns if column.name in self.key and column.identity not in kept]
        dropped = f"drops {', '.join(lost)} of the key and " if lost else ""
        if not key:
            raise UnsupportedDdl(f"{dropped}leaves no key after {', '.join(self.key)}")
        raise UnsupportedDdl(f"{dropped}changes the key from {', '.join(self.key) or 'none'} to {', '.join(key)}")

    def told(self, name: TableName, end: int | None = None) -> SourceTable:
        """Return what a run is to know of the table.

        Args:
            name: its name now, or the last one it had.
            end: commit_ts at which it was dropped; None where it is there.
        """
        told = SourceTable(
            *name,
            columns=self.columns,
            key=self.key,
            segments=tuple(self.segments),
            truncated_at=tuple(self.truncated_at),
            dropped_partitions=tuple(self.dropped_partitions),
            snapshot=self.snapshot,
            blocked_from_ts=self.blocked_from_ts if end is None else None,
            blocked_reason=self.blocked_reason if end is None else None,
            ended=end,
        )
        return told if told.key or end is not None else _keyless(told)


def message(file: SchemaFile, reason: str) -> str:
    """Return what to say of a table that a statement holds."""
    ddl = file.query or f"the new schema of version {file.version}"
    return (
        f"{file.schema}.{file.table} is blocked at {file.version}: {ddl!r} {reason}. What its rows are then cannot be "
        "derived from its changes: later ones wait in bronze; take a new snapshot of the table."
    )


def _keyless(table: SourceTable) -> SourceTable:
    return table.block(
        table.segments[0].start,
        f"{table.full_name} is blocked: it has no primary key and no unique key of whole columns that are NOT NULL and "
        "in rows, as far as its definition is known. "
        f"Name its key columns in conf: ingest.tables.{table.full_name}.keys; or take its inserts as they come: "
        f"ingest.tables.{table.full_name}.keyless: append.",
    )
