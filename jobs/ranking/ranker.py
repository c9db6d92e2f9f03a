"""Learns, from what users did with what was proposed to them, which proposals they save.

In: the candidates of a horizon ago, features as they stood then, and the events since. Out: one row with the model as
JSON, or with a null model where there was too little to learn from (first day, or data without events): ranking then
goes by the candidates' ranks in their sources.

Why proposals and not impressions alone: what is scored are proposals, most of which nobody has seen. A model that has
seen only what some page showed orders the rest badly (docs/adr/0005 has the figures). For the same reason the place on
a page is no feature: a proposal has none. A label asks what happened on any page within the horizon, which evens out
where one page put a pin.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.engine.context import Context, Tables
from jobs.ranking import xgb
from jobs.ranking.features import FEATURES, Known, matrix, pair_features
from jobs.ranking.metrics import auc
from jobs.settings.ranking import Labels, Ranker

LABEL = "label"
KEY = ("user_id", "pin_id")
HOLDOUT_ROWS = 500_000
"""Held-out proposals that the AUC is taken over at most."""
SCHEMA = (
    "model string, features array<string>, trained_rows bigint, positives bigint, auc double, "
    "importance map<string,float>"
)


@dataclass(frozen=True)
class Learned:
    """The result of training."""

    model: str | None
    rows: int
    positives: int
    auc: float | None


def ranker(tables: Tables, ctx: Context) -> DataFrame:
    """Return one row of gold.ranker.

    Reads silver.pin_events, and @horizon: gold.candidates, gold.pin_stats, gold.user_profile, gold.cf_factors,
    silver.pin_embeddings, silver.app_user_follows.

    Raises:
        ConfigError: ranker.workers exceeds the cluster's task slots.
    """
    settings = ctx.settings.ranking.ranker
    events = tables["silver.pin_events"]
    acts = outcomes(events.where(F.col("ts") >= F.lit(ctx.before().instant)), settings.labels)
    proposed = sampled(labelled(tables["gold.candidates@horizon"], acts, settings), settings)
    examples = pair_features(proposed, Known.of(tables, "@horizon")).select(*KEY, LABEL, *FEATURES)
    learned = learn(examples, settings)
    shares = xgb.importance(learned.model, FEATURES) if learned.model else {}
    row = (learned.model, list(FEATURES), learned.rows, learned.positives, learned.auc, shares)
    return events.sparkSession.createDataFrame([row], SCHEMA)


def outcomes(events: DataFrame, labels: Labels) -> DataFrame:
    """Return one row per user and pin with an event, impressions included, with the label of the user's best action.

    The label is 0 where the user did nothing, or hid or reported the pin.
    """
    kind = F.col("kind")
    worth = F.lit(0.0)
    for name, value in labels.model_dump().items():
        worth = F.when(kind == name, F.lit(float(value))).otherwise(worth)
    refused = F.bool_or(kind.isin("hide", "report"))
    label = F.when(refused, 0.0).otherwise(F.max(worth))
    return events.groupBy(*KEY).agg(label.alias(LABEL))


def labelled(candidates: DataFrame, acts: DataFrame, settings: Ranker) -> DataFrame:
    """Return one row per proposed user and pin with its label.

    Of the proposals that the user never saw, a sample by hash (unseen_negative_rate) is kept as negatives.

    Args:
        candidates: gold.candidates.
        acts: result of `outcomes`.
        settings: of the ranker.
    """
    labels = candidates.select(*KEY).distinct().join(acts, list(KEY), "left")
    sampled_in = F.col(LABEL).isNotNull() | (_draw(settings.seed, *KEY) < settings.unseen_negative_rate)
    return labels.where(sampled_in).select(*KEY, F.coalesce(LABEL, F.lit(0.0)).alias(LABEL))


def sampled(proposed: DataFrame, settings: Ranker) -> DataFrame:
    """Return at most about ranker.max_rows proposals: all, or those whose ids hash low."""
    total = proposed.count()
    if total <= settings.max_rows:
        return proposed
    return proposed.where(_draw(settings.seed + 1, *KEY) < settings.max_rows / total)


def learn(examples: DataFrame, settings: Ranker) -> Learned:
    """Train on one node or on the cluster, by the number of examples, and evaluate on held-out users.

    Args:
        examples: KEY, label and FEATURES.
        settings: of the ranker.
    """
    examples = examples.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        holdout = _draw(settings.seed + 2, "user_id") < settings.holdout
        train, test = examples.where(~holdout), examples.where(holdout)
        numbers = train.agg(F.count(F.lit(1)).alias("n"), F.count_if(F.col(LABEL) > 0).alias("p")).first()
        rows, positives = (int(numbers["n"]), int(numbers["p"])) if numbers else (0, 0)
        if rows < settings.min_rows or positives in {0, rows}:
            return Learned(None, rows, positives, None)
        if rows <= settings.node_rows:
            model = xgb.train_on_node(*_arrays(train), FEATURES, settings)
        else:
            model = xgb.train_on_cluster(train, LABEL, FEATURES, settings)
        x, y = _arrays(test.orderBy(_draw(settings.seed, *KEY), *KEY).limit(HOLDOUT_ROWS))
        return Learned(model, rows, positives, auc(xgb.predict(model, x), y > 0))
    finally:
        examples.unpersist()


def _arrays(examples: DataFrame) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    chosen = examples.toArrow()  # bounded: by ranker.node_rows or HOLDOUT_ROWS
    # equal rows in equal order give an equal model, whatever the partitions were
    chosen = chosen.sort_by([(name, "ascending") for name in KEY])
    return matrix(chosen), np.asarray(chosen.column(LABEL), np.float32)


def _draw(seed: int, *ids: str) -> Column:
    """Return a number from 0 to 1 that depends on the ids alone."""
    return F.pmod(F.xxhash64(F.lit(seed), *ids), F.lit(1_000_003)) / 1_000_003.0
