"""The life of one source table: its versions, the DDL between them, and how far changes may be applied.

In: the table's schema files and its CREATE TABLE in the snapshot. Out: a `SourceTable`: columns by version for
decoding, the columns silver has, defaults of added columns, and the barrier: the version of the first DDL that a merge
by key cannot follow. Rows from the barrier on are kept in bronze and not applied; the table is held, with the reason.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from jobs.config.ingest import TableRules
from jobs.errors import SourceError
from jobs.ingest.mysql import SourceColumn, implicit_default
from jobs.ingest.schemafile import SchemaFile
from jobs.ingest.versions import Knowledge, Snapshot, Version

# TiDB's action codes that change rows without row events, or break the identity of table or key
_BREAKS = {
    4: "drops the table", 11: "truncates the table", 14: "renames the table", 20: "drops a partition",
    23: "truncates a partition", 25: "brings a table back", 32: "adds a primary key", 33: "drops the primary key",
    42: "exchanges a partition", 47: "renames tables", 62: "turns the cluster back", 63: "brings a schema back",
}  # fmt: skip
_CREATES = {3, 60}
DROP_SCHEMA = 2


@dataclass(frozen=True)
class Added:
    """A column that came later than the table."""

    version: int
    default: str | None


@dataclass(frozen=True)
class SourceTable:
    """Everything a run needs to know of a source table."""

    schema: str
    name: str
    versions: dict[int, Version] = field(default_factory=dict)
    """All versions there is a schema file for, those above the checkpoint too."""
    columns: tuple[SourceColumn, ...] = ()
    """Columns of silver: those of the newest version before the barrier, generated ones left out."""
    key: tuple[str, ...] = ()
    added: dict[str, Added] = field(default_factory=dict)
    snapshot: Snapshot | None = None
    barrier: int | None = None
    """Changes with this commit_ts and later are not applied; None where all are."""
    held: str | None = None

    @property
    def full_name(self) -> str:
        """Return schema.table as TiDB names it."""
        return f"{self.schema}.{self.name}"

    @property
    def silver(self) -> str:
        """Return the name of the silver table."""
        return f"silver.{self.schema}_{self.name}"

    def limit(self, checkpoint: int) -> int:
        """Return the greatest commit_ts that may be applied when the feed is complete up to `checkpoint`."""
        return checkpoint if self.barrier is None else min(checkpoint, self.barrier - 1)

    def exists_at(self, checkpoint: int) -> bool:
        """Return whether the table is there at the checkpoint, and may be shown."""
        begun = min([*self.versions, *([self.snapshot.tso] if self.snapshot else [])], default=None)
        return begun is not None and begun <= self.limit(checkpoint)

    def hold(self, version: int, reason: str) -> "SourceTable":
        """Return the table held from `version` on, unless it is held earlier already."""
        if self.barrier is not None and self.barrier <= version:
            return self
        return replace(self, barrier=version, held=reason)


def trace(
    name: tuple[str, str],
    files: Iterable[SchemaFile],
    snapshot: Snapshot | None,
    rules: TableRules,
    checkpoint: int,
) -> SourceTable:
    """Return the life of one table up to `checkpoint`.

    Args:
        name: schema and table.
        files: its schema files.
        snapshot: the table in the snapshot, None if it is not there.
        rules: what the settings say of the table.
        checkpoint: TSO up to which the feed is complete; DDL above it has not happened yet.
    """
    ordered = sorted(files, key=lambda file: file.version)
    table = SourceTable(*name, snapshot=snapshot)
    known = Knowledge(rules, snapshot)
    for file in ordered:
        table.versions[file.version] = known.version(file)
    first = known.snapshot_version() or next((table.versions[f.version] for f in ordered), None)
    if first is None:
        return table
    table = replace(table, columns=_plain(first.columns), key=first.key)
    begun = snapshot is not None
    for file in ordered:
        # a version at or below the snapshot's TSO describes the table as it was then
        if file.version <= checkpoint and table.barrier is None:
            after_start = snapshot is None or file.version > snapshot.tso
            table = _step(table, file, begun) if after_start else _settle(table, file)
            begun = True
    return table if table.key or table.barrier is not None else _keyless(table, first.version)


def _plain(columns: Iterable[SourceColumn]) -> tuple[SourceColumn, ...]:
    return tuple(column for column in columns if not column.generated)


def _settle(table: SourceTable, file: SchemaFile) -> SourceTable:
    """Take the version's columns for those of the same table in the snapshot; a difference is left to later steps."""
    columns = _plain(table.versions[file.version].columns)
    same = [c.name for c in columns] == [c.name for c in table.columns]
    return replace(table, columns=columns) if same else table


