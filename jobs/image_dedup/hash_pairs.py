"""gold.hash_pairs: which hashes of images are near one another, brought up from the day before.

In: gold.pin_stats, silver.image_features, and yesterday's pairs. Out: one row per hash that a live pin's image has,
at distance 0 of itself, and one per pair of hashes within image_dedup.hash_radius bits.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.engine.context import Context, Tables
from jobs.image_dedup.join import VALUES, hash_pairs, updated_pairs


def near_hashes(tables: Tables, ctx: Context) -> DataFrame:
    """Return low, high, distance, radius; only hashes that are new since yesterday are compared, each with all.

    Pairs follow from the hashes alone, so those of yesterday hold wherever both hashes are still there. Another radius
    begins anew.
    """
    radius = ctx.settings.image_dedup.hash_radius
    now = hashed(tables, carried(tables).select("image_signature").distinct()).select("hash").distinct()
    now = now.localCheckpoint()  # read twice
    known = tables["gold.hash_pairs@yesterday"].where(F.col("radius") == radius)
    before = known.where("distance = 0").select(F.col("low").alias("hash"))
    if before.isEmpty():
        pairs = hash_pairs(now, radius)
    else:
        pairs = updated_pairs(known.where("distance > 0").select(*VALUES), before, now, radius)
    own = now.select(F.col("hash").alias("low"), F.col("hash").alias("high"), F.lit(0).alias("distance"))
    return own.unionByName(pairs.select(*VALUES)).withColumn("radius", F.lit(radius))


def carried(tables: Tables) -> DataFrame:
    """Return the live pins that carry an image."""
    return tables["gold.pin_stats"].where(F.length("image_signature") > 0)


def hashed(tables: Tables, images: DataFrame) -> DataFrame:
    """Return `images` (image_signature, ...) that have been measured, with their hash."""
    features = tables["silver.image_features"].where(F.col("phash").isNotNull())
    return images.join(features.select("image_signature", F.col("phash").alias("hash")), "image_signature")
