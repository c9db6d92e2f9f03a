"""The action that brings Kafka archives and topics on brokers to bronze and silver.

In: `options["kafka"]`, URIs of archive roots (Secor's or Kafka Connect's topics folder) and of brokers. Out:
bronze.kafka, the silver table of each topic the registry knows, ops.objects, ops.quarantine, ops.checkpoints. Every
step may be repeated. Numbers always add up, or the run fails:
read + carried = applied + superseded + other_topics + quarantined.
"""

from collections.abc import Collection, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import functions as F

from jobs.errors import TableError
from jobs.ingest.accounts import Tally
from jobs.ingest.archive.events import TOPICS, topic_tables
from jobs.ingest.archive.gaps import SHOWN, gaps
from jobs.ingest.archive.messages import read_messages
from jobs.ingest.archive.objects import archive_objects
from jobs.ingest.broker.address import SCHEME, Address, addresses, is_broker
from jobs.ingest.broker.intake import take_from_brokers
from jobs.ingest.intake.batches import Intake, Taken, take_in
from jobs.ingest.intake.manifest import Manifest, refuse
from jobs.ingest.intake.replay import replay_of
from jobs.ingest.intake.stream import KAFKA_FIELDS
from jobs.ingest.topics import Done, apply_topic
from jobs.lake.checkpoints import newest_checkpoints
from jobs.lake.delta import Lake
from jobs.lake.job import Outcome, Work
from jobs.lake.ops import CHECKPOINTS
from jobs.lake.sources import KAFKA

INTAKE = Intake(KAFKA.name, KAFKA_FIELDS, read_messages)


def run(work: Work) -> Outcome:
    """Ingest what is new.

    Returns:
        counts: read, carried, applied, superseded, other_topics, quarantined (messages); files, unknown_files,
        overwritten; gaps, ranges of exact offsets that are missing. detail: the first gaps; other_topics, messages by
        topic without a table; unknown_paths, the first of the files that are refused and why; without_topic, sources
        in which no topic has a table.

    Raises:
        SourceError: a folder is missing, two archives hold a file of the same path, brokers cannot be read or have lost
            messages, or more messages than allowed cannot be used.
        EnvironmentMissing: brokers are named, and the connector's jars are not there.
        ValidationFailed: the messages of a topic break a critical expectation.
        TableError: the numbers do not add up.
    """
    for table in TOPICS.values():
        work.lake.ensure(table.name)  # a topic without messages is a table too
    named, settings = work.options.get("kafka") or (), work.context.settings.ingest
    brokers, tables = addresses(named), topic_tables(settings)
    found = archive_objects((uri for uri in named if not is_broker(uri)), settings, tables)
    items = list(found.items.values())
    work.progress(f"{len(items)} files of {len({item.task.table for item in items})} topics")
    manifest = Manifest(work.lake)
    unknown = refuse(work, manifest, "kafka", found.refused) if found.refused else 0
    taken = take_in(work, INTAKE, manifest, items, replay_of(work, ("kafka",), items))
    take_from_brokers(work, manifest, brokers, taken)
    counts, others = apply_messages(work, manifest.last, taken)
    missing, some = gaps(work.lake, taken.batches)
    counts |= {"unknown_files": unknown, "overwritten": taken.overwritten, "gaps": missing}
    detail: dict[str, Any] = {"gaps": [str(gap) for gap in some], "other_topics": others}
    refused = sorted(found.refused.items())[:SHOWN]
    detail["unknown_paths"] = {path: f"{reason}: {why}" for path, (_, reason, why) in refused}
    detail["without_topic"] = [*found.without_topic, *_without_topic(brokers, tables)]
    _say(work, detail)
    return Outcome(counts["applied"], counts, detail=detail)


def _say(work: Work, detail: dict[str, Any]) -> None:
    """Name what a person should know of: missing offsets, files and topics that nothing came of."""
    for gap in detail["gaps"]:
        work.progress(gap)
    for path, why in detail["unknown_paths"].items():
        work.progress(f"{path} was not read: {why}")
    for topic, messages in detail["other_topics"].items():
        work.progress(f"{topic}: {messages:,} messages stay in bronze, the topic has no table")
    for source in detail["without_topic"]:
        work.progress(f"{source}: no topic of it has a table, nothing reaches silver. Name them in ingest.topics")


