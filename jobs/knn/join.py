"""kNN join: the k nearest others of each vector, for any size and machine.

In: vectors, ids. Out: neighbours by (-score, id), a quarantine of unusable rows, and a report. Up to EXACT_BELOW
vectors, without a target recall, or on a GPU, the search is brute force; otherwise it probes as many lists of an
inverted file as the target recall needs. Blocks of queries bound the memory: the vectors are copied once.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar

import numpy as np

from jobs.knn.exact import Floats, Rows
from jobs.knn.index import Device, Index, Wanted, choose, limit_threads, resolve_threads
from jobs.knn.inverted import PER_CELL, Lists, means, nearest
from jobs.knn.request import KnnRequest, Progress, Report
from jobs.knn.source import Quarantine, Source, prepare
from jobs.knn.tuning import SAMPLE, cell_ranks, fewest_probes, recall_at, sample_of, true_neighbours

Result = TypeVar("Result")

AFFORDED = 3
"""Times exact_below up to which all are compared where an index does not reach the recall."""
ROUNDS = 4
"""Of k-means: ten find the same recall at the same probes, 0.985 for 0.984 at 64 of 4,000 cells."""


@dataclass(frozen=True)
class Block:
    """Neighbours of some vectors: those of ids[i] are the next counts[i]."""

    ids: Rows
    counts: Rows
    neighbours: Rows
    scores: Floats


@dataclass(frozen=True)
class Neighbours:
    """The neighbours of ids[i] are neighbours[offsets[i]:offsets[i + 1]], best first, with scores alike."""

    ids: Rows
    """[n], ascending."""
    offsets: Rows
    """[n + 1]."""
    neighbours: Rows
    """Ids."""
    scores: Floats
    quarantine: Quarantine
    report: Report


class Searcher(Protocol):
    """Finds neighbours of a run of vectors, themselves among them."""

    def search(self, part: slice, k: int) -> tuple[Floats, Rows]:
        """Return scores and numbers [m, min(k, n)] by (-score, number), -inf and -1 where fewer were found."""


class Exact:
    """A Searcher that compares all."""

    def __init__(self, source: Source, wanted: Wanted) -> None:
        """Open the index."""
        self._index = Index(source.all_rows(), wanted=wanted, threads=1)

    def search(self, part: slice, k: int) -> tuple[Floats, Rows]:
        """Return scores and numbers [m, min(k, n)]."""
        return self._index.search(self._index.vectors[part], k)


class Inverted:
    """A Searcher that looks into lists, chosen once for all vectors: any blocks then find the same."""

    def __init__(self, source: Source, looked: Rows, cells: int) -> None:
        """Lay out the vectors by the first of the lists [n, p] that each looks into."""
        self._looked = looked
        self._lists = Lists(source, looked[:, 0], cells)
        self._place = np.empty_like(self._lists.order)
        self._place[self._lists.order] = np.arange(len(source))

    def search(self, part: slice, k: int) -> tuple[Floats, Rows]:
        """Return scores and numbers [m, min(k, n)], -inf and -1 where fewer were found."""
        return self._lists.search(self._lists.vectors[self._place[part]], self._looked[part], k)


class Join:
    """A search that is prepared: tuned, and reporting how; `blocks` does it."""

    def __init__(self, vectors: Any, ids: Any, request: KnnRequest, progress: Progress | None = None) -> None:
        """Prepare; raises as `knn_join` does."""
        self.request = request
        self._say = progress or (lambda *_: None)
        device = choose(request.backend)
        self._threads = resolve_threads(request.threads)
        source, self.quarantine = prepare(vectors, ids, request.metric)
        self.ids, self.columns = source.ids, min(request.k, max(0, len(source) - 1))
        self.report = _report(source, len(self.quarantine.rows), request, device)
        with one_blas_thread():
            # an inverted file has its own copy: nothing of the given matrix is held on to
            self._searcher = self._open(source, device)

    def _open(self, source: Source, device: Device) -> Searcher | None:
        n, request = len(source), self.request
        if not self.columns:
            return None
        small = n <= max(request.exact_below, request.k + 1)
        if small or request.recall is None or request.recall >= 1 or device.name == "gpu":
            return self._timed("open", lambda: Exact(source, device.name))
        return self._inverted(source, request.recall)

    def _inverted(self, source: Source, target: float) -> Searcher:
        n, request, report = len(source), self.request, self.report
        cells = int(4 * np.sqrt(n))
        drawn = sample_of(n, cells * PER_CELL, request.seed)
        centroids = self._timed("train", lambda: means(source.take(drawn), cells, request.seed, ROUNDS, self._threads))
        ranks = self._timed("tune", lambda: self._ranks(source, centroids))
        most = max(1, cells // 4)
        reached = recall_at(ranks, most)
        if reached.low < target and n <= AFFORDED * request.exact_below:
            return self._timed("open", lambda: Exact(source, "cpu"))
        if reached.low < target and not request.strict:
            report.probes, report.recall, report.missed = most, reached, target
        else:
            report.probes, report.recall = fewest_probes(ranks, target, most)
        report.index, report.cells = "inverted", cells
        return self._timed("assign", lambda: self._lists(source, centroids, report.probes))

    def _ranks(self, source: Source, centroids: Floats) -> Rows:
        sample = sample_of(len(source), SAMPLE, self.request.seed + 1)
        return cell_ranks(source, sample, true_neighbours(source, sample, self.columns), centroids)

    def _lists(self, source: Source, centroids: Floats, probes: int) -> Inverted:
        kind = np.uint16 if len(centroids) <= 1 << 16 else np.int32
        looked: Any = np.empty((len(source), probes), kind)

        def assign(part: slice) -> None:
            limit_threads(1)
            looked[part] = nearest(centroids, source.take(part), probes)

        deque(self._each(assign, source.parts()), 0)
        return Inverted(source, looked, len(centroids))

    def _timed(self, step: str, work: Callable[[], Any]) -> Any:
        self._say(step, 0, 1)
        begun = time.monotonic()
        result = work()
        self.report.seconds[step] = time.monotonic() - begun
        self._say(step, 1, 1)
        return result

    def blocks(self) -> Iterator[Block]:
        """Yield the neighbours of all vectors, in the order of their ids."""
        begun, n = time.monotonic(), len(self.ids)
        parts = [slice(start, min(n, start + self.request.block)) for start in range(0, n, self.request.block)]
        self._say("search", 0, n)  # the first block may take minutes
        with one_blas_thread():
            for part, block in zip(parts, self._each(self._block, parts), strict=True):
                self.report.neighbours += len(block.neighbours)
                self.report.short += int((block.counts < self.columns).sum())
                self.report.seconds["search"] = time.monotonic() - begun
                self._say("search", part.stop, n)
                yield block

    def _each(self, work: Callable[[slice], Result], parts: list[slice]) -> Iterator[Result]:
        """Yield what `work` returns for each part, in their order, some parts ahead of the one yielded.

        Each thread works on a part of its own and tells FAISS to use no others: threads that share one search wait
        for each other by spinning, which took twice the CPU on a busy machine. A GPU has one.
        """
        threads = 1 if self.report.backend == "gpu" else self._threads
        with ThreadPoolExecutor(threads, "knn") as pool:
            left = iter(parts)
            ahead = deque(pool.submit(work, part) for part in islice(left, threads + 1))
            try:
                while ahead:
                    done = ahead.popleft().result()
                    ahead.extend(pool.submit(work, part) for part in islice(left, 1))
                    yield done
            finally:
                pool.shutdown(cancel_futures=True)

    def _block(self, part: slice) -> Block:
        m = part.stop - part.start
        if self._searcher is None:
            return Block(self.ids[part], np.zeros(m, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        scores, near = self._searcher.search(part, self.columns + 1)
        kept = near != np.arange(part.start, part.stop)[:, None]
        kept[:, -1] &= ~kept.all(axis=1)  # self is not among them: there is one too many
        kept &= near >= 0
        return Block(self.ids[part], kept.sum(axis=1), self.ids[near[kept]], scores[kept])


def knn_join(vectors: Any, ids: Any, k: int, *, progress: Progress | None = None, **more: Any) -> Neighbours:
    """Return each vector's k nearest others.

    Self is told by id: an exact copy under another id is a neighbour. By (-score, id); fewer than k where there are
    not so many, never padded. The same whatever `threads` and `block`. Scores are float64 products rounded to float32.

    Args:
        vectors: float16, float32 or float64 [n, d], in memory or mapped. NaN and zero rows go to quarantine.
        ids: whole numbers [n], or None for the numbers of the rows.
        k: neighbours wanted.
        progress: told of each step.
        more: metric, recall, backend, threads, seed: the fields of `KnnRequest`.

    Raises:
        ConfigError: vectors, ids or options that do not fit, an id that stands twice.
        ValidationFailedError: the recall cannot be reached for less than comparing all.
        MissingDependencyError: no FAISS, two of them, or no GPU where the backend insists on one.
    """
    join = Join(vectors, ids, KnnRequest(k, **more), progress)
    n = len(join.ids)
    offsets = np.zeros(n + 1, np.int64)
    near, scores = np.empty(n * join.columns, np.int64), np.empty(n * join.columns, np.float32)
    line = at = 0
    for block in join.blocks():
        end = at + len(block.neighbours)
        near[at:end], scores[at:end] = block.neighbours, block.scores
        np.cumsum(block.counts, out=offsets[line + 1 : line + 1 + len(block.ids)])
        offsets[line + 1 : line + 1 + len(block.ids)] += at
        line, at = line + len(block.ids), end
    return Neighbours(join.ids, offsets, near[:at], scores[:at], join.quarantine, join.report)


def _report(source: Source, quarantined: int, request: KnnRequest, device: Device) -> Report:
    return Report(
        vectors=len(source), quarantined=quarantined, dim=source.dim, k=request.k, metric=request.metric,
        backend=device.name, fallback=device.fallback, gpu_fallbacks=int(bool(device.fallback)),
        values=source.values.dtype.name,
    )  # fmt: skip


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let numpy's products use one thread in the body: blocks are what runs side by side."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has none

    with threadpool_limits(1, user_api="blas"):
        yield
