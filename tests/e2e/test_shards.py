"""Neighbours in shards on a standalone cluster of two workers, killed half-way: to the bit what one index finds."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.knn.inverted import means, nearest
from jobs.knn.sharded.packed_vectors import Vectors
from jobs.knn.sharded.search import search
from jobs.lake.vectors import encode, unit
from tests.cluster import standalone_cluster

pytestmark = [pytest.mark.spark, pytest.mark.long, pytest.mark.timeout(900)]

N, DIM, CELLS, PROBES, K = 20_000, 32, 400, 8, 20
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def given():
    rng = np.random.default_rng(11)
    centres = rng.standard_normal((200, DIM)) * 1.2
    weights = 1 / np.arange(1, 201)
    of = rng.choice(200, N, p=weights / weights.sum())
    vectors = unit(centres[of] + rng.standard_normal((N, DIM)) * 0.8).astype(np.float16)
    return rng.permutation(N * 3)[:N].astype(np.int64), vectors, means(unit(vectors), CELLS, 5, 4)


def start(url, folder):
    command = [sys.executable, "-m", "tests.sharded", url, str(folder)]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True)


def marks(folder):
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("_scratch/*/*/*/found/*/_SUCCESS")}


def kill_when_some_are_done(run, folder, wanted):
    until = time.monotonic() + 300
    while len(marks(folder)) < wanted:
        assert run.poll() is None, "it ended before it was killed"
        assert time.monotonic() < until
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait(30)


def test_two_workers_and_a_kill_lose_nothing_against_one_index(given, tmp_path):
    ids, vectors, centroids = given
    pq.write_table(pa.table({"id": ids, "vector": encode(vectors)}), tmp_path / "vectors.parquet", row_group_size=5000)
    np.savez(tmp_path / "cells.npz", centroids=centroids, probes=PROBES, k=K)
    with standalone_cluster(tmp_path / "cluster", cores=2) as url:
        kill_when_some_are_done(start(url, tmp_path), tmp_path, 3)
        before = marks(tmp_path)
        assert start(url, tmp_path).wait(400) == 0
        assert len(list((tmp_path / "cluster").glob("worker-*/app-*/*"))) >= 4, "each worker ran an executor, twice"
    after = marks(tmp_path)
    assert len(after) > len(before), "there was work left"
    assert {name: after[name] for name in before} == before, "what was done was not done again"
    order = np.argsort(ids)
    probed = nearest(centroids, unit(vectors[order]), PROBES).astype(np.int32)
    both = Vectors(ids[order], vectors[order], probed, np.full(N, -2, np.float32))
    whole = search(both, both, CELLS, K)
    found = pq.read_table(tmp_path / "found").sort_by([("id", "ascending"), ("rank", "ascending")])
    for name, values in (("id", whole.ids), ("neighbour", whole.neighbours), ("score", whole.scores)):
        assert found.column(name).to_numpy().tobytes() == values.tobytes(), name
    pairs = list(zip(found.column("id").to_pylist(), found.column("neighbour").to_pylist(), strict=True))
    assert len(set(pairs)) == len(pairs), "no neighbour twice"
    assert all(one != other for one, other in pairs), "nor itself"
