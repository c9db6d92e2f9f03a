"""Taking source files into bronze exactly once: manifest, batches, one commit a batch.

A batch is read, written into the manifest (`ops.source_files`, status planned), and again (status committed) after its
rows are committed. A run that finds planned batches reads exactly those files again under the same transaction
number: what had been committed is skipped by Delta, what had not is written. A crash between two commits is harmless.
Transaction numbers carry the run's id and are never used for other content.
"""

import math
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from jobs.common.errors import TableError
from jobs.engine.context import ActionContext
from jobs.engine.quarantine import quarantine_frame
from jobs.ingest.loading.blocks import BlockSplitter, Reader, read_in_blocks
from jobs.ingest.loading.manifest import COMMITTED, PLANNED, Count, Item, Manifest, note, vanished
from jobs.ingest.loading.replay import Replay, forget_files
from jobs.ingest.loading.storage import read
from jobs.ingest.loading.stream import BAD, CHANGE, FILE, RejectedRows, Task, arrow_schema, ending, spark_schema
from jobs.ingest.loading.tolerance import tolerance

READER_ERROR = "reader_error"
"""Why a whole file is in quarantine that a reader broke down on: a bug."""

_PROBED = 20
"""Files of one table that are looked at again in each run, where nothing of them could be read."""


@dataclass(frozen=True)
class BronzeTarget:
    """Where one kind of source goes."""

    bronze: str
    fields: Mapping[str, pa.DataType]
    """Columns of the stream that are bronze's own."""
    read: Reader
    splitter_for: Callable[[Any], BlockSplitter | None] = lambda _: None
    """Returns the splitter of files whose task has this spec; None where they are read whole."""


@dataclass
class LoadResult:
    """What was taken in. Counts are of changes or messages."""

    read: int = 0
    quarantined: int = 0
    files: int = 0
    overwritten: int = 0
    batches: list[int] = field(default_factory=list)
    files_of: Counter[str] = field(default_factory=Counter)
    """Files by table or topic."""
    bad_of: Counter[str] = field(default_factory=Counter)
    """Rows quarantined by table or topic."""


def load_to_bronze(
    work: ActionContext, intake: BronzeTarget, manifest: Manifest, items: list[Item], replay: Replay | None = None
) -> LoadResult:
    """Bring files into bronze, those of an interrupted run first.

    Args:
        work: lake, settings, run id.
        intake: which bronze table, and how files are read.
        manifest: the files known; its newest batch is brought up to date.
        items: every file of this kind that may be read now, taken before or not.
        replay: rows in quarantine to be read once more.

    """
    taken = LoadResult()
    listed = {(item.task.source, item.task.path): item for item in items}
    settle_vanished(work, intake, manifest, items)
    for (run_id, number), keys in sorted(manifest.unfinished().items()):
        again = [listed[key] for key in keys if key in listed]
        if again:
            work.progress(f"finishing batch {number} of an interrupted run: {len(again)} files")
            _take(work, intake, _Batch(again, run_id, number, planned=True), taken, manifest)
    new = manifest.new(items)
    taken.overwritten = sum(manifest.overwritten(item) for item in new)
    new += _mended(work, intake, manifest, items)
    flawed = {key for key, entry in manifest.entries.items() if entry.bad}
    once_more = replay.among(items, new) if replay else []
    for some, only in ((new, None), (once_more, replay)):
        for files in _batches(some, work.context.settings.ingest.batch_mb << 20):
            manifest.last += 1
            _take(work, intake, _Batch(files, work.run_id, manifest.last, replay=only), taken, manifest)
            work.progress(f"{taken.files} of {len(new) + len(once_more)} files in {intake.bronze}, {taken.read:,} rows")
    if replay:
        replay.done(work)
    forget_files(work, [key for item in new if (key := (item.task.source, item.task.path)) in flawed])
    return taken


