"""The columns and key of each version of a table, combined from schema files, statements, snapshot and rows.

Schema files leave things out: the classic writer the members of ENUM and SET, both writers the unique keys and which
columns are generated. Statements define them, from the CREATE TABLE of the snapshot or the feed on; CREATE TABLE LIKE
takes them from its model. Where no definition is known, or rows contradict it, the rows decide.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from jobs.ingest.tidb.ddl.alter_table import column_changes, definition_changes
from jobs.ingest.tidb.ddl.create_table import (
    ColumnDefinition,
    CreateTable,
    Generation,
    TableDefinition,
    table_definition,
)
from jobs.ingest.tidb.ddl.indexes import ROW_ID, ROW_ID_COLUMN, Index, identifying_key, primary_key, with_default_name
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.tables.row_layouts import RowLayouts, virtual_columns
from jobs.ingest.tidb.ticdc.schema_files import SchemaFile
from jobs.settings.ingest import TableRules

_HIDDEN = "_v$_"
"""How TiDB names the virtual column behind an expression of an index."""


@dataclass(frozen=True)
class Snapshot:
    """A table in the snapshot."""

    tso: int
    create: CreateTable


@dataclass(frozen=True)
class Version:
    """What rows of one version look like."""

    version: int
    columns: tuple[SourceColumn, ...]
    key: tuple[str, ...]
    fault: str = ""
    """Why its rows cannot be read; empty where they can."""
    computes: str = ""
    """STORED generated columns that its statement adds or computes otherwise: older rows change without row events."""


class SchemaHistory:
    """Facts of a table that schema files lack: ENUM members, generated columns, indexes."""

    def __init__(self, rules: TableRules, snapshot: Snapshot | None) -> None:
        self.rules = rules
        self.members: dict[str, tuple[str, ...]] = {}
        self.generated: dict[str, Generation] = {}
        self.indexes: list[Index] = []
        self.key: tuple[str, ...] = ()
        self.names: tuple[str, ...] = ()
        """Columns of the newest version, in lower case."""
        self.known = snapshot is not None
        """Whether the table's whole definition is known: which columns are generated, and its indexes."""
        self.keys = tuple(name.lower() for name in rules.keys)
        self.told = {name.lower() for name in rules.generated}
        """Keys and generated columns that conf names; they follow their columns through renames."""
        self.computes: list[str] = []
        self.learnt: set[tuple[int, str]] = set()
        """Statements gone through: one may stand in two schema files."""
        self.snapshot = snapshot
        self.before: SchemaHistory | None = None
        """Of the time before the snapshot, which has later definitions."""
        if snapshot is not None:
            create = snapshot.create
            self.members = {column.name.lower(): column.members for column in create.columns if column.members}
            self.generated = {c.name.lower(): Generation(c.stored, c.expression) for c in create.columns if c.generated}
            self.indexes = list(create.indexes)
            self.names = tuple(column.name.lower() for column in create.columns)
            self.key = self._key(self._told(create.columns), primary_key(create.indexes, create.columns))

    def snapshot_version(self) -> Version | None:
        """Return the version that rows of the snapshot have."""
        if self.snapshot is None:
            return None
        return Version(self.snapshot.tso, self._with_id(self._told(self.snapshot.create.columns)), self.key)

    def version(
        self, file: SchemaFile, shapes: RowLayouts | None = None, model: "SchemaHistory | None" = None
    ) -> Version:
        """Go through one schema file; return how rows under it are to be read.

        Args:
            file: the schema file.
            shapes: returns the layout of the rows below it.
            model: what is known of the table that a CREATE TABLE LIKE names.
        """
        if self.snapshot is not None and file.version <= self.snapshot.tso:
            return self._older(file, shapes, model)
        self.computes = []
        self._learn(file, model)
        self.names = tuple(column.name.lower() for column in file.columns)
        fault = self._by_rows(file, shapes)
        columns = self._told(file.columns)
        self.key = self._key(columns, file.key)
        computes = ", ".join(name for name in self.computes if name not in self.told)
        return Version(file.version, self._with_id(columns), self.key, fault, computes)

    def _older(self, file: SchemaFile, shapes: RowLayouts | None, model: "SchemaHistory | None") -> Version:
        """Return the version of a schema file that is not newer than the snapshot."""
        if {column.name.lower() for column in file.columns} == set(self.names):
            columns = self._told(file.columns)
            return Version(file.version, self._with_id(columns), self.key)
        if self.before is None:
            self.before = SchemaHistory(self.rules, None)
            self.before._take(self)
            self.before.known = False
        return self.before.version(file, shapes, model)

    def _take(self, model: "SchemaHistory") -> None:
        """Take over a model's definitions, as CREATE TABLE LIKE does."""
        self.members, self.generated = dict(model.members), dict(model.generated)
        self.indexes, self.known = list(model.indexes), model.known

    def _learn(self, file: SchemaFile, model: "SchemaHistory | None") -> None:
        """Learn from a statement."""
        if (file.version, file.query) in self.learnt:
            return
        self.learnt.add((file.version, file.query))
        made = table_definition(file.query, file.schema)
        if made is None:
            self._edit(file.query)
        elif made.like is None:
            self._make(made)
        else:
            self._make(TableDefinition())
            if model is not None and set(model.names) == {column.name.lower() for column in file.columns}:
                self._take(model)

    def _make(self, made: TableDefinition) -> None:
        self.generated = {}
        self.indexes, self.known = list(made.indexes), bool(made.columns)
        self._define({definition.name.lower(): definition for definition in made.columns})

    def _edit(self, sql: str) -> None:
        """Follow an ALTER TABLE, CREATE INDEX or DROP INDEX."""
        said, done = column_changes(sql), definition_changes(sql)
        new = {old: name for name, old in said.renames.items()}
        gone = done.dropped
        self.members = {new.get(n, n): members for n, members in self.members.items() if n not in gone}
        self.generated = {new.get(n, n): how for n, how in self.generated.items() if n not in gone}
        self.key = tuple(new.get(name.lower(), name) for name in self.key)
        self.keys = tuple(new.get(name, name) for name in self.keys)
        self.told = {new.get(name, name) for name in self.told}
        for name, definition in done.defined.items():
            now, old = definition.generation, self.generated.get(name)
            if now is not None and now.stored and (old is None or old.expression != now.expression):
                self.computes.append(name)
        self._define(done.defined)
        there = {index.name for index in self.indexes}
        lost = any(required and name not in there for name, required in done.dropped_indexes.items())
        kept = [index for index in self.indexes if index.name not in done.dropped_indexes]
        # an unknown name was dropped: which of the indexes that is cannot be determined
        self.indexes = [] if lost else [
            replace(
                index,
                name=done.renamed_indexes.get(index.name, index.name),
                columns=tuple(new.get(name, name) for name in index.columns),
            )
            for index in kept if not gone & set(index.columns)
        ]  # fmt: skip
        for index in done.added_indexes:
            self.indexes.append(with_default_name(index, [other.name for other in self.indexes]))

    def _define(self, defined: Mapping[str, ColumnDefinition]) -> None:
        for name, definition in defined.items():
            self.generated.pop(name, None)
            if definition.generation is not None:
                self.generated[name] = definition.generation
            if definition.members:
                self.members[name] = definition.members

    def _by_rows(self, file: SchemaFile, shapes: RowLayouts | None) -> str:
        """Let rows decide where no definition exists or they contradict it; return why that is impossible, or ""."""
        virtual = {name for name in self.names if self._is_virtual(name)}
        shape = shapes(file) if shapes is not None and (virtual or not self.known) else None
        if shape is None:
            return ""
        generated = set(self.generated) | virtual if self.known else None
        found = virtual_columns(shape, file.columns, file.key, virtual, generated, self.told)
        if isinstance(found, str):
            return found
        for name in self.names:
            how = self.generated.get(name)
            if name in found and not self._is_virtual(name):
                self.generated[name] = Generation(False, how.expression if how else "")
            elif name not in found and self._is_virtual(name):
                self.generated[name] = Generation(True, how.expression if how else "")
        return ""

    def _is_virtual(self, name: str) -> bool:
        how = self.generated.get(name)
        if how is not None:
            return not how.stored
        return name.startswith(_HIDDEN) or name in self.told

    def _told(self, columns: Iterable[SourceColumn]) -> tuple[SourceColumn, ...]:
        """Return columns with all that is known of them."""
        return tuple(self._complete(column) for column in columns)

    def _complete(self, column: SourceColumn) -> SourceColumn:
        name = column.name.lower()
        if column.type in {"ENUM", "SET"}:
            # the classic writer leaves members out of the schema file
            members = column.members or self.members.get(name, ())
            self.members[name] = members
            column = replace(column, members=members)
        how = self.generated.get(name)
        return replace(
            column,
            generated=how is not None or self._is_virtual(name),
            stored=how is not None and how.stored,
            expression=how.expression if how else "",
            left_out=name in self.told,
        )

    def _key(self, columns: tuple[SourceColumn, ...], primary: tuple[str, ...]) -> tuple[str, ...]:
        """Return the key: as conf names it, the primary one, or the unique index that TiCDC takes."""
        unique = identifying_key(self.indexes, columns, self.key, exported=self.snapshot is not None)
        append = self.rules.keyless == "append" and not any(column.name.lower() == ROW_ID for column in columns)
        return self._named(columns) or primary or unique or ((ROW_ID,) if append else ())

    def _with_id(self, columns: tuple[SourceColumn, ...]) -> tuple[SourceColumn, ...]:
        """Return the columns, with that of the rows' ids where the table has no key and is taken append-only."""
        return (*columns, ROW_ID_COLUMN) if self.key == (ROW_ID,) else columns

    def _named(self, columns: Iterable[SourceColumn]) -> tuple[str, ...]:
        """Return the key that conf names, with its columns as they are written."""
        written = {column.name.lower(): column.name for column in columns}
        return tuple(written.get(name, name) for name in self.keys)
