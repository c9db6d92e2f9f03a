"""One topic's messages from bronze to its silver table: read, judged, repetitions left out, appended.

In: rows of bronze.kafka that silver does not have yet. Out: rows of the topic's table, bad messages in quarantine.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from jobs.engine.context import ActionContext
from jobs.engine.quarantine import quarantine_frame
from jobs.engine.sources import SCHEME
from jobs.ingest.kafka.archive.dedupe import first_copies
from jobs.ingest.kafka.archive.events import Parsed, Reach, new_rows, parse, topic_tables
from jobs.ingest.loading.replay import forget
from jobs.ingest.loading.tolerance import Excess, is_excess, tolerance
from jobs.schema.bronze_silver import KAFKA
from jobs.schema.ops import QUARANTINE

_NO_FAULTS = {"tombstone", "unknown_event_type", "epoch_directory"}
"""Classes of messages that can be read, and that the topic's table does not take."""
_UNREAD = ("bad_json", "bad_utf8", "bad_avro", "unknown_schema")
"""Classes of messages that cannot be read at all."""
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
    blocked_reason: str | None = None
    """Why the topic is blocked: nothing was applied, the good messages wait in bronze."""
    aside: int = 0
    """Those of the bad that were not in quarantine before."""

    @property
    def pending(self) -> int:
        """Return the messages that wait in bronze since the topic is blocked."""
        return 0 if self.blocked_reason is None else self.total - self.bad


def apply_topic(
    work: ActionContext, topic: str, after: int, newest: int, total: int, was_blocked: bool = False
) -> Done:
    """Bring the messages of a topic to silver that came with the batches after `after`, up to `newest`.

    Args:
        work: lake, settings, checks.
        topic: one that has a table.
        after: newest batch that silver has.
        newest: newest batch of bronze.
        total: messages there are of these batches.
        was_blocked: whether an earlier run blocked it: good messages may be in quarantine since.

    Raises:
        ValidationFailedError: they break a critical expectation.
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
        aside = _quarantine(work, topic, parsed, found["bad"]) if found["bad"] else 0
        why = _excess(work, topic, parsed, found["bad"], total, after) if found["bad"] else None
        if why is not None:
            return Done(total, 0, found["bad"], None, why, aside)
        if was_blocked:
            _release(work, topic, parsed)
        applied = _append(work, parsed, Reach(found["good"], found["days"], found["first"], found["last"]))
    finally:
        parsed.rows.unpersist()
    work.progress(f"{table.name}: {applied:,} of {total:,} messages applied, {found['bad']:,} in quarantine")
    return Done(total, applied, found["bad"], found["ts"], None, aside)


def _append(work: ActionContext, parsed: Parsed, reach: Reach) -> int:
    name = parsed.table.name
    if not reach.rows:
        return 0
    # version 0 is the empty table
    rows = new_rows(parsed, work.lake.scan(name), reach) if work.lake.version(name) else parsed.unique()
    rows = rows.persist(StorageLevel.DISK_ONLY)
    try:
        count = rows.count()
        if count:
            work.validate_table(name, rows)
            # a day is one partition: one task writes it, so that a day has few files
            work.lake.append(name, rows.repartition("ds"))
        return count
    finally:
        rows.unpersist()


def _excess(work: ActionContext, topic: str, parsed: Parsed, bad: int, total: int, after: int) -> str | None:
    """Return why the topic must be blocked; None where what cannot be used is within bounds.

    A topic of which nothing was ever used is blocked when nothing of it can be; later on single messages may be bad.
    """
    allowed = tolerance(work.context.settings.ingest, topic)
    if allowed.ratio >= 1:
        return None
    kinds = parsed.rows.groupBy("path", "reason").count().collect()  # bounded: a row a file and class of fault
    reasons: Counter[str] = Counter()
    for row in kinds:
        if row["reason"] is not None:
            reasons[row["reason"]] += row["count"]
    nothing = after == 0 and bad == total and not set(reasons) <= _NO_FAULTS
    if not (nothing or is_excess(allowed, bad, total) or _has_unread_file(kinds)):
        return None
    excess = Excess(topic, allowed, bad, total)
    return f"kafka:{topic} is blocked: {excess.clause(reasons)}. {excess.remedy}"


def _has_unread_file(kinds: Sequence[Row]) -> bool:
    """Return whether no message of some file of an archive can be read."""
    files = {row["path"] for row in kinds if not row["path"].startswith(SCHEME)}
    return bool(files - {row["path"] for row in kinds if row["reason"] not in _UNREAD})


def _release(work: ActionContext, topic: str, parsed: Parsed) -> None:
    """Take messages out of quarantine that can be used now: they were set aside while the topic was blocked."""
    if work.lake.exists(QUARANTINE.name):
        kept = work.lake.scan(QUARANTINE.name).where((F.col("source") == "kafka") & (F.col("table") == topic))
        good = parsed.rows.where(F.col("reason").isNull()).select("path", "row_no")
        forget(work, kept.join(good, ["path", "row_no"], "left_semi").select("source", "path", "row_no", "run_id"))


def _quarantine(work: ActionContext, topic: str, parsed: Parsed, count: int) -> int:
    """Set bad messages aside, once each: a repetition finds them there; return how many were new."""
    bad: DataFrame = parsed.bad()
    if work.lake.exists(QUARANTINE.name):
        kept = work.lake.scan(QUARANTINE.name).where((F.col("source") == "kafka") & (F.col("table") == topic))
        bad = bad.join(kept.select("path", "row_no"), ["path", "row_no"], "left_anti")
    constants = {"source": F.lit("kafka"), "table": F.lit(topic), "raw": F.substring("value", 1, _KEEP)}
    return quarantine_frame(work.lake, work.run_id, bad.withColumns(constants).coalesce(1), count=count)
