"""Changes of tables on the low protocol by delta-rs, where the driver can hold them: Spark plans queries for a commit.

On a lake that is not in a local folder Spark does the same.
"""

from collections.abc import Sequence

from pyspark.sql import DataFrame

from jobs.lake import delta_rs as direct
from jobs.lake.delta import Lake


def append_few(lake: Lake, name: str, rows: DataFrame, txn: tuple[str, int] | None = None) -> int:
    """Append few rows in one commit; return how many, 0 where the transaction had been committed before.

    Args:
        lake: where the table is.
        name: a registered table.
        rows: in its columns; the driver holds them.
        txn: application and version.
    """
    if not lake.delta_rs_ok(name):
        return lake.append(name, rows, txn=txn).rows
    lake.ensure(name)
    found = rows.toArrow()  # bounded: as the caller knows
    with lake.commit_lock(name):
        if txn is not None and direct.is_committed(lake.path(name), txn):
            return 0
        direct.append_table(lake.path(name), found, "{}", txn)
    return found.num_rows


def delete_rows(lake: Lake, name: str, places: DataFrame, key: Sequence[str]) -> None:
    """Delete rows of a table by their places, in one commit.

    Args:
        lake: where the table is.
        name: a registered table.
        places: distinct values of the key columns, of rows that the table has.
        key: the columns that tell rows apart; nulls are values too.
    """
    if lake.delta_rs_ok(name) and lake.bytes(name) <= lake.collect_bytes:
        some = places.select(*key).toArrow()  # bounded: they are rows of a small table
        with lake.commit_lock(name):
            direct.delete_rows(lake.path(name), some, key)
        return
    merge = lake.delta(name).alias("t").merge(places.alias("p"), " AND ".join(f"t.{c} <=> p.{c}" for c in key))
    with lake.commit_lock(name):
        merge.whenMatchedDelete().execute()
