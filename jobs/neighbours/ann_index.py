"""gold.ann_index: the index that neighbours are searched in, where there are too many pins to compare all.

In: gold.pin_stats, silver.pin_embeddings, and yesterday's cells and audit. Out: one row per cell of the inverted file.

Cells stay for `neighbours.rebuild_days`, so that a day's new pins can be put into the lists there are. They are trained
anew before that where the embedding model has changed, where there are half or twice as many pins, or where the audit
found too few of the true neighbours.
"""

import hashlib
import logging

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.engine.context import Context, Tables
from jobs.knn.embeddings import Model, model_of, public_embeddings, vectors_of
from jobs.knn.sharded.train import Cells, trained
from jobs.knn.tuning import Recall
from jobs.lake.vectors import SINGLE, decode, encode
from jobs.settings.related import Neighbours

log = logging.getLogger(__name__)

SCHEMA = (
    "version string, cell int, centroid binary, probes int, trained_on date, trained_pins bigint, "
    "recall double, lower double, upper double, sampled int"
)


def ann_index(tables: Tables, ctx: Context) -> DataFrame:
    """Return one row per cell: yesterday's while they serve, else trained anew; none where all pins can be compared.

    Raises:
        ConfigError: several embedding models and `neighbours.model` empty.
        ValidationFailedError: a quarter of the cells do not reach `neighbours.min_recall`.
    """
    neighbours = ctx.settings.neighbours
    embeddings = public_embeddings(tables)
    model = model_of(embeddings, neighbours)
    nothing = embeddings.sparkSession.createDataFrame([], SCHEMA)
    if model is None or model.rows <= max(neighbours.max_exact, neighbours.k + 1):
        return nothing
    before = tables["gold.ann_index@yesterday"]
    why = _unfit(before, tables["gold.neighbour_recall@yesterday"], model, ctx)
    if why is None:
        return before
    log.info("The cells of the neighbours' index are trained anew: %s.", why)
    vectors = vectors_of(embeddings, model)
    cells = trained(
        vectors, model.rows, model.dim, neighbours.k, neighbours.min_recall, neighbours.tuning_queries, neighbours.seed
    )
    log.info("%d cells; %d probes find %s of the true neighbours", len(cells.centroids), cells.probes, cells.recall)
    return _frame(nothing, cells, model, ctx)


def _unfit(before: DataFrame, audit: DataFrame, model: Model, ctx: Context) -> str | None:
    """Return why yesterday's cells do not serve, None where they do."""
    neighbours = ctx.settings.neighbours
    first = before.select("version", "trained_on", "trained_pins").first()
    if first is None:
        return "there are none of yesterday"
    if not first["version"].startswith(named(model, neighbours)):
        return f"they are of {first['version']}, and {named(model, neighbours)} is wanted"
    days = (ctx.as_of - first["trained_on"]).days
    if days >= neighbours.rebuild_days:
        return f"they are {days} days old, neighbours.rebuild_days is {neighbours.rebuild_days}"
    if not 0.5 <= model.rows / first["trained_pins"] <= 2:
        return f"they were trained for {first['trained_pins']} pins, there are {model.rows}"
    judged = audit.select("recall", "upper").first()
    if judged is not None and judged["upper"] < neighbours.min_recall:
        found = f"the audit found {judged['recall']:.4f} of the true neighbours"
        return f"{found}, neighbours.min_recall is {neighbours.min_recall}"
    return None


def named(model: Model, neighbours: Neighbours) -> str:
    """Return what an index must have been made for to be of use: lists of two of these never mix."""
    return f"{model.name}/{model.dim}/k{neighbours.k}/r{neighbours.min_recall}/s{neighbours.seed}/"


def _frame(like: DataFrame, cells: Cells, model: Model, ctx: Context) -> DataFrame:
    digest = hashlib.sha256(cells.centroids.astype(SINGLE).tobytes()).hexdigest()[:12]
    version = f"{named(model, ctx.settings.neighbours)}{ctx.as_of}/{digest}"
    rows = pa.table({"cell": pa.array(np.arange(len(cells.centroids), dtype=np.int32)),
                     "centroid": encode(cells.centroids, SINGLE)})  # fmt: skip
    of_all: dict[str, tuple[object, str]] = {
        "version": (version, "string"), "probes": (cells.probes, "int"), "trained_on": (ctx.as_of, "date"),
        "trained_pins": (model.rows, "bigint"), "recall": (cells.recall.mean, "double"),
        "lower": (cells.recall.low, "double"), "upper": (cells.recall.high, "double"),
        "sampled": (cells.recall.sampled, "int"),
    }  # fmt: skip
    frame = like.sparkSession.createDataFrame(rows)
    return frame.withColumns({name: F.lit(value).cast(kind) for name, (value, kind) in of_all.items()})


def version_of(frame: DataFrame) -> str | None:
    """Return the version of an index, None where all pins are compared."""
    first = frame.select("version").first()
    return None if first is None else str(first["version"])


def cells_of(frame: DataFrame, dim: int) -> Cells:
    """Return the cells of rows of gold.ann_index."""
    table = frame.orderBy("cell").toArrow()  # bounded: MOST_CELLS rows
    first = {name: table.column(name)[0].as_py() for name in ("probes", "recall", "lower", "upper", "sampled")}
    centroids = np.ascontiguousarray(decode(table.column("centroid"), dim, SINGLE), np.float32)
    return Cells(centroids, first.pop("probes"), Recall(*first.values()))
