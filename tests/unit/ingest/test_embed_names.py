"""What a folder or a tar holds besides plain files: links, odd names, devices, damage: all of it counted."""

import io
import os
import socket
import tarfile

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest

from jobs.common.errors import ConfigError, SourceError
from jobs.ingest.embeddings.embed import same_vector_warning
from jobs.ingest.embeddings.files import embed_files, names_of, quarantine_of
from jobs.ingest.embeddings.model import Model
from jobs.ingest.embeddings.weights import external_files
from jobs.settings.ingest import Embeddings, Images
from tests.smallmodels import halves, shares, two_colors

RED, GREEN = two_colors((255, 0, 0), (255, 0, 0)), two_colors((0, 255, 0), (0, 255, 0))
NAMED = {"red": [1, 0, 0], "green": [0, 1, 0]}


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "shares.onnx"
    path.write_bytes(shares())
    return Model(path, Embeddings(batch=2))


def embedded(source, model):
    """Return what was done, {name: red or green}, {name: reason}."""
    out = source.parent / "v.npy"
    told = []
    made = embed_files(source, model, out, Images(), 2, lambda done, of: told.append((done, of)))
    names, vectors = pq.read_table(names_of(out)).to_pylist(), np.load(out)
    assert [row["row"] for row in names] == list(range(len(vectors))) == list(range(made.vectors))
    found = {row["name"]: next(k for k, v in NAMED.items() if vectors[row["row"]] @ v > 0.9) for row in names}
    bad = pq.read_table(quarantine_of(out)).to_pylist() if quarantine_of(out).exists() else []
    assert sum(made.quarantined.values()) == len(bad)
    assert told[-1] == (len(names) + len(bad),) * 2, "everything listed is counted"
    return made, found, {row["name"]: row["reason"] for row in bad}


def test_links_of_a_folder_are_followed_once_or_told(tmp_path, model):
    photos, other = tmp_path / "photos", tmp_path / "other"
    for folder in (photos / "b/deep", other / "in"):
        folder.mkdir(parents=True)
    (photos / "b/red.png").write_bytes(RED)
    (photos / "b/.hidden.png").write_bytes(RED)
    (other / "in/green.png").write_bytes(GREEN)
    links = {"a": "b", "loop": ".", "b/deep/up": "../..", "above": "..", "out": "../other", "out2": "../other/in",
             "gone.png": "nowhere", "self.png": "self.png", "same.png": "b/red.png"}  # fmt: skip
    for name, target in links.items():
        (photos / name).symlink_to(target)
    os.mkfifo(photos / "pipe.png")
    server = socket.socket(socket.AF_UNIX)
    server.bind(os.path.relpath(photos / "s"))
    made, found, bad = embedded(photos, model)
    server.close()
    assert found == {"b/red.png": "red", "out/in/green.png": "green", "same.png": "red"}
    assert bad == {
        "a": "repeated_folder", "loop": "repeated_folder", "b/deep/up": "repeated_folder", "above": "repeated_folder",
        "out2": "repeated_folder", "gone.png": "dangling_link", "self.png": "dangling_link", "pipe.png": "not_a_file",
        "s": "not_a_file",
    }  # fmt: skip
    assert made.hidden == 1


def tarred(path, entries, mode="w"):
    """Write a tar of (name, body or (type, linkname))."""
    with tarfile.open(path, mode, format=tarfile.GNU_FORMAT) as archive:
        for name, what in entries:
            member = tarfile.TarInfo(name)
            if isinstance(what, bytes):
                member.size = len(what)
            else:
                member.type, member.linkname = what
            archive.addfile(member, io.BytesIO(what) if isinstance(what, bytes) else None)
    return path


SYM, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_links_of_a_tar_have_the_vector_of_what_they_lead_to(tmp_path, model, mode):
    entries = [
        ("early.png", (SYM, "d/red.png")), ("d", (tarfile.DIRTYPE, "")), ("d/red.png", RED), ("./green.png", GREEN),
        ("./d/hard.png", (HARD, "./d/red.png")), ("d/up.png", (SYM, "../green.png")), ("chain.png", (SYM, "d/up.png")),
        ("f", (SYM, "d")), ("through.png", (SYM, "f/red.png")), ("dotted.png", (SYM, ".store/x")), (".store/x", GREEN),
        (".store/y", b"no image"), ("gone.png", (SYM, "nowhere")), ("round.png", (SYM, "round.png")),
        ("abs.png", (SYM, "/etc/passwd")), ("out.png", (SYM, "../x.png")), ("lost.png", (HARD, "nowhere")),
        ("dev", (tarfile.CHRTYPE, "")), ("pipe", (tarfile.FIFOTYPE, "")), ("note.txt", b"hello"),
        ("bad.png", (HARD, "note.txt")),
    ]  # fmt: skip
    made, found, bad = embedded(tarred(tmp_path / "p.tar", entries, mode), model)
    assert found == {
        "d/red.png": "red", "./green.png": "green", "early.png": "red", "./d/hard.png": "red", "d/up.png": "green",
        "chain.png": "green", "through.png": "red", "dotted.png": "green",
    }  # fmt: skip
    assert bad == {
        "f": "linked_folder", "gone.png": "dangling_link", "round.png": "dangling_link", "abs.png": "link_outside",
        "out.png": "link_outside", "lost.png": "dangling_link", "dev": "not_a_file", "pipe": "not_a_file",
        "note.txt": "unknown_image", "bad.png": "unknown_image",
    }  # fmt: skip
    assert made.hidden == 2


