"""The action that brings Kafka archives to bronze and silver.

In: `options["kafka"]`, URIs of archive roots (Secor's or Kafka Connect's topics folder). Out: bronze.kafka, the silver
table of each topic the registry knows, ops.objects, ops.quarantine, ops.checkpoints. Every step may be repeated.
Numbers always add up, or the run fails: read + carried = applied + superseded + other_topics + quarantined.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from jobs.errors import SourceError, TableError
from jobs.ingest.accounts import Tally
from jobs.ingest.archive.events import TOPICS, Parsed, new_rows, parse
from jobs.ingest.archive.gaps import gaps
from jobs.ingest.archive.layouts import Archived, Refused, classify, side_files
from jobs.ingest.archive.messages import read_messages
from jobs.ingest.intake.batches import Intake, Taken, take_in
from jobs.ingest.intake.manifest import Item, Manifest, refuse
from jobs.ingest.intake.replay import replay_of
from jobs.ingest.intake.storage import listing
from jobs.ingest.intake.stream import KAFKA_FIELDS, Task
from jobs.ingest.intake.tolerance import excess, is_excess, tolerance
from jobs.lake.checkpoints import newest_checkpoints
from jobs.lake.delta import Lake
from jobs.lake.job import Outcome, Work
from jobs.lake.ops import CHECKPOINTS, QUARANTINE
from jobs.lake.sources import KAFKA

INTAKE = Intake(KAFKA.name, KAFKA_FIELDS, read_messages)
_KEEP = 1 << 20
"""Bytes of a bad message that are kept in quarantine; bronze has it whole."""


@dataclass(frozen=True)
class _Topic:
    """What one topic's step did. Counts are of messages."""

    total: int
    applied: int
    bad: int


def run(work: Work) -> Outcome:
    """Ingest what is new.

    Returns:
        counts: read, carried, applied, superseded, other_topics, quarantined (messages); files, unknown_files,
        overwritten; gaps, ranges of exact offsets that are missing. detail: the first of them.

    Raises:
        SourceError: a folder is missing, two archives hold a file of the same path, or more messages than allowed
            cannot be used.
        ValidationFailed: the messages of a topic break a critical expectation.
        TableError: the numbers do not add up.
    """
    for table in TOPICS.values():
        work.lake.ensure(table.name)  # a topic without messages is a table too
    items, refused = _listed(work.options.get("kafka") or ())
    work.progress(f"{len(items)} files of {len({item.task.table for item in items})} topics")
    manifest = Manifest(work.lake)
    unknown = refuse(work, manifest, "kafka", refused) if refused else 0
    taken = take_in(work, INTAKE, manifest, items, replay_of(work, ("kafka",), items))
    counts = apply_messages(work, manifest.last, taken)
    missing, some = gaps(work.lake, taken.batches)
    for gap in some:
        work.progress(str(gap))
    counts |= {"unknown_files": unknown, "overwritten": taken.overwritten, "gaps": missing}
    return Outcome(counts["applied"], counts, detail={"gaps": [str(gap) for gap in some]})


def apply_messages(work: Work, newest: int, taken: Taken) -> dict[str, int]:
    """Bring to silver what bronze holds and silver does not, topic by topic; return the counts.

    Args:
        work: lake and progress.
        newest: newest batch of bronze.
        taken: what this run brought to bronze.
    """
    past = _checkpoints(work.lake)
    waiting = _waiting(work.lake, past, taken.batches)
    fresh = sum(count for count, _ in waiting.values())
    if taken.read != fresh + taken.quarantined:
        raise TableError(
            f"bronze.kafka: {taken.read} messages were read, {fresh} are there, {taken.quarantined} are in quarantine. "
            "Every message must be one or the other; silver was not touched, report this as a bug."
        )
    done = [_topic(work, topic, past, newest, taken) for topic in sorted(waiting) if topic in TOPICS]
    for topic in sorted(set(waiting) - set(TOPICS)):
        tally = Tally(taken.files_of[topic], superseded=waiting[topic][1], quarantined=taken.bad_of[topic])
        _note(work, topic, past.get(topic), newest, None, tally)
    total = sum(count for _, count in waiting.values())
    known, bad, applied = (sum(getattr(topic, what) for topic in done) for what in ("total", "bad", "applied"))
    counts = {"read": taken.read, "carried": total - fresh, "applied": applied, "superseded": known - bad - applied}
    return counts | {"other_topics": total - known, "quarantined": bad + taken.quarantined, "files": taken.files}


