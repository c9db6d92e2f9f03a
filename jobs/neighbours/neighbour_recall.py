"""gold.neighbour_recall: recall of the neighbour lists, measured on a new sample of pins each day.

In: gold.pin_neighbours, gold.ann_index, gold.pin_stats, silver.pin_embeddings. Out: one row. A suite validates it
(expectations/gold/neighbour_recall.json), and yesterday's row decides whether the index is trained again.
"""

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.engine.context import Context, Tables
from jobs.knn.exact import Rows
from jobs.knn.sharded.ground_truth import exact_neighbours, sample_vectors
from jobs.knn.tables import model_of, public_embeddings, vectors_of
from jobs.knn.tuning import Recall

SCHEMA = (
    "pins bigint, left_out bigint, sampled int, recall double, lower double, upper double, target double, "
    "version string, probes int, trained_on date"
)


def neighbour_recall(tables: Tables, ctx: Context) -> DataFrame:
    """Return one row: recall of a daily sample's lists against exact neighbours; none without embeddings."""
    neighbours = ctx.settings.neighbours
    embeddings = public_embeddings(tables)
    spark = embeddings.sparkSession
    model = model_of(embeddings, neighbours)
    if model is None:
        return spark.createDataFrame([], SCHEMA)
    vectors = vectors_of(embeddings, model)
    usable = vectors.count()
    seed = neighbours.seed + ctx.as_of.toordinal()
    ids, queries = sample_vectors(vectors, model.rows, neighbours.audit_pins, model.dim, seed)
    truth = exact_neighbours(vectors, ids, queries, neighbours.k)
    lists = _lists(tables["gold.pin_neighbours"], ids)
    recall = _recall(ids, np.stack([truth.ids, truth.neighbours]), lists)
    index = tables["gold.ann_index"].select("version", "probes", "trained_on").first()
    target = neighbours.min_recall if index else 1.0
    row = (usable, model.rows - usable, recall.sampled, recall.mean, recall.low, recall.high, target)
    return spark.createDataFrame([(*row, *(index or (None, None, None)))], SCHEMA)


def _lists(neighbours: DataFrame, ids: Rows) -> Rows:
    """Return pin and neighbour [2, n] of the lists of the sampled pins."""
    few = neighbours.where(F.col("pin_id").isin(ids.tolist())).select("pin_id", "neighbour_id")
    table = few.toArrow()  # bounded: neighbours.audit_pins lists
    return np.stack([table.column(name).to_numpy() for name in ("pin_id", "neighbour_id")])


def _recall(ids: Rows, truth: Rows, lists: Rows) -> Recall:
    """Return the mean recall over pins with at least one true neighbour."""
    listed = set(zip(*lists.tolist(), strict=True))
    hit = np.array([pair in listed for pair in zip(*truth.tolist(), strict=True)], np.float64)
    rows = np.searchsorted(ids, truth[0])
    hits, counts = np.bincount(rows, hit, len(ids)), np.bincount(rows, minlength=len(ids))
    return Recall.of((hits[counts > 0] / counts[counts > 0]).astype(np.float32))
