"""`pinlake knn` on what people bring: other types, tiny vectors, files of another kind; and what it says of them."""

import json
from functools import partial

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from jobs.cli.context import app
from jobs.cli.neighbours import MISSED, missed
from jobs.common.errors import ConfigError, PinlakeError, SourceError
from jobs.knn.files import require_place
from jobs.knn.join import Join, knn_join
from jobs.knn.npy import open_vectors
from jobs.knn.request import KnnRequest


def gaussian(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d), dtype=np.float32)


@pytest.fixture
def knn(tmp_path, monkeypatch):
    import jobs.cli.neighbours  # noqa: F401 - registers the command

    monkeypatch.chdir(tmp_path)

    def run(*more, vectors=None, out="n.parquet"):
        if vectors is not None:
            np.save("v.npy", vectors)
        return CliRunner().invoke(app, ["knn", "v.npy", "--out", out, "--threads", "1", *map(str, more)])

    return run


@pytest.mark.parametrize("size", [1e-22, 1e-30, 1e-44, 1e25])
@pytest.mark.parametrize("kind", ["<f4", "<f8"])
def test_very_short_and_long_vectors_have_the_neighbours_of_their_direction(size, kind):
    x = gaussian(60, 8)
    sized = x.astype(kind)
    sized[::2] *= size if size > 1e-40 or kind == "<f8" else 1e-30
    found, plain = knn_join(sized, None, 5), knn_join(x, None, 5)
    assert not len(found.quarantine.rows)
    np.testing.assert_array_equal(found.neighbours, plain.neighbours)
    np.testing.assert_allclose(found.scores, plain.scores, atol=1e-5)


def test_beyond_float32_only_the_direction_counts_and_the_product_is_told():
    x = gaussian(6, 3).astype(np.float64)
    x[1] *= 1e-200
    x[2] *= 1e200
    x[3], x[4, 0], x[5, 1] = 0, np.nan, -np.inf
    cosine, product = knn_join(x, None, 5), knn_join(x, None, 5, metric="ip")
    assert cosine.quarantine.rows.tolist() == [3, 4, 5]
    assert cosine.quarantine.reasons == ["zero", "NaN", "infinite"]
    assert product.quarantine.reasons == ["zero", "infinite", "zero", "NaN", "infinite"]
    short = gaussian(30, 4)
    short[7] *= 1e-23  # its square is none of float32's
    assert not len(knn_join(short, None, 5, metric="ip").quarantine.rows)


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", ">f4", "<f2"])
def test_small_whole_numbers_and_other_byte_orders_are_vectors(kind):
    x = np.random.default_rng(1).integers(0, 100, (50, 8))
    for metric in ("ip", "cosine"):
        found = knn_join(x.astype(kind), None, 4, metric=metric)
        plain = knn_join(x.astype(np.float32), None, 4, metric=metric)
        np.testing.assert_array_equal(found.neighbours, plain.neighbours)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([["a", "b"]]), "texts or Python objects"),
        (np.array([[b"a", b"b"]]), "texts or Python objects"),
        (np.zeros((2, 2), "datetime64[s]"), r"got datetime64\[s\]"),
        (np.zeros(7, np.float32), r"\[7\]: these are single values.*reshape\(-1, DIM\)"),
        (np.zeros((2, 3, 4), np.float32), r"\[2, 3, 4\]: save one row a vector"),
        (np.zeros((), np.float32), r"got float32 \[\]"),
        (np.zeros((4, 2), "V2"), "bfloat16"),
        (np.zeros((4, 2), np.complex64), "complex64"),
        (np.zeros((4, 2), np.int64), "int64"),
        (np.zeros((4, 2), bool), "bool"),
        (np.zeros((4, 0), np.float32), "one value at least"),
        (np.zeros(4, [("a", "f4")]), r"\[4\]"),
    ],
)
def test_what_is_no_matrix_of_numbers_says_what_it_is(array, words):
    with pytest.raises(ConfigError, match=words):
        knn_join(array, None, 2)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"id,x,y\n1,2,3\n", "is text"), (b"", "is empty"), (b"PAR1\0\0", "is Parquet"), (b"\x1f\x8b\0", "gzip"),
        (b"\x93NUMPY\1\0", "not a whole"), (bytes(range(256)), "not a whole"), (b"\x80\x04\x95", "pickle"),
        (b"PK\x03\x04", "zip"),
    ],
)  # fmt: skip
def test_a_file_of_another_kind_is_named(tmp_path, body, words):
    (tmp_path / "v.npy").write_bytes(body)
    with pytest.raises(SourceError, match=words):
        open_vectors(tmp_path / "v.npy")