def _listed(roots: Iterable[str]) -> tuple[list[Item], dict[str, tuple[int, str, str]]]:
    items: dict[str, Item] = {}
    refused: dict[str, tuple[int, str, str]] = {}
    for root in roots:
        files = listing(root, "Kafka archive")
        paths = {file.path for file in files}
        for file in files:
            what = _beside(classify(file.path), file.path, paths)
            if isinstance(what, Refused):
                refused[file.path] = (file.size, what.reason, what.detail)
            elif isinstance(what, Archived):
                if file.path in items:
                    raise SourceError(
                        f"{file.path} is in {items[file.path].task.root} and in {root}: archives ingested together "
                        "must not share paths. Ingest them into different lakes, or leave one out."
                    )
                items[file.path] = Item(file, Task("kafka", root, file.path, file.size, what.topic, what))
    return list(items.values()), refused


def _beside(what: Archived | Refused | None, path: str, paths: set[str]) -> Archived | Refused | None:
    """Return what a file is, with the files beside it that have its messages' keys and headers."""
    if not isinstance(what, Archived) or what.layout != "connect":
        return what
    keys, headers = (side if side in paths else None for side in side_files(path))
    return replace(what, keys=keys, headers=headers)


def _checkpoints(lake: Lake) -> dict[str, int]:
    """Return the newest bronze batch in silver, by topic."""
    newest = newest_checkpoints(lake).items()
    return {name.removeprefix("kafka:"): row["batch"] for name, row in newest if name.startswith("kafka:")}


def _waiting(lake: Lake, past: dict[str, int], batches: list[int]) -> dict[str, tuple[int, int]]:
    """Return by topic the messages that came in this run, and all that are not in silver yet."""
    if not lake.exists(KAFKA.name):
        return {}
    rows = lake.read(KAFKA.name).select("topic", "batch")
    floor = F.lit(0)
    for topic, batch in sorted(past.items()):
        floor = F.when(F.col("topic") == topic, F.lit(batch)).otherwise(floor)
    left = rows.where(F.col("batch") > floor).groupBy("topic")
    found = left.agg(F.count_if(F.col("batch").isin(batches)).alias("fresh"), F.count(F.lit(1)).alias("total"))
    return {r["topic"]: (r["fresh"], r["total"]) for r in found.collect()}  # bounded: a row a topic


def _topic(work: Work, topic: str, past: dict[str, int], newest: int, taken: Taken) -> _Topic:
    table, before = TOPICS[topic], past.get(topic)
    mine = (F.col("topic") == topic) & (F.col("batch") > (before or 0)) & (F.col("batch") <= newest)
    parsed = parse(work.lake.read(KAFKA.name).where(mine), table)
    parsed = Parsed(parsed.rows.persist(StorageLevel.DISK_ONLY), table)
    try:
        found = parsed.rows.agg(
            F.count(F.lit(1)).alias("total"),
            F.count("reason").alias("bad"),
            F.max(F.when(F.col("reason").isNull(), F.unix_millis("ts"))).alias("ts"),
            F.collect_set(F.when(F.col("reason").isNull(), F.col("ds"))).alias("days"),
        ).collect()[0]  # bounded: one row
        if found["bad"]:
            _refuse_excess(work, topic, parsed, found["bad"], found["total"])
            _quarantine(work, topic, parsed)
        applied = _append(work, parsed, found["days"])
    finally:
        parsed.rows.unpersist()
    bad, superseded = found["bad"] + taken.bad_of[topic], found["total"] - found["bad"] - applied
    _note(work, topic, before, newest, found["ts"], Tally(taken.files_of[topic], applied, superseded, 0, bad))
    work.progress(f"{table.name}: {applied:,} of {found['total']:,} messages applied, {found['bad']:,} in quarantine")
    return _Topic(found["total"], applied, found["bad"])


def _append(work: Work, parsed: Parsed, days: list[date]) -> int:
    name, rows = parsed.table.name, parsed.unique()
    if work.lake.version(name):  # version 0 is the empty table
        rows = new_rows(rows, parsed.table, work.lake.read(name), days)
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
        kept = work.lake.read(QUARANTINE.name).where((F.col("source") == "kafka") & (F.col("table") == topic))
        bad = bad.join(kept.select("object", "row_no"), ["object", "row_no"], "left_anti")
    constants = {"source": F.lit("kafka"), "table": F.lit(topic), "run_id": F.lit(work.run_id)}
    constants |= {"at": F.lit(datetime.now(UTC)), "raw": F.substring("value", 1, _KEEP)}
    rows = bad.withColumns(constants).select(*[column.name for column in QUARANTINE.columns])
    work.lake.append(QUARANTINE.name, rows.coalesce(1))


def _note(work: Work, topic: str, before: int | None, newest: int, ts: int | None, tally: Tally) -> None:
    if before is not None and before >= newest:
        return
    row: dict[str, Any] = {"table": f"kafka:{topic}", "checkpoint_ts": (ts or 0) << 18, "batch": newest}
    row |= {"keys": list(TOPICS[topic].keys) if topic in TOPICS else [], "run_id": work.run_id}
    work.lake.append_rows(CHECKPOINTS.name, [row | asdict(tally) | {"at": datetime.now(UTC)}])