def _mended(work: ActionContext, intake: BronzeTarget, manifest: Manifest, items: list[Item]) -> list[Item]:
    """Return the files of which no row could be read and some can now: a schema file or a setting was mended.

    Of each table only its smallest files are looked at; where one of them is better, all are read again.
    """
    settings = work.context.settings.ingest
    stuck = [item for item in items if manifest.is_unreadable(item) and tolerance(settings, item.task.table).ratio < 1]
    stuck.sort(key=lambda item: (item.task.table, item.file.size, item.task.path))
    some = [item for _, mine in groupby(stuck, key=lambda item: item.task.table) for item in islice(mine, _PROBED)]
    if not some:
        return []
    counts = _counts(_stream(work, intake, [item.task for item in some]))
    better = {item.task.table for item in some if (count := counts.get(item.task.path)) and count.bad < count.found}
    return [item for item in stuck if item.task.table in better]


def settle_vanished(work: ActionContext, intake: BronzeTarget, manifest: Manifest, items: list[Item]) -> None:
    """Find out what became of files that an interrupted run had begun with and that are gone.

    Args:
        work: lake and run id.
        intake: which bronze table they went to.
        manifest: the files known.
        items: every file of this kind that is there.
    """
    listed = {(item.task.source, item.task.path) for item in items}
    sources = {item.task.source for item in items}
    for (_, number), keys in sorted(manifest.unfinished().items()):
        gone = [key for key in keys if key not in listed and key[0] in sources]
        if gone:
            vanished(work, manifest, intake.bronze, gone, number)


def _batches(items: list[Item], limit: int) -> Iterator[list[Item]]:
    batch: list[Item] = []
    size = 0
    for item in items:
        if batch and size + item.file.size > limit:
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += item.file.size
    if batch:
        yield batch


@dataclass(frozen=True)
class _Batch:
    """Files that come in by one commit."""

    items: list[Item]
    run_id: str
    """Of the run that planned it."""
    number: int
    planned: bool = False
    """Whether the manifest knows of it."""
    replay: Replay | None = None
    """Which rows to keep, where only some are wanted."""


def _take(work: ActionContext, intake: BronzeTarget, batch: _Batch, taken: LoadResult, manifest: Manifest) -> None:
    stream = _stream(work, intake, [item.task for item in batch.items]).persist(StorageLevel.DISK_ONLY)
    try:
        counts = _counts(stream)
        kept_stream = _without_broken(stream, counts)
        wanted = batch.replay.rows(kept_stream) if batch.replay else kept_stream
        kept = _counts(wanted, whole=False) if batch.replay else counts
        if not batch.planned:
            note(work, batch.items, {}, PLANNED, batch.run_id, batch.number)
        _commit(work, intake, wanted, batch, sum(count.bad for count in kept.values()))
        note(work, batch.items, counts, COMMITTED, batch.run_id, batch.number)
        manifest.taken(batch.items, counts, batch.run_id, batch.number)
    finally:
        stream.unpersist()
    for item in batch.items:
        count = kept.get(item.task.path, Count(0, 0))
        taken.read += count.found
        taken.quarantined += count.bad
        taken.bad_of[item.task.table] += count.bad
        taken.files_of[item.task.table] += 1
    taken.files += len(batch.items)
    taken.batches.append(batch.number)


def _commit(work: ActionContext, intake: BronzeTarget, stream: DataFrame, batch: _Batch, bad: int) -> None:
    transaction = (f"ingest:{batch.run_id}", batch.number)
    placed = {"run_id": F.lit(batch.run_id), "batch": F.lit(batch.number).cast("bigint")}
    good = stream.where(F.col("kind") == CHANGE).withColumns(placed)
    work.lake.append(intake.bronze, _shaped(good, intake.bronze), txn=transaction, note={"batch": batch.number})
    if bad:
        refused = stream.where(F.col("kind") == BAD)
        quarantine_frame(work.lake, batch.run_id, refused, txn=transaction, count=bad)


def _stream(work: ActionContext, intake: BronzeTarget, tasks: list[Task]) -> DataFrame:
    """Return the stream of all files: one Spark task a group of files of one table, nothing read on the driver."""
    groups = _groups(tasks, work.context.settings.ingest.task_mb << 20)
    schema = arrow_schema(intake.fields)
    limit = work.context.settings.ingest.block_mb << 20

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                for task in groups[number]:
                    yield from _read(task, intake, schema, limit)

    places = work.spark.range(0, len(groups), 1, len(groups))
    return places.mapInArrow(run, spark_schema(intake.fields))


