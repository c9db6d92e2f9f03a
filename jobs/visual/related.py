"""gold.related_pins: what to show beside a pin, from pictures that look alike and pins that are saved together.

In: gold.pin_neighbours, gold.pin_stats, silver.app_board_pins, silver.app_boards. Out: one row per pin and position.

    neighbours and co-saves -> each source scaled to 0..1 -> weighted sum -> the best `visual.pool` per pin
    -> near-duplicates and owners' surplus out -> positions 1..visual.related_length

Private, protected and deleted pins are never in it: both ends are joined with the public pins of the same cut. A pin
with neither neighbours nor co-saves has no list: it is in gold.pin_stats and not here.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.config.visual import Visual
from jobs.lake.job import Context, Tables
from jobs.visual.choose import Pin, choose
from jobs.visual.cosaves import co_saves

CHOSEN = "pin_id bigint, position int, related_pin_id bigint, score float, similarity float, co_saves int"
_KNOWN = ("related_pin_id", "owner", "signature", "twins")
_SHOWN = ("related_pin_id", "score", "similarity", "co_saves")
Batches = Iterable[pa.RecordBatch]


def related_pins(tables: Tables, ctx: Context) -> DataFrame:
    """Return each public pin's related pins, near-duplicates and private pins removed.

    score is the blend, 0 to 1; similarity is null where the pin is not among the nearest; co_saves is 0 where no
    public board holds both; reason is looks_alike, saved_together or both.
    """
    visual = ctx.settings.visual
    public = tables["gold.pin_stats"].where(F.col("visibility") == "public")
    near = tables["gold.pin_neighbours"]
    saved = co_saves(tables["silver.app_board_pins"], tables["silver.app_boards"], public.select("pin_id"), visual)
    pairs = _blend(_merge(near, _best(saved, visual.co_saves)), visual)
    chosen = _pools(pairs, _facts(public, near, visual), visual.pool).mapInArrow(_chooser(visual), CHOSEN)
    return chosen.withColumn("reason", _reason())


def _facts(public: DataFrame, near: DataFrame, visual: Visual) -> DataFrame:
    """Return pin_id, owner, signature, twins of every pin that may be shown."""
    # the stored cosine is a float: compare as one, or 0.98 itself would fall below 0.98
    alike = near.where(F.col("score") >= F.lit(visual.duplicate_cosine).cast("float"))
    twins = alike.groupBy("pin_id").agg(F.array_sort(F.collect_list("neighbour_id")).alias("twins"))
    named = public.select("pin_id", F.col("creator_id").alias("owner"), F.col("image_signature").alias("signature"))
    return named.join(twins, "pin_id", "left")


def _best(saved: DataFrame, most: int) -> DataFrame:
    """Return the `most` surest co-saves of each pin."""
    first = Window.partitionBy("pin_id").orderBy(F.desc(F.col("rate") * F.col("trust")), "related_pin_id")
    return saved.withColumn("place", F.row_number().over(first)).where(F.col("place") <= most).drop("place")


def _merge(near: DataFrame, saved: DataFrame) -> DataFrame:
    """Return pin_id, related_pin_id, similarity, rank, co_saves, rate, trust; null where a source lacks the pair."""
    similarity = F.col("score").alias("similarity")
    alike = near.select("pin_id", F.col("neighbour_id").alias("related_pin_id"), similarity, "rank")
    values = ("similarity", "rank", "co_saves", "rate", "trust")
    both = alike.unionByName(saved, allowMissingColumns=True)
    return both.groupBy("pin_id", "related_pin_id").agg(*[F.max(c).alias(c) for c in values])


def _blend(pairs: DataFrame, visual: Visual) -> DataFrame:
    """Add score: each source brought to 0..1, weighted and summed.

    Cosines lie close together and their size differs from pin to pin, so the place among the nearest counts too:
    cosine * (1 - (rank - 1) / visual.neighbours). A co-save rate counts as a share of the pin's best rate, then times
    its trust: discounted first, one common board would be as sure as twenty where a pin has no better.
    """
    place = 1 - (F.col("rank") - 1) / F.lit(float(visual.neighbours))
    best = F.max("rate").over(Window.partitionBy("pin_id"))
    alike = F.greatest(F.col("similarity").cast("double") * place, F.lit(0.0))
    together = F.coalesce(F.col("rate") / best * F.col("trust"), F.lit(0.0))
    score = F.lit(visual.similar_weight) * alike + F.lit(visual.together_weight) * together
    return pairs.withColumn("score", F.round(score, 6).cast("float")).where(F.col("score") > 0)


def _pools(pairs: DataFrame, facts: DataFrame, most: int) -> DataFrame:
    """Return one row per pin: its id, signature and twins, and its best `most` pairs in order, with their facts."""
    first = Window.partitionBy("pin_id").orderBy(F.desc("score"), "related_pin_id")
    best = pairs.withColumn("place", F.row_number().over(first)).where(F.col("place") <= most)
    known = best.join(facts.withColumnRenamed("pin_id", "related_pin_id"), "related_pin_id")
    entry = F.struct(
        "place",
        "related_pin_id",
        "score",
        "similarity",
        F.coalesce("co_saves", F.lit(0)).alias("co_saves"),
        "owner",
        "signature",
        "twins",
    )
    pools = known.groupBy("pin_id").agg(F.array_sort(F.collect_list(entry)).alias("pool"))
    return pools.join(facts.select("pin_id", "signature", "twins"), "pin_id").select(
        "pin_id", "signature", "twins", "pool"
    )


def _reason() -> Column:
    return (
        F.when(F.col("similarity").isNull(), "saved_together")
        .when(F.col("co_saves") == 0, "looks_alike")
        .otherwise("both")
    )


def _chooser(visual: Visual) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    length, owner_cap = visual.related_length, visual.owner_cap

    def run(batches: Batches) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield choose_batch(batch, length, owner_cap)

    return run


def choose_batch(batch: pa.RecordBatch, length: int, owner_cap: int) -> pa.RecordBatch:
    """Return the chosen pins of each row of `_pools`, flat; runs on an executor."""
    pools = batch.column("pool")
    entries = pools.flatten()
    ids, owners, signatures, twins = (entries.field(c).to_pylist() for c in _KNOWN)
    ends = np.cumsum(pools.value_lengths().to_numpy()).tolist()
    queries = [batch.column(c).to_pylist() for c in ("pin_id", "signature", "twins")]
    taken, counts, start = [], [], 0
    for end, (pin_id, signature, alike) in zip(ends, zip(*queries, strict=True), strict=True):
        part = slice(start, end)
        pool = map(_pin, ids[part], owners[part], signatures[part], twins[part])
        places = choose(_pin(pin_id, None, signature, alike), pool, length, owner_cap)
        taken += [start + place for place in places]
        counts.append(len(places))
        start = end
    return _rows(batch.column("pin_id"), entries.take(pa.array(taken, pa.int64())), counts)


def _pin(pin_id: int, owner: int | None, signature: str | None, twins: list[int] | None) -> Pin:
    return Pin(pin_id, owner, signature, twins or ())


def _rows(pins: pa.Array, chosen: pa.StructArray, counts: list[int]) -> pa.RecordBatch:
    queries = pins.take(pa.array(np.repeat(np.arange(len(counts)), counts)))
    positions = [np.arange(1, count + 1, dtype=np.int32) for count in counts]
    position = pa.array(np.concatenate([np.empty(0, np.int32), *positions]))
    columns = [queries, position, *(chosen.field(c) for c in _SHOWN)]
    return pa.RecordBatch.from_arrays(columns, ["pin_id", "position", *_SHOWN])
