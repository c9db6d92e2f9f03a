"""gold.related_evaluations: related pins of a horizon ago, judged by what was saved since, each source alone beside.

In, of a horizon ago: gold.related_pins, gold.related_pairs, gold.image_clusters, gold.pin_stats; of now:
gold.pin_stats, silver.app_board_pins, silver.app_boards, silver.pin_events. Out: one row per model, segment, metric, k.

Protocol: global time split on the lake. Lists are those of the cut a horizon ago, made without anything after it: the
published ones; those of each source alone, by the same rules, with nothing filled in from the category; and the
category's popular pins alone.

    recall           of the pins saved since to a public board after the query pin, the share among the first k. All
                     pins compete; pins made since count too, as misses of every list. Mean over query pins.
    save_rate        saves per logged impression of pins that the list holds beside the impression's query pin
    save_rate_others the same of pins it does not hold; only pins that were there a horizon ago count in both
    save_gain        their difference

Impressions count by the inverse of how often their place is saved from (see `_placed`), for what stands first is
looked at most. A head pin is one of the most saved that together have a third of all saves a horizon ago, torso pins
have the next third, tail pins the rest. Where there is nothing to judge by, the value is null.
"""

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.engine.context import Context, Tables
from jobs.related.backfill import with_popular
from jobs.related.job import facts
from jobs.related.labels import logged, next_co_saves
from jobs.related.lists import best_pairs, chosen, pooled
from jobs.related.metrics import BLEND, POPULAR, RESULT, Line, recall_lines, save_lines
from jobs.related.sources import SOURCES
from jobs.settings import Settings
from jobs.settings.related import Related

PLACES = 5
"""Places of a list that are taken together where the effect of the place is measured."""
PRIOR = 100.0
"""Impressions at the mean rate that a group of places is smoothed by."""


def related_evaluations(tables: Tables, ctx: Context) -> DataFrame:
    """Return gold.related_evaluations; on a first day, without lists of a horizon ago, every value is null."""
    related, since = ctx.settings.related, ctx.before().instant
    groups = segments(tables["gold.pin_stats@horizon"])
    truth = next_co_saves(tables, since, related.board_pin_cap).join(groups, "pin_id")
    shown = groups.select(F.col("pin_id").alias("related_pin_id"))
    seen = logged(tables["silver.pin_events"], since, related.query_hours).join(groups, "pin_id")
    seen = seen.join(shown, "related_pin_id", "left_semi")
    kept = [frame.persist(StorageLevel.MEMORY_AND_DISK) for frame in (truth, seen)]
    truth, seen = kept
    try:
        queries = truth.select("pin_id").union(seen.select("pin_id")).distinct()
        lists = listed(tables, queries, ctx.settings).persist(StorageLevel.MEMORY_AND_DISK)
        kept.append(lists)
        lines = [*recall_lines(lists, truth, related.length), *_saves(lists, seen, related.length)]
        return truth.sparkSession.createDataFrame(sorted(lines, key=lambda line: line[:4]), RESULT)
    finally:
        for frame in kept:
            frame.unpersist()


def segments(stats: DataFrame) -> DataFrame:
    """Return pin_id, segment of every public pin: head, torso and tail hold a third of all saves each.

    Pins of equally many saves are together, by where the first of them stands.
    """
    public = stats.where(F.col("visibility") == "public").select("pin_id", F.coalesce("saves", F.lit(0)).alias("saves"))
    # one partition, of a row for each different number of saves
    counts = public.groupBy("saves").agg(F.sum("saves").alias("held"))
    above = Window.orderBy(F.desc("saves")).rowsBetween(Window.unboundedPreceding, -1)
    whole = Window.partitionBy()
    share = F.try_divide(F.coalesce(F.sum("held").over(above), F.lit(0)), F.sum("held").over(whole))
    named = F.when(F.col("saves") == 0, "tail").when(share < 1 / 3, "head").when(share < 2 / 3, "torso")
    groups = counts.select("saves", named.otherwise("tail").alias("segment"))
    return public.join(F.broadcast(groups), "saves").select("pin_id", "segment")


def listed(tables: Tables, queries: DataFrame, settings: Settings) -> DataFrame:
    """Return model, pin_id, related_pin_id, position: the lists a horizon ago of every model, for these query pins."""
    published = tables["gold.related_pins@horizon"].join(queries, "pin_id", "left_semi")
    blend = published.select(F.lit(BLEND).alias("model"), "pin_id", "related_pin_id", "position")
    public = tables["gold.pin_stats@horizon"].where(F.col("visibility") == "public")
    pairs = tables["gold.related_pairs@horizon"]
    known = facts(public, pairs, tables["gold.image_clusters@horizon"], settings)
    mine = pairs.join(queries, "pin_id", "left_semi")
    asked = known.join(queries, "pin_id", "left_semi").select("pin_id", "signature", "twins", "category")
    alone = pooled(_each(mine, settings.related), known, "model", "pin_id").join(asked, "pin_id")
    famous = with_popular(asked, known, settings.related.length).where("top is not null")
    kind = alone.schema["pool"].dataType
    famous = famous.withColumn("pool", F.col("top").cast(kind)).withColumn("model", F.lit(POPULAR))
    columns = ("model", "pin_id", "signature", "twins", "pool")
    pools = alone.select(*columns).unionByName(famous.select(*columns))
    return blend.unionByName(chosen(pools, settings.related).select(*blend.columns))


def _each(pairs: DataFrame, related: Related) -> DataFrame:
    """Return the best pairs of each pin by each source alone."""
    said = [
        F.struct(F.lit(source).alias("model"), F.col(source).alias("score"), F.lit(source).alias("reason"))
        for source in SOURCES
    ]
    values = ("pin_id", "related_pin_id", "similarity", "co_saves")
    each = pairs.select(*values, F.explode(F.array(*said)).alias("said")).select(*values, "said.*")
    return best_pairs(each.where("score > 0"), related.pool, "model", "pin_id")


def _saves(lists: DataFrame, seen: DataFrame, length: int) -> list[Line]:
    models = lists.groupBy("pin_id", "related_pin_id").agg(F.collect_set("model").alias("models"))
    judged = _placed(seen).join(models, ["pin_id", "related_pin_id"], "left")
    return save_lines(judged, length)


def _placed(seen: DataFrame) -> DataFrame:
    """Add worth: a save there, over how often places like this one are saved from, in terms of the mean place.

    Inverse propensity weighting by place, the propensity estimated from the log itself: right as far as places do not
    hold better pins the nearer the top they are. Places are taken five together, smoothed towards the mean.
    """
    group = F.floor((F.col("position") - 1) / PLACES).alias("places")
    grouped = seen.withColumn("places", group)
    rates = grouped.groupBy("places").agg(F.sum("saved").alias("saves"), F.count(F.lit(1)).alias("shown"))
    # one row for each group of places
    whole = Window.partitionBy()
    mean = F.try_divide(F.sum("saves").over(whole), F.sum("shown").over(whole))
    smooth = (F.col("saves") + PRIOR * mean) / (F.col("shown") + PRIOR)
    weights = rates.select("places", F.coalesce(F.try_divide(mean, smooth), F.lit(1.0)).alias("weight"))
    return grouped.join(F.broadcast(weights), "places").withColumn("worth", F.col("saved") * F.col("weight"))
