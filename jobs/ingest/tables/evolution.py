"""A table's columns through its DDL: which column is which, what its older rows have, what cannot be derived.

In: silver's columns so far and the columns of a new schema file, with its statement. Out: silver's columns after it, or
the reason why older rows cannot be told. A column is followed by ColumnId where the feed has it, else by the statement:
RENAME and CHANGE keep it, DROP ends it, ADD begins another one even under an old name.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from jobs.ingest.tables.alter import Alter, alterations
from jobs.ingest.tables.mysql import SourceColumn, implicit_default


@dataclass(frozen=True)
class Column:
    """A column of silver and of the source, and how older rows of the ledger name it."""

    now: SourceColumn
    names: tuple[tuple[int, str], ...]
    """(commit_ts from which it has the name, name), oldest first; the first counts from the beginning."""
    since: int | None = None
    """commit_ts of the DDL that added it; rows before it have `default`. None: it was always there."""
    default: str | None = None

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


class Underivable(Exception):
    """What older rows have cannot be told from the ledger; the message says why."""


def plain(columns: Iterable[SourceColumn]) -> tuple[SourceColumn, ...]:
    """Return the columns of silver: virtual generated ones, which rows lack, are left to whoever reads."""
    return tuple(column for column in columns if not column.virtual and not column.left_out)


def evolved(before: tuple[Column, ...], after: Iterable[SourceColumn], query: str, version: int) -> tuple[Column, ...]:
    """Return silver's columns after one DDL.

    Args:
        before: silver's columns so far.
        after: columns of the new schema file, virtual generated ones left out.
        query: the statement; empty where the file was written without one.
        version: its commit_ts.

    Raises:
        Underivable: a column changed in a way that depends on its rows, or has a computed default.
    """
    said = alterations(query)
    return tuple(_column(before, column, said, query, version) for column in after)


def _column(before: tuple[Column, ...], now: SourceColumn, said: Alter, query: str, version: int) -> Column:
    old = _origin(before, now, said)
    if old is None:
        if _is_computed(now, query):
            raise Underivable(f"computes the default of {now.name}")
        default = now.default if now.default is not None else implicit_default(now)
        return Column(now, ((0, now.name),), version, default)
    _require_derivable(old.now, now)
    names = old.names if old.name == now.name else (*old.names, (version, now.name))
    return replace(old, now=now, names=names)


def _origin(before: tuple[Column, ...], now: SourceColumn, said: Alter) -> Column | None:
    """Return the column that `now` was, None where it is a new one."""
    if now.id and any(column.now.id for column in before):
        return next((column for column in before if column.now.id == now.id), None)
    name = now.name.lower()
    origin = said.renames.get(name, name)
    renamed_away = origin in said.renames.values() and name not in said.renames
    if name in said.added or renamed_away:
        return None
    return next((column for column in before if column.name.lower() == origin), None)


_ORDER = ("TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT")


def _require_derivable(old: SourceColumn, now: SourceColumn) -> None:
    """Raise Underivable unless the text of every older value reads as the value that the new type has."""
    what = f"column {now.name}" if old.name == now.name else f"column {old.name}, now {now.name},"
    if old.kind == now.kind:
        if _narrower(old, now):
            raise Underivable(f"narrows {what} from {old.sql} to {now.sql}")
        return
    # unsigned numbers may be ZEROFILL, which no schema file says: their text would have zeros in front
    number = old.kind in {"int", "decimal"} and not old.unsigned
    to_text = (
        now.kind == "text" and now.type not in {"JSON", "CHAR"} and (number or old.kind in {"enum", "set", "date"})
    )
    room = now.length is None or now.length >= _widest(old) or now.type.endswith("TEXT")
    widened = old.kind == "int" and now.kind == "decimal" and (now.length or 10) - (now.scale or 0) >= 20
    if not ((to_text and room) or widened):
        raise Underivable(f"changes {what} from {old.sql} to {now.sql}")


def _widest(column: SourceColumn) -> int:
    """Return the most characters that a value's text has."""
    if column.kind in {"enum", "set"}:
        return len(",".join(column.members)) if column.members else 1 << 30
    return {"int": 20, "date": 10}.get(column.kind, (column.length or 10) + 2)


def _narrower(old: SourceColumn, now: SourceColumn) -> bool:
    """Return whether a value of the old type may read otherwise in the new one, of the same kind."""
    judge = _JUDGES.get(old.kind)
    return judge(old, now) if judge else False


def _int(old: SourceColumn, now: SourceColumn) -> bool:
    wider = _ORDER.index(now.type) - _ORDER.index(old.type)
    return wider < 0 or (old.unsigned != now.unsigned and (now.unsigned or wider == 0))


def _decimal(old: SourceColumn, now: SourceColumn) -> bool:
    whole, kept = ((c.length or 10) - (c.scale or 0) for c in (old, now))
    moved = (now.scale or 0) < (old.scale or 0) or (now.spark == "string" and now.scale != old.scale)
    return kept < whole or moved or (now.unsigned and not old.unsigned)


def _text(old: SourceColumn, now: SourceColumn) -> bool:
    """Tell whether values are cut, padded (BINARY), stripped (CHAR) or made JSON."""
    if now.type == "BINARY":
        return (old.type, old.length) != (now.type, now.length)
    reshaped = old.type != now.type and (now.type in {"CHAR", "JSON"} or old.type == "JSON")
    return reshaped or (now.length or 0) < (old.length or 0)


def _set(old: SourceColumn, now: SourceColumn) -> bool:
    """Tell whether names are missing or listed in another order: values follow the order of the definition."""
    return [name for name in now.members if name in old.members] != list(old.members)


_JUDGES: dict[str, Callable[[SourceColumn, SourceColumn], bool]] = {
    "int": _int,
    "decimal": _decimal,
    "text": _text,
    "binary": _text,
    "bit": _text,
    "set": _set,
    "enum": lambda old, now: not set(old.members) <= set(now.members),
    # text in silver, with as many digits as the type has
    "time": lambda old, now: now.scale != old.scale,
    # a FLOAT's shortest text is not the DOUBLE that it becomes
    "float": lambda old, now: old.type != now.type,
    "datetime": lambda old, now: (now.scale or 0) < (old.scale or 0),
    "timestamp": lambda old, now: (now.scale or 0) < (old.scale or 0),
}


def _is_computed(column: SourceColumn, query: str) -> bool:
    if column.default is None:
        return False
    if column.kind in {"binary", "bit"} or column.default.upper().startswith("CURRENT_TIMESTAMP"):
        return True
    return re.search(rf"{re.escape(column.name)}`?\s[^,]*\bDEFAULT\s*(?:\(|\w+\s*\()", query, re.I) is not None
