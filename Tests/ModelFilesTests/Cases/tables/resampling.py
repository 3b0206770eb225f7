"""Operators that sample images anew."""

from typing import Any

import numpy as np

from .building import Cases, Fixed, FromNode, Input, Version, array, fixed, floats, from_node, ints, table

NEAREST_MODES = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


@table("Upsample")
def upsample(v: Version) -> Cases:
    x = v.normal(1, 2, 2, 3)
    for mode in ["nearest", "linear"]:
        if v.opset == 7:
            yield v.case(mode, [x], mode=mode, scales=[1.0, 1.0, 2.0, 3.0])
            yield v.case(f"{mode}, a fraction", [x], mode=mode, scales=[1.0, 1.0, 1.5, 2.5])
        else:
            yield v.case(mode, [x, floats(1, 1, 2, 3)], mode=mode)
            yield v.case(f"{mode}, a fraction", [x, floats(1, 1, 1.5, 2.5)], mode=mode)
    if v.opset == 9:
        yield v.case("scales from a node", [x, FromNode(array([1, 1, 2, 2]))], mode="nearest")
    else:
        yield v.case("default mode", [x], scales=[1.0, 1.0, 2.0, 2.0])


def resized(x: np.ndarray, scales: Input = None, sizes: Input = None, roi: Input = None) -> list[Input]:
    """Inputs of Resize from 13 on, where the optional ones may be left out."""
    return [x, roi, scales] if sizes is None else [x, roi, scales, sizes]


@table("Resize")
def resize(v: Version) -> Cases:
    if v.opset == 10:
        yield from resize_10(v)
    elif v.opset == 11:
        yield from resize_11(v)
    else:
        yield from resize_13(v)
        if v.opset >= 18:
            yield from resize_18(v)
        if v.opset == 19:
            yield from resize_19(v)


def resize_10(v: Version) -> Cases:
    """Only scales, and coordinates that 11 calls asymmetric; nearest takes the floor."""
    x = v.normal(1, 1, 4, 5)
    for mode in ["nearest", "linear"]:
        yield v.case(f"{mode}, up", [x, floats(1, 1, 2, 1.6)], mode=mode)
        yield v.case(f"{mode}, down", [x, floats(1, 1, 0.5, 0.6)], mode=mode)
    yield v.case("default mode, scales from a node", [x, FromNode(array([1, 1, 2, 2]))])


def resize_11(v: Version) -> Cases:
    """`roi` and `scales` must be there, empty where they do not count."""
    x = v.normal(1, 1, 4, 4)
    none = floats()
    for coordinates in ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn"]:
        for mode in ["nearest", "linear", "cubic"]:
            if coordinates == "tf_half_pixel_for_nn" and mode != "nearest":
                continue
            yield v.case(
                f"{mode}, {coordinates}", [x, none, floats(1, 1, 1.5, 0.75)],
                mode=mode, coordinate_transformation_mode=coordinates,
            )  # fmt: skip
    for nearest in NEAREST_MODES:
        yield v.case(
            f"nearest, {nearest}", [x, none, floats(1, 1, 2, 0.6)],
            nearest_mode=nearest, coordinate_transformation_mode="asymmetric",
        )  # fmt: skip
    yield v.case("sizes", [x, none, none, ints(1, 1, 3, 7)], mode="linear")
    yield v.case("sizes, nearest", [x, none, none, ints(1, 1, 7, 3)], mode="nearest")
    yield v.case("empty tensors from nodes", [x, FromNode(array([])), FromNode(array([])), from_node(1, 1, 6, 6)])
    yield v.case("defaults", [x, none, floats(1, 1, 2, 2)])
    yield v.case("cubic, cubic_coeff_a", [x, none, floats(1, 1, 1.5, 2)], mode="cubic", cubic_coeff_a=-0.5)
    yield v.case("cubic, exclude_outside", [x, none, floats(1, 1, 1.5, 2)], mode="cubic", exclude_outside=1)
    # Not to as many as there were: along such an axis ONNX Runtime takes the whole image in place of the region.
    region = floats(0, 0, 0.2, 0.3, 1, 1, 0.9, 1.3)
    yield v.case(
        "tf_crop_and_resize", [x, region, none, ints(1, 1, 3, 5)],
        mode="linear", coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=7.5,
    )  # fmt: skip


