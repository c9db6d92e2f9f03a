"""Columns of MySQL and TiDB, and the Spark type that holds their values. Types come from schema files, not messages.

The rules: integers to the smallest Spark integer that holds all values, BIGINT UNSIGNED and BIT(64) to decimal(20,0),
DECIMAL exactly (as string beyond 38 digits), ENUM and SET by name, DATETIME without zone, TIMESTAMP as an instant,
TIME and JSON as text, a date that the calendar lacks as NULL (its text stays in the ledger).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.common.errors import SourceError

if TYPE_CHECKING:
    from jobs.history.conversions import Step


@dataclass(frozen=True)
class SourceColumn:
    """One column of a source table at one version."""

    name: str
    type: str
    """MySQL type in upper case, without UNSIGNED."""
    unsigned: bool = False
    length: int | None = None
    """Digits of a decimal, bits of BIT, characters or bytes of text."""
    scale: int | None = None
    nullable: bool = True
    default: str | None = None
    """Default as text; None where there is none."""
    members: tuple[str, ...] = ()
    """Member names of an ENUM or SET, in order; empty where they are not known."""
    generated: bool = False
    """Whether it is a generated column: an export never has it."""
    stored: bool = False
    """Whether a generated column is STORED: the feed's rows have it, as those of a VIRTUAL one they do not."""
    expression: str = ""
    """What a generated column computes, where that is known."""
    left_out: bool = False
    """Whether conf leaves it out of silver (ingest.tables.<name>.generated)."""
    id: str = ""
    """TiDB's ColumnId, where the feed has it (output-column-id)."""

    @property
    def virtual(self) -> bool:
        """Return whether the feed's rows lack it."""
        return self.generated and not self.stored

    @property
    def kind(self) -> str:
        """Return how values are written: int, decimal, float, text, enum, set, bit, binary, date and so on."""
        return _KINDS[self.type]

    @property
    def spark(self) -> str:
        """Return the Spark SQL type that holds every value."""
        if self.kind == "int":
            return _UNSIGNED[self.type] if self.unsigned else _SIGNED[self.type]
        if self.kind == "decimal":
            length = self.length or 10
            return f"decimal({length},{self.scale or 0})" if length <= 38 else "string"
        if self.kind == "bit":
            return "bigint" if (self.length or 1) < 64 else "decimal(20,0)"
        return _SPARK.get(self.type) or _BY_KIND[self.kind]

    @property
    def sql(self) -> str:
        """Return the type as a person writes it, for comments and messages."""
        size = f"({self.length},{self.scale})" if self.kind == "decimal" else ""
        return f"{self.type}{size}{' UNSIGNED' if self.unsigned and self.kind == 'int' else ''}"


_SIGNED = {"TINYINT": "tinyint", "SMALLINT": "smallint", "MEDIUMINT": "int", "INT": "int", "BIGINT": "bigint"}
_UNSIGNED = {
    "TINYINT": "smallint", "SMALLINT": "int", "MEDIUMINT": "int", "INT": "bigint", "BIGINT": "decimal(20,0)"
}  # fmt: skip
_TEXT = ("CHAR", "VARCHAR", "TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT", "VECTOR")
_BINARY = ("BINARY", "VARBINARY", "TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB")
_KINDS = (
    dict.fromkeys(_SIGNED, "int")
    | dict.fromkeys(_TEXT, "text")
    | dict.fromkeys(_BINARY, "binary")
    | {"FLOAT": "float", "DOUBLE": "float", "DECIMAL": "decimal", "BIT": "bit", "JSON": "text"}
    | {"ENUM": "enum", "SET": "set", "YEAR": "year", "DATE": "date", "TIME": "time"}
    | {"DATETIME": "datetime", "TIMESTAMP": "timestamp"}
)
_BY_KIND = {
    "text": "string", "binary": "binary", "enum": "string", "set": "string", "year": "int", "date": "date",
    "time": "string", "datetime": "timestamp_ntz", "timestamp": "timestamp",
}  # fmt: skip
_SPARK = {"FLOAT": "float", "DOUBLE": "double"}
_ALIASES = {
    "INTEGER": "INT", "BOOL": "TINYINT", "BOOLEAN": "TINYINT", "NUMERIC": "DECIMAL", "DEC": "DECIMAL",
    "FIXED": "DECIMAL", "REAL": "DOUBLE", "DOUBLE PRECISION": "DOUBLE", "CHARACTER": "CHAR", "VAR_STRING": "VARCHAR",
    "TIDBVECTORFLOAT32": "VECTOR", "INT1": "TINYINT", "INT2": "SMALLINT", "INT4": "INT", "INT8": "BIGINT",
}  # fmt: skip


def base_type(text: str, place: str) -> tuple[str, bool]:
    """Return the plain type of a type's name, and whether it is unsigned: "INT UNSIGNED" gives ("INT", True).

    Args:
        text: name of the type, any case, without length.
        place: column and file, for the message.

    Raises:
        SourceError: the type is not one TiDB has.
    """
    words = text.upper().split()
    unsigned = "UNSIGNED" in words or "ZEROFILL" in words
    name = " ".join(word for word in words if word not in {"UNSIGNED", "ZEROFILL", "SIGNED"})
    name = _ALIASES.get(name, name)
    if name not in _KINDS:
        raise SourceError(
            f"{place}: type {text!r} is not known. Known are {', '.join(sorted(_KINDS))}. "
            "Exclude the table in conf (ingest.tables) to go on without it."
        )
    return name, unsigned


@dataclass(frozen=True)
class Column:
    """A column of silver and of the source, and how older rows of the ledger name it."""

    now: SourceColumn
    names: tuple[tuple[int, str], ...]
    """(commit_ts from which it has the name, name), oldest first; the first counts from the beginning."""
    since: int | None = None
    """commit_ts of the DDL that added it; rows before it have `default`. None: it was always there."""
    default: str | None = None
    casts: "tuple[tuple[int, tuple[Step, ...]], ...]" = ()
    """Changes of its type, oldest first: commit_ts, and what values from before it go through."""

    @classmethod
    def first(cls, column: SourceColumn) -> "Column":
        """Return a column that came with its table."""
        return cls(column, ((0, column.name),))

    @property
    def name(self) -> str:
        """Return its name now."""
        return self.now.name

    @property
    def identity(self) -> tuple[int | None, str]:
        """Return what stays when its name and type change."""
        return self.since, self.names[0][1]


class UnsupportedDdl(Exception):
    """The values of older rows cannot be derived from the ledger; the message states why."""