def test_names_that_are_not_utf8_are_written_down_with_their_bytes(tmp_path, model):
    photos = tmp_path / "photos"
    photos.mkdir()
    names = [b"caf\xe9.png", "caf\u00e9.png".encode(), b"caf\\xe9.png", b"note\xff.txt"]
    for name in names:
        (photos / os.fsdecode(name)).write_bytes(b"hello" if b"note" in name else RED)
    with tarfile.open(tmp_path / "p.tar", "w") as archive:
        archive.add(photos, ".")
    for source in (photos, tmp_path / "p.tar"):
        made, _, _ = embedded(source, model)
        assert (made.vectors, made.quarantined) == (3, {"unknown_image": 1})
        rows = pq.read_table(names_of(tmp_path / "v.npy")).to_pylist()
        rows += pq.read_table(quarantine_of(tmp_path / "v.npy")).to_pylist()
        back = {row["name_bytes"] or row["name"].encode() for row in rows}
        assert {name.removeprefix(b"./") for name in back} == set(names)
        assert {row["name"].removeprefix("./") for row in rows} == {"caf\\xe9.png", "caf\u00e9.png", "note\\xff.txt"}


def test_a_folder_an_output_and_a_model_of_such_names_are_fine(tmp_path):
    photos = tmp_path / os.fsdecode(b"ph\xf6")
    photos.mkdir()
    (photos / "red.png").write_bytes(RED)
    path, out = tmp_path / os.fsdecode(b"m\xe9.onnx"), tmp_path / os.fsdecode(b"v\xe9.npy")
    path.write_bytes(shares())
    made = embed_files(photos, Model(path, Embeddings()), out, Images(), 1, lambda *_: None)
    assert made.vectors == 1
    assert made.model.startswith("m\\xe9@")
    assert np.load(out).shape == (1, 3)


def test_a_tar_damaged_in_the_middle_is_not_taken_for_one_that_ends(tmp_path, model):
    path = tarred(tmp_path / "p.tar", [("a.png", RED), ("b.png", GREEN)])
    body = bytearray(path.read_bytes())
    second = body.index(b"b.png")
    body[second + 148 : second + 156] = b"000000\0 "  # the head's checksum
    path.write_bytes(body)
    with pytest.raises(SourceError, match="whole tar"):
        embedded(path, model)
    (tmp_path / "z.tar").write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(SourceError, match="is a zip: unpack it"):
        embedded(tmp_path / "z.tar", model)
    assert not list(tmp_path.glob("*.npy"))


def test_weights_in_a_second_file_are_part_of_the_version(tmp_path):
    def saved(seed, name="m.onnx"):
        model = onnx.load_from_string(halves())
        weights = np.random.default_rng(seed).standard_normal((6, 4)).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
        model.graph.node.append(onnx.helper.make_node("MatMul", ["y", "w"], ["z"]))
        model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, ["n", 4]))
        (tmp_path / "w.bin").unlink(missing_ok=True)
        body = {"save_as_external_data": True, "location": "w.bin", "size_threshold": 0}
        onnx.save_model(model, str(tmp_path / name), **(body if name == "m.onnx" else {}))
        return Model(tmp_path / name, Embeddings()).version

    first = saved(1)
    head = (tmp_path / "m.onnx").read_bytes()
    other = saved(2)
    assert (tmp_path / "m.onnx").read_bytes() == head, "only the second file differs"
    assert first != other
    assert saved(1) == first
    assert external_files(tmp_path / "m.onnx") == ["w.bin"]
    saved(1, "whole.onnx")
    assert external_files(tmp_path / "whole.onnx") == []
    with pytest.raises(ConfigError, match=r"second file, w\.bin"):
        Model(tmp_path / "m.onnx", Embeddings())
    for body in (b"", b"\x3a\xff\xff\xff\xff\x0f", b"\x3a", b"<html>"):
        (tmp_path / "junk.onnx").write_bytes(body)
        assert external_files(tmp_path / "junk.onnx") == []


@pytest.mark.parametrize(
    "settings",
    [{"mean": (123.675, 116.28, 103.53)}, {"mean": (0.5, 0.5, -0.1)}, {"mean": (float("nan"), 0, 0)},
     {"std": (58.395, 57.12, 57.375)}, {"std": (1, 0, 1)}, {"std": (1, -1, 1)}, {"std": (1, float("inf"), 1)}],
)  # fmt: skip
def test_mean_and_std_of_another_scale_are_refused(settings):
    ((what, values),) = settings.items()
    with pytest.raises(ConfigError, match=rf"ingest\.embeddings\.{what} \(--{what}\)") as caught:
        Embeddings(**settings)
    assert ("divide them by 255" in str(caught.value)) == (max(values) > 2)


def test_one_vector_of_different_images_is_told(tmp_path):
    flat = onnx.load_from_string(shares())
    flat.graph.node[0].input[0] = "zeros"
    flat.graph.node.insert(0, onnx.helper.make_node("Mul", ["x", "none"], ["zeros0"]))
    flat.graph.node.insert(1, onnx.helper.make_node("Add", ["zeros0", "whole"], ["zeros"]))
    for name, value in (("none", 0), ("whole", 1)):
        flat.graph.initializer.append(onnx.numpy_helper.from_array(np.array([value], np.float32), name))
    (tmp_path / "flat.onnx").write_bytes(flat.SerializeToString())
    photos = tmp_path / "photos"
    photos.mkdir()

    def warned(**files):
        for name, body in files.items():
            (photos / name).write_bytes(body)
        opened = Model(tmp_path / "flat.onnx", Embeddings(batch=1))
        return embed_files(photos, opened, tmp_path / "v.npy", Images(), 1, lambda *_: None).warning

    assert warned(a=RED, b=RED) == "", "copies of one image have one vector"
    assert "All images have one vector" in warned(c=GREEN)
    assert same_vector_warning(np.eye(3)) == ""
    assert same_vector_warning(np.ones((3, 4)) / 2) != ""
