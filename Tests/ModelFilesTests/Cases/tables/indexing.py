"""Operators that gather, scatter and select."""

import numpy as np

from .building import Cases, Fixed, Version, array, fixed, floats, from_node, ints, scalar, table


@table("Gather")
def gather(v: Version) -> Cases:
    x = v.normal(3, 4, 2)
    yield v.case("default axis", [x, array([[0, 2], [1, 1]], np.int64)])
    if v.opset in (7, 11):
        yield v.case("axis = 1, an initialiser", [x, ints(3, 0)], axis=1)
        yield v.case("index of rank 0", [x, scalar(1)], axis=1)
    if v.opset >= 11:
        yield v.case("negative indices, axis = -1", [x, ints(-1, -2, 0)], axis=-1)
    if v.opset == 13:
        yield v.case("indices of int32 from a shape", [v.integers(0, 99, 4), Fixed(array([2, -1], np.int32))])
        yield v.case("index from a node", [v.integers(0, 99, 2, 3), from_node(1)], axis=1)


@table("GatherElements")
def gather_elements(v: Version) -> Cases:
    yield v.case("axis = 1", [v.normal(2, 3), array([[0, 0], [2, 1]], np.int64)], axis=1)
    yield v.case("default axis, negative indices", [v.normal(3, 2), array([[-1, 0], [1, -2]], np.int64)])
    if v.opset == 13:
        yield v.case("axis = -2, int32", [v.normal(2, 2, 3), v.integers(0, 2, 2, 1, 3, dtype=np.int32)], axis=-2)


@table("GatherND")
def gather_nd(v: Version) -> Cases:
    x = v.normal(2, 3, 2)
    yield v.case("slices", [x, array([[0, 1], [1, 2]], np.int64)])
    yield v.case("elements", [x, array([[[0, 1, 0]], [[1, -1, -2]]], np.int64)])
    if v.opset == 12:
        yield v.case("batch_dims = 1", [x, array([[2], [0]], np.int64)], batch_dims=1)
        yield v.case("batch_dims = 1, two each", [x, array([[[2], [1]], [[0], [-1]]], np.int64)], batch_dims=1)


@table("Scatter")
def scatter(v: Version) -> Cases:
    indices = array([[1, 0, 2], [0, 2, 1]], np.int64)
    yield v.case("default axis", [v.normal(3, 3), indices, v.normal(2, 3)])
    yield v.case("axis = 1", [v.normal(2, 5), array([[1, 3], [0, 4]], np.int64), v.normal(2, 2)], axis=1)


@table("ScatterElements")
def scatter_elements(v: Version) -> Cases:
    indices = array([[1, 0, 2], [0, 2, 1]], np.int64)
    yield v.case("default axis", [v.normal(3, 3), indices, v.normal(2, 3)])
    yield v.case(
        "axis = -1, negative indices", [v.normal(2, 5), array([[1, -2], [-5, 4]], np.int64), v.normal(2, 2)], axis=-1
    )
    again = array([[1, 1, 0, 1]], np.int64)
    for reduction in {16: ["none", "add", "mul"], 18: ["add", "mul", "max", "min"]}.get(v.opset, []):
        given = array([[1, 3, 2, 0]], np.int64) if reduction == "none" else again
        yield v.case(f"reduction = {reduction}", [v.normal(1, 4), given, v.normal(1, 4)], axis=1, reduction=reduction)
    if v.opset == 18:
        yield v.case("int64, add", [v.integers(0, 9, 1, 4), again, v.integers(0, 9, 1, 4)], axis=1, reduction="add")


@table("ScatterND")
def scatter_nd(v: Version) -> Cases:
    yield v.case("slices", [v.normal(4, 3), array([[2], [0]], np.int64), v.normal(2, 3)])
    yield v.case("elements, an initialiser", [v.normal(2, 3), fixed([[0, 1], [1, -1]], np.int64), v.normal(2)])
    for reduction in {16: ["add", "mul"], 18: ["add", "mul", "max", "min"]}.get(v.opset, []):
        again = array([[1], [1], [3]], np.int64)
        yield v.case(f"reduction = {reduction}", [v.normal(4, 2), again, v.normal(3, 2)], reduction=reduction)


@table("NonZero")
def non_zero(v: Version) -> Cases:
    yield v.case("float", [array([[1.0, 0.0, -2.0], [0.0, 0.0, 3.0]])])
    if v.opset == 13:
        yield v.case("bool, rank 1", [array([True, False, True], np.bool_)])
        yield v.case("int64, rank 3", [v.integers(0, 2, 2, 2, 3)])
        yield v.case("none", [np.zeros((2, 2), np.float32)])


@table("Compress")
def compress(v: Version) -> Cases:
    yield v.case("axis = 0", [v.normal(3, 2), array([False, True, True], np.bool_)], axis=0)
    yield v.case("no axis", [v.normal(3, 2), array([False, True, False, True, True], np.bool_)])
    if v.opset == 11:
        yield v.case("axis = -1, an initialiser", [v.normal(2, 3), fixed([True, False, True], np.bool_)], axis=-1)


@table("Unique")
def unique(v: Version) -> Cases:
    yield v.case("sorted", [array([2.0, 1.0, 1.0, 3.0, 4.0, 3.0])], 4)
    if v.opset == 11:
        yield v.case("sorted = 0", [array([2.0, 1.0, 1.0, 3.0, 4.0, 3.0])], 4, sorted=0)
        yield v.case("axis = 0", [array([[1, 0, 0], [1, 0, 0], [2, 3, 4]])], 4, axis=0)
        yield v.case("axis = -1, int64", [array([[1, 1, 0], [2, 2, 3]], np.int64)], 4, axis=-1)
        yield v.case("values alone", [array([5.0, 5.0, 1.0])], 1)


@table("OneHot")
def one_hot(v: Version) -> Cases:
    indices = array([[1, 0], [2, 3]], np.int64)
    yield v.case("default axis", [indices, scalar(4), floats(0, 1)])
    if v.opset in (9, 11):
        yield v.case("axis = 1, depth of rank 1", [indices, ints(4), floats(-1, 2)], axis=1)
        yield v.case("axis = 0, int32", [array([1, 2], np.int32), scalar(3), fixed([0, 1], np.int64)], axis=0)
    if v.opset == 11:
        yield v.case("negative and outer indices", [array([-1, -4, 4, 1], np.int64), scalar(4), floats(0, 1)])
        yield v.case("axis = -2, indices of float", [array([[0.0, 2.0]]), fixed(3.0), floats(0, 1)], axis=-2)


@table("ReverseSequence")
def reverse_sequence(v: Version) -> Cases:
    yield v.case("by time", [v.normal(4, 3, 2), ints(4, 2, 1)])
    if v.opset == 10:
        yield v.case("by batch", [v.normal(3, 4), ints(1, 3, 4)], batch_axis=0, time_axis=1)
