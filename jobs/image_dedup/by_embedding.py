"""Near-duplicates by embeddings: near hashes are confirmed, and private pins are matched.

A hash captures the light and dark areas of an image, an embedding its content. gold.pin_neighbours contains public pins
only. A hard crop has another hash than its original, so on a secret board nothing would match it: private pins are
therefore searched among all pins. Clusters are internal and shown to nobody.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.common.errors import TableError
from jobs.engine.context import Context, Tables
from jobs.knn.sharded.run import SearchPlan, SearchRequest, search
from jobs.knn.sharded.train import Cells
from jobs.knn.tables import Model, cells_of, index_version, vectors_of
from jobs.lake.scratch import InMemory
from jobs.lake.vectors import decode, unit

HASH_ONLY = 2
"""Hamming distance up to which hashes alone confirm a pair."""
DIGITS = 6
"""Decimals of a cosine: coarser than float32's error, so that all machines decide alike."""
_SCHEMA = "left bigint, right bigint, distance int, cosine float"


def confirm_pairs(pairs: DataFrame, vectors: DataFrame, cosine: float, alone: int = HASH_ONLY) -> DataFrame:
    """Return left, right, distance, cosine of the pairs that embeddings confirm.

    A pair with vectors on both sides is kept if their cosine is at least `cosine`. If a vector is missing, zero or not
    finite, the pair is kept, with a null cosine, only if its hashes differ in at most `alone` bits.

    Args:
        pairs: left, right, distance.
        vectors: id bigint, embedding binary (float16), at most one row an id, all of one model.
        cosine: least cosine.
        alone: largest distance of a pair without both vectors; -1 drops all of them.

    Raises:
        TableError: on execution, vectors of different lengths.
    """
    one = vectors.select(F.col("id").alias("left"), F.col("embedding").alias("a"))
    other = vectors.select(F.col("id").alias("right"), F.col("embedding").alias("b"))
    both = pairs.select("left", "right", "distance").join(one, "left", "left").join(other, "right", "left")

    def compare(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield _kept(batch, cosine, alone)

    return both.select("left", "right", "distance", "a", "b").mapInArrow(compare, _SCHEMA)


def _kept(batch: pa.RecordBatch, cosine: float, alone: int) -> pa.RecordBatch:
    left, right, distance, a, b = batch.columns
    both = pc.and_(a.is_valid(), b.is_valid())
    found = np.full(batch.num_rows, np.nan)
    found[both.to_numpy(zero_copy_only=False)] = cosines(a.filter(both), b.filter(both))
    unknown = np.isnan(found)
    keep = pa.array(np.where(unknown, distance.to_numpy() <= alone, found >= cosine))
    told = pa.array(found.astype(np.float32), mask=unknown)
    columns = [column.filter(keep) for column in (left, right, distance, told)]
    return pa.RecordBatch.from_arrays(columns, ["left", "right", "distance", "cosine"])


def cosines(a: pa.Array, b: pa.Array) -> NDArray[np.float64]:
    """Return the rounded cosines of two columns of vectors row by row; NaN where a vector is zero or not finite.

    Raises:
        TableError: vectors of different lengths.
    """
    one, other = decode(a), decode(b)
    if one.shape != other.shape:
        raise TableError(
            f"Both vectors of a pair must have the same length, got {one.shape[1]} and {other.shape[1]}: "
            f"pass the vectors of one model."
        )
    one, other = unit(one).astype(np.float64), unit(other).astype(np.float64)
    dots = np.round(np.clip(np.einsum("ij,ij->i", one, other), -1, 1), DIGITS)
    dots[~(one.any(axis=1) & other.any(axis=1))] = np.nan
    return dots


MOST = 20
"""Neighbours searched per private pin: clusters need a few of them, not all."""


def private_duplicates(tables: Tables, ctx: Context, embeddings: DataFrame, model: Model) -> DataFrame:
    """Return pin_id, neighbour_id of private pins and any pins with a cosine of at least duplicate_cosine.

    Searches the cells of gold.ann_index, or one single cell without an index.

    Args:
        tables: gold.pin_stats, gold.ann_index.
        ctx: of the job.
        embeddings: of live pins, private ones included.
        model: the embedding model to compare.
    """
    dedup = ctx.settings.image_dedup
    private = tables["gold.pin_stats"].where("visibility <> 'public'").select(F.col("pin_id").alias("id"))
    vectors = vectors_of(embeddings, model)
    queries = vectors.join(private, "id", "left_semi").count()
    if not queries:
        return embeddings.sparkSession.createDataFrame([], "pin_id bigint, neighbour_id bigint")
    flags = {"is_item": F.lit(True), "min_score": F.lit(dedup.duplicate_cosine).cast("float")}
    flagged = vectors.join(private.withColumn("is_query", F.lit(True)), "id", "left")
    flagged = flagged.withColumns({"is_query": F.coalesce("is_query", F.lit(False)), **flags})
    index = tables["gold.ann_index"]
    cells = Cells.single(model.dim) if index_version(index) is None else cells_of(index, model.dim)
    request = SearchRequest(flagged, model.rows, queries, MOST)
    found = search(request, cells, SearchPlan.of(ctx.settings.neighbours), ctx.scratch or InMemory())
    return found.select(F.col("id").alias("pin_id"), F.col("neighbour").alias("neighbour_id"))
