"""Input that could not be used: ops.quarantine, counted by reason, with cases; blocked tables from ops.checkpoints.

Bytes are shown only of tables that hold nothing a person typed: a broken row of a board carries its name, and the board
may be secret. Of other tables place and reason are shown; the bytes stay in ops.quarantine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobs.lake.query import Rows, Tables

OPEN = frozenset(
    {"app.board_pins", "app.board_follows", "app.user_follows", "app.blocks", "pin_events", "pin_embeddings"}
)
"""Source tables and topics whose columns are ids, codes, numbers and instants."""
_REASONS = 30
"""Kinds of fault listed, the most frequent first."""
_CASES = 2
"""Cases shown of each kind."""
_SHOWN = 6
"""Kinds of which cases are shown."""
_BYTES = 240
"""Bytes shown of a case."""


@dataclass(frozen=True)
class Case:
    """One row or file that could not be used."""

    place: str
    detail: str
    text: str | None
    """Its first bytes as text; None where they are not shown."""
    size: int
    """Bytes kept of it."""


@dataclass(frozen=True)
class Fault:
    """One kind of fault."""

    source: str
    table: str
    reason: str
    rows: int
    """Ever."""
    new: int
    """By the runs of ingest that the report tells of."""
    last: datetime
    cases: tuple[Case, ...] = ()


@dataclass(frozen=True)
class BlockedTable:
    """A source table whose changes are not applied, and why."""

    table: str
    why: str


def read_faults(tables: Tables, run_ids: Sequence[str], until: datetime | None) -> list[Fault]:
    """Return the kinds of fault, those with the most new rows first, with cases of the first few.

    Args:
        tables: of the lake.
        run_ids: runs of ingest that the report tells of.
        until: rows after it are left out; None for all.
    """
    known = f"at <= timestamp '{until:%Y-%m-%dT%H:%M:%S.%f}Z'" if until else "true"
    mine = ", ".join(_quoted(name) for name in run_ids) or "''"
    rows = tables.ask(
        f'select source, "table", reason, count(*) as rows, count(*) filter (where run_id in ({mine})) as new, '  # noqa: S608
        f'max(at) as last from quarantine where {known} group by source, "table", reason '
        f"order by new desc, rows desc, source, reason limit {_REASONS}",
        {"ops.quarantine": None},
    )
    return [
        Fault(
            row["source"], row["table"] or "", row["reason"], row["rows"], row["new"], row["last"],
            _cases(tables, row, known, mine) if place < _SHOWN else (),
        )
        for place, row in enumerate(rows)
    ]  # fmt: skip


def read_blocked(tables: Tables, until: datetime | None) -> list[BlockedTable]:
    """Return the tables blocked, by the newest checkpoint of each; one row a source table."""
    known = f"where at <= timestamp '{until:%Y-%m-%dT%H:%M:%S.%f}Z'" if until else ""
    rows = tables.ask(
        'select "table", last_value(blocked_reason order by at) as blocked_reason '  # noqa: S608 - a timestamp
        f'from checkpoints {known} group by "table" order by "table"',
        {"ops.checkpoints": None},
    )
    return [BlockedTable(row["table"], row["blocked_reason"]) for row in rows if row["blocked_reason"]]


def _cases(tables: Tables, fault: dict[str, Any], known: str, mine: str) -> tuple[Case, ...]:
    where = f"{known} and source = {_quoted(fault['source'])} and reason = {_quoted(fault['reason'])}"
    table = fault["table"]
    where += f' and "table" = {_quoted(table)}' if table is not None else ' and "table" is null'
    rows: Rows = tables.ask(
        f"select path, row_no, detail, raw from quarantine where {where} "  # noqa: S608 - quoted
        f"order by run_id in ({mine}) desc, path, row_no limit {_CASES}",
        {"ops.quarantine": None},
    )
    return tuple(_case(row, table in OPEN) for row in rows)


def _case(row: dict[str, Any], plain: bool) -> Case:
    raw: bytes = row["raw"] or b""
    place = row["path"] if row["row_no"] is None else f"{row['path']}, row {row['row_no']}"
    text = readable(raw) if plain and raw else None
    return Case(place, (row["detail"] or "") if plain else "", text, len(raw))


def readable(raw: bytes) -> str:
    """Return the first bytes as text; those that are no printable character as their number."""
    text = raw[:_BYTES].decode("utf-8", "backslashreplace")
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return shown + ("…" if len(raw) > _BYTES else "")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
