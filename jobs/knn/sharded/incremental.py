"""Incremental update of yesterday's neighbour lists: new pins are searched and inserted, lost ones removed.

Within the same cells a vector's list is the best of the members of the cells it probes. So a list changes only if its
owner is new, if it lost a member, or if a new member is better than its worst. The result equals a search of all
vectors, at a cost proportional to the change.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.knn.sharded.packed_vectors import PACKED_PAIRS, Pairs, merge_top_k, pack_batch
from jobs.knn.sharded.run import NO_MINIMUM, SearchPlan, SearchRequest, buckets_for, probe_shards
from jobs.knn.sharded.shuffle import rebatch
from jobs.knn.sharded.train import Cells
from jobs.lake.scratch import ScratchSpace
from jobs.settings.related import Neighbours

log = logging.getLogger(__name__)

PACKED = 1 << 20
"""Rows of lists that are packed at once."""


@dataclass(frozen=True)
class PreviousNeighbours:
    """What there was."""

    vectors: DataFrame
    """id, vector."""
    lists: DataFrame
    """id, neighbour, rank, score, found in the cells that are searched today."""


def update_incrementally(
    vectors: DataFrame,
    before: PreviousNeighbours,
    cells: Cells,
    neighbours: Neighbours,
    plan: SearchPlan,
    scratch: ScratchSpace,
) -> DataFrame | None:
    """Return id, neighbour, rank, score as `searched` would, or None where so much changed that it is to be called.

    Args:
        vectors: id, vector of today.
        before: yesterday's.
        cells: those that yesterday's lists were found in.
        neighbours: neighbours wanted, and the share of pins that may need a search.
        plan: how a search is split.
        scratch: where finished work is kept.
    """
    k = neighbours.k
    state = scratch.unit("changes", lambda: _state(vectors, before, k))
    counts = state.agg(*[F.count_if(F.col(name)).alias(name) for name in ("present", "is_query", "is_new")]).first()
    here, asks, fresh = (int(counts[name]) for name in ("present", "is_query", "is_new")) if counts else (0, 0, 0)
    if not here or asks > neighbours.changed_share * here:
        log.info("%d of %d pins need a search: all are searched", asks, here)
        return None
    log.info("%d of %d pins need a search, %d of them new or changed", asks, here, fresh)
    now = vectors.join(state.where("present"), "id")
    columns = ["id", "vector", "is_query", "is_item", "min_score"]
    own = now.withColumns({"is_item": F.lit(True), "min_score": F.lit(NO_MINIMUM).cast("float")}).select(columns)
    # the others' lists can change by new vectors alone: those are all that their shards hold
    others = now.withColumns({"is_query": ~F.col("is_query"), "is_item": F.col("is_new")}).select(columns)
    buckets = buckets_for(here)
    kept = before.lists.join(state.where("present AND NOT is_query").select("id"), "id", "left_semi")
    found = _packed(kept, buckets)
    if asks:
        found = found.unionByName(
            probe_shards(SearchRequest(own, here, asks, k), cells, plan, buckets, scratch, "own/")
        )
    if fresh:
        wide = replace(plan.limits, block=max(plan.limits.block, here * plan.limits.block // max(1, 10 * fresh)))
        few = replace(plan, limits=wide)
        found = found.unionByName(
            probe_shards(SearchRequest(others, fresh, here - asks, k), cells, few, buckets, scratch, "new/")
        )
    return merge_top_k(found, buckets, k).drop("cell")


def _state(vectors: DataFrame, before: PreviousNeighbours, k: int) -> DataFrame:
    """Return id, present (today), is_new (or another vector), is_query (to be searched), min_score (worst of its list).

    One row per vector of today or yesterday.
    """
    digest = F.xxhash64("vector")
    both = vectors.select("id", digest.alias("now")).join(
        before.vectors.select("id", digest.alias("then")), "id", "full_outer"
    )
    fresh = F.col("now").isNotNull() & (F.col("then").isNull() | (F.col("now") != F.col("then")))
    gone = F.col("then").isNotNull() & (F.col("now").isNull() | (F.col("now") != F.col("then")))
    both = both.select("id", F.col("now").isNotNull().alias("present"), fresh.alias("is_new"), gone.alias("gone"))
    both = both.localCheckpoint()
    lost = both.where("gone").select(F.col("id").alias("neighbour"))
    lost_a_neighbour = (
        before.lists.join(lost, "neighbour", "left_semi")
        .select("id")
        .distinct()
        .withColumn("lost_a_neighbour", F.lit(True))
    )
    worst = F.when(F.count(F.lit(1)) >= k, F.min("score")).otherwise(F.lit(NO_MINIMUM)).cast("float")
    floors = before.lists.groupBy("id").agg(worst.alias("min_score"))
    found = both.join(lost_a_neighbour, "id", "left").join(floors, "id", "left")
    asks = F.col("present") & (F.col("is_new") | F.coalesce("lost_a_neighbour", F.lit(False)))
    floor = F.coalesce("min_score", F.lit(NO_MINIMUM).cast("float"))
    return found.select("id", "present", "is_new", asks.alias("is_query"), floor.alias("min_score"))


def _packed(lists: DataFrame, buckets: int) -> DataFrame:
    """Return lists as packed, to be put together with what was found."""

    def pack(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for table in rebatch(batches, PACKED):
            ids, neighbours, scores = (table.column(name).to_numpy() for name in ("id", "neighbour", "score"))
            order = np.argsort(ids, kind="stable")
            some = Pairs(ids[order], neighbours[order], scores[order], np.empty(0, np.int32))
            yield from pack_batch(some.rows(buckets), PACKED_PAIRS)

    return lists.select("id", "neighbour", "score").mapInArrow(pack, PACKED_PAIRS)
