"""Convolutions and pooling."""

import numpy as np

from .building import Cases, Fixed, FromNode, Version, array, constant, ints, node, table


@table("Conv")
def conv(v: Version) -> Cases:
    x = v.normal(1, 2, 5, 5)
    yield v.case("2-D", [x, Fixed(v.normal(3, 2, 3, 3)), Fixed(v.normal(3))], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    if v.opset == 22:
        return
    yield v.case("1-D, stride, no bias", [v.normal(1, 2, 7), Fixed(v.normal(2, 2, 3))], strides=[2])
    yield v.case(
        "depthwise",
        [v.normal(1, 3, 5, 5), Fixed(v.normal(3, 1, 3, 3)), Fixed(v.normal(3))],
        group=3, kernel_shape=[3, 3], pads=[1, 1, 1, 1],
    )  # fmt: skip
    even = Fixed(v.normal(1, 1, 2, 3))
    for mode in ["SAME_UPPER", "SAME_LOWER", "VALID"]:
        yield v.case(mode, [v.normal(1, 1, 5, 6), even], auto_pad=mode, kernel_shape=[2, 3], strides=[2, 2])
    if v.opset == 7:
        return
    yield v.case("3-D", [v.normal(1, 1, 3, 4, 4), Fixed(v.normal(2, 1, 2, 2, 2)), Fixed(v.normal(2))])
    yield v.case(
        "3-D, pads, strides and dilations",
        [v.normal(1, 1, 4, 4, 5), Fixed(v.normal(1, 1, 2, 2, 2))],
        pads=[1, 0, 1, 0, 1, 1], strides=[2, 1, 2], dilations=[1, 2, 1],
    )  # fmt: skip
    yield v.case("two groups", [v.normal(1, 4, 4, 4), Fixed(v.normal(4, 2, 2, 2)), Fixed(v.normal(4))], group=2)
    yield v.case(
        "depthwise, two for each channel, stride",
        [v.normal(1, 2, 5, 5), Fixed(v.normal(4, 1, 3, 3))],
        group=2, strides=[2, 2],
    )  # fmt: skip
    yield v.case("dilations", [v.normal(1, 1, 6, 7), Fixed(v.normal(1, 1, 3, 3))], dilations=[2, 3])
    yield v.case(
        "uneven pads and strides, two images",
        [v.normal(2, 2, 5, 6), Fixed(v.normal(2, 2, 3, 2)), Fixed(v.normal(2))],
        pads=[1, 0, 0, 1], strides=[2, 1],
    )  # fmt: skip
    yield v.case("1 by 1", [v.normal(1, 4, 3, 3), Fixed(v.normal(2, 4, 1, 1)), Fixed(v.normal(2))])
    yield v.case("1-D, two groups, dilations", [v.normal(1, 4, 8), Fixed(v.normal(2, 2, 3))], group=2, dilations=[2])
    yield v.case("1-D, SAME_LOWER", [v.normal(1, 1, 6), Fixed(v.normal(1, 1, 4))], auto_pad="SAME_LOWER")
    yield v.case("weights from nodes", [x, FromNode(v.normal(1, 2, 2, 2)), FromNode(v.normal(1))])
    yield v.case("weights as inputs", [x, v.normal(1, 2, 2, 2), v.normal(1)])
    yield v.case("NOTSET", [x, Fixed(v.normal(1, 2, 2, 2))], auto_pad="NOTSET", pads=[0, 1, 0, 1])


@table("ConvTranspose")
def conv_transpose(v: Version) -> Cases:
    x = v.normal(1, 2, 3, 3)
    w = Fixed(v.normal(2, 2, 3, 3))
    yield v.case("2-D, strides and pads", [x, w, Fixed(v.normal(2))], strides=[2, 2], pads=[1, 1, 1, 1])
    if v.opset == 22:
        return
    yield v.case("1-D, no bias", [v.normal(1, 2, 4), Fixed(v.normal(2, 1, 3))], strides=[2])
    yield v.case("output_padding", [x, w], strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])
    yield v.case("output_shape", [x, w], strides=[2, 2], output_shape=[6, 6])
    if v.opset == 7:
        return
    small = v.normal(1, 1, 3, 3)
    yield v.case("3-D", [v.normal(1, 1, 2, 2, 3), Fixed(v.normal(1, 2, 2, 2, 2)), Fixed(v.normal(2))])
    yield v.case(
        "3-D, strides, pads and output_padding",
        [v.normal(1, 1, 2, 2, 2), Fixed(v.normal(1, 1, 3, 2, 3))],
        strides=[2, 1, 2], pads=[1, 0, 1, 1, 0, 1], output_padding=[1, 0, 0],
    )  # fmt: skip
    yield v.case("two groups", [v.normal(1, 4, 2, 3), Fixed(v.normal(4, 1, 2, 2)), Fixed(v.normal(2))], group=2)
    yield v.case("depthwise", [v.normal(1, 3, 3, 3), Fixed(v.normal(3, 1, 2, 2))], group=3, strides=[2, 2])
    yield v.case("dilations", [small, Fixed(v.normal(1, 1, 2, 2))], dilations=[2, 2])
    yield v.case("uneven pads", [small, Fixed(v.normal(1, 1, 3, 3))], pads=[1, 0, 0, 1], strides=[2, 1])
    yield v.case("output_shape, uneven", [small, Fixed(v.normal(1, 1, 3, 3))], strides=[3, 2], output_shape=[10, 8])
    for mode in ["SAME_UPPER", "SAME_LOWER"]:
        yield v.case(mode, [small, Fixed(v.normal(1, 1, 3, 3))], auto_pad=mode, strides=[2, 2])
        yield v.case(
            f"{mode} and output_shape",
            [small, Fixed(v.normal(1, 1, 3, 3))],
            auto_pad=mode, strides=[2, 2], output_shape=[6, 6],
        )  # fmt: skip
    yield v.case("VALID", [small, Fixed(v.normal(1, 1, 2, 2))], auto_pad="VALID", strides=[2, 2])


