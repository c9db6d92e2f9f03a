"""One side of a comparison: a table of silver, at a commit_ts."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.reconcile.compare import Key, Range, Row, Sum
from jobs.reconcile.database import chunk_in_sql, within_sql
from jobs.reconcile.texts import Field, checksum_in_spark, in_spark, quoted


class Silver:
    """The live rows of a table."""

    def __init__(self, frame: DataFrame, key: tuple[str, ...], fields: Sequence[Field], by_number: bool) -> None:
        """Nothing is computed yet.

        Args:
            frame: the rows.
            key: columns of the key.
            fields: columns to compare, and those of the key.
            by_number: whether the key is one integer.
        """
        kinds = {one.name: one.dataType for one in frame.schema.fields}
        texts = {one.name: in_spark(one, kinds[one.name]) for one in fields}
        self._texts = [texts[one.name] for one in fields]
        self._keys = [texts[name] for name in key]
        self._by_number = by_number
        self._place = "_place"
        while self._place in (name.lower() for name in frame.columns):
            self._place += "_"
        self._frame = frame.withColumn(self._place, F.col(quoted(key[0])) if by_number else self._hash())

    def _hash(self) -> Column:
        digest = F.md5(F.concat_ws(",", *self._keys).cast("binary"))
        return F.conv(F.substring(digest, 1, 8), 16, 10).cast("bigint")

    def spread(self) -> Range | None:
        """Return the places there are rows at."""
        if not self._by_number:
            return Range(0, 1 << 32)
        row = self._frame.agg(F.min(self._place).alias("low"), F.max(self._place).alias("high")).first()
        return None if row is None or row["low"] is None else Range(int(row["low"]), int(row["high"]) + 1)

    def sums(self, ranges: Sequence[Range]) -> dict[Range, Sum]:
        """Return what each range holds."""
        chunk = F.expr(chunk_in_sql(self._place, ranges)).cast("int").alias("chunk")
        found = self._within(ranges).groupBy(chunk)
        sums = found.agg(F.count(F.lit(1)).alias("rows"), checksum_in_spark(self._texts).alias("sum"))
        told = sums.collect()  # bounded: a row a range
        # Spark's numbers are signed, the database's not
        return {ranges[row["chunk"]]: Sum(row["rows"], row["sum"] % (1 << 64)) for row in told}

    def rows(self, ranges: Sequence[Range]) -> dict[Key, Row]:
        """Return the rows of ranges."""
        return self._told(self._within(ranges))

    def all_rows(self) -> dict[Key, Row]:
        """Return every row: for frames of a few."""
        return self._told(self._frame)

    def _told(self, frame: DataFrame) -> dict[Key, Row]:
        width = len(self._keys)
        columns = [text.alias(f"_{at}") for at, text in enumerate([*self._keys, *self._texts])]
        rows = frame.select(*columns).collect()  # bounded: small chunks, a few of them
        return {tuple(row[:width]): tuple(row[width:]) for row in rows}

    def _within(self, ranges: Sequence[Range]) -> DataFrame:
        # as SQL: an unsigned key may be beyond what a literal of Java's holds
        return self._frame.where(within_sql(self._place, ranges))
