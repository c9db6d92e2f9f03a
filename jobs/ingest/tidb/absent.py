"""Tables stop before a file whose rows cannot be had: it is missing, empty, named by no index, or cannot be read.

In: the feed's folders, the tables, the manifest. Out: tables that are blocked at the least commit_ts that the file may
hold, with a sentence that names it. Rows of a folder are written in the order of their commit_ts: what a file holds is
not older than the end of the file before it. A file that the index names and that comes after all others may be on its
way: it is awaited, and its table is blocked once the checkpoint has moved and it still is not there.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from jobs.engine.context import ActionContext
from jobs.engine.quarantine import Quarantined, quarantine
from jobs.history.table_lineage import Segment
from jobs.ingest.loading.manifest import COVERED, Entry, Manifest, note_status
from jobs.ingest.loading.tolerance import Excess
from jobs.ingest.tidb.dumpling.export import table_of
from jobs.ingest.tidb.sources import Sources
from jobs.ingest.tidb.tables.source_table import SourceTable, blocked_at
from jobs.ingest.tidb.ticdc.data_files import DataFolder, first_commit_ts, last_commit_ts
from jobs.ingest.tidb.ticdc.object_paths import Data, Folder, classify
from jobs.ingest.tidb.ticdc.sink_listing import SinkListing
from jobs.schema.ops import AWAITED

_LONGEST = 1000
"""Missing files of one gap that are noted as covered by a snapshot."""


@dataclass(frozen=True)
class Stop:
    """A file whose rows cannot be had, and where the table that they are of must stop."""

    name: str
    """Of the table, in `Sources.tables`."""
    at: int
    """The least commit_ts that the file may hold."""
    why: str
    source: str
    paths: tuple[str, ...]
    """The file, and those after it that are missing with it."""
    remedy: str = "Restore the file: the table then goes on by itself."

    @property
    def reason(self) -> str:
        """Return what the table is blocked for."""
        restart = f"If the rows are lost, restart the table: `pinlake resnapshot {self.name} EXPORT`."
        return blocked_at(self.name, self.at, f"{self.why}. {self.remedy} {restart}")


@dataclass
class Absent:
    """What of a feed's files is missing."""

    stops: list[Stop] = field(default_factory=list)
    awaited: list[str] = field(default_factory=list)
    """Files that may be on their way: their tables go on, and count as complete up to them only."""
    open: list[tuple[str, int]] = field(default_factory=list)
    """Tables of these files, and the least commit_ts that each may hold."""


def absent_files(sources: Sources, feed: SinkListing, entries: Mapping[tuple[str, str], Entry]) -> Absent:
    """Return the files that are missing, or that no index names although the checkpoint has passed them.

    Args:
        sources: the tables and the checkpoint.
        feed: the listed folders.
        entries: what the manifest knows; a file that was taken in may be gone.
    """
    found = Absent()
    known = {path for (source, path), entry in entries.items() if source == "ticdc" and entry.status != AWAITED}
    for mine in feed.folders:
        if mine.folder.version > sources.checkpoint:
            continue
        owners = list(_owners(sources, mine.folder))
        for gap in mine.gaps(known):
            path = mine.path(gap.start)
            last = gap.stop > mine.limit and not mine.unnamed()
            if last and not (mine.is_passed(sources.checkpoint) or _was_awaited(entries, path, sources.checkpoint)):
                found.awaited += [path] if owners else []
                found.open += [(name, at) for name, at, _ in _stops(feed, owners, mine, gap.start, "")]
                continue
            what = "is empty" if gap.start in mine.files else "is missing"
            there = "the index of its folder names it" if last else "later files of its folder are there"
            paths = tuple(mine.path(number) for number in gap[:_LONGEST])
            stops = _stops(feed, owners, mine, gap.start, f"{path} {what} and {there}")
            found.stops += [Stop(*stop, "ticdc", paths) for stop in stops]
        found.stops += _unnamed(sources, feed, mine, owners, found, entries)
    return found


def _was_awaited(entries: Mapping[tuple[str, str], Entry], path: str, checkpoint: int) -> bool:
    """Return whether an earlier run, at a lower checkpoint, found the file absent too."""
    entry = entries.get(("ticdc", path))
    return entry is not None and entry.status == AWAITED and int(entry.etag or 0) < checkpoint


def _unnamed(
    sources: Sources,
    feed: SinkListing,
    mine: DataFolder,
    owners: list[SourceTable],
    found: Absent,
    entries: Mapping[tuple[str, str], Entry],
) -> Iterator[Stop]:
    """Yield the stops before the first file that no index names, where it holds changes up to the checkpoint."""
    numbers = mine.unnamed()
    if not numbers or not owners:
        return
    path = mine.files[numbers[0]].path
    first = first_commit_ts(feed.root, path, feed.changefeed)
    if first is None and not _was_awaited(entries, path, sources.checkpoint):
        found.awaited.append(path)
        found.open += [(name, at) for name, at, _ in _stops(feed, owners, mine, numbers[0], "")]
    elif first is None or first <= sources.checkpoint:
        why = f"no index of its folder names {path}, which holds changes up to the checkpoint"
        for name, at, said in _stops(feed, owners, mine, numbers[0], why):
            yield Stop(name, max(at, first or 0), said, "ticdc", (path,))


