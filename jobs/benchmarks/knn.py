"""Cost of a search for all neighbours, compared with brute force: CPU-seconds, recall and memory, in one run.

In: made-up clustered vectors, 2 * sqrt(n) centres of Zipf sizes, a spectrum that decays, noise of 0.9 of the centres'
spread, length one: many near-ties. Each search runs in a process of its own, with one thread, as does IndexFlatIP.
"""

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from jobs.knn.exact import Floats, Rows
from jobs.knn.index import library, limit_threads
from jobs.knn.join import Exact, knn_join, one_blas_thread
from jobs.knn.npy import open_array
from jobs.knn.source import prepare
from jobs.lake.vectors import unit

K, DIM = 50, 128
COMPARED, JUDGED = 20_000, 10_000
"""Vectors searched by brute force to measure its cost; vectors whose neighbours are evaluated."""
BATCH = 4_096
"""Queries per call of IndexFlatIP; below 1,024 it is several times slower."""
SPECTRUM, NOISE, STEP = 0.8, 0.9, 50_000


@dataclass(frozen=True)
class Cost:
    """One size."""

    rows: int
    target: float
    compared: float
    """CPU-seconds of brute force, scaled from COMPARED queries."""
    joined: float
    """CPU-seconds of knn_join: training, tuning and search."""
    recall: float
    """Recall of the K nearest, over JUDGED vectors."""
    peak_mb: float
    report: dict[str, Any]

    @property
    def allowed_mb(self) -> float:
        """Return the bytes of three copies of the vectors, and of the results."""
        return self.rows * (3 * 4 * DIM + 12 * K) / 1e6


@dataclass(frozen=True)
class Ratios:
    """Ratios measured at the smaller size only."""

    exact: float
    """CPU of the exact mode relative to IndexFlatIP."""
    command: float
    """CPU of the command without start-up, relative to the library call."""
    start_up: float
    """CPU-seconds of the command on ten vectors."""


def clustered(rows: int, seed: int = 1) -> Floats:
    """Return unit vectors [rows, DIM], in no order."""
    rng = np.random.default_rng(seed)
    spread = np.arange(1, DIM + 1) ** -SPECTRUM
    spread = (spread / np.linalg.norm(spread)).astype(np.float32)
    centres = rng.standard_normal((int(2 * np.sqrt(rows)), DIM), np.float32) * spread
    weight = 1 / np.arange(1, len(centres) + 1)
    of = rng.choice(len(centres), rows, p=weight / weight.sum())
    made = np.empty((rows, DIM), np.float32)
    for start in range(0, rows, STEP):
        some = of[start : start + STEP]
        noise = rng.standard_normal((len(some), DIM), np.float32) * (NOISE * spread)
        made[start : start + STEP] = unit(centres[some] + noise)
    return made


def compare_all(vectors: Floats, queries: int) -> tuple[float, Rows]:
    """Return IndexFlatIP's CPU-seconds for the first vectors, without building the index, and their K nearest."""
    index = library().IndexFlatIP(DIM)
    index.add(vectors)
    limit_threads(1)
    begun = time.process_time()
    parts = range(0, queries, BATCH)
    near = np.concatenate([index.search(vectors[a : min(a + BATCH, queries)], K + 1)[1] for a in parts])
    spent = time.process_time() - begun
    kept = near != np.arange(queries)[:, None]
    kept[:, -1] &= ~kept.all(axis=1)
    return spent, near[kept].reshape(queries, K)


def measure(folder: Path, rows: int, target: float) -> Cost:
    """Measure one size; its vectors stay in `folder`."""
    vectors = clustered(rows)
    np.save(folder / "vectors.npy", vectors)
    queries = min(rows, COMPARED)
    spent, truth = compare_all(vectors, queries)
    del vectors
    line = [sys.executable, "-m", "jobs.benchmarks.knn", str(folder), str(target)]
    found = json.loads(subprocess.run(line, env=_alone(), check=True, capture_output=True, text=True).stdout)
    near = np.load(folder / "found.npy")
    hits = [np.isin(t, n).mean() for t, n in zip(truth[:JUDGED], near[:JUDGED], strict=True)]
    scaled = spent * rows / queries
    return Cost(rows, target, scaled, found["cpu"], float(np.mean(hits)), found["peak_mb"], found["report"])


