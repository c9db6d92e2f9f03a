"""`pinlake knn` from files to files: once as a process, for the rest in the tests' own."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.knn.join import knn_join

HIGH = 1 << 62


@pytest.fixture(scope="module")
def vectors():
    x = np.random.default_rng(4).standard_normal((700, 12)).astype(np.float16)
    x[11], x[40, 3] = 0, np.nan
    return x


def test_a_file_of_vectors_becomes_a_file_of_neighbours(vectors, pinlake, tmp_path):
    ids = np.random.default_rng(1).permutation(700) + HIGH
    np.save(tmp_path / "v.npy", vectors)
    np.save(tmp_path / "i.npy", ids)
    out = tmp_path / "n.parquet"
    command = ["knn", tmp_path / "v.npy", "--ids", tmp_path / "i.npy", "--k", 7, "--out", out]
    line = [sys.executable, "-m", "jobs.cli", *map(str, command)]
    said = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    found = knn_join(vectors, ids, 7)
    table = pq.read_table(out)
    assert {f.name: str(f.type) for f in table.schema} == {
        "id": "int64", "neighbour": "int64", "score": "float", "rank": "int32",
    }  # fmt: skip
    assert table["id"].to_pylist() == np.repeat(found.ids, 7).tolist()
    assert table["neighbour"].to_pylist() == found.neighbours.tolist()
    np.testing.assert_array_equal(table["score"].to_numpy(), found.scores)
    assert table["rank"].to_pylist() == list(range(1, 8)) * 698
    left_out = pq.read_table(tmp_path / "n.quarantine.parquet").to_pylist()
    assert left_out == [
        {"id": int(ids[11]), "row": 11, "reason": "zero"},
        {"id": int(ids[40]), "row": 40, "reason": "NaN"},
    ]
    assert "4,886 neighbours of 698 vectors" in said
    assert "2 rows could not be searched (1 NaN, 1 zero)" in said
    assert "exact" in said
    whole = out.read_bytes()
    np.save(tmp_path / "v.npy", vectors[:5])
    np.save(tmp_path / "i.npy", np.arange(5))
    report = json.loads(pinlake(*command, "--json").stdout)
    assert (report["vectors"], report["neighbours"], report["index"]) == (5, 20, "exact")
    assert out.read_bytes() != whole
    assert sorted(p.name for p in tmp_path.iterdir()) == ["i.npy", "n.parquet", "v.npy"], "no stale quarantine"


@pytest.fixture
def in_tmp(tmp_path, monkeypatch):
    """The folder that the test works in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        (["--recall", "0"], 2, "recall must be above 0"),
        (["--backend", "required_gpu"], 4, "required_gpu"),
        (["--ids", "v.npy"], 2, "whole numbers"),
        (["--out", "nowhere/n.parquet"], 2, "folder that exists"),
    ],
)
def test_what_does_not_fit_is_one_sentence_and_leaves_no_file(vectors, pinlake, in_tmp, more, code, told):
    np.save("v.npy", vectors)
    done = pinlake("knn", "v.npy", "--out", "n.parquet", *more)
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert [p.name for p in in_tmp.iterdir()] == ["v.npy"]


def test_a_file_that_is_not_numpys_is_refused(pinlake, tmp_path):
    (tmp_path / "v.npy").write_text("id,x\n1,2\n")
    done = pinlake("knn", tmp_path / "v.npy", "--out", tmp_path / "n.parquet")
    assert done.returncode == 3
    assert "must be a .npy file" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_killed_half_way_leaves_no_output(tmp_path, how):
    np.save(tmp_path / "v.npy", np.random.default_rng(4).standard_normal((150_000, 64), dtype=np.float32))
    line = [sys.executable, "-m", "jobs.cli", "knn", "v.npy", "--recall", "1", "--out", "n.parquet"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(line, cwd=tmp_path, env=env, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 60
        while not list(tmp_path.glob(".n.parquet.*")):  # the searching has begun
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        process.send_signal(how)
    assert process.returncode != 0
    assert not (tmp_path / "n.parquet").exists()
    if how == signal.SIGINT:
        assert [p.name for p in tmp_path.iterdir()] == ["v.npy"]
