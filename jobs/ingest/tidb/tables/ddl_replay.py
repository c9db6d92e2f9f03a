"""Replays the DDL of a feed: the names of each source table over time, truncations, columns, and where it is blocked.

In: all schema files of a feed in the order of their versions, and the tables of the snapshot. Out: a `SourceTable` for
each table there is at the checkpoint, and for each that is gone by then. The rows of a table are described in terms
of the ledger: the names they were written under by span of commit_ts, and the truncation after which they count.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import itemgetter

from jobs.history.table_lineage import Segment
from jobs.ingest.tidb.ddl.alter_table import renamed_tables
from jobs.ingest.tidb.ddl.create_table import table_definition
from jobs.ingest.tidb.ddl.partitions import parse_layout
from jobs.ingest.tidb.ddl.sql_tokens import TableName
from jobs.ingest.tidb.tables.flashback import (
    DROPPED,
    TRUNCATED,
    WITH_DATABASE,
    AmbiguousRecovery,
    DroppedTable,
    find_dropped,
    find_dropped_database,
    recovered_database,
    recovered_table,
    require_known_rows,
)
from jobs.ingest.tidb.tables.row_layouts import RowLayouts
from jobs.ingest.tidb.tables.schema_history import SchemaHistory, Snapshot, Version
from jobs.ingest.tidb.tables.source_table import SourceTable, blocked_at
from jobs.ingest.tidb.tables.tracked_table import TRUNCATES, TrackedTable, message
from jobs.ingest.tidb.ticdc.schema_files import SchemaFile
from jobs.settings.ingest import TableRules

CREATES, DROPS, RENAMES, DROP_SCHEMA = {3, 60}, {4}, {14, 47}, 2
RECOVERS, FLASHES_CLUSTER, FLASHES_SCHEMA = {25, 63}, 62, 63


class DdlReplay:
    """Replays DDL. `tables` is the state so far, by name; `gone` are tables that were dropped."""

    def __init__(
        self,
        snapshots: Mapping[TableName, Snapshot],
        rules: Callable[[TableName], TableRules],
        unfit: Mapping[tuple[TableName, int], str] | None = None,
        shapes: RowLayouts | None = None,
    ) -> None:
        """Begin with the tables of the snapshot.

        Args:
            snapshots: those that the feed continues.
            rules: what a table needs.
            unfit: values that do not fit the type that a statement gives, by table and version of the statement.
            shapes: what rows of each version carry.
        """
        self.rules, self.unfit, self.shapes = rules, unfit or {}, shapes
        self.tables: dict[TableName, TrackedTable] = {}
        self.gone: list[DroppedTable] = []
        self.dropped: dict[str, list[int]] = {}
        """Versions at which databases were dropped."""
        self.doubtful: dict[str | None, tuple[int, str]] = {}
        """Databases, None for all, of which unknown tables were recovered; since when, and the statement."""
        self.whole = bool(snapshots)
        """Whether tables from before the feed are in a snapshot."""
        self.versions: dict[TableName, dict[int, Version]] = {}
        self.lost: dict[TableName, tuple[int, str]] = {}
        """Tables that are not there yet, and the statement about them that cannot be read."""
        for name, snapshot in snapshots.items():
            table = self._new(name, 0, snapshot)
            first = table.schema_history.snapshot_version()
            if first is not None:
                table.begin(first)

    def replay(
        self,
        files: Iterable[SchemaFile],
        checkpoint: int,
        later: Mapping[TableName, Snapshot] | None = None,
        broken: Iterable[tuple[TableName, int, str]] = (),
    ) -> dict[str, SourceTable]:
        """Go through all DDL; return the tables as of the checkpoint, by full name and for those gone by `name@end`.

        Versions above the checkpoint are learnt too: rows above it are decoded, and wait.

        Args:
            files: all schema files.
            checkpoint: commit_ts that the feed is complete up to.
            later: snapshots that were taken of single tables since.
            broken: tables, versions of schema files that cannot be trusted, and what is wrong with them.
        """
        ordered = sorted(files, key=lambda file: (file.version, file.table, not file.query))
        steps = [
            (version, partial(self._step, version, list(group)))
            for version, group in groupby(ordered, key=lambda file: file.version)
        ]
        steps += [(snapshot.tso, partial(self._resnapshot, name, snapshot)) for name, snapshot in (later or {}).items()]
        # before other statements of the same version: this one is not known
        steps = [(at, partial(self._lose, name, at, why)) for name, at, why in broken] + steps
        found: dict[str, SourceTable] | None = None
        for at, step in sorted(steps, key=itemgetter(0)):
            if at > checkpoint and found is None:
                found = self._seen()
            step()
        found = self._seen() if found is None else found
        return {key: replace(t, versions=self.versions.get((t.schema, t.name), {})) for key, t in found.items()}

    def _new(self, name: TableName, version: int, snapshot: Snapshot | None = None) -> TrackedTable:
        segment = Segment(".".join(name), version, None)
        layout = snapshot.create.layout if snapshot else None
        table = TrackedTable(SchemaHistory(self.rules(name), snapshot), snapshot, [segment], layout)
        self.tables[name] = table
        return table

    def _lose(self, name: TableName, version: int, why: str) -> None:
        """Block a table, known or not, at a statement that cannot be read."""
        if name not in self.tables:
            self.lost[name] = version, why
        elif self._follows(name, version):
            self.tables[name].block(version, blocked_at(".".join(name), version, why))

    def _resnapshot(self, name: TableName, snapshot: Snapshot) -> None:
        """Restart a table with a later snapshot: nothing before it counts, nor why the table was blocked."""
        table = self.tables.get(name) or self._new(name, snapshot.tso)
        table.schema_history = SchemaHistory(self.rules(name), snapshot)
        table.snapshot, table.layout = snapshot, snapshot.create.layout
        table.truncated_at.append(snapshot.tso)
        version = table.schema_history.snapshot_version()
        if version is not None:
            table.begin(version)
            older = [known for number, known in self.versions.get(name, {}).items() if number <= snapshot.tso]
            for known in older[-1:]:
                table.settle(known)

    def _step(self, version: int, files: list[SchemaFile]) -> None:
        self._rename(version, files)
        for file in files:
            if file.action == FLASHES_CLUSTER:
                self._doubt(None, file, "turns the cluster back")
            elif not file.table and file.action == DROP_SCHEMA:
                self.dropped.setdefault(file.schema, []).append(version)
                for name in [name for name in self.tables if name[0] == file.schema]:
                    self._end(name, version, WITH_DATABASE)
            elif not file.table and file.action == FLASHES_SCHEMA:
                self._recover_database(file)
        said: set[TableName] = set()
        for file in files:
            if file.table and file.action != FLASHES_CLUSTER and not (file.query and (file.schema, file.table) in said):
                self._one(file)
                # where tables have ids for paths, a statement may stand below several of them
                said |= {(file.schema, file.table)} if file.query else set()

    def _recover_database(self, file: SchemaFile) -> None:
        """Continue the tables that were dropped with a database."""
        old, new = recovered_database(file.query, file.schema)
        try:
            back = find_dropped_database(self.gone, old, self.dropped.get(old, ()), file.version)
        except AmbiguousRecovery as ambiguous:
            self._doubt(new, file, str(ambiguous))
            return
        for one in back:
            mine = replace(file, schema=new, table=one.name[1], columns=())
            if (new, one.name[1]) in self.tables:
                self._hold_unknown(mine, "recovers a table that exists already")
                continue
            try:
                require_known_rows(one, self.whole)
                self._resume(one, mine)
            except AmbiguousRecovery as ambiguous:
                self._hold_unknown(mine, str(ambiguous))

    def _doubt(self, schema: str | None, file: SchemaFile, why: str) -> None:
        """Hold all tables of a database, or all there are, and those that turn up in it without a CREATE."""
        self.doubtful[schema] = file.version, f"{file.query!r} {why}"
        for name in [name for name in self.tables if schema in {None, name[0]}]:
            if self._follows(name, file.version):
                told = replace(file, schema=name[0], table=name[1])
                self.tables[name].block(file.version, message(told, why))

    def _recover(self, file: SchemaFile) -> None:
        """Continue the table that a statement recovers; block it where that is ambiguous."""
        name = (file.schema, file.table)
        with_database = file.action == FLASHES_SCHEMA
        said = recovered_table(file.query, file.schema)
        if with_database:
            said = recovered_database(file.query, file.schema)[0], file.table
        try:
            one = find_dropped(self.gone, said or name, file.version, said is not None, with_database)
            lost = [self.lost[n] for n in {name, one.name} if n in self.lost and self.lost[n][0] > one.version]
            if lost:
                raise AmbiguousRecovery(f"recovers a table after a statement that cannot be read ({lost[0][1]})")
            require_known_rows(one, self.whole)
            self._resume(one, file)
        except AmbiguousRecovery as ambiguous:
            self._hold_unknown(file, str(ambiguous))

    def _hold_unknown(self, file: SchemaFile, why: str) -> None:
        """Hold a table from a statement on, of whose rows from before it nothing is known."""
        name = (file.schema, file.table)
        if name not in self.tables:
            table = self._new(name, file.version)
            version = table.schema_history.version(file)
            self.versions.setdefault(name, {})[file.version] = version
            table.begin(version)
        if self._follows(name, file.version):
            self.tables[name].block(file.version, message(file, why))

    def _resume(self, one: DroppedTable, file: SchemaFile) -> None:
        """Continue a table that was dropped."""
        name = (file.schema, file.table)
        one.back = True
        table = one.table.ended(one.version)
        table.resume(name, file)
        self.tables[name] = table
        now = tuple(column.now for column in table.columns)
        version = table.schema_history.version(file) if file.columns else Version(file.version, now, table.key)
        self.versions.setdefault(name, {})[file.version] = version

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

    def _end(self, name: TableName, version: int, how: str = DROPPED) -> None:
        if not self._follows(name, version):
            return
        self.gone.append(DroppedTable(name, version, self.tables.pop(name).ended(version), how))

    def _one(self, file: SchemaFile) -> None:
        name = (file.schema, file.table)
        if file.action in CREATES and self._follows(name, file.version):
            self._end(name, file.version)
        fresh, model = name not in self.tables, self._model(file)
        if fresh and file.action in DROPS:
            self.lost.pop(name, None)
            return
        if fresh and file.action in RECOVERS:
            self._recover(file)
            return
        # a table that was there before the feed has its first file at the feed's start, and rows from before
        start = file.version if file.action in CREATES or name in self.versions else 0
        table = self.tables[name] if not fresh else self._new(name, start)
        version = table.schema_history.version(file, self.shapes, model.schema_history if model is not None else None)
        self.versions.setdefault(name, {})[file.version] = version
        if file.action in DROPS:
            self._end(name, file.version)
        elif fresh:
            self._first(table, file, version)
            table.layout = model.layout if model is not None else table.layout
        elif file.action in RECOVERS and table.segments[-1].start == file.version:
            table.evolve(file, version)  # its database has brought it back
        elif self._follows(name, file.version):
            if file.action in TRUNCATES:
                self.gone.append(DroppedTable(name, file.version, table.ended(file.version), TRUNCATED))
            table.change(file, version, self.unfit.get((name, file.version)))
        else:
            table.settle(version)
        if version.fault and self._follows(name, file.version):
            where = f"ingest.tables.{'.'.join(name)}.generated"
            table.block(file.version, blocked_at(".".join(name), file.version, f"{version.fault}: {where}."))

    def _model(self, file: SchemaFile) -> TrackedTable | None:
        """Return the table that a CREATE TABLE LIKE names, as it is at that time."""
        made = table_definition(file.query, file.schema)
        if made is None or made.like is None:
            return None
        same = [table for (_, name), table in self.tables.items() if name == made.like[1]]
        # a name without its schema is of the session's database, which is not in the feed
        return self.tables.get(made.like) or (same[0] if len(same) == 1 else None)

    def _first(self, table: TrackedTable, file: SchemaFile, version: Version) -> None:
        table.begin(version)
        table.layout = parse_layout(file.query)
        lost = self.lost.pop((file.schema, file.table), None)
        if lost is not None and file.action not in CREATES:
            table.block(lost[0], blocked_at(f"{file.schema}.{file.table}", *lost))
        if file.action in RENAMES:
            table.block(file.version, message(file, "renames a table that the feed does not know"))
        for schema in (None, file.schema):
            if schema in self.doubtful and file.action not in CREATES:
                at, why = self.doubtful[schema]
                why = f"{why}. Take a new snapshot of the table."
                table.block(at, blocked_at(f"{file.schema}.{file.table}", at, why))

    def _seen(self) -> dict[str, SourceTable]:
        found = {".".join(name): SourceTable(*name).block(at, blocked_at(".".join(name), at, why))
                 for name, (at, why) in self.lost.items()}  # fmt: skip
        found |= {".".join(name): table.to_source_table(name) for name, table in self.tables.items()}
        ended = [one for one in self.gone if one.how != TRUNCATED and not one.back]
        return found | {
            f"{'.'.join(one.name)}@{one.version}": one.table.to_source_table(one.name, one.version) for one in ended
        }


def _net(pairs: Iterable[tuple[TableName, TableName]]) -> list[tuple[TableName, TableName]]:
    """Return the old and the final name of each table: a statement may swap names by way of a third."""
    net: dict[TableName, TableName] = {}
    for old, new in pairs:
        origin = next((start for start, end in net.items() if end == old), old)
        net[origin] = new
    return list(net.items())
