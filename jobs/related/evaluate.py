"""gold.related_evaluations: the related pins of `horizon_days` ago, evaluated on saves made since.

In, as of the horizon: gold.related_pins, gold.related_pairs, gold.image_clusters, gold.pin_stats; as of now:
gold.pin_stats, silver.app_board_pins, silver.app_boards, silver.pin_events. Out: one row per model, segment, metric, k.

Protocol: global time split on the lake. All lists are built from data up to the horizon only: the published lists;
those of each signal alone, by the same rules and without backfill; and the popular pins of the category.

    recall           share of the pins saved since to a public board after the query pin that are among the first k.
                     All pins compete; pins created since count as misses of every list. Mean over query pins.
    save_rate        saves per logged impression of pins that the list contains for the impression's query pin
    save_rate_others the same for pins that it does not contain; both count only pins that existed at the horizon
    save_gain        their difference

Impressions are weighted by the inverse save propensity of their position (see `_placed`), because first positions get
most attention. Head pins are the most saved pins that together have a third of all saves as of the horizon, torso
pins have the next third, tail pins the rest. Without data to evaluate on, a value is null.

The event log does not record the query pin of a list. It is taken to be the pin that the user opened last before the
page request, within `related.query_hours`.
"""

from datetime import datetime, timedelta

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.engine.context import Context, Tables
from jobs.related.job import pin_facts
from jobs.related.lists import best_pairs, choose_lists, pool_pairs, with_popular
from jobs.related.metrics import BLEND, POPULAR, RESULT, Line, recall_lines, save_lines
from jobs.related.signals import OPENING, SIGNALS
from jobs.settings import Settings
from jobs.settings.related import Related

SURFACE = "related_pins"


def next_co_saves(tables: Tables, since: datetime, cap: int) -> DataFrame:
    """Return (pin_id, related_pin_id), each pair once: the second was saved since to a public board that had the first.

    Reads silver.app_board_pins, silver.app_boards; of what pin_stats holds of now, only pins that all may see are
    right answers. Bounded by `cap` squared a board.

    Args:
        tables: inputs, of now.
        since: saves before it are no answers.
        cap: newest pins of a board that count.
    """
    public = tables["silver.app_boards"].where(F.col("privacy") == "public").select(F.col("id").alias("board_id"))
    seen = tables["gold.pin_stats"].where(F.col("visibility") == "public").select("pin_id")
    saves = tables["silver.app_board_pins"].join(public, "board_id", "left_semi").join(seen, "pin_id", "left_semi")
    newest = Window.partitionBy("board_id").orderBy(F.desc_nulls_last("saved_at"), "pin_id")
    recent = saves.withColumn("place", F.row_number().over(newest)).where(F.col("place") <= cap)
    boards = recent.groupBy("board_id").agg(F.collect_list(F.struct("pin_id", "saved_at")).alias("saves"))
    later = boards.select("saves", F.explode("saves").alias("next")).where(F.col("next.saved_at") >= F.lit(since))
    pairs = later.select(F.explode("saves").alias("had"), "next")
    pairs = pairs.where("had.saved_at <= next.saved_at and had.pin_id <> next.pin_id")
    return pairs.select("had.pin_id", F.col("next.pin_id").alias("related_pin_id")).distinct()


def logged(events: DataFrame, since: datetime, hours: float) -> DataFrame:
    """Return user_id, pin_id, related_pin_id, position, saved: impressions of related pins since, beside a query pin.

    saved is 1.0 where the impression ended in a save, else 0.0. Impressions without place or page request, and those of
    people who opened nothing in the hours before, cannot be judged and are left out.

    Args:
        events: rows of silver.pin_events, of now.
        since: impressions before it do not count.
        hours: see related.query_hours.
    """
    known = events.where(F.col("ds") >= F.lit(since.date())).where(F.col("ts") >= F.lit(since))
    known = known.where((F.col("surface") == SURFACE) & F.col("request_id").isNotNull())
    shown = F.col("kind") == "impression"
    each = known.where(shown | (F.col("kind") == "save")).groupBy("user_id", "request_id", "pin_id")
    labels = each.agg(
        F.min(F.when(shown, F.col("position"))).alias("position"),
        F.min(F.when(shown, F.col("ts"))).alias("ts"),
        F.max(F.when(shown, 0.0).otherwise(1.0)).alias("saved"),
    ).where("position is not null")
    queries = _queries(labels, events, since - timedelta(hours=hours), hours)
    return (
        labels.withColumnRenamed("pin_id", "related_pin_id")
        .join(queries, ["user_id", "request_id"])
        .where("pin_id <> related_pin_id")
        .select("user_id", "pin_id", "related_pin_id", "position", "saved")
    )


def _queries(labels: DataFrame, events: DataFrame, since: datetime, hours: float) -> DataFrame:
    """Return user_id, request_id, pin_id: the pin opened last before each page request."""
    # a page is asked for before its first pin is seen; what is opened from it comes after
    asked = labels.groupBy("user_id", "request_id").agg(F.min("ts").alias("ts"))
    opened = events.where((F.col("ds") >= F.lit(since.date())) & (F.col("ts") >= F.lit(since)))
    opened = opened.where(F.col("kind").isin(*OPENING)).select("user_id", "ts", F.struct("ts", "pin_id").alias("open"))
    both = asked.unionByName(opened, allowMissingColumns=True)
    # at one instant the request comes first, so that it never finds what came of it
    before = Window.partitionBy("user_id").orderBy("ts", F.col("request_id").isNull(), "open.pin_id")
    last = F.last("open", ignorenulls=True).over(before.rowsBetween(Window.unboundedPreceding, Window.currentRow))
    found = both.withColumn("last", last).where("request_id is not null and last is not null")
    near = F.unix_micros("ts") - F.unix_micros("last.ts") <= hours * 3_600_000_000
    return found.where(near).select("user_id", "request_id", "last.pin_id")


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
    known = pin_facts(public, pairs, tables["gold.image_clusters@horizon"], settings)
    mine = pairs.join(queries, "pin_id", "left_semi")
    asked = known.join(queries, "pin_id", "left_semi").select("pin_id", "signature", "twins", "category")
    alone = pool_pairs(_each(mine, settings.related), known, "model", "pin_id").join(asked, "pin_id")
    famous = with_popular(asked, known, settings.related.length).where("top is not null")
    kind = alone.schema["pool"].dataType
    famous = famous.withColumn("pool", F.col("top").cast(kind)).withColumn("model", F.lit(POPULAR))
    columns = ("model", "pin_id", "signature", "twins", "pool")
    pools = alone.select(*columns).unionByName(famous.select(*columns))
    return blend.unionByName(choose_lists(pools, settings.related).select(*blend.columns))


def _each(pairs: DataFrame, related: Related) -> DataFrame:
    """Return the best pairs of each pin by each source alone."""
    said = [
        F.struct(F.lit(source).alias("model"), F.col(source).alias("score"), F.lit(source).alias("reason"))
        for source in SIGNALS
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
    return grouped.join(F.broadcast(weights), "places").withColumn("weighted_save", F.col("saved") * F.col("weight"))
