"""Operators that change or tell shapes, and constants."""

import numpy as np
from ml_dtypes import bfloat16
from onnx import TensorProto, helper, numpy_helper

from .building import Cases, Fixed, Version, array, fixed, from_node, ints, node, scalar, table


@table("Reshape")
def reshape(v: Version) -> Cases:
    x = v.normal(2, 3, 4)
    yield v.case("0 and -1", [x, ints(0, -1)])
    if v.opset == 7:
        yield v.case("plain", [x, ints(4, 6)])
        yield v.case("to more dimensions", [x, ints(2, 1, -1, 2)])
        yield v.case("shape from a node", [x, from_node(-1)])
        yield v.case("to rank 0", [v.normal(1, 1), ints()])
        yield v.case("shape as input", [x, array([6, 4], np.int64)])
    if v.opset == 14:
        yield v.case("allowzero = 1", [x, ints(3, -1, 2)], allowzero=1)
        yield v.case("allowzero = 0", [x, ints(0, 0, -1)], allowzero=0)
        yield v.case("int64", [v.integers(-9, 9, 2, 3), ints(3, 2)])
        yield v.case("bool", [v.booleans(2, 3), ints(-1)])


@table("Flatten")
def flatten(v: Version) -> Cases:
    x = v.normal(2, 3, 2, 2)
    yield v.case("default axis", [x])
    if v.opset in (7, 11):
        yield v.case("axis = 0", [x], axis=0)
        yield v.case("axis = 2", [x], axis=2)
    if v.opset == 7:
        yield v.case("axis = rank", [v.normal(2, 3)], axis=2)
        yield v.case("rank 1", [v.normal(4)], axis=1)
    if v.opset == 9:
        yield v.case("int32", [v.integers(0, 9, 2, 2, 2, dtype=np.int32)], axis=1)
    if v.opset in (11, 13):
        yield v.case("axis = -1", [x], axis=-1)
        yield v.case("axis = -3", [x], axis=-3)


@table("Transpose")
def transpose(v: Version) -> Cases:
    yield v.case("default order", [v.normal(2, 3, 4)])
    if v.opset in (7, 13):
        yield v.case("0 2 3 1", [v.normal(1, 2, 3, 4)], perm=[0, 2, 3, 1])
        yield v.case("uint8", [v.integers(0, 99, 2, 3, dtype=np.uint8)], perm=[1, 0])
        yield v.case("rank 5", [v.normal(1, 2, 2, 3, 2)], perm=[4, 2, 0, 1, 3])


@table("Squeeze")
def squeeze(v: Version) -> Cases:
    x = v.normal(1, 2, 1, 3, 1)
    if v.opset < 13:
        yield v.case("axes", [x], axes=[0, 2])
        if v.opset == 7:
            yield v.case("no axes", [x])
        else:
            yield v.case("axes from the end", [x], axes=[-1, -3])
        return
    yield v.case("axes", [x, ints(0, 2)])
    if v.opset == 13:
        yield v.case("no axes", [x])
        yield v.case("axes from the end", [x, ints(-1, -3)])
        yield v.case("axes from a node", [x, from_node(4)])
        yield v.case("int64", [v.integers(0, 9, 1, 3), ints(0)])


@table("Unsqueeze")
def unsqueeze(v: Version) -> Cases:
    x = v.normal(2, 3)
    if v.opset < 13:
        yield v.case("axes", [x], axes=[0, 2])
        yield v.case("axes without order", [x], axes=[3, 0])
        if v.opset == 11:
            yield v.case("axes from the end", [x], axes=[-1, -3])
        return
    yield v.case("axes", [x, ints(0, 2)])
    if v.opset == 13:
        yield v.case("axes from the end, without order", [x, ints(-1, 1)])
        yield v.case("axes from a node", [x, from_node(1)])
        yield v.case("of rank 0", [v.normal(), ints(0)])
        yield v.case("int32", [v.integers(0, 9, 3, dtype=np.int32), ints(1)])


@table("Expand")
def expand(v: Version) -> Cases:
    yield v.case("to more", [v.normal(3, 1), ints(2, 3, 4)])
    yield v.case("both broadcast", [v.normal(3, 1), ints(1, 4)])
    if v.opset == 8:
        yield v.case("shape from a node", [v.normal(1), from_node(2, 2)])
        yield v.case("of rank 0", [v.normal(), ints(3)])
        yield v.case("int64", [v.integers(0, 9, 1, 3), ints(2, 1)])
        yield v.case("bool", [v.booleans(2, 1), ints(2, 3)])


