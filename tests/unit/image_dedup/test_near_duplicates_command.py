"""`pinlake near-duplicates` end to end, on files good and bad, and killed half-way."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import jobs.cli.duplicates  # noqa: F401 - registers the command
from jobs.cli.context import app
from jobs.common.errors import ConfigError, SourceError
from jobs.image_dedup import files
from jobs.image_dedup.files import near_duplicates

TOP = 1 << 63
HASHES = np.array([TOP, 5, TOP, TOP | 1, 5, 0xFF00, 7], np.uint64)
GROUPS = {"id": [0, 1, 2, 3, 4, 5, 6], "representative": [0, 1, 0, 3, 1, 5, 6]}
PAIRS = {"left": [0, 0, 1, 1, 3], "right": [1, 3, 3, 6, 6], "distance": [3, 1, 2, 1, 3]}


def saved(folder, array, name="hashes.npy"):
    np.save(folder / name, array)
    return folder / name


def results(folder):
    return pq.read_table(folder / "groups.parquet").to_pydict(), pq.read_table(folder / "pairs.parquet").to_pydict()


def test_writes_groups_and_pairs_and_says_what_it_found(tmp_path):
    path = saved(tmp_path, HASHES)
    said = CliRunner().invoke(app, ["near-duplicates", str(path), "--radius", "3", "--out", str(tmp_path / "out")])
    assert said.exit_code == 0, said.output
    assert "7 hashes, 5 different, the most frequent 2 times" in said.output
    assert "5 pairs within 3 bits" in said.output
    assert results(tmp_path / "out") == (GROUPS, PAIRS)
    assert not list((tmp_path / "out").glob("*.part"))


@pytest.mark.parametrize(
    "array",
    [HASHES.view(np.int64), HASHES.astype(">u8"), HASHES.astype("<u8").view(np.uint8).reshape(-1, 8)],
    ids=["int64", "big-endian", "bytes"],
)
def test_the_same_bits_in_another_type_give_the_same(tmp_path, array):
    near_duplicates(saved(tmp_path, array), 3, tmp_path)
    assert results(tmp_path) == (GROUPS, PAIRS)


def test_ids_stand_in_for_rows_and_the_lowest_represents(tmp_path):
    ids = saved(tmp_path, np.array([50, 40, 10, 20, 30, 70, 60]), "ids.npy")
    near_duplicates(saved(tmp_path, HASHES), 1, tmp_path, ids)
    groups, pairs = results(tmp_path)
    assert dict(zip(*groups.values(), strict=True)) == {10: 10, 50: 10, 20: 20, 30: 30, 40: 30, 60: 60, 70: 70}
    assert pairs == {"left": [10, 30], "right": [20, 60], "distance": [1, 1]}


def test_a_mapped_file_of_any_length_and_none(tmp_path):
    for n in (0, 1, 5000):
        found = near_duplicates(saved(tmp_path, np.full(n, TOP, np.uint64)), 6, tmp_path)
        assert (found.rows, found.unique, found.largest, found.pairs) == (n, min(n, 1), n, 0)
        assert set(results(tmp_path)[0]["representative"]) <= {0}


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros(3, np.float64), r"got float64 \[3\]"),
        (np.zeros((3, 4), np.uint8), r"got uint8 \[3, 4\]"),
        (np.zeros(3, np.uint32), "got uint32"),
        (np.array(["a"], object), "is not a whole .npy file"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, array, said):
    with pytest.raises(SourceError, match=said):
        near_duplicates(saved(tmp_path, array), 6, tmp_path)


def test_files_that_are_missing_cut_short_or_do_not_fit_are_refused(tmp_path):
    with pytest.raises(SourceError, match="no such file"):
        near_duplicates(tmp_path / "none.npy", 6, tmp_path)
    path = saved(tmp_path, np.arange(5000, dtype=np.uint64))
    with pytest.raises(SourceError, match="one whole number below"):
        near_duplicates(path, 6, tmp_path, saved(tmp_path, np.arange(4), "ids.npy"))
    with pytest.raises(SourceError, match="4,999 rows repeat"):
        near_duplicates(path, 6, tmp_path, saved(tmp_path, np.zeros(5000, int), "ids.npy"))
    with pytest.raises(ConfigError, match="must be a folder"):
        near_duplicates(path, 6, path)
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(SourceError, match="not a whole"):
        near_duplicates(path, 6, tmp_path)


def test_what_fails_half_way_leaves_what_was_there(tmp_path, monkeypatch):
    path = saved(tmp_path, HASHES)
    near_duplicates(path, 3, tmp_path / "out")
    monkeypatch.setattr(files, "near", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        near_duplicates(saved(tmp_path, HASHES[:2]), 3, tmp_path / "out")
    assert results(tmp_path / "out") == (GROUPS, PAIRS)
    assert sorted(p.name for p in (tmp_path / "out").glob("[!.]*")) == ["groups.parquet", "pairs.parquet"]


def test_killed_half_way_it_leaves_nothing_that_looks_whole_and_can_be_run_again(tmp_path):
    rng = np.random.default_rng(0)
    path, folder = saved(tmp_path, rng.integers(0, 2**64, 400_000, dtype=np.uint64)), tmp_path / "out"
    command = [sys.executable, "-m", "jobs.cli", "near-duplicates", str(path), "--out", str(folder)]
    root = str(Path(__file__).resolve().parents[3])
    run = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": root}, stdout=subprocess.DEVNULL)
    while not (folder / ".pairs.parquet.part").exists() and not list(folder.glob(".groups*")) and run.poll() is None:
        time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    assert not list(folder.glob("[!.]*"))
    near_duplicates(saved(tmp_path, HASHES), 3, folder)
    assert results(folder) == (GROUPS, PAIRS)
    assert not list(folder.glob(".*.part"))
