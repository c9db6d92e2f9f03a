"""Which embeddings may be compared: those of one model, and of one length."""

from dataclasses import dataclass

from pyspark.sql import DataFrame

from jobs.config.visual import Visual
from jobs.errors import ConfigError


@dataclass(frozen=True)
class Model:
    """An embedding model, as found in the table."""

    name: str
    dim: int
    rows: int
    """Pins that it has embedded."""


def model_of(embeddings: DataFrame, visual: Visual) -> Model | None:
    """Return the model to use, None without embeddings.

    Raises:
        ConfigError: several models, or dims, and `visual.model` names none of them.
    """
    counts = embeddings.groupBy("model", "dim").count().orderBy("model", "dim")
    found = [Model(r["model"], r["dim"], r["count"]) for r in counts.collect()]  # bounded: one row per model and dim
    chosen = [one for one in found if one.name == visual.model] if visual.model else found
    names = ", ".join(f"{one.name} (dim {one.dim}, {one.rows} pins)" for one in found)
    if not found:
        return None
    if not chosen:
        raise ConfigError(f"visual.model is {visual.model!r}, but public pins have embeddings of: {names}.")
    if len(chosen) > 1:
        raise ConfigError(
            f"Vectors of two models or dims must not be compared, found {names}: set visual.model to one of them, "
            f"and let one model have one dim."
        )
    return chosen[0]
