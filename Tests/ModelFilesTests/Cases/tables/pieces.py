"""Pieces of models as exporters write them."""

from typing import Any

import numpy as np
from onnx import NodeProto

from .building import Case, Cases, Version, array, constant, node, piece


def ints(*values: int) -> np.ndarray:
    return array(values, np.int64)


def unsqueeze(v: Version, name: str, result: str) -> NodeProto:
    """Adds axis 0; from 13 on the initialiser `zero` says so."""
    return node("Unsqueeze", name, result, axes=[0]) if v.opset < 13 else node("Unsqueeze", f"{name} zero", result)


def mean(v: Version, name: str, result: str) -> NodeProto:
    """Over the last axis; from 18 on the initialiser `last` says so."""
    return node("ReduceMean", name, result, axes=[-1]) if v.opset < 18 else node("ReduceMean", f"{name} last", result)


@piece("Piece: reshape by a computed shape", 9, 11, 13, 17, 21)
def computed_reshape(v: Version) -> Cases:
    zero = {"zero": ints(0)} if v.opset >= 13 else {}
    nodes = [
        node("Shape", "x", "s"),
        constant("i", array(0, np.int64)),
        node("Gather", "s i", "n"),
        unsqueeze(v, "n", "a"),
        constant("rest", ints(-1)),
        node("Concat", "a rest", "t", axis=0),
        node("Reshape", "x t", "y"),
    ]
    x = v.normal(2, 3, 2)
    yield v.graph("fixed input", nodes, {"x": x}, ["y"], zero)
    yield v.graph("free batch", nodes, {"x": x}, ["y"], zero, declared={"x": ["batch", 3, 2]})


@piece("Piece: split heads", 11, 17)
def split_heads(v: Version) -> Cases:
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s p0", "b"),
        node("Gather", "s p1", "t"),
        unsqueeze(v, "b", "b1"),
        unsqueeze(v, "t", "t1"),
        node("Concat", "b1 t1 heads width", "shape", axis=0),
        node("Reshape", "x shape", "r"),
        node("Transpose", "r", "y", perm=[0, 2, 1, 3]),
    ]
    values = {"p0": array(0, np.int64), "p1": array(1, np.int64), "heads": ints(2), "width": ints(3)}
    if v.opset >= 13:
        values["zero"] = ints(0)
    declared = {"x": ["batch", "tokens", 6]}
    yield v.graph("free batch and tokens", nodes, {"x": v.normal(1, 4, 6)}, ["y"], values, declared=declared)


@piece("Piece: flatten by shape", 9, 13)
def flatten_by_shape(v: Version) -> Cases:
    if v.opset < 10:
        first = node("Slice", "s", "n", axes=[0], starts=[0], ends=[1])
        values = {"rest": ints(-1)}
    else:
        first = node("Slice", "s p0 p1 p0", "n")
        values = {"rest": ints(-1), "p0": ints(0), "p1": ints(1)}
    nodes = [node("Shape", "x", "s"), first, node("Concat", "n rest", "t", axis=0), node("Reshape", "x t", "y")]
    yield v.graph("Shape, Slice, Concat, Reshape", nodes, {"x": v.normal(2, 3, 2, 2)}, ["y"], values)


@piece("Piece: expand to another's shape", 9, 13)
def expand_as(v: Version) -> Cases:
    nodes = [
        node("Shape", "x", "s"),
        node("ConstantOfShape", "s", "o"),
        node("Add", "o x", "t"),
        node("Expand", "w s", "e"),
        node("Mul", "t e", "y"),
    ]
    yield v.graph("Shape, ConstantOfShape, Expand", nodes, {"x": v.normal(2, 3)}, ["y"], {"w": v.normal(1, 3)})


