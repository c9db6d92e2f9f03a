"""From scored pairs to lists: the best of each pin, what the choice needs of them, the choice itself on executors.

A list belongs to a pin, or to a pin and whatever else `by` names: a judge makes the lists of several sources at once.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.related.backfill import ENTRY
from jobs.related.choose import Pin, choose
from jobs.settings.related import Related

CHOSEN = "position int, related_pin_id bigint, score float, similarity float, co_saves int, reason string"
"""Of each place of a list, besides what names the list."""
_KNOWN = ("related_pin_id", "owner", "signature", "twins", "fresh")
_SHOWN = ("related_pin_id", "score", "similarity", "co_saves", "reason")
_NEEDED = ("signature", "twins", "pool")
Batches = Iterable[pa.RecordBatch]


def best_pairs(pairs: DataFrame, most: int, *by: str) -> DataFrame:
    """Return the `most` pairs of highest score of each list, with their place from 1; ties by related pin."""
    first = Window.partitionBy(*by).orderBy(F.desc("score"), "related_pin_id")
    return pairs.withColumn("place", F.row_number().over(first)).where(F.col("place") <= most)


def pooled(pairs: DataFrame, facts: DataFrame, *by: str) -> DataFrame:
    """Return a row a list: `by`, pool, its pairs in order with what the choice needs of them.

    Args:
        pairs: `by`, place, related_pin_id, score, similarity, co_saves, reason.
        facts: pin_id, owner, signature, twins, fresh of every pin that may be shown; others are left out.
        by: what names a list.
    """
    mine = facts.select(F.col("pin_id").alias("related_pin_id"), "owner", "signature", "twins", "fresh")
    known = pairs.join(mine, "related_pin_id")
    return known.groupBy(*by).agg(F.array_sort(F.collect_list(F.struct(*ENTRY))).alias("pool"))


def chosen(pools: DataFrame, related: Related) -> DataFrame:
    """Return what names a list, and a row a place of it (CHOSEN): rules and length kept, see `choose`.

    Args:
        pools: pin_id, and what else names a list; signature and twins of the pin; pool.
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
