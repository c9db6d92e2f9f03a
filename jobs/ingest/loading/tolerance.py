"""Blocks a table or topic when more of its rows are unreadable than `ingest.quarantine` allows.

In: the manifest's entry of each file. Out: the blocked tables, each with the files concerned. Unreadable rows are in
quarantine by then; readable rows wait in bronze. A table stays blocked until its files are read again with fewer
faults, or the settings allow the rows to be lost.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from jobs.ingest.loading.manifest import COMMITTED, Entry
from jobs.settings.ingest import ErrorThreshold, Ingest, TableRules

_AT_MOST = 1_000_000_000
"""Rows that a file is taken for."""


@dataclass(frozen=True)
class FileCount:
    """What was read of one file."""

    source: str
    path: str
    entry: Entry


@dataclass(frozen=True)
class Excess:
    """Files of a table, or messages of a topic, of which too much cannot be read."""

    table: str
    allowed: ErrorThreshold
    bad: int
    found: int
    files: tuple[tuple[str, str], ...] = ()
    """Source and path."""
    more: str = ""
    """Which files cannot be read as a whole."""

    def clause(self, reasons: Mapping[str, int]) -> str:
        """Return what is wrong.

        Args:
            reasons: rows of quarantine by class of fault.
        """
        why = ", ".join(f"{reason} {rows:,}" for reason, rows in sorted(reasons.items(), key=lambda pair: -pair[1]))
        return (
            f"{self.bad:,} of {self.found:,} rows ({self.bad / self.found:.0%}) cannot be read: {why or 'see there'}"
            f"{self.more}. ingest.quarantine allows fewer (rows: {self.allowed.rows:,}, ratio: {self.allowed.ratio:g}, "
            f"never a whole file); they are in quarantine, what can be read waits in bronze"
        )

    @property
    def remedy(self) -> str:
        """Return what a person can do."""
        return (
            f"Look: `pinlake quarantine show --table {self.table}`. Mend the source and run again, or mend the "
            f"settings and `pinlake quarantine replay --table {self.table}`, or let the rows go: "
            f"ingest.tables.{self.table}.quarantine.ratio: 1."
        )


def tolerance(settings: Ingest, table: str) -> ErrorThreshold:
    """Return how many rows of a table, or of a topic, may be unreadable."""
    return settings.tables.get(table, TableRules()).quarantine or settings.quarantine


def is_excess(allowed: ErrorThreshold, bad: int, found: int) -> bool:
    """Return whether more rows are unreadable than allowed, by number and by ratio."""
    return bad > allowed.rows and bad > allowed.ratio * found


def excesses(
    settings: Ingest, tables: Mapping[tuple[str, str], str], entries: Mapping[tuple[str, str], Entry]
) -> dict[str, Excess]:
    """Return the tables, or topics, of which too much cannot be read.

    A batch is judged by itself: what comes later does not make up for it.

    Args:
        settings: what is allowed.
        tables: source and path of each file -> its table.
        entries: what the manifest knows of them.
    """
    counts = [
        (table, FileCount(*key, entries[key]))
        for key, table in tables.items()
        if key in entries and entries[key].status == COMMITTED and entries[key].rows
    ]
    counts.sort(key=lambda pair: pair[0])
    found = {}
    for table, pairs in groupby(counts, key=lambda pair: pair[0]):
        excess = _excess(table, tolerance(settings, table), [count for _, count in pairs])
        if excess is not None:
            found[table] = excess
    return found


def _excess(table: str, allowed: ErrorThreshold, files: list[FileCount]) -> Excess | None:
    if allowed.ratio >= 1:
        return None
    density = _rows_a_byte(files)
    too_much: list[FileCount] = []
    for batch in _batches(files):
        rows = {count.path: _rows(count, density) for count in batch}
        bad = sum(rows[c.path] if c.entry.is_unreadable else c.entry.bad for c in batch)
        if is_excess(allowed, bad, sum(rows.values())):
            too_much += [count for count in batch if count.entry.bad]
        else:
            too_much += [count for count in batch if count.entry.is_unreadable]
    if not too_much:
        return None
    whole = [count for count in too_much if count.entry.is_unreadable]
    guessed = [count for count in whole if _rows(count, density) > count.entry.rows]
    bad = sum(_rows(c, density) if c.entry.is_unreadable else c.entry.bad for c in files)
    more = f"; {len(whole)} of {len(files)} files as a whole ({whole[0].path} …)" if whole else ""
    more += ", their rows estimated from their size" if guessed else ""
    found = sum(_rows(count, density) for count in files)
    return Excess(table, allowed, bad, found, tuple((count.source, count.path) for count in too_much), more)


def _batches(files: list[FileCount]) -> Iterator[list[FileCount]]:
    ordered = sorted(files, key=lambda count: count.entry.batch)
    return (list(some) for _, some in groupby(ordered, key=lambda count: count.entry.batch))


def _rows_a_byte(files: list[FileCount]) -> float:
    """Return how many rows a byte of the table's readable files holds; 0 where there are none."""
    readable = [count.entry for count in files if not count.entry.is_unreadable]
    size = sum(entry.size for entry in readable)
    return sum(entry.rows for entry in readable) / size if size else 0.0


def _rows(count: FileCount, density: float) -> int:
    """Return the rows of a file: one that could not even be opened counts as one row, and holds more."""
    entry = count.entry
    if not count.entry.is_unreadable or entry.rows > 1:
        return entry.rows
    return max(entry.rows, min(round(entry.size * density), _AT_MOST))
