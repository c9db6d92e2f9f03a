r"""The value of a new column in older rows: its default as the ledger writes it, or MySQL's implicit default.

In: the column as the schema file has it, and the statement. A schema file writes the default of BIT and BINARY as raw
bytes in JSON, which loses those above \x7f: the statement's own literal (b'101', x'05', 0x05, 5) counts first.
"""

import re
from collections.abc import Sequence
from decimal import Context, Decimal, InvalidOperation

from jobs.ingest.tidb.ddl.alter_table import definition_changes
from jobs.ingest.tidb.ddl.source_column import SourceColumn
from jobs.ingest.tidb.ddl.sql_tokens import Token

_CLOCKS = {"CURRENT_TIMESTAMP", "NOW", "LOCALTIME", "LOCALTIMESTAMP", "CURRENT_DATE", "CURRENT_TIME", "NEXT"}
_OPEN, _BYTES = Token("sign", "("), {"bit", "binary"}


class ComputedDefault(Exception):
    """The default depends on when the statement runs, or its bytes are not known; the message names the column."""


def default_of_older_rows(column: SourceColumn, query: str) -> str | None:
    """Return the text that rows from before a column have in it.

    Args:
        column: as the schema file has it.
        query: the statement that adds it, empty where it is not known.

    Raises:
        ComputedDefault: the default is not a literal, or its bytes cannot be determined.
    """
    literal = _literal(column, query)
    if column.default is None and not literal:
        return implicit_default(column)
    if [token for token in literal[:1] if str(token) == "NULL"]:
        return None
    if column.kind in _BYTES:
        return _of_bytes(column, literal)
    if column.default is None:
        return _written(column, _plain(column, literal))
    if column.default.upper().startswith("CURRENT_TIMESTAMP"):
        raise ComputedDefault(f"computes the default of {column.name}")
    return _written(column, column.default)


def implicit_default(column: SourceColumn) -> str | None:
    """Return what MySQL fills older rows with when a NOT NULL column comes without a default."""
    if column.nullable:
        return None
    if column.kind == "enum":
        return column.members[0] if column.members else ""
    if column.type == "BINARY":
        return "00" * (column.length or 1)
    if column.type in {"JSON", "VECTOR"}:
        return {"JSON": "null", "VECTOR": "[]"}[column.type]
    zeros = {"int": "0", "decimal": "0", "float": "0", "bit": "0", "year": "0", "time": "00:00:00"}
    zeros |= {"date": "0000-00-00", "datetime": "0000-00-00 00:00:00", "timestamp": "0000-00-00 00:00:00"}
    return _written(column, zeros.get(column.kind, ""))


def _written(column: SourceColumn, text: str) -> str:
    """Return a literal with as many digits as the column's type has."""
    digits = column.scale or 0
    if column.kind == "decimal":
        try:
            return format(Decimal(text).quantize(Decimal(1).scaleb(-digits), context=Context(prec=100)), "f")
        except InvalidOperation:
            return text
    if column.kind in {"time", "datetime", "timestamp"} and digits and re.search(r":\d\d(\.\d+)?$", text):
        whole, _, fraction = text.partition(".")
        return f"{whole}.{fraction:0<{digits}}"
    return text


def _literal(column: SourceColumn, query: str) -> Sequence[Token]:
    """Return the words of the default that a statement gives a column, empty where it gives none."""
    defined = definition_changes(query).defined.get(column.name.lower())
    words = defined.words if defined is not None else ()
    at = next((i for i in range(1, len(words)) if str(words[i]) == "DEFAULT"), None)
    value = () if at is None else words[at + 1 : at + 3]
    if value and (value[0] == _OPEN or str(value[0]) in _CLOCKS or (value[0].kind == "word" and _OPEN in value[1:])):
        raise ComputedDefault(f"computes the default of {column.name}")
    return value


def _plain(column: SourceColumn, literal: Sequence[Token]) -> str:
    """Return a literal that the schema file leaves out."""
    first = literal[0]
    if first.kind == "text" or re.fullmatch(r"[+-]?\d+(\.\d+)?", first.value):
        return first.value
    raise ComputedDefault(f"gives {column.name} a default that is not a literal and not in its schema file")


def _of_bytes(column: SourceColumn, literal: Sequence[Token]) -> str:
    """Return the default of a BIT or binary column: a number, or hexadecimal."""
    raw = _bytes(literal, column.kind) if literal else None
    if raw is None and not literal and column.default is not None and column.default.isascii():
        raw = column.default.encode()
    if raw is None:
        raise ComputedDefault(
            f"gives {column.name} a default whose bytes cannot be determined: only ASCII text, b'…', x'…' and numbers "
            "are supported"
        )
    if column.kind == "bit":
        return str(int.from_bytes(raw, "big"))
    return raw.hex() if column.type != "BINARY" else raw.ljust(column.length or 1, b"\0").hex()


def _bytes(literal: Sequence[Token], kind: str) -> bytes | None:
    """Return the bytes of a literal: b'101', x'05', 0x05, 0b101, a plain text, or a number, which is text to BINARY."""
    first, second = literal[0], literal[1] if len(literal) > 1 else Token("sign", "")
    if first.kind == "word" and second.kind == "text" and first.value.startswith("_"):
        first, second = second, Token("sign", "")
    if first.kind == "text" or (kind == "binary" and re.fullmatch(r"[1-9]\d*|0", first.value)):
        return first.value.encode() if first.value.isascii() else None
    base = {"B": 2, "X": 16}.get(str(first)) if second.kind == "text" else None
    digits = second.value
    if base is None and (found := re.fullmatch(r"0([xb])([0-9A-Fa-f]+)", first.value)) is not None:
        base, digits = {"x": 16, "b": 2}[found[1]], found[2]
    if base is None and re.fullmatch(r"\d+", first.value):
        base, digits = 10, first.value
    try:
        number = int(digits or "0", base) if base else None
    except ValueError:
        return None
    if number is None:
        return None
    width = {16: (len(digits) + 1) // 2, 2: (len(digits) + 7) // 8, 10: 16}[base or 10]
    return number.to_bytes(width, "big")
