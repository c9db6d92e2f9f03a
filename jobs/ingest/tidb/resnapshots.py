"""Later snapshots of single tables: a table that was blocked, or differs from its source, begins again with one.

Kept in ops.snapshots. A snapshot at TSO S holds every commit up to S: from then on a table's rows are those of the
snapshot and the changes after S. Rows of before stay in bronze; a cut before S is still told from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from jobs.common.errors import ConfigError, SourceError
from jobs.engine.context import ActionContext
from jobs.ingest.tidb.ddl.create_table import parse_create
from jobs.ingest.tidb.ddl.sql_tokens import TableName
from jobs.ingest.tidb.dumpling.export import Export, create_text, read_export
from jobs.ingest.tidb.tables.schema_history import Snapshot
from jobs.ingest.tidb.tables.table_names import Past
from jobs.lake.delta import Lake
from jobs.schema.ops import SNAPSHOTS

BEGUN, LOADED = "begun", "loaded"


@dataclass(frozen=True)
class Resnapshot:
    """A later snapshot of one table."""

    table: TableName
    tso: int
    root: str
    create: str
    """Its CREATE TABLE."""
    status: str = BEGUN

    @property
    def full_name(self) -> str:
        """Return schema.table."""
        return ".".join(self.table)

    @property
    def source(self) -> str:
        """Return what its files are called in the manifest: paths below it may be those of the first export."""
        return f"dumpling@{self.tso}"

    @property
    def snapshot(self) -> Snapshot:
        """Return when it was taken and of which columns."""
        return Snapshot(self.tso, parse_create(self.create, f"{self.root}, {self.full_name}"))

    def export(self) -> Export | None:
        """Return its files, None where all of them are in bronze.

        Raises:
            SourceError: they are not, and the folder is gone.
        """
        if self.status == LOADED:
            return None
        found = read_export(self.root, self.tso, lambda name: name != self.table)
        return replace(found, unknown={})


def resnapshots(lake: Lake) -> dict[TableName, Resnapshot]:
    """Return the newest later snapshot of each table that has one."""
    rows = lake.rows(SNAPSHOTS.name, "table", "tso", "root", "create", "status", "at")  # bounded: two rows a snapshot
    found = {}
    for row in sorted(rows, key=lambda row: (row["at"], row["status"] == LOADED)):
        schema, _, table = row["table"].partition(".")
        found[schema, table] = Resnapshot((schema, table), row["tso"], row["root"], row["create"], row["status"])
    return found


def begin(work: ActionContext, past: Past, full_name: str, root: str) -> None:
    """Note that a table is to start over with the export at `root`.

    Raises:
        ConfigError: the name is not schema.table.
        SourceError: the export does not hold the table, or is not newer than what the table began with.
    """
    schema, dot, table = full_name.partition(".")
    if not (schema and dot and table):
        raise ConfigError(f"A table is named schema.table, such as app.pins, got {full_name!r}.")
    export = read_export(root, work.options.get("snapshot_ts"))
    if (schema, table) in export.blocked:
        raise SourceError(f"{root}: {export.blocked[schema, table]}")
    if (schema, table) not in export.creates:
        held = ", ".join(sorted(".".join(name) for name in export.creates)) or "no table"
        raise SourceError(f"{root}: the export does not hold {full_name}, it holds {held}.")
    before = resnapshots(work.lake).get((schema, table))
    begun = past.get(full_name)
    start = max(before.tso if before else 0, begun.start_ts or 0 if begun else 0)
    if export.tso < start:
        raise SourceError(
            f"{root}: the export was taken at {export.tso}, {full_name} began with a snapshot at {start}. "
            "Take a new one: dumpling --filetype csv -T " + full_name + "."
        )
    _note(work, Resnapshot((schema, table), export.tso, root, create_text(export, (schema, table))))


def loaded(work: ActionContext, some: Mapping[TableName, Resnapshot]) -> None:
    """Note that all rows of snapshots are in bronze: their folders are not needed any more."""
    for resnapshot in some.values():
        if resnapshot.status != LOADED:
            _note(work, replace(resnapshot, status=LOADED))


def _note(work: ActionContext, resnapshot: Resnapshot) -> None:
    row = {"table": resnapshot.full_name, "tso": resnapshot.tso, "root": resnapshot.root, "create": resnapshot.create}
    now = datetime.now(UTC)
    work.lake.append_rows(SNAPSHOTS.name, [row | {"status": resnapshot.status, "run_id": work.run_id, "at": now}])
