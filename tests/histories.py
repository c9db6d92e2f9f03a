"""Made-up histories of a database: rows and DDL over three tables, one of them partitioned.

Each is a model in memory and the tree that TiCDC writes of it. It is drawn as small numbers, so that hypothesis can
shrink it; what makes no sense where it stands is left out.
"""

import json
from copy import deepcopy
from dataclasses import dataclass, field, replace
from decimal import Decimal

from hypothesis import strategies as st

from jobs.ingest.tidb.ticdc.schema_files import checksum

NAMES = ("t0", "t1", "t2", "t3")
KINDS = (
    "insert", "insert", "insert", "update", "update", "update", "delete", "rekey", "swap", "add", "drop_column",
    "rename_column", "widen", "truncate", "drop", "create", "rename", "nothing", "drop_part", "truncate_part",
    "truncate_part", "add_part", "split_part", "unpartition", "flashback", "flashback", "retype", "retype", "twice",
)  # fmt: skip
STEPS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 2), st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=24
)
"""What happens, to which table, to which key or column, and a number for values."""


@dataclass(frozen=True)
class Col:
    """A column of the model."""

    name: str
    type: str = "VARCHAR"
    length: int | None = 20
    scale: int | None = None
    id: int = 0
    """ColumnId, 0 where the feed has none."""

    def entry(self):
        """Return it as a schema file has it."""
        made = {"ColumnName": self.name, "ColumnType": self.type}
        made |= {"ColumnPrecision": str(self.length)} if self.length else {}
        made |= {"ColumnScale": str(self.scale)} if self.scale else {}
        made |= {"ColumnId": str(self.id)} if self.id else {}
        return made | ({"ColumnNullable": "false", "ColumnIsPk": "true"} if self.name == "id" else {})

    @property
    def sql(self):
        size = f"{self.length},{self.scale}" if self.scale else self.length
        return f"{self.type}({size})" if size else self.type


@dataclass
class Table:
    """A table of the model."""

    columns: list[Col]
    version: int
    rows: dict[int, dict] = field(default_factory=dict)
    parts: dict[str, int | None] | None = None
    """Partition by RANGE of id -> what its keys are below, None for MAXVALUE; lowest first."""

    def part(self, key):
        """Return the partition of a key, None where there is none."""
        return next((name for name, high in (self.parts or {"all": None}).items() if high is None or key < high), None)

    def empty(self, part):
        """Take away a partition's rows."""
        self.rows = {key: row for key, row in self.rows.items() if self.part(key) != part}


