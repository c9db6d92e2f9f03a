"""One topic's messages from bronze to its silver table: read, judged, repetitions left out, appended.

In: rows of bronze.kafka that silver does not have yet. Out: rows of the topic's table, bad messages in quarantine.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from jobs.ingest.archive.events import Parsed, Reach, new_rows, parse, topic_tables
from jobs.ingest.archive.repeated import first_copies
from jobs.ingest.intake.tolerance import excess, is_excess, tolerance
from jobs.lake.job import Work
from jobs.lake.ops import QUARANTINE
from jobs.lake.sources import KAFKA

_KEEP = 1 << 20
"""Bytes of a bad message that are kept in quarantine; bronze has it whole."""


@dataclass(frozen=True)
class Done:
    """What one topic's step did. Counts are of messages."""

    total: int
    applied: int
    bad: int
    newest: int | None
    """`ts` of the newest good message, milliseconds since 1970."""


def apply_topic(work: Work, topic: str, after: int, newest: int, total: int) -> Done:
    """Bring the messages of a topic to silver that came with the batches after `after`, up to `newest`.

    Args:
        work: lake, settings, checks.
        topic: one that has a table.
        after: newest batch that silver has.
        newest: newest batch of bronze.
        total: messages there are of these batches.

    Raises:
        SourceError: more of them than allowed cannot be used.
        ValidationFailed: they break a critical expectation.
    """
    settings = work.context.settings.ingest
    table, mine = topic_tables(settings)[topic], work.lake.scan(KAFKA.name).where(F.col("topic") == topic)
    batch = F.col("batch")
    messages = first_copies(mine.where((batch > after) & (batch <= newest)), mine.where(batch <= after))
    parsed = parse(messages, table, settings.topics.get(topic))
    parsed = Parsed(parsed.rows.persist(StorageLevel.DISK_ONLY), table)
    try:
        found = parsed.rows.agg(
            F.count("reason").alias("bad"),
            F.unix_millis(F.max("ts")).alias("ts"),
            F.count_if(F.col("reason").isNull()).alias("good"),
            F.collect_set("ds").alias("days"),
            F.min(table.keys[0]).alias("first"),
            F.max(table.keys[0]).alias("last"),
        ).collect()[0]  # bounded: one row
        if found["bad"]:
            _refuse_excess(work, topic, parsed, found["bad"], total)
            _quarantine(work, topic, parsed)
        applied = _append(work, parsed, Reach(found["good"], found["days"], found["first"], found["last"]))
    finally:
        parsed.rows.unpersist()
    work.progress(f"{table.name}: {applied:,} of {total:,} messages applied, {found['bad']:,} in quarantine")
    return Done(total, applied, found["bad"], found["ts"])


def _append(work: Work, parsed: Parsed, reach: Reach) -> int:
    name = parsed.table.name
    # version 0 is the empty table
    rows = new_rows(parsed, work.lake.scan(name), reach) if work.lake.version(name) else parsed.unique()
    rows = rows.persist(StorageLevel.DISK_ONLY)
    try:
        count = rows.count()
        if count:
            work.judge_table(name, rows)
            # a day is one partition: one task writes it, so that a day has few files
            work.lake.append(name, rows.repartition("ds"))
        return count
    finally:
        rows.unpersist()


def _refuse_excess(work: Work, topic: str, parsed: Parsed, bad: int, total: int) -> None:
    allowed = tolerance(work.context.settings.ingest, topic)
    if is_excess(allowed, bad, total):
        reasons = parsed.bad().groupBy("reason").count().collect()  # bounded: a row a class of fault
        raise excess(topic, allowed, bad, total, {row["reason"]: row["count"] for row in reasons})


def _quarantine(work: Work, topic: str, parsed: Parsed) -> None:
    """Set bad messages aside, once each: a repetition after a crash finds them there."""
    bad: DataFrame = parsed.bad()
    if work.lake.exists(QUARANTINE.name):
        kept = work.lake.scan(QUARANTINE.name).where((F.col("source") == "kafka") & (F.col("table") == topic))
        bad = bad.join(kept.select("object", "row_no"), ["object", "row_no"], "left_anti")
    constants = {"source": F.lit("kafka"), "table": F.lit(topic), "run_id": F.lit(work.run_id)}
    constants |= {"at": F.lit(datetime.now(UTC)), "raw": F.substring("value", 1, _KEEP)}
    rows = bad.withColumns(constants).select(*[column.name for column in QUARANTINE.columns])
    work.lake.append(QUARANTINE.name, rows.coalesce(1))
