"""`pinlake embed`: images of a folder or a tar to a matrix, names beside it, damage set aside."""

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.cli.context import cli
from jobs.cli.ingest import source_options
from jobs.common.errors import ConfigError, SourceError
from jobs.ingest.embeddings.files import embed_files, names_of, quarantine_of, require_place
from jobs.ingest.embeddings.model import Model
from jobs.settings.ingest import Embeddings, Images
from tests.smallmodels import halves, shares, two_colors

ROOT = Path(__file__).resolve().parents[3]
RED, GREEN, BLUE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)
FILES = {
    "a/red.png": two_colors(RED, RED),
    "b.jpg": two_colors(GREEN, GREEN, form="JPEG"),
    "black.png": two_colors(BLACK, BLACK),
    "c/d/blue.png": two_colors(BLUE, BLUE),
    "note.txt": b"no image",
    ".hidden/x.png": two_colors(RED, RED),
}
EXPECTED = {"a/red.png": [1, 0, 0], "b.jpg": [0, 1, 0], "c/d/blue.png": [0, 0, 1]}


@pytest.fixture
def folder(tmp_path):
    for name, body in FILES.items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return tmp_path / "photos"


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "shares.onnx"
    path.write_bytes(shares())
    return Model(path, Embeddings(batch=2))


def tarred(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return path


def embed(source, model, out, **limits):
    told = []
    made = embed_files(source, model, out, Images(**limits), 2, lambda done, of: told.append((done, of)))
    return made, told


def assert_expected(out):
    vectors, names = np.load(out), pq.read_table(names_of(out))
    assert vectors.dtype == np.float16
    assert names["row"].to_pylist() == list(range(len(vectors)))
    np.testing.assert_allclose(vectors, [EXPECTED[name] for name in names["name"].to_pylist()], atol=0.01)
    assert set(names["name"].to_pylist()) == set(EXPECTED)
    reasons = {row["name"]: row["reason"] for row in pq.read_table(quarantine_of(out)).to_pylist()}
    assert reasons == {"black.png": "nan_embedding", "note.txt": "unknown_image"}
    assert sorted(path.name for path in out.parent.glob(".*.part")) == []


def test_a_folder_becomes_a_matrix_with_names_and_what_is_no_image_set_aside(folder, model, tmp_path):
    out = tmp_path / "v.npy"
    made, told = embed(folder, model, out)
    assert (made.vectors, made.dim, made.quarantined) == (3, 3, {"nan_embedding": 1, "unknown_image": 1})
    assert told == [(2, 5), (4, 5), (5, 5)]
    assert_expected(out)
    assert pq.read_schema(names_of(out)).metadata[b"model"].decode() == model.version


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_tar_is_as_good_as_a_folder(model, tmp_path, mode):
    out = tmp_path / "v.npy"
    _, told = embed(tarred(tmp_path / "photos.tar", FILES, mode), model, out)
    assert told[-1] == (5, 5)
    assert_expected(out)


def test_a_second_run_replaces_all_of_the_first(folder, model, tmp_path):
    out = tmp_path / "v.npy"
    embed(folder, model, out)
    (folder / "note.txt").unlink()
    (folder / "black.png").unlink()
    embed(folder, model, out)
    assert np.load(out).shape == (3, 3)
    assert not quarantine_of(out).exists()


def test_a_file_too_large_is_not_read(folder, model, tmp_path):
    (folder / "b.jpg").write_bytes(bytes((1 << 20) + 1))
    made, _ = embed(folder, model, tmp_path / "v.npy", max_file_mb=1)
    assert made.quarantined["file_too_large"] == 1
    packed = tarred(tmp_path / "p.tar", {"big.png": bytes((1 << 20) + 1), "red.png": FILES["a/red.png"]})
    assert embed(packed, model, tmp_path / "w.npy", max_file_mb=1)[0].quarantined == {"file_too_large": 1}


def test_a_tar_that_ends_early_and_an_empty_folder_leave_nothing(model, tmp_path):
    whole = tarred(tmp_path / "p.tar", FILES).read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 2 - 5000])
    (tmp_path / "empty").mkdir()
    for source, words in (("cut.tar", "whole tar"), ("empty", "no file"), ("none", "no such folder")):
        with pytest.raises(SourceError, match=words):
            embed(tmp_path / source, model, tmp_path / "v.npy")
    assert not list(tmp_path.glob("*.npy*"))
    assert not list(tmp_path.glob(".*"))


def test_a_place_that_cannot_be_written_is_said_first(tmp_path):
    for bad in (tmp_path / "none/v.npy", tmp_path / "v.parquet"):
        with pytest.raises(ConfigError, match=r"\.npy file in a folder that exists"):
            require_place(bad)


def run(*arguments):
    code = "import sys; from jobs.cli import main; main(); sys.exit('pyspark' in sys.modules)"
    told = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(told, capture_output=True, text=True, cwd=ROOT, check=False)


def test_the_command_says_what_it_did_and_starts_no_spark(folder, pinlake, tmp_path):
    path = tmp_path / "halves.onnx"
    path.write_bytes(halves(size=("h", "w")))
    out = tmp_path / "v.npy"
    done = run("embed", folder, "--model", path, "--out", out, "--size", "8x8", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["vectors"] == 3
    assert told["model"].startswith("halves@")
    wrong = pinlake("embed", folder, "--model", path, "--out", out, "--size", "8", "--json")
    assert wrong.returncode == 2
    assert "--size must be 2 numbers" in wrong.stderr


def test_ingest_is_told_where_the_model_lies_only_if_one_is_named(tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    found = []
    for named in ([], ["ingest.embeddings.model=models/m.onnx"]):
        monkeypatch.setattr(cli, "sets", [f"platform.sources={tmp_path}", *named])
        monkeypatch.setattr(cli, "_loaded", None)
        found.append(source_options())
    assert "model" not in found[0]
    assert found[1]["model"] == str(ROOT / "models/m.onnx")
    assert found[1]["images"] == str(tmp_path)