@table("Concat")
def concat(v: Version) -> Cases:
    yield v.case("axis = 1", [v.normal(2, 1, 3), v.normal(2, 2, 3)], axis=1)
    if v.opset == 7:
        yield v.case("axis = 0, three", [v.normal(1, 2), v.normal(2, 2), Fixed(v.normal(3, 2))], axis=0)
        yield v.case("one", [v.normal(2, 2)], axis=1)
        yield v.case("int64", [v.integers(0, 9, 2), ints(7), from_node(1, 2)], axis=0)
    if v.opset >= 11:
        yield v.case("axis = -1", [v.normal(2, 3), v.normal(2, 1)], axis=-1)


@table("Split")
def split(v: Version) -> Cases:
    x = v.normal(2, 6)
    if v.opset == 18:
        yield v.case("num_outputs", [x], 3, axis=1, num_outputs=3)
        yield v.case("num_outputs, uneven", [v.normal(7, 2)], 3, axis=0, num_outputs=3)
        yield v.case("sizes", [x, ints(1, 5)], 2, axis=-1)
        yield v.case("sizes from a node", [x, from_node(2, 4)], 2, axis=1)
        return
    yield v.case("equal parts", [x], 3, axis=1)
    yield v.case("default axis", [v.normal(4, 2)], 2)
    if v.opset < 13:
        yield v.case("sizes", [x], 2, axis=1, split=[2, 4])
        if v.opset == 11:
            yield v.case("axis = -1", [x], 3, axis=-1, split=[1, 2, 3])
        return
    yield v.case("sizes", [x, ints(2, 4)], 2, axis=1)
    yield v.case("axis = -1", [x, ints(1, 2, 3)], 3, axis=-1)
    yield v.case("int64", [v.integers(0, 9, 4), from_node(1, 3)], 2)


@table("Slice")
def slice_cases(v: Version) -> Cases:
    x = v.normal(3, 4, 5)
    if v.opset == 7:
        yield v.case("axes", [x], axes=[0, 2], starts=[1, 0], ends=[3, 2])
        yield v.case("no axes", [x], starts=[0, 1], ends=[2, 4])
        yield v.case("negative and past the end", [x], axes=[1, 2], starts=[-3, 1], ends=[-1, 1000])
        yield v.case("to the end", [x], axes=[1], starts=[2], ends=[2**63 - 1])
        yield v.case("int64", [v.integers(0, 9, 6)], axes=[0], starts=[1], ends=[3])
        return
    yield v.case("axes and steps", [x, ints(0, 1), ints(3, 4), ints(0, 2), ints(1, 2)])
    if v.opset in (10, 11):
        yield v.case("no axes", [x, ints(1, 0), ints(3, 2)])
        yield v.case("axes alone", [x, ints(1), ints(1000), ints(1)])
        yield v.case("negative steps", [x, ints(-1, 3), ints(-1000, 0), ints(2, 1), ints(-1, -2)])
        yield v.case("from nodes", [x, from_node(1), from_node(-1), from_node(2)])
    if v.opset == 11:
        yield v.case("axes from the end", [x, ints(1, 0), ints(2**63 - 1, 2), ints(-1, -2), ints(2, 1)])
    if v.opset == 13:
        yield v.case("reversed, ends at the least int64", [x, ints(2**31 - 1), ints(-(2**63)), ints(1), ints(-1)])
        indices = [fixed(values, np.int32) for values in ([1], [4], [2], [2])]
        yield v.case("indices of int32", [x, *indices])
        yield v.case("axes left out, steps given", [x, ints(0, 0, 4), ints(3, 4, 0), None, ints(2, 3, -1)])
        yield v.case("starts as input", [x, array([1], np.int64), array([3], np.int64), ints(0)])


