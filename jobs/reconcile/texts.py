"""Every value as MySQL writes it, said twice: in SQL for a database, in Spark for silver, so that checksums agree.

What is brought from a source into the ledger is written in the ledger's own way (`in_ledger`).

The checksum of a row is as sync-diff-inspector's (tiflow, sync_diff_inspector/utils/utils.go): MD5 of the values joined
by commas, with a mask of which are NULL, as a number, joined by XOR over rows. It joins both halves of the digest to 64
bits; one half has as many, and the database need not compute the digest twice. FLOAT and DOUBLE count to 6 and 14
digits, a date that the calendar lacks as NULL. JSON is not compared: each side writes it in its own way.
"""

from collections.abc import Sequence
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
_DATES = {"date", "datetime", "timestamp"}
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
    if field.type in _DATES:
        # silver holds a date that the calendar lacks as NULL: month or day 00, 30 February, year 0000
        last = f"DAY(LAST_DAY(DATE_FORMAT({name}, '%Y-%m-01')))"
        lacking = f"YEAR({name}) = 0 OR MONTH({name}) = 0 OR DAY({name}) = 0 OR DAY({name}) > {last}"
        return f"IF({lacking}, NULL, {text})"
    return text


def in_ledger(field: Field) -> str:
    """Return the SQL of a field's text as the ledger keeps it: exact, where `in_mysql` rounds and leaves out."""
    name = quoted(field.name)
    if field.digits is not None:
        # as a DOUBLE: MySQL writes six digits of a FLOAT, which several of them share
        return f"CAST({name} + 0e0 AS CHAR CHARACTER SET utf8mb4)"
    if field.type in {*_DATES, "json"}:
        return f"CAST({name} AS CHAR CHARACTER SET utf8mb4)"
    return in_mysql(field)


def in_spark(field: Field, kind: DataType) -> Column:
    """Return the text of a column of silver."""
    column = F.col(quoted(field.name))
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


def checksum_in_mysql(fields: Sequence[Field]) -> str:
    """Return the SQL of the checksum of rows: an unsigned number of 64 bits."""
    texts = [in_mysql(one) for one in fields]
    # a text is NULL where its column is: only a date may be NULL as text alone
    told = [text if one.type in _DATES else quoted(one.name) for one, text in zip(fields, texts, strict=True)]
    mask = f"CONCAT({', '.join(f'ISNULL({one})' for one in told)})"
    digest = f"MD5(CONCAT_WS(',', {', '.join(texts)}, {mask}))"
    return f"BIT_XOR(CAST(CONV(SUBSTRING({digest}, 1, 16), 16, 10) AS UNSIGNED))"


def checksum_in_spark(texts: list[Column]) -> Column:
    """Return the same checksum, as a signed number of the same 64 bits."""
    mask = F.concat(*[F.when(text.isNull(), F.lit("1")).otherwise(F.lit("0")) for text in texts])
    digest = F.md5(F.concat_ws(",", *texts, mask).cast("binary"))
    # a negative base makes conv return signed numbers
    return F.bit_xor(F.conv(F.substring(digest, 1, 16), 16, -10).cast("bigint"))
