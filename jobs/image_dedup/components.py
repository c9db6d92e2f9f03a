"""Connected components on Spark: large-star and small-star, by turns.

Source: Kiveris, Lattanzi, Mirrokni, Rastogi, Vassilvitskii, "Connected Components in MapReduce and Beyond", SoCC 2014.
Each round links what is near an image to the lowest id near it. In practice some log2(n) rounds reach the ends of the
longest chain (the paper proves its square), and no round makes more edges than there were.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.common.errors import TableError

ROUNDS = 50
"""A chain of a thousand million images takes about thirty."""


def components(pairs: DataFrame, rounds: int = ROUNDS) -> DataFrame:
    """Return id, component for each id of `pairs` (left, right): the lowest id that it is linked to.

    Raises:
        TableError: not done after so many rounds.
    """
    edges = pairs.select(F.greatest("left", "right").alias("u"), F.least("left", "right").alias("v"))
    edges = edges.where("u > v").distinct().localCheckpoint()
    seen = _digest(edges)
    for _ in range(rounds):
        # kept between rounds: the plan would double with each
        edges = _small_star(_large_star(edges)).localCheckpoint()
        before, seen = seen, _digest(edges)
        if seen == before:
            tips = edges.select(F.col("u").alias("id"), F.col("v").alias("component"))
            roots = edges.select(F.col("v").alias("id"), F.col("v").alias("component")).distinct()
            return tips.unionByName(roots)
    raise TableError(
        f"Components of near-duplicates must be complete after {rounds} rounds and are not, with {seen[0]:,} links "
        f"left: pairs that long a chain point to a radius that is too wide. Lower it, or confirm more strictly."
    )


def _digest(edges: DataFrame) -> tuple[int, int]:
    row = edges.agg(F.count("*").alias("n"), F.bit_xor(F.xxhash64("u", "v")).alias("x")).first()
    assert row is not None  # noqa: S101 - an aggregate has one row
    return row["n"], row["x"]


def _large_star(edges: DataFrame) -> DataFrame:
    """Link each greater neighbour of an image to the lowest of it and its neighbours."""
    swapped = edges.select(F.col("v").alias("u"), F.col("u").alias("v"))
    lowest = F.least(F.min("v").over(Window.partitionBy("u")), F.col("u"))
    near = edges.select("u", "v").unionByName(swapped).withColumn("m", lowest)
    return near.where("v > u").select(F.col("v").alias("u"), F.col("m").alias("v")).distinct()


def _small_star(edges: DataFrame) -> DataFrame:
    """Link an image and its lower neighbours to the lowest of these."""
    near = edges.withColumn("m", F.min("v").over(Window.partitionBy("u")))
    lower = near.where("v > m").select(F.col("v").alias("u"), F.col("m").alias("v"))
    return lower.unionByName(near.select("u", F.col("m").alias("v"))).distinct()
