"""gold.neighbour_recall: how many of the true neighbours the lists hold, looked up for a sample of pins each day.

In: gold.pin_neighbours, gold.ann_index, gold.pin_stats, silver.pin_embeddings. Out: one row. A suite judges it
(expectations/gold/neighbour_recall.json), and yesterday's row decides whether the index is trained anew.
"""

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.engine.context import Context, Tables
from jobs.knn.embeddings import model_of, public_embeddings, vectors_of
from jobs.knn.exact import Rows
from jobs.knn.sharded.ground_truth import exact_neighbours
from jobs.knn.sharded.sample import sampled
from jobs.knn.tuning import Recall

SCHEMA = (
    "pins bigint, left_out bigint, sampled int, recall double, lower double, upper double, target double, "
    "version string, probes int, trained_on date"
)


def neighbour_recall(tables: Tables, ctx: Context) -> DataFrame:
    """Return one row: recall of a sample's lists against all vectors, others each day; none where there are no pins."""
    neighbours = ctx.settings.neighbours
    embeddings = public_embeddings(tables)
    spark = embeddings.sparkSession
    model = model_of(embeddings, neighbours)
    if model is None:
        return spark.createDataFrame([], SCHEMA)
    vectors = vectors_of(embeddings, model)
    usable = vectors.count()
    seed = neighbours.seed + ctx.as_of.toordinal()
    ids, queries = sampled(vectors, model.rows, neighbours.audit_pins, model.dim, seed)
    truth = exact_neighbours(vectors, ids, queries, neighbours.k)
    lists = _lists(tables["gold.pin_neighbours"], ids)
    recall = _recall(ids, np.stack([truth.ids, truth.neighbours]), lists)
    index = tables["gold.ann_index"].select("version", "probes", "trained_on").first()
    target = neighbours.min_recall if index else 1.0
    row = (usable, model.rows - usable, recall.sampled, recall.mean, recall.low, recall.high, target)
    return spark.createDataFrame([(*row, *(index or (None, None, None)))], SCHEMA)


def _lists(neighbours: DataFrame, ids: Rows) -> Rows:
    """Return pin and neighbour [2, n] of the lists of a few pins."""
    few = neighbours.where(F.col("pin_id").isin(ids.tolist())).select("pin_id", "neighbour_id")
    table = few.toArrow()  # bounded: neighbours.audit_pins lists
    return np.stack([table.column(name).to_numpy() for name in ("pin_id", "neighbour_id")])


def _recall(ids: Rows, truth: Rows, lists: Rows) -> Recall:
    """Return the mean share of each pin's true neighbours that its list holds; pins without any have no share."""
    held = set(zip(*lists.tolist(), strict=True))
    hit = np.array([pair in held for pair in zip(*truth.tolist(), strict=True)], np.float64)
    place = np.searchsorted(ids, truth[0])
    of_each, wanted = np.bincount(place, hit, len(ids)), np.bincount(place, minlength=len(ids))
    return Recall.of((of_each[wanted > 0] / wanted[wanted > 0]).astype(np.float32))
