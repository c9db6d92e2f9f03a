"""Neighbours in shards on Spark: what one index finds, broken off anywhere; a day later what a search of all finds."""

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import functions as F

from jobs.knn.exact import ordered
from jobs.knn.inverted import nearest
from jobs.knn.sharded.ground_truth import exact_neighbours
from jobs.knn.sharded.incremental import PreviousNeighbours, update_incrementally
from jobs.knn.sharded.layout import Limits
from jobs.knn.sharded.packed_vectors import Vectors
from jobs.knn.sharded.run import SearchPlan, SearchRequest, search
from jobs.knn.sharded.search import search as by_one_index
from jobs.knn.sharded.train import Cells, train_cells
from jobs.knn.tuning import Recall
from jobs.lake.scratch import InMemory, Scratch
from jobs.lake.vectors import encode, unit
from jobs.settings.related import Neighbours
from tests.asserts import assert_no_cross_join

pytestmark = pytest.mark.spark

N, DIM, K = 1500, 16, 8
WAY = SearchPlan(Limits(500, 900), 5, "cpu")
WIDE = SearchPlan(Limits(900, 4000), 5, "cpu")
"""Two shards, each searched in one task: where it does not matter how a search is split."""


def cloud(n=N, seed=3):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((25, DIM)) * 1.5
    some = unit(centres[rng.integers(0, 25, n)] + rng.standard_normal((n, DIM)) * 0.8)
    some[40:60] = some[7]
    return rng.permutation(n * 4)[:n].astype(np.int64), some.astype(np.float16)


def frame(spark, ids, vectors):
    return spark.createDataFrame(pa.table({"id": ids, "vector": encode(vectors)})).repartition(3)


def asking(df):
    return df.selectExpr("id", "vector", "true AS is_query", "true AS is_item", "CAST(-2 AS FLOAT) AS min_score")


def sorted_rows(df):
    return sorted(tuple(row) for row in df.select("id", "rank", "neighbour", "score").collect())


@pytest.fixture(scope="module")
def given():
    return cloud()


@pytest.fixture(scope="module")
def cells(spark, given):
    return train_cells(frame(spark, *given), N, DIM, K, 0.9, 400, 5)


@pytest.fixture(scope="module")
def whole(given, cells):
    """Return the rows that one index over all vectors gives."""
    ids, vectors = given
    order = np.argsort(ids)
    probed = nearest(cells.centroids, unit(vectors[order]), cells.probes).astype(np.int32)
    both = Vectors(ids[order], vectors[order], probed, np.full(N, -2, np.float32))
    found = by_one_index(both, both, len(cells.centroids), K)
    first = np.searchsorted(found.ids, found.ids)
    rank = np.arange(len(found)) - first + 1
    return list(zip(found.ids.tolist(), rank.tolist(), found.neighbours.tolist(), found.scores.tolist(), strict=True))


@pytest.fixture(scope="module")
def old(spark, whole):
    """Return yesterday's lists: those of one index, which a search in shards finds too."""
    columns = zip(("id", "rank", "neighbour", "score"), zip(*whole, strict=True), strict=True)
    types = {"rank": pa.int32(), "score": pa.float32()}
    rows = pa.table({name: pa.array(values, types.get(name, pa.int64())) for name, values in columns})
    return spark.createDataFrame(rows).select("id", "neighbour", "rank", "score").localCheckpoint()


class Counting(Scratch):
    """Tells what is made, and breaks off after so many units."""

    def __init__(self, spark, root, most=10**9):
        super().__init__(spark, root, "near", "2026-11-01", "a")
        self.made, self.most = [], most

    def unit(self, unit, make):
        if not self.done(unit):
            self.made.append(unit)
            if len(self.made) > self.most:
                raise InterruptedError(unit)
        return super().unit(unit, make)


def test_a_search_broken_off_goes_on_where_it_was_and_ends_as_one_index_does(spark, given, cells, whole, tmp_path):
    request = SearchRequest(asking(frame(spark, *given)), N, N, K)
    first = Counting(spark, str(tmp_path), most=4)
    with pytest.raises(InterruptedError):
        search(request, cells, WAY, first)
    second = Counting(spark, str(tmp_path))
    found = search(request, cells, WAY, second)
    assert_no_cross_join(found)
    assert sorted_rows(found) == whole
    assert second.made, "there was work left"
    assert not set(first.made[:4]) & set(second.made), "nothing is done twice"
    other = Scratch(spark, str(tmp_path), "near", "2026-11-01", "b")
    assert not other.done("packed"), "other inputs find nothing of it"
    other.keep_only_this()
    assert not (tmp_path / "_scratch/near/2026-11-01/a").exists()


