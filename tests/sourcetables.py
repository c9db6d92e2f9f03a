"""Columns, tables and values of tests/sourcemodel.py: what TiDB and TiCDC make of a definition."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Col:
    """A column of the model; `plus` of a generated column is what it adds to `id`."""

    name: str
    type: str = "VARCHAR"
    length: int | None = 20
    nullable: bool = True
    default: str | None = None
    generated: str = ""
    """Empty, VIRTUAL or STORED."""
    plus: int = 0
    comment: str = ""
    number: int = 0
    """TiDB's ColumnId."""

    @property
    def sql(self):
        sizes = {
            "VARCHAR": f"({self.length})",
            "ENUM": "('a','b','c')",
            "DECIMAL": "(10,2)",
            "TIME": "(3)",
            "BIT": "(4)",
        }
        told = f"`{self.name}` {self.type}{sizes.get(self.type, '')}"
        if self.generated:
            told += f" GENERATED ALWAYS AS (`id` + {self.plus}) {self.generated}"
        told += "" if self.nullable else " NOT NULL"
        if self.default is not None:
            told += f" DEFAULT {self.default if self.default.startswith('b') else repr(self.default)}"
        return told + (f" COMMENT '{self.comment}'" if self.comment else "")

    @property
    def fill(self):
        """Return what older rows have when the column is added."""
        if self.default is not None:
            return str(int(self.default[2:-1], 2)) if self.type == "BIT" else self.default
        if self.nullable:
            return None
        zeros = {"BIGINT": "0", "INT": "0", "BIT": "0", "DECIMAL": "0.00", "TIME": "00:00:00.000", "JSON": "null"}
        return zeros.get(self.type, "a" if self.type == "ENUM" else "")

    def entry(self, with_id, with_members, primary):
        """Return it as a schema file has it."""
        made = {"ColumnId": str(self.number)} if with_id else {}
        made |= {"ColumnName": self.name, "ColumnType": self.type}
        if self.default is not None:
            made["ColumnDefault"] = chr(int(self.fill)) if self.type == "BIT" else self.default
        sizes = {"VARCHAR": (self.length, None), "DECIMAL": (10, 2), "TIME": (None, 3), "BIT": (4, None)}
        length, scale = sizes.get(self.type, (None, None))
        made |= {"ColumnPrecision": str(length)} if length else {}
        made |= {"ColumnScale": str(scale)} if scale else {}
        made |= {} if self.nullable else {"ColumnNullable": "false"}
        made |= {"ColumnIsPk": "true"} if self.name in primary else {}
        return made | ({"ColumnElems": ["a", "b", "c"]} if self.type == "ENUM" and with_members else {})


@dataclass
class Table:
    """A table of the model. Values are the text that the ledger has."""

    columns: list[Col]
    primary: tuple[str, ...]
    unique: dict[str, tuple[str, ...]]
    version: int
    rows: list[dict] = field(default_factory=list)
    next_number: int = 1

    def carried(self):
        """Return the columns that rows carry: virtual generated ones never."""
        return [column for column in self.columns if column.generated != "VIRTUAL"]

    def keys(self):
        """Return the indexes that name a row."""
        solid = {column.name for column in self.carried() if not column.nullable}
        found = [self.primary] if self.primary else []
        return found + [columns for columns in self.unique.values() if set(columns) <= solid]

    def clashes(self, row, but=None):
        """Return whether a row breaks a unique index."""
        return any(
            all(other[name] == row[name] is not None for name in columns)
            for columns in [self.primary, *self.unique.values()]
            if columns and all(name in row for name in columns)
            for other in self.rows
            if other is not but
        )

    def copy(self):
        return Table(list(self.columns), self.primary, dict(self.unique), self.version, next_number=self.next_number)


def shown(table):
    names = [column.name for column in table.carried()]
    return [{name: row[name] for name in names} for row in table.rows]


def listed(names):
    return ", ".join(f"`{name}`" for name in names)


def value_of(column, at, number):
    if column.name == "id":
        return str(at)
    if column.nullable and number == 9:
        return None
    values = {
        "BIGINT": str(number), "INT": str(number), "BIT": str(number % 16), "DECIMAL": f"{number}.25", "JSON": "[1]",
        "TIME": "01:02:03.400", "ENUM": "abc"[number % 3],
    }  # fmt: skip
    return values.get(column.type, f"x{number}")


def generate(table, row):
    for column in table.columns:
        if column.generated:
            row[column.name] = str(int(row["id"]) + column.plus)


def as_canal(table, row):
    """Return a row as canal-json has it: ENUM by its number."""
    enums = {column.name for column in table.columns if column.type == "ENUM"}
    return {n: v if v is None or n not in enums else str("abc".index(v) + 1) for n, v in row.items()}
