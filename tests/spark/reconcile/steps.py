"""What tests of repairs do: compare, repair, and look at a table's live rows in silver and in bronze."""

from jobs.history.ledger import newest, typed
from jobs.history.table_lineage import lineage_of
from jobs.reconcile.repair import Repair, run
from jobs.reconcile.table import Question, against_lake


def compared(lake, address, table, **more):
    return against_lake(lake, Question(table, **more), address)


def repaired(lake, work, address, table, settings=None, found=None, **more):
    found = found or compared(lake, address, table, **more)
    return run(work(settings=settings, repair=Repair(Question(table, **more), address, found, settled=True))).counts


def live(lake, table):
    return {tuple(row) for row in lake.scan(table).where("not _deleted").drop("_commit_ts", "_op_rank").collect()}


def from_bronze(lake, table):
    """Return the live rows as they come out of the ledger alone."""
    schema = lake.schema(f"silver.{table.replace('.', '_')}")
    rows = typed(newest(lake.scan("bronze.ledger").where(lineage_of(schema, [table]).rows())), schema)
    return {tuple(row) for row in rows.where("not _deleted").drop("_commit_ts", "_op_rank").collect()}
