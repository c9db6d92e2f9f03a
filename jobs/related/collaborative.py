"""Pins that the same people save: neighbours by the cosine of their collaborative filtering factors.

Factors of implicit ALS place a pin by who saved it, so that two pins may be near without one board, sitting or person
in common. Of a pin with few saves the factor is mostly noise: such pins are neither looked for nor found.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.knn.brute_force import ItemIndex, Plan, compared
from jobs.lake.vectors import SINGLE, decode
from jobs.settings import Settings


def saved_by_same(factors: DataFrame, public: DataFrame, settings: Settings) -> DataFrame:
    """Return pin_id, related_pin_id, near_cosine, near_rank: the pins of nearest factors, `neighbours.k` of each.

    Args:
        factors: rows of gold.cf_factors.
        public: pin_id, saves of every pin that may be shown.
        settings: of pins with related.collaborative_min_saves saves or more, the related.collaborative_max_pins most
            saved ones are compared, each with all. Every executor holds their factors.

    Raises:
        TableError: factors of different lengths.
        MissingDependencyError: no FAISS, or no GPU where neighbours.backend insists on one.
    """
    neighbours, related = settings.neighbours, settings.related
    known = factors.where(F.col("kind") == "pin").select(F.col("id").alias("pin_id"), "factor")
    enough = public.where(F.col("saves") >= related.collaborative_min_saves).select("pin_id", "saves")
    best = enough.join(known, "pin_id").orderBy(F.desc("saves"), "pin_id").limit(related.collaborative_max_pins)
    table = best.select("pin_id", "factor").toArrow().sort_by("pin_id")  # bounded: related.collaborative_max_pins
    catalogue = ItemIndex(table.column("pin_id").to_numpy(), decode(table.column("factor"), kind=SINGLE))
    found = compared(factors.sparkSession, catalogue, Plan(neighbours.k, neighbours.backend, neighbours.block))
    names = {"id": "pin_id", "neighbour": "related_pin_id", "score": "near_cosine", "rank": "near_rank"}
    return found.withColumnsRenamed(names)