def resize_13(v: Version) -> Cases:
    x = v.normal(1, 1, 4, 4)
    up, down = floats(1, 1, 2, 1.5), floats(1, 1, 0.6, 0.8)
    yield v.case("nearest, scales", resized(x, up), mode="nearest")
    yield v.case("linear, sizes", resized(x, None, ints(1, 1, 3, 7)), mode="linear")
    if v.opset > 13:
        return
    for coordinates in ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]:
        for mode in ["nearest", "linear", "cubic"]:
            yield v.case(
                f"{mode}, {coordinates}, down", resized(x, down),
                mode=mode, coordinate_transformation_mode=coordinates,
            )  # fmt: skip
    for coordinates in ["half_pixel", "asymmetric", "align_corners"]:
        for nearest in NEAREST_MODES:
            yield v.case(
                f"nearest, {nearest}, {coordinates}", resized(v.normal(1, 1, 3, 4), None, ints(1, 1, 5, 3)),
                nearest_mode=nearest, coordinate_transformation_mode=coordinates,
            )  # fmt: skip
    to_one: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"}
    yield v.case("linear, pytorch_half_pixel to one", resized(x, None, ints(1, 1, 1, 3)), **to_one)
    yield v.case("1-D, linear", resized(v.normal(1, 2, 4), floats(1, 1, 2)), mode="linear")
    yield v.case("1-D, nearest", resized(v.normal(1, 2, 5), None, ints(1, 2, 3)), mode="nearest")
    yield v.case("3-D, linear", resized(v.normal(1, 1, 2, 3, 2), floats(1, 1, 1.5, 2, 2)), mode="linear")
    yield v.case("3-D, nearest", resized(v.normal(1, 1, 2, 3, 2), floats(1, 1, 2, 2, 2)), mode="nearest")
    yield v.case("rank 2, linear", resized(v.normal(3, 4), floats(2, 1.5)), mode="linear")
    yield v.case("channels last, nearest", resized(v.normal(1, 3, 3, 2), floats(1, 2, 2, 1)), mode="nearest")
    yield v.case("channels last, linear", resized(v.normal(1, 3, 3, 2), floats(1, 2, 2, 1)), mode="linear")
    yield v.case("cubic, two channels", resized(v.normal(1, 2, 3, 4), floats(1, 1, 2, 2)), mode="cubic")
    asymmetric = {"mode": "cubic", "coordinate_transformation_mode": "asymmetric", "cubic_coeff_a": -0.5}
    yield v.case("cubic, exclude_outside, asymmetric", resized(x, up), exclude_outside=1, **asymmetric)
    crop: dict[str, Any] = {"coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": -2.0}
    region = floats(0, 0, 0.25, -0.2, 1, 1, 0.75, 0.9)
    for mode in ["linear", "cubic"]:
        yield v.case(f"tf_crop_and_resize, {mode}", resized(x, None, ints(1, 1, 3, 5), region), mode=mode, **crop)
    yield v.case("nearest, uint8", resized(v.integers(0, 255, 1, 1, 2, 2, dtype=np.uint8), floats(1, 1, 2, 2)))
    yield v.case("sizes as input", resized(x, None, array([1, 1, 2, 6], np.int64)), mode="linear")


