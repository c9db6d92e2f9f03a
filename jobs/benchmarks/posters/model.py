"""A small model of an image's look, learnt from the images themselves and written as an ONNX file.

What it is: colors by place, and texture wherever it stands. No semantics: it knows no faces, no films, no words. It is
made because no trained network can be had without a download, and it is a whole user-supplied model to what runs it.

Texture as Coates, Lee and Ng ("An Analysis of Single-Layer Networks in Unsupervised Feature Learning", AISTATS 2011)
learn it: patches brought to one contrast, whitened, clustered; each centre is a filter, and an image's value is how
strongly it answers on average. Color: the means of 6 x 4 fields. Each of both is brought to its principal components,
the strong ones damped, so that neither the commonest texture nor brightness alone decides.
"""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.common.errors import MissingDependencyError
from jobs.ingest.embeddings.model import Model
from jobs.knn.inverted import means
from jobs.settings.ingest import Embeddings

HEIGHT, WIDTH = 96, 64
"""Of the model's images: those of the posters."""
FIELDS = (6, 4)
"""Fields over which colors are averaged."""
SIDE, STRIDE, FILTERS = 6, 2, 128
PATCHES = 20
"""Patches per image from which filters are learned."""
MOST = 4096
"""Images to learn from."""
CONTRAST, WHITEN, QUIET = 0.01, 0.1, 0.25
"""Added to a patch's variance, to the variances that whitening divides by, and what an answer must exceed."""
TEXTURE, COLOR = 128, 48
"""Components kept of each."""
Values = NDArray[np.float32]


@dataclass(frozen=True)
class Filters:
    """Filters that measure texture."""

    kernels: Values
    """[FILTERS, 3, SIDE, SIDE]."""
    shift: Values
    """[FILTERS], added to each answer."""


def learn(images: NDArray[np.uint8], seed: int) -> bytes:
    """Return an ONNX model whose look was learnt from images [n, HEIGHT, WIDTH, 3]; the same seed, the same model.

    Raises:
        MissingDependencyError: no package `onnx` to write it with, or no onnxruntime.
    """
    rng = np.random.default_rng(seed)
    some = images[np.sort(rng.choice(len(images), min(len(images), MOST), replace=False))]
    texture = _texture(_filters(some, rng, seed))
    color = _color()
    blocks = []
    for part, keep in ((texture, TEXTURE), (color, COLOR)):
        blocks.append(_components(_run(part, some), keep))
    return _joined([texture, color], blocks)


def _filters(images: NDArray[np.uint8], rng: np.random.Generator, seed: int) -> Filters:
    """Return filters learnt from patches: whitened, then the centres of spherical k-means."""
    which = np.repeat(np.arange(len(images)), PATCHES)
    top, left = rng.integers(0, HEIGHT - SIDE + 1, len(which)), rng.integers(0, WIDTH - SIDE + 1, len(which))
    windows = np.lib.stride_tricks.sliding_window_view(images, (SIDE, SIDE), (1, 2))  # [n, y, x, 3, SIDE, SIDE]
    patches = windows[which, top, left].reshape(len(which), -1) / np.float32(255)
    patches -= patches.mean(axis=1, keepdims=True)
    patches /= np.sqrt(patches.var(axis=1, keepdims=True) + CONTRAST)
    mean = patches.mean(axis=0)
    size, axes = np.linalg.eigh(np.cov((patches - mean).T))
    white = (axes / np.sqrt(size + WHITEN)) @ axes.T
    points = ((patches - mean) @ white).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True) + np.float32(1e-6)
    kernels = (means(points, min(FILTERS, len(points)), seed, 10) @ white.T).astype(np.float32)
    return Filters(kernels.reshape(-1, 3, SIDE, SIDE), -(kernels @ mean).astype(np.float32))


def _components(found: Values, keep: int) -> tuple[Values, Values]:
    """Return a matrix [values, components] and a shift: principal components, each divided by its spread's root."""
    mean = found.mean(axis=0)
    size, axes = np.linalg.eigh(np.atleast_2d(np.cov((found - mean).T.astype(np.float64))))
    there = min(keep, int((size > 1e-6 * size[-1]).sum()) or 1)  # few images have few components
    size, axes = np.maximum(size[::-1][:there], 1e-12), axes[:, ::-1][:, :there]
    # the sign of an axis is arbitrary: its largest entry is made positive, so that every machine makes one model
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    turned = axes / size**0.25
    # texture and color count same_vector: the mean square over all components of a block is the same
    turned /= np.sqrt((size**0.5).sum())
    return turned.astype(np.float32), (-(mean @ turned)).astype(np.float32)


