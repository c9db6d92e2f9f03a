"""Cost of the exact join of near hashes, compared with FAISS's brute force.

In: made-up hashes. One value comes 5,000 times, some values twice, a third are variants of one another, the rest is
random. CPU-seconds of `near_duplicates`, from the file of hashes to the Parquet files, are held against those of
`IndexBinaryFlat.range_search` over the different hashes, measured on a sample of queries and scaled to all of them.
"""

import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import faiss
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from jobs.benchmarks.measure import cpu_seconds
from jobs.common.errors import ConfigError
from jobs.image_dedup.blocks import Hashes
from jobs.image_dedup.files import GROUPS, PAIRS, near_duplicates

RADIUS = 6
HOT = 5_000
"""Rows with the same hash, at a million rows."""
FAMILY = 20
"""Variants per image, each within half the radius of it and so within the radius of one another."""
FAMILIES = 0.4
"""Share of rows that are such variants."""
TWICE = 0.028
"""Share of rows that repeat another's hash."""
QUERIES = 20_000
"""Queries on which FAISS is measured."""
CHECKED = 2_000
"""Rows whose pairs are verified by brute force."""
ROUNDS = 3
"""Runs of our join; the last counts."""


@dataclass(frozen=True)
class Made:
    """Hashes with known near pairs."""

    hashes: Hashes
    left: NDArray[np.int64]
    right: NDArray[np.int64]


@dataclass(frozen=True)
class Costs:
    """Measurements and results."""

    rows: int
    unique: int
    pairs: int
    ours: float
    """CPU-seconds."""
    seconds: float
    """Wall-clock seconds of our join."""
    flat: float
    """CPU-seconds of the sample, scaled to all queries."""
    sampled: int
    """Queries of the sample."""
    checked: int
    """Rows verified by brute force in numpy."""
    expected: int
    """Known pairs: of the verified rows, and planted ones."""
    found: int
    """Known pairs found."""
    wrong: int
    """False pairs among the verified rows."""
    spark: float | None = None
    """CPU-seconds of the join on Spark; None if it was not measured."""
    other: int = 0
    """Pairs found by only one of Spark and the single-machine join."""


