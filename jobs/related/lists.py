"""From scored pairs to lists: pools of the best pairs, backfill of short pools, choice by the rules.

A list belongs to a pin, or to a pin and the columns that `by` names: the evaluation builds the lists of several
signals at once. A pin with too few pairs gets the list of a near-duplicate, then popular pins of its category.
`choose` is plain Python and runs on executors.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.settings.related import Related


@dataclass(frozen=True)
class Pin:
    """A pin with the attributes that the rules use."""

    pin_id: int
    owner: int | None = None
    signature: str | None = None
    """Signature of the image; equal images share it."""
    twins: Collection[int] = ()
    """Near-duplicates: at most one of them may be shown."""
    fresh: bool = False
    """Whether the pin is fresh."""


@dataclass
class _List:
    """A list under construction."""

    query: Pin
    owner_cap: int
    places: set[int] = field(default_factory=set)
    ids: set[int] = field(init=False)
    twins: set[int] = field(init=False)
    signatures: set[str] = field(init=False)
    owners: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.ids, self.twins = {self.query.pin_id}, set(self.query.twins)
        self.signatures = {self.query.signature} if self.query.signature else set()

    def add(self, place: int, pin: Pin) -> None:
        """Add a pin unless a rule forbids it."""
        full = pin.owner is not None and self.owners[pin.owner] >= self.owner_cap
        if full or pin.pin_id in self.ids or pin.pin_id in self.twins or pin.signature in self.signatures:
            return
        if not self.ids.isdisjoint(pin.twins):
            return
        self.places.add(place)
        self.ids.add(pin.pin_id)
        self.twins.update(pin.twins)
        if pin.signature:
            self.signatures.add(pin.signature)
        if pin.owner is not None:
            self.owners[pin.owner] += 1


def choose(query: Pin, pool: Iterable[Pin], length: int, owner_cap: int, fresh: int = 0) -> list[int]:
    """Return the positions in `pool` (best first) of the pins to list for `query`, at most `length`, in order.

    Greedy: a pin is skipped if it is a near-duplicate of the query or of a chosen pin (by either's twins, or by the
    same image), or if its owner already has `owner_cap` pins in the list. The best `fresh` fresh pins of the pool are
    chosen first: they have had no time to collect co-saves.
    """
    pins = list(pool)
    chosen = _List(query, owner_cap)
    for wanted, most in ((True, min(fresh, length)), (False, length)):
        for place, pin in enumerate(pins):
            if len(chosen.places) == most:
                break
            if place not in chosen.places and (pin.fresh or not wanted):
                chosen.add(place, pin)
    return sorted(chosen.places)


SCORE = 1e-4
"""Score of the first popular pin; the following ones score lower. Below any relevant blended score."""
ALL_CATEGORIES = ""
"""Category of pins without one: they get the popular pins of all categories."""
ENTRY = (
    "place", "related_pin_id", "score", "similarity", "co_saves", "reason", "owner", "signature", "twins", "fresh"
)  # fmt: skip
"""Fields of a pool entry."""


def backfill(pools: DataFrame, borrowed: DataFrame, facts: DataFrame, related: Related) -> DataFrame:
    """Return pin_id, signature, twins, pool of every pin with a pool.

    A short pool is extended with the list of a near-duplicate, then with popular pins of the category (of all
    categories for a pin without one). A pin may occur twice: the choice uses its first position.

    Args:
        pools: pin_id, pool (array of ENTRY, best first).
        borrowed: pin_id, borrowed (such a pool): the list of a near-duplicate.
        facts: pin_id, owner, signature, twins, fresh, category, popularity of every public pin.
        related: settings; a pool is short below related.length.
    """
    kind = pools.schema["pool"].dataType
    none = F.array().cast(kind)
    whole = facts.select("pin_id", "signature", "twins", "category").join(pools, "pin_id", "left")
    whole = whole.join(borrowed, "pin_id", "left")
    whole = with_popular(whole, facts, related.length)
    own, alike, more = F.coalesce("pool", none), F.coalesce("borrowed", none), F.coalesce(F.col("top").cast(kind), none)
    least = F.coalesce(F.try_element_at(own, F.lit(-1))["score"], F.lit(1.0).cast("float"))
    # at most the pin's own last score: scores of a list never rise
    alike = F.transform(alike, lambda entry: entry.withField("score", F.least(entry["score"], least)))
    pool = F.when(F.size(own) < related.length, F.concat(own, alike, more)).otherwise(own)
    return whole.select("pin_id", "signature", "twins", pool.alias("pool")).where(F.size("pool") > 0)


def borrow(facts: DataFrame, pairs: DataFrame, length: int) -> DataFrame:
    """Return pin_id, lender: for each pin with too few pairs, the pin of the same image whose list it borrows.

    The lender is the pin with most pairs, counted up to `length`, then the most popular: one per image. A pin with as
    many pairs as the lender borrows nothing.

    Args:
        facts: pin_id, signature, popularity of every public pin.
        pairs: pin_id, one row per related pair.
        length: pins with fewer pairs borrow.
    """
    counts = pairs.groupBy("pin_id").agg(F.least(F.count(F.lit(1)), F.lit(length)).alias("pairs"))
    named = facts.where("signature is not null").select("pin_id", F.col("signature").alias("image"), "popularity")
    known = named.join(counts, "pin_id", "left").fillna(0, ["pairs"])
    rank = F.struct("pairs", F.coalesce("popularity", F.lit(0.0)), F.negative("pin_id"))
    best = known.groupBy("image").agg(F.max_by("pin_id", rank).alias("lender"), F.max("pairs").alias("most"))
    short = known.where(F.col("pairs") < length).select("pin_id", "image", "pairs")
    return short.join(best, "image").where(F.col("pairs") < F.col("most")).select("pin_id", "lender")


def with_popular(pins: DataFrame, facts: DataFrame, length: int) -> DataFrame:
    """Return pins (category and more) with top: the popular pins to fill up with; null if there are none."""
    most = F.broadcast(popular(facts, length))
    named = pins.withColumn("category", F.coalesce("category", F.lit(ALL_CATEGORIES)))
    return named.join(most, "category", "left").drop("category")


def popular(facts: DataFrame, length: int) -> DataFrame:
    """Return category, top: its most popular pins; one row per category, small enough to broadcast.

    The row '' holds the popular pins of all categories.
    """
    best = Window.partitionBy("category").orderBy(F.desc("popularity"), "pin_id")
    saved = facts.where("popularity > 0")
    own = saved.where(F.col("category") != ALL_CATEGORIES)  # null is left out
    saved = own.unionByName(saved.withColumn("category", F.lit(ALL_CATEGORIES)))
    known = saved.withColumn("place", F.row_number().over(best))
    # twice as many as needed: the rules remove some
    few = known.where(F.col("place") <= 2 * length).withColumnRenamed("pin_id", "related_pin_id")
    score = F.round(F.lit(SCORE) / (1 + F.col("place")), 8).cast("float")
    values = {"score": score, "similarity": F.lit(None).cast("float"), "co_saves": F.lit(0), "reason": F.lit("popular")}
    entries = few.withColumns(values)
    return entries.groupBy("category").agg(F.array_sort(F.collect_list(F.struct(*ENTRY))).alias("top"))


CHOSEN = "position int, related_pin_id bigint, score float, similarity float, co_saves int, reason string"
"""Columns of a list position, after those that identify the list."""
_KNOWN = ("related_pin_id", "owner", "signature", "twins", "fresh")
_SHOWN = ("related_pin_id", "score", "similarity", "co_saves", "reason")
_NEEDED = ("signature", "twins", "pool")
Batches = Iterable[pa.RecordBatch]


def best_pairs(pairs: DataFrame, most: int, *by: str) -> DataFrame:
    """Return the `most` pairs of highest score of each list, with their rank (`place`) from 1; ties by related pin."""
    first = Window.partitionBy(*by).orderBy(F.desc("score"), "related_pin_id")
    return pairs.withColumn("place", F.row_number().over(first)).where(F.col("place") <= most)


def pool_pairs(pairs: DataFrame, facts: DataFrame, *by: str) -> DataFrame:
    """Return one row per list: `by` and pool, the pairs in order with the attributes that the rules use.

    Args:
        pairs: `by`, place, related_pin_id, score, similarity, co_saves, reason.
        facts: pin_id, owner, signature, twins, fresh of every pin that may be shown; others are dropped.
        by: columns that identify a list.
    """
    mine = facts.select(F.col("pin_id").alias("related_pin_id"), "owner", "signature", "twins", "fresh")
    known = pairs.join(mine, "related_pin_id")
    return known.groupBy(*by).agg(F.array_sort(F.collect_list(F.struct(*ENTRY))).alias("pool"))


def choose_lists(pools: DataFrame, related: Related) -> DataFrame:
    """Return one row per list position (CHOSEN) with the columns that identify the list; see `choose` for the rules.

    Args:
        pools: pin_id and other identifying columns; signature and twins of the pin; pool.
        related: settings.
    """
    names = [field for field in pools.schema.fields if field.name not in _NEEDED]
    schema = ", ".join([*(f"{name.name} {name.dataType.simpleString()}" for name in names), CHOSEN])
    ordered = pools.select(*[name.name for name in names], *_NEEDED)
    return ordered.mapInArrow(_chooser(related), schema)


def _chooser(related: Related) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    limits = related.length, related.owner_cap, round(related.fresh_share * related.length)

    def run(batches: Batches) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield choose_batch(batch, *limits)

    return run


def choose_batch(batch: pa.RecordBatch, length: int, owner_cap: int, fresh: int = 0) -> pa.RecordBatch:
    """Return the chosen pins of each pool, flat; runs on an executor."""
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
    names = batch.drop_columns(list(_NEEDED))
    return _rows(names, entries.take(pa.array(taken, pa.int64())), counts)


def _pin(pin_id: int, owner: int | None, signature: str | None, twins: list[int] | None, fresh: bool) -> Pin:
    return Pin(pin_id, owner, signature, twins or (), fresh)


def _rows(names: pa.RecordBatch, places: pa.StructArray, counts: list[int]) -> pa.RecordBatch:
    lists = names.take(pa.array(np.repeat(np.arange(len(counts)), counts)))
    positions = [np.arange(1, count + 1, dtype=np.int32) for count in counts]
    position = pa.array(np.concatenate([np.empty(0, np.int32), *positions]))
    columns = [*lists.columns, position, *(places.field(c) for c in _SHOWN)]
    return pa.RecordBatch.from_arrays(columns, [*lists.schema.names, "position", *_SHOWN])
