"""Neighbours of all vectors: against numpy in float64, by lists and by comparing all, in any blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.common.errors import ConfigError, MissingDependencyError, ValidationFailedError
from jobs.knn import tuning
from jobs.knn.inverted import Lists, means, nearest
from jobs.knn.join import Inverted, Join, knn_join
from jobs.knn.request import KnnRequest
from jobs.knn.source import prepare
from jobs.lake.vectors import unit

HIGH = 1 << 62


def gaussian(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d), dtype=np.float32)


def integers(n, d, seed):
    """Small whole numbers: every inner product is exact, and most are tied."""
    x = np.random.default_rng(seed).integers(-2, 3, (n, d)).astype(np.float32)
    x[:, 0] = 1
    return x


def oracle(x, ids, k):
    """Return {id: [(neighbour, score)]} of all pairs by (-score, id)."""
    wide = x.astype(np.float64)
    scores = (wide @ wide.T).astype(np.float32)
    found = {}
    for row, me in enumerate(ids):
        others = np.lexsort((ids, -scores[row]))
        others = others[others != row][:k]
        found[int(me)] = list(zip(ids[others].tolist(), scores[row, others].tolist(), strict=True))
    return found


def lists_of(found):
    return {
        int(me): list(zip(found.neighbours[a:b].tolist(), found.scores[a:b].tolist(), strict=True))
        for me, a, b in zip(found.ids, found.offsets[:-1], found.offsets[1:], strict=True)
    }


@pytest.fixture(scope="module")
def clustered():
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((60, 32)) * 1.5
    return unit(centres[rng.integers(0, 60, 3000)] + rng.standard_normal((3000, 32)) * 0.9)


@given(st.integers(0, 90), st.integers(1, 100), st.integers(1, 4), st.integers(1, 40), st.integers(0, 10_000))
def test_ties_come_by_id_and_self_is_left_out_by_id(n, k, d, block, seed):
    x = integers(n, d, seed)
    ids = np.random.default_rng(seed).permutation(n) * 7 + HIGH
    found = knn_join(x, ids, k, metric="ip", block=block)
    assert lists_of(found) == oracle(x, ids, k)
    assert found.ids.dtype == found.neighbours.dtype == np.int64
    assert found.scores.dtype == np.float32


@given(st.integers(65, 120), st.integers(1, 12), st.integers(1, 3), st.integers(1, 70), st.integers(0, 10_000))
def test_looking_into_every_list_is_comparing_all(n, k, d, block, seed):
    x = integers(n, d, seed)
    ids = np.random.default_rng(seed).permutation(n)
    source, _ = prepare(x, ids, "ip")
    centroids = gaussian(5, d, seed)
    lists = Inverted(source, nearest(centroids, source.all_rows(), 5).astype(np.uint16), 5)
    whole = knn_join(x, ids, k, metric="ip")
    parts = [lists.search(slice(a, min(n, a + block)), k) for a in range(0, n, block)]
    scores, numbers = (np.concatenate(some) for some in zip(*parts, strict=True))
    for row, (a, b) in enumerate(zip(whole.offsets[:-1], whole.offsets[1:], strict=True)):
        others = numbers[row][numbers[row] != row][: b - a]
        assert others.tolist() == whole.neighbours[a:b].tolist()[: len(others)]
    assert (np.diff(scores, axis=1) <= 0).all()


def test_lists_find_what_faiss_finds_with_the_same_probes(clustered):
    import faiss

    centroids = means(clustered, 120, 7, 4)
    quantizer = faiss.IndexFlatIP(32)
    quantizer.add(centroids)
    plain = faiss.IndexIVFFlat(quantizer, 32, 120, faiss.METRIC_INNER_PRODUCT)
    plain.is_trained = True
    plain.add(clustered)
    source, _ = prepare(clustered, None, "ip")
    for probes in (1, 5, 30):
        looked = nearest(centroids, clustered, probes)
        scores, numbers = Lists(source, looked[:, 0], 120).search(clustered, looked, 20)
        plain.nprobe = probes
        wanted, rows = plain.search(clustered, 20)
        np.testing.assert_array_equal(numbers, rows)
        np.testing.assert_allclose(scores[rows >= 0], wanted[rows >= 0], atol=1e-5)


def test_any_blocks_and_threads_give_the_same_bytes(clustered):
    x = clustered[:1200].copy()
    x[500:700] = x[3]  # more ties than are fetched to spare
    asked = {"recall": 0.9, "exact_below": 0, "seed": 5}
    whole = knn_join(x, None, 15, **asked)
    assert whole.report.index == "inverted"
    for more in ({"block": 7}, {"block": 1000, "threads": 2}, {"threads": 2}):
        other = knn_join(x, None, 15, **asked, **more)
        for name in ("ids", "offsets", "neighbours", "scores"):
            assert getattr(other, name).tobytes() == getattr(whole, name).tobytes(), (name, more)
    copies = [3, *range(500, 700)]
    a, b = whole.offsets[600], whole.offsets[601]
    assert whole.neighbours[a:b].tolist() == copies[:15]


def test_the_recall_asked_for_is_that_of_all_pairs(clustered):
    exact = knn_join(clustered, None, 20)
    found = knn_join(clustered, None, 20, recall=0.95, exact_below=0)
    assert exact.report.index == "exact"
    assert exact.report.recall is None
    true, near = exact.neighbours.reshape(3000, 20), np.full((3000, 20), -1)
    for row, (a, b) in enumerate(zip(found.offsets[:-1], found.offsets[1:], strict=True)):
        near[row, : b - a] = found.neighbours[a:b]
    share = np.mean([np.isin(t, f).mean() for t, f in zip(true, near, strict=True)])
    report = found.report
    assert 0.95 <= report.recall.low <= share <= report.recall.high
    assert 1 < report.probes < report.cells == 219


def test_missing_neighbours_are_left_out_and_counted():
    x = np.zeros((4000, 40), np.float32)
    x[np.arange(4000), np.arange(4000) % 40] = 1 + np.arange(4000) // 40 / 1000
    source, _ = prepare(x, None, "cosine")
    probes = (np.arange(4000) % 40)[:, None].astype(np.uint16)
    scores, numbers = Inverted(source, probes, 40).search(slice(0, 4000), 130)
    assert ((numbers >= 0).sum(axis=1) == 100).all()
    assert np.isneginf(scores[numbers < 0]).all()
    join = Join(x, None, KnnRequest(129))
    join.report.index, join._searcher = "inverted", Inverted(source, probes, 40)
    (block,) = join.blocks()
    assert (block.counts == 99).all()
    assert join.report.short == 4000


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_vectors_have_few_neighbours(n):
    found = knn_join(gaussian(n, 4), None, 9, recall=0.5)
    assert np.diff(found.offsets).tolist() == [max(0, n - 1)] * n


def test_rows_without_direction_are_neither_searched_nor_found():
    x = gaussian(50, 6)
    x[4], x[9, 2], x[30, 0] = 0, np.nan, np.inf
    ids = np.arange(50)[::-1] + HIGH
    found = knn_join(x, ids, 60, metric="ip")
    good = np.setdiff1d(np.arange(50), [4, 9, 30])
    assert lists_of(found) == oracle(x[good], ids[good], 60)
    assert found.quarantine.rows.tolist() == [4, 9, 30]
    assert found.quarantine.ids.tolist() == [HIGH + 45, HIGH + 40, HIGH + 19]
    assert found.quarantine.reasons == ["zero", "NaN", "infinite"]
    assert found.report.vectors + found.report.quarantined == 50


@pytest.mark.parametrize("kind", ["<f2", "<f4", "<f8"])
def test_any_layout_and_width_gives_what_float32_gives(kind):
    x = gaussian(300, 8).astype("<f2").astype(kind)
    plain = lists_of(knn_join(x.astype(np.float32), None, 10))
    strange = np.asfortranarray(np.repeat(x, 2, axis=0))[::2]
    assert not strange.flags.c_contiguous
    assert lists_of(knn_join(strange, None, 10)) == plain


def test_the_cosine_does_not_see_lengths():
    x = unit(gaussian(200, 8))
    long = x * np.random.default_rng(1).uniform(0.1, 9, 200).astype(np.float32)[:, None]
    np.testing.assert_array_equal(knn_join(long, None, 5).neighbours, knn_join(x, None, 5, metric="ip").neighbours)


def test_a_recall_out_of_reach_fails_instead_of_shipping_less():
    with pytest.raises(ValidationFailedError, match=r"recall must reach 0.97.* probes.* reach 0\.\d+ .*--recall 1"):
        knn_join(gaussian(2000, 64), None, 10, recall=0.97, exact_below=0)


def test_the_interval_is_that_of_the_sample():
    hits = np.array([1.0, 1.0, 0.5, 0.5])
    found = tuning.Recall.of(hits)
    assert found.mean == 0.75
    assert found.low == pytest.approx(0.75 - 1.96 * np.std(hits, ddof=1) / 2)
    assert tuning.Recall.of(np.ones(9)) == tuning.Recall(1, 1, 1, 9)


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        (np.arange(5.0), r"whole numbers.*float64 \[5\]"),
        (np.arange(4), r"one for each of 5 vectors.*\[4\]"),
        (np.array([1, 2, HIGH, 3, HIGH]), rf"{HIGH} is that of rows 2 and 4"),
        (np.array([1, 2, 3, 4, 1 << 63], np.uint64), r"below 2\^63, got 9223372036854775808"),
    ],
)
def test_ids_that_do_not_fit_are_refused(ids, told):
    with pytest.raises(ConfigError, match=told):
        knn_join(gaussian(5, 3), ids, 2)


def test_vectors_and_options_that_do_not_fit_are_refused():
    x = gaussian(5, 3)
    for bad in (x[0], x[None], x.astype(int)):
        with pytest.raises(ConfigError, match=r"float16, float32 or float64 of shape \[n, d\]"):
            knn_join(bad, None, 2)
    for k, more, told in [
        (0, {}, "k, .*got 0"),
        (2, {"recall": 0}, "recall .*got 0"),
        (2, {"recall": 1.1}, "got 1.1"),
        (2, {"metric": "l2"}, "metric .*got 'l2'"),
        (2, {"backend": "tpu"}, "got 'tpu'"),
        (2, {"threads": 0}, "threads"),
    ]:
        with pytest.raises(ConfigError, match=told):
            knn_join(x, None, k, **more)


def test_without_a_gpu_auto_says_why_and_required_gpu_fails():
    import faiss

    if hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus():
        pytest.skip("this machine has a GPU")
    report = knn_join(gaussian(5, 3), None, 2).report
    assert report.backend == "cpu"
    assert report.gpu_fallbacks == 1
    assert any(word in report.fallback for word in ("CPU alone", "no GPU"))
    assert knn_join(gaussian(5, 3), None, 2, backend="cpu").report.gpu_fallbacks == 0
    with pytest.raises(MissingDependencyError, match="required_gpu"):
        knn_join(gaussian(5, 3), None, 2, backend="required_gpu")
