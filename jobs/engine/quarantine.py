"""Writes ops.quarantine: rows and files that could not be used, with their place and reason."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.lake.delta import Lake
from jobs.lake.small_tables import append_few
from jobs.schema.ops import QUARANTINE

_FEW = 32
"""Rows that go through the driver: of each, 1 MiB at most is kept."""


@dataclass(frozen=True, kw_only=True)
class Quarantined:
    """One row of ops.quarantine that is made on the driver."""

    source: str
    path: str
    reason: str
    detail: str
    table: str | None = None
    row_no: int | None = None
    """None: the whole file."""


def quarantine(lake: Lake, run_id: str, rows: Iterable[Quarantined]) -> None:
    """Append a few rows in one commit."""
    now = datetime.now(UTC)
    lake.append_rows(QUARANTINE.name, [asdict(row) | {"run_id": run_id, "at": now} for row in rows])


def quarantine_frame(
    lake: Lake, run_id: str, rows: DataFrame, txn: tuple[str, int] | None = None, count: int | None = None
) -> int:
    """Append rows of a frame in one commit; return how many, 0 where `txn` had been committed.

    Args:
        lake: the lake.
        run_id: of the run that found them.
        rows: the table's other columns, `raw` included.
        txn: application and version; a repetition is skipped.
        count: how many rows there are at most, where that is known.
    """
    at = F.lit(datetime.now(UTC).replace(tzinfo=None)).cast("timestamp")
    written = rows.withColumns({"run_id": F.lit(run_id), "at": at})
    written = written.select(*[F.col(f"`{c.name}`") for c in QUARANTINE.columns])
    if count is not None and count <= _FEW:
        return append_few(lake, QUARANTINE.name, written, txn)
    return lake.append(QUARANTINE.name, written, txn=txn).rows
