"""One source table in a run: its columns, key, lineage in the ledger, and up to where changes may be applied."""

from dataclasses import dataclass, field, replace

from jobs.history.table_lineage import PartitionDrop, Segment, TableLineage
from jobs.ingest.tidb.ddl.source_column import Column
from jobs.ingest.tidb.rows.masks import Masks
from jobs.ingest.tidb.tables.schema_history import Snapshot, Version
from jobs.schema.names import silver_columns, silver_table


@dataclass(frozen=True)
class SourceTable:
    """Everything a run needs to know of a source table."""

    schema: str
    name: str
    versions: dict[int, Version] = field(default_factory=dict)
    """All versions there is a schema file for under this name, those above the checkpoint too."""
    columns: tuple[Column, ...] = ()
    """Columns of silver: those of the newest version before `blocked_from_ts`, generated ones left out."""
    key: tuple[str, ...] = ()
    segments: tuple[Segment, ...] = ()
    truncated_at: tuple[int, ...] = ()
    dropped_partitions: tuple[PartitionDrop, ...] = ()
    snapshot: Snapshot | None = None
    blocked_from_ts: int | None = None
    """Changes with this commit_ts and later are not applied; None where all are."""
    blocked_reason: str | None = None
    lacks_silver: bool = False
    """Whether it is blocked because the silver table of its name is another's."""
    open_from: int | None = None
    """commit_ts from which a file that is awaited may hold changes: they are not known to be complete from there on."""
    ended: int | None = None
    """commit_ts at which it was dropped; None: it is there."""

    @property
    def full_name(self) -> str:
        """Return schema.table as TiDB names it."""
        return f"{self.schema}.{self.name}"

    @property
    def silver(self) -> str:
        """Return the name of the silver table."""
        return silver_table(self.full_name)

    @property
    def silver_columns(self) -> dict[str, str]:
        """Return the name in silver of each column, by its name at the source."""
        return silver_columns(column.name for column in self.columns)

    @property
    def silver_key(self) -> tuple[str, ...]:
        """Return the key's columns as silver names them."""
        names = self.silver_columns
        return tuple(names.get(name, name) for name in self.key)

    @property
    def lineage(self) -> TableLineage:
        """Return which rows of the ledger are the table's."""
        return TableLineage(self.segments, self.truncated_at, self.dropped_partitions)

    def limit(self, checkpoint: int) -> int:
        """Return the greatest commit_ts that may be applied when the feed is complete up to `checkpoint`."""
        return checkpoint if self.blocked_from_ts is None else min(checkpoint, self.blocked_from_ts - 1)

    def complete_to(self, limit: int) -> int:
        """Return the commit_ts up to which no change is missing when changes up to `limit` were applied."""
        return limit if self.open_from is None else min(limit, self.open_from - 1)

    def exists_at(self, checkpoint: int) -> bool:
        """Return whether the table is there at the checkpoint, and may be shown."""
        begun = self.snapshot.tso if self.snapshot else self.segments[0].start if self.segments else None
        return self.ended is None and begun is not None and begun <= self.limit(checkpoint)

    def block(self, version: int, reason: str) -> "SourceTable":
        """Return the table blocked from `version` on, unless it is blocked earlier already."""
        if self.blocked_from_ts is not None and self.blocked_from_ts <= version:
            return self
        return replace(self, blocked_from_ts=version, blocked_reason=reason)


def blocked_at(table: str, commit_ts: int, reason: str) -> str:
    """Return why a table is blocked, as ops.checkpoints and `pinlake ingest --status` show it."""
    return f"{table} is blocked at {commit_ts}: {reason}"


def table_named(full_name: str) -> SourceTable:
    """Return a table of which only schema.table is known."""
    schema, _, table = full_name.partition(".")
    return SourceTable(schema, table)


def masked_table(table: SourceTable, masks: Masks) -> SourceTable:
    """Return a table whose hashed columns are text."""
    if "hash" not in masks.columns.values():
        return table
    return replace(table, columns=tuple(_covered(column, masks) for column in table.columns))


def _covered(column: Column, masks: Masks) -> Column:
    if masks.columns.get(column.name) != "hash":
        return column
    now = replace(column.now, type="CHAR", unsigned=False, length=64, scale=None, members=())
    default = None if column.default is None else masks.digest(column.default)
    return replace(column, now=now, default=default, casts=())
