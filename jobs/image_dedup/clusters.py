"""Clusters of near-duplicates on Spark, with ids that are stable from day to day.

Connected components follow the large-star and small-star algorithm by Kiveris, Lattanzi, Mirrokni, Rastogi,
Vassilvitskii, "Connected Components in MapReduce and Beyond", SoCC 2014. Each round links the neighbours of an image to
the lowest id among them. In practice about log2(n) rounds reach the ends of the longest chain (the paper proves its
square), and no round creates more edges than there were.
"""

from collections.abc import Iterator

from numpy.typing import NDArray
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.common.errors import TableError
from jobs.image_dedup.shuffle import map_sorted_runs
from jobs.image_dedup.split_chains import split_chains

ROUNDS = 50
"""A chain of a billion images takes about thirty."""


def components(pairs: DataFrame, rounds: int = ROUNDS) -> DataFrame:
    """Return id, component for each id of `pairs` (left, right): the lowest id of its component.

    Raises:
        TableError: not complete after `rounds` rounds.
    """
    edges = pairs.select(F.greatest("left", "right").alias("u"), F.least("left", "right").alias("v"))
    edges = edges.where("u > v").distinct().localCheckpoint()
    seen = _digest(edges)
    for _ in range(rounds):
        # checkpointed: the plan would double with each round
        edges = _small_star(_large_star(edges)).localCheckpoint()
        before, seen = seen, _digest(edges)
        if seen == before:
            tips = edges.select(F.col("u").alias("id"), F.col("v").alias("component"))
            roots = edges.select(F.col("v").alias("id"), F.col("v").alias("component")).distinct()
            return tips.unionByName(roots)
    raise TableError(
        f"Components of near-duplicates must be complete after {rounds} rounds and are not, with {seen[0]:,} links "
        f"left: chains this long indicate a radius that is too wide. Lower it, or confirm more strictly."
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


ONE_TASK = 2_000_000
"""Pairs that one task splits without computing components: about 350 MB and 4 CPU-seconds."""
MOST_PAIRS = 5_000_000
"""Largest component, in pairs, that an executor splits: about 900 MB; a larger one is reduced first."""
_SCHEMA = "id bigint, centre bigint"


def clusters(pairs: DataFrame, one_task: int = ONE_TASK, most: int = MOST_PAIRS) -> DataFrame:
    """Return id, centre for every id of `pairs`: the centre of its cluster, itself if it is alone.

    The rule is that of `split_chains`. A component of more than `most` pairs loses its pairs of the greatest distance,
    repeatedly, until its parts are small enough; other components are unchanged.

    Args:
        pairs: left, right, distance, each pair once.
        one_task: pairs up to which components are not computed; the result is the same.
        most: largest number of pairs of a component that one executor can hold.

    Raises:
        TableError: a component is too large even with pairs of its least distance only.
    """
    pairs = pairs.select("left", "right", "distance").localCheckpoint()
    if pairs.count() <= min(one_task, most):
        return _cut(pairs.withColumn("component", F.lit(0).cast("bigint")))
    found: list[DataFrame] = []
    rest: DataFrame | None = pairs
    while rest is not None:
        labelled = rest.join(components(rest).withColumnRenamed("id", "left"), "left").localCheckpoint()
        # few: there are fewer than pairs / most of them
        large = F.broadcast(labelled.groupBy("component").count().where(F.col("count") > most).select("component"))
        found.append(_cut(labelled.join(large, "component", "left_anti")))
        rest = _without_farthest(labelled.join(large, "component", "left_semi"), most)
    return _union(pairs, found)


def _without_farthest(large: DataFrame, most: int) -> DataFrame | None:
    """Return the pairs of too large components without the farthest ones; None if there are no such components."""
    large = large.select("left", "right", "distance").localCheckpoint()
    row = large.agg(F.max("distance").alias("far"), F.min("distance").alias("near")).first()
    assert row is not None  # noqa: S101 - an aggregate has one row
    if row["far"] is None:
        return None
    if row["far"] == row["near"]:
        raise TableError(
            f"A component of near-duplicates may have {most:,} pairs at most, but one has more that are all "
            f"{row['far']} bits apart: confirm pairs more strictly, or give executors more memory and raise `most`."
        )
    return large.where(F.col("distance") < row["far"])


def _union(pairs: DataFrame, found: list[DataFrame]) -> DataFrame:
    """Return the union of the parts, including ids that lost all their pairs."""
    made = found[0]
    for part in found[1:]:
        made = made.unionByName(part)
    ids = pairs.select(F.col("left").alias("id")).union(pairs.select("right")).distinct()
    return ids.join(made, "id", "left").select("id", F.coalesce("centre", "id").alias("centre"))


def _cut(labelled: DataFrame) -> DataFrame:
    """Return id, centre of pairs with their component."""

    def work(_: NDArray, left: NDArray, right: NDArray, distance: NDArray) -> Iterator[tuple[NDArray, ...]]:
        yield split_chains(left, right, distance)

    rows = labelled.select("component", "left", "right", "distance")
    rows = rows.repartition("component").sortWithinPartitions("component")
    return rows.mapInArrow(map_sorted_runs(work, ["id", "centre"]), _SCHEMA)


def images(representatives: DataFrame, centres: DataFrame) -> DataFrame:
    """Return id, cluster for every image: the cluster of its representative.

    Args:
        representatives: id, representative.
        centres: id, centre of the representatives with pairs.
    """
    named = centres.withColumnRenamed("id", "representative")
    found = representatives.join(named, "representative", "left")
    return found.select("id", F.coalesce("centre", "representative").alias("cluster"))


def stable_ids(today: DataFrame, yesterday: DataFrame) -> DataFrame:
    """Return id, cluster: today's clusters with the ids of yesterday's clusters that they continue.

    - An id passes to the cluster with most of its images (the lowest cluster on ties): if a cluster is split, its
      larger part keeps the id.
    - A cluster that receives several ids keeps the lowest, which is the oldest: image ids ascend with time.
    - A cluster that receives none is new: its id is its lowest image that is not the id of another cluster. If all of
      them are, because clusters lost the image they are named by, it is a negative number derived from one of them.

    Args:
        today: id, cluster; clusters named in any way.
        yesterday: id, cluster, as returned the day before; empty on the first day.
    """
    kept = _kept(today, yesterday)
    new = today.join(kept, "cluster", "left_anti")
    # an image's own id, and two ids that no image has, in case the first is taken
    own = F.array(F.col("id"), F.bitwise_not("id"), F.bitwise_not("id") - F.lit(1 << 62))
    names = new.select("cluster", F.posexplode(own).alias("choice", "lasting")).join(kept, "lasting", "left_anti")
    born = names.groupBy("cluster").agg(F.min(F.struct("choice", "lasting")).alias("first"))
    lasts = kept.select("cluster", "lasting").unionByName(born.select("cluster", "first.lasting"))
    return today.join(lasts, "cluster").select("id", F.col("lasting").alias("cluster"))


def _kept(today: DataFrame, yesterday: DataFrame) -> DataFrame:
    """Return cluster, lasting for the clusters that keep an id."""
    before = yesterday.select("id", F.col("cluster").alias("lasting"))
    common = today.select("id", "cluster").join(before, "id").groupBy("lasting", "cluster").count()
    largest = F.row_number().over(Window.partitionBy("lasting").orderBy(F.desc("count"), "cluster"))
    heirs = common.withColumn("place", largest).where("place = 1")
    return heirs.groupBy("cluster").agg(F.min("lasting").alias("lasting"))
