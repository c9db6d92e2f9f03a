"""Which rows of the ledger are a table's: the names it had, each in its span of commit_ts, and what was truncated.

Kept as metadata in the schema of the silver table, so that any version of it tells of itself.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from jobs.history.partition_drops import PartitionDrop
from jobs.schema.columns import COMMIT_TS

LIFE = "life"
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
        # left out where there are none: the text decides whether a table is made anew
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
    """Return the life that a silver table tells of; where it tells of none, all rows under `names`."""
    told = schema[COMMIT_TS.name].metadata.get(LIFE)
    return TableLineage.from_json(told) if told else TableLineage(tuple(Segment(name, 0, None) for name in names))


def _within(segment: Segment) -> Column:
    at = F.col(COMMIT_TS.name)
    after = (F.col("table") == segment.table) & (at >= segment.start)
    return after if segment.end is None else after & (at < segment.end)
