"""Small ONNX models whose vectors can be worked out by hand, and images for them."""

import io

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper
from PIL import Image

SIDE = 8


def node(op, inputs, output, **attributes):
    return h.make_node(op, inputs, [output], **attributes)


def whole(nodes, inputs, outputs, constants=(), told=None):
    """Return the bytes of a model: nodes, inputs and outputs as (name, type, shape), constants as (name, array)."""
    values = [[h.make_tensor_value_info(*one) for one in side] for side in (inputs, outputs)]
    weights = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants]
    graph = h.make_graph(nodes, "small", *values, weights)
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8)
    h.set_model_props(model, told or {})
    onnx.checker.check_model(model)
    return model.SerializeToString()


def halves(kind=T.FLOAT, told=None, size=(SIDE, SIDE), batch="n", channels_last=False):
    """Return a model of six values: mean red, green, blue of an image's left half, then of its right."""
    shape = [batch, *size, 3] if channels_last else [batch, 3, *size]
    nodes = [node("Cast", ["x"], "f", to=T.FLOAT)]
    nodes += [node("Transpose", ["f"], "c", perm=[0, 3, 1, 2])] if channels_last else [node("Identity", ["f"], "c")]
    nodes += [
        node("AveragePool", ["c"], "p", kernel_shape=[SIDE, SIDE // 2], strides=[SIDE, SIDE // 2]),
        node("Transpose", ["p"], "t", perm=[0, 3, 1, 2]),
        node("Flatten", ["t"], "y"),
    ]
    return whole(nodes, [("x", kind, shape)], [("y", T.FLOAT, [batch, 6])], told=told)


def shares():
    """Return a model of three values, the shares of red, green and blue: not numbers where an image is black."""
    nodes = [
        node("ReduceMean", ["x"], "m", axes=[2, 3], keepdims=0),
        node("ReduceSum", ["m", "one"], "s", keepdims=1),
        node("Div", ["m", "s"], "y"),
    ]
    constants = [("one", np.array([1], np.int64))]
    return whole(nodes, [("x", T.FLOAT, ["n", 3, SIDE, SIDE])], [("y", T.FLOAT, ["n", 3])], constants)


def unpooled(told=None):
    """Return a model that leaves images as they are: no vector."""
    shape = ["n", 3, SIDE, SIDE]
    return whole([node("Identity", ["x"], "y")], [("x", T.FLOAT, shape)], [("y", T.FLOAT, shape)], told=told)


def two_outputs():
    """Return a model with the mean and the greatest of each channel as outputs `mean` and `most`."""
    nodes = [
        node(op, ["x"], name, axes=[2, 3], keepdims=0) for op, name in (("ReduceMean", "mean"), ("ReduceMax", "most"))
    ]
    return whole(
        nodes, [("x", T.FLOAT, ["n", 3, SIDE, SIDE])], [(name, T.FLOAT, ["n", 3]) for name in ("mean", "most")]
    )


def two_inputs():
    """Return a model that adds two images."""
    shape = ["n", 3, SIDE, SIDE]
    nodes = [node("Add", ["x", "z"], "a"), node("ReduceMean", ["a"], "y", axes=[2, 3], keepdims=0)]
    return whole(nodes, [("x", T.FLOAT, shape), ("z", T.FLOAT, shape)], [("y", T.FLOAT, ["n", 3])])


def two_colors(left, right, size=(SIDE, SIDE), form="PNG"):
    """Return an image file, one color on the left and one on the right."""
    image = Image.new("RGB", size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    body = io.BytesIO()
    image.save(body, form)
    return body.getvalue()


def unit(*values):
    """Return a vector of length one."""
    return np.array(values) / np.linalg.norm(values)