def test_objects_archives_and_no_vectors_are_named(tmp_path):
    np.save(tmp_path / "o.npy", np.array([[1], [1, 2]], object))
    np.savez(tmp_path / "z.npz", a=np.zeros(3))
    np.save(tmp_path / "e.npy", np.zeros((0, 128), np.float32))
    for name, words in (("o.npy", "Python objects"), ("z.npz", "archive"), ("e.npy", r"one row at least.*\[0, 128\]")):
        with pytest.raises(SourceError, match=words):
            open_vectors(tmp_path / name)


def test_what_is_read_is_never_replaced(tmp_path):
    for name in ("v.npy", "n.quarantine.csv"):
        (tmp_path / name).write_bytes(b"mine")
    (tmp_path / "link.parquet").symlink_to("v.npy")
    for out, read in (("v.npy", "v.npy"), ("link.parquet", "v.npy"), ("n.csv", "n.quarantine.csv")):
        with pytest.raises(ConfigError, match="must not replace"):
            require_place(tmp_path / out, [tmp_path / "other", tmp_path / read])
    for name in ("n.tsv", "n.csv.gz", "n.npy", "n.json"):
        with pytest.raises(ConfigError, match=r"\.parquet or \.csv"):
            require_place(tmp_path / name, [tmp_path / "v.npy"])
    for name in ("n", "n.parquet", "n.CSV"):
        require_place(tmp_path / name, [tmp_path / "v.npy"])


def test_a_csv_is_csv_and_holds_what_parquet_holds(knn, tmp_path):
    x = gaussian(40, 6)
    x[3] = 0
    assert knn("--k", 3, vectors=x).exit_code == 0
    assert knn("--k", 3, out="n.csv").exit_code == 0
    table, lines = pq.read_table("n.parquet"), pyarrow.csv.read_csv("n.csv")
    assert lines.column_names == table.column_names
    for name in ("id", "neighbour", "rank"):
        assert lines[name].to_pylist() == table[name].to_pylist()
    np.testing.assert_array_equal(lines["score"].to_numpy().astype(np.float32), table["score"].to_numpy())
    assert pyarrow.csv.read_csv("n.quarantine.csv").to_pylist() == [{"id": 3, "row": 3, "reason": "zero"}]


def test_the_command_says_what_there_is_where_more_was_asked_for(knn):
    few = knn("--k", 50, vectors=np.random.default_rng(1).integers(0, 9, (10, 4)).astype(np.uint8) + 1)
    assert few.exit_code == 0, few.output
    assert "90 neighbours of 10 vectors" in few.output
    assert "50 neighbours were asked for, and each vector has 9 others" in few.output
    assert "values are uint8, compared as numbers" in few.output
    assert "asked for" not in knn("--k", 9).output


def test_progress_begins_before_the_first_block():
    told = []
    join = Join(gaussian(100, 4), None, KnnRequest(3), lambda *step: told.append(step))
    next(iter(join.blocks()))
    assert told[-2:] == [("search", 0, 100), ("search", 100, 100)]


def test_an_index_that_misses_the_recall_is_written_and_said(knn, monkeypatch):
    x = gaussian(2500, 64)
    monkeypatch.setattr("jobs.knn.request.KnnRequest", partial(KnnRequest, exact_below=0))
    found = knn("--k", 5, "--recall", 0.97, "--json", vectors=x)
    report = json.loads(found.stdout)
    assert found.exit_code == MISSED
    assert report["missed"] == 0.97
    assert report["recall"]["mean"] < 0.97
    assert "Warning: recall 0.97 was asked for" in found.stderr
    assert "--recall 1 compares all" in found.stderr
    assert pq.read_table("n.parquet").num_rows == report["neighbours"] > 10_000
    hair = report["recall"]["low"] + 1e-6
    assert hair < report["recall"]["mean"]
    by_a_hair = knn("--k", 5, "--recall", hair)
    assert (by_a_hair.exit_code, "Warning: recall" in by_a_hair.stderr) == (0, True)


def test_where_comparing_all_is_affordable_a_missed_recall_compares_all():
    x = gaussian(2500, 64)
    found = knn_join(x, None, 5, recall=0.97, exact_below=900)
    assert (found.report.index, found.report.recall, missed(found.report)) == ("exact", None, None)
    np.testing.assert_array_equal(found.neighbours, knn_join(x, None, 5).neighbours)
    with pytest.raises(PinlakeError, match="recall must reach"):
        knn_join(x, None, 5, recall=0.97, exact_below=0)