def _step(table: SourceTable, file: SchemaFile, begun: bool) -> SourceTable:
    """Return the table after one schema file: evolved, or held if the DDL cannot be followed."""
    reason = _BREAKS.get(file.action)
    if reason is None and file.action in _CREATES and begun:
        reason = "creates the table anew"
    version = table.versions[file.version]
    columns = _plain(version.columns)
    reason = reason or _difference(table, columns, version.key)
    if reason is not None:
        return table.hold(file.version, _message(table, file, reason))
    old = {column.name for column in table.columns}
    added = dict(table.added)
    for column in columns:
        if column.name not in old:
            if _is_expression(column, file):
                return table.hold(file.version, _message(table, file, f"computes the default of {column.name}"))
            default = column.default if column.default is not None else implicit_default(column)
            added[column.name] = Added(file.version, default)
    return replace(table, columns=columns, key=version.key or table.key, added=added)


def _difference(table: SourceTable, columns: tuple[SourceColumn, ...], key: tuple[str, ...]) -> str | None:
    new = {column.name: column for column in columns}
    if key and table.key and key != table.key:
        return f"changes the key from {', '.join(table.key)} to {', '.join(key)}"
    for old in table.columns:
        now = new.get(old.name)
        if now is None:
            return f"drops or renames column {old.name}"
        if now.spark != old.spark or now.kind != old.kind:
            return f"changes column {old.name} from {old.sql} to {now.sql}"
        if _narrower(old, now):
            return f"narrows column {old.name}"
    return None


def _narrower(old: SourceColumn, now: SourceColumn) -> bool:
    if old.kind in {"text", "binary", "bit"}:
        return (now.length or 0) < (old.length or 0)
    if old.kind in {"enum", "set"}:
        return not set(old.members) <= set(now.members)
    return old.kind in {"datetime", "timestamp", "time"} and (now.scale or 0) < (old.scale or 0)


def _is_expression(column: SourceColumn, file: SchemaFile) -> bool:
    if column.default is None:
        return False
    if column.kind in {"binary", "bit"} or column.default.upper().startswith("CURRENT_TIMESTAMP"):
        return True
    return re.search(rf"{re.escape(column.name)}`?\s[^,]*\bDEFAULT\s*(?:\(|\w+\s*\()", file.query, re.I) is not None


def _message(table: SourceTable, file: SchemaFile, reason: str) -> str:
    ddl = file.query or f"the new schema of version {file.version}"
    return (
        f"{table.full_name} is held at {file.version}: {ddl!r} {reason}, which cannot be followed by merging rows. "
        "Later changes wait in bronze; take a new snapshot of the table."
    )


def _keyless(table: SourceTable, version: int) -> SourceTable:
    return table.hold(
        version,
        f"{table.full_name} is held: it has no primary key and no unique key without nullable columns. "
        f"Name its key columns in conf: ingest.tables.{table.full_name}.keys.",
    )


def broken(table: SourceTable, version: int, error: SourceError) -> SourceTable:
    """Return the table held from a version whose schema file cannot be trusted."""
    return table.hold(version, f"{table.full_name} is held at {version}: {error}")