@piece("Piece: hard swish", 7, 11, 13)
def hard_swish(v: Version) -> Cases:
    values = {"three": array(3.0), "six": array(6.0)}
    if v.opset < 11:
        clip = node("Clip", "a", "c", min=0.0, max=6.0)
    else:
        clip = node("Clip", "a zero six", "c")
        values["zero"] = array(0.0)
    nodes = [node("Add", "x three", "a"), clip, node("Mul", "x c", "m"), node("Div", "m six", "y")]
    yield v.graph("Add, Clip, Mul, Div", nodes, {"x": v.normal(2, 3, 2) * 4}, ["y"], values)
    if v.opset >= 11:
        sigmoid = [node("HardSigmoid", "x", "h", alpha=1 / 6, beta=0.5), node("Mul", "x h", "y")]
        yield v.graph("HardSigmoid, Mul", sigmoid, {"x": v.normal(2, 5) * 4}, ["y"])


@piece("Piece: SiLU", 9, 13)
def silu(v: Version) -> Cases:
    nodes = [node("Sigmoid", "x", "s"), node("Mul", "x s", "y")]
    yield v.graph("Sigmoid, Mul", nodes, {"x": v.normal(2, 3, 2) * 3}, ["y"])


@piece("Piece: Mish", 11)
def mish(v: Version) -> Cases:
    nodes = [node("Softplus", "x", "p"), node("Tanh", "p", "t"), node("Mul", "x t", "y")]
    yield v.graph("Softplus, Tanh, Mul", nodes, {"x": v.normal(2, 3) * 3}, ["y"])


@piece("Piece: layer normalisation", 9, 13, 18)
def layer_normalisation(v: Version) -> Cases:
    values = {"two": array(2.0), "epsilon": array(1e-5), "w": v.normal(4), "b": v.normal(4)}
    if v.opset >= 18:
        values["last"] = ints(-1)
    axes_attribute = v.opset < 11
    nodes = [
        node("ReduceMean", "x", "m", axes=[2]) if axes_attribute else mean(v, "x", "m"),
        node("Sub", "x m", "d"),
        node("Pow", "d two", "q"),
        node("ReduceMean", "q", "v", axes=[2]) if axes_attribute else mean(v, "q", "v"),
        node("Add", "v epsilon", "e"),
        node("Sqrt", "e", "r"),
        node("Div", "d r", "n"),
        node("Mul", "n w", "s"),
        node("Add", "s b", "y"),
    ]
    yield v.graph("ReduceMean to Add", nodes, {"x": v.normal(2, 3, 4)}, ["y"], values)


@piece("Piece: GELU", 9, 13)
def gelu(v: Version) -> Cases:
    values = {"root": array(np.sqrt(2.0)), "one": array(1.0), "half": array(0.5)}
    x = {"x": v.normal(2, 3, 2) * 2}
    end = [node("Div", "x root", "d"), node("Erf", "d", "e"), node("Add", "e one", "a")]
    yield v.graph("half last", [*end, node("Mul", "x a", "m"), node("Mul", "m half", "y")], x, ["y"], values)
    yield v.graph("half first", [node("Mul", "x half", "h"), *end, node("Mul", "h a", "y")], x, ["y"], values)


@piece("Piece: attention", 13)
def attention(v: Version) -> Cases:
    nodes = [
        node("Transpose", "k", "t", perm=[0, 1, 3, 2]),
        node("MatMul", "q t", "p"),
        node("Div", "p root", "d"),
        node("Add", "d mask", "m"),
        node("Softmax", "m", "s", axis=-1),
        node("MatMul", "s v", "y"),
    ]
    data = {name: v.normal(1, 2, 3, 4) for name in "qkv"}
    mask = array([[0, -1e4, -1e4], [0, 0, -1e4], [0, 0, 0]])
    yield v.graph("MatMul, Softmax, MatMul, masked", nodes, data, ["y"], {"root": array(2.0), "mask": mask})