def made(rows: int, seed: int = 20261101) -> Made:
    """Return the hashes, and pairs of rows within the radius."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, rows, dtype=np.uint64)
    of = int(rows * FAMILIES) // FAMILY
    family = np.arange(of * FAMILY).reshape(of, FAMILY)
    hashes[family] = _flipped(np.repeat(hashes[:of, None], FAMILY, axis=1), RADIUS // 2, rng)
    at = of * FAMILY
    twice = int(rows * TWICE)
    hashes[at : at + twice] = hashes[rng.integers(0, at, twice)]
    at += twice
    edge = (rows - at) // 4  # pairs with exactly as many bits flipped as the radius
    hashes[at + edge : at + 2 * edge] = _flipped(hashes[at : at + edge], RADIUS, rng)
    hashes[rows - rows * HOT // 1_000_000 :] = hashes[-1]
    one, other = np.triu_indices(FAMILY, 1)
    left = np.concatenate([family[:, one].ravel(), np.arange(at, at + edge)])
    right = np.concatenate([family[:, other].ravel(), np.arange(at + edge, at + 2 * edge)])
    order = rng.permutation(rows)
    place = np.argsort(order)
    return Made(hashes[order], place[left], place[right])


def _flipped(hashes: Hashes, bits: int, rng: np.random.Generator) -> Hashes:
    """Return the hashes, each with this many different bits flipped."""
    chosen = np.argpartition(rng.random((*hashes.shape, 64), dtype=np.float32), bits, axis=-1)[..., :bits]
    flips: Hashes = np.bitwise_or.reduce(np.uint64(1) << chosen.astype(np.uint64), axis=-1)
    return hashes ^ flips


def measure(folder: Path, rows: int, spark: SparkSession | None = None) -> Costs:
    """Return the costs of our join and of FAISS, and the known pairs found.

    Args:
        folder: for files.
        rows: hashes.
        spark: given, the join on Spark is measured too.

    Raises:
        ConfigError: so few rows that nothing could be planted.
    """
    if rows < 1000:
        raise ConfigError(f"--rows must be at least 1,000, got {rows:,}: fewer hold no pairs worth measuring.")
    data = made(rows)
    np.save(folder / "hashes.npy", data.hashes)
    for _ in range(ROUNDS):
        started = time.monotonic()
        with cpu_seconds() as spent:
            summary = near_duplicates(folder / "hashes.npy", RADIUS, folder)
        seconds = time.monotonic() - started
    lowest = pq.read_table(folder / GROUPS).column("representative").to_numpy()
    flat, sampled = _flat(data.hashes[np.unique(lowest)])
    expected, found, wrong = _held(data, lowest, folder)
    ours = (spent.seconds, seconds)
    on_spark = (None, 0) if spark is None else _on_spark(spark, data.hashes, folder)
    return Costs(
        rows, summary.unique, summary.pairs, *ours, flat, sampled, min(CHECKED, summary.unique),
        expected, found, wrong, *on_spark,
    )  # fmt: skip


def _flat(unique: Hashes) -> tuple[float, int]:
    """Return the CPU-seconds of brute force over all hashes, scaled from this many queries."""
    faiss.omp_set_num_threads(1)  # waiting threads would count as its CPU time
    index = faiss.IndexBinaryFlat(64)
    index.add(unique.view(np.uint8).reshape(-1, 8))
    queries = np.random.default_rng(1).permutation(unique)[:QUERIES].view(np.uint8).reshape(-1, 8)
    with cpu_seconds() as spent:
        index.range_search(queries, RADIUS + 1)  # FAISS's radius is exclusive
    return spent.seconds * len(unique) / len(queries), len(queries)


def _on_spark(spark: SparkSession, hashes: Hashes, folder: Path) -> tuple[float, int]:
    """Return the CPU-seconds of the join on Spark, and the number of pairs that only one of both joins finds."""
    from jobs.image_dedup.hash_pairs import near_pairs

    table = pa.table({"id": np.arange(len(hashes)), "hash": hashes.view(np.int64)})
    pq.write_table(table, folder / "hashes.parquet")
    for _ in range(ROUNDS):
        with cpu_seconds() as spent:
            frame = spark.read.parquet(str(folder / "hashes.parquet"))
            near_pairs(frame, RADIUS).write.mode("overwrite").parquet(str(folder / "spark"))
    found, ours = (pq.read_table(folder / name) for name in ("spark", PAIRS))
    one, other = (_packed(t.column("left").to_numpy(), t.column("right").to_numpy()) for t in (found, ours))
    return spent.seconds, len(np.setxor1d(one, other, assume_unique=True))


def _held(data: Made, lowest: NDArray[np.int64], folder: Path) -> tuple[int, int, int]:
    """Return the numbers of known pairs, of those found, and of false pairs."""
    table = pq.read_table(folder / PAIRS)
    ours = _packed(table.column("left").to_numpy(), table.column("right").to_numpy())
    rows = np.unique(lowest)
    sample = np.sort(np.random.default_rng(2).permutation(rows)[:CHECKED])
    near = [rows[np.bitwise_count(data.hashes[rows] ^ data.hashes[one]) <= RADIUS] for one in sample.tolist()]
    checked = _pairs(np.repeat(sample, [len(line) for line in near]), np.concatenate(near))
    planted = _pairs(lowest[data.left], lowest[data.right])
    known = np.union1d(checked, planted)
    touched = np.isin(ours >> np.uint64(32), sample) | np.isin(ours & np.uint64(0xFFFFFFFF), sample)
    wrong = np.setdiff1d(ours[touched], checked, assume_unique=True)
    return len(known), len(np.intersect1d(known, ours, assume_unique=True)), len(wrong)


def _pairs(one: NDArray[np.int64], other: NDArray[np.int64]) -> Hashes:
    """Return the pairs of different rows, each once."""
    apart = one != other
    return np.unique(_packed(np.minimum(one, other)[apart], np.maximum(one, other)[apart]))


def _packed(left: NDArray[np.int64], right: NDArray[np.int64]) -> Hashes:
    return left.astype(np.uint64) << np.uint64(32) | right.astype(np.uint64)


def table(costs: Costs) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [
        "| what | CPU-seconds | of comparing all |",
        "|---|--:|--:|",
        f"| `IndexBinaryFlat.range_search`, scaled from {costs.sampled:,} queries | {costs.flat:.1f} | 1 |",
        f"| `pinlake near-duplicates`, file to files | {costs.ours:.2f} | 1/{costs.flat / costs.ours:.3g} |",
    ]
    said = (
        f"Recall {costs.found / max(1, costs.expected):.6f}: {costs.found:,} of {costs.expected:,} known pairs found; "
        f"{costs.wrong:,} wrong. {costs.pairs:,} pairs in all, {costs.seconds:.1f} s by the clock."
    )
    if costs.spark is not None:
        lines.append(f"| the join on Spark, file to files | {costs.spark:.2f} | 1/{costs.flat / costs.spark:.3g} |")
        said += f" Pairs that Spark and one machine do not both find: {costs.other:,}."
    return [*lines, "", said]


def page(costs: Costs, lines: list[str], today: date) -> str:
    """Return the part of docs/benchmarks.md."""
    told = "" if costs.spark is None else " --spark"
    return f"""# What finding near-duplicates costs

Made by `pinlake benchmark near-duplicates --rows {costs.rows}{told} --page docs/benchmarks.md` on {today},
{psutil.cpu_count()} cores: {costs.rows:,} 64-bit hashes, {costs.unique:,} of them different, one value
{costs.rows * HOT // 1_000_000:,} times, {FAMILIES:.0%} variants in families of {FAMILY}, pairs planted at exactly
{RADIUS} bits, the rest random; every pair within {RADIUS} bits. Ours are the last of {ROUNDS} runs each, grouping,
reading and writing included, JVM and Python workers too. FAISS searched the different hashes alone, on one thread, for
a sample of them, which was scaled to all; its radius is exclusive, so it was asked for {RADIUS + 1}. Known pairs: all
planted ones, and all pairs of {costs.checked:,} rows, each compared with every other by numpy.

{chr(10).join(lines)}
"""
