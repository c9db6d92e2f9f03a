"""gold.related_pins: what to show beside a pin, from pictures that look alike and pins that go together.

In: gold.pin_neighbours, gold.image_clusters, gold.pin_stats, silver.app_board_pins, silver.app_boards,
silver.pin_events, silver.app_pins. Out: one row per pin and position.

    neighbours, co-saves, sittings, links -> each source scaled to 0..1 -> weighted mean, times how often the pin is
    saved when shown -> the best `visual.pool`
    -> a few of the category where a pin has too few -> near-duplicates and owners' surplus out, new pins in
    -> positions 1..visual.related_length

Private, protected and deleted pins are never in it: both ends are joined with the public pins of the same cut.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.config.visual import Visual
from jobs.lake.job import Context, Tables
from jobs.visual.related.choose import Pin, choose
from jobs.visual.related.fill import ENTRY, filled
from jobs.visual.related.together import co_opened, co_saves, same_link

CHOSEN = (
    "pin_id bigint, position int, related_pin_id bigint, score float, similarity float, co_saves int, reason string"
)
_KNOWN = ("related_pin_id", "owner", "signature", "twins", "fresh")
_SHOWN = ("related_pin_id", "score", "similarity", "co_saves", "reason")
Batches = Iterable[pa.RecordBatch]


def related_pins(tables: Tables, ctx: Context) -> DataFrame:
    """Return each public pin's related pins, near-duplicates and private pins removed.

    score is the blend, 0 to 1; similarity is null where the pin is not among the nearest; co_saves is 0 where no
    public board holds both; reason is looks_alike, saved_together, both of them, opened_together, same_link, or popular
    where nothing but the category is common.
    """
    visual = ctx.settings.visual
    public = tables["gold.pin_stats"].where(F.col("visibility") == "public")
    near = tables["gold.pin_neighbours"]
    shown, since = public.select("pin_id"), ctx.instant - timedelta(days=ctx.settings.features.window_days)
    saved = co_saves(tables["silver.app_board_pins"], tables["silver.app_boards"], shown, visual)
    opened = co_opened(tables["silver.pin_events"], shown, visual, since)
    linked = same_link(tables["silver.app_pins"], shown, visual.link_cap)
    sources = (
        _best(saved, "rate", "trust", visual.co_saves),
        _best(opened, "open_rate", "open_trust", visual.co_saves),
    )
    pairs = _merge(near, *sources, linked).join(_worth(public), "related_pin_id")
    pairs = _blend(pairs, visual).withColumn("reason", _reason())
    facts = _facts(public, near, tables["gold.image_clusters"], visual)
    pools = _pools(_top(pairs, visual.pool), facts)
    return filled(pools, facts, visual).mapInArrow(_chooser(visual), CHOSEN)


def _facts(public: DataFrame, near: DataFrame, clusters: DataFrame, visual: Visual) -> DataFrame:
    """Return what the choice needs of every pin that may be shown; its signature is the cluster's."""
    # the stored cosine is a float: compare as one, or 0.98 itself would fall below 0.98
    alike = near.where(F.col("score") >= F.lit(visual.duplicate_cosine).cast("float"))
    twins = alike.groupBy("pin_id").agg(F.array_sort(F.collect_list("neighbour_id")).alias("twins"))
    new = F.coalesce(F.col("age_days") <= visual.fresh_days, F.lit(False)).alias("fresh")
    own = clusters.select("image_signature", F.col("cluster_id").cast("string").alias("cluster"))
    signature = F.coalesce("cluster", "image_signature").alias("signature")
    known = public.join(own, "image_signature", "left")
    named = known.select("pin_id", F.col("creator_id").alias("owner"), signature, new, "category", "popularity")
    return named.join(twins, "pin_id", "left")


def _worth(public: DataFrame) -> DataFrame:
    """Return related_pin_id, worth: 0 to 1, a half for a pin that is saved as often as its category's mean."""
    means = public.groupBy(F.coalesce("category", F.lit("")).alias("_category")).agg(F.avg("save_rate").alias("mean"))
    rated = public.withColumn("_category", F.coalesce("category", F.lit(""))).join(F.broadcast(means), "_category")
    worth = F.coalesce(F.try_divide("save_rate", F.col("save_rate") + F.col("mean")), F.lit(0.5))
    return rated.select(F.col("pin_id").alias("related_pin_id"), F.round(worth, 6).alias("worth"))


def _best(pairs: DataFrame, rate: str, trust: str, most: int) -> DataFrame:
    """Return the `most` surest pairs of each pin."""
    first = Window.partitionBy("pin_id").orderBy(F.desc(F.col(rate) * F.col(trust)), "related_pin_id")
    return pairs.withColumn("place", F.row_number().over(first)).where(F.col("place") <= most).drop("place")