@piece("Piece: resize to another's size", 11, 13)
def resize_as(v: Version) -> Cases:
    scales = "r r" if v.opset == 11 else "_ _"
    nodes = [
        node("Shape", "x", "s"),
        node("Slice", "s p0 p2 p0", "n"),
        node("Shape", "z", "t"),
        node("Slice", "t p2 p4 p0", "hw"),
        node("Concat", "n hw", "size", axis=0),
        node("Resize", f"x {scales} size", "u", mode="linear", coordinate_transformation_mode="half_pixel"),
        node("Concat", "u z", "y", axis=1),
    ]
    values = {"p0": ints(0), "p2": ints(2), "p4": ints(4)}
    if v.opset == 11:
        values["r"] = array([])
    data = {"x": v.normal(1, 2, 2, 3), "z": v.normal(1, 1, 4, 5)}
    yield v.graph("Shape, Slice, Concat, Resize", nodes, data, ["y"], values)


@piece("Piece: upsample by computed sizes", 9)
def upsample_by_shape(v: Version) -> Cases:
    """As PyTorch wrote it before Resize: scales out of arithmetic on shapes."""
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s p2", "h"),
        node("Cast", "h", "hf", to=1),
        node("Mul", "hf two", "h2"),
        node("Floor", "h2", "h3"),
        node("Div", "h3 hf", "r"),
        node("Unsqueeze", "r", "r1", axes=[0]),
        node("Concat", "ones r1 r1", "scales", axis=0),
        node("Upsample", "x scales", "y", mode="nearest"),
    ]
    values = {"p2": array(2, np.int64), "two": array(2.0), "ones": array([1.0, 1.0])}
    yield v.graph("Shape to Upsample", nodes, {"x": v.normal(1, 1, 2, 3)}, ["y"], values)


