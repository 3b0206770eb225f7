"""Operators on quantised tensors, and to and from them."""

from typing import Any

import numpy as np
from onnx import TensorProto, helper

from .building import Case, Cases, Fixed, Version, array, fixed, floats, node, table

INT4 = helper.tensor_dtype_to_np_dtype(TensorProto.INT4)
UINT4 = helper.tensor_dtype_to_np_dtype(TensorProto.UINT4)


@table("QuantizeLinear")
def quantize_linear(v: Version) -> Cases:
    x = v.normal(2, 3, 2) * 20
    yield v.case("uint8", [x, fixed(0.25), fixed(128, np.uint8)])
    if v.opset == 10:
        yield v.case(
            "halves go to even, and both ends",
            [array([-1e4, -2.5, -1.5, 0.5, 1.5, 1e4]), fixed(1.0), fixed(3, np.uint8)],
        )
        yield v.case("int32 to uint8", [v.integers(-99, 99, 2, 3, dtype=np.int32), fixed(0.5), fixed(100, np.uint8)])
    if v.opset in (10, 13):
        yield v.case("int8", [x, fixed(0.25), fixed(-5, np.int8)])
        yield v.case("no zero point", [x, fixed(0.5)])
    if v.opset in (13, 19, 21):
        scales = Fixed(v.uniform(0.1, 0.5, 3))
        yield v.case("default axis", [x, scales, fixed([100, 128, 140], np.uint8)])
    if v.opset == 13:
        yield v.case("axis = 0, int8", [x, Fixed(v.uniform(0.1, 0.5, 2)), fixed([0, 10], np.int8)], axis=0)
        yield v.case("axis = -1", [x, Fixed(v.uniform(0.1, 0.5, 2)), fixed([3, 120], np.uint8)], axis=-1)
    if v.opset == 19:
        half = fixed(0.25, np.float16)
        yield v.case("float16", [v.normal(2, 3, dtype=np.float16), half, fixed(3, np.int8)])
    if v.opset == 21:
        yield v.case("int16", [x * 100, fixed(0.25), fixed(-7, np.int16)])
        yield v.case("uint16", [x * 100, fixed(0.25), fixed(30000, np.uint16)])
        yield v.case("int4", [x / 10, fixed(0.5), fixed(1, INT4)])
        yield v.case("uint4", [x / 10, fixed(0.5), fixed(8, UINT4)])
        yield v.case("output_dtype, no zero point", [x, fixed(0.5)], output_dtype=TensorProto.INT8)
        blocks = [v.normal(2, 4) * 20, Fixed(v.uniform(0.1, 0.5, 2, 2)), Fixed(v.integers(-9, 9, 2, 2, dtype=np.int8))]
        yield v.case("blocks of 2", blocks, axis=1, block_size=2)
        yield v.case(
            "blocks of 2, axis = 0", [v.normal(4, 3) * 20, Fixed(v.uniform(0.1, 0.5, 2, 3))], axis=0, block_size=2
        )


@table("DequantizeLinear")
def dequantize_linear(v: Version) -> Cases:
    x = v.integers(0, 256, 2, 3, 2, dtype=np.uint8)
    signed = v.integers(-128, 128, 2, 3, 2, dtype=np.int8)
    yield v.case("uint8", [x, fixed(0.25), fixed(128, np.uint8)])
    if v.opset in (10, 13):
        yield v.case("int8", [signed, fixed(0.25), fixed(-5, np.int8)])
        yield v.case("no zero point", [x, fixed(0.5)])
        yield v.case("int32", [v.integers(-999, 999, 4, dtype=np.int32), fixed(0.01)])
    if v.opset in (13, 19, 21):
        yield v.case("default axis", [x, Fixed(v.uniform(0.1, 0.5, 3)), fixed([100, 128, 140], np.uint8)])
    if v.opset == 13:
        yield v.case("axis = 0, no zero point", [signed, Fixed(v.uniform(0.1, 0.5, 2))], axis=0)
        yield v.case("axis = -1", [x, Fixed(v.uniform(0.1, 0.5, 2)), fixed([3, 120], np.uint8)], axis=-1)
        weights = v.integers(-128, 128, 3, 2, dtype=np.int8)
        scales = v.uniform(0.1, 0.5, 2)
        yield weights_case(v, "weights, axis = 1", weights, scales, array([0, 0], np.int8), axis=1)
    if v.opset == 19:
        yield v.case("float16", [signed, fixed(0.25, np.float16), fixed(3, np.int8)])
    if v.opset == 21:
        yield v.case("int16", [v.integers(-999, 999, 5, dtype=np.int16), fixed(0.25), fixed(-7, np.int16)])
        yield v.case("uint16", [v.integers(0, 65536, 5, dtype=np.uint16), fixed(0.25), fixed(30000, np.uint16)])
        # Of int4 and uint4, two go into a byte, and an odd one at the end has a byte of its own.
        yield weights_case(v, "weights of int4", array([-8, 7, -1, 0, 3], INT4), array(0.5), array(1, INT4))
        yield weights_case(v, "weights of uint4", array([[0, 15, 7], [8, 1, 2]], UINT4), array(0.5), array(8, UINT4))
        weights = v.integers(-128, 128, 2, 4, dtype=np.int8)
        scales, points = v.uniform(0.1, 0.5, 2, 2), v.integers(-9, 9, 2, 2, dtype=np.int8)
        yield weights_case(v, "blocks of 2", weights, scales, points, axis=1, block_size=2)
        weights = v.integers(0, 16, 4, 3).astype(UINT4)
        scales, points = v.uniform(0.1, 0.5, 2, 3), v.integers(0, 16, 2, 3).astype(UINT4)
        yield weights_case(v, "uint4, blocks of 2, axis = 0", weights, scales, points, axis=0, block_size=2)


