"""How the rows of silver lie in files: by ranges of the table's key, so that few files hold what a change is about."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from math import sqrt
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DateType, DecimalType, IntegralType, StringType

from jobs.schema.names import quoted

ROWS = 200_000
"""Rows of a file, some 4 to 20 MiB: a merge opens a file for one of its rows."""
_ORDERED = (IntegralType, DecimalType, StringType, DateType)
"""Types whose least and greatest value Delta keeps for each file, and that literals of Python stand for."""
_DENSE = 5
"""Keys of a range among which there is one of the rows: as dense, and all rows of the range may as well be joined."""
FEW = 8
"""Files that are not worth laying out."""
MANY = 1_000
"""Files from which on they grow too: the log has an entry for each, and every reader reads it."""


def files_for(rows: int) -> int:
    """Return how many files a table of so many rows is to have: one for ROWS rows, above MANY files fewer.

    A billion rows make 2,236 files of 450,000 rows, 240 billion some 35,000 of seven million.
    """
    even = rows / ROWS
    return max(1, round(even if even <= MANY else sqrt(even * MANY)))


def by_key(rows: DataFrame, key: tuple[str, ...], count: int) -> DataFrame:
    """Return the rows in as many partitions as they are to have files, each a range of the key, in its order.

    Args:
        rows: rows of a table.
        key: its key columns.
        count: how many rows there are.
    """
    names = [quoted(name) for name in key]
    files = files_for(count)
    parted = rows.coalesce(1) if files == 1 else rows.repartitionByRange(files, *names)
    return parted.sortWithinPartitions(*names)


@dataclass(frozen=True)
class Extent:
    """Where in a table the keys of some rows lie."""

    rows: int
    ends: dict[str, tuple[Any, Any]]
    """Least and greatest value of the key columns that files can be told by."""
    scattered: bool
    """Whether most keys between them may be others, and all of the key can be compared by its hash."""

    def between(self, alias: str) -> list[Column]:
        """Return conditions on the columns of frame `alias` that hold for all keys: no file without them is opened."""
        return [
            F.col(f"{alias}.{quoted(name)}").between(F.lit(least), F.lit(most))
            for name, (least, most) in self.ends.items()
        ]


def extent(rows: DataFrame, key: tuple[str, ...]) -> Extent:
    """Return where the keys of the rows lie; one action."""
    types = [rows.schema[name].dataType for name in key]
    names = [name for name, kind in zip(key, types, strict=True) if isinstance(kind, _ORDERED)]
    edges = [edge(quoted(name)) for name in names for edge in (F.min, F.max)]
    count, *values = rows.agg(F.count(F.lit(1)), *edges).first() or (0,)
    ends = {} if None in values else dict(zip(names, zip(values[::2], values[1::2], strict=True), strict=True))
    scattered = len(ends) == len(key)
    if scattered and len(key) == 1 and isinstance(types[0], IntegralType):
        least, most = ends[key[0]]
        scattered = most - least >= _DENSE * count
    return Extent(count, ends, scattered)


@dataclass(frozen=True)
class Layout:
    """The files of a table: bytes, rows, least and greatest value of the first key column."""

    files: list[tuple[int, int, Any, Any]]

    def file_bytes(self) -> int:
        """Return how large a file is to be."""
        return max(1, sum(file[0] for file in self.files) // files_for(sum(file[1] or 0 for file in self.files)))

    def spread(self) -> float:
        """Return the share of the table's bytes that a change of one key opens, every key as likely.

        1 / files where each file has a range of its own, 1 where each has keys from everywhere. 0 where that cannot be
        told, or ranges of the column would not help: fewer than FEW files, or FEW values that files begin with.
        """
        if len(self.files) < FEW or any(least is None or greatest is None for _, _, least, greatest in self.files):
            return 0.0
        starts = sorted(least for _, _, least, _ in self.files)
        if len(set(starts)) < FEW:
            return 0.0
        met = [
            size * max(1, bisect_right(starts, greatest) - bisect_left(starts, least))
            for size, _, least, greatest in self.files
        ]
        return sum(met) / (sum(file[0] for file in self.files) * len(starts))


def layout_of(files: DataFrame) -> Layout:
    """Return the layout of a table whose files are told by `Lake.files`."""
    rows = files.collect()  # bounded: a row a file, which `pinlake maintain` keeps in the tens of thousands
    return Layout([(row["bytes"], row["rows"], row["least"], row["greatest"]) for row in rows])