@piece("Piece: convolution, batch normalisation, activation", 7, 12, 17)
def convolution_block(v: Version) -> Cases:
    values = {
        "w": v.normal(2, 2, 3, 3),
        "g": v.normal(2),
        "b": v.normal(2),
        "m": v.normal(2),
        "s": v.uniform(0.5, 2, 2),
    }
    nodes = [
        node("Conv", "x w", "c", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c g b m s", "n"),
        node("Relu", "n", "r"),
        node("Add", "r x", "y"),
    ]
    yield v.graph("with a sum", nodes, {"x": v.normal(1, 2, 3, 3)}, ["y"], values)
    if v.opset == 7:
        # Before IR version 4 an initialiser is an input as well.
        yield v.graph("IR version 3", nodes, {"x": v.normal(1, 2, 3, 3)}, ["y"], values, ir_version=3, lists_fixed=True)


@piece("Piece: squeeze and excitation", 11)
def squeeze_and_excitation(v: Version) -> Cases:
    values = {"w1": v.normal(2, 4, 1, 1), "b1": v.normal(2), "w2": v.normal(4, 2, 1, 1), "b2": v.normal(4)}
    nodes = [
        node("GlobalAveragePool", "x", "p"),
        node("Conv", "p w1 b1", "c"),
        node("Relu", "c", "r"),
        node("Conv", "r w2 b2", "d"),
        node("HardSigmoid", "d", "h", alpha=1 / 6, beta=0.5),
        node("Mul", "h x", "y"),
    ]
    yield v.graph("GlobalAveragePool to Mul", nodes, {"x": v.normal(1, 4, 2, 3)}, ["y"], values)


@piece("Piece: quantised convolution", 13)
def quantised_convolution(v: Version) -> Cases:
    values = {
        "xs": array(0.02), "xz": array(128, np.uint8), "ws": array([0.01, 0.02]), "wz": array([0, 0], np.int8),
        "ys": array(0.05), "yz": array(120, np.uint8), "w": v.integers(-128, 128, 2, 1, 2, 2, dtype=np.int8),
    }  # fmt: skip
    nodes = [
        node("QuantizeLinear", "x xs xz", "q"),
        node("DequantizeLinear", "q xs xz", "f"),
        node("DequantizeLinear", "w ws wz", "g", axis=0),
        node("Conv", "f g", "c"),
        node("QuantizeLinear", "c ys yz", "r"),
        node("DequantizeLinear", "r ys yz", "y"),
    ]
    yield v.graph("between QuantizeLinear and DequantizeLinear", nodes, {"x": v.normal(1, 1, 3, 3)}, ["y"], values)


# Since 19 onnx's reference evaluator has these operators.
@piece("Piece: integers with scales", 19)
def integers_with_scales(v: Version) -> Cases:
    def between(
        name: str, x: np.ndarray, w: np.ndarray, xz: np.generic, ys: float, yz: np.generic, **attributes: Any
    ) -> Case:
        """QLinearConv of what QuantizeLinear makes, as the numbers that its integers stand for: they must be those."""
        outputs = w.shape[0]
        values = {
            "xs": array(0.02), "xz": np.array(xz), "ws": v.uniform(0.005, 0.03, outputs), "w": w,
            "wz": np.zeros(outputs, w.dtype), "ys": array(ys), "yz": np.array(yz),
            "b": v.integers(-3000, 3000, outputs, dtype=np.int32),
        }  # fmt: skip
        nodes = [
            node("QuantizeLinear", "x xs xz", "q"),
            node("QLinearConv", "q xs xz w ws wz ys yz b", "r", **attributes),
            node("DequantizeLinear", "r ys yz", "y"),
        ]
        return v.graph(name, nodes, {"x": x}, ["y"], values)

    def weights(*shape: int) -> np.ndarray:
        return v.integers(-128, 128, *shape, dtype=np.int8)

    u, s = np.uint8, np.int8
    yield between("QLinearConv", v.normal(1, 5, 6, 5), weights(7, 5, 3, 3), u(131), 0.2, u(117), pads=[1, 1, 1, 1])
    yield between("QLinearConv, int8", v.normal(1, 5, 6, 5), weights(3, 5, 2, 2), s(-5), 0.2, s(9), strides=[2, 1])
    depthwise = {"group": 13, "dilations": [2, 1], "pads": [2, 0, 1, 1]}
    yield between("QLinearConv, depthwise", v.normal(1, 13, 5, 4), weights(13, 1, 3, 2), u(0), 0.03, u(0), **depthwise)
    # Of which two fill 16 bits, and more than that.
    ends = np.where(v.integers(0, 2, 1, 37, 2, 2) > 0, 99.0, -99.0).astype(np.float32)
    extreme = np.where(v.integers(0, 4, 4, 37, 1, 1) > 0, 127, -128).astype(np.int8)
    yield between("QLinearConv, both ends", ends, extreme, u(0), 3.0, u(3))
    yield between("QLinearConv, both ends of int8", ends, extreme, s(-128), 3.0, s(-125))
    values = {
        "xs": array(0.02), "xz": array(117, u), "w": weights(19, 5), "ws": array(0.013), "wz": array(0, s),
        "ys": array(0.09), "yz": array(140, u),
    }  # fmt: skip
    nodes = [
        node("QuantizeLinear", "x xs xz", "q"),
        node("QLinearMatMul", "q xs xz w ws wz ys yz", "r"),
        node("DequantizeLinear", "r ys yz", "y"),
    ]
    yield v.graph("QLinearMatMul", nodes, {"x": v.normal(3, 19)}, ["y"], values)


@piece("Piece: outputs of all kinds", 13)
def outputs_of_all_kinds(v: Version) -> Cases:
    x, w = v.normal(2, 2), v.normal(2, 2)
    nodes = [node("Add", "x w", "a"), node("Relu", "a", "y")]
    yield v.graph("a value within as output", nodes, {"x": x}, ["a", "y"], {"w": w})
    yield v.graph("an initialiser as output", nodes, {"x": x}, ["y", "w"], {"w": w})
    yield v.graph("an input as output", nodes, {"x": x}, ["x", "y"], {"w": w})
    yield v.graph("a node that nobody reads", [*nodes, node("Neg", "x", "n")], {"x": x}, ["y"], {"w": w})
