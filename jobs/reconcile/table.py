"""A table of the lake, or of another database, held against its source."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobs.common.errors import TableError
from jobs.reconcile.compare import Found, compare
from jobs.reconcile.database import Address, Database
from jobs.reconcile.texts import NOT_COMPARED, Field

if TYPE_CHECKING:
    from jobs.lake.delta import Lake


@dataclass(frozen=True)
class Question:
    """What to compare."""

    table: str
    """schema.table."""
    named: str | None = None
    """schema.table on the other side of two databases, or at the lake's source, where it has another name."""
    at: int | None = None
    """commit_ts to compare the lake at; None for the table's checkpoint."""
    limit: int = 10_000
    """Differing rows after which no more are looked for."""
    masked: Collection[str] = ()
    """Columns that the lake has covered."""


@dataclass(frozen=True)
class Report:
    """What a comparison came to."""

    source: str
    other: str
    at: int | None
    """commit_ts that the lake was read at."""
    key: tuple[str, ...]
    columns: tuple[str, ...]
    """Those compared."""
    left_out: tuple[str, ...]
    """Those that only one side has, or that each side writes in its own way."""
    found: Found

    def plain(self) -> dict[str, Any]:
        """Return it for a program to read: keys and names of columns, no other value."""
        told = vars(self.found) | {"differences": self.found.differences}
        told["differing"] = [{"key": list(key), "columns": names} for key, names in self.found.differing.items()]
        return vars(self) | {"found": told}

    def sentences(self) -> list[str]:
        """Return what to say of it."""
        found = self.found
        lines = [f"{self.source}: {found.rows:,} rows, {found.chunks:,} checksums, {found.fetched:,} rows looked at"]
        if self.left_out:
            lines.append(f"not compared: {', '.join(self.left_out)}")
        if not found.differences:
            return [*lines, f"{self.other} is the same."]
        more = "" if found.complete else "at least "
        lines.append(
            f"{more}{found.differences:,} rows differ: {len(found.missing):,} missing, {len(found.extra):,} extra, "
            f"{len(found.differing):,} different in {self.other}"
        )
        for what, keys in (("missing", found.missing), ("extra", found.extra)):
            lines += [f"   {what} {_shown(key)}" for key in keys[:5]]
        lines += [f"   different {_shown(k)}: {', '.join(names)}" for k, names in list(found.differing.items())[:5]]
        return lines


def against_lake(
    lake: "Lake", asked: Question, address: Address, progress: Callable[[str], None] = lambda _: None
) -> Report:
    """Compare a table's silver with its source.

    Args:
        lake: the lake.
        asked: what to compare.
        address: of the source.
        progress: shows a person what is going on.

    Raises:
        TableError: the lake does not have the table, or has nothing at that time.
        SourceError: the source cannot be read.
    """
    from jobs.engine.checkpoints import TableStatus, newest_checkpoints
    from jobs.history.ledger import source_rows, state_at
    from jobs.ingest.tidb.tables.source_table import table_named as source_table
    from jobs.reconcile.silver import Silver

    table = asked.table
    past = newest_checkpoints(lake).get(table)
    if past is None:
        raise TableError(f"{table} has not been ingested: `pinlake ingest --status` lists what has.")
    if past.status == TableStatus.NO_SILVER:
        raise TableError(f"{table} cannot be compared: {past.blocked_reason}")
    reached = past.checkpoint_ts or 0
    moment, silver = asked.at or reached, source_table(table).silver
    if moment > reached:
        raise TableError(f"--at {moment}: {table} is complete up to {reached}. Ingest first.")
    frame = lake.scan(silver)
    schema = frame.schema
    if moment == reached:
        frame = frame.where("not _deleted")
    else:
        frame = state_at(lake.scan("bronze.ledger"), schema, moment + 1, table)
    source = Database(address, asked.named or table, moment)
    try:
        frame = source_rows(frame, schema)
        names = [name for name in frame.columns if name not in asked.masked]
        if not set(source.key) <= set(names):
            raise TableError(f"{table}: {', '.join(source.key)}, its key, is masked in the lake: rows cannot be told.")
        fields, left_out = _shared(source.fields, names)
        source.show(fields)
        other = Silver(frame, source.key, fields, source.by_number)
        found = compare(source, other, fields, asked.limit, progress)
        compared = tuple(one.name for one in fields)
        return Report(source.name, f"{silver} at {moment}", moment, source.key, compared, left_out, found)
    finally:
        source.close()


def against_database(
    asked: Question, one: Address, two: Address, progress: Callable[[str], None] = lambda _: None
) -> Report:
    """Compare a table of two databases: a shard of MySQL and what was brought of it into TiDB.

    Args:
        asked: what to compare.
        one: the first database, which is right.
        two: the second.
        progress: shows a person what is going on.

    Raises:
        SourceError: one of them cannot be read.
    """
    source, other = Database(one, asked.table), Database(two, asked.named or asked.table)
    try:
        fields, left_out = _shared(source.fields, [field.name for field in other.fields])
        source.show(fields)
        other.show(fields)
        found = compare(source, other, fields, asked.limit, progress)
        return Report(source.name, other.name, None, source.key, tuple(f.name for f in fields), left_out, found)
    finally:
        source.close()
        other.close()


def _shared(fields: Sequence[Field], names: Sequence[str]) -> tuple[list[Field], tuple[str, ...]]:
    """Return the columns that can be compared, and the names of the others."""
    good = [one for one in fields if one.name in names and one.type not in NOT_COMPARED]
    kept = {one.name for one in good}
    return good, tuple(sorted(({one.name for one in fields} | set(names)) - kept))


def _shown(key: tuple[str | None, ...]) -> str:
    return ", ".join("NULL" if part is None else part for part in key)