def resize_18(v: Version) -> Cases:
    x = v.normal(1, 1, 4, 6)
    for mode in ["linear", "cubic"]:
        yield v.case(f"{mode}, antialias", resized(x, floats(1, 1, 0.5, 0.6)), mode=mode, antialias=1)
    if v.opset > 18:
        return
    yield v.case("linear, antialias, sizes", resized(x, None, ints(1, 1, 3, 2)), mode="linear", antialias=1)
    yield v.case("linear, antialias, up", resized(x, floats(1, 1, 1.5, 2)), mode="linear", antialias=1)
    outer = {"mode": "cubic", "antialias": 1, "exclude_outside": 1}
    yield v.case("cubic, antialias, exclude_outside", resized(x, floats(1, 1, 0.5, 0.5)), **outer)
    yield v.case("axes, scales", resized(x, floats(2, 0.5)), mode="linear", axes=[2, 3])
    yield v.case("axes, sizes", resized(x, None, ints(5, 3)), mode="nearest", axes=[3, 2])
    yield v.case("axes from the end", resized(x, floats(2)), mode="linear", axes=[-1])
    for policy in ["stretch", "not_larger", "not_smaller"]:
        yield v.case(
            f"keep_aspect_ratio_policy = {policy}", resized(x, None, ints(3, 7)),
            mode="nearest", axes=[2, 3], keep_aspect_ratio_policy=policy,
        )  # fmt: skip
    yield v.case(
        "not_larger, linear", resized(x, None, ints(1, 1, 7, 8)),
        mode="linear", keep_aspect_ratio_policy="not_larger", axes=[0, 1, 2, 3],
    )  # fmt: skip
    yield v.case(
        "tf_crop_and_resize, axes", resized(x, None, ints(3, 3), floats(0.2, 0.1, 0.8, 1.2)),
        mode="linear", axes=[2, 3], coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=9.0,
    )  # fmt: skip


def resize_19(v: Version) -> Cases:
    x = v.normal(1, 1, 4, 5)
    for mode in ["nearest", "linear", "cubic"]:
        yield v.case(
            f"{mode}, half_pixel_symmetric", resized(x, floats(1, 1, 0.6, 1.3)),
            mode=mode, coordinate_transformation_mode="half_pixel_symmetric",
        )  # fmt: skip


@table("GridSample")
def grid_sample(v: Version) -> Cases:
    names = ["bilinear", "nearest", "bicubic"] if v.opset == 16 else ["linear", "nearest", "cubic"]
    yield v.case("defaults", [v.normal(1, 2, 3, 3), v.uniform(-1.2, 1.2, 1, 2, 3, 2)])
    if v.opset == 22:
        return
    for mode in names:
        for padding in ["zeros", "border", "reflection"]:
            for corners in [0, 1] if v.opset == 16 and mode != "nearest" else [1]:
                inputs = [v.normal(1, 1, 3, 4), v.uniform(-1.5, 1.5, 1, 2, 4, 2)]
                yield v.case(
                    f"{mode}, {padding}, align_corners = {corners}", inputs,
                    mode=mode, padding_mode=padding, align_corners=corners,
                )  # fmt: skip
    if v.opset == 20:
        for mode, padding, corners in [("linear", "zeros", 0), ("linear", "reflection", 1), ("nearest", "border", 0)]:
            inputs = [v.normal(1, 1, 2, 3, 2), v.uniform(-1.3, 1.3, 1, 2, 1, 3, 3)]
            yield v.case(
                f"3-D, {mode}, {padding}, align_corners = {corners}", inputs,
                mode=mode, padding_mode=padding, align_corners=corners,
            )  # fmt: skip
    yield v.case("two images", [v.normal(2, 1, 2, 2), v.uniform(-1, 1, 2, 2, 2, 2)])


@table("AffineGrid")
def affine_grid(v: Version) -> Cases:
    for corners in [0, 1]:
        yield v.case(f"2-D, align_corners = {corners}", [v.normal(2, 2, 3), ints(2, 1, 2, 3)], align_corners=corners)
        yield v.case(f"3-D, align_corners = {corners}", [v.normal(1, 3, 4), ints(1, 1, 2, 2, 3)], align_corners=corners)


