"""Offsets that are missing between messages of a Kafka partition, where archives keep exact ones.

A gap is not an error: a file may come late, a topic may be compacted, a transaction leaves a marker. It is said, so
that somebody can tell.
"""

from dataclasses import dataclass

from pyspark.sql import Window
from pyspark.sql import functions as F

from jobs.lake.delta import Lake
from jobs.schema.bronze_silver import KAFKA

SHOWN = 20
"""Gaps that are named; all are counted."""


@dataclass(frozen=True)
class Gap:
    """Offsets that no archive has so far."""

    topic: str
    partition: int
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.topic}, partition {self.partition}: offsets {self.first} to {self.last} are missing"


def gaps(lake: Lake, batches: list[int]) -> tuple[int, list[Gap]]:
    """Return how many gaps there are before and between the messages of these batches, and the first of them.

    Args:
        lake: bronze.kafka holds the batches.
        batches: those of a run, all newer than the others.
    """
    if not batches or not lake.exists(KAFKA.name):
        return 0, []
    exact = (
        lake.scan(KAFKA.name).where(F.col("offset_quality") == "exact").select("topic", "partition", "offset", "batch")
    )
    fresh = exact.where(F.col("batch").isin(batches))
    before = exact.where(F.col("batch") < min(batches)).join(
        F.broadcast(fresh.select("topic", "partition").distinct()), ["topic", "partition"], "left_semi"
    )
    last = before.groupBy("topic", "partition").agg(F.max("offset").alias("offset"))
    places = fresh.drop("batch").distinct().unionByName(last)
    order = Window.partitionBy("topic", "partition").orderBy("offset")
    found = places.withColumn("before", F.lag("offset").over(order)).where(F.col("offset") > F.col("before") + 1)
    found = found.orderBy("topic", "partition", "offset").select("topic", "partition", "before", "offset")
    rows = found.limit(SHOWN).collect()  # bounded: SHOWN
    count = len(rows) if len(rows) < SHOWN else found.count()
    return count, [Gap(row["topic"], row["partition"], row["before"] + 1, row["offset"] - 1) for row in rows]
