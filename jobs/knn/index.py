"""Exact index over a matrix: the only user of FAISS, and the only choice of GPU or CPU.

In: float32 matrices. Out: scores and row numbers, best first, ties by row number, the same on every backend.
Callers never name a device. FAISS is imported inside functions: its start is slow, and most commands do not need it.
"""

import logging
import os
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from types import ModuleType
from typing import Any, Literal

import numpy as np

from jobs.common.errors import ConfigError, MissingDependencyError
from jobs.knn.exact import Floats, Rows, ordered, require_matrix, rescore, scan, tolerance

log = logging.getLogger(__name__)

Wanted = Literal["auto", "cpu", "gpu", "required_gpu"]

FAMILY = ("faiss", "faiss-cpu", "faiss-gpu", "faiss-gpu-cuvs", "faiss-gpu-cu11", "faiss-gpu-cu12", "faiss-cuda")
"""Distributions that all write the same `faiss` folder: pip lets two be installed, and the last one wins."""
BLOCK = 4096
"""Most queries in one call. Below 1,024 a flat search was measured up to eight times slower per query."""
SPARE = 16
"""Rows fetched beyond k, so that ties at rank k can be ordered."""
GPU_MOST = 2048
"""Most neighbours that FAISS returns on a GPU."""


@cache
def installed() -> tuple[str, ...]:
    """Return the FAISS distributions found on this machine, looked for once: it takes milliseconds."""
    return tuple(name for name in FAMILY if _is_installed(name))


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def library() -> ModuleType:
    """Return the `faiss` module.

    Raises:
        MissingDependencyError: it is absent, cannot be loaded, or two distributions of it overwrite one another.
    """
    found = installed()
    if len(found) > 1:
        raise MissingDependencyError(
            f"Exactly one FAISS distribution may be installed, found {', '.join(found)}: they write the same files, "
            f"and the GPU is lost without a word. Uninstall all of them, then install the one wanted."
        )
    try:
        import faiss
    except (ImportError, RuntimeError, OSError) as error:
        # a GPU wheel without its CUDA libraries raises RuntimeError, a broken library OSError
        raise MissingDependencyError(
            f"FAISS cannot be loaded ({found[0] if found else 'not installed'}): {error}. Install faiss-cpu, or "
            f"faiss-gpu with its CUDA libraries, but not both."
        ) from error
    module: ModuleType = faiss
    return module


@dataclass(frozen=True)
class Device:
    """Where searches run."""

    name: Literal["cpu", "gpu"]
    fallback: str = ""
    """Why "auto" took the CPU; empty where it did not, or was not asked."""


def choose(wanted: Wanted = "auto") -> Device:
    """Return where searches run: this is the only choice of device in the platform.

    "auto" takes a GPU if FAISS was built for one, sees one, and finds on it what numpy finds, and else says why not;
    "gpu" and "required_gpu", one and the same, insist.

    Raises:
        ConfigError: `wanted` is none of auto, cpu, gpu, required_gpu.
        MissingDependencyError: no FAISS, two of them, or no GPU that works where one is required.
    """
    if wanted not in ("auto", "cpu", "gpu", "required_gpu"):
        raise ConfigError(f"neighbours.backend must be auto, cpu, gpu or required_gpu, got {wanted!r}.")
    library()
    if wanted == "cpu":
        return Device("cpu")
    trouble = _gpu_trouble()
    if trouble is None:
        return Device("gpu")
    if wanted != "auto":
        raise MissingDependencyError(f"neighbours.backend is {wanted}, but {trouble}. Set auto to search on the CPU.")
    _say_once(trouble)
    return Device("cpu", trouble)


@cache
def _say_once(trouble: str) -> None:
    log.info("Neighbours are searched on the CPU: %s", trouble)


def backend(wanted: Wanted = "auto") -> Literal["cpu", "gpu"]:
    """Return the name of the device; raises as `choose` does."""
    return choose(wanted).name


@cache
def _gpu_trouble() -> str | None:
    faiss = library()
    if not hasattr(faiss, "StandardGpuResources"):
        return f"{' '.join(installed()) or 'the FAISS installed'} is built for the CPU alone"
    if faiss.get_num_gpus() < 1:
        return "FAISS sees no GPU on this machine"
    known = np.random.default_rng(1).standard_normal((256, 16), dtype=np.float32)
    try:
        _, rows = _open_flat(known, "gpu").search(known[:32], 4)
    except RuntimeError as error:
        return f"a test search on the GPU failed: {error}"
    _, truth = scan(known, known[:32], 4)
    return (
        None if np.array_equal(np.sort(rows), np.sort(truth)) else "a test search on the GPU gave other rows than numpy"
    )


