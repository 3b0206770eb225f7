"""Activations, element by element and along an axis."""

import numpy as np

from .building import Cases, Fixed, FromNode, Version, array, fixed, table


@table("Relu", "Tanh", "Sigmoid", "Softplus", "Softsign", "HardSwish", "Mish")
def plain(v: Version) -> Cases:
    yield v.case("float", [v.normal(2, 3, 4) * 3])
    if v.opset == 7:
        yield v.case("double", [v.normal(2, 3, dtype=np.float64)])
        yield v.case("far from 0", [array([-100.0, -20.0, 20.0, 100.0])])
    if v.opset == 13:
        yield v.case("float16", [v.normal(2, 3, dtype=np.float16)])
    if v.op == "Relu" and v.opset == 14:
        yield v.case("int32", [v.integers(-9, 9, 2, 3, dtype=np.int32)])
        yield v.case("int8", [v.integers(-9, 9, 2, 3, dtype=np.int8)])


@table("LeakyRelu", "Elu", "Celu", "ThresholdedRelu", "Swish")
def with_alpha(v: Version) -> Cases:
    yield v.case("default alpha", [v.normal(2, 3, 4) * 2])
    if v.opset < 13 or v.op == "Swish":
        yield v.case("alpha", [v.normal(2, 3)], alpha=0.3)


@table("PRelu")
def prelu(v: Version) -> Cases:
    x = v.normal(2, 3, 2, 2)
    yield v.case("a slope for each channel", [x, Fixed(v.normal(3, 1, 1))])
    if v.opset == 7:
        yield v.case("one slope", [x, Fixed(v.normal(1))])
        yield v.case("a slope for each element", [v.normal(2, 3), Fixed(v.normal(2, 3))])
        yield v.case("a slope as input", [v.normal(2, 3), v.normal(3)])
    if v.opset == 9:
        yield v.case("a slope of rank 0", [x, Fixed(v.normal())])
        yield v.case("int32", [v.integers(-9, 9, 2, 3, dtype=np.int32), fixed([2, 3, 4], np.int32)])


@table("Selu")
def selu(v: Version) -> Cases:
    yield v.case("defaults", [v.normal(2, 3, 4)])
    yield v.case("alpha and gamma", [v.normal(2, 3)], alpha=2.0, gamma=3.0)


@table("HardSigmoid")
def hard_sigmoid(v: Version) -> Cases:
    yield v.case("defaults", [v.normal(2, 3, 4) * 3])
    yield v.case("alpha and beta", [v.normal(2, 3) * 3], alpha=1 / 6, beta=0.4)


@table("Gelu")
def gelu(v: Version) -> Cases:
    for approximate in ["none", "tanh"]:
        yield v.case(approximate, [v.normal(2, 3, 4) * 2], approximate=approximate)
    yield v.case("default", [v.normal(5)])


@table("Shrink")
def shrink(v: Version) -> Cases:
    yield v.case("defaults", [v.normal(2, 6)])
    yield v.case("bias and lambd", [array([-2.0, -1.0, 0.0, 1.0, 2.0])], lambd=1.5, bias=0.5)


@table("Clip")
def clip(v: Version) -> Cases:
    x = v.normal(2, 3, 2) * 2
    if v.opset == 7:
        yield v.case("min and max", [x], min=-0.5, max=0.75)
        yield v.case("min alone", [x], min=0.0)
        yield v.case("max alone", [x], max=0.5)
        yield v.case("neither", [x])
        yield v.case("0 to 6", [x * 4], min=0.0, max=6.0)
        return
    yield v.case("min and max", [x, fixed(-0.5), fixed(0.75)])
    if v.opset in (11, 13):
        yield v.case("min alone", [x, fixed(0.0)])
        yield v.case("max alone", [x, None, fixed(0.5)])
        yield v.case("neither", [x])
        yield v.case("from nodes", [x, FromNode(array(0.0)), FromNode(array(6.0))])
        yield v.case("min and max as inputs", [x, array(-1.0), array(1.0)])
    if v.opset in (12, 13):
        for dtype in [np.int32, np.int64, np.int8, np.uint8]:
            yield v.case(
                np.dtype(dtype).name, [v.integers(0, 99, 2, 3, dtype=dtype), fixed(20, dtype), fixed(60, dtype)]
            )
    if v.opset == 13:
        yield v.case("min above max", [x, fixed(1.0), fixed(-1.0)])
        yield v.case("double", [v.normal(4, dtype=np.float64), fixed(-0.5, np.float64), fixed(0.5, np.float64)])
        yield v.case("float16", [v.normal(4, dtype=np.float16), fixed(-0.5, np.float16), fixed(0.5, np.float16)])


@table("Softmax", "LogSoftmax", "Hardmax")
def softmax(v: Version) -> Cases:
    """Before 13 all axes from `axis` (by default 1) on are one; from 13 on `axis` alone counts, by default the last."""
    yield v.case("default axis", [v.normal(2, 3, 4)])
    yield v.case("axis = 0", [v.normal(2, 3)], axis=0)
    yield v.case("axis = 1, rank 4", [v.normal(2, 2, 3, 2)], axis=1)
    if v.opset == 11:
        yield v.case("axis = -1", [v.normal(2, 3, 4)], axis=-1)
        yield v.case("axis = -2", [v.normal(2, 3, 4)], axis=-2)
        return
    if v.opset == 13:
        yield v.case("axis = 2", [v.normal(2, 3, 4)], axis=2)
        yield v.case("axis = -2", [v.normal(2, 3, 4)], axis=-2)
        yield v.case("rank 1", [v.normal(5)])
        if v.op == "Hardmax":
            yield v.case("equal values", [array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])], axis=1)
        else:
            yield v.case("far from 0", [array([[1000.0, 999.0, 0.0], [-1000.0, -999.0, -1001.0]])])
            yield v.case("double", [v.normal(2, 3, dtype=np.float64)])