def apply_messages(work: Work, newest: int, taken: Taken) -> tuple[dict[str, int], dict[str, int]]:
    """Bring to silver what bronze holds and silver does not, topic by topic.

    Returns:
        the counts, and the messages of topics that have no table, by topic.

    Args:
        work: lake and progress.
        newest: newest batch of bronze.
        taken: what this run brought to bronze.
    """
    past, tables = _checkpoints(work.lake), topic_tables(work.context.settings.ingest)
    waiting = _waiting(work.lake, past, taken.batches)
    fresh = sum(count for count, _ in waiting.values())
    if taken.read != fresh + taken.quarantined:
        raise TableError(
            f"bronze.kafka: {taken.read} messages were read, {fresh} are there, {taken.quarantined} are in quarantine. "
            "Every message must be one or the other; silver was not touched, report this as a bug."
        )
    done: list[Done] = []
    for topic in sorted(set(waiting) & set(tables)):
        one = apply_topic(work, topic, past.get(topic, 0), newest, waiting[topic][1])
        superseded, bad = one.total - one.bad - one.applied, one.bad + taken.bad_of[topic]
        tally = Tally(taken.files_of[topic], one.applied, superseded, 0, bad)
        _note(work, topic, past.get(topic), newest, one.newest, tally)
        done.append(one)
    others = {topic: waiting[topic][1] for topic in sorted(set(waiting) - set(tables))}
    for topic, messages in others.items():
        tally = Tally(taken.files_of[topic], superseded=messages, quarantined=taken.bad_of[topic])
        _note(work, topic, past.get(topic), newest, None, tally)
    total = sum(count for _, count in waiting.values())
    known, bad, applied = (sum(getattr(topic, what) for topic in done) for what in ("total", "bad", "applied"))
    counts = {"read": taken.read, "carried": total - fresh, "applied": applied, "superseded": known - bad - applied}
    counts |= {"other_topics": total - known, "quarantined": bad + taken.quarantined, "files": taken.files}
    return counts, others


def _without_topic(brokers: Iterable[Address], tables: Collection[str]) -> list[str]:
    """Return the brokers of which no topic that has a table is wanted."""
    return [f"{SCHEME}{one.servers}/{','.join(one.topics)}" for one in brokers if not set(one.topics) & set(tables)]


def _checkpoints(lake: Lake) -> dict[str, int]:
    """Return the newest bronze batch in silver, by topic."""
    newest = newest_checkpoints(lake).items()
    return {name.removeprefix("kafka:"): row["batch"] for name, row in newest if name.startswith("kafka:")}


def _waiting(lake: Lake, past: dict[str, int], batches: list[int]) -> dict[str, tuple[int, int]]:
    """Return by topic the messages that came in this run, and all that are not in silver yet."""
    if not lake.exists(KAFKA.name):
        return {}
    rows = lake.scan(KAFKA.name).select("topic", "batch")
    floor = F.lit(0)
    for topic, batch in sorted(past.items()):
        floor = F.when(F.col("topic") == topic, F.lit(batch)).otherwise(floor)
    left = rows.where(F.col("batch") > floor).groupBy("topic")
    found = left.agg(F.count_if(F.col("batch").isin(batches)).alias("fresh"), F.count(F.lit(1)).alias("total"))
    return {r["topic"]: (r["fresh"], r["total"]) for r in found.collect()}  # bounded: a row a topic


def _note(work: Work, topic: str, before: int | None, newest: int, ts: int | None, tally: Tally) -> None:
    if before is not None and before >= newest:
        return
    row: dict[str, Any] = {"table": f"kafka:{topic}", "checkpoint_ts": (ts or 0) << 18, "batch": newest}
    table = topic_tables(work.context.settings.ingest).get(topic)
    row |= {"keys": list(table.keys) if table else [], "run_id": work.run_id}
    work.lake.append_rows(CHECKPOINTS.name, [row | asdict(tally) | {"at": datetime.now(UTC)}])