@table("Pad")
def pad(v: Version) -> Cases:
    x = v.normal(2, 3, 4)
    if v.opset == 7:
        yield v.case("constant", [x], pads=[0, 1, 2, 1, 0, 1], value=1.5)
        yield v.case("default value", [x], pads=[0, 0, 1, 0, 0, 1])
        yield v.case("reflect", [x], mode="reflect", pads=[0, 2, 1, 0, 0, 3])
        yield v.case("edge", [x], mode="edge", pads=[1, 0, 2, 0, 1, 1])
        yield v.case("negative pads", [x], pads=[0, -1, 1, 0, 0, -2])
        return
    yield v.case("constant", [x, ints(0, 1, 2, 1, 0, 1), fixed(1.5)], mode="constant")
    if v.opset in (11, 13):
        yield v.case("default value", [x, ints(0, 0, 1, 0, 0, 1)])
        yield v.case("reflect", [x, ints(0, 2, 1, 0, 0, 3)], mode="reflect")
        yield v.case("edge", [x, ints(1, 0, 2, 0, 1, 1)], mode="edge")
        yield v.case("negative pads", [x, ints(0, -1, 1, 0, 0, -2), fixed(0.5)])
        yield v.case("pads from a node", [x, from_node(0, 0, 1, 1, 0, 0)])
    if v.opset == 13:
        yield v.case("int64", [v.integers(0, 9, 2, 2), ints(0, 1, 1, 0), fixed(-1, np.int64)])
        yield v.case("2-D image, reflect", [v.normal(1, 1, 3, 3), ints(0, 0, 1, 2, 0, 0, 2, 1)], mode="reflect")
    if v.opset == 18:
        yield v.case("axes", [x, ints(1, 2, 0, 1), fixed(0.5), ints(0, 2)])
        yield v.case("axes from the end, edge", [x, ints(1, 2), None, ints(-1)], mode="edge")
        yield v.case("axes, reflect", [x, ints(2, 1), None, ints(1)], mode="reflect")
    if v.opset == 19:
        yield v.case("wrap", [x, ints(0, 1, 2, 1, 0, 3)], mode="wrap")
        yield v.case("wrap, axes", [x, ints(2, 1), None, ints(2)], mode="wrap")


@table("Tile")
def tile(v: Version) -> Cases:
    yield v.case("rank 2", [v.normal(2, 3), ints(2, 3)])
    if v.opset == 13:
        yield v.case("repeats from a node", [v.normal(1, 2, 2), from_node(3, 1, 2)])
        yield v.case("int64", [v.integers(0, 9, 3), ints(2)])


@table("Range")
def range_cases(v: Version) -> Cases:
    yield v.case("int64", [array(1, np.int64), array(10, np.int64), array(3, np.int64)])
    if v.opset == 11:
        yield v.case("float", [fixed(0.5), array(3.0), fixed(0.75)])
        yield v.case("downwards", [array(5, np.int32), array(-4, np.int32), array(-2, np.int32)])
        yield v.case("initialisers", [scalar(0), scalar(4), scalar(1)])


@table("ConstantOfShape")
def constant_of_shape(v: Version) -> Cases:
    if v.opset == 9:
        yield v.case("default value", [ints(2, 3)])
        yield v.case("int64", [from_node(4)], value=numpy_helper.from_array(array([7], np.int64)))
        yield v.case("bool", [ints(2)], value=numpy_helper.from_array(array([True], np.bool_)))
        yield v.case("rank 0", [ints()], value=numpy_helper.from_array(array([2.5])))
    yield v.case("shape as input", [array([2, 2], np.int64)], value=numpy_helper.from_array(array([1.5])))


@table("Constant")
def constants(v: Version) -> Cases:
    def added(name: str, dtype: type = np.float32, shape: tuple[int, ...] = (2,), **attributes: object) -> Cases:
        """The constant goes through Add, so that the case has an input."""
        nodes = [helper.make_node("Constant", [], ["c"], **attributes), node("Add", "x c", "y")]
        yield v.graph(name, nodes, {"x": v.integers(0, 9, *shape, dtype=dtype)}, ["y"])

    yield from added("value, float", value=numpy_helper.from_array(v.normal(2)))
    if v.opset == 7:
        yield from added("value, rank 0", value=numpy_helper.from_array(v.normal()))
        yield from added("value, float_data", value=helper.make_tensor("", TensorProto.FLOAT, [2], [1.5, -2.25]))
        yield from added("value, double", np.float64, value=numpy_helper.from_array(v.normal(2, dtype=np.float64)))
        yield from added("value, int64_data", np.int64, value=helper.make_tensor("", TensorProto.INT64, [2], [5, -6]))
    if v.opset == 9:
        for dtype in [np.int64, np.int32]:
            yield from added(
                f"value, {np.dtype(dtype).name}", dtype, value=numpy_helper.from_array(array([3, -4], dtype))
            )
        for dtype in [np.float16, np.uint8, np.int8, np.bool_]:
            tensor = numpy_helper.from_array(array([1, 0, 1], dtype))
            nodes = [node("Constant", "", "c", value=tensor), node("Cast", "c", "f", to=1), node("Add", "x f", "y")]
            yield v.graph(f"value, {np.dtype(dtype).name}", nodes, {"x": v.normal(3)}, ["y"])
        halves = helper.make_tensor("", TensorProto.FLOAT16, [2], array([1.5, -0.25], np.float16).tolist())
        nodes = [node("Constant", "", "c", value=halves), node("Cast", "c", "f", to=1), node("Add", "x f", "y")]
        yield v.graph("value, float16 as int32_data", nodes, {"x": v.normal(2)}, ["y"])
    if v.opset in (11, 13):
        values = helper.make_tensor("v", TensorProto.FLOAT, [2], [3.5, -1.0])
        flat = helper.make_sparse_tensor(values, helper.make_tensor("i", TensorProto.INT64, [2], [1, 5]), [2, 3])
        pairs = helper.make_sparse_tensor(
            values, helper.make_tensor("i", TensorProto.INT64, [2, 2], [0, 1, 1, 2]), [2, 3]
        )
        yield from added("sparse_value, flat indices", shape=(2, 3), sparse_value=flat)
        yield from added("sparse_value, indices by axis", shape=(2, 3), sparse_value=pairs)
    if v.opset == 12:
        yield from added("value_float", value_float=1.5)
        yield from added("value_floats", value_floats=[0.5, -1.5])
        yield from added("value_int", np.int64, value_int=-3)
        yield from added("value_ints", np.int64, value_ints=[4, -5])
    if v.opset == 13:
        brain = numpy_helper.from_array(array([1.5, -3.0], bfloat16))
        nodes = [node("Constant", "", "c", value=brain), node("Cast", "c", "f", to=1), node("Add", "x f", "y")]
        yield v.graph("value, bfloat16", nodes, {"x": v.normal(2)}, ["y"])


