"""The state of one table during the replay of DDL: its columns, its rows in the ledger, its partitions."""

from copy import deepcopy
from dataclasses import dataclass, field, replace

from jobs.history.table_lineage import PartitionDrop, Segment
from jobs.ingest.tidb.ddl.evolution import Statement, columns_in_rows, evolve_columns
from jobs.ingest.tidb.ddl.partitions import PartitionLayout, layout_after, partition_drop, partition_removal
from jobs.ingest.tidb.ddl.source_column import Column, UnsupportedDdl
from jobs.ingest.tidb.ddl.sql_tokens import TableName
from jobs.ingest.tidb.tables.schema_history import SchemaHistory, Snapshot, Version
from jobs.ingest.tidb.tables.source_table import SourceTable, blocked_at
from jobs.ingest.tidb.ticdc.schema_files import SchemaFile

TRUNCATES = {11}
# TiDB's action codes that change rows without row events
_EMPTIES = {20: "drops a partition", 23: "truncates a partition"}
_BREAKS = {
    25: "recovers a table that was there",
    32: "adds a primary key", 33: "drops the primary key", 42: "exchanges a partition",
    62: "turns the cluster back (FLASHBACK CLUSTER)", 63: "recovers a database",
}  # fmt: skip


@dataclass
class TrackedTable:
    """A table during the replay; it keeps its identity under any name."""

    schema_history: SchemaHistory
    snapshot: Snapshot | None
    segments: list[Segment]
    layout: PartitionLayout | None = None
    """Its partitions; None where it has none, or they cannot be followed."""
    columns: tuple[Column, ...] = ()
    key: tuple[str, ...] = ()
    truncated_at: list[int] = field(default_factory=list)
    dropped_partitions: list[PartitionDrop] = field(default_factory=list)
    blocked_from_ts: int | None = None
    blocked_reason: str | None = None

    def block(self, version: int, reason: str) -> None:
        """Apply no statement from `version` on; a table that is blocked already keeps its reason."""
        if self.blocked_from_ts is None:
            self.blocked_from_ts, self.blocked_reason = version, reason

    def begin(self, version: Version) -> None:
        """Start with the version's columns: there are no older rows."""
        self.columns = tuple(Column.first(column) for column in columns_in_rows(version.columns))
        self.key = version.key
        self.blocked_from_ts = self.blocked_reason = None

    def settle(self, version: Version) -> None:
        """Replace the snapshot's columns by the same ones of a version: it has sizes that CREATE TABLE lacks."""
        columns = columns_in_rows(version.columns)
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
        copy.schema_history = deepcopy(self.schema_history)
        return copy

    def resume(self, name: TableName, file: SchemaFile) -> None:
        """Continue a recovered table under a name: its rows are those from before it was dropped.

        Args:
            name: that it has now.
            file: what brings it back.
        """
        self.segments.append(Segment(".".join(name), file.version, None))
        if file.columns:
            self.evolve(file, self.schema_history.version(file))

    def change(self, file: SchemaFile, version: Version, unfit: str | None = None) -> None:
        """Apply one statement.

        Args:
            file: its schema file.
            version: the columns there are after it.
            unfit: which values of the table do not fit a type that the statement gives, None where all do.
        """
        before, self.layout = self.layout, layout_after(self.layout, file.query)
        said = partition_removal(file.query)
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
                masked = self.schema_history.rules.mask
                self.dropped_partitions.append(partition_drop(before, said.names, self.columns, masked, file.version))
            if unfit is not None:
                raise UnsupportedDdl(unfit)
        except UnsupportedDdl as unsupported:
            self.block(file.version, message(file, str(unsupported)))
            return
        self.evolve(file, version)

    def evolve(self, file: SchemaFile, version: Version) -> None:
        """Replace the columns by those of a version, each matched with the one it was before the statement."""
        if self.blocked_from_ts is not None:
            return
        statement = Statement(file.query, file.version, file.action)
        hashed = {name for name, how in self.schema_history.rules.mask.items() if how == "hash"}
        try:
            if version.computes:
                raise UnsupportedDdl(f"computes STORED column {version.computes} in older rows, which get no row event")
            columns = evolve_columns(self.columns, columns_in_rows(version.columns), statement, self.key, hashed)
            self._require_same_key(columns, version.key)
            self.columns, self.key = columns, version.key
        except UnsupportedDdl as unsupported:
            self.block(file.version, message(file, str(unsupported)))

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

    def to_source_table(self, name: TableName, end: int | None = None) -> SourceTable:
        """Return the table as a run sees it.

        Args:
            name: its name now, or the last one it had.
            end: commit_ts at which it was dropped; None where it is there.
        """
        table = SourceTable(
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
        return table if table.key or end is not None else _keyless(table)


def message(file: SchemaFile, reason: str) -> str:
    """Return the message for a table that a statement blocks."""
    ddl = file.query or f"the new schema of version {file.version}"
    name = f"{file.schema}.{file.table}"
    return blocked_at(
        name,
        file.version,
        f"{ddl!r} {reason}. The rows after it cannot be derived from the changes in bronze; later changes wait there. "
        f"Next: take a new snapshot of the table, `pinlake resnapshot {name} EXPORT`.",
    )


def _keyless(table: SourceTable) -> SourceTable:
    return table.block(
        table.segments[0].start,
        f"{table.full_name} is blocked: it has no primary key and no unique key of whole columns that are NOT NULL and "
        "in rows, as far as its definition is known. "
        f"Name its key columns in conf: ingest.tables.{table.full_name}.keys; or take its inserts as they come: "
        f"ingest.tables.{table.full_name}.keyless: append.",
    )
