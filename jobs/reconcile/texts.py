"""Every value as MySQL writes it, said twice: in SQL for a database, in Spark for silver, so that checksums agree.

What is brought from a source into the ledger is written in the ledger's own way (`in_ledger`).

The checksum of a row is sync-diff-inspector's (tiflow, sync_diff_inspector/utils/utils.go): MD5 of the values joined by
commas, with a mask of which are NULL; both halves of the digest as numbers, joined by XOR, and so over rows. FLOAT and
DOUBLE count to 6 and 14 digits, a date with a month or day 00 as NULL. JSON is not compared: each side writes it in
its own way.
"""

from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BinaryType,
    DataType,
    DateType,
    DoubleType,
    FloatType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

_DIGITS = {"float": 5, "double": 13}
"""Digits after the first one that count."""
_BINARY = {"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"}
_NUMBERS = {"tinyint", "smallint", "mediumint", "int", "bigint", "year", "bit"}
NOT_COMPARED = {"json", "geometry", "vector"}


@dataclass(frozen=True)
class Field:
    """A column that both sides have."""

    name: str
    type: str
    """MySQL's data type in lower case, without length."""
    fsp: int = 0
    """Digits of fractional seconds."""
    scale: int = 0
    """Digits of a decimal after the point."""

    @property
    def digits(self) -> int | None:
        """Return how many digits after the first count; None where all do."""
        return _DIGITS.get(self.type)


def quoted(name: str) -> str:
    """Return a name as it stands in MySQL's SQL."""
    return f"`{name.replace('`', '``')}`"


def in_mysql(field: Field) -> str:
    """Return the SQL of a field's text."""
    name = quoted(field.name)
    if field.type in _NUMBERS:
        return f"CAST({name} + 0 AS CHAR CHARACTER SET utf8mb4)"
    if field.digits is not None:
        power = f"(FLOOR(LOG10(ABS({name}))) - {field.digits})"
        number = f"CAST(ROUND({name} / POW(10, {power})) AS SIGNED)"
        return f"IF({name} = 0, '0', CONCAT({number}, 'e', CAST({power} AS SIGNED)))"
    if field.type in _BINARY:
        return f"LOWER(HEX({name}))"
    text = f"CAST({name} AS CHAR CHARACTER SET utf8mb4)"
    if field.type in {"date", "datetime", "timestamp"}:
        return f"IF(MONTH({name}) = 0 OR DAY({name}) = 0, NULL, {text})"
    return text


def in_ledger(field: Field) -> str:
    """Return the SQL of a field's text as the ledger keeps it: exact, where `in_mysql` rounds and leaves out."""
    name = quoted(field.name)
    if field.digits is not None:
        # as a DOUBLE: MySQL writes six digits of a FLOAT, which several of them share
        return f"CAST({name} + 0e0 AS CHAR CHARACTER SET utf8mb4)"
    if field.type in {"date", "datetime", "timestamp", "json"}:
        return f"CAST({name} AS CHAR CHARACTER SET utf8mb4)"
    return in_mysql(field)


def in_spark(field: Field, kind: DataType) -> Column:
    """Return the text of a column of silver."""
    column = F.col(f"`{field.name}`")
    if isinstance(kind, BinaryType):
        return F.lower(F.hex(column))
    if isinstance(kind, FloatType | DoubleType):
        exact = column.cast("double")
        power = F.floor(F.log10(F.abs(exact))) - (field.digits or 0)
        number = F.rint(exact / F.pow(F.lit(10.0), power)).cast("bigint")
        text = F.concat(number.cast("string"), F.lit("e"), power.cast("bigint").cast("string"))
        return F.when(exact == 0, F.lit("0")).otherwise(text)
    if isinstance(kind, TimestampType | TimestampNTZType):
        return F.substring(F.date_format(column, "yyyy-MM-dd HH:mm:ss.SSSSSS"), 1, 20 + field.fsp if field.fsp else 19)
    if isinstance(kind, DateType):
        return F.date_format(column, "yyyy-MM-dd")
    # decimals too: by ANSI's rules, which Spark 4 goes by, a cast writes them plainly, never as 0E-10
    return column if isinstance(kind, StringType) else column.cast("string")


def checksum_in_mysql(texts: list[str]) -> str:
    """Return the SQL of the checksum of rows whose fields have these texts: an unsigned number of 64 bits."""
    mask = f"CONCAT({', '.join(f'ISNULL({text})' for text in texts)})"
    digest = f"MD5(CONCAT_WS(',', {', '.join(texts)}, {mask}))"
    halves = [f"CAST(CONV(SUBSTRING({digest}, {at}, 16), 16, 10) AS UNSIGNED)" for at in (1, 17)]
    return f"BIT_XOR({halves[0]} ^ {halves[1]})"


def checksum_in_spark(texts: list[Column]) -> Column:
    """Return the same checksum, as a signed number of the same 64 bits."""
    mask = F.concat(*[F.when(text.isNull(), F.lit("1")).otherwise(F.lit("0")) for text in texts])
    digest = F.md5(F.concat_ws(",", *texts, mask).cast("binary"))
    # a negative base makes conv return signed numbers
    halves = [F.conv(F.substring(digest, at, 16), 16, -10).cast("bigint") for at in (1, 17)]
    return F.bit_xor(halves[0].bitwiseXOR(halves[1]))
