"""gold.pin_neighbours: the nearest pins of each public pin by the cosine of their embeddings.

In: gold.pin_stats (who may be seen), silver.pin_embeddings (newest per pin). Out: one row per pin and neighbour.

The vectors of one model are collected once as float16, sent to every executor, and searched there in blocks of row
numbers, so that no vector is shuffled. Up to `visual.max_exact` pins every vector is compared; above that an
inverted-file index, tuned on a sample to `visual.recall`, is searched. `visual.max_vectors` bounds what one executor
must hold; beyond it the index has to be split over executors.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.config.visual import Visual
from jobs.errors import ConfigError
from jobs.lake.job import Context, Tables
from jobs.lake.vectors import Matrix, decode, unit
from jobs.visual.knn.exact import Floats, Rows, unusable
from jobs.visual.knn.index import Index, Wanted
from jobs.visual.knn.inverted import Cells, Inverted, train, tune
from jobs.visual.model import Model, model_of

log = logging.getLogger(__name__)

SCHEMA = "pin_id bigint, neighbour_id bigint, rank int, score float"
DIGITS = 6
"""Decimals of a stored cosine: coarser than float32's error, so that every machine stores the same number."""

LEAST = 1024
"""Rows of the smallest block."""


@dataclass(frozen=True)
class Catalogue:
    """Pins and their vectors, by pin_id: row i of both is one pin."""

    ids: Rows
    vectors: Matrix

    def units(self) -> Floats:
        """Return the vectors as float32 of length one."""
        return unit(self.vectors)


@dataclass(frozen=True)
class Plan:
    """How an executor searches the catalogue."""

    k: int
    wanted: Wanted
    cells: Cells | None = None
    """Trained cells; None compares every vector."""
    probes: int = 0


def pin_neighbours(tables: Tables, ctx: Context) -> DataFrame:
    """Return `visual.neighbours` nearest public pins of each public pin that has an embedding.

    Cosines are rounded to six decimals; rank is by (-score, neighbour_id). A pin is told from itself by its id, so
    an exact copy under another id is its first neighbour. Vectors that are NaN or zero have no neighbours: they are
    left out, with a warning that counts them.

    Raises:
        ConfigError: several embedding models and `visual.model` empty, an absent model, or too many vectors.
        TableError: embeddings whose bytes do not fit their dim.
        EnvironmentMissing: no FAISS, or no GPU where `visual.backend` insists on one.
    """
    visual = ctx.settings.visual
    public = tables["gold.pin_stats"].where(F.col("visibility") == "public").select("pin_id")
    embeddings = tables["silver.pin_embeddings"].join(public, "pin_id", "left_semi")
    model = model_of(embeddings, visual)
    if model is None:
        return embeddings.sparkSession.createDataFrame([], SCHEMA)
    _require_room(model, visual)
    one = embeddings.where((F.col("model") == model.name) & (F.col("dim") == model.dim))
    catalogue = _catalogue(one, model.dim)
    return _search(embeddings, catalogue, _plan(catalogue, visual), visual.block)


def _require_room(model: Model, visual: Visual) -> None:
    if model.rows > visual.max_vectors:
        raise ConfigError(
            f"{model.rows} pins have embeddings, visual.max_vectors allows {visual.max_vectors} on one executor: raise "
            f"it if executors and driver can hold {model.rows * model.dim * 10 >> 20} MiB of vectors; splitting the "
            f"index over executors is for beyond that."
        )


def _catalogue(embeddings: DataFrame, dim: int) -> Catalogue:
    table = embeddings.select("pin_id", "embedding").toArrow()  # bounded: visual.max_vectors rows
    ids = table.column("pin_id").to_numpy()
    vectors = decode(table.column("embedding"), dim)
    bad = unusable(vectors.astype(np.float32))
    if len(bad):
        log.warning(
            "%d pins have an embedding that is NaN or zero and get no neighbours, first: %s", len(bad), ids[bad[:5]]
        )
    good = np.setdiff1d(np.arange(len(ids)), bad)
    order = good[np.argsort(ids[good])]
    return Catalogue(np.ascontiguousarray(ids[order]), np.ascontiguousarray(vectors[order]))


