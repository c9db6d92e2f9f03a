"""The action that brings Kafka archives and topics on brokers to bronze and silver.

In: `options["kafka"]`, URIs of archive roots (Secor's or Kafka Connect's topics folder) and of brokers. Out:
bronze.kafka, the silver table of each topic in the registry, ops.source_files, ops.quarantine, ops.checkpoints. Every
step may be repeated. Numbers always add up, or the run fails:
read + backlog = applied + superseded + other_topics + pending + quarantined.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import functions as F

from jobs.engine.checkpoints import Checkpoint, TableRunStats, TableStatus, append_checkpoints, newest_checkpoints
from jobs.engine.context import ActionContext, ActionResult
from jobs.engine.sources import SCHEME, is_broker
from jobs.ingest.kafka.archive.events import TOPICS, topic_tables
from jobs.ingest.kafka.archive.gaps import SHOWN, gaps
from jobs.ingest.kafka.archive.messages import read_messages
from jobs.ingest.kafka.archive.objects import archive_objects, topic_of
from jobs.ingest.kafka.broker.address import Address, addresses
from jobs.ingest.kafka.broker.load import take_from_brokers
from jobs.ingest.kafka.topics import Done, apply_topic
from jobs.ingest.loading.batches import BronzeTarget, LoadResult, load_to_bronze
from jobs.ingest.loading.manifest import Item, Manifest, refuse
from jobs.ingest.loading.replay import reasons_in, replay_of
from jobs.ingest.loading.stream import KAFKA_FIELDS
from jobs.ingest.loading.tolerance import excesses
from jobs.ingest.row_accounting import as_failure, assert_complete
from jobs.lake.delta import Lake
from jobs.schema.bronze_silver import KAFKA

INTAKE = BronzeTarget(KAFKA.name, KAFKA_FIELDS, read_messages)


def run(work: ActionContext) -> ActionResult:
    """Ingest what is new.

    Returns:
        counts: read, backlog, applied, superseded, other_topics, pending, quarantined (messages); files, unknown_files,
        overwritten; blocked, topics; gaps, ranges of exact offsets that are missing. detail: the first gaps; blocked,
        the reason by topic; other_topics, messages by topic without a table; unknown_paths, the first of the refused
        files and why; without_topic, sources in which no topic has a table.

    Raises:
        SourceError: a folder is missing, two archives hold a file of the same path, brokers cannot be read or have lost
            messages.
        MissingDependencyError: brokers are named, and the connector's jars are not there.
        ValidationFailedError: the messages of a topic break a critical expectation.
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
    taken = load_to_bronze(work, INTAKE, manifest, items, replay_of(work, ("kafka",), items))
    take_from_brokers(work, manifest, brokers, taken)
    blocked = _unreadable(work, manifest, items)
    counts, others = apply_messages(work, manifest, taken, blocked)
    missing, some = gaps(work.lake, taken.batches)
    counts |= {"unknown_files": unknown, "overwritten": taken.overwritten, "gaps": missing}
    refused = {path: f"{reason}: {why}" for path, (_, reason, why) in sorted(found.refused.items())[:SHOWN]}
    if refused and not items and not brokers:
        first = next(iter(refused.items()))
        blocked["kafka"] = (
            f"no file of {', '.join(named)} can be read: {len(found.refused)}, such as {': '.join(first)}"
        )
    detail: dict[str, Any] = {"gaps": [str(gap) for gap in some], "blocked": blocked, "other_topics": others}
    detail["unknown_paths"] = refused
    detail["without_topic"] = [*found.without_topic, *_without_topic(brokers, tables)]
    _say(work, detail)
    return ActionResult(counts["applied"], counts | {"blocked": len(blocked)}, detail=detail)


def _unreadable(work: ActionContext, manifest: Manifest, items: Iterable[Item]) -> dict[str, str]:
    """Return why topics are blocked of which too much could not be read as files."""
    settings = work.context.settings.ingest
    known = topic_tables(settings)
    tables = {(item.task.source, item.task.path): item.task.table for item in items}
    for (source, path), entry in manifest.entries.items():
        gone = source == "kafka" and entry.bad and entry.rows and (source, path) not in tables
        topic = topic_of(path, settings, known) if gone else None
        if topic is not None:
            tables[source, path] = topic
    found = excesses(settings, tables, manifest.entries)
    reasons = reasons_in(work.lake, found)
    return {t: f"kafka:{t} is blocked: {one.clause(reasons[t])}. {one.remedy}" for t, one in found.items()}


def _say(work: ActionContext, detail: dict[str, Any]) -> None:
    """Name what a person should know of: missing offsets, files and topics that nothing came of."""
    for gap in detail["gaps"]:
        work.progress(gap)
    for path, why in detail["unknown_paths"].items():
        work.progress(f"{path} was not read: {why}")
    for topic, messages in detail["other_topics"].items():
        work.progress(f"{topic}: {messages:,} messages stay in bronze, the topic has no table")
    for source in detail["without_topic"]:
        work.progress(f"{source}: no topic of it has a table, nothing reaches silver. Name them in ingest.topics")


