"""Reductions, and what picks or orders along an axis."""

import numpy as np

from .building import Cases, Fixed, Version, array, from_node, ints, node, scalar, table

REDUCTIONS = [
    "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum",
    "ReduceLogSumExp", "ReduceSumSquare",
]  # fmt: skip


def takes_axes_as_input(op: str, opset: int) -> bool:
    return opset >= (13 if op == "ReduceSum" else 18)


@table(*REDUCTIONS)
def reduction(v: Version) -> Cases:
    def values(*shape: int) -> np.ndarray:
        return v.uniform(0.5, 2, *shape) if v.op in ("ReduceLogSum", "ReduceProd") else v.normal(*shape)

    x = values(2, 3, 4)
    if takes_axes_as_input(v.op, v.opset):
        yield from reduction_by_input(v, x)
        return
    yield v.case("axes = 1", [x], axes=[1])
    if v.opset == 7:
        yield v.case("no axes", [x])
        yield v.case("no axes, keepdims = 0", [x], keepdims=0)
        yield v.case("axes = 0 2, keepdims = 0", [x], axes=[0, 2], keepdims=0)
    if v.opset == 11:
        yield v.case("axes = -1 0, keepdims = 0", [x], axes=[-1, 0], keepdims=0)
    yield from reduced_integers(v)


def reduction_by_input(v: Version, x: np.ndarray) -> Cases:
    yield v.case("axes = 1", [x, ints(1)])
    if v.opset in (13, 18):
        yield v.case("axes = -1 0, keepdims = 0", [x, ints(-1, 0)], keepdims=0)
        yield v.case("no axes, keepdims = 0", [x], keepdims=0)
        yield v.case("empty axes", [x, ints()])
        # Nothing is reduced, but single elements become squares, logarithms and the like.
        yield v.case("empty axes, noop_with_empty_axes", [x, ints()], noop_with_empty_axes=1)
    if v.op in ("ReduceSum", "ReduceMean") and v.opset in (13, 18):
        yield v.case("axes from a node", [x, from_node(2)], keepdims=0)
    yield from reduced_integers(v)


def reduced_integers(v: Version) -> Cases:
    if v.op in ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"):
        return
    by_input = takes_axes_as_input(v.op, v.opset)
    axes = [ints(1)] if by_input else []
    attributes = {} if by_input else {"axes": [1]}
    if v.opset in (7, 13):
        dtype = np.int32 if v.opset == 7 else np.int64
        yield v.case(np.dtype(dtype).name, [v.integers(-4, 5, 2, 3, dtype=dtype), *axes], **attributes)
    if v.op in ("ReduceMax", "ReduceMin"):
        if v.opset == 12:
            for dtype in [np.int8, np.uint8]:
                yield v.case(np.dtype(dtype).name, [v.integers(0, 99, 2, 3, dtype=dtype), *axes], **attributes)
        if v.opset == 20:
            yield v.case("bool", [v.booleans(4, 3), *axes], **attributes)


@table("ArgMax", "ArgMin")
def arg_extreme(v: Version) -> Cases:
    x = v.distinct(2, 3, 4)
    yield v.case("default axis", [x])
    yield v.case("axis = 1, keepdims = 0", [x], axis=1, keepdims=0)
    equal = array([[2.0, 1.0, 2.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    if v.opset == 7:
        yield v.case("equal values", [equal], axis=1)
        yield v.case("int32", [v.distinct(3, 4, dtype=np.int32)], axis=1)
    if v.opset == 11:
        yield v.case("axis = -1", [x], axis=-1)
    if v.opset in (12, 13):
        yield v.case("select_last_index", [equal], axis=1, select_last_index=1)
        yield v.case("equal values, the first", [equal], axis=-1, select_last_index=0)
    if v.opset == 13:
        yield v.case("uint8", [v.integers(0, 99, 3, 4, dtype=np.uint8)], axis=1)
        yield v.case("keepdims = 0, rank 1", [v.distinct(5)], axis=0, keepdims=0)


@table("TopK")
def top_k(v: Version) -> Cases:
    x = v.distinct(2, 3, 4)
    if v.opset == 7:
        yield v.case("default axis", [x], 2, k=2)
        yield v.case("axis = 1", [x], 2, k=2, axis=1)
        yield v.case("axis = 0", [x], 2, k=1, axis=0)
        return
    yield v.case("default axis", [x, ints(2)], 2)
    if v.opset == 10:
        yield v.case("axis = 1", [x, ints(2)], 2, axis=1)
        yield v.case("k from a node", [x, from_node(3)], 2)
    if v.opset == 11:
        yield v.case("smallest", [x, ints(2)], 2, axis=1, largest=0)
        yield v.case("axis = -2, sorted = 1", [x, ints(3)], 2, axis=-2, sorted=1)
        for name in ["values", "indices"]:
            nodes = [node("TopK", "x k", "values indices", axis=1)]
            yield v.graph(f"{name} alone", nodes, {"x": x}, [name], {"k": array([2], np.int64)})
        yield v.case("equal values", [array([[2.0, 1.0, 2.0, 1.0, 2.0]]), ints(4)], 2)
        yield v.case("smallest, equal values", [array([[2.0, 1.0, 2.0, 1.0, 2.0]]), ints(3)], 2, largest=0)
        yield v.case("int64", [v.distinct(2, 4, dtype=np.int64), ints(2)], 2)
        yield v.case("int32", [v.distinct(2, 4, dtype=np.int32), ints(4)], 2, largest=0)
        # Without order any order will do: the values are ordered before they are compared.
        nodes = [
            node("TopK", "x k", "a b", axis=1, sorted=0),
            node("TopK", "a k", "y i", axis=1),
        ]
        yield v.graph("sorted = 0, then sorted", nodes, {"x": v.distinct(2, 5)}, ["y"], {"k": array([3], np.int64)})


@table("CumSum")
def cum_sum(v: Version) -> Cases:
    x = v.normal(2, 3, 4)
    yield v.case("axis 1", [x, scalar(1)])
    if v.opset == 11:
        yield v.case("exclusive", [x, scalar(2)], exclusive=1)
        yield v.case("reverse", [x, scalar(0)], reverse=1)
        yield v.case("exclusive and reverse, axis -1", [x, scalar(-1)], exclusive=1, reverse=1)
        yield v.case("int32, axis of rank 1", [v.integers(-4, 5, 2, 3, dtype=np.int32), ints(1)])
        yield v.case("int64, axis of int32", [v.integers(-4, 5, 5), Fixed(array(0, np.int32))])
        yield v.case("double", [v.normal(2, 3, dtype=np.float64), scalar(1)])
