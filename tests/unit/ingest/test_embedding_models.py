"""Images to vectors by small models whose answers are known; what is no such model says what is wrong with it."""

import io

import numpy as np
import pytest
from onnx import TensorProto as T
from PIL import Image

from jobs.common.errors import ConfigError, MissingDependencyError, SourceError
from jobs.ingest.embeddings import model as models
from jobs.ingest.embeddings.embed import embedded
from jobs.ingest.embeddings.model import Model, stored
from jobs.settings.ingest import Embeddings, Images
from tests.smallmodels import (
    SIDE,
    halves,
    shares,
    two_colors,
    two_inputs,
    two_outputs,
    unit,
    unpooled,
)

RED, BLUE, ORANGE = (255, 0, 0), (0, 0, 255), (255, 128, 0)


@pytest.fixture
def opened(tmp_path):
    def make(body, **settings):
        path = tmp_path / "small.onnx"
        path.write_bytes(body)
        return Model(path, Embeddings(**settings))

    return make


def one(model, raw):
    (found,) = embedded([lambda: raw], model, Images())
    return found


def test_a_vector_is_what_the_model_says_at_length_one(opened):
    model = opened(halves())
    assert (model.dim, model.device.name, model.preprocessing.kind) == (6, "cpu", "float32")
    vector = one(model, two_colors(RED, ORANGE)).vector
    assert vector.dtype == np.float16
    np.testing.assert_allclose(vector, unit(1, 0, 0, 1, 128 / 255, 0), atol=1e-3)


@pytest.mark.parametrize(
    ("body", "settings"),
    [
        (halves(T.FLOAT16), {}),
        (halves(channels_last=True), {}),
        (halves(batch=1), {}),
        (halves(batch=4), {}),
        (halves(size=("h", "w")), {"size": (SIDE, SIDE)}),
        (halves(), {"batch": 2}),
    ],
    ids=["float16", "channels last", "one at a time", "four at a time", "open size", "batches"],
)
def test_inputs_of_every_kind_give_the_same(opened, body, settings):
    images = [two_colors(RED, BLUE), two_colors(BLUE, RED), two_colors(ORANGE, ORANGE)]
    found = embedded([lambda raw=raw: raw for raw in images], opened(body, **settings), Images())
    assert len(found) == 3
    np.testing.assert_allclose(found[0].vector, unit(1, 0, 0, 0, 0, 1), atol=2e-3)
    np.testing.assert_allclose(found[1].vector, unit(0, 0, 1, 1, 0, 0), atol=2e-3)
    np.testing.assert_allclose(found[2].vector, unit(*(1, 128 / 255, 0) * 2), atol=2e-3)


def test_bytes_are_given_as_bytes(opened):
    model = opened(halves(T.UINT8))
    raw = model.embed(np.full((1, SIDE, SIDE, 3), 200, np.uint8))
    np.testing.assert_array_equal(raw, np.full((1, 6), 200))


@pytest.mark.parametrize(
    ("told", "settings", "values"),
    [
        ({}, {}, (1, 0, 0)),
        ({"mean": "0.5,0.25,0", "std": "[0.5, 0.5, 2]"}, {}, (1, -0.5, 0)),
        ({"mean": "0.5,0.25,0"}, {"mean": (0, 0, 1), "std": (2, 1, 1)}, (0.5, 0, -1)),
        ({"Image.NominalPixelRange": "NominalRange_0_255"}, {}, (255, 0, 0)),
        ({"Image.NominalPixelRange": "Normalized_1_1"}, {}, (1, -1, -1)),
        ({"Image.BitmapPixelFormat": "Bgr8"}, {}, (0, 0, 1)),
    ],
)
def test_settings_win_over_metadata_and_metadata_over_nothing(opened, told, settings, values):
    model = opened(halves(told=told), **settings)
    raw = model.embed(np.broadcast_to(np.array(RED, np.uint8), (1, SIDE, SIDE, 3)))
    np.testing.assert_allclose(raw[0], values * 2, atol=1e-5)


def test_a_wide_image_is_cropped_or_stretched(opened):
    sides = Image.new("RGB", (40, 10), RED)
    sides.paste(BLUE, (15, 0, 25, 10))
    body = io.BytesIO()
    sides.save(body, "PNG")
    middle = one(opened(halves(), fit="crop"), body.getvalue()).vector
    np.testing.assert_allclose(middle, unit(0, 0, 1, 0, 0, 1), atol=0.03)
    squeezed = one(opened(halves(), fit="stretch"), body.getvalue()).vector
    np.testing.assert_allclose(squeezed, unit(3, 0, 1, 3, 0, 1), atol=0.05)