def ratios(folder: Path, cost: Cost) -> Ratios:
    """Measure the overhead of exact mode and of the command, on the vectors that `measure` left in `folder`."""
    vectors = np.load(folder / "vectors.npy")
    block = min(len(vectors), COMPARED)
    exact = Exact(prepare(vectors, None, "ip")[0], "cpu")
    ours, theirs = [], []
    for _ in range(2):  # the better of two runs each, alternating: the machine may be shared
        theirs.append(compare_all(vectors, block)[0])
        begun = time.process_time()
        with one_blas_thread():
            exact.search(slice(0, block), K + 1)
        ours.append(time.process_time() - begun)
    np.save(folder / "few.npy", vectors[:10])
    start_up = _command(folder, "few.npy", cost.target)
    command = _command(folder, "vectors.npy", cost.target) - start_up
    return Ratios(min(ours) / min(theirs), command / cost.joined, start_up)


def _command(folder: Path, name: str, recall: float) -> float:
    line = [sys.executable, "-m", "jobs.cli", "knn", name, "--out", "n.parquet", "--recall", str(recall)]
    line += ["--k", str(K), "--metric", "ip", "--threads", "1"]
    before = _of_children()
    subprocess.run(line, cwd=folder, env=_alone(), check=True, capture_output=True)
    return _of_children() - before


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _alone() -> dict[str, str]:
    paths = os.pathsep.join(path for path in sys.path if path)
    return os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": paths}


def join_alone(folder: Path, target: float) -> dict[str, Any]:
    """Search all vectors of `folder`, in memory; `measure` starts this as a process."""
    vectors = np.array(open_array(folder / "vectors.npy", "vectors"))
    begun = time.process_time()
    found = knn_join(vectors, None, K, metric="ip", recall=target, threads=1)
    spent = time.process_time() - begun
    peak = _peak_mb()
    first = np.full((min(len(vectors), COMPARED), K), -1, np.int64)
    for row, (a, b) in enumerate(zip(found.offsets[: len(first)], found.offsets[1:], strict=False)):
        first[row, : b - a] = found.neighbours[a:b]
    np.save(folder / "found.npy", first)
    return {"cpu": spent, "peak_mb": peak, "report": found.report.plain()}


def _peak_mb() -> float:
    # not ru_maxrss: a child process inherits its parent's
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def table(costs: list[Cost]) -> list[str]:
    """Return the lines of a Markdown table."""
    head = ["vectors", "recall asked", "found", "cells", "probes", "comparing all, CPU-s", "knn_join, CPU-s", "share"]
    head += ["peak MB", "3x vectors + results, MB"]
    rows = [
        [
            f"{cost.rows:,}", f"{cost.target}", f"{cost.recall:.4f}", f"{cost.report['cells']:,}",
            f"{cost.report['probes']}", f"{cost.compared:,.0f}", f"{cost.joined:.1f}",
            f"**1/{cost.compared / cost.joined:.1f}**", f"{cost.peak_mb:,.0f}", f"{cost.allowed_mb:,.0f}",
        ]
        for cost in costs
    ]  # fmt: skip
    return [f"| {' | '.join(line)} |" for line in [head, ["--:"] * len(head), *rows]]


def page(lines: list[str], more: Ratios, today: date) -> str:
    """Return the part of docs/benchmarks.md."""
    return f"""# What all nearest neighbours cost

Made by `pinlake benchmark knn --page docs/benchmarks.md` on {today}, {psutil.cpu_count()} cores shared with other work,
no GPU, FAISS {library().__version__}: the top {K} without self of clustered unit vectors of {DIM} values (2 * sqrt(n)
centres, Zipf sizes, spectrum falling as i^-{SPECTRUM}, noise {NOISE}), one thread. Comparing all is `IndexFlatIP` in
batches of {BATCH:,}, measured on {COMPARED:,} queries and scaled to all; `knn_join` is whole, with training and tuning,
in a process of its own. Recall is judged on {JUDGED:,} vectors; peak is all the process held, Python and libraries too.

{chr(10).join(lines)}

At the smaller size: the exact mode took {more.exact:.2f} of `IndexFlatIP`'s CPU-seconds on the same queries, and the
command {more.command:.2f} of the library call's, start-up ({more.start_up:.1f} CPU-s) apart.
"""


if __name__ == "__main__":
    sys.stdout.write(json.dumps(join_alone(Path(sys.argv[1]), float(sys.argv[2]))))