def tables_of(sources: Sources, entries: Mapping[tuple[str, str], Entry]) -> dict[tuple[str, str], str]:
    """Return the table of each file that is listed, or is gone and had rows that cannot be used; by source and path."""
    found = {}
    for (source, path), entry in entries.items():
        if entry.bad and entry.rows:
            what = classify(path) if source == "ticdc" else None
            folder = what.folder if isinstance(what, Data) else None
            name = (
                (folder.schema, folder.table) if folder else table_of(path) if source.startswith("dumpling") else None
            )
            found[source, path] = ".".join(name or ())
    return found | {(item.task.source, item.task.path): item.task.table for item in sources.items}


def unreadable_files(sources: Sources, feed: SinkListing | None, excess: Excess, why: str) -> list[Stop]:
    """Return the stops before files that were read and of which too much could not be used.

    Args:
        sources: the tables.
        feed: the listed folders.
        excess: the files.
        why: what is wrong with them, for a person.
    """
    folders = {file.path: mine for mine in (feed.folders if feed else []) for file in mine.files.values()}
    found = []
    for source, path in excess.files:
        what = classify(path) if source == "ticdc" else None
        if isinstance(what, Data):
            mine = folders.get(path, DataFolder(what.folder))
            stops = list(_stops(feed or SinkListing("", 0), _owners(sources, mine.folder), mine, what.number, why))
        else:
            stops = [(table.full_name, at, why) for table, at in _of_snapshot(sources, source, path)]
        found += [Stop(*stop, source, (path,), excess.remedy) for stop in stops]
    return found


def _of_snapshot(sources: Sources, source: str, path: str) -> Iterator[tuple[SourceTable, int]]:
    name = table_of(path)
    _, _, tso = source.partition("@")  # of a later snapshot
    for table in sources.tables.values():
        if name is None or table.ended is not None:
            continue
        at = int(tso or 0) or (table.snapshot.tso if table.snapshot else 0)
        covered = table.snapshot is not None and table.snapshot.tso > at
        if not covered and any(_covers(segment, ".".join(name), at) for segment in table.segments):
            yield table, at


def block(sources: Sources, stops: Iterable[Stop]) -> None:
    """Hold the tables, each at the earliest of its stops."""
    for stop in stops:
        sources.tables[stop.name] = sources.tables[stop.name].block(stop.at, stop.reason)


def leave_open(sources: Sources, absent: Absent) -> None:
    """Let tables count as complete up to their awaited files only: one of them may be lost."""
    for name, at in absent.open:
        table = sources.tables[name]
        sources.tables[name] = replace(table, open_from=min(at, table.open_from or at))


def note_awaited(work: ActionContext, manifest: Manifest, paths: Iterable[str], checkpoint: int) -> None:
    """Remember files that were not there, and at which checkpoint: once each."""
    fresh = [path for path in paths if ("ticdc", path) not in manifest.entries]
    note_status(work, manifest, "ticdc", fresh, AWAITED, str(checkpoint))


def cover(work: ActionContext, manifest: Manifest, stops: Iterable[Stop], name: str, tso: int) -> None:
    """Note the files of a table that a new snapshot stands in for.

    A person named the snapshot since the files are lost: what they may hold from before it is in it.
    """
    for stop in stops:
        if stop.name != name or stop.at > tso:
            continue
        missing = [path for path in stop.paths if (stop.source, path) not in manifest.entries]
        detail = f"{stop.why}; the snapshot of {name} at {tso} stands in for it"
        rows = [
            Quarantined(source=stop.source, table=name, path=path, reason="missing_file", detail=detail)
            for path in missing
        ]
        quarantine(work.lake, work.run_id, rows)
        note_status(work, manifest, stop.source, stop.paths, COVERED, None)


def _owners(sources: Sources, folder: Folder) -> Iterator[SourceTable]:
    """Yield the tables, of those there are, whose rows the folder has: they may have another name now."""
    name = f"{folder.schema}.{folder.table}"
    for table in sources.tables.values():
        if table.ended is None and any(_covers(segment, name, folder.version) for segment in table.segments):
            yield table


def _covers(segment: Segment, name: str, at: int) -> bool:
    return segment.table == name and segment.start <= at and (segment.end is None or at < segment.end)


def _stops(
    feed: SinkListing, owners: Iterable[SourceTable], mine: DataFolder, number: int, why: str
) -> Iterator[tuple[str, int, str]]:
    """Yield table, the least commit_ts that a file may hold, and what is wrong, unless its rows do not count."""
    some = list(owners)
    before, after = mine.neighbours(number) if some else (None, None)
    last = last_commit_ts(feed.root, before.path, feed.changefeed) if before else None
    first = first_commit_ts(feed.root, after.path, feed.changefeed) if after else None
    for table in some:
        if not _is_past(feed, table, mine.folder, last, first):
            yield table.full_name, max(last or 0, mine.folder.version + 1), why


def _is_past(feed: SinkListing, table: SourceTable, folder: Folder, last: int | None, first: int | None) -> bool:
    """Return whether all rows of a file are in a snapshot, truncated, or written once more by a later file.

    Args:
        feed: its schema files tell where the folder ends.
        table: whose rows they are.
        folder: of the file.
        last: commit_ts that the file before it ends with.
        first: commit_ts that the file after it begins with.
    """
    floor = max([table.snapshot.tso if table.snapshot else 0, *table.truncated_at])
    name = f"{folder.schema}.{folder.table}"
    ends = [segment.end for segment in table.segments if segment.table == name and segment.end is not None]
    ends += [file.version for file in feed.schemas.get((folder.schema, folder.table), [])]
    ends = [end for end in ends if end > folder.version]
    if ends and min(ends) <= floor:
        return True
    # TiCDC goes back after a restart, and writes again all that came after
    return first is not None and (first <= floor or (last is not None and first < last))
