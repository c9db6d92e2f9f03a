"""How far each source table and topic has come, and what was done for it so far: read from ops, without Spark."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from jobs.lake.query import Tables
from jobs.schema.bronze_silver import SILVER
from jobs.schema.ops import AWAITED
from jobs.schema.table import AsOf
from jobs.settings.ingest import Ingest

_LAST = ("checkpoint_ts", "complete_ts", "pending", "blocked_reason")
"""What the newest row of ops.checkpoints says of a table."""


@dataclass(frozen=True)
class Status:
    """One source table or topic. Rows are changes or messages, of all runs together."""

    table: str
    """schema.table, or kafka:topic."""
    checkpoint: datetime | None
    """Up to when every change is in silver; of a topic, the newest event."""
    lag: timedelta | None
    files: int
    applied: int
    superseded: int
    pending: int
    quarantined: int
    blocked_reason: str | None
    """Why the table is blocked, or that it is gone."""
    awaited: tuple[str, ...] = ()
    """Files of it that an index names and that are not there."""

    def plain(self) -> dict[str, Any]:
        """Return it for a program to read."""
        lag = None if self.lag is None else round(self.lag.total_seconds(), 3)
        at = None if self.checkpoint is None else self.checkpoint.isoformat()
        return vars(self) | {"checkpoint": at, "lag": lag}


def status(root: str, now: datetime | None = None) -> list[Status]:
    """Return the state of every table that a lake has taken in; none if nothing was ingested yet.

    Args:
        root: folder of the tables.
        now: what lag is measured from.
    """
    sums = ", ".join(f"sum({name}) as {name}" for name in ("files", "applied", "superseded", "quarantined"))
    last = ", ".join(f"last_value({name} order by at) as {name}" for name in _LAST)
    query = f'select "table" as name, {sums}, {last} from checkpoints group by name order by name'  # noqa: S608
    rows = Tables(root).ask(query, {"ops.checkpoints": None})
    missing = awaited(root)
    return [_status(row, missing, now or datetime.now(UTC)) for row in rows]


def awaited(root: str) -> list[str]:
    """Return the files of a feed that an index names and that have not come yet."""
    rest = f"max(case when status = '{AWAITED}' then 0 else 1 end) = 0"
    query = f"select path from source_files where source = 'ticdc' group by path having {rest} order by path"  # noqa: S608
    return [row["path"] for row in Tables(root).ask(query, {"ops.source_files": None})]


def without_table(found: Iterable[Status], settings: Ingest) -> list[str]:
    """Return the topics whose messages stay in bronze, as no table is theirs.

    Args:
        found: what `status` returned.
        settings: which topics have tables of other names.
    """
    known = {table.name.removeprefix("silver.") for table in SILVER if table.time in {AsOf.EVENTS, AsOf.LATEST}}
    known |= {topic for topic, rules in settings.topics.items() if rules.table}
    names = [one.table.removeprefix("kafka:") for one in found if one.table.startswith("kafka:")]
    return [name for name in names if name not in known]


def _status(row: dict[str, Any], missing: Iterable[str], now: datetime) -> Status:
    tso = row["complete_ts"] or row["checkpoint_ts"]
    # a TSO is milliseconds since 1970, shifted by 18 bits
    at = datetime.fromtimestamp((tso >> 18) / 1000, UTC) if tso else None
    counts = {name: row[name] or 0 for name in ("files", "applied", "superseded", "pending", "quarantined")}
    mine = tuple(path for path in missing if path.startswith(f"{row['name'].replace('.', '/', 1)}/"))
    return Status(
        row["name"], at, None if at is None else now - at, blocked_reason=row["blocked_reason"], awaited=mine, **counts
    )
