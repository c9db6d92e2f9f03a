"""An inverted file: cells found by k-means, and exact search within the cells that queries probe.

The search iterates over lists instead of queries. A list is multiplied once with all queries of a block that probe it,
and scores better than a query's current worst go to its heap: large products instead of many small ones.
`faiss.contrib.big_batch_search` works alike, but holds the results of all queries at once, copies the vectors once
more, sends all scores to the heaps and prints a line per list. At the same probes a query took 0.07 ms of CPU where
`IndexIVFFlat.search` took 0.30 (200,000 vectors, 67 of 1,788 lists), and 0.12 with 20 queries per list, so there is no
size below which lists are searched query by query.

**Exact within its lists.** Fewer probes and a final float64 score, instead of more probes and raw scores: scoring a
pair costs a fraction of a probe. A float32 product depends on its shape, so a block fetches SPARE more than k, scores
them again in one order, sorts by (-score, number), and rescans all lists of a query whose worst fetched score might tie
with its last kept one. The result is the k best by (-score, number) of the probed lists, for any blocks or threads.
"""

from collections.abc import Iterator

import numpy as np

from jobs.knn.exact import Floats, Rows, longest, ordered, rescore, slack
from jobs.knn.index import blocks, library, limit_threads
from jobs.knn.source import Source

PER_CELL = 64
"""Vectors per cell that training looks at; more change the centroids little."""


def means(vectors: Floats, count: int, seed: int, rounds: int, threads: int | None = None) -> Floats:
    """Return `count` centroids [count, d] by spherical k-means on `vectors`, PER_CELL for each at most."""
    limit_threads(threads)
    found = library().Kmeans(
        vectors.shape[1],
        count,
        niter=rounds,
        seed=seed % (1 << 31),
        spherical=True,
        max_points_per_centroid=PER_CELL,
        min_points_per_centroid=1,
    )
    found.train(vectors)
    centroids: Floats = np.ascontiguousarray(found.centroids)
    return centroids


def nearest(centroids: Floats, vectors: Floats, probes: int) -> Rows:
    """Return the `probes` cells [n, probes] nearest to each vector, best first."""
    quantizer = library().IndexFlatIP(centroids.shape[1])
    quantizer.add(centroids)
    cells = np.empty((len(vectors), probes), np.int64)
    for part in blocks(len(vectors)):
        cells[part] = quantizer.search(vectors[part], probes)[1]
    return cells


SPARE = 8
"""Fetched beyond those wanted: seldom are more scores alike to float32's error."""
PRODUCT = 1 << 20
"""Scores of one product: 4 MiB, which the caches hold."""
MEMBERS = 4_096
"""Vectors of one product: longer lists are cut, lest few queries be left to multiply them with."""
LOWEST = np.finfo(np.float32).min
"""What FAISS fills empty places of a heap with."""


class Best:
    """The best of what was offered to each of m queries so far."""

    def __init__(self, m: int, keep: int) -> None:
        """Keep the `keep` best of each query."""
        self._faiss = library()
        self._heap = self._faiss.ResultHeap(m, keep, keep_max=True)

    @property
    def worst(self) -> Floats:
        """Return the worst score kept [m], LOWEST where there is room yet."""
        floor: Floats = self._heap.D[:, 0]
        return floor

    @property
    def numbers(self) -> Rows:
        """Return what is kept [m, keep], in no order, -1 where nothing is."""
        kept: Rows = self._heap.I
        return kept

    def offer(self, slots: Rows, queries: Floats, vectors: Floats, numbers: Rows) -> None:
        """Take what is better than the worst kept.

        Args:
            slots: int64 [q], whose queries these are.
            queries: [q, d].
            vectors: [v, d].
            numbers: int64 [v], of the vectors.
        """
        scores = queries @ vectors.T
        # most lists give most queries nothing: a maximum costs a sixth of going through the heap
        better = scores.max(axis=1) > self.worst[slots]
        if not better.all():
            slots, scores = slots[better], scores[better]
        pointer = self._faiss.swig_ptr
        if len(slots):
            self._heap.heaps.addn_query_subset_with_ids(
                len(slots), pointer(slots), len(vectors), pointer(scores), pointer(numbers), 0
            )


