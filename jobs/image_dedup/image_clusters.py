"""gold.image_clusters: clusters of images that show the same thing, saved twice, cropped or brightened.

In: gold.hash_pairs, silver.image_features, gold.pin_stats, silver.pin_embeddings, gold.pin_neighbours and
gold.ann_index, and the clusters of the day before, or else of a horizon before. Out: one row per image of a live pin.

    hashes within image_dedup.hash_radius bits, confirmed by the embeddings' cosine
    + pins with almost equal embeddings (an image cropped hard has another hash), private pins included
    -> clusters, chains split -> stable ids

A hash captures light and dark areas only: most images with equal or near hashes are different where many images are
plain, so embeddings decide. An image is represented by its lowest pin.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.engine.context import Context, Tables
from jobs.image_dedup.by_embedding import confirm_pairs, private_duplicates
from jobs.image_dedup.clusters import clusters, stable_ids
from jobs.image_dedup.clusters import images as clustered
from jobs.image_dedup.hash_pairs import between, pins_with_image, representatives, with_hash
from jobs.knn.tables import model_of


def image_clusters(tables: Tables, ctx: Context) -> DataFrame:
    """Return image_signature, image_id, cluster_id, pins, saves of every image of a live pin."""
    images = (
        pins_with_image(tables)
        .groupBy("image_signature")
        .agg(
            F.min("pin_id").alias("image_id"),
            F.count(F.lit(1)).cast("int").alias("pins"),
            F.sum("saves").alias("saves"),
        )
    )
    pairs = _near_duplicates(tables, images, ctx)
    # equal hashes are pairs to confirm like others, so each image represents itself
    own = images.select(F.col("image_id").alias("id"), F.col("image_id").alias("representative"))
    today = clustered(own, clusters(pairs))
    before = tables["gold.image_clusters@yesterday"]
    before = tables["gold.image_clusters@horizon"] if before.isEmpty() else before
    before = before.select(F.col("image_id").alias("id"), F.col("cluster_id").alias("cluster"))
    named = stable_ids(today, before).select(F.col("id").alias("image_id"), F.col("cluster").alias("cluster_id"))
    return images.join(named, "image_id")


def _near_duplicates(tables: Tables, images: DataFrame, ctx: Context) -> DataFrame:
    """Return left, right, distance of near-duplicate images by image_id, each pair once."""
    dedup = ctx.settings.image_dedup
    hashes = with_hash(tables, images).select(F.col("image_id").alias("id"), "hash")
    same = representatives(hashes).where("id <> representative")
    same = same.select(F.col("representative").alias("left"), F.col("id").alias("right"), F.lit(0).alias("distance"))
    near = between(tables["gold.hash_pairs"].where("distance > 0"), hashes).unionByName(same)
    embeddings = tables["silver.pin_embeddings"].join(pins_with_image(tables).select("pin_id"), "pin_id", "left_semi")
    model = model_of(embeddings, ctx.settings.neighbours)
    vectors = embeddings.where((F.col("model") == model.name) & (F.col("dim") == model.dim)) if model else embeddings
    vectors = vectors.select(F.col("pin_id").alias("id"), "embedding")
    alike = confirm_pairs(near, vectors, dedup.confirm_cosine).select("left", "right", "distance")
    equal = tables["gold.pin_neighbours"].where(F.col("score") >= F.lit(dedup.duplicate_cosine).cast("float"))
    equal = equal.select("pin_id", "neighbour_id")
    equal = equal.unionByName(private_duplicates(tables, ctx, embeddings, model)) if model else equal
    both = alike.unionByName(_by_embedding(tables, images, equal, dedup.hash_radius + 1))
    return both.groupBy("left", "right").agg(F.min("distance").alias("distance"))


def _by_embedding(tables: Tables, images: DataFrame, equal: DataFrame, distance: int) -> DataFrame:
    """Return pairs of images whose pins have almost equal embeddings, at a distance above that of any hash pair."""
    pins = pins_with_image(tables).select("pin_id", "image_signature")
    pins = pins.join(images.select("image_signature", "image_id"), "image_signature")
    one = pins.select("pin_id", F.col("image_id").alias("a"))
    other = pins.select(F.col("pin_id").alias("neighbour_id"), F.col("image_id").alias("b"))
    pairs = equal.join(one, "pin_id").join(other, "neighbour_id").where("a <> b")
    left, right = F.least("a", "b").alias("left"), F.greatest("a", "b").alias("right")
    return pairs.select(left, right, F.lit(distance).alias("distance")).distinct()
