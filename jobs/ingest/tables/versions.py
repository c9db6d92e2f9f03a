"""What rows of each version of a table look like, put together from all that tells of it.

Schema files leave things out: the classic writer the members of ENUM and SET, both writers the unique keys and which
columns are generated. A CREATE TABLE, from the snapshot or the feed's own DDL, or the settings, fill them in.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from jobs.config.ingest import TableRules
from jobs.ingest.tables.ddl import CreateTable, is_create_table, members_in, parse_create
from jobs.ingest.tables.mysql import SourceColumn
from jobs.ingest.ticdc.schemafile import SchemaFile


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


class Knowledge:
    """What has been learnt of columns that schema files do not tell: members, generated columns, unique keys."""

    def __init__(self, rules: TableRules, snapshot: Snapshot | None) -> None:
        self.rules = rules
        self.members: dict[str, tuple[str, ...]] = {}
        self.generated = set(rules.generated)
        self.key: tuple[str, ...] = rules.keys
        self.snapshot = snapshot
        if snapshot is not None:
            self._learn(snapshot.create)

    def _learn(self, create: CreateTable) -> None:
        self.members |= {column.name: column.members for column in create.columns if column.members}
        self.generated |= {column.name for column in create.columns if column.generated}
        self.key = self.rules.keys or create.key

    def rename(self, renames: Mapping[str, str], columns: Iterable[SourceColumn]) -> None:
        """Follow columns to their new names.

        Args:
            renames: new -> old name, in lower case.
            columns: those there are afterwards, with their names as they are written.
        """
        written = {column.name.lower(): column.name for column in columns}
        new = {old: written.get(name, name) for name, old in renames.items()}

        def named(name: str) -> str:
            return new.get(name.lower(), name)

        self.members = {named(name): members for name, members in self.members.items()}
        self.generated = {named(name) for name in self.generated}
        if not self.rules.keys:
            self.key = tuple(named(name) for name in self.key)

    def snapshot_version(self) -> Version | None:
        """Return the version that rows of the snapshot have."""
        if self.snapshot is None:
            return None
        columns = tuple(replace(c, generated=c.name in self.generated) for c in self.snapshot.create.columns)
        return Version(self.snapshot.tso, columns, self.key)

    def version(self, file: SchemaFile) -> Version:
        """Return how rows under this schema file are to be read."""
        if is_create_table(file.query):
            self._learn(parse_create(file.query, file.path))
        self.generated |= set(_generated_in(file))
        columns = tuple(self._complete(column, file) for column in file.columns)
        names = {column.name for column in columns}
        unique = self.key if set(self.key) <= names else ()
        return Version(file.version, columns, self.rules.keys or file.key or unique)

    def _complete(self, column: SourceColumn, file: SchemaFile) -> SourceColumn:
        if column.type in {"ENUM", "SET"}:
            # the classic writer leaves members out of the schema file
            members = column.members or members_in(file.query, column.name) or self.members.get(column.name, ())
            self.members[column.name] = members
            column = replace(column, members=members)
        return replace(column, generated=column.name in self.generated)


def _generated_in(file: SchemaFile) -> list[str]:
    found = re.search(r"\bAS\s*\(", file.query, re.I)
    if not found or is_create_table(file.query):
        return []
    return [
        c.name for c in file.columns if re.search(rf"\bADD\s+(?:COLUMN\s+)?`?{re.escape(c.name)}\b", file.query, re.I)
    ]
