"""Which rows went with a partition that was dropped or truncated: no change in the ledger says it of any of them.

A row lies in the partition that its values say, those of its newest change before the statement. So the condition is
asked of the newest change of each key: an older one of the same key may have lain elsewhere.
"""

from dataclasses import dataclass
from functools import reduce
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from jobs.schema.columns import COMMIT_TS

Bound = tuple[str | None, ...]
"""A text for each column; None is MAXVALUE in the bound of a range, NULL in a member of a list."""


@dataclass(frozen=True)
class PartitionDrop:
    """Partitions that one statement emptied."""

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
        """Return what `plain` told."""
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
