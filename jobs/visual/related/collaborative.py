"""Pins that the same people save: neighbours by the cosine of their collaborative filtering factors.

Factors of implicit ALS place a pin by who saved it, so that two pins may be near without one board, sitting or person
in common. Of a pin with few saves the factor is mostly noise: such pins are neither looked for nor found.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.config.visual import Visual
from jobs.lake.vectors import SINGLE, decode, unit
from jobs.visual.knn.index import Index, Wanted

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]
SCHEMA = "pin_id bigint, related_pin_id bigint, near_cosine float, near_rank int"
DIGITS = 6
"""Decimals kept of a cosine: coarser than float32's error, so that every machine keeps the same number."""


def saved_by_same(factors: DataFrame, public: DataFrame, visual: Visual) -> DataFrame:
    """Return pin_id, related_pin_id, near_cosine, near_rank: the pins of nearest factors, `visual.neighbours` of each.

    Args:
        factors: rows of gold.cf_factors.
        public: pin_id, saves of every pin that may be shown.
        visual: settings; of pins with visual.collaborative_saves saves or more, the visual.collaborative_pins most
            saved ones are compared, each with all. Every executor holds their factors.

    Raises:
        TableError: factors of different lengths.
        EnvironmentMissing: no FAISS, or no GPU where visual.backend insists on one.
    """
    spark = factors.sparkSession
    known = factors.where(F.col("kind") == "pin").select(F.col("id").alias("pin_id"), "factor")
    enough = public.where(F.col("saves") >= visual.collaborative_saves).select("pin_id", "saves")
    best = enough.join(known, "pin_id").orderBy(F.desc("saves"), "pin_id").limit(visual.collaborative_pins)
    table = best.select("pin_id", "factor").toArrow().sort_by("pin_id")  # bounded: visual.collaborative_pins
    if table.num_rows < 2:
        return spark.createDataFrame([], SCHEMA)
    ids: Ids = table.column("pin_id").to_numpy()
    units = unit(decode(table.column("factor"), kind=SINGLE))
    shared = spark.sparkContext.broadcast((ids, units))
    starts = range(0, len(ids), visual.block)
    # an index is opened once per task: no more tasks than cores
    tasks = min(len(starts), spark.sparkContext.defaultParallelism)
    k, block, wanted = visual.neighbours, visual.block, visual.backend

    def search(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        pins, vectors = shared.value
        numbers = (start for batch in batches for start in batch.column(0).to_pylist())
        yield from nearest(pins, vectors, ((start, start + block) for start in numbers), k, wanted)

    return spark.range(0, len(ids), block, tasks).mapInArrow(search, SCHEMA)


def nearest(
    ids: Ids, units: Floats, parts: Iterable[tuple[int, int]], k: int, wanted: Wanted
) -> Iterator[pa.RecordBatch]:
    """Yield the k nearest others of the rows of each part; runs on an executor.

    Args:
        ids: pin of each row, ascending, [pins].
        units: factors of length one, [pins, factors].
        parts: first row and the row after the last; beyond the end there are none.
        k: others wanted; fewer where there are fewer pins.
        wanted: where to search, see visual.backend.
    """
    index = None
    for start, end in parts:
        index = index or Index(units, wanted=wanted)
        rows = np.arange(start, min(end, len(ids)))
        raw, near = index.search(units[rows], k + 1)
        scores = np.round(np.clip(raw.astype(np.float64), -1, 1), DIGITS)
        mine = near == rows[:, None]
        # rounding made new ties, and the pin itself goes last: rank afresh
        order = np.lexsort((near, -scores, mine), axis=-1)[:, :k]
        mine, near, scores = (np.take_along_axis(found, order, 1) for found in (mine, near, scores))
        rank = np.broadcast_to(np.arange(1, near.shape[1] + 1, dtype=np.int32), near.shape)
        pins = np.broadcast_to(ids[rows][:, None], near.shape)
        columns = (pins[~mine], ids[near[~mine]], scores[~mine].astype(np.float32), rank[~mine])
        names = ["pin_id", "related_pin_id", "near_cosine", "near_rank"]
        yield pa.RecordBatch.from_arrays([pa.array(column) for column in columns], names)