def test_the_version_tells_weights_and_preparation_apart(opened):
    plain, named = opened(halves()).version, opened(halves(), name="mine").version
    assert plain.startswith("small@")
    assert named.startswith("mine@")
    assert plain.partition("@")[2] == named.partition("@")[2]
    assert opened(halves(), fit="stretch").version.rpartition(".")[0] == plain.rpartition(".")[0]
    others = [opened(halves(), fit="stretch"), opened(halves(), mean=(0.1, 0, 0)), opened(shares())]
    assert len({plain, *(other.version for other in others)}) == 4


def test_rows_without_a_direction_have_a_fault():
    values = np.array([[3, 4], [np.nan, 1], [0, 0], [np.inf, 0], [1e-30, 0], [1e38, 1e38]], np.float32)
    vectors, faults = stored(values)
    assert faults == [None, "nan_embedding", "zero_embedding", "nan_embedding", None, None]
    np.testing.assert_allclose(vectors[[0, 4, 5]], [[0.6, 0.8], [1, 0], unit(1, 1)], atol=1e-3)
    assert not vectors[[1, 2, 3]].any()


def test_a_image_the_model_cannot_embed_says_why_and_the_others_go_on(opened):
    images = [two_colors(RED, RED), two_colors((0, 0, 0), (0, 0, 0)), b"<html>", two_colors(BLUE, BLUE)]
    found = embedded([lambda raw=raw: raw for raw in images], opened(shares()), Images())
    assert [one.fault and one.fault.reason for one in found] == [None, "nan_embedding", "unknown_image", None]
    assert [one.raw for one in found] == [b"", images[1], b"<html>", b""]
    np.testing.assert_allclose(found[3].vector, [0, 0, 1], atol=1e-3)


@pytest.mark.parametrize(
    ("body", "settings", "words"),
    [
        (b"no model", {}, ["small.onnx", "ONNX model", "Export it again"]),
        (unpooled(), {}, ["[2, 3, 8, 8]", "[2, values]", "--output"]),
        (two_outputs(), {}, ["mean, most", "ingest.embeddings.output"]),
        (two_outputs(), {"output": "least"}, ["mean, most", "'least'"]),
        (two_inputs(), {}, ["x, z", "one input"]),
        (halves(T.INT32), {}, ["tensor(int32)", "tensor(float)"]),
        (halves(T.UINT8), {"mean": (0.5, 0.5, 0.5)}, ["bytes", "(0.5, 0.5, 0.5)"]),
        (halves(size=("h", "w")), {}, ["'h', 'w'", "--size"]),
        (halves(), {"size": (9, 9)}, ["8 x 8", "9 x 9"]),
        (halves(told={"std": "1,0,1"}), {}, ["std in its metadata", "above 0", "1, 0, 1"]),
        (halves(told={"mean": "123.675,116.28,103.53"}), {}, ["mean in its metadata", "divide them by 255"]),
        (halves(told={"mean": "0.5"}), {}, ["three numbers", "'0.5'"]),
        (halves(told={"Image.NominalPixelRange": "NominalRange_16_235"}), {}, ["NominalRange_16_235"]),
        (halves(told={"Image.BitmapPixelFormat": "Gray8"}), {}, ["Gray8", "Rgb8"]),
        (halves(), {"sha256": "0" * 64}, ["0" * 64, "SHA-256"]),
        (halves(), {"std": (1e-44, 1, 1)}, ["noise", "nan_embedding"]),
    ],
)
def test_what_is_no_model_of_images_says_what_is_wrong(opened, body, settings, words):
    with pytest.raises(ConfigError) as caught:
        opened(body, **settings)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "small.onnx" in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"none\.onnx"):
        Model(tmp_path / "none.onnx", Embeddings())


def test_without_a_gpu_auto_says_why_and_required_fails(opened):
    model = opened(halves(), backend="auto")
    assert model.device.name == "cpu"
    assert "CUDAExecutionProvider" in model.device.fallback
    with pytest.raises(MissingDependencyError, match="required_gpu"):
        opened(halves(), backend="required_gpu")


def test_without_onnxruntime_one_is_told_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r"pinlake\[onnx\]"):
        models.library()
