"""Sharded search: vectors are shuffled to shards, searched one block per task, and merged.

Each block of queries in a shard is a Spark job with one task, as many at once as the cluster has room for. Its result
is stored in scratch space: a killed search resumes with the missing blocks and returns the same bytes.
"""

import io
import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.resource import ResourceProfile, ResourceProfileBuilder, TaskResourceRequests
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.knn.index import Wanted
from jobs.knn.inverted import nearest
from jobs.knn.sharded.ground_truth import sample_vectors
from jobs.knn.sharded.layout import Layout, Limits, assign_cells
from jobs.knn.sharded.packed_vectors import INDEX, PACKED_PAIRS, merge_top_k
from jobs.knn.sharded.search import search_packed
from jobs.knn.sharded.shuffle import shuffle
from jobs.knn.sharded.train import Cells
from jobs.lake.scratch import ScratchSpace
from jobs.settings.related import Neighbours

log = logging.getLogger(__name__)

BUCKET = 50_000
"""Ids whose neighbours are put together at once: at 50 each from three shards 100 MB."""
NO_MINIMUM = -2.0
"""A minimum below every cosine."""
ESTIMATE = 20_000
"""Vectors sampled to estimate the sizes of shards and blocks."""


@dataclass(frozen=True)
class SearchPlan:
    """How a search is split, and where it runs."""

    limits: Limits
    seed: int
    wanted: Wanted = "auto"
    task_cpus: int = 1
    """Cores of one task. Above one, and on a cluster, the search asks for them by a resource profile of its own."""
    task_gpus: float = 0
    """Share of a GPU that one task asks for, on a cluster whose workers offer them."""

    @classmethod
    def of(cls, neighbours: Neighbours) -> "SearchPlan":
        """Return the plan that the settings ask for."""
        limits = Limits(neighbours.shard_rows, neighbours.shard_queries)
        return cls(limits, neighbours.seed, neighbours.backend, neighbours.task_cpus, neighbours.task_gpus)


@dataclass(frozen=True)
class SearchRequest:
    """Queries and items of a search."""

    vectors: DataFrame
    """id bigint, vector binary (float16, none NaN or zero), asks boolean (its neighbours are wanted), holds boolean (it
    may be a neighbour), floor float (pairs below are not wanted; NO_MINIMUM for all)."""
    rows: int
    """Approximate number of items."""
    queries: int
    """Approximate number of queries."""
    k: int

    @classmethod
    def of_all(cls, vectors: DataFrame, rows: int, k: int) -> "SearchRequest":
        """Return the search of all `vectors` (id, vector) for all."""
        flags = {"is_query": F.lit(True), "is_item": F.lit(True), "min_score": F.lit(NO_MINIMUM).cast("float")}
        return cls(vectors.withColumns(flags), rows, rows, k)


def search(request: SearchRequest, cells: Cells, plan: SearchPlan, scratch: ScratchSpace) -> DataFrame:
    """Return id, neighbour, rank from 1, score of the k nearest items of each query.

    By (-cosine of six decimals, neighbour) among the cells that it looks into, as one index over all of them finds;
    itself by id not among them, no neighbour twice, fewer than k where those cells hold fewer.
    """
    buckets = buckets_for(request.queries)
    return merge_top_k(probe_shards(request, cells, plan, buckets, scratch), buckets, request.k).drop("cell")


def buckets_for(ids: int) -> int:
    """Return how many buckets so many ids are dealt to."""
    return max(1, -(-ids // BUCKET))


def probe_shards(
    request: SearchRequest, cells: Cells, plan: SearchPlan, buckets: int, scratch: ScratchSpace, name: str = ""
) -> DataFrame:
    """Return the packed pairs found in each shard; `name` distinguishes two searches of one job."""
    layout = _layout(request, cells, plan, scratch, name)
    dim = layout.centroids.shape[1]
    packed = scratch.unit(f"{name}packed", lambda: shuffle(request.vectors, layout, dim))
    task = Task(len(layout.centroids), dim, request.k, buckets, plan)
    return scratch.read(_blocks(packed, layout, task, scratch, name))


@dataclass(frozen=True)
class Task:
    """What a task must know besides its packed."""

    cells: int
    dim: int
    k: int
    buckets: int
    plan: SearchPlan

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield packed pairs; runs on an executor."""
        yield from search_packed(batches, self.cells, self.dim, self.k, self.buckets, self.plan.wanted)


def _blocks(packed: DataFrame, layout: Layout, task: Task, scratch: ScratchSpace, name: str) -> list[str]:
    """Search all blocks that are not there yet; return the names of all."""
    spark = packed.sparkSession
    profile = _profile(spark, task.plan)
    names = {f"{name}found/{shard:06d}-{block:06d}": (shard, block) for shard, block in layout.units()}

    def one(unit: str) -> None:
        shard, block = names[unit]
        here = packed.where((F.col("shard") == shard) & F.col("block").isin(INDEX, block))
        scratch.unit(unit, lambda: here.coalesce(1).mapInArrow(task, PACKED_PAIRS, profile=profile))

    left = [unit for unit in names if not scratch.done(unit)]
    log.info("%d of %d blocks in %d shards to search", len(left), len(names), len(layout.blocks))
    at_once = max(1, spark.sparkContext.defaultParallelism // task.plan.task_cpus)
    pool = ThreadPoolExecutor(at_once, "shards")
    try:
        for number, _ in enumerate(pool.map(one, left), 1):
            if number % max(1, len(left) // 10) == 0:
                log.info("%d of %d blocks searched", number, len(left))
    finally:
        pool.shutdown(cancel_futures=True)
    return list(names)


def _profile(spark: SparkSession, plan: SearchPlan) -> ResourceProfile | None:
    """Return what a task asks of a cluster; None where one core does, or there is no cluster to ask."""
    if str(spark.sparkContext.master).startswith("local") or (plan.task_cpus == 1 and not plan.task_gpus):
        return None
    wanted = TaskResourceRequests().cpus(plan.task_cpus)
    if plan.task_gpus:
        wanted = wanted.resource("gpu", plan.task_gpus)
    return ResourceProfileBuilder().require(wanted).build


def _layout(request: SearchRequest, cells: Cells, plan: SearchPlan, scratch: ScratchSpace, name: str) -> Layout:
    """Return the layout of the shuffle, stored in scratch: the same when another machine resumes."""
    spark = request.vectors.sparkSession

    def make() -> DataFrame:
        everything = max(request.rows, request.queries)
        _, some = sample_vectors(request.vectors, everything, ESTIMATE, cells.dim, plan.seed)
        probed = nearest(cells.centroids, some, cells.probes)
        made = assign_cells(cells.centroids, probed, (request.rows, request.queries), plan.limits, plan.seed)
        packed = io.BytesIO()
        np.savez(packed, shards=made.shards, parts=made.parts, blocks=made.blocks)
        return spark.createDataFrame([(packed.getvalue(),)], "layout binary").coalesce(1)

    row = scratch.unit(f"{name}layout", make).collect()[0]  # bounded: one row
    kept = np.load(io.BytesIO(row["layout"]), allow_pickle=False)
    return Layout(cells.centroids, cells.probes, kept["shards"], kept["parts"], kept["blocks"])
