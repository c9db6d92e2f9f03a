"""Made-up databases with the DDL that bug reports are about, and the change feeds that TiCDC writes of them.

Each `Database` is a model in memory beside the schema files and data lines of its feed. Columns are generated, retyped,
renamed and added in every spelling; tables have primary keys or only unique indexes, are copied by LIKE, dropped and
brought back; schema files carry column ids or none and are sometimes written twice. Steps are small numbers, so that
hypothesis can shrink them; a step that makes no sense where it stands is left out. No Spark, no files.
"""

import json
from dataclasses import replace

from hypothesis import strategies as st

from jobs.ingest.tidb.ticdc.schema_files import checksum
from tests.sourcetables import Col, Table, as_canal, generate, listed, shown, value_of

SCHEMA = "h"
NAMES = ("t0", "t1", "t2", "t3", "t4")
KINDS = (
    "insert", "insert", "insert", "insert", "update", "update", "delete", "add", "add_many", "add_generated",
    "drop_column", "replace_column", "rename_column", "retype", "add_unique", "drop_unique", "rename_unique",
    "truncate", "drop", "create", "like", "recover", "rename", "view", "restart",
)  # fmt: skip
STEPS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 3), st.integers(0, 7), st.integers(0, 9)), min_size=4, max_size=30
)
"""What happens, to which table, at which place, and a number for values."""
SHAPES = st.tuples(st.booleans(), st.booleans(), st.booleans())
"""Whether the feed is CSV, carries column ids, and writes every schema file twice."""