def _open_flat(vectors: Floats, device: str) -> Any:
    faiss = library()
    if device == "gpu":
        index = faiss.GpuIndexFlatIP(faiss.StandardGpuResources(), vectors.shape[1])
    else:
        index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index


def limit_threads(threads: int | None = None) -> None:
    """Let FAISS use so many cores, see `resolve_threads`. Without it each of N tasks starts N threads."""
    library().omp_set_num_threads(resolve_threads(threads))


def resolve_threads(threads: int | None = None) -> int:
    """Return `threads`; by default OMP_NUM_THREADS, which Spark sets per task, else one."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return threads or (int(told) if told.isdigit() and int(told) else 1)


class Index:
    """An exact index over a matrix, opened once and searched many times.

    The GPU path is untested: the machines this was written on have none. It differs from the CPU's in the class of
    the index alone; what it returns is scored and ordered again like the CPU's.
    """

    def __init__(self, vectors: Floats, *, wanted: Wanted = "auto", threads: int | None = None) -> None:
        """Open an index over `vectors` [n, d]; raises as `top_k` does."""
        self.vectors = require_matrix("vectors", vectors)
        self.device = backend(wanted)
        self.threads = threads
        self._flat = _open_flat(self.vectors, self.device)

    def search(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        """Return scores and rows, both [m, min(k, n)], best first, ties by row. Raises as `top_k` does."""
        queries = require_matrix("queries", queries, self.vectors.shape[1])
        k = self._most(k)
        limit_threads(self.threads)
        scores, rows = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
        for part in blocks(len(queries)):
            scores[part], rows[part] = self._block(queries[part], k)
        return scores, rows

    def _most(self, k: int) -> int:
        k = min(k, len(self.vectors))
        if k < 0 or (self.device == "gpu" and k > GPU_MOST):
            raise ConfigError(f"k must be 0 to {GPU_MOST} on a GPU and not negative on a CPU, got {k}.")
        return k

    def _block(self, queries: Floats, k: int) -> tuple[Floats, Rows]:
        fetch = min(k + SPARE, len(self.vectors))
        if self.device == "gpu":
            fetch = min(fetch, GPU_MOST)
        if k == 0:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        raw, near = self._flat.search(queries, fetch)
        scores, rows = ordered(rescore(self.vectors, queries, near), near, k)
        if fetch < len(self.vectors):
            # a row that was not fetched may tie with the last one kept: settle those few by looking at all
            open_ = np.flatnonzero(raw[:, -1] + tolerance(self.vectors, queries) >= scores[:, -1])
            if len(open_):
                # copies of one row have one answer: a thousand of them are looked up once
                alike, which = np.unique(queries[open_], axis=0, return_inverse=True)
                found = scan(self.vectors, alike, k)
                scores[open_], rows[open_] = found[0][which], found[1][which]
        return scores, rows


def blocks(m: int) -> list[slice]:
    """Return slices that cut m queries into even blocks of at most BLOCK: no small rest, which would be slow."""
    count = -(-m // BLOCK)
    edges = [m * i // count for i in range(count + 1)] if count else []
    return [slice(a, b) for a, b in pairwise(edges)]


def top_k(
    vectors: Floats, queries: Floats, k: int, *, metric: str = "ip", wanted: Wanted = "auto"
) -> tuple[Floats, Rows]:
    """Return, for each query, the k rows of `vectors` with the largest inner product.

    Unit-length rows make it the cosine. Missing neighbours are not padded: there are min(k, n) columns.

    Args:
        vectors: float32 [n, d], finite, no row all zero.
        queries: float32 [m, d], likewise. A thousand or more at once are cheapest.
        k: neighbours wanted.
        metric: "ip", the inner product; there is no other yet.
        wanted: "auto", "cpu" or "gpu", see `backend`.

    Returns:
        scores float32 and row numbers int64, both [m, min(k, n)], by (-score, row).

    Raises:
        ConfigError: another metric, a negative k, or shapes that do not fit.
        TableError: NaN, infinite or zero rows.
        MissingDependencyError: see `backend`.
    """
    if metric != "ip":
        raise ConfigError(f"The metric must be 'ip' (unit-length rows make it the cosine), got {metric!r}.")
    return Index(vectors, wanted=wanted).search(queries, k)
