"""Every pair of pictures whose hashes differ in at most r bits, on Spark; and the same from yesterday's pairs.

Pairs are found between hashes, not between pictures: equal hashes are one value, so a value that a million pictures
share is compared once, and a picture that comes or goes changes no pair unless its hash is new or gone. `between` then
says which pictures stand for them.

Each hash is sent to each of its keys (28 of them for some millions, see `blocks`), and rows of one key meet in one
task, which compares them as one machine would. A key that very many share is cut by the other bits; its task holds its
rows, 17 bytes each, and never a list of pairs.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.visual.duplicates.blocks import Blocks, Hashes, choose, require_radius
from jobs.visual.duplicates.hamming import distances, gathered, within_runs
from jobs.visual.duplicates.runs import by_runs

VALUES = ["low", "high", "distance"]
"""A pair of hashes, low below high as signed numbers."""
_KEYED = "slot bigint, fresh boolean, hash bigint"
_PAIRS = "low bigint, high bigint, distance int"
_SLOT_BITS = 32
FEW = 1_000_000
"""New hashes that every executor is sent, 8 bytes each and as much again for a key."""


def near_pairs(hashes: DataFrame, radius: int) -> DataFrame:
    """Return left, right, distance of all pictures whose hashes differ in at most `radius` bits.

    Pairs are between representatives (the lowest id of each hash), left < right, each once; distance is 1 to `radius`.

    Args:
        hashes: id bigint, hash bigint (64 bits); one row a picture.
        radius: 0 to MOST_RADIUS.

    Raises:
        ConfigError: a radius beyond the limit.
    """
    return between(hash_pairs(hashes.select("hash"), radius), hashes)


def representatives(hashes: DataFrame) -> DataFrame:
    """Return id, representative for each picture: the lowest id with the same hash."""
    lowest = hashes.groupBy("hash").agg(F.min("id").alias("representative"))
    return hashes.join(lowest, "hash").select("id", "representative")


def between(pairs: DataFrame, hashes: DataFrame) -> DataFrame:
    """Return left, right, distance between the representatives of pairs of hashes (low, high, distance)."""
    lowest = hashes.groupBy("hash").agg(F.min("id").alias("id"))
    low = lowest.select(F.col("hash").alias("low"), F.col("id").alias("one"))
    high = lowest.select(F.col("hash").alias("high"), F.col("id").alias("other"))
    left, right = F.least("one", "other").alias("left"), F.greatest("one", "other").alias("right")
    return pairs.join(low, "low").join(high, "high").select(left, right, "distance")


def hash_pairs(values: DataFrame, radius: int) -> DataFrame:
    """Return low, high, distance of all different hashes that are near; `values` has a column hash, repeats allowed."""
    return _found(values.select("hash").distinct().withColumn("fresh", F.lit(True)), radius)


def updated_pairs(pairs: DataFrame, before: DataFrame, now: DataFrame, radius: int) -> DataFrame:
    """Return what `hash_pairs(now, radius)` returns, from the pairs of before.

    Only hashes that are new are compared, each with all; pairs of a hash that is gone are dropped. Up to FEW new ones
    are sent to every executor, and a hash then to no key that none of these has.

    Args:
        pairs: low, high, distance, as found among `before` for the same radius.
        before: hash of each picture then.
        now: hash of each picture now.
        radius: 0 to MOST_RADIUS.

    Raises:
        ConfigError: a radius beyond the limit.
    """
    values = now.select("hash").distinct()
    known = before.select("hash").distinct().withColumn("known", F.lit(True))
    marked = values.join(known, "hash", "left").select("hash", F.col("known").isNull().alias("fresh"))
    found = _found(marked, radius)
    low, high = values.withColumnRenamed("hash", "low"), values.withColumnRenamed("hash", "high")
    kept = pairs.select(*VALUES).join(low, "low", "left_semi").join(high, "high", "left_semi")
    return kept.select(*VALUES).unionByName(found)


def _found(values: DataFrame, radius: int) -> DataFrame:
    """Return the near pairs with a fresh hash among the two; `values`: hash, all different, and fresh."""
    require_radius(radius)
    values = values.select("hash", "fresh").localCheckpoint()  # counted, then joined
    count = values.agg(F.count("*").alias("all"), F.count_if("fresh").alias("fresh")).first()
    assert count is not None  # noqa: S101 - an aggregate has one row
    blocks = choose(count["all"], radius)
    few = None
    if count["fresh"] < count["all"] and count["fresh"] <= FEW:
        new = values.where("fresh").select("hash").toArrow()  # bounded: FEW rows
        few = values.sparkSession.sparkContext.broadcast(new.column(0).to_numpy().view(np.uint64))

    def keys(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from keyed(batches, blocks, None if few is None else few.value)

    def compare(slots: NDArray, fresh: NDArray, hashes: NDArray) -> Iterator[tuple[NDArray, ...]]:
        yield from compared(slots, fresh, hashes.view(np.uint64), blocks)

    rows = values.mapInArrow(keys, _KEYED).repartition("slot").sortWithinPartitions("slot", F.desc("fresh"))
    return rows.mapInArrow(by_runs(compare, VALUES), _PAIRS)


def keyed(batches: Iterable[pa.RecordBatch], blocks: Blocks, wanted: Hashes | None = None) -> Iterator[pa.RecordBatch]:
    """Yield slot, fresh, hash once for each key of each row of hash, fresh; runs on an executor.

    A slot is the number of the combination and its key side by side: alike under one of them alone. Given `wanted`,
    slots that none of these hashes has are left out.
    """
    count = len(blocks.combinations)
    theirs = None if wanted is None else [np.unique(blocks.key(wanted, which)) for which in range(count)]
    for batch in batches:
        hashes = batch.column(0).to_numpy().view(np.uint64)
        for which in range(count):
            keys = blocks.key(hashes, which)
            keep = np.ones(len(keys), bool) if theirs is None else _among(keys, theirs[which])
            slots = keys[keep].astype(np.int64) | which << _SLOT_BITS
            rest = [column.filter(pa.array(keep)) for column in (batch.column(1), batch.column(0))]
            yield pa.RecordBatch.from_arrays([pa.array(slots), *rest], ["slot", "fresh", "hash"])


def _among(keys: Hashes, ascending: Hashes) -> NDArray[np.bool_]:
    """Return which keys are among others."""
    if not len(ascending):
        return np.zeros(len(keys), bool)
    place = np.minimum(np.searchsorted(ascending, keys), len(ascending) - 1)
    found: NDArray[np.bool_] = ascending[place] == keys
    return found


def compared(
    slots: NDArray[np.int64], fresh: NDArray[np.bool_], hashes: Hashes, blocks: Blocks
) -> Iterator[tuple[NDArray, ...]]:
    """Yield low, high, distance of the near pairs within the runs of a slot, each under its first key only."""
    for i, j in gathered(within_runs(slots, hashes, blocks.radius, fresh)):
        keep = blocks.first(hashes[i] ^ hashes[j], slots[i] >> _SLOT_BITS)
        one, other = hashes[i[keep]], hashes[j[keep]]
        a, b = one.view(np.int64), other.view(np.int64)
        yield np.minimum(a, b), np.maximum(a, b), distances(one, other).astype(np.int32)