def apply_messages(
    work: ActionContext, manifest: Manifest, taken: LoadResult, blocked: dict[str, str] | None = None
) -> tuple[dict[str, int], dict[str, int]]:
    """Bring to silver what bronze holds and silver does not, topic by topic.

    Returns:
        the counts, and the messages of topics that have no table, by topic.

    Args:
        work: lake and progress.
        manifest: the files known, this run's included.
        taken: what this run brought to bronze.
        blocked: why topics are blocked; topics are added whose messages cannot be used.
    """
    blocked = {} if blocked is None else blocked
    past, tables = _checkpoints(work.lake), topic_tables(work.context.settings.ingest)
    # where every batch is in the silver of every topic, there is nothing to look for
    none_new = not taken.batches and manifest.newest_batch(from_kafka=True) <= min(past.values(), default=-1)
    waiting = {} if none_new else _waiting(work.lake, past, taken.batches)
    fresh = sum(count for count, _ in waiting.values())
    assert_complete("bronze.kafka", "messages", taken, fresh)
    step = _Step(work, manifest.last, taken, blocked, newest_checkpoints(work.lake))
    done, failed = [], []
    for topic in sorted((set(waiting) | set(blocked)) & set(tables)):
        try:
            done.append(step.apply(topic, past.get(topic, 0), waiting.get(topic, (0, 0))[1]))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one topic, the other topics go on
            failed.append(as_failure(tables[topic].name, f"topic {topic}", error))
    others = {topic: waiting[topic][1] for topic in sorted(set(waiting) - set(tables))}
    step.note_others(set(waiting), others)
    if failed:
        raise failed[0]
    total = sum(count for _, count in waiting.values())
    known, bad, applied, pending = (
        sum(getattr(one, n) for one in done) for n in ("total", "bad", "applied", "pending")
    )
    counts = {"read": taken.read, "backlog": total - fresh, "applied": applied}
    counts |= {"superseded": known - bad - applied - pending, "pending": pending}
    counts |= {"other_topics": total - known, "quarantined": bad + taken.quarantined, "files": taken.files}
    return counts, others


def _without_topic(brokers: Iterable[Address], tables: Collection[str]) -> list[str]:
    """Return the brokers of which no topic that has a table is wanted."""
    return [f"{SCHEME}{one.servers}/{','.join(one.topics)}" for one in brokers if not set(one.topics) & set(tables)]


@dataclass(frozen=True)
class _Step:
    """What one run does for its topics, one after another, and notes of them."""

    work: ActionContext
    newest: int
    taken: LoadResult
    blocked: dict[str, str]
    before: Mapping[str, Checkpoint]
    """Newest rows of ops.checkpoints."""

    def apply(self, topic: str, after: int, left: int) -> Done:
        """Bring a topic to silver, unless it is blocked or must be."""
        row = self._before(topic)
        one = Done(left, 0, 0, None, self.blocked.get(topic))
        if one.blocked_reason is None:
            one = apply_topic(self.work, topic, after, self.newest, left, bool(row and row.blocked_reason))
        files, bad = self.taken.files_of[topic], self.taken.bad_of[topic]
        if one.blocked_reason is not None:
            self.blocked[topic] = one.blocked_reason
            self._note_blocked(
                topic, one.blocked_reason, TableRunStats(files, pending=one.pending, quarantined=one.aside + bad)
            )
            return one
        stats = TableRunStats(files, one.applied, one.total - one.bad - one.applied, 0, one.bad + bad)
        _note(self.work, topic, row, self.newest, one.newest, stats)
        return one

    def note_others(self, waiting: set[str], others: Mapping[str, int]) -> None:
        """Note topics that have no table, and those that are not blocked any more though nothing came."""
        tables = topic_tables(self.work.context.settings.ingest)
        for topic, messages in others.items():
            stats = TableRunStats(self.taken.files_of[topic], superseded=messages, quarantined=self.taken.bad_of[topic])
            _note(self.work, topic, self._before(topic), self.newest, None, stats)
        for topic in sorted(set(self.blocked) - set(tables) - waiting):
            stats = TableRunStats(self.taken.files_of[topic], quarantined=self.taken.bad_of[topic])
            self._note_blocked(topic, self.blocked[topic], stats)
        for name, row in sorted(self.before.items()):
            topic = name.removeprefix("kafka:")
            if topic != name and row.blocked_reason and topic not in waiting and topic not in self.blocked:
                self._note_blocked(topic, None, TableRunStats())

    def _before(self, topic: str) -> Checkpoint | None:
        return self.before.get(f"kafka:{topic}")

    def _note_blocked(self, topic: str, why: str | None, stats: TableRunStats) -> None:
        """Note that a topic is blocked, or is not any more, where that is anything new: silver stays where it was."""
        before = self._before(topic)
        if (before.blocked_reason if before else None) == why and not (stats.files or stats.quarantined):
            return
        table = topic_tables(self.work.context.settings.ingest).get(topic)
        row = Checkpoint(
            table=f"kafka:{topic}",
            checkpoint_ts=(before and before.checkpoint_ts) or 0,
            batch=(before and before.batch) or 0,
            keys=list(table.keys) if table else [],
            status=TableStatus.LIVE if why is None else TableStatus.BLOCKED,
            blocked_reason=why,
            stats=stats,
        )
        append_checkpoints(self.work.lake, self.work.run_id, [row])


def _checkpoints(lake: Lake) -> dict[str, int]:
    """Return the newest bronze batch in silver, by topic."""
    newest = newest_checkpoints(lake).items()
    return {name.removeprefix("kafka:"): row.batch or 0 for name, row in newest if name.startswith("kafka:")}


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


def _note(
    work: ActionContext, topic: str, before: Checkpoint | None, newest: int, ts: int | None, stats: TableRunStats
) -> None:
    if before is not None and (before.batch or 0) >= newest:
        return
    table = topic_tables(work.context.settings.ingest).get(topic)
    keys = list(table.keys) if table else []
    row = Checkpoint(table=f"kafka:{topic}", checkpoint_ts=(ts or 0) << 18, batch=newest, keys=keys, stats=stats)
    append_checkpoints(work.lake, work.run_id, [row])