def _merge(near: DataFrame, *others: DataFrame) -> DataFrame:
    """Return a row a pair with what each source says of it; null where a source lacks the pair."""
    similarity = F.col("score").alias("similarity")
    whole = near.select("pin_id", F.col("neighbour_id").alias("related_pin_id"), similarity, "rank")
    for other in others:
        whole = whole.unionByName(other, allowMissingColumns=True)
    values = [name for name in whole.columns if name not in {"pin_id", "related_pin_id"}]
    return whole.groupBy("pin_id", "related_pin_id").agg(*[F.max(name).alias(name) for name in values])


def _blend(pairs: DataFrame, visual: Visual) -> DataFrame:
    """Add score, 0 to 1: the weighted mean of the sources, each brought to 0..1, raised or lowered by the pin's worth.

    Cosines lie close together and their size differs from pin to pin, so the place among the nearest counts too:
    cosine * (1 - (rank - 1) / visual.neighbours). A co-save rate counts as a share of the pin's best rate, then times
    its trust: discounted first, one common board would be as sure as twenty where a pin has no better. So do sittings.
    """
    place = 1 - (F.col("rank") - 1) / F.lit(float(visual.neighbours))
    parts = [
        (visual.similar_weight, F.greatest(F.col("similarity").cast("double") * place, F.lit(0.0))),
        (visual.together_weight, _share("rate") * F.col("trust")),
        (visual.sitting_weight, _share("open_rate") * F.col("open_trust")),
        (visual.link_weight, F.col("linked").cast("double")),
    ]
    score = sum((F.lit(weight) * F.coalesce(part, F.lit(0.0)) for weight, part in parts), F.lit(0.0))
    liked = (1 + F.lit(visual.worth_weight) * (F.col("worth") - 0.5)) / F.lit(1 + visual.worth_weight / 2)
    mean = score / F.lit(sum(weight for weight, _ in parts)) * liked
    return pairs.withColumn("score", F.round(mean, 6).cast("float")).where(F.col("score") > 0)


def _share(rate: str) -> Column:
    return F.col(rate) / F.max(rate).over(Window.partitionBy("pin_id"))


def _top(pairs: DataFrame, most: int) -> DataFrame:
    """Return the best `most` pairs of each pin, with their place."""
    first = Window.partitionBy("pin_id").orderBy(F.desc("score"), "related_pin_id")
    return pairs.withColumn("place", F.row_number().over(first)).where(F.col("place") <= most)


def _pools(pairs: DataFrame, facts: DataFrame) -> DataFrame:
    """Return pin_id, pool: the pairs of each pin in order, with what the choice needs of them."""
    known = pairs.join(facts.withColumnRenamed("pin_id", "related_pin_id"), "related_pin_id")
    known = known.withColumn("co_saves", F.coalesce("co_saves", F.lit(0)))
    return known.groupBy("pin_id").agg(F.array_sort(F.collect_list(F.struct(*ENTRY))).alias("pool"))


def _reason() -> Column:
    alike, saved = F.col("similarity").isNotNull(), F.coalesce("co_saves", F.lit(0)) > 0
    opened = F.when(F.col("open_rate").isNotNull(), "opened_together").otherwise("same_link")
    return F.when(alike & saved, "both").when(alike, "looks_alike").when(saved, "saved_together").otherwise(opened)


def _chooser(visual: Visual) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    limits = visual.related_length, visual.owner_cap, round(visual.fresh_share * visual.related_length)

    def run(batches: Batches) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield choose_batch(batch, *limits)

    return run


def choose_batch(batch: pa.RecordBatch, length: int, owner_cap: int, fresh: int = 0) -> pa.RecordBatch:
    """Return the chosen pins of each row of `_pools`, flat; runs on an executor."""
    pools = batch.column("pool")
    entries = pools.flatten()
    ids, owners, signatures, twins, new = (entries.field(c).to_pylist() for c in _KNOWN)
    ends = np.cumsum(pools.value_lengths().to_numpy()).tolist()
    queries = [batch.column(c).to_pylist() for c in ("pin_id", "signature", "twins")]
    taken, counts, start = [], [], 0
    for end, (pin_id, signature, alike) in zip(ends, zip(*queries, strict=True), strict=True):
        part = slice(start, end)
        pool = map(_pin, ids[part], owners[part], signatures[part], twins[part], new[part])
        places = choose(_pin(pin_id, None, signature, alike, False), pool, length, owner_cap, fresh)
        taken += [start + place for place in places]
        counts.append(len(places))
        start = end
    return _rows(batch.column("pin_id"), entries.take(pa.array(taken, pa.int64())), counts)


def _pin(pin_id: int, owner: int | None, signature: str | None, twins: list[int] | None, fresh: bool) -> Pin:
    return Pin(pin_id, owner, signature, twins or (), fresh)


def _rows(pins: pa.Array, chosen: pa.StructArray, counts: list[int]) -> pa.RecordBatch:
    queries = pins.take(pa.array(np.repeat(np.arange(len(counts)), counts)))
    positions = [np.arange(1, count + 1, dtype=np.int32) for count in counts]
    position = pa.array(np.concatenate([np.empty(0, np.int32), *positions]))
    columns = [queries, position, *(chosen.field(c) for c in _SHOWN)]
    return pa.RecordBatch.from_arrays(columns, ["pin_id", "position", *_SHOWN])
