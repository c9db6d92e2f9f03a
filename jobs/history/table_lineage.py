"""Which rows of the ledger belong to a table: its names by span of commit_ts, truncations, dropped partitions.

Kept as metadata in the schema of the silver table, so that each version of it has its own. No row event says that a row
went with a partition. A row lies in the partition that its values determine, those of its newest change before the
statement; so the condition is tested on the newest change of each key: an older one may have lain elsewhere.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from jobs.schema.columns import COMMIT_TS

Bound = tuple[str | None, ...]
"""A text for each column; None is MAXVALUE in the bound of a range, NULL in a member of a list."""


@dataclass(frozen=True)
class PartitionDrop:
    """Partitions whose rows one statement removed."""

    at: int
    """commit_ts of the statement."""
    columns: tuple[tuple[str, str], ...]
    """Name in the ledger and kind, int, date or datetime, of the columns that the table was partitioned by."""
    ranges: tuple[tuple[Bound | None, Bound | None], ...] = ()
    """Where each begins, None for the lowest, and what its rows are below."""
    members: tuple[Bound, ...] = ()
    """What rows are equal to, where partitions are lists."""

    def covers(self) -> Column:
        """Return the condition on the newest ledger row of each key that it went with these partitions."""
        values = [_value(name, kind) for name, kind in self.columns]
        kinds = [kind for _, kind in self.columns]
        gone = [_below(values, kinds, high) & ~_below(values, kinds, low) for low, high in self.ranges]
        gone += [_equal(values, kinds, member) for member in self.members]
        return (F.col(COMMIT_TS.name) < self.at) & reduce(Column.__or__, gone, F.lit(False))

    def plain(self) -> list[Any]:
        """Return it as JSON can hold it."""
        return [self.at, self.columns, self.ranges, self.members]

    @classmethod
    def of(cls, told: list[Any]) -> "PartitionDrop":
        """Read what `plain` returned."""
        at, columns, ranges, members = told
        spans = tuple((_bound(low), _bound(high)) for low, high in ranges)
        return cls(at, tuple((name, kind) for name, kind in columns), spans, tuple(tuple(one) for one in members))


def _bound(told: list[str | None] | None) -> Bound | None:
    return None if told is None else tuple(told)


def _value(name: str, kind: str) -> Column:
    text = F.element_at(F.col("after"), name)
    if kind == "int":
        return text.cast("decimal(20,0)")
    if kind == "date":
        return text
    # with as many digits as the column had then: the same moment must read the same
    return F.rpad(F.when(F.length(text) == 19, F.concat(text, F.lit("."))).otherwise(text), 26, "0")


def _literal(kind: str, text: str) -> Column:
    return F.lit(text).cast("decimal(20,0)") if kind == "int" else F.lit(text)


def _below(values: list[Column], kinds: list[str], bound: Bound | None) -> Column:
    """Return whether a row sorts before a bound, NULL before everything; before no bound at all, none does."""
    if bound is None:
        return F.lit(False)
    found = F.lit(False)
    for value, kind, text in reversed(list(zip(values, kinds, bound, strict=True))):
        if text is None:
            found = F.lit(True)
            continue
        edge = _literal(kind, text)
        found = value.isNull() | (value < edge) | ((value == edge) & found)
    return found


def _equal(values: list[Column], kinds: list[str], member: Bound) -> Column:
    pairs = zip(values, kinds, member, strict=True)
    same = [v.isNull() if text is None else v.eqNullSafe(_literal(kind, text)) for v, kind, text in pairs]
    return reduce(Column.__and__, same)


LINEAGE = "lineage"
"""Key of the metadata of silver's _commit_ts."""


@dataclass(frozen=True)
class Segment:
    """A name that a table had for a while."""

    table: str
    """schema.table in the ledger."""
    start: int
    """commit_ts from which it was the table's, inclusive."""
    end: int | None
    """commit_ts from which it was not any more; None: it still is."""


@dataclass(frozen=True)
class TableLineage:
    """The rows of one table."""

    segments: tuple[Segment, ...]
    truncated_at: tuple[int, ...] = ()
    """commit_ts of each truncation, oldest first: rows before it are gone."""
    dropped_partitions: tuple[PartitionDrop, ...] = ()
    """Partitions dropped and truncated, oldest first."""

    def rows(self, until: int | None = None) -> Column:
        """Return the condition on ledger rows that are the table's, as seen from `until`, before later truncations."""
        past = [floor for floor in self.truncated_at if until is None or floor < until]
        ours = reduce(Column.__or__, [_within(segment) for segment in self.segments])
        return ours & (F.col(COMMIT_TS.name) >= max(past, default=0))

    def gone(self, until: int | None = None) -> Column:
        """Return the condition on the newest row of each key that it went with a partition, as seen from `until`."""
        past = [one for one in self.dropped_partitions if until is None or one.at < until]
        return reduce(Column.__or__, [one.covers() for one in past], F.lit(False))

    def newest_loss(self) -> int:
        """Return the commit_ts of the newest statement that took rows away, -1 if there was none."""
        return max([*self.truncated_at, *(one.at for one in self.dropped_partitions)], default=-1)

    def to_json(self) -> str:
        """Return the text that `from_json` reads."""
        told: list[Any] = [[[s.table, s.start, s.end] for s in self.segments], list(self.truncated_at)]
        # left out where there are none: the text decides whether a table is rebuilt
        return json.dumps(
            [*told, [one.plain() for one in self.dropped_partitions]] if self.dropped_partitions else told
        )

    @classmethod
    def from_json(cls, text: str) -> "TableLineage":
        """Read what `to_json` wrote."""
        segments, truncated_at, *more = json.loads(text)
        dropped_partitions = tuple(PartitionDrop.of(one) for one in (more[0] if more else ()))
        return cls(tuple(Segment(*segment) for segment in segments), tuple(truncated_at), dropped_partitions)


def lineage_of(schema: StructType, names: Iterable[str] = ()) -> TableLineage:
    """Return the lineage in the schema of a silver table; where it has none, all rows under `names`."""
    told = schema[COMMIT_TS.name].metadata.get(LINEAGE)
    return TableLineage.from_json(told) if told else TableLineage(tuple(Segment(name, 0, None) for name in names))


def _within(segment: Segment) -> Column:
    at = F.col(COMMIT_TS.name)
    after = (F.col("table") == segment.table) & (at >= segment.start)
    return after if segment.end is None else after & (at < segment.end)
