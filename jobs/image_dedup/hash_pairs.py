"""gold.hash_pairs: pairs of near perceptual hashes, updated incrementally from the day before.

In: gold.pin_stats, silver.image_features, and yesterday's pairs. Out: one row per hash of a live pin's image, at
distance 0 from itself, and one per pair of hashes within image_dedup.hash_radius bits.

Pairs are formed between hashes, not images: a value shared by a million images is compared once, and an image that
appears or disappears changes no pair unless its hash is new or gone. `between` maps pairs of hashes to pairs of images.

Each hash is sent to each of its keys (28 of them for some millions of hashes, see `jobs.image_dedup.shuffle`). Hashes
of one key meet in one task, which compares them as one machine would. A key shared by very many hashes is split by the
other bits. A task holds its hashes, about 60 bytes each, and never a list of pairs.
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
    """Return low, high, distance, radius; only hashes new since yesterday are compared, with all others.

    Pairs depend on the hashes only, so yesterday's pairs stay valid while both hashes exist. Another radius recomputes
    all pairs.
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
    """Return the live pins with an image."""
    return tables["gold.pin_stats"].where(F.length("image_signature") > 0)


def with_hash(tables: Tables, images: DataFrame) -> DataFrame:
    """Return the rows of `images` (image_signature, ...) with a perceptual hash, and the hash."""
    features = tables["silver.image_features"].where(F.col("phash").isNotNull())
    return images.join(features.select("image_signature", F.col("phash").alias("hash")), "image_signature")


VALUES = ["low", "high", "distance"]
"""A pair of hashes, low below high as signed numbers."""
_SENT = "part bigint, fresh boolean, packed binary"
_PAIRS = "low bigint, high bigint, distance int"
PART = 1 << 18
"""Expected hashes per part; a task compares one part at a time."""
FEW = 1_000_000
"""Largest number of new or removed hashes to broadcast, 8 bytes each and as much per key."""


def near_pairs(hashes: DataFrame, radius: int) -> DataFrame:
    """Return left, right, distance of all images whose hashes differ in at most `radius` bits.

    Pairs are between representatives (the lowest id of each hash), left < right, each once; distance is 1 to `radius`.

    Args:
        hashes: id bigint, hash bigint (64 bits); one row an image.
        radius: 0 to MOST_RADIUS.

    Raises:
        ConfigError: a radius above the limit.
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
    """Return low, high, distance of all near pairs of distinct hashes; `values` has a column hash, repeats allowed."""
    return _found(values.select("hash").distinct().withColumn("fresh", F.lit(True)), radius)


def updated_pairs(pairs: DataFrame, before: DataFrame, now: DataFrame, radius: int) -> DataFrame:
    """Return the result of `hash_pairs(now, radius)`, computed from earlier pairs.

    Only new hashes are compared, with all others; pairs of removed hashes are dropped. Up to FEW new hashes are
    broadcast, and a hash is then sent only to keys that one of them has.

    Args:
        pairs: low, high, distance, among `before`, for the same radius.
        before: hash of each image then.
        now: hash of each image now.
        radius: 0 to MOST_RADIUS.

    Raises:
        ConfigError: a radius above the limit.
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
    """Return the near pairs with at least one fresh hash; `values`: distinct hashes and fresh."""
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
