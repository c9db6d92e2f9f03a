"""Nearest rows: against a float64 oracle, with ties, with bad input, with the wrong packages."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.common.errors import ConfigError, MissingDependencyError, TableError
from jobs.knn import index as knn
from jobs.knn.exact import scan
from jobs.knn.index import Index, backend, blocks, installed, top_k


def gaussian(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d), dtype=np.float32)


def oracle(vectors, queries, k):
    scores = (queries.astype(np.float64) @ vectors.astype(np.float64).T).astype(np.float32)
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, rows, 1), rows


def integers(n, d, seed):
    """Small whole numbers: every inner product is exact, and most are tied."""
    x = np.random.default_rng(seed).integers(-2, 3, (n, d)).astype(np.float32)
    x[:, 0] = 1
    return x


def test_finds_what_comparing_all_rows_in_float64_finds():
    x, q = gaussian(3000, 24), gaussian(1500, 24, seed=1)
    scores, rows = top_k(x, q, 20)
    true_scores, true_rows = oracle(x, q, 20)
    np.testing.assert_array_equal(rows, true_rows)
    np.testing.assert_allclose(scores, true_scores, rtol=1e-6, atol=1e-6)


@given(st.integers(1, 120), st.integers(1, 30), st.integers(1, 130), st.integers(1, 4), st.integers(0, 10_000))
def test_equal_scores_come_by_row_and_the_cut_keeps_the_lowest_rows(n, m, k, d, seed):
    x, q = integers(n, d, seed), integers(m, d, seed + 1)
    scores, rows = top_k(x, q, k)
    true_scores, true_rows = oracle(x, q, k)
    np.testing.assert_array_equal(scores, true_scores)
    np.testing.assert_array_equal(rows, true_rows)


def test_five_hundred_copies_of_one_row_do_not_hide_the_first_of_them():
    x = gaussian(2000, 16)
    x[700:1200] = x[3]
    _, rows = top_k(x, x[[3, 1100]], 10)
    wanted = [3, *range(700, 709)]
    assert rows.tolist() == [wanted, wanted]


def test_scanning_all_rows_agrees_with_the_oracle():
    x, q = integers(400, 6, 5), integers(50, 6, 6)
    _, rows = scan(x, q, 30)
    np.testing.assert_array_equal(rows, oracle(x, q, 30)[1])


def test_results_do_not_depend_on_how_the_queries_are_split():
    x = gaussian(5000, 32)
    x[100:140] = x[7]
    index = Index(x)
    whole = index.search(x, 15)
    for part in (slice(0, 13), slice(100, 1300)):
        some = index.search(x[part], 15)
        np.testing.assert_array_equal(some[0], whole[0][part])
        np.testing.assert_array_equal(some[1], whole[1][part])


@pytest.mark.parametrize(
    ("n", "m", "k", "shape"), [(3, 2, 9, (2, 3)), (0, 2, 4, (2, 0)), (5, 0, 2, (0, 2)), (5, 2, 0, (2, 0))]
)
def test_missing_neighbours_are_dropped_never_padded(n, m, k, shape):
    scores, rows = top_k(gaussian(n, 4), gaussian(m, 4), k)
    assert scores.shape == rows.shape == shape
    assert np.isfinite(scores).all()
    assert ((rows >= 0) & (rows < n)).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
@pytest.mark.parametrize("side", ["vectors", "queries"])
def test_a_row_without_direction_is_refused_by_name_and_number(value, side):
    good, bad = gaussian(6, 4), gaussian(6, 4)
    bad[4] = value
    pair = (bad, good) if side == "vectors" else (good, bad)
    with pytest.raises(TableError, match=rf"{side} must be finite and not zero: 1 of 6 rows are not, first row 4"):
        top_k(*pair, 2)


def test_shapes_metrics_and_counts_that_do_not_fit_are_refused():
    x = gaussian(5, 4)
    with pytest.raises(ConfigError, match=r"queries must be of shape \[n, 4\], got \[5, 3\]"):
        top_k(x, gaussian(5, 3), 2)
    with pytest.raises(ConfigError, match=r"metric must be 'ip'.*got 'l2'"):
        top_k(x, x, 2, metric="l2")
    with pytest.raises(ConfigError, match="got -1"):
        top_k(x, x, -1)


@pytest.mark.parametrize("m", [0, 1, 1024, 4096, 4097, 9000, 100_000])
def test_blocks_cover_all_queries_and_leave_no_small_rest(m):
    parts = blocks(m)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(m))
    assert all(min(m, 2000) <= part.stop - part.start <= knn.BLOCK for part in parts)


def test_the_cpu_is_taken_where_there_is_no_gpu_and_gpu_insists():
    import faiss

    if hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus():
        pytest.skip("this machine has a GPU")
    assert backend("auto") == backend("cpu") == "cpu"
    with pytest.raises(MissingDependencyError, match=r"neighbours.backend is gpu, but .*(CPU alone|no GPU)"):
        backend("gpu")
    with pytest.raises(ConfigError, match="got 'tpu'"):
        backend("tpu")


def test_gpu_finds_what_cpu_finds():
    import faiss

    if not (hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus()):
        pytest.skip("needs a GPU and faiss-gpu")
    x = gaussian(20_000, 64)
    for cpu, gpu in zip(top_k(x, x[:2000], 50, wanted="cpu"), top_k(x, x[:2000], 50, wanted="gpu"), strict=True):
        np.testing.assert_array_equal(cpu, gpu)


def test_two_faiss_distributions_are_refused_before_the_gpu_is_lost(tmp_path, monkeypatch):
    for name in ("faiss_cpu", "faiss_gpu"):
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    installed.cache_clear()
    try:
        with pytest.raises(MissingDependencyError, match=r"Exactly one FAISS .* found faiss-cpu, faiss-gpu"):
            backend("cpu")
    finally:
        installed.cache_clear()


@pytest.mark.parametrize("error", ["ImportError('no')", "RuntimeError('no CUDA runtime')", "OSError('libcublas')"])
def test_a_faiss_that_does_not_load_is_a_plain_message(tmp_path, monkeypatch, error):
    (tmp_path / "faiss.py").write_text(f"raise {error}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "faiss", raising=False)
    with pytest.raises(MissingDependencyError, match=r"FAISS cannot be loaded .*Install faiss-cpu"):
        backend("auto")
