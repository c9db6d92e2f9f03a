"""When so much of a table cannot be read that a run should stop: something is wrong with the source, or with us."""

from collections import Counter
from collections.abc import Iterable, Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.config.ingest import Ingest, TableRules, Tolerance
from jobs.errors import SourceError
from jobs.ingest.intake.manifest import Count, Item
from jobs.ingest.intake.stream import BAD


def tolerance(settings: Ingest, table: str) -> Tolerance:
    """Return how many rows of a table, or of a topic, may be unreadable."""
    return settings.tables.get(table, TableRules()).quarantine or settings.quarantine


def is_excess(allowed: Tolerance, bad: int, found: int) -> bool:
    """Return whether more rows are unreadable than allowed, by number and by ratio."""
    return bad > allowed.rows and bad > allowed.ratio * found


def excess(table: str, allowed: Tolerance, bad: int, found: int, reasons: Mapping[str, int]) -> SourceError:
    """Return the error that says so."""
    why = ", ".join(f"{reason} {rows:,}" for reason, rows in sorted(reasons.items(), key=lambda pair: -pair[1]))
    return SourceError(
        f"{table}: {bad:,} of {found:,} rows ({bad / found:.0%}) cannot be read: {why}. More than "
        f"ingest.quarantine allows (rows: {allowed.rows:,}, ratio: {allowed.ratio:g}); nothing of them was committed. "
        f"Mend the source, or let them go to quarantine: ingest.tables.{table}.quarantine.ratio: 1."
    )


def refuse_excess(settings: Ingest, items: Iterable[Item], counts: Mapping[str, Count], stream: DataFrame) -> None:
    """Raise SourceError if too many rows of any table in a batch are bad.

    Args:
        settings: what is allowed.
        items: the batch's files.
        counts: rows by file.
        stream: what the readers handed back, for the reasons.
    """
    found: Counter[str] = Counter()
    bad: Counter[str] = Counter()
    for item in items:
        count = counts.get(item.task.object, Count(0, 0))
        found[item.task.table] += count.found
        bad[item.task.table] += count.bad
    for table in sorted(found):
        allowed = tolerance(settings, table)
        if is_excess(allowed, bad[table], found[table]):
            mine = stream.where((F.col("kind") == BAD) & (F.col("table") == table))
            rows = mine.groupBy("reason").count().collect()  # bounded: a row a class of fault
            reasons = {row["reason"]: row["count"] for row in rows}
            raise excess(table, allowed, bad[table], found[table], reasons)
