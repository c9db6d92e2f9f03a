"""The embeddings that may be compared, one model and dim of public pins, and the stored index: read for a search."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.common.errors import ConfigError
from jobs.knn.exact import unusable
from jobs.knn.sharded.train import Cells
from jobs.knn.tuning import Recall
from jobs.lake.vectors import SINGLE, decode
from jobs.settings.related import Neighbours


@dataclass(frozen=True)
class Model:
    """An embedding model present in the table."""

    name: str
    dim: int
    rows: int
    """Pins with an embedding of it."""


def model_of(embeddings: DataFrame, neighbours: Neighbours) -> Model | None:
    """Return the configured or only model, None without embeddings.

    Raises:
        ConfigError: several models or dims and `neighbours.model` names none of them.
    """
    counts = embeddings.groupBy("model", "dim").count().orderBy("model", "dim")
    models = [Model(r["model"], r["dim"], r["count"]) for r in counts.collect()]  # bounded: one row per model and dim
    chosen = [one for one in models if one.name == neighbours.model] if neighbours.model else models
    names = ", ".join(f"{one.name} (dim {one.dim}, {one.rows} pins)" for one in models)
    if not models:
        return None
    if not chosen:
        raise ConfigError(f"neighbours.model is {neighbours.model!r}, but public pins have embeddings of: {names}.")
    if len(chosen) > 1:
        raise ConfigError(
            f"Vectors of two models or dims must not be compared, got {names}: set neighbours.model to one of them, "
            f"with one dim per model."
        )
    return chosen[0]


def public_embeddings(tables: Mapping[str, DataFrame], when: str = "") -> DataFrame:
    """Return the embeddings of public pins as of the run's date or an earlier one (`when`: "@yesterday")."""
    stats = tables[f"gold.pin_stats{when}"]
    public = stats.where(F.col("visibility") == "public").select("pin_id")
    return tables[f"silver.pin_embeddings{when}"].join(public, "pin_id", "left_semi")


def vectors_of(embeddings: DataFrame, model: Model) -> DataFrame:
    """Return id, vector of a model's embeddings without NaN, infinite and zero vectors, which have no direction.

    Ingest quarantines such embeddings; the filter guards tables written otherwise.
    """

    def valid(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            bad = unusable(decode(batch.column(1), model.dim).astype(np.float32))
            good = np.ones(batch.num_rows, bool)
            good[bad] = False
            yield batch.filter(pa.array(good)) if len(bad) else batch

    one = embeddings.where((F.col("model") == model.name) & (F.col("dim") == model.dim))
    return one.select(F.col("pin_id").alias("id"), F.col("embedding").alias("vector")).mapInArrow(
        valid, "id bigint, vector binary"
    )


def index_key(model: Model, neighbours: Neighbours) -> str:
    """Return what an index was built for: model, dim and settings. Lists of two keys are not comparable."""
    return f"{model.name}/{model.dim}/k{neighbours.k}/r{neighbours.min_recall}/s{neighbours.seed}/"


def index_version(frame: DataFrame) -> str | None:
    """Return the version of an index, None for brute force."""
    first = frame.select("version").first()
    return None if first is None else str(first["version"])


def cells_of(frame: DataFrame, dim: int) -> Cells:
    """Return the cells of rows of gold.ann_index."""
    table = frame.orderBy("cell").toArrow()  # bounded: MOST_CELLS rows
    first = {name: table.column(name)[0].as_py() for name in ("probes", "recall", "lower", "upper", "sampled")}
    centroids = np.ascontiguousarray(decode(table.column("centroid"), dim, SINGLE), np.float32)
    return Cells(centroids, first.pop("probes"), Recall(*first.values()))