@table("MaxPool")
def max_pool(v: Version) -> Cases:
    x = v.distinct(1, 2, 5, 5)
    yield v.case("2-D", [x], kernel_shape=[2, 2], strides=[2, 2])
    if v.opset == 7:
        yield v.case("default strides", [x], kernel_shape=[3, 3])
        yield v.case("pads", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        for mode in ["SAME_UPPER", "SAME_LOWER", "VALID"]:
            yield v.case(mode, [v.distinct(1, 1, 5, 6)], auto_pad=mode, kernel_shape=[2, 3], strides=[2, 2])
    if v.opset == 8:
        yield v.case("Indices", [x], 2, kernel_shape=[2, 2], strides=[2, 2], storage_order=0)
    if v.opset in (10, 11):
        yield v.case("ceil_mode", [v.distinct(1, 1, 6, 6)], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
        yield v.case("dilations", [x], kernel_shape=[2, 2], dilations=[2, 2])
    if v.opset == 11:
        yield v.case("1-D", [v.distinct(1, 2, 7)], kernel_shape=[3], strides=[2], pads=[1, 0])
        yield v.case("3-D", [v.distinct(1, 1, 3, 4, 4)], kernel_shape=[2, 2, 2], strides=[1, 2, 2])
        yield v.case(
            "3-D, pads, dilations and ceil_mode",
            [v.distinct(1, 1, 4, 5, 5)],
            kernel_shape=[2, 2, 2], strides=[2, 2, 2], pads=[0, 1, 0, 1, 0, 1], dilations=[1, 2, 1], ceil_mode=1,
        )  # fmt: skip
        yield v.case(
            "ceil_mode and pads: a window that would begin past the end",
            [v.distinct(1, 1, 4, 4)],
            kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 1, 1], ceil_mode=1,
        )  # fmt: skip
        for mode in ["SAME_UPPER", "SAME_LOWER"]:
            yield v.case(mode, [v.distinct(1, 1, 4, 5)], auto_pad=mode, kernel_shape=[2, 2])
    if v.opset == 12:
        yield v.case("int8", [v.distinct(1, 1, 4, 4, dtype=np.int8)], kernel_shape=[2, 2])
        yield v.case("uint8", [v.integers(0, 255, 1, 1, 4, 4, dtype=np.uint8)], kernel_shape=[2, 2])
        yield v.case(
            "Indices, pads, two images and channels",
            [v.distinct(2, 2, 3, 4)], 2,
            kernel_shape=[2, 2], strides=[2, 2], pads=[1, 0, 0, 0],
        )  # fmt: skip
        yield v.case("Indices, equal values", [np.ones((1, 1, 3, 3), np.float32)], 2, kernel_shape=[2, 2])
        yield v.case("all negative, pads", [v.distinct(1, 1, 3, 3) - 20], kernel_shape=[3, 3], pads=[1, 1, 1, 1])


@table("AveragePool")
def average_pool(v: Version) -> Cases:
    x = v.normal(1, 2, 5, 5)
    yield v.case("2-D", [x], kernel_shape=[2, 2], strides=[2, 2])
    padded = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    if v.opset in (7, 11, 19):
        yield v.case("pads", [x], **padded)
        yield v.case("count_include_pad", [x], count_include_pad=1, **padded)
    if v.opset == 7:
        for mode in ["SAME_UPPER", "SAME_LOWER", "VALID"]:
            yield v.case(mode, [v.normal(1, 1, 5, 6)], auto_pad=mode, kernel_shape=[2, 3], strides=[2, 2])
    if v.opset in (10, 11, 19):
        image = v.normal(1, 1, 6, 6)
        yield v.case("ceil_mode", [image], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    if v.opset in (11, 19):
        yield v.case("ceil_mode and pads", [image], ceil_mode=1, **padded)
        yield v.case("1-D, uneven pads", [v.normal(1, 2, 7)], kernel_shape=[3], pads=[2, 0])
        yield v.case("3-D", [v.normal(1, 1, 3, 4, 4)], kernel_shape=[2, 2, 2], strides=[1, 2, 2])
    if v.opset == 19:
        yield v.case("ceil_mode, pads and count_include_pad", [image], ceil_mode=1, count_include_pad=1, **padded)
        yield v.case("dilations", [x], kernel_shape=[2, 2], dilations=[2, 2])
        yield v.case(
            "dilations, pads and count_include_pad",
            [x],
            kernel_shape=[2, 2], dilations=[2, 3], pads=[1, 1, 1, 1], count_include_pad=1,
        )  # fmt: skip
        yield v.case(
            "3-D, pads and count_include_pad",
            [v.normal(1, 1, 3, 3, 4)],
            kernel_shape=[2, 2, 2], pads=[1, 0, 0, 0, 1, 1], count_include_pad=1,
        )  # fmt: skip
        yield v.case(
            "SAME_UPPER and count_include_pad",
            [v.normal(1, 1, 5, 5)],
            kernel_shape=[2, 2], auto_pad="SAME_UPPER", count_include_pad=1,
        )  # fmt: skip


@table("LpPool")
def lp_pool(v: Version) -> Cases:
    x = v.normal(1, 2, 5, 5)
    yield v.case("default p", [x], kernel_shape=[2, 2], strides=[2, 2])
    if v.opset in (7, 11):
        yield v.case("p = 1, pads", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], p=1)
        yield v.case("p = 3", [x], kernel_shape=[2, 2], p=3)
    if v.opset == 11:
        yield v.case("1-D", [v.normal(1, 2, 7)], kernel_shape=[3], strides=[2])
        yield v.case("3-D", [v.normal(1, 1, 3, 3, 3)], kernel_shape=[2, 2, 2])
        yield v.case("SAME_UPPER", [v.normal(1, 1, 4, 5)], kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_UPPER")
    if v.opset == 18:
        yield v.case("ceil_mode", [v.normal(1, 1, 6, 6)], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
        yield v.case("dilations", [x], kernel_shape=[2, 2], dilations=[2, 2])


@table("GlobalAveragePool", "GlobalMaxPool")
def global_pool(v: Version) -> Cases:
    yield v.case("2-D", [v.normal(2, 3, 3, 4)])
    if v.opset == 7:
        yield v.case("1-D", [v.normal(1, 3, 5)])
        yield v.case("3-D", [v.normal(1, 2, 2, 3, 2)])


@table("GlobalLpPool")
def global_lp_pool(v: Version) -> Cases:
    # ONNX Runtime has no version 22, which only adds types.
    norm = [constant("axes", array([2, 3], np.int64)), node("ReduceL2", "x0 axes", "y0")]
    yield v.case("default p", [v.normal(2, 3, 3, 4)], stand_in=norm if v.opset == 22 else None)
    if v.opset == 7:
        yield v.case("p = 1", [v.normal(1, 3, 5)], p=1)
        yield v.case("p = 3", [v.normal(1, 2, 2, 3, 2)], p=3)


@table("MaxUnpool")
def max_unpool(v: Version) -> Cases:
    x = v.normal(1, 1, 2, 2)
    yield v.case("2-D", [x, array([[[[5, 2], [8, 15]]]], np.int64)], kernel_shape=[2, 2], strides=[2, 2])
    if v.opset == 11:
        indices = array([[[[6, 3], [10, 18]]]], np.int64)
        yield v.case("output_shape", [x, indices, ints(1, 1, 5, 5)], kernel_shape=[2, 2], strides=[2, 2])
        yield v.case(
            "1-D, two channels",
            [v.normal(1, 2, 2), array([[[1, 2], [4, 7]]], np.int64)],
            kernel_shape=[2], strides=[2],
        )  # fmt: skip
        yield v.case(
            "pads", [x, array([[[[0, 2], [6, 8]]]], np.int64)], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4
        )
