"""gold.ann_index: the inverted-file index for neighbour search, used above `neighbours.max_exact` pins.

In: gold.pin_stats, silver.pin_embeddings, and yesterday's index and audit. Out: one row per cell of the inverted file.

Cells are reused for `neighbours.rebuild_days`, so that a day's new pins update the existing lists. They are trained
again earlier if the embedding model changed, if the number of pins halved or doubled, or if the audit found too low a
recall.
"""

import hashlib
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.engine.context import Context, Tables
from jobs.knn.sharded.train import Cells, train_cells
from jobs.knn.tables import Model, index_key, model_of, public_embeddings, vectors_of
from jobs.lake.vectors import SINGLE, encode

log = logging.getLogger(__name__)

SCHEMA = (
    "version string, cell int, centroid binary, probes int, trained_on date, trained_pins bigint, "
    "recall double, lower double, upper double, sampled int"
)


def ann_index(tables: Tables, ctx: Context) -> DataFrame:
    """Return one row per cell: yesterday's if still valid, else newly trained; none if brute force is used.

    Raises:
        ConfigError: several embedding models and `neighbours.model` empty.
        ValidationFailedError: probing a quarter of the cells does not reach `neighbours.min_recall`.
    """
    neighbours = ctx.settings.neighbours
    embeddings = public_embeddings(tables)
    model = model_of(embeddings, neighbours)
    empty = embeddings.sparkSession.createDataFrame([], SCHEMA)
    if model is None or model.rows <= max(neighbours.max_exact, neighbours.k + 1):
        return empty
    previous = tables["gold.ann_index@yesterday"]
    trained = previous.select("version", "trained_on", "trained_pins").first()
    audited = tables["gold.neighbour_recall@yesterday"].select("recall", "upper").first()
    known, judged = (row.asDict() if row else None for row in (trained, audited))
    reason = retrain_reason(known, judged, model, ctx)
    if reason is None:
        return previous
    log.info("Training the cells of the neighbour index: %s.", reason)
    vectors = vectors_of(embeddings, model)
    cells = train_cells(
        vectors, model.rows, model.dim, neighbours.k, neighbours.min_recall, neighbours.tuning_queries, neighbours.seed
    )
    log.info("%d cells; %d probes reach a recall of %s", len(cells.centroids), cells.probes, cells.recall)
    return _frame(empty, cells, model, ctx)


def retrain_reason(
    trained: Mapping[str, Any] | None, audited: Mapping[str, Any] | None, model: Model, ctx: Context
) -> str | None:
    """Return why yesterday's cells must be trained again, None if they are valid.

    Args:
        trained: version, trained_on and trained_pins of yesterday's index; None without one.
        audited: recall and upper of yesterday's audit; None without one.
        model: the embeddings of today.
        ctx: of the job.
    """
    neighbours = ctx.settings.neighbours
    if trained is None:
        return "yesterday has no index"
    if not trained["version"].startswith(index_key(model, neighbours)):
        return f"yesterday's index is {trained['version']}, {index_key(model, neighbours)} is required"
    days = (ctx.as_of - trained["trained_on"]).days
    if days >= neighbours.rebuild_days:
        return f"yesterday's index is {days} days old, neighbours.rebuild_days is {neighbours.rebuild_days}"
    if not 0.5 <= model.rows / trained["trained_pins"] <= 2:
        return f"yesterday's index was trained for {trained['trained_pins']} pins, there are {model.rows}"
    if audited is not None and audited["upper"] < neighbours.min_recall:
        return (
            f"the audit measured a recall of {audited['recall']:.4f}, neighbours.min_recall is {neighbours.min_recall}"
        )
    return None


def _frame(like: DataFrame, cells: Cells, model: Model, ctx: Context) -> DataFrame:
    digest = hashlib.sha256(cells.centroids.astype(SINGLE).tobytes()).hexdigest()[:12]
    version = f"{index_key(model, ctx.settings.neighbours)}{ctx.as_of}/{digest}"
    rows = pa.table({"cell": pa.array(np.arange(len(cells.centroids), dtype=np.int32)),
                     "centroid": encode(cells.centroids, SINGLE)})  # fmt: skip
    constants: dict[str, tuple[object, str]] = {
        "version": (version, "string"), "probes": (cells.probes, "int"), "trained_on": (ctx.as_of, "date"),
        "trained_pins": (model.rows, "bigint"), "recall": (cells.recall.mean, "double"),
        "lower": (cells.recall.low, "double"), "upper": (cells.recall.high, "double"),
        "sampled": (cells.recall.sampled, "int"),
    }  # fmt: skip
    frame = like.sparkSession.createDataFrame(rows)
    return frame.withColumns({name: F.lit(value).cast(kind) for name, (value, kind) in constants.items()})