def test_a_unit_without_its_mark_is_made_again(spark, tmp_path):
    scratch = Scratch(spark, str(tmp_path), "near", "2026-11-01", "a")
    scratch.unit("one", lambda: spark.range(3))
    (tmp_path / "_scratch/near/2026-11-01/a/one/_SUCCESS").unlink()
    assert scratch.unit("one", lambda: spark.range(5)).count() == 5
    assert scratch.unit("one", lambda: spark.range(9)).count() == 5
    scratch.clear()
    assert not (tmp_path / "_scratch/near/2026-11-01").exists()


def test_the_recall_promised_by_a_sample_is_that_of_all(spark, given, cells, whole):
    ids, vectors = given
    full = unit(vectors).astype(np.float64)
    cosine = np.round(full @ full.T, 6)
    np.fill_diagonal(cosine, -9)
    truth = {int(i): set() for i in ids}
    order = np.argsort(ids)
    _, near = ordered(cosine[:, order].astype(np.float32), np.tile(np.arange(N), (N, 1)), K)
    for i, line in zip(ids, near, strict=True):
        truth[int(i)] = set(ids[order][line].tolist())
    hits = dict.fromkeys(truth, 0)
    for pin, _, neighbour, _ in whole:
        hits[pin] += neighbour in truth[pin]
    share = np.mean([hits[pin] / K for pin in truth])
    assert cells.recall.low >= 0.9
    assert cells.recall.low - 0.01 <= share <= cells.recall.high + 0.01
    sample = np.sort(ids)[::50]
    place = np.searchsorted(np.sort(ids), sample)
    found = exact_neighbours(frame(spark, ids, vectors), sample, unit(vectors[order][place]), K)
    assert {int(i): set(found.neighbours[found.ids == i].tolist()) for i in sample} == {
        int(i): truth[int(i)] for i in sample
    }


@pytest.fixture
def next_day(given):
    """Return today's: some vectors gone, some new, some others under their ids, one a copy that ties."""
    ids, vectors = given[0].copy(), given[1].copy()
    fresh_ids, fresh = cloud(60, seed=9)
    vectors[200:215] = fresh[:15]
    keep = np.ones(N, bool)
    keep[500:530] = False
    fresh[20] = vectors[7]  # as near as the twenty copies there are
    return np.concatenate([ids[keep], fresh_ids[15:] + 10 * N]), np.concatenate([vectors[keep], fresh[15:]])


def test_a_day_later_lists_are_those_that_a_search_of_all_finds(spark, given, cells, old, whole, next_day, tmp_path):
    neighbours = Neighbours(k=K, changed_share=1.0)
    now = frame(spark, *next_day)
    n = len(next_day[0])
    expected = sorted_rows(search(SearchRequest(asking(now), n, n, K), cells, WIDE, InMemory()))
    before = PreviousNeighbours(frame(spark, *given), old)
    brought = update_incrementally(
        now, before, cells, neighbours, WIDE, Scratch(spark, str(tmp_path), "near", "2026-11-02", "a")
    )
    assert sorted_rows(brought) == expected
    states = spark.read.parquet(str(tmp_path / "_scratch/near/2026-11-02/a/changes"))
    searched_again = states.where("is_query").count()
    assert 60 <= searched_again < n / 2, "those that are new or lost a neighbour, and no others"
    assert states.where("is_new").count() == 60
    few = neighbours.model_copy(update={"changed_share": searched_again / n - 0.01})
    assert update_incrementally(now, before, cells, few, WIDE, InMemory()) is None, "too much has changed"
    same = update_incrementally(frame(spark, *given), before, cells, neighbours, WIDE, InMemory())
    assert sorted_rows(same) == whole, "nothing has changed"


@pytest.mark.long
def test_vectors_that_only_went_leave_no_trace(spark, given, cells, old):
    neighbours = Neighbours(k=K, changed_share=1.0)
    ids, vectors = given[0][100:], given[1][100:]
    now = frame(spark, ids, vectors)
    brought = update_incrementally(
        now, PreviousNeighbours(frame(spark, *given), old), cells, neighbours, WIDE, InMemory()
    )
    rows = sorted_rows(brought)
    assert rows == sorted_rows(search(SearchRequest(asking(now), len(ids), len(ids), K), cells, WIDE, InMemory()))
    gone = set(given[0][:100].tolist())
    assert not any(row[0] in gone or row[2] in gone for row in rows)
    assert brought.groupBy("id").agg(F.max("rank").alias("r")).where(f"r > {K}").count() == 0


def test_cells_are_the_same_whatever_the_partitions(spark, given, cells):
    again = train_cells(frame(spark, *given).repartition(7), N, DIM, K, 0.9, 400, 5)
    np.testing.assert_array_equal(again.centroids, cells.centroids)
    assert isinstance(again, Cells)
    assert (again.probes, again.recall) == (cells.probes, cells.recall)
    assert isinstance(again.recall, Recall)
