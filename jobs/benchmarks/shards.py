"""Cost of neighbours in shards on Spark, compared with one index in one process; and of an incremental update.

In: clustered vectors as in `jobs.benchmarks.knn`. One index and the shards look into the same cells, so both find the
same: that is checked, row by row. A day later one vector in a hundred has gone and as many are new.
"""

import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame

from jobs.benchmarks.knn import DIM, K, clustered
from jobs.benchmarks.measure import cpu_seconds
from jobs.engine.context import ActionContext
from jobs.knn.inverted import nearest
from jobs.knn.join import one_blas_thread
from jobs.knn.sharded.incremental import PreviousNeighbours, update_incrementally
from jobs.knn.sharded.layout import Limits
from jobs.knn.sharded.packed_vectors import Pairs, Vectors
from jobs.knn.sharded.run import SearchPlan, SearchRequest, search
from jobs.knn.sharded.search import search as by_one_index
from jobs.knn.sharded.train import Cells, train_cells
from jobs.lake.scratch import Scratch
from jobs.lake.vectors import encode, unit
from jobs.settings.related import Neighbours

CHANGED = 100
"""One vector in this many is removed, and as many are added."""
SHARDS, TARGET, SAMPLE = 4, 0.98, 1_000


@dataclass(frozen=True)
class Cost:
    """One plan."""

    name: str
    cpu_seconds: float
    alike: float | None
    """Share of its rows that one index, or a full search, has too; None without a comparison."""


def measure(work: ActionContext, rows: int, folder: Path) -> list[Cost]:
    """Return the costs of training, one index, shards, an incremental update and a full search of the same change."""
    more = rows // CHANGED
    vectors = clustered(rows + more).astype(np.float16)
    ids = np.random.default_rng(2).permutation(4 * (rows + more))[: rows + more].astype(np.int64)
    then = _frame(work, folder / "then.parquet", ids[:rows], vectors[:rows])
    now = _frame(work, folder / "now.parquet", ids[more:], vectors[more:])
    plan = SearchPlan(Limits(max(1, rows // SHARDS), max(1, rows // SHARDS)), 5, "cpu")
    with cpu_seconds() as training:
        cells = train_cells(then, rows, DIM, K, TARGET, SAMPLE, 5)
    one, single = _one_index(ids[:rows], vectors[:rows], cells)
    first, lists = _in_shards(work, folder, "then", then, (rows, cells, plan))
    anew, expected = _in_shards(work, folder, "now", now, (rows, cells, plan))
    change, brought = _change(work, folder, now, PreviousNeighbours(then, lists), (cells, plan))
    return [
        Cost("training and tuning, on Spark", training.seconds, None),
        Cost("one index, one process", one, None),
        Cost(f"{SHARDS} shards or more, on Spark", first, _alike(_rows(lists), single)),
        Cost("a day later, all searched again", anew, None),
        Cost("a day later, brought up to date", change, _alike(_rows(brought), _rows(expected))),
    ]


def _frame(work: ActionContext, path: Path, ids: np.ndarray, vectors: np.ndarray) -> DataFrame:
    pq.write_table(pa.table({"id": ids, "vector": encode(vectors)}), path, row_group_size=20_000)
    return work.spark.read.parquet(str(path)).repartition(work.spark.sparkContext.defaultParallelism)


def _one_index(ids: np.ndarray, vectors: np.ndarray, cells: Cells) -> tuple[float, Pairs]:
    order = np.argsort(ids)
    begun = time.process_time()
    with one_blas_thread():
        probed = nearest(cells.centroids, unit(vectors[order]), cells.probes).astype(np.int32)
        both = Vectors(ids[order], vectors[order], probed, np.full(len(ids), -2, np.float32))
        found = by_one_index(both, both, len(cells.centroids), K)
    return time.process_time() - begun, found


def _in_shards(
    work: ActionContext, folder: Path, name: str, vectors: DataFrame, how: tuple[int, Cells, SearchPlan]
) -> tuple[float, DataFrame]:
    rows, cells, plan = how
    scratch = Scratch(work.spark, str(folder), "shards", name, "all")
    with cpu_seconds() as spent:
        search(SearchRequest.of_all(vectors, rows, K), cells, plan, scratch).write.parquet(
            str(folder / f"{name}.found")
        )
    return spent.seconds, work.spark.read.parquet(str(folder / f"{name}.found"))


def _change(
    work: ActionContext, folder: Path, now: DataFrame, before: PreviousNeighbours, how: tuple[Cells, SearchPlan]
) -> tuple[float, DataFrame]:
    neighbours, scratch = Neighbours(k=K, changed_share=1.0), Scratch(work.spark, str(folder), "shards", "now", "few")
    with cpu_seconds() as spent:
        found = update_incrementally(now, before, how[0], neighbours, how[1], scratch)
        assert found is not None  # noqa: S101 - any share may have changed
        found.write.parquet(str(folder / "brought.found"))
    return spent.seconds, work.spark.read.parquet(str(folder / "brought.found"))


def _rows(lists: DataFrame) -> Pairs:
    table = lists.select("id", "neighbour", "score").orderBy("id", "rank").toArrow()  # bounded: the benchmark's rows
    ids, neighbours, scores = (table.column(name).to_numpy() for name in ("id", "neighbour", "score"))
    return Pairs(ids, neighbours, scores, np.empty(0, np.int32))


def _alike(one: Pairs, other: Pairs) -> float:
    """Return the share of positions with the same neighbour and score; 0 if the numbers of rows differ."""
    if len(one) != len(other):
        return 0.0
    same = (one.ids == other.ids) & (one.neighbours == other.neighbours) & (one.scores == other.scores)
    return float(same.mean())


def table(costs: list[Cost]) -> list[str]:
    """Return the lines of a Markdown table."""
    whole = {"one index, one process": 1, "a day later, all searched again": 1}
    lines, base = ["| | CPU-s | ratio | rows alike |", "|---|--:|--:|--:|"], 1.0
    for cost in costs:
        base = cost.cpu_seconds if cost.name in whole else base
        alike = "" if cost.alike is None else f"{100 * cost.alike:.4g} %"
        ratio = f"**{cost.cpu_seconds / base:.2f}**" if cost.alike is not None else ""
        lines.append(f"| {cost.name} | {cost.cpu_seconds:,.0f} | {ratio} | {alike} |")
    return lines


def page(lines: list[str], rows: int, today: date) -> str:
    """Return the part of docs/benchmarks.md."""
    return f"""# What neighbours cost in shards

Made by `pinlake benchmark shards --page docs/benchmarks.md` on {today}, {psutil.cpu_count()} cores, `local[2]`, no GPU:
the top {K} of {rows:,} clustered vectors of {DIM} values, recall {TARGET} asked of a sample of {SAMPLE:,}. CPU-seconds
of the driver, the JVM and the Python workers; one index is searched by one thread without Spark. Ratios are to the
line above that all is searched in: one index for the shards, all searched again for the change, where one vector in
{CHANGED} has gone and as many are new. Rows alike: the same neighbour in the same place at the same score.

{chr(10).join(lines)}
"""
