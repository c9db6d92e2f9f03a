"""The public pins most similar to an image, by perceptual hash and colors, diversified.

In: the image's features, silver.image_features, gold.pin_stats. Out: a few pins. Executors score every image of the
lake once; the driver receives `POOL` of them.
"""

import colorsys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

POOL = 400
"""Candidate images, from which the result is chosen."""
FAR = 32
"""Hamming distance from which hashes are unrelated: half of the bits differ by chance."""
NEAR = 6
"""Hamming distance up to which two images of one color count as duplicates."""
SAME = 0.04
"""Score penalty for each chosen pin of the same color, style or category."""
_DDL = "image_signature string, phash bigint, colors array<string>, look string, score double"


@dataclass(frozen=True)
class QueryImage:
    """The query image."""

    phash: int
    """64-bit hash, unsigned."""
    histogram: NDArray[np.float32]
    """[256] color shares."""


@dataclass(frozen=True)
class SimilarPin:
    """A pin and the similarity of its image to the query."""

    pin_id: int
    image_signature: str
    score: float
    """0 to 1: half from the hash, half the intersection of the histograms (Swain and Ballard, IJCV 1991)."""
    phash: int
    color: str
    """Name of the dominant color's hue, or gray."""
    style: str
    category: str


def similar(features: DataFrame, pins: DataFrame, query: QueryImage, length: int) -> list[SimilarPin]:
    """Return the public pins most similar to an image, best first, diversified by color, style and category.

    Args:
        features: rows of silver.image_features.
        pins: rows of gold.pin_stats of one as-of date; only public ones are returned.
        query: the image.
        length: number of pins.
    """
    measured = features.where(F.col("fault").isNull()).select(
        "image_signature", "phash", "histogram", "colors", F.col("style").alias("look")
    )
    best = measured.mapInArrow(_scorer(query), _DDL).orderBy(F.desc("score"), "image_signature").limit(POOL)
    public = pins.where(F.col("visibility") == "public").join(F.broadcast(best), "image_signature")
    first = Window.partitionBy("image_signature").orderBy(F.desc("popularity"), "pin_id")
    named = public.withColumn("place", F.row_number().over(first)).where(F.col("place") == 1)
    named = named.drop("style").withColumnRenamed("look", "style")  # measured on the image, not the creator's statement
    rows = named.orderBy(F.desc("score"), "pin_id").collect()  # bounded: POOL
    return diversified([_found(row) for row in rows], length)


def _found(row: Any) -> SimilarPin:
    unsigned = row["phash"] & (1 << 64) - 1
    values = (row["pin_id"], row["image_signature"], round(row["score"], 6), unsigned)
    return SimilarPin(*values, hue(row["colors"][0]), row["style"], row["category"] or "")


def diversified(pool: Iterable[SimilarPin], length: int) -> list[SimilarPin]:
    """Return at most `length` of the pool, greedily: each candidate is penalised for pins already chosen.

    An image of the same color as a chosen one, and within NEAR bits of it, is skipped.
    """
    left, shown = list(pool), list[SimilarPin]()
    seen: Counter[tuple[str, str]] = Counter()
    while left and len(shown) < length:
        best = max(left, key=lambda one: (one.score - SAME * sum(seen[kind] for kind in _kinds(one)), -one.pin_id))
        shown.append(best)
        seen.update(_kinds(best))
        left = [one for one in left if one is not best and not _alike(one, best)]
    return shown


def _alike(one: SimilarPin, other: SimilarPin) -> bool:
    return one.color == other.color and (one.phash ^ other.phash).bit_count() <= NEAR


def _kinds(one: SimilarPin) -> tuple[tuple[str, str], ...]:
    return ("color", one.color), ("style", one.style), ("category", one.category)


def hue(color: str) -> str:
    """Return the name of a #rrggbb color's hue; gray if it is hardly saturated."""
    red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    turn, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    if saturation < 0.12 or value < 0.12:
        return "gray"
    names = ("red", "yellow", "green", "cyan", "blue", "magenta")
    return names[round(turn * 6) % 6]


def _scorer(query: QueryImage) -> Any:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if len(batch):
                yield best_of(batch, query)

    return run


def best_of(batch: pa.RecordBatch, query: QueryImage) -> pa.RecordBatch:
    """Return the POOL most similar images of a batch; runs on an executor."""
    shares = np.frombuffer(b"".join(batch.column("histogram").to_pylist()), "<f2").reshape(len(batch), -1)
    common = np.minimum(shares.astype(np.float32), query.histogram).sum(axis=1, dtype=np.float64)
    hashes = batch.column("phash").to_numpy().view(np.uint64)
    shape = np.clip(1 - np.bitwise_count(hashes ^ np.uint64(query.phash)) / FAR, 0, 1)
    score = np.round((common + shape) / 2, 6)
    best = pa.array(np.argsort(-score, kind="stable")[:POOL])
    kept = batch.select(["image_signature", "phash", "colors", "look"]).take(best)
    return pa.RecordBatch.from_arrays([*kept.columns, pa.array(score).take(best)], names=[*kept.schema.names, "score"])
