"""gold.hash_pairs: which hashes of images are near one another, brought up from the day before.

In: gold.pin_stats, silver.image_features, and yesterday's pairs. Out: one row per hash that a live pin's image has,
at distance 0 of itself, and one per pair of hashes within image_dedup.hash_radius bits.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.engine.context import Context, Tables
from jobs.image_dedup.blocks import choose, require_radius
from jobs.image_dedup.shuffle import Partitioning, compare_parts, map_sorted_runs, pack_by_key


def near_hashes(tables: Tables, ctx: Context) -> DataFrame:
    """Return low, high, distance, radius; only hashes that are new since yesterday are compared, each with all.

    Pairs follow from the hashes alone, so those of yesterday hold wherever both hashes are still there. Another radius
    begins anew.
    """
    radius = ctx.settings.image_dedup.hash_radius
    now = with_hash(tables, pins_with_image(tables).select("image_signature").distinct()).select("hash").distinct()
    now = now.localCheckpoint()  # read twice
    known = tables["gold.hash_pairs@yesterday"].where(F.col("radius") == radius)
    before = known.where("distance = 0").select(F.col("low").alias("hash"))
    if before.isEmpty():
        pairs = hash_pairs(now, radius)
    else:
        pairs = updated_pairs(known.where("distance > 0").select(*VALUES), before, now, radius)
    own = now.select(F.col("hash").alias("low"), F.col("hash").alias("high"), F.lit(0).alias("distance"))
    return own.unionByName(pairs.select(*VALUES)).withColumn("radius", F.lit(radius))


def pins_with_image(tables: Tables) -> DataFrame:
    """Return the live pins that carry an image."""
    return tables["gold.pin_stats"].where(F.length("image_signature") > 0)


def with_hash(tables: Tables, images: DataFrame) -> DataFrame:
    """Return `images` (image_signature, ...) that have been measured, with their hash."""
    features = tables["silver.image_features"].where(F.col("phash").isNotNull())
    return images.join(features.select("image_signature", F.col("phash").alias("hash")), "image_signature")


VALUES = ["low", "high", "distance"]
"""A pair of hashes, low below high as signed numbers."""
_SENT = "part bigint, fresh boolean, packed binary"
_PAIRS = "low bigint, high bigint, distance int"
PART = 1 << 18
"""Hashes that are expected in a part, which one task compares at a time."""
FEW = 1_000_000
"""New hashes, or hashes gone, that every executor is sent, 8 bytes each and as much for each key."""


def near_pairs(hashes: DataFrame, radius: int) -> DataFrame:
    """Return left, right, distance of all images whose hashes differ in at most `radius` bits.

    Pairs are between representatives (the lowest id of each hash), left < right, each once; distance is 1 to `radius`.

    Args:
        hashes: id bigint, hash bigint (64 bits); one row an image.
        radius: 0 to MOST_RADIUS.

    Raises:
        ConfigError: a radius beyond the limit.
    """
    return between(hash_pairs(hashes.select("hash"), radius), hashes)


def representatives(hashes: DataFrame) -> DataFrame:
    """Return id, representative for each image: the lowest id with the same hash."""
    lowest = hashes.groupBy("hash").agg(F.min("id").alias("representative"))
    return hashes.join(lowest, "hash").select("id", "representative")


def between(pairs: DataFrame, hashes: DataFrame) -> DataFrame:
    """Return left, right, distance between the representatives of pairs of hashes (low, high, distance)."""
    lowest = hashes.groupBy("hash").agg(F.min("id").alias("id"))
    low = lowest.select(F.col("hash").alias("low"), F.col("id").alias("one"))
    high = lowest.select(F.col("hash").alias("high"), F.col("id").alias("other"))
    left, right = F.least("one", "other").alias("left"), F.greatest("one", "other").alias("right")
    return pairs.join(low, "low").join(high, "high").select(left, right, "distance")


def hash_pairs(values: DataFrame, radius: int) -> DataFrame:
    """Return low, high, distance of all different hashes that are near; `values` has a column hash, repeats allowed."""
    return _found(values.select("hash").distinct().withColumn("fresh", F.lit(True)), radius)


def updated_pairs(pairs: DataFrame, before: DataFrame, now: DataFrame, radius: int) -> DataFrame:
    """Return what `hash_pairs(now, radius)` returns, from the pairs of before.

    Only hashes that are new are compared, each with all; pairs of a hash that is gone are dropped. Up to FEW new ones
    are sent to every executor, and a hash then to no key that none of these has.

    Args:
        pairs: low, high, distance, as found among `before` for the same radius.
        before: hash of each image then.
        now: hash of each image now.
        radius: 0 to MOST_RADIUS.

    Raises:
        ConfigError: a radius beyond the limit.
    """
    has = now.select("hash").distinct().withColumn("has", F.lit(True))
    was = before.select("hash").distinct().withColumn("was", F.lit(True))
    both = has.join(was, "hash", "full").select(
        "hash", F.isnotnull("has").alias("has"), F.isnotnull("was").alias("was")
    )
    both = both.localCheckpoint()  # counted, then read twice
    found = _found(both.where("has").select("hash", (~F.col("was")).alias("fresh")), radius)
    gone = both.where(~F.col("has")).select("hash")
    gone = F.broadcast(gone) if gone.count() <= FEW else gone
    kept = pairs.select(*VALUES)
    for end in ("low", "high"):
        kept = kept.join(gone.withColumnRenamed("hash", end), end, "left_anti")
    return kept.select(*VALUES).unionByName(found)


def _found(values: DataFrame, radius: int) -> DataFrame:
    """Return the near pairs with a fresh hash among the two; `values`: hash, all different, and fresh."""
    require_radius(radius)
    values = values.select("hash", "fresh").localCheckpoint()  # counted, then joined
    count = values.agg(F.count("*").alias("all"), F.count_if("fresh").alias("fresh")).first()
    assert count is not None  # noqa: S101 - an aggregate has one row
    split = Partitioning(choose(count["all"], radius), max(1, -(-count["all"] // PART)))
    few = None
    if count["fresh"] < count["all"] and count["fresh"] <= FEW:
        new = values.where("fresh").select("hash").toArrow()  # bounded: FEW rows
        few = values.sparkSession.sparkContext.broadcast(new.column(0).to_numpy().view(np.uint64))

    def send(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from pack_by_key(batches, split, None if few is None else few.value)

    def compare(parts: NDArray, fresh: NDArray, packed: NDArray) -> Iterator[tuple[NDArray, ...]]:
        yield from compare_parts(parts, fresh, packed, split)

    rows = values.mapInArrow(send, _SENT).repartition("part").sortWithinPartitions("part", F.desc("fresh"))
    return rows.mapInArrow(map_sorted_runs(compare, VALUES, least=1), _PAIRS)
