"""The manifest: which source files the lake has taken in, and which it could not read. Kept in ops.source_files.

A file is taken once. The same path with another size is an alarm, and is read again: merging is by sequence, so that
repetitions change nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jobs.engine.context import ActionContext
from jobs.engine.quarantine import Quarantined, quarantine
from jobs.ingest.loading.storage import StoredFile
from jobs.ingest.loading.stream import Task
from jobs.lake.delta import Lake
from jobs.schema.ops import AWAITED, SOURCE_FILES

PLANNED, COMMITTED = "planned", "committed"
COVERED = "covered"
"""A later snapshot stands in for a file that is lost or cannot be read."""
KAFKA_SOURCES = frozenset({"kafka", "broker"})
"""Sources whose batches go to bronze.kafka; those of all others go to bronze.ledger."""
_ORDER = {PLANNED: 0, AWAITED: 1, COMMITTED: 2, COVERED: 3}


@dataclass(frozen=True)
class Item:
    """One listed file and how to read it."""

    file: StoredFile
    task: Task


@dataclass(frozen=True)
class Count:
    """What one file held."""

    found: int
    bad: int
    broken: bool = False
    """Whether a reader broke down on it: it is in quarantine whole."""


@dataclass(frozen=True)
class Entry:
    """What the manifest last said of a file, or of a topic on brokers."""

    size: int
    status: str
    batch: int
    run_id: str
    etag: str | None = None
    """Of an awaited file the checkpoint at which it was first looked for."""
    rows: int = 0
    bad: int = 0
    """Rows of it that cannot be used."""

    @property
    def is_unreadable(self) -> bool:
        """Return whether it was read, and no row of it can be used."""
        return self.status == COMMITTED and 0 < self.rows == self.bad


class Manifest:
    """The files known to the lake."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self.entries: dict[tuple[str, str], Entry] = {}
        self.last = 0
        """Greatest batch number given so far."""
        self._load()

    def _load(self) -> None:
        names = ("source", "path", "size", "status", "batch", "run_id", "etag", "rows", "quarantined")
        rows = self._lake.rows(SOURCE_FILES.name, *names)
        rows.sort(key=lambda row: (row["batch"], _ORDER[row["status"]]))  # a row a file, as the listing is
        for row in rows:
            rows_bad = (row["rows"] or 0, row["quarantined"] or 0)
            entry = Entry(row["size"], row["status"], row["batch"], row["run_id"], row["etag"], *rows_bad)
            self.entries[row["source"], row["path"]] = entry
            self.last = max(self.last, entry.batch)

    def new(self, items: Iterable[Item]) -> list[Item]:
        """Return the files not taken yet, or taken with another size; empty files are looked at again next time.

        A file of which nothing could be read is read again as soon as it was written again.
        """
        return [item for item in items if item.file.size and not self._has(item)]

    def overwritten(self, item: Item) -> bool:
        """Return whether the file was taken before, with another size."""
        entry = self.entries.get((item.task.source, item.task.path))
        return entry is not None and entry.status == COMMITTED and entry.size != item.file.size

    def marked(self, source: str, path: str, mark: str) -> Entry | None:
        """Return what is known of the part of a source that carries `mark`; None if another, or none, came last."""
        entry = self.entries.get((source, path))
        return entry if entry is not None and entry.etag == mark else None

    def newest_batch(self, from_kafka: bool) -> int:
        """Return the greatest batch in bronze.kafka, or else in bronze.ledger; 0 where there is none."""
        batches = (e.batch for (source, _), e in self.entries.items() if (source in KAFKA_SOURCES) == from_kafka)
        return max(batches, default=0)

    def unfinished(self) -> dict[tuple[str, int], list[tuple[str, str]]]:
        """Return the files of batches that were begun and not finished, by run and batch."""
        found: dict[tuple[str, int], list[tuple[str, str]]] = {}
        for key, entry in sorted(self.entries.items()):
            if entry.status == PLANNED:
                found.setdefault((entry.run_id, entry.batch), []).append(key)
        return found

    def _has(self, item: Item) -> bool:
        entry = self.entries.get((item.task.source, item.task.path))
        if entry is None or entry.size != item.file.size:
            return False
        return not (entry.is_unreadable and entry.etag != item.file.etag)

    def is_unreadable(self, item: Item) -> bool:
        """Return whether the file was taken in as it is, and nothing of it could be read."""
        entry = self.entries.get((item.task.source, item.task.path))
        return entry is not None and entry.is_unreadable and self._has(item)

    def taken(self, items: Iterable[Item], counts: Mapping[str, Count], run_id: str, number: int) -> None:
        """Know of files that a batch has brought in."""
        for item in items:
            count, file = counts.get(item.task.path, Count(0, 0)), item.file
            entry = Entry(file.size, COMMITTED, number, run_id, file.etag, count.found, count.bad)
            self.entries[item.task.source, item.task.path] = entry