class Lists:
    """Vectors laid out by cell."""

    def __init__(self, source: Source, cell: Rows, cells: int, digits: int | None = None) -> None:
        """Lay the vectors out: the one copy of them that is made.

        Args:
            source: n vectors.
            cell: [n], the list that each stands in.
            cells: how many there are.
            digits: decimals that scores are rounded to before they are put in order; None for float32's own.
        """
        self.cells = cells
        self._digits = digits
        self._coarse = 0.0 if digits is None else 10.0**-digits
        self.order = np.argsort(cell, kind="stable")
        self.start = np.searchsorted(cell[self.order], np.arange(cells + 1))
        self.vectors = np.empty((len(source), source.dim), np.float32)
        for part in source.parts():
            self.vectors[part] = source.take(self.order[part])
        self._slots = np.arange(len(source))
        self._longest = longest(self.vectors)

    def search(self, queries: Floats, probes: Rows, k: int) -> tuple[Floats, Rows]:
        """Return scores and numbers, both [m, min(k, n)], by (-score, number); -inf and -1 where the lists hold fewer.

        Safe to call from several threads, each of which it tells to be FAISS's only one.

        Args:
            queries: float32 [m, d].
            probes: [m, p], the lists that each looks into, the most promising first; below 0 for none.
            k: vectors wanted.
        """
        limit_threads(1)
        k = min(k, len(self.vectors))
        best = self._collect(queries, probes, min(k + SPARE, len(self.vectors)))
        near, worst = best.numbers, best.worst
        numbers = np.where(near < 0, -1, self.order[near])
        scores, numbers = ordered(self._scored(queries, near), numbers, k)
        if near.shape[1] < len(self.vectors) and k:
            full = worst > LOWEST
            open_ = np.flatnonzero(full & (worst + slack(self._longest, queries) + self._coarse >= scores[:, -1]))
            self._settle(open_, queries, probes, (scores, numbers))
        return scores, numbers

    def _scored(self, queries: Floats, places: Rows) -> Floats:
        scores = rescore(self.vectors, queries, places)
        return scores if self._digits is None else np.round(scores.astype(np.float64), self._digits).astype(np.float32)

    def _collect(self, queries: Floats, probes: Rows, keep: int) -> Best:
        best = Best(len(queries), keep)
        # each query's own list first: with its worst score raised early, little of the rest reaches the heap
        for columns in (probes[:, :1], probes[:, 1:]):
            for cell, slots in visits(columns, self.cells):
                for members in self._members(cell):
                    vectors, places = self.vectors[members], self._slots[members]
                    step = max(1, PRODUCT // len(vectors))
                    for start in range(0, len(slots), step):
                        some = slots[start : start + step]
                        best.offer(some, queries[some], vectors, places)
        return best

    def _members(self, cell: int) -> list[slice]:
        start, stop = int(self.start[cell]), int(self.start[cell + 1])
        return [slice(at, min(stop, at + MEMBERS)) for at in range(start, stop, MEMBERS)]

    def _settle(self, open_: Rows, queries: Floats, probes: Rows, found: tuple[Floats, Rows]) -> None:
        """Replace what was found for a few queries by the best of all members of their lists."""
        known: dict[bytes, tuple[Floats, Rows]] = {}
        scores, numbers = found
        for at in open_:
            # copies of one vector have one answer
            key = queries[at].tobytes() + probes[at].tobytes()
            if key not in known:
                known[key] = self._all_of(queries[at], probes[at], scores.shape[1])
            scores[at], numbers[at] = known[key]

    def _all_of(self, query: Floats, probes: Rows, k: int) -> tuple[Floats, Rows]:
        looked = np.sort(probes[probes >= 0])
        places = np.concatenate([self._slots[self.start[c] : self.start[c + 1]] for c in looked])
        raw = self.vectors[places] @ query
        floor = np.partition(raw, len(raw) - k)[len(raw) - k]
        near = places[raw >= floor - 2 * slack(self._longest, query[None]) - self._coarse][None, :]
        scores, numbers = ordered(self._scored(query[None], near), self.order[near], k)
        return scores[0], numbers[0]


def visits(probes: Rows, cells: int) -> Iterator[tuple[int, Rows]]:
    """Yield each cell that is looked into, and which lines of `probes` [m, p] look into it; those below 0 are none."""
    flat = np.ascontiguousarray(probes).ravel()
    order = np.argsort(flat, kind="stable")
    edges = np.searchsorted(flat[order], np.arange(cells + 1))
    order //= max(1, probes.shape[1])
    for cell in np.flatnonzero(np.diff(edges)):
        yield int(cell), order[edges[cell] : edges[cell + 1]]