@table("Shape")
def shape(v: Version) -> Cases:
    x = v.normal(2, 3, 4)
    yield v.case("all", [x])
    if v.opset == 7:
        yield v.case("rank 0", [v.normal()])
    if v.opset == 15:
        for bounds in [{"start": 1}, {"end": -1}, {"start": -2, "end": 3}, {"start": 1, "end": 1}, {"end": 99}]:
            yield v.case(" ".join(f"{key} = {value}" for key, value in bounds.items()), [x], **bounds)


@table("Size")
def size(v: Version) -> Cases:
    yield v.case("rank 3", [v.normal(2, 3, 4)])


@table("Identity")
def identity(v: Version) -> Cases:
    yield v.case("float", [v.normal(2, 3)])
    if v.opset == 13:
        yield v.case("bool", [v.booleans(3)])


@table("Dropout")
def dropout(v: Version) -> Cases:
    x = v.normal(2, 3)
    if v.opset < 12:
        yield v.case("ratio", [x], ratio=0.3)
        if v.opset == 10:
            yield v.case("mask", [x], 2, ratio=0.3)
        return
    yield v.case("ratio", [x, fixed(0.3)])
    yield v.case("data alone", [x])
    if v.opset < 22:
        yield v.case("mask", [x, fixed(0.3)], 2)
        yield v.case("training_mode = 0", [x, fixed(0.3), fixed(False, np.bool_)], 2)
        yield v.case("training, ratio 0", [x, fixed(0.0), fixed(True, np.bool_)], 2, seed=1)


@table("EyeLike")
def eye_like(v: Version) -> Cases:
    yield v.case("square", [v.normal(3, 3)])
    if v.opset == 9:
        yield v.case("k = 1", [v.normal(3, 4)], k=1)
        yield v.case("k = -1, int64", [v.normal(3, 2)], k=-1, dtype=TensorProto.INT64)


@table("Trilu")
def trilu(v: Version) -> Cases:
    x = v.normal(2, 3, 4)
    yield v.case("upper", [x])
    yield v.case("lower", [x], upper=0)
    yield v.case("upper, k = 1", [x, scalar(1)], upper=1)
    yield v.case("lower, k = -1", [x, scalar(-1)], upper=0)
    yield v.case("k past the matrix", [x, scalar(6)])
    yield v.case("int64", [v.integers(0, 9, 3, 3)], upper=0)


@table("DepthToSpace")
def depth_to_space(v: Version) -> Cases:
    yield v.case("default mode", [v.normal(1, 8, 2, 3)], blocksize=2)
    if v.opset in (11, 13):
        for mode in ["DCR", "CRD"]:
            yield v.case(mode, [v.normal(2, 8, 1, 2)], blocksize=2, mode=mode)


@table("SpaceToDepth")
def space_to_depth(v: Version) -> Cases:
    yield v.case("blocks of 2", [v.normal(1, 2, 4, 6)], blocksize=2)
    if v.opset == 13:
        yield v.case("blocks of 3", [v.normal(2, 1, 3, 6)], blocksize=3)