class Database:
    """Replay of steps: a model, and the feed that TiCDC writes of it."""

    def __init__(self, steps, csv=False, ids=False, twice=False):
        self.csv, self.ids, self.twice = csv, ids, twice
        self.tables: dict[str, Table] = {}
        self.dropped: list[tuple[str, Table]] = []
        self.schemas: dict[str, bytes] = {}
        self.lines: dict[tuple[str, int], list[bytes]] = {}
        self.ts = 460_000_000_000_000_000
        self.changes = 0
        self.states: list[tuple[int, dict[str, list[dict]]]] = []
        for place in range(3):
            self.create(NAMES[place], place)
        for kind, table, at, number in steps:
            self.ts += 10
            names = sorted(self.tables)
            if kind in {"create", "recover"}:
                getattr(self, kind)(NAMES[(table + at) % len(NAMES)], number)
            elif names:
                getattr(self, kind)(names[table % len(names)], at, number)
            self.states.append((self.ts, {name: shown(table) for name, table in self.tables.items()}))

    def state_at(self, checkpoint):
        """Return table -> rows as of a checkpoint, without virtual columns."""
        return next((state for ts, state in reversed(self.states) if ts <= checkpoint), {})

    # what TiCDC writes

    def ddl(self, name, query, action, table=None):
        """Write the schema file of a statement; the classic writer's beside it leaves ENUM members out."""
        known = table or self.tables[name]
        for members in (True, False) if self.twice else (True,):
            entries = [column.entry(self.ids, members, known.primary) for column in known.columns]
            self.schema_file(name, query, action, entries)
        known.version = self.ts

    def schema_file(self, name, query, action, entries):
        """Write one schema file; a second one of the same content is the same file."""
        body = {"Table": name, "Schema": SCHEMA, "Version": 1, "TableVersion": self.ts, "Query": query, "Type": action}
        body |= {"TableColumns": entries, "TableColumnsTotal": len(entries)}
        path = f"{SCHEMA}/{name}/meta/schema_{self.ts}_{checksum(body):010d}.json"
        self.schemas.setdefault(path, json.dumps(body).encode())

    def dml(self, name, kind, row, old=None):
        """Write one change."""
        self.changes += 1
        lines = self.lines.setdefault((name, self.tables[name].version), [])
        table = self.tables[name]
        names = [column.name for column in table.carried()]
        row = {column: row[column] for column in names}
        if not self.csv:
            body = {"database": SCHEMA, "table": name, "type": kind, "_tidb": {"commitTs": self.ts}}
            body |= {"data": [as_canal(table, row)], "old": [as_canal(table, old)] if old else None}
            lines.append(json.dumps(body).encode())
            return
        quoted = {
            column.name for column in table.columns if column.type in {"VARCHAR", "ENUM", "DECIMAL", "TIME", "JSON"}
        }
        fields = ['"' + kind[0] + '"', f'"{name}"', f'"{SCHEMA}"', str(self.ts)]
        for column, value in row.items():
            text = "\\N" if value is None else '"' + value.replace('"', '""') + '"' if column in quoted else value
            fields.append(text)
        lines.append(",".join(fields).encode())

    def write(self, root, checkpoint, damage=lambda line: line):
        """Write the feed's tree below a folder; `damage` may spoil each data line."""
        extension = "csv" if self.csv else "json"
        files = dict(self.schemas) | {"metadata": json.dumps({"checkpoint-ts": checkpoint}).encode()}
        for (name, version), lines in self.lines.items():
            folder = f"{SCHEMA}/{name}/{version}"
            files[f"{folder}/CDC000001.{extension}"] = b"\r\n".join(map(damage, lines)) + b"\r\n"
            files[f"{folder}/meta/CDC.index"] = f"CDC000001.{extension}\n".encode()
        for path, content in files.items():
            place = root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)

    # what may happen; each takes the table's name, a place and a number

    def create(self, name, number):
        if name in self.tables:
            return
        shape = number % 4
        columns = [Col("id", "BIGINT", None, False, number=1), Col("v", number=2), Col("e", "ENUM", None, number=3)]
        primary, unique = ("id",), {}
        if shape == 1:  # no primary key, two unique ones, and one whose column may be NULL
            columns += [Col("u", "BIGINT", None, False, number=4)]
            primary, unique = (), {"uk_v": ("v",), "uk_two": ("u", "id"), "uk_id": ("id",)}
        if shape == 2:  # a unique index on a virtual column is no key
            columns += [Col("g", "BIGINT", None, False, generated="VIRTUAL", plus=1, number=4)]
            primary, unique = (), {"uk_g": ("g",), "uk_id": ("id",)}
        if shape == 3:  # a key on a stored generated column
            columns += [Col("s", "BIGINT", None, False, generated="STORED", plus=2, number=4)]
            primary, unique = (), {"uk_s": ("s",)}
        self.tables[name] = Table(columns, primary, unique, self.ts, next_number=5)
        self.ts += 10
        self.ddl(name, f"CREATE TABLE `{name}` ({', '.join(self._defined(self.tables[name]))})", 3)

    def _defined(self, table):
        parts = [column.sql for column in table.columns]
        parts += [f"PRIMARY KEY ({listed(table.primary)})"] if table.primary else []
        parts += [f"UNIQUE KEY `{index}` ({listed(columns)})" for index, columns in table.unique.items()]
        return [*parts, "CHECK (CAST(`v` AS CHAR) <> 'as (x)')", "KEY `plain` (`v`)"]

    def like(self, name, at, number):
        new = NAMES[at % len(NAMES)]
        if new not in self.tables:
            self.tables[new] = self.tables[name].copy()
            spelled = [f"CREATE TABLE `{new}` LIKE `{name}`", f"create table {new} like {SCHEMA}.{name}"]
            spelled.append(f"CREATE TABLE IF NOT EXISTS `{SCHEMA}`.`{new}` (LIKE `{SCHEMA}`.`{name}`)")
            self.ddl(new, spelled[number % 3], 3)

    def insert(self, name, at, number):
        table = self.tables[name]
        row = {}
        for column in table.columns:
            row[column.name] = value_of(column, at, number)
        generate(table, row)
        if not table.clashes(row) and all(row[c.name] is not None or c.nullable for c in table.columns):
            table.rows.append(row)
            self.dml(name, "INSERT", row)

    def update(self, name, at, number):
        table = self.tables[name]
        if not table.rows:
            return
        row = table.rows[at % len(table.rows)]
        plain = [column for column in table.columns if not column.generated]
        column = plain[number % len(plain)]
        new = row | {column.name: value_of(column, at + 1, number + self.ts % 1000)}
        generate(table, new)
        if (new[column.name] is None and not column.nullable) or table.clashes(new, row):
            return
        place = next(i for i, other in enumerate(table.rows) if other is row)
        table.rows[place] = new
        indexed = {name for columns in [table.primary, *table.unique.values()] for name in columns}
        if self.csv or any(row[name] != new[name] for name in indexed):
            # CSV without old values: TiCDC splits the update of a key, here every one
            self.dml(name, "DELETE", row)
            self.dml(name, "INSERT", new)
        else:
            self.dml(name, "UPDATE", new, {c.name: row[c.name] for c in table.carried()})

    def delete(self, name, at, _):
        table = self.tables[name]
        if table.rows:
            self.dml(name, "DELETE", table.rows.pop(at % len(table.rows)))

    def add(self, name, at, number):
        """Add a plain column in one of many spellings."""
        columns = [
            Col(f"c{at}"), Col(f"c{at}", default="d"), Col(f"c{at}", nullable=False), Col(f"c{at}", "INT", None, False),
            Col(f"c{at}", "BIT", None, False, default="b'101'"), Col(f"c{at}", "JSON", None, False),
            Col(f"c{at}", "TIME", None, False), Col(f"c{at}", "DECIMAL", None, False),
            Col(f"c{at}", comment="known as (short name) GENERATED ALWAYS AS (x)"), Col(f"c{at}", "ENUM", None, False),
        ]  # fmt: skip
        self._added(name, [columns[number]], "ADD COLUMN {}", at)

    def add_many(self, name, at, number):
        """Add a plain column and a generated one by one statement."""
        # virtual: TiDB refuses to add a stored one by ALTER TABLE
        columns = [Col(f"c{at}", "INT", None), Col(f"g{at}", "BIGINT", None, generated="VIRTUAL", plus=number)]
        spelled = ["ADD COLUMN {}, ADD COLUMN {}", "ADD COLUMN ({}, {})", "ADD {}, ADD COLUMN IF NOT EXISTS {}"]
        self._added(name, columns, spelled[number % 3], at)

    def add_generated(self, name, at, number):
        self._added(
            name, [Col(f"g{at}", "BIGINT", None, generated="VIRTUAL", plus=number)], "ADD COLUMN IF NOT EXISTS {}", at
        )

    def _added(self, name, columns, spelled, at):
        table = self.tables[name]
        if any(old.name == new.name for old in table.columns for new in columns):
            return
        columns = [replace(column, number=table.next_number + i) for i, column in enumerate(columns)]
        table.next_number += len(columns)
        table.columns = [*table.columns, *columns]
        for row in table.rows:
            row |= {column.name: column.fill for column in columns}
            generate(table, row)
        place = " FIRST" if at == 7 and len(columns) == 1 else ""
        if place:
            table.columns = [*columns, *table.columns[:-1]]
        self.ddl(name, f"ALTER TABLE `{name}` " + spelled.format(*(column.sql for column in columns)) + place, 5)

    def _free(self, table):
        """Return the columns that no index and no generated column needs."""
        needed = {name for columns in [table.primary, *table.unique.values()] for name in columns} | {"id", "v"}
        return [column for column in table.columns if column.name not in needed]

    def drop_column(self, name, at, _):
        table = self.tables[name]
        free = self._free(table)
        if free:
            gone = free[at % len(free)]
            table.columns = [column for column in table.columns if column != gone]
            for row in table.rows:
                del row[gone.name]
            self.ddl(name, f"ALTER TABLE `{name}` DROP COLUMN `{gone.name}`", 6)

    def replace_column(self, name, at, number):
        """Drop a column and add a plain one of its name, by one statement or two."""
        table = self.tables[name]
        free = self._free(table)
        if not free:
            return
        gone = free[at % len(free)]
        new = Col(gone.name, "INT", None, default="7", number=table.next_number)
        table.next_number += 1
        table.columns = [*(column for column in table.columns if column != gone), new]
        for row in table.rows:
            del row[gone.name]
            row[new.name] = "7"
        if number % 2:
            self.ddl(name, f"ALTER TABLE `{name}` DROP COLUMN `{gone.name}`, ADD COLUMN {new.sql}", 61)
            return
        table.columns.pop()
        self.ddl(name, f"ALTER TABLE `{name}` DROP COLUMN `{gone.name}`", 6)
        self.ts += 1
        table.columns.append(new)
        self.ddl(name, f"ALTER TABLE `{name}` ADD COLUMN {new.sql}", 5)

    def rename_column(self, name, at, number):
        table = self.tables[name]
        free = [column for column in table.columns if column.name not in {"id", "v"}]
        new = f"c{number}"
        if not free or any(column.name == new for column in table.columns):
            return
        old = free[at % len(free)]
        table.columns = [replace(column, name=new) if column is old else column for column in table.columns]
        table.rows = [{new if n == old.name else n: value for n, value in row.items()} for row in table.rows]
        renamed = {
            index: tuple(new if n == old.name else n for n in columns) for index, columns in table.unique.items()
        }
        table.unique = renamed
        told = replace(old, name=new)
        change = f"CHANGE COLUMN `{old.name}` {told.sql}"
        self.ddl(
            name, f"ALTER TABLE `{name}` " + (f"RENAME COLUMN `{old.name}` TO `{new}`" if number % 2 else change), 12
        )

    def retype(self, name, at, number):
        """Change a type so that every value keeps its text; a rewritten column gets a new id."""
        table = self.tables[name]
        fit = [column for column in table.columns if column.type in {"VARCHAR", "INT"} and not column.generated]
        if not fit:
            return
        old = fit[at % len(fit)]
        new = replace(old, type="BIGINT") if old.type == "INT" else replace(old, length=(12, 40)[number % 2])
        if old.type == "INT" and number > 5 and old.default is None and old.nullable:
            new = replace(old, type="VARCHAR", length=20)
        if new.type == "VARCHAR" and (old.type == "INT" or new.length < old.length):
            new = replace(new, number=table.next_number)
            table.next_number += 1
        table.columns = [new if column is old else column for column in table.columns]
        self.ddl(name, f"ALTER TABLE `{name}` MODIFY COLUMN {new.sql}", 12)

    def add_unique(self, name, at, number):
        table = self.tables[name]
        some = [column for column in table.columns if column.name in {"id", "u", "s"}]
        columns = tuple(column.name for column in some[: 1 + number % 2])
        index = f"uk_{at}"
        values = [tuple(row[column] for column in columns) for row in table.rows]
        if index not in table.unique and columns and len(set(values)) == len(values):
            table.unique[index] = columns
            spelled = [
                f"CREATE UNIQUE INDEX `{index}` ON `{name}` ({listed(columns)})",
                f"ALTER TABLE `{name}` ADD UNIQUE KEY `{index}` ({listed(columns)})",
                f"ALTER TABLE `{name}` ADD CONSTRAINT `{index}` UNIQUE ({listed(columns)})",
            ]
            self.ddl(name, spelled[number % 3], 7)

    def drop_unique(self, name, at, number):
        table = self.tables[name]
        if not table.unique:
            return
        index = sorted(table.unique)[at % len(table.unique)]
        columns = table.unique.pop(index)
        if not table.keys():
            table.unique[index] = columns
            return
        spelled = [f"ALTER TABLE `{name}` DROP INDEX `{index}`", f"DROP INDEX `{index}` ON `{name}`"]
        self.ddl(name, spelled[number % 2], 8)

    def rename_unique(self, name, at, number):
        table = self.tables[name]
        if table.unique and f"uk_{number}" not in table.unique:
            index = sorted(table.unique)[at % len(table.unique)]
            table.unique = {f"uk_{number}" if old == index else old: c for old, c in table.unique.items()}
            self.ddl(name, f"ALTER TABLE `{name}` RENAME INDEX `{index}` TO `uk_{number}`", 45)

    def truncate(self, name, *_):
        self.tables[name].rows = []
        self.ddl(name, f"TRUNCATE TABLE `{name}`", 11)

    def drop(self, name, *_):
        gone = self.tables.pop(name)
        self.dropped = [(old, table) for old, table in self.dropped if old != name] + [(name, gone)]
        self.ddl(name, f"DROP TABLE `{name}`", 4, gone)

    def recover(self, name, number):
        """Bring the table that was dropped last back, maybe under another name."""
        if not self.dropped or self.dropped[-1][0] in self.tables:
            return
        old, table = self.dropped[-1]
        to = name if number % 2 and name not in self.tables else old
        self.dropped.pop()
        self.tables[to] = table
        self.ddl(to, f"FLASHBACK TABLE `{old}`" + (f" TO `{to}`" if to != old else ""), 25)

    def rename(self, name, at, _):
        new = NAMES[at % len(NAMES)]
        if new not in self.tables:
            self.tables[new] = self.tables.pop(name)
            self.ddl(new, f"RENAME TABLE `{name}` TO `{new}`", 14)

    def view(self, name, at, number):
        """Write the schema file of a view over a table."""
        column = {"ColumnName": "id", "ColumnType": "UNSPECIFIED", "ColumnPrecision": "0"}
        action = 21 if number % 3 else 24
        query = f"CREATE VIEW `seen{at}` AS SELECT `id` FROM `{name}`" if action == 21 else f"DROP VIEW `seen{at}`"
        self.schema_file(f"seen{at}", query, action, [column])

    def restart(self, name, *_):
        """Write a schema file without a statement, as a changefeed that starts again does."""
        self.ddl(name, "", 0)
