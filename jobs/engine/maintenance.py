"""Small files joined, scattered keys put in order, old partitions removed, files that no kept version needs deleted.

Nothing that a reader may hold is touched: VACUUM keeps the files of all versions of the last
`maintenance.keep_hours`, which is also how far change feeds and pinned inputs reach back. In a local folder the log and
the files' times tell where OPTIMIZE or VACUUM would find nothing to do: Spark takes seconds to find that out.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from jobs.common.errors import PinlakeError, TableError
from jobs.engine.checkpoints import TableStatus, newest_checkpoints
from jobs.history.ledger import silver_names
from jobs.lake.delta_rs import has_unneeded, is_one_file, local_path
from jobs.lake.layout import layout_of
from jobs.schema.names import quoted, silver_table
from jobs.schema.table import Table
from jobs.schema.tables import TABLES
from jobs.settings.platform import Maintenance

if TYPE_CHECKING:
    from delta.tables import DeltaTable

    from jobs.lake.delta import Lake

_DAY = 86_400_000
"""Milliseconds."""


def maintain(lake: "Lake", settings: Maintenance, today: date | None = None) -> dict[str, dict[str, Any]]:
    """Maintain every table there is; return what was done, by table.

    Args:
        lake: where.
        settings: how long versions stay, how large files grow.
        today: the day retention is counted from. [the newest as-of date or day in the table]

    Returns:
        removed: partitions past retention; joined: small files that became fewer; ordered: whether all files were
        rewritten by ranges of the key; tombstones: rows removed that were deleted at the source long ago; version:
        after it all.

    Raises:
        PinlakeError: a table could not be maintained; the others are.
    """
    spark = lake.spark
    # VACUUM lists folders in as many tasks as this says, 10,000 by default: half a minute for a table of one file
    listing = str(4 * spark.sparkContext.defaultParallelism)
    spark.conf.set("spark.sql.sources.parallelPartitionDiscovery.parallelism", listing)
    # a record of VACUUM in the log would be a new version of a table that has not changed: jobs would run again
    spark.conf.set("spark.databricks.delta.vacuum.logging.enabled", "false")
    silver = _ingested(lake)
    done: dict[str, dict[str, Any]] = {}
    failed: list[tuple[str, Exception]] = []
    for name in [name for name in [*TABLES, *(n for n in sorted(silver) if n not in TABLES)] if lake.exists(name)]:
        try:
            done[name] = _maintained(lake, name, settings, silver.get(name), today)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one table, the other tables go on
            failed.append((name, error))
    for name, fault in failed:
        if isinstance(fault, PinlakeError):
            raise fault
        first = str(fault).strip().split("\n", 1)[0][:500]
        raise TableError(
            f"{name} could not be maintained, {len(done)} other tables are: {type(fault).__name__}: {first}. "
            "Run it again; if it stays so, report this as a bug."
        ) from fault
    return done


def _maintained(
    lake: "Lake", name: str, settings: Maintenance, source: dict[str, Any] | None, today: date | None
) -> dict[str, Any]:
    """Maintain one table; `source` tells how far it is, where it is made from a source table."""
    with lake.commit_lock(name):
        removed = _retire(lake, TABLES[name], today) if name in TABLES else 0
        end = source["checkpoint_ts"] - (settings.tombstone_days * _DAY << 18) if source else 0
        buried = _bury(lake, name, end) if source else 0
        joined, ordered = _lay_out(lake, name, settings, source["keys"] if source else ())
        if not _is_local(lake) or has_unneeded(lake.path(name), time.time() - settings.keep_hours * 3600):
            lake.delta(name).vacuum(settings.keep_hours)
    told = {"removed": removed, "joined": joined, "ordered": ordered, "tombstones": buried}
    return told | {"version": lake.version(name)}


def _ingested(lake: "Lake") -> dict[str, dict[str, Any]]:
    """Return the silver table of each source table, its checkpoint and keys: no registry lists them."""
    rows = [(name, row) for name, row in newest_checkpoints(lake).items() if not name.startswith("kafka:")]
    # a name that is gone may have left its silver table to another one, which comes last
    rows.sort(key=lambda pair: pair[1].status != TableStatus.GONE)
    return {
        silver_table(name): {"checkpoint_ts": row.checkpoint_ts or 0, "keys": row.keys or ()}
        for name, row in rows
        if row.status != TableStatus.NO_SILVER
    }


def _lay_out(lake: "Lake", name: str, settings: Maintenance, key: Sequence[str]) -> tuple[int, bool]:
    """Join small files, or, where changes have scattered a table's keys, write all in the key's order; no row changes.

    Returns:
        by how many the files became fewer, and whether all were written.
    """
    if _is_local(lake) and is_one_file(lake.path(name)):
        return 0, False
    table, size, scattered = lake.delta(name), settings.target_mb << 20, False
    schema = lake.schema(name)
    first = silver_names(schema, key[:1])[0] if key else None
    if first in schema.names and not _clustered(table):
        layout = layout_of(lake.files(name, first))
        size, scattered = layout.file_bytes(), layout.spread() > settings.recluster_share
    lake.spark.conf.set("spark.databricks.delta.optimize.maxFileSize", str(size))
    # files below half the size are worth joining
    lake.spark.conf.set("spark.databricks.delta.optimize.minFileSize", str(size // 2))
    done = (
        table.optimize().executeZOrderBy(quoted(str(first))) if scattered else table.optimize().executeCompaction()
    ).first()
    fewer = int(done["metrics"]["numFilesRemoved"] - done["metrics"]["numFilesAdded"]) if done else 0
    return max(0, fewer), scattered


def _is_local(lake: "Lake") -> bool:
    return local_path(lake.root) is not None


def _clustered(table: "DeltaTable") -> bool:
    told = table.detail().select("clusteringColumns").first()
    return bool(told and told[0])


def _bury(lake: "Lake", name: str, end: int) -> int:
    """Delete tombstones older than `end`; return how many. Late changes of their keys are held against bronze."""
    old = f"_deleted AND _commit_ts < {end}"
    rows = lake.scan(name).where(old).count()
    if rows:
        lake.delta(name).delete(old)
    return rows


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
    frame = lake.scan(name).select(column).distinct()
    yield from (row[0] for row in frame.collect() if row[0] is not None)  # bounded: one row a day that is kept