def _plan(catalogue: Catalogue, visual: Visual) -> Plan:
    n = len(catalogue.ids)
    plan = Plan(visual.neighbours, visual.backend)
    if n <= visual.max_exact or n <= visual.neighbours + 1:
        return plan
    vectors = catalogue.units()
    cells = train(vectors, visual.seed)
    sample = np.sort(np.random.default_rng(visual.seed).choice(n, min(n, visual.tuning_queries), replace=False))
    probes = tune(vectors, cells, sample, visual.neighbours + 1, visual.recall, visual.backend)
    log.info("%d vectors in %d cells; %d probes reach recall %s", n, len(cells.centroids), probes, visual.recall)
    return Plan(visual.neighbours, visual.backend, cells, probes)


def _search(df: DataFrame, catalogue: Catalogue, plan: Plan, block: int) -> DataFrame:
    """Return the neighbours of every pin of the catalogue, found on the executors block by block."""
    spark = df.sparkSession
    if not len(catalogue.ids):
        return spark.createDataFrame([], SCHEMA)
    shared = spark.sparkContext.broadcast((catalogue, plan))
    # an index is opened once per task: no more tasks than cores
    edges = block_edges(len(catalogue.ids), block, spark.sparkContext.defaultParallelism)
    tasks = min(len(edges) - 1, spark.sparkContext.defaultParallelism)
    numbers = spark.range(0, len(edges) - 1, 1, tasks)

    def search(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from search_blocks(batches, edges, *shared.value)

    return numbers.mapInArrow(search, SCHEMA)


def block_edges(n: int, most: int, tasks: int) -> list[int]:
    """Return where blocks of n rows begin and the last ends: at most `most` rows each, even over the tasks.

    A block has 1,024 rows or more (below it each search costs several times as much), unless all have fewer.
    """
    count = -(-n // most)
    count = max(1, min(-(-count // tasks) * tasks, n // LEAST))
    count = max(count, -(-n // most))
    return [n * i // count for i in range(count + 1)]


def search_blocks(
    batches: Iterable[pa.RecordBatch], edges: list[int], catalogue: Catalogue, plan: Plan
) -> Iterator[pa.RecordBatch]:
    """Yield the neighbours of the pins in each block number that `batches` hold; runs on an executor."""
    index: Any = None
    for batch in batches:
        for number in batch.column(0).to_pylist():
            index = index or _open(catalogue, plan)
            yield neighbour_batch(catalogue.ids, np.arange(edges[number], edges[number + 1]), index, plan.k)


def _open(catalogue: Catalogue, plan: Plan) -> Index | Inverted:
    if plan.cells is None:
        return Index(catalogue.units(), wanted=plan.wanted)
    return Inverted(catalogue.units(), plan.cells, plan.probes)


def neighbour_batch(ids: Rows, rows: Rows, index: Index | Inverted, k: int) -> pa.RecordBatch:
    """Return pin_id, neighbour_id, rank, score for the pins at `rows`, without self (by id) and without gaps."""
    raw, near = index.search(index.vectors[rows], k + 1)
    scores = np.round(np.clip(raw.astype(np.float64), -1, 1), DIGITS)
    mine = near == rows[:, None]
    keep = (near >= 0) & ~mine
    # rounding made new ties, and self has left: rank afresh, what is not kept last. Rows are in the order of ids.
    order = np.lexsort((near, -scores, ~keep), axis=-1)[:, :k]
    keep, near = np.take_along_axis(keep, order, 1), np.take_along_axis(near, order, 1)
    scores = np.take_along_axis(scores, order, 1)
    rank = np.broadcast_to(np.arange(1, keep.shape[1] + 1, dtype=np.int32), keep.shape)
    pins = np.broadcast_to(ids[rows][:, None], keep.shape)
    columns = (pins[keep], ids[near[keep]], rank[keep], scores[keep].astype(np.float32))
    return pa.RecordBatch.from_arrays([pa.array(c) for c in columns], ["pin_id", "neighbour_id", "rank", "score"])