def _groups(tasks: list[Task], limit: int) -> list[list[Task]]:
    """Return the files grouped by table, each group near `limit` bytes; large files first, so that groups are even."""
    groups: list[list[Task]] = []
    for table in sorted({task.table for task in tasks}):
        mine = sorted((t for t in tasks if t.table == table), key=lambda t: (-t.size, t.path))
        bins: list[list[Task]] = [[] for _ in range(max(1, math.ceil(sum(t.size for t in mine) / limit)))]
        loads = [0] * len(bins)
        for task in mine:
            place = loads.index(min(loads))
            bins[place].append(task)
            loads[place] += task.size
        groups += bins
    # the largest first, so that the last task to run is a small one
    return sorted(groups, key=lambda group: -sum(task.size for task in group))


def _read(task: Task, intake: BronzeTarget, schema: pa.Schema, limit: int) -> Iterator[pa.RecordBatch]:
    bad = RejectedRows()
    splitter = intake.splitter_for(task.spec) if task.size > limit else None
    try:
        if splitter is not None:
            yield from read_in_blocks(task, intake.read, splitter, limit)
            return
        content = read(task.root, task.path)
    except OSError as error:  # of a file read in blocks, what came before is good
        bad.add(None, "unreadable_file", str(error), None)
    except Exception as error:  # noqa: BLE001 - a reader that breaks down on one file does not end the others' batch
        bad.add(None, READER_ERROR, _bug(error), None)
    else:
        try:
            yield from intake.read(task, content)
            return
        except Exception as error:  # noqa: BLE001 - the same
            bad.add(None, READER_ERROR, _bug(error), None)
    yield from ending(schema, task, 1, bad)


def _bug(error: Exception) -> str:
    at = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(at.filename).name}, line {at.lineno}"
    return f"{type(error).__name__}: {error} ({place}). This is a bug of the reader: report it, then replay the file."


def _without_broken(stream: DataFrame, counts: Mapping[str, Count]) -> DataFrame:
    """Return the stream without what readers handed back of files that they then broke down on."""
    broken = [name for name, count in counts.items() if count.broken]
    if not broken:
        return stream
    return stream.where(~F.col("path").isin(broken) | (F.col("reason") == READER_ERROR))


def _counts(stream: DataFrame, whole: bool = True) -> dict[str, Count]:
    """Return the rows of each file, good and bad.

    Args:
        stream: what the readers handed back.
        whole: whether it has all rows of its files; TableError then, if rows found are not rows kept plus rows refused.
    """
    kind = F.col("kind")
    sums = [F.count_if(kind == k).alias(name) for k, name in ((CHANGE, "good"), (BAD, "bad"))]
    sums.append(F.count_if(F.col("reason") == READER_ERROR).alias("broken"))
    told = F.sum(F.when(kind == FILE, F.col("rows"))).alias("told")
    counts: dict[str, Count] = {}
    for row in stream.groupBy("path").agg(*sums, told).collect():  # bounded: a row a file of the batch
        found = row["good"] + row["bad"]
        if row["broken"]:  # the file counts as one row, whatever came of it
            counts[row["path"]] = Count(1, 1, broken=True)
            continue
        if whole and row["told"] != found:
            raise TableError(
                f"{row['path']}: {row['told']} rows were found, {row['good']} kept and {row['bad']} refused. "
                "Every row must be one or the other: nothing was committed, report this as a bug."
            )
        counts[row["path"]] = Count(found, row["bad"])
    return counts


def _shaped(rows: DataFrame, name: str) -> DataFrame:
    from jobs.schema.tables import table

    known = table(name)
    renamed = rows.withColumn("topic", F.col("table")) if "topic" in (c.name for c in known.columns) else rows
    return renamed.select(*[F.col(f"`{column.name}`") for column in known.columns])
