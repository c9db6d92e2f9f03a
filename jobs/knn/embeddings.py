"""Which embeddings may be compared: those of one model and of one length, of pins that everyone may see."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.common.errors import ConfigError
from jobs.knn.exact import unusable
from jobs.lake.vectors import decode
from jobs.settings.related import Neighbours


@dataclass(frozen=True)
class Model:
    """An embedding model, as found in the table."""

    name: str
    dim: int
    rows: int
    """Pins that it has embedded."""


def model_of(embeddings: DataFrame, neighbours: Neighbours) -> Model | None:
    """Return the model to use, None without embeddings.

    Raises:
        ConfigError: several models, or dims, and `neighbours.model` names none of them.
    """
    counts = embeddings.groupBy("model", "dim").count().orderBy("model", "dim")
    found = [Model(r["model"], r["dim"], r["count"]) for r in counts.collect()]  # bounded: one row per model and dim
    chosen = [one for one in found if one.name == neighbours.model] if neighbours.model else found
    names = ", ".join(f"{one.name} (dim {one.dim}, {one.rows} pins)" for one in found)
    if not found:
        return None
    if not chosen:
        raise ConfigError(f"neighbours.model is {neighbours.model!r}, but public pins have embeddings of: {names}.")
    if len(chosen) > 1:
        raise ConfigError(
            f"Vectors of two models or dims must not be compared, found {names}: set neighbours.model to one of them, "
            f"and let one model have one dim."
        )
    return chosen[0]


def public_embeddings(tables: Mapping[str, DataFrame], when: str = "") -> DataFrame:
    """Return the embeddings of public pins, of the cut or of an earlier one (`when`: "@yesterday")."""
    stats = tables[f"gold.pin_stats{when}"]
    public = stats.where(F.col("visibility") == "public").select("pin_id")
    return tables[f"silver.pin_embeddings{when}"].join(public, "pin_id", "left_semi")


def vectors_of(embeddings: DataFrame, model: Model) -> DataFrame:
    """Return id, vector of a model's embeddings; those that are NaN, infinite or zero have no direction: left out.

    Ingest puts such embeddings into quarantine; lakes from before it did may hold some.
    """

    def fit(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            bad = unusable(decode(batch.column(1), model.dim).astype(np.float32))
            good = np.ones(batch.num_rows, bool)
            good[bad] = False
            yield batch.filter(pa.array(good)) if len(bad) else batch

    one = embeddings.where((F.col("model") == model.name) & (F.col("dim") == model.dim))
    return one.select(F.col("pin_id").alias("id"), F.col("embedding").alias("vector")).mapInArrow(
        fit, "id bigint, vector binary"
    )