@table("RoiAlign")
def roi_align(v: Version) -> Cases:
    x = v.uniform(0, 1, 2, 2, 6, 6)
    boxes = Fixed(array([[0.0, 0.0, 4.0, 5.0], [1.5, 0.5, 5.25, 4.0], [-1.0, 2.0, 3.0, 7.0]]))
    which = Fixed(array([0, 1, 1], np.int64))
    size: dict[str, Any] = {"output_height": 2, "output_width": 2}
    yield v.case("avg, sampling_ratio = 2", [x, boxes, which], sampling_ratio=2, **size)
    if v.opset == 22:
        return
    yield v.case("avg, sampling_ratio = 0", [x, boxes, which], **size)
    # Both engines take the greatest weighted pixel, not the greatest interpolated value; ONNX Runtime warns of it.
    yield v.case("max, sampling_ratio = 2", [x, boxes, which], mode="max", sampling_ratio=2, **size)
    yield v.case("spatial_scale", [x, fixed([[0, 0, 8, 9.0]]), ints(1)], spatial_scale=0.5, sampling_ratio=1, **size)
    yield v.case("boxes as inputs", [x, boxes.value, which.value], sampling_ratio=1)
    if v.opset == 16:
        for mode in ["half_pixel", "output_half_pixel"]:
            chosen = {"coordinate_transformation_mode": mode, "sampling_ratio": 2, **size}
            yield v.case(mode, [x, boxes, which], **chosen)
        yield v.case(
            "a box smaller than a pixel", [x, fixed([[2.0, 2.0, 2.4, 2.2]]), ints(0)], sampling_ratio=2, **size
        )


@table("NonMaxSuppression")
def non_max_suppression(v: Version) -> Cases:
    corners = array(
        [[[0, 0, 1, 1], [0, 0.1, 1, 1.1], [0, -0.1, 1, 0.9], [0, 10, 1, 11], [0, 10.1, 1, 11.1], [0, 100, 1, 101]]]
    )
    scores = array([[[0.9, 0.75, 0.6, 0.95, 0.5, 0.3]]])
    limits = [ints(3), fixed([0.5])]
    yield v.case("plain", [corners, scores, *limits, fixed([0.0])])
    yield v.case("score_threshold", [corners, scores, *limits, fixed([0.4])])
    yield v.case("no score_threshold", [corners, scores, *limits])
    yield v.case("no max_output_boxes_per_class", [corners, scores])
    yield v.case("limit of 1", [corners, scores, ints(1), fixed([0.5])])
    yield v.case("nothing found", [corners, scores, *limits, fixed([2.0])])
    if v.opset == 10:
        return
    flipped = corners[..., [2, 3, 0, 1]]
    yield v.case("corners the other way round", [flipped, scores, *limits, fixed([0.0])])
    centres = array(
        [
            [
                [0.5, 0.5, 1, 1],
                [0.5, 0.6, 1, 1],
                [0.5, 0.4, 1, 1],
                [0.5, 10.5, 1, 1],
                [0.5, 10.6, 1, 1],
                [0.5, 100.5, 1, 1],
            ]
        ]
    )
    yield v.case("center_point_box", [centres, scores, *limits, fixed([0.0])], center_point_box=1)
    two = np.concatenate([corners, corners])
    yield v.case("two images", [two, v.uniform(0.1, 1, 2, 1, 6), ints(2), fixed([0.5]), fixed([0.0])])
    yield v.case("two classes", [corners, v.uniform(0.1, 1, 1, 2, 6), ints(2), fixed([0.5]), fixed([0.0])])
    yield v.case("only one box", [corners[:, :1], scores[..., :1], *limits])
    yield v.case("equal boxes", [np.repeat(corners[:, :1], 4, 1), scores[..., :4], *limits])
