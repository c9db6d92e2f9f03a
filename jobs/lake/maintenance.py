"""Small files joined, partitions past their retention removed, files that no kept version needs deleted.

Nothing that a reader may hold is touched: VACUUM keeps the files of all versions of the last
`maintenance.keep_hours`, which is also how far change feeds and pinned inputs reach back.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from jobs.config.maintenance import Maintenance
from jobs.lake.table import Table
from jobs.lake.tables import TABLES

if TYPE_CHECKING:
    from jobs.lake.delta import Lake


def maintain(lake: "Lake", settings: Maintenance, today: date | None = None) -> dict[str, dict[str, Any]]:
    """Maintain every registered table there is; return what was done, by table.

    Args:
        lake: where.
        settings: how long versions stay, how large files grow.
        today: the day retention is counted from. [the newest cut or day in the table]

    Returns:
        removed: partitions past retention; joined: small files that became fewer; version: after it all.
    """
    spark = lake.spark
    spark.conf.set("spark.databricks.delta.optimize.maxFileSize", str(settings.target_mb << 20))
    # files below half the target are worth joining
    spark.conf.set("spark.databricks.delta.optimize.minFileSize", str(settings.target_mb << 19))
    # VACUUM lists folders in as many tasks as this says, 10,000 by default: half a minute for a table of one file
    listing = str(4 * spark.sparkContext.defaultParallelism)
    spark.conf.set("spark.sql.sources.parallelPartitionDiscovery.parallelism", listing)
    # a record of VACUUM in the log would be a new version of a table that has not changed: jobs would run anew
    spark.conf.set("spark.databricks.delta.vacuum.logging.enabled", "false")
    done = {}
    for known in [known for known in TABLES.values() if lake.exists(known.name)]:
        with lake.committing(known.name):
            removed = _retire(lake, known, today)
            joined = lake.delta(known.name).optimize().executeCompaction().first()
            lake.delta(known.name).vacuum(settings.keep_hours)
        metrics = joined["metrics"] if joined else None
        done[known.name] = {
            "removed": removed,
            "joined": int(metrics["numFilesRemoved"] - metrics["numFilesAdded"]) if metrics else 0,
            "version": lake.version(known.name),
        }
    return done


def _retire(lake: "Lake", known: Table, today: date | None) -> int:
    """Delete partitions of days more than the table's retention before the newest; only whole files go."""
    day = next((name for name in known.partition if name in {"as_of", "ds"}), None)
    if day is None:
        return 0
    days = sorted(_days(lake, known.name, day))
    if not days:
        return 0
    last = (today or days[-1]) - timedelta(days=known.retention_days)
    old = [one for one in days if one < last]
    if old:
        lake.delta(known.name).delete(f"{day} < DATE'{last}'")
    return len(old)


def _days(lake: "Lake", name: str, column: str) -> Iterator[date]:
    frame = lake.spark.read.format("delta").load(lake.path(name)).select(column).distinct()
    yield from (row[0] for row in frame.collect() if row[0] is not None)  # bounded: one row a day that is kept
