"""Scores every candidate, applies the rules, diversifies; and selects the feed and the drops from the result.

In: the sources' candidates and the tables of the as-of. Out: gold.ranked, one row per user and candidate pin, with the
rule that removed it or its position; gold.home_feed and gold.feed_drops. Work per user is bounded by the sources' caps.
"""

from collections.abc import Iterable

import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import FloatType, StructField, StructType

from jobs.engine.context import Context, Tables
from jobs.ranking import arms, xgb
from jobs.ranking.diversify import diversified
from jobs.ranking.features import FACTS, FEATURES, VECTOR_COLUMNS, Known, matrix, paired
from jobs.ranking.merge import merged
from jobs.ranking.rules import Facts, first_rule, flagged, with_image_cluster
from jobs.settings.ranking import Ranking

COLUMNS = (
    "user_id",
    "pin_id",
    "score",
    "sources",
    "reason",
    "reason_id",
    "category",
    "creator_id",
    "rule",
    "arm",
    "position",
)
NO_PLACE = "length"
"""Rule named for a pin that no rule removed but that found no place in the feed."""


def ranked(tables: Tables, ctx: Context) -> DataFrame:
    """Return gold.ranked.

    Reads gold.candidates, gold.ranker, gold.pin_stats, gold.image_clusters, gold.user_profile, gold.cf_factors,
    gold.interactions, silver.pin_embeddings, silver.app_users, silver.app_user_follows, silver.app_blocks. Users that
    are not active get nothing.
    """
    settings = ctx.settings.ranking
    active = tables["gold.user_profile"].where("is_active").select("user_id")
    proposed = merged(tables["gold.candidates"].join(active, "user_id", "left_semi"), settings)
    pins = with_image_cluster(tables["gold.pin_stats"], tables["gold.image_clusters"])
    pairs = paired(proposed, Known.of({**tables, "gold.pin_stats": pins}), (*FACTS, "image_cluster"))
    facts = Facts(
        interactions=tables["gold.interactions"],
        pins=pins,
        app_users=tables["silver.app_users"],
        blocks=tables["silver.app_blocks"],
    )
    row = tables["gold.ranker"].select("model").first()  # bounded: the table has one row an as-of
    candidates = flagged(scored(pairs, row["model"] if row else None, settings), facts)
    return placed(candidates, settings).select(*COLUMNS)


def scored(pairs: DataFrame, model: str | None, settings: Ranking) -> DataFrame:
    """Return the pairs with `score` instead of features and vectors.

    With a model the score is its log-odds plus ranking.blend times the blend of the sources' ranks; without one it is
    the blend alone.
    """
    kept = [name for name in pairs.columns if name not in {*FEATURES, *VECTOR_COLUMNS}]
    if model is None:
        return pairs.select(*kept, F.col("blend").cast("float").alias("score"))
    fields = [StructField(field.name, field.dataType) for field in pairs.schema.fields if field.name in kept]
    schema = StructType([*fields, StructField("odds", FloatType())])

    def odds(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            columns = [*batch.select(kept).columns, pa.array(xgb.predict(model, matrix(batch)))]
            yield pa.RecordBatch.from_arrays(columns, names=[*kept, "odds"])

    score = F.round(F.col("odds").cast("double") + settings.blend * F.col("blend"), 6).cast("float")
    return pairs.mapInArrow(odds, schema).withColumn("score", score).drop("odds")


def placed(candidates: DataFrame, settings: Ranking) -> DataFrame:
    """Return the flagged candidates with rule, arm and position."""
    ready = candidates.withColumn("rule", first_rule()).withColumn("arm", arms.arm(settings))
    ready = ready.withColumn("mmr_lambda", arms.mmr_lambda(settings))
    needed = ready.select(*COLUMNS[:-1], "color", "style", "image_cluster", "mmr_lambda").repartition("user_id")
    return diversified(needed.sortWithinPartitions("user_id", F.col("score").desc(), "pin_id"), settings)


def home_feed(tables: Tables, ctx: Context) -> DataFrame:
    """Return gold.home_feed: the placed candidates of gold.ranked, with the source that ranked them best."""
    shown = tables["gold.ranked"].where(F.col("position") <= ctx.settings.ranking.feed_length)
    source = F.element_at("sources", 1).alias("source")
    return shown.select("user_id", "position", "pin_id", "score", source, "reason", "reason_id", "arm")


def feed_drops(tables: Tables, ctx: Context) -> DataFrame:
    """Return gold.feed_drops: per user the ranking.drops_per_user best-scored candidates that are not in the feed."""
    best = Window.partitionBy("user_id").orderBy(F.col("score").desc(), F.col("pin_id"))
    dropped = tables["gold.ranked"].where(F.col("position").isNull())
    kept = dropped.withColumn("place", F.row_number().over(best)).where(
        F.col("place") <= ctx.settings.ranking.drops_per_user
    )
    rule = F.coalesce("rule", F.lit(NO_PLACE)).alias("rule")
    return kept.select("user_id", "pin_id", rule, "score", F.element_at("sources", 1).alias("source"))
