"""The source tables as TiDB knows them, and how its tools describe a table: schema file and CREATE TABLE."""

import json
import zlib
from dataclasses import dataclass, replace
from typing import Any

SCHEMA = "app"

_SQL_TYPE = {"bigint": -5, "int": 4, "varchar": 12, "char": 1, "enum": 4, "json": 12, "timestamp": 93}
"""java.sql.Types codes, as canal-json gives them."""


@dataclass(frozen=True)
class SqlColumn:
    """One column of a source table."""

    name: str
    type: str
    """MySQL type in lower case, without length."""
    length: int | None = None
    """Display width, characters, or digits of a second."""
    nullable: bool = True
    default: str | None = None
    members: tuple[str, ...] = ()
    """Values of an ENUM, in order."""

    @property
    def numeric(self) -> bool:
        """Return whether Dumpling writes its values without quotes."""
        return self.type in {"bigint", "int"}

    @property
    def sql_type(self) -> int:
        """Return the java.sql.Types code."""
        return _SQL_TYPE[self.type]

    def describe(self, key: bool) -> dict[str, Any]:
        """Return the entry of a TiCDC schema file; empty things are left out."""
        entry: dict[str, Any] = {"ColumnName": self.name, "ColumnType": self.type.upper()}
        if self.default is not None:
            entry["ColumnDefault"] = self.default.split("(")[0]
        if self.length is not None:
            entry["ColumnScale" if self.type == "timestamp" else "ColumnPrecision"] = str(self.length)
        if not self.nullable:
            entry["ColumnNullable"] = "false"
        if key:
            entry["ColumnIsPk"] = "true"
        if self.members:
            entry["ColumnElems"] = list(self.members)
        return entry

    def ddl(self) -> str:
        """Return the column's line of SHOW CREATE TABLE."""
        kind = self.type
        if self.members:
            kind += "(" + ",".join(f"'{m}'" for m in self.members) + ")"
        elif self.length is not None:
            kind += f"({self.length})"
        line = f"`{self.name}` {kind}" + ("" if self.nullable else " NOT NULL")
        if self.default is not None:
            raw = self.default.startswith("CURRENT_TIMESTAMP")
            return line + " DEFAULT " + (self.default if raw else f"'{self.default}'")
        return line + (" DEFAULT NULL" if self.nullable else "")


@dataclass(frozen=True)
class SqlTable:
    """One source table at one time."""

    name: str
    key: tuple[str, ...]
    columns: tuple[SqlColumn, ...]
    indexes: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Return the column names in order."""
        return [c.name for c in self.columns]

    def plus(self, column: SqlColumn) -> "SqlTable":
        """Return the table with one more column at the end."""
        return replace(self, columns=(*self.columns, column))

    def create_sql(self) -> str:
        """Return CREATE TABLE as TiDB shows it."""
        lines = [f"  {c.ddl()}" for c in self.columns]
        lines.append("  PRIMARY KEY (" + ",".join(f"`{k}`" for k in self.key) + ") /*T![clustered_index] CLUSTERED */")
        lines += [f"  KEY `ix_{i}` (`{i}`)" for i in self.indexes]
        tail = "\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;\n"
        return f"CREATE TABLE `{self.name}` (\n" + ",\n".join(lines) + tail

    def schema_file(self, version: int, query: str = "", action: int = 0) -> tuple[str, bytes]:
        """Return name and content of TiCDC's schema file: `version` TSO, DDL text and its TiDB action code."""
        columns = [c.describe(c.name in self.key) for c in self.columns]
        head = {"Table": self.name, "Schema": SCHEMA}
        body = {"Version": 1, "TableVersion": version, "Query": query, "Type": action}
        tail = {"TableColumns": columns, "TableColumnsTotal": len(columns)}
        name = f"schema_{version}_{checksum(self.name, SCHEMA, columns):010d}.json"
        return name, go_json({**head, **body, **tail})


def go_json(value: Any) -> bytes:
    """Return what Go's json.MarshalIndent writes: four spaces, `<`, `>`, `&` escaped, no newline at the end."""
    text = json.dumps(value, indent=4, ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text.encode()


def checksum(table: str, schema: str, columns: list[dict[str, Any]]) -> int:
    """Return the CRC-32 that TiCDC puts into a schema file's name: over the columns by name, not over the DDL."""
    ordered = sorted(columns, key=lambda c: str(c["ColumnName"]))
    body = {"Version": 0, "TableColumns": ordered, "TableColumnsTotal": len(columns)}
    return zlib.crc32(go_json({"Table": table, "Schema": schema, **body}))


def _id(name: str) -> SqlColumn:
    return SqlColumn(name, "bigint", 20, nullable=False)


def _at(name: str) -> SqlColumn:
    return SqlColumn(name, "timestamp", 3, nullable=False, default="CURRENT_TIMESTAMP(3)")


def _text(name: str, length: int, nullable: bool = True) -> SqlColumn:
    return SqlColumn(name, "varchar", length, nullable=nullable)


def _enum(name: str, *members: str) -> SqlColumn:
    return SqlColumn(name, "enum", nullable=False, default=members[0], members=members)


USERS = SqlTable(
    "users",
    ("id",),
    (
        _id("id"),
        _text("username", 64, nullable=False),
        _text("email", 255),
        SqlColumn("country", "char", 2),
        _enum("status", "active", "suspended", "deactivated"),
        _at("created_at"),
    ),
)
BOARDS = SqlTable(
    "boards",
    ("id",),
    (
        _id("id"),
        _id("owner_id"),
        _text("name", 180, nullable=False),
        _enum("privacy", "public", "protected", "secret"),
        _text("category", 64),
        SqlColumn("collaborators", "json"),
        _at("created_at"),
    ),
    indexes=("owner_id",),
)
PINS = SqlTable(
    "pins",
    ("id",),
    (
        _id("id"),
        _id("creator_id"),
        _id("board_id"),
        SqlColumn("image_signature", "char", 32, nullable=False),
        _text("title", 100),
        _text("link", 2048),
        _text("category", 64),
        _text("color", 16),
        _text("style", 16),
        _at("created_at"),
    ),
    indexes=("board_id",),
)
BOARD_PINS = SqlTable(
    "board_pins", ("board_id", "pin_id"), (_id("board_id"), _id("pin_id"), _id("user_id"), _at("saved_at"))
)
BOARD_FOLLOWS = SqlTable("board_follows", ("user_id", "board_id"), (_id("user_id"), _id("board_id"), _at("created_at")))
USER_FOLLOWS = SqlTable(
    "user_follows", ("user_id", "followee_id"), (_id("user_id"), _id("followee_id"), _at("created_at"))
)
BLOCKS = SqlTable("blocks", ("user_id", "blocked_id"), (_id("user_id"), _id("blocked_id"), _at("created_at")))
TABLES = (USERS, BOARDS, PINS, BOARD_PINS, BOARD_FOLLOWS, USER_FOLLOWS, BLOCKS)
