"""Yesterday's neighbours brought up to today: new pins searched and put into others' lists, lost ones taken out.

Within the same cells a vector's list is the best of the members of the cells it looks into. So a list changes where its
owner is new, where it lost a member, and where a new member is better than its worst; the rest is as it was. What
comes out is what a search of all would find, at a price that follows the change.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.knn.sharded.merge import merged
from jobs.knn.sharded.packed_vectors import FOUND, Found, batch_of
from jobs.knn.sharded.run import ANY, SearchPlan, SearchRequest, buckets_for, probe_shards
from jobs.knn.sharded.shuffle import together
from jobs.knn.sharded.train import Cells
from jobs.lake.scratch import ScratchSpace
from jobs.settings.related import Neighbours

log = logging.getLogger(__name__)

PACKED = 1 << 20
"""Rows of lists that are packed at once."""


@dataclass(frozen=True)
class Yesterday:
    """What there was."""

    vectors: DataFrame
    """id, vector."""
    lists: DataFrame
    """id, neighbour, rank, score, found in the cells that are searched today."""


def update_incrementally(
    vectors: DataFrame, before: Yesterday, cells: Cells, neighbours: Neighbours, way: SearchPlan, keep: ScratchSpace
) -> DataFrame | None:
    """Return id, neighbour, rank, score as `searched` would, or None where so much changed that it is to be called.

    Args:
        vectors: id, vector of today.
        before: yesterday's.
        cells: those that yesterday's lists were found in.
        neighbours: neighbours wanted, and the share of pins that may need a search.
        way: how a search is split.
        keep: where finished work is kept.
    """
    k = neighbours.k
    state = keep.unit("changes", lambda: _state(vectors, before, k))
    counts = state.agg(*[F.count_if(F.col(name)).alias(name) for name in ("here", "asks", "fresh")]).first()
    here, asks, fresh = (int(counts[name]) for name in ("here", "asks", "fresh")) if counts else (0, 0, 0)
    if not here or asks > neighbours.changed_share * here:
        log.info("%d of %d pins need a search: all are searched", asks, here)
        return None
    log.info("%d of %d pins need a search, %d of them new or changed", asks, here, fresh)
    now = vectors.join(state.where("here"), "id")
    columns = ["id", "vector", "asks", "holds", "floor"]
    own = now.withColumns({"holds": F.lit(True), "floor": F.lit(ANY).cast("float")}).select(columns)
    # the others' lists can change by new vectors alone: those are all that their shards hold
    others = now.withColumns({"asks": ~F.col("asks"), "holds": F.col("fresh")}).select(columns)
    buckets = buckets_for(here)
    kept = before.lists.join(state.where("here AND NOT asks").select("id"), "id", "left_semi")
    found = _packed(kept, buckets)
    if asks:
        found = found.unionByName(probe_shards(SearchRequest(own, here, asks, k), cells, way, buckets, keep, "own/"))
    if fresh:
        wide = replace(way.limits, block=max(way.limits.block, here * way.limits.block // max(1, 10 * fresh)))
        few = replace(way, limits=wide)
        found = found.unionByName(
            probe_shards(SearchRequest(others, fresh, here - asks, k), cells, few, buckets, keep, "new/")
        )
    return merged(found, buckets, k).drop("cell")


def _state(vectors: DataFrame, before: Yesterday, k: int) -> DataFrame:
    """Return id, here (today), fresh (new, or another vector), asks (to be searched), floor (worst score of its list).

    One row per vector of today or yesterday.
    """
    digest = F.xxhash64("vector")
    both = vectors.select("id", digest.alias("now")).join(
        before.vectors.select("id", digest.alias("then")), "id", "full_outer"
    )
    fresh = F.col("now").isNotNull() & (F.col("then").isNull() | (F.col("now") != F.col("then")))
    gone = F.col("then").isNotNull() & (F.col("now").isNull() | (F.col("now") != F.col("then")))
    both = both.select("id", F.col("now").isNotNull().alias("here"), fresh.alias("fresh"), gone.alias("gone"))
    both = both.localCheckpoint()
    lost = both.where("gone").select(F.col("id").alias("neighbour"))
    bereft = before.lists.join(lost, "neighbour", "left_semi").select("id").distinct().withColumn("bereft", F.lit(True))
    worst = F.when(F.count(F.lit(1)) >= k, F.min("score")).otherwise(F.lit(ANY)).cast("float")
    floors = before.lists.groupBy("id").agg(worst.alias("floor"))
    found = both.join(bereft, "id", "left").join(floors, "id", "left")
    asks = F.col("here") & (F.col("fresh") | F.coalesce("bereft", F.lit(False)))
    floor = F.coalesce("floor", F.lit(ANY).cast("float"))
    return found.select("id", "here", "fresh", asks.alias("asks"), floor.alias("floor"))


def _packed(lists: DataFrame, buckets: int) -> DataFrame:
    """Return lists as parcels, to be put together with what was found."""

    def pack(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for table in together(batches, PACKED):
            ids, neighbours, scores = (table.column(name).to_numpy() for name in ("id", "neighbour", "score"))
            order = np.argsort(ids, kind="stable")
            some = Found(ids[order], neighbours[order], scores[order], np.empty(0, np.int32))
            yield from batch_of(some.rows(buckets), FOUND)

    return lists.select("id", "neighbour", "score").mapInArrow(pack, FOUND)