@dataclass
class History:
    """One database: replay `steps`, then `files` is its tree and `states` what it was after each commit_ts."""

    schema: str
    tables: dict[str, Table] = field(default_factory=dict)
    schemas: dict[str, str] = field(default_factory=dict)
    """Path of a schema file -> its content."""
    lines: list[tuple[str, int, int, str]] = field(default_factory=list)
    """Table, version, commit_ts and line of each change."""
    states: list[tuple[int, dict]] = field(default_factory=list)
    bin: list[list] = field(default_factory=list)
    """Tables dropped and truncated: name, the table as it was, whether it came back."""
    ts: int = 100
    ids: int | None = None
    """The last ColumnId, None where the feed has none."""

    @classmethod
    def of(cls, number, steps):
        """Replay steps, each at a commit_ts that no other of up to a hundred histories has, as TiDB sees to.

        Every second history has ColumnIds.
        """
        made = cls(f"h{number}", ts=100 + number, ids=0 if number % 2 else None)
        for name in NAMES[:3]:
            made.create(name, made.tick())
        for kind, table, at, value in steps:
            ts, names = made.tick(), sorted(made.tables)
            if kind == "create":
                made.create(NAMES[table], ts)
            elif names:
                getattr(made, kind)(names[table % len(names)], ts, at, value)
            made.keep(ts)
        return made

    def fresh(self):
        """Return a ColumnId that no column had."""
        if self.ids is None:
            return 0
        self.ids += 1
        return self.ids

    def tick(self):
        self.ts += 100
        return self.ts

    def keep(self, ts):
        """Remember the state."""
        self.states.append((ts, {name: {k: dict(r) for k, r in t.rows.items()} for name, t in self.tables.items()}))

    def state_at(self, checkpoint):
        """Return table -> key -> row as of a checkpoint."""
        past = [state for ts, state in self.states if ts <= checkpoint]
        return past[-1] if past else None

    def ddl(self, name, ts, query, action, columns=None):
        """Write a schema file."""
        columns = self.tables[name].columns if columns is None else columns
        body = {"Table": name, "Schema": self.schema, "Version": 1, "TableVersion": ts, "Query": query, "Type": action}
        body |= {"TableColumns": [column.entry() for column in columns], "TableColumnsTotal": len(columns)}
        self.schemas[f"{self.schema}/{name}/meta/schema_{ts}_{checksum(body):010d}.json"] = json.dumps(body)
        if name in self.tables:
            self.tables[name].version = ts

    def dml(self, name, ts, kind, row, old=None):
        """Write one change."""
        body = {"database": self.schema, "table": name, "type": kind, "data": [_texts(row)]}
        body |= {"old": [_texts(old)] if old else None, "_tidb": {"commitTs": ts}}
        self.lines.append((name, self.tables[name].version, ts, json.dumps(body)))

    # what may happen; each takes the table's name, the commit_ts, a place and a number

    def nothing(self, *_):
        """Nothing."""

    def create(self, name, ts):
        if name not in self.tables:
            parts = {"p0": 2, "p1": 4, "p2": 7} if name == "t1" else None
            self.tables[name] = Table(
                [Col("id", "BIGINT", None, id=self.fresh()), Col("v", id=self.fresh())], ts, parts=parts
            )
            query = f"CREATE TABLE `{name}` (`id` BIGINT NOT NULL PRIMARY KEY, `v` VARCHAR(20))"
            query += f" PARTITION BY RANGE (`id`) ({_defined(parts)})" if parts else ""
            self.ddl(name, ts, query, 3)
        self.keep(ts)

    def insert(self, name, ts, at, number):
        table = self.tables[name]
        if at not in table.rows and table.part(at):
            table.rows[at] = {c.name: at if c.name == "id" else _value(c, number) for c in table.columns}
            self.dml(name, ts, "INSERT", table.rows[at])

    def update(self, name, ts, at, number):
        table = self.tables[name]
        if at in table.rows:
            old = dict(table.rows[at])
            column = table.columns[number % len(table.columns)]
            if column.name != "id":
                table.rows[at][column.name] = None if number == 7 else _value(column, number + ts)
            self.dml(name, ts, "UPDATE", table.rows[at], old)

    def delete(self, name, ts, at, _):
        if at in self.tables[name].rows:
            self.dml(name, ts, "DELETE", self.tables[name].rows.pop(at))

    def rekey(self, name, ts, at, number):
        rows = self.tables[name].rows
        if at in rows and number not in rows and self.tables[name].part(number):
            old = rows.pop(at)
            rows[number] = old | {"id": number}
            self.dml(name, ts, "UPDATE", rows[number], old)

    def swap(self, name, ts, at, number):
        """Exchange two keys in one transaction: deletes and inserts of the same keys at one commit_ts."""
        rows = self.tables[name].rows
        if at in rows and number in rows and at != number:
            olds = {at: rows[at], number: rows[number]}
            rows[at], rows[number] = olds[number] | {"id": at}, olds[at] | {"id": number}
            for key in (at, number):
                self.dml(name, ts, "DELETE", olds[key])
            for key in (at, number):
                self.dml(name, ts, "INSERT", rows[key])

    def add(self, name, ts, at, number):
        table, column = self.tables[name], Col(f"c{at}", *(("INT", None) if number % 2 else ("VARCHAR", 20)))
        if any(other.name == column.name for other in table.columns):
            return
        default = {0: None, 1: "7", 2: "d"}.get(number % 5) if number % 5 == 1 or column.type == "VARCHAR" else None
        table.columns = [*table.columns, replace(column, id=self.fresh())]
        for row in table.rows.values():
            row[column.name] = int(default) if default and column.type == "INT" else default
        entries = [c.entry() for c in table.columns]
        if default is not None:
            entries[-1]["ColumnDefault"] = default
        told = f" DEFAULT '{default}'" if default is not None else ""
        self._entries(name, ts, f"ALTER TABLE `{name}` ADD COLUMN `{column.name}` {column.sql}{told}", 5, entries)

    def _entries(self, name, ts, query, action, entries):
        """Write a schema file whose columns say more than the model keeps."""
        body = {"Table": name, "Schema": self.schema, "Version": 1, "TableVersion": ts, "Query": query, "Type": action}
        body |= {"TableColumns": entries, "TableColumnsTotal": len(entries)}
        self.schemas[f"{self.schema}/{name}/meta/schema_{ts}_{checksum(body):010d}.json"] = json.dumps(body)
        self.tables[name].version = ts

    def drop_column(self, name, ts, at, _):
        table = self.tables[name]
        others = [column for column in table.columns if column.name != "id"]
        if len(others) > 1:
            gone = others[at % len(others)]
            table.columns = [column for column in table.columns if column != gone]
            for row in table.rows.values():
                del row[gone.name]
            self.ddl(name, ts, f"ALTER TABLE `{name}` DROP COLUMN `{gone.name}`", 6)

    def rename_column(self, name, ts, at, number):
        table = self.tables[name]
        others = [column for column in table.columns if column.name != "id"]
        new = f"c{number % 6}"
        if others and all(column.name != new for column in table.columns):
            old = others[at % len(others)]
            table.columns = [replace(column, name=new) if column == old else column for column in table.columns]
            table.rows = {
                key: {new if n == old.name else n: v for n, v in row.items()} for key, row in table.rows.items()
            }
            self.ddl(name, ts, f"ALTER TABLE `{name}` RENAME COLUMN `{old.name}` TO `{new}`", 12)

    def widen(self, name, ts, at, _):
        table = self.tables[name]
        others = [column for column in table.columns if column.name != "id"]
        if others:
            old = others[at % len(others)]
            if old.type == "DECIMAL":
                return
            wide = replace(old, type="BIGINT") if old.type != "VARCHAR" else replace(old, length=old.length + 20)
            table.columns = [wide if column == old else column for column in table.columns]
            self.ddl(name, ts, f"ALTER TABLE `{name}` MODIFY COLUMN `{old.name}` {wide.sql}", 12)

    def retype(self, name, ts, at, number):
        """Change a column's type; as TiDB does it, only where every value fits."""
        table = self.tables[name]
        others = [column for column in table.columns if column.name != "id"]
        if not others:
            return
        old = others[at % len(others)]
        ways = {"VARCHAR": [("INT", None, None), ("VARCHAR", 6, None)]}
        new = replace(old, **dict(zip(("type", "length", "scale"), ways.get(old.type, _WAYS)[number % 2], strict=True)))
        values = {key: _as(new, row[old.name]) for key, row in table.rows.items()}
        if any(value is ValueError for value in values.values()):
            return
        for key, value in values.items():
            table.rows[key][old.name] = value
        # rows that are rewritten get another column
        table.columns = [replace(new, id=self.fresh()) if column == old else column for column in table.columns]
        self.ddl(name, ts, f"ALTER TABLE `{name}` MODIFY COLUMN `{old.name}` {new.sql}", 12)

    def twice(self, name, ts, *_):
        """Write a statement that changes nothing into two files, one of which tells less."""
        table = self.tables[name]
        entries = [column.entry() for column in table.columns]
        self._entries(name, ts, f"ALTER TABLE `{name}` COMMENT = 'x'", 17, entries)
        self._entries(name, ts, "", 0, [{k: v for k, v in e.items() if k != "ColumnId"} for e in entries])

    def truncate(self, name, ts, *_):
        self.bin.append([name, deepcopy(self.tables[name]), False])
        self.tables[name].rows = {}
        self.ddl(name, ts, f"TRUNCATE TABLE `{name}`", 11)

    def drop_part(self, name, ts, at, _):
        table = self.tables[name]
        if table.parts and len(table.parts) > 1:
            gone = list(table.parts)[at % len(table.parts)]
            table.empty(gone)
            del table.parts[gone]
            self.ddl(name, ts, f"ALTER TABLE `{name}` DROP PARTITION `{gone}`", 20)

    def truncate_part(self, name, ts, at, number):
        table = self.tables[name]
        if table.parts:
            some = {list(table.parts)[place % len(table.parts)]: None for place in (at, number)}
            for one in some:
                table.empty(one)
            names = ", ".join(f"`{one}`" for one in some)
            self.ddl(name, ts, f"ALTER TABLE `{name}` TRUNCATE PARTITION {names}", 23)

    def add_part(self, name, ts, at, _):
        table = self.tables[name]
        last = list(table.parts.values())[-1] if table.parts else None
        if last is not None:
            new = {f"a{ts}": last + 1 if at else None}
            table.parts |= new
            self.ddl(name, ts, f"ALTER TABLE `{name}` ADD PARTITION ({_defined(new)})", 19)

    def split_part(self, name, ts, at, _):
        """Cut a partition in two at its highest key."""
        table = self.tables[name]
        if table.parts:
            cut = list(table.parts)[at % len(table.parts)]
            places = list(table.parts)
            below = table.parts[places[places.index(cut) - 1]] if cut != places[0] else -1
            middle = 9 if table.parts[cut] is None else table.parts[cut] - 1
            if middle <= below:
                return
            new = {f"s{ts}": middle, f"r{ts}": table.parts[cut]}
            whole = [new if part == cut else {part: table.parts[part]} for part in places]
            table.parts = {part: high for some in whole for part, high in some.items()}
            query = f"ALTER TABLE `{name}` REORGANIZE PARTITION `{cut}` INTO ({_defined(new)})"
            self.ddl(name, ts, query, 64)

    def unpartition(self, name, ts, at, number):
        """Do without partitions, or have others: only what comes later shows it."""
        table = self.tables[name]
        if table.parts and number == 0:
            table.parts = None
            self.ddl(name, ts, f"ALTER TABLE `{name}` REMOVE PARTITIONING", 72)
        elif number == 1:
            table.parts = {"n0": at + 1, "n1": at + 3, "n2": None}
            self.ddl(name, ts, f"ALTER TABLE `{name}` PARTITION BY RANGE (`id`) ({_defined(table.parts)})", 71)

    def drop(self, name, ts, *_):
        gone = self.tables.pop(name)
        self.bin.append([name, deepcopy(gone), False])
        self.ddl(name, ts, f"DROP TABLE `{name}`", 4, gone.columns)

    def flashback(self, _, ts, at, number):
        """Bring back what was dropped or truncated last under a name, where it is not back already."""
        old, new = NAMES[at % len(NAMES)], NAMES[number % len(NAMES)]
        last = [one for one in self.bin if one[0] == old][-1:]
        if last and not last[0][2] and new not in self.tables:
            last[0][2] = True
            self.tables[new] = deepcopy(last[0][1])
            to = f" TO `{new}`" if new != old else ""
            self.ddl(new, ts, f"FLASHBACK TABLE `{self.schema}`.`{old}`{to}", 25)

    def rename(self, name, ts, at, _):
        new = NAMES[at % len(NAMES)]
        if new not in self.tables:
            self.tables[new] = self.tables.pop(name)
            self.ddl(new, ts, f"RENAME TABLE `{name}` TO `{new}`", 14)


def _defined(parts):
    bounds = {name: "MAXVALUE" if high is None else f"({high})" for name, high in parts.items()}
    return ", ".join(f"PARTITION `{name}` VALUES LESS THAN {bound}" for name, bound in bounds.items())


_WAYS = [("VARCHAR", 20, None), ("DECIMAL", 12, 2)]


def _as(column, value):
    """Return a value as a column of another type has it, ValueError itself where it does not fit."""
    if value is None:
        return None
    text = str(value)
    if column.type == "VARCHAR":
        return text if len(text) <= column.length else ValueError
    try:
        return int(text) if column.type == "INT" else Decimal(text).quantize(Decimal("1.00"))
    except ValueError:
        return ValueError


def _value(column, number):
    if column.type == "DECIMAL":
        return Decimal(number).quantize(Decimal("1.00"))
    return number if column.type != "VARCHAR" else f"x{number}"


def _texts(row):
    return {name: None if value is None else str(value) for name, value in row.items()}
