"""Reading quarantined input once more, after its cause was mended: a schema file restored, a rule or a reader improved.

What can be read now goes the way of all changes, and leaves quarantine; what cannot stays there, with today's reason.
Sequence and place make that harmless for rows that came by another way meanwhile. Killed anywhere, run it again.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.engine.context import ActionContext
from jobs.ingest.loading.manifest import Item
from jobs.lake.delta import Lake
from jobs.lake.small_tables import delete_rows
from jobs.schema.ops import QUARANTINE

_PLACE = ("source", "path", "row_no", "run_id")


@dataclass(frozen=True)
class Wanted:
    """Which rows of quarantine are meant; None: all."""

    table: str | None = None
    reason: str | None = None


@dataclass
class Replay:
    """Rows in quarantine that are read once more."""

    places: DataFrame
    """source, object, row_no (null for a whole file), run_id: few, kept in the session."""
    files: frozenset[tuple[str, str]]
    """Source and path of their files."""

    def among(self, items: Iterable[Item], besides: Iterable[Item]) -> list[Item]:
        """Return those of `items` whose rows are wanted, without those that are read in any case."""
        done = {(item.task.source, item.task.path) for item in besides}
        wanted = self.files - done
        return [item for item in items if (item.task.source, item.task.path) in wanted]

    def rows(self, stream: DataFrame) -> DataFrame:
        """Return the wanted rows of a stream: a quarantined row itself, every row of a quarantined file."""
        places = F.broadcast(self.places.select("path", F.col("row_no").alias("place")).distinct())
        whole = F.col("p.place").isNull()
        same = (F.col("s.path") == F.col("p.path")) & (whole | (F.col("s.row_no") == F.col("p.place")))
        return stream.alias("s").join(places.alias("p"), same, "left_semi")

    def done(self, work: ActionContext) -> None:
        """Take the rows out of quarantine that were read: what is still bad is there again, by this run."""
        forget(work, self.places)


def replay_of(work: ActionContext, sources: Iterable[str], listed: Iterable[Item]) -> Replay | None:
    """Return the rows to be read once more, None if the command did not ask for that or there are none.

    Args:
        work: its `options["replay"]` is a `Wanted`.
        sources: kinds of source that this job reads.
        listed: files that can be read now; rows of others stay where they are.
    """
    asked: Wanted | None = work.options.get("replay")
    if asked is None or not work.lake.exists(QUARANTINE.name):
        return None
    rows = chosen(work.lake.scan(QUARANTINE.name), asked).where(F.col("source").isin(list(sources)))
    files = rows.select("source", "path").distinct().collect()  # bounded: files, as the listing is
    found = {(row["source"], row["path"]) for row in files}
    there = {(item.task.source, item.task.path) for item in listed}
    gone = sorted(path for _, path in found - there)
    if gone:
        work.progress(f"{len(gone)} files stay in quarantine, they are gone or no rule fits them: {gone[0]} …")
    readable = found & there
    if not readable:
        return None
    mine = work.spark.createDataFrame(sorted(readable), "source string, path string")
    places = rows.select(*_PLACE).join(F.broadcast(mine), ["source", "path"], "left_semi").localCheckpoint()
    return Replay(places, frozenset(readable))


def chosen(rows: DataFrame, asked: Wanted) -> DataFrame:
    """Return the rows of quarantine that are meant."""
    if asked.table is not None:
        rows = rows.where(F.col("table") == asked.table)
    if asked.reason is not None:
        rows = rows.where(F.col("reason") == asked.reason)
    return rows


def reasons_in(lake: Lake, tables: Iterable[str]) -> dict[str, dict[str, int]]:
    """Return how many rows of each table are in quarantine, by class of fault."""
    found: dict[str, dict[str, int]] = {table: {} for table in tables}
    if found and lake.exists(QUARANTINE.name):
        rows = lake.scan(QUARANTINE.name).where(F.col("table").isin(list(found))).groupBy("table", "reason").count()
        for row in rows.collect():  # bounded: a row a table and class of fault
            found[row["table"]][row["reason"]] = row["count"]
    return found


def forget(work: ActionContext, places: DataFrame) -> None:
    """Delete rows of quarantine by their places."""
    delete_rows(work.lake, QUARANTINE.name, places.distinct(), _PLACE)


def forget_files(work: ActionContext, files: list[tuple[str, str]]) -> None:
    """Delete the rows of quarantine that earlier runs found in files that this run has read again.

    Args:
        work: lake and run id.
        files: source and path of each.
    """
    if not files or not work.lake.exists(QUARANTINE.name):
        return
    mine = F.broadcast(work.spark.createDataFrame(files, "source string, path string"))
    earlier = work.lake.scan(QUARANTINE.name).where(F.col("run_id") != work.run_id)
    forget(work, earlier.join(mine, ["source", "path"], "left_semi").select(*_PLACE))