def weights_case(
    v: Version, name: str, weights: np.ndarray, scales: np.ndarray, zero_points: np.ndarray, **attributes: int
) -> Case:
    """Weights are initialisers, and go through Add, so that the case has an input."""
    nodes = [node("DequantizeLinear", "w s z", "f", **attributes), node("Add", "x f", "y")]
    values = {"w": weights, "s": scales, "z": zero_points}
    return v.graph(name, nodes, {"x": v.normal(*weights.shape)}, ["y"], values)


@table("DynamicQuantizeLinear")
def dynamic_quantize_linear(v: Version) -> Cases:
    yield v.case("both signs", [v.normal(2, 3)], 3)
    yield v.case("positive alone", [v.uniform(1, 5, 6)], 3)
    yield v.case("negative alone", [v.uniform(-5, -1, 2, 2)], 3)


def quantised_image(v: Version, *shape: int) -> list[Any]:
    return [v.integers(0, 256, *shape, dtype=np.uint8), fixed(0.02), fixed(120, np.uint8)]


@table("QLinearConv")
def q_linear_conv(v: Version) -> Cases:
    def weights(*shape: int) -> list[Fixed]:
        return [Fixed(v.integers(-128, 128, *shape, dtype=np.int8)), fixed(0.01), fixed(0, np.int8)]

    to = [fixed(0.1), fixed(100, np.uint8)]
    bias = Fixed(v.integers(-500, 500, 2, dtype=np.int32))
    yield v.case("plain", [*quantised_image(v, 1, 2, 4, 4), *weights(2, 2, 3, 3), *to])
    yield v.case("pads and bias", [*quantised_image(v, 1, 2, 4, 4), *weights(2, 2, 3, 3), *to, bias], pads=[1, 1, 1, 1])
    yield v.case(
        "strides, dilations",
        [*quantised_image(v, 1, 1, 6, 6), *weights(2, 1, 2, 2), *to],
        strides=[2, 1],
        dilations=[2, 2],
    )
    yield v.case("two groups", [*quantised_image(v, 1, 4, 3, 3), *weights(2, 2, 2, 2), *to, bias], group=2)
    yield v.case(
        "depthwise", [*quantised_image(v, 1, 2, 4, 4), *weights(2, 1, 3, 3), *to, bias], group=2, pads=[1, 1, 1, 1]
    )
    each = [Fixed(v.integers(-128, 128, 2, 2, 2, 2, dtype=np.int8)), floats(0.01, 0.02), fixed([0, 0], np.int8)]
    yield v.case("a scale for each channel", [*quantised_image(v, 1, 2, 3, 3), *each, *to, bias])
    unsigned = [Fixed(v.integers(0, 256, 2, 1, 2, 2, dtype=np.uint8)), fixed(0.01), fixed(130, np.uint8)]
    yield v.case("weights of uint8", [*quantised_image(v, 1, 1, 3, 3), *unsigned, *to])
    signed = [v.integers(-128, 128, 1, 1, 3, 3, dtype=np.int8), fixed(0.02), fixed(-3, np.int8)]
    yield v.case(
        "all int8, 1-D pads", [*signed, *weights(1, 1, 2, 2), fixed(0.1), fixed(7, np.int8)], pads=[1, 0, 0, 1]
    )


@table("QLinearMatMul")
def q_linear_mat_mul(v: Version) -> Cases:
    a = [v.integers(0, 256, 2, 3, dtype=np.uint8), fixed(0.02), fixed(120, np.uint8)]
    b = [Fixed(v.integers(0, 256, 3, 4, dtype=np.uint8)), fixed(0.01), fixed(110, np.uint8)]
    to = [fixed(0.05), fixed(128, np.uint8)]
    yield v.case("uint8", [*a, *b, *to])
    if v.opset == 10:
        signed = [Fixed(v.integers(-128, 128, 3, 4, dtype=np.int8)), fixed(0.01), fixed(-4, np.int8)]
        yield v.case("uint8 by int8", [*a, *signed, *to])
        stacked = [v.integers(0, 256, 2, 2, 3, dtype=np.uint8), fixed(0.02), fixed(120, np.uint8)]
        yield v.case("rank 3", [*stacked, *b, *to])
        columns = [Fixed(v.integers(-128, 128, 3, 2, dtype=np.int8)), floats(0.01, 0.03), fixed([0, 0], np.int8)]
        yield v.case("a scale for each column", [*a, *columns, *to])


@table("ConvInteger")
def conv_integer(v: Version) -> Cases:
    x = v.integers(0, 256, 1, 2, 4, 4, dtype=np.uint8)
    w = Fixed(v.integers(0, 256, 2, 2, 2, 2, dtype=np.uint8))
    yield v.case("no zero points", [x, w])
    yield v.case("a zero point of the input", [x, w, fixed(100, np.uint8)], pads=[1, 1, 1, 1])
    yield v.case("both zero points", [x, w, fixed(100, np.uint8), fixed(3, np.uint8)], strides=[2, 2])


@table("MatMulInteger")
def mat_mul_integer(v: Version) -> Cases:
    a = v.integers(0, 256, 2, 3, dtype=np.uint8)
    b = Fixed(v.integers(-128, 128, 3, 4, dtype=np.int8))
    yield v.case("no zero points", [a, b])
    yield v.case("both zero points", [a, b, fixed(100, np.uint8), fixed(-3, np.int8)])
    yield v.case("a zero point for each column", [a, b, fixed(9, np.uint8), fixed([1, -2, 3, 0], np.int8)])
    yield v.case(
        "uint8, rank 3", [v.integers(0, 256, 2, 2, 3, dtype=np.uint8), Fixed(v.integers(0, 256, 3, 2, dtype=np.uint8))]
    )