@dataclass(frozen=True)
class Part:
    """A stretch of an ONNX graph from `x` to one output."""

    nodes: list[Any]
    constants: dict[str, NDArray[Any]]
    output: str
    values: int


def _texture(filters: Filters) -> Part:
    """Return the graph of texture: answers of the filters at patches of one contrast, either sign, averaged."""
    h, count = _helper(), len(filters.kernels)
    step: dict[str, Any] = {"strides": [STRIDE, STRIDE]}
    constants: dict[str, NDArray[Any]] = {
        "kernels": filters.kernels,
        "one": np.full((1, 3, SIDE, SIDE), 1 / (3 * SIDE * SIDE), np.float32),
        "contrast": np.array(CONTRAST, np.float32),
        "sums": filters.kernels.sum(axis=(1, 2, 3)).reshape(1, count, 1, 1),
        "shift": filters.shift.reshape(1, count, 1, 1),
        "quiet": np.array(QUIET, np.float32),
    }
    told: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("Conv", ["x", "kernels"], "answer", step), ("Conv", ["x", "one"], "mean", step), ("Mul", ["x", "x"], "x2", {}),
        ("Conv", ["x2", "one"], "mean2", step), ("Mul", ["mean", "mean"], "m2", {}), ("Sub", ["mean2", "m2"], "v", {}),
        ("Relu", ["v"], "variance", {}), ("Add", ["variance", "contrast"], "lifted", {}),
        ("Sqrt", ["lifted"], "spread", {}), ("Mul", ["mean", "sums"], "level", {}),
        ("Sub", ["answer", "level"], "flat", {}), ("Div", ["flat", "spread"], "even", {}),
        ("Add", ["even", "shift"], "z", {}), ("Neg", ["z"], "minus", {}),
        ("Sub", ["z", "quiet"], "p", {}), ("Relu", ["p"], "up", {}),
        ("Sub", ["minus", "quiet"], "q", {}), ("Relu", ["q"], "down", {}),
        ("Concat", ["up", "down"], "both", {"axis": 1}), ("GlobalAveragePool", ["both"], "pooled", {}),
        ("Flatten", ["pooled"], "flat_texture", {}), ("Sqrt", ["flat_texture"], "texture", {}),
    ]  # fmt: skip
    return Part([h.make_node(op, ins, [to], **more) for op, ins, to, more in told], constants, "texture", 2 * count)


def _color() -> Part:
    """Return the graph of color: mean red, green and blue of each field."""
    h, field = _helper(), [HEIGHT // FIELDS[0], WIDTH // FIELDS[1]]
    nodes = [
        h.make_node("AveragePool", ["x"], ["fields"], kernel_shape=field, strides=field),
        h.make_node("Flatten", ["fields"], ["color"]),
    ]
    return Part(nodes, {}, "color", 3 * FIELDS[0] * FIELDS[1])


def _joined(parts: list[Part], blocks: list[tuple[Values, Values]]) -> bytes:
    """Return the whole model: each part turned to its components, one after another."""
    h, nodes, constants = _helper(), [], dict[str, NDArray[Any]]()
    for part, (turn, shift) in zip(parts, blocks, strict=True):
        name = part.output
        constants |= part.constants | {f"{name}_turn": turn, f"{name}_shift": shift}
        nodes += part.nodes
        nodes.append(h.make_node("Gemm", [name, f"{name}_turn", f"{name}_shift"], [f"{name}_components"]))
    nodes.append(h.make_node("Concat", [f"{part.output}_components" for part in parts], ["embedding"], axis=1))
    return _written(nodes, constants, "embedding", sum(len(shift) for _, shift in blocks))


def _run(part: Part, images: NDArray[np.uint8]) -> Values:
    """Return what a part makes of images, by the very code that runs users' models."""
    with tempfile.TemporaryDirectory(prefix="pinlake-look-") as folder:
        path = Path(folder) / "part.onnx"
        path.write_bytes(_written(part.nodes, part.constants, part.output, part.values))
        return Model(path, Embeddings(backend="cpu")).embed(images)


def _written(nodes: Iterable[Any], constants: dict[str, NDArray[Any]], output: str, values: int) -> bytes:
    h, onnx = _helper(), _onnx()
    given = h.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["images", 3, HEIGHT, WIDTH])
    made = h.make_tensor_value_info(output, onnx.TensorProto.FLOAT, ["images", values])
    weights = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = h.make_graph(list(nodes), "look", [given], [made], weights)
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8, producer_name="pinlake")
    onnx.checker.check_model(model)
    body: bytes = model.SerializeToString()
    return body


def _helper() -> Any:
    return _onnx().helper


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise MissingDependencyError(
            f"The posters' model is written by the package onnx: pip install onnx ({error})."
        ) from error
    return onnx