def refuse(work: ActionContext, manifest: Manifest, source: str, refused: Mapping[str, tuple[int, str, str]]) -> int:
    """Quarantine whole files that cannot be read, once each; return how many were new.

    Args:
        work: lake and run id.
        manifest: the files known.
        source: ticdc, dumpling or kafka.
        refused: path -> size, reason, detail.
    """
    new = {path: why for path, why in sorted(refused.items()) if (source, path) not in manifest.entries}
    common = {"source": source, "run_id": work.run_id, "at": datetime.now(UTC)}
    known = {"rows": 0, "quarantined": 1, "status": COMMITTED, "batch": 0}
    bad = [Quarantined(source=source, path=p, reason=why, detail=detail) for p, (_, why, detail) in new.items()]
    quarantine(work.lake, work.run_id, bad)
    work.lake.append_rows(SOURCE_FILES.name, [common | known | {"path": p, "size": why[0]} for p, why in new.items()])
    return len(new)


def vanished(work: ActionContext, manifest: Manifest, bronze: str, keys: list[tuple[str, str]], number: int) -> None:
    """Note files of an interrupted batch that are no longer there: taken if their rows arrived, else they are missed.

    Args:
        work: lake and run id.
        manifest: what is known of them.
        bronze: table that the batch went to, by one commit.
        keys: source and path of each.
        number: of the batch.
    """
    arrived = work.lake.exists(bronze) and not work.lake.scan(bronze).where(f"batch = {number}").isEmpty()
    detail = "the file was gone when its interrupted batch was finished, " + (
        "bronze has its rows" if arrived else "and its rows had not come to bronze"
    )
    rows = [Quarantined(source=source, path=path, reason="vanished", detail=detail) for source, path in keys]
    quarantine(work.lake, work.run_id, rows)
    for source, path in keys:
        # awaited from the beginning on: a feed's table stops before it now
        note_status(work, manifest, source, [path], COMMITTED if arrived else AWAITED, None if arrived else "0")


def note(
    work: ActionContext, items: list[Item], counts: Mapping[str, Count], status: str, run_id: str, number: int
) -> None:
    """Write the files of a batch into the manifest, before (planned) or after (taken) their rows are committed."""
    rows: list[dict[str, Any]] = []
    now = datetime.now(UTC)
    for item in items:
        count = counts.get(item.task.path)
        row = {"source": item.task.source, "path": item.task.path, "size": item.file.size, "etag": item.file.etag}
        row |= {"status": status, "batch": number, "run_id": run_id, "at": now}
        row |= {"rows": count.found if count else None, "quarantined": count.bad if count else None}
        rows.append(row)
    work.lake.append_rows(SOURCE_FILES.name, rows)


def note_status(
    work: ActionContext, manifest: Manifest, source: str, paths: Iterable[str], status: str, etag: str | None
) -> None:
    """Write into the manifest what is known of files that are not read, after what was known before."""
    rows: list[dict[str, Any]] = []
    for path in paths:
        before = manifest.entries.get((source, path), Entry(0, status, 0, work.run_id))
        entry = Entry(before.size, status, before.batch, work.run_id, etag)
        manifest.entries[source, path] = entry
        row = {"source": source, "path": path, "size": entry.size, "etag": etag, "status": status}
        rows.append(row | {"batch": entry.batch, "run_id": work.run_id, "at": datetime.now(UTC)})
    work.lake.append_rows(SOURCE_FILES.name, rows)
