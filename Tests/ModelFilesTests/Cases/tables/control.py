"""Operators with graphs inside."""

import numpy as np
from onnx import GraphProto, numpy_helper

from .building import Cases, Version, array, constant, node, subgraph, table, value_info


def one_node(op: str, inputs: str, result: str, dtype: type = np.float32) -> GraphProto:
    return subgraph([node(op, inputs, result)], [value_info(result, dtype)])


@table("If")
def if_cases(v: Version) -> Cases:
    x, w = v.normal(2, 3), v.normal(3)
    chosen = node("If", "c", "y", then_branch=one_node("Add", "x w", "a"), else_branch=one_node("Mul", "x w", "b"))
    for taken in [True, False]:
        data = {"c": array(taken, np.bool_), "x": x}
        yield v.graph(f"{taken}, outer values".lower(), [chosen], data, ["y"], {"w": w})
    if v.opset != 11:
        return
    fixed_condition = [constant("c", array(True, np.bool_)), chosen]
    yield v.graph("the condition a constant", fixed_condition, {"x": x}, ["y"], {"w": w})
    computed = [node("ReduceSum", "x", "s", keepdims=0), node("Greater", "s zero", "c"), chosen]
    yield v.graph("the condition computed", computed, {"x": x}, ["y"], {"w": w, "zero": array(0.0)})
    inner = node("If", "d", "n", then_branch=one_node("Neg", "x", "p"), else_branch=one_node("Abs", "x", "q"))
    nested = node(
        "If", "c", "y", then_branch=subgraph([inner], [value_info("n")]), else_branch=one_node("Exp", "x", "e")
    )
    for second in [True, False]:
        data = {"c": array(True, np.bool_), "d": array(second, np.bool_), "x": x}
        yield v.graph(f"nested, {second}".lower(), [nested], data, ["y"])
    own = subgraph([node("Add", "x k", "a")], [value_info("a")], initialisers=[numpy_helper.from_array(w, "k")])
    with_own = node("If", "c", "y", then_branch=own, else_branch=one_node("Identity", "x", "b"))
    yield v.graph("an initialiser of the branch's own", [with_own], {"c": array(True, np.bool_), "x": x}, ["y"])
    alone = subgraph([constant("k", w)], [value_info("k")])
    constants = node("If", "c", "y", then_branch=alone, else_branch=one_node("Neg", "w", "b"))
    yield v.graph("a constant alone", [constants], {"c": array(True, np.bool_)}, ["y"], {"w": w})
    two = [
        subgraph(
            [node("Relu", "x", f"{name}0"), node("Neg", "x", f"{name}1")],
            [value_info(f"{name}0"), value_info(f"{name}1")],
        )
        for name in "tf"
    ]
    pair = node("If", "c", "y0 y1", then_branch=two[0], else_branch=two[1])
    yield v.graph("two outputs", [pair], {"c": array(False, np.bool_), "x": x}, ["y0", "y1"])
    shapes = node(
        "If", "c", "y", then_branch=one_node("Identity", "x", "a"), else_branch=one_node("Transpose", "x", "b")
    )
    yield v.graph("branches of two shapes", [shapes], {"c": array(False, np.bool_), "x": x}, ["y"])


def loop_body(steps: list, results: list, carried: list) -> GraphProto:
    """A body with the iteration's number `i` and the condition `go`."""
    inputs = [value_info("i", np.int64, []), value_info("go", np.bool_, []), *carried]
    return subgraph(steps, results, inputs)


@table("Loop")
def loop_cases(v: Version) -> Cases:
    x, w = v.normal(2), v.normal(2)
    keep = node("Identity", "go", "on")
    on = value_info("on", np.bool_)
    add = [keep, node("Add", "a w", "b")]
    counted = loop_body(add, [on, value_info("b")], [value_info("a", shape=[2])])
    limits = {"n": array(3, np.int64), "yes": array(True, np.bool_)}
    yield v.graph(
        "a count, an outer value", [node("Loop", "n yes x", "y", body=counted)], {"x": x}, ["y"], {**limits, "w": w}
    )
    if v.opset != 13:
        return
    no_condition = [node("Loop", "n _ x", "y", body=counted)]
    yield v.graph("no condition", no_condition, {"x": x}, ["y"], {"n": limits["n"], "w": w})
    yield v.graph(
        "the count as input",
        [node("Loop", "n yes x", "y", body=counted)],
        {"n": array(2, np.int64), "x": x},
        ["y"],
        {"yes": limits["yes"], "w": w},
    )
    until = [node("Add", "a w", "b"), node("ReduceSum", "b", "s", keepdims=0), node("Less", "s most", "on")]
    conditional = loop_body(until, [on, value_info("b")], [value_info("a", shape=[2])])
    most = {"most": array(5.0), "w": array([1.0, 1.5]), "yes": limits["yes"]}
    yield v.graph(
        "a condition", [node("Loop", "_ yes x", "y", body=conditional)], {"x": array([0.0, 0.5])}, ["y"], most
    )
    yield v.graph(
        "a count and a condition",
        [node("Loop", "n yes x", "y", body=conditional)],
        {"x": array([-9.0, 0.0])},
        ["y"],
        {**most, "n": limits["n"]},
    )
    scanned = loop_body(
        [*add, node("Mul", "b b", "q")], [on, value_info("b"), value_info("q")], [value_info("a", shape=[2])]
    )
    yield v.graph(
        "a scan output", [node("Loop", "n yes x", "y q2", body=scanned)], {"x": x}, ["y", "q2"], {**limits, "w": w}
    )
    number = [keep, node("Cast", "i", "f", to=1), node("Add", "a f", "b"), node("Identity", "i", "k")]
    numbered = loop_body(number, [on, value_info("b"), value_info("k", np.int64)], [value_info("a", shape=[2])])
    yield v.graph(
        "the iteration's number", [node("Loop", "n yes x", "y k2", body=numbered)], {"x": x}, ["y", "k2"], limits
    )
    two = [keep, node("Add", "a b", "c"), node("Identity", "a", "d")]
    carried = [value_info("a", shape=[2]), value_info("b", shape=[2])]
    fibonacci = loop_body(two, [on, value_info("c"), value_info("d")], carried)
    yield v.graph(
        "two carried values", [node("Loop", "n yes x w", "y z", body=fibonacci)], {"x": x, "w": w}, ["y", "z"], limits
    )
    never = {"n": array(0, np.int64), "yes": limits["yes"], "w": w}
    yield v.graph("no iteration", [node("Loop", "n yes x", "y", body=counted)], {"x": x}, ["y"], never)
    gathered = [keep, node("Gather", "x i", "row"), node("Add", "a row", "b")]
    rows = loop_body(gathered, [on, value_info("b")], [value_info("a", shape=[2])])
    data = {"x": v.normal(3, 2)}
    yield v.graph(
        "rows of an outer tensor",
        [node("Loop", "n yes start", "y", body=rows)],
        data,
        ["y"],
        {**limits, "start": array([0.0, 0.0])},
    )
    grown = [keep, node("Concat", "a w", "b", axis=0)]
    growing = loop_body(grown, [on, value_info("b", shape=["m"])], [value_info("a", shape=["l"])])
    yield v.graph(
        "a carried value that grows", [node("Loop", "n yes x", "y", body=growing)], {"x": x}, ["y"], {**limits, "w": w}
    )


@table("Scan")
def scan_cases(v: Version) -> Cases:
    body = subgraph(
        [node("Add", "a e", "b"), node("Mul", "b e", "s")],
        [value_info("b", shape=[2]), value_info("s", shape=[2])],
        [value_info("a", shape=[2]), value_info("e", shape=[2])],
    )
    if v.opset == 8:
        # Here there are lengths of the sequences, and a batch before them.
        data = {"x0": v.normal(1, 2), "x": v.normal(1, 3, 2)}
        yield v.graph("a batch of one", [node("Scan", "_ x0 x", "y z", num_scan_inputs=1, body=body)], data, ["y", "z"])
        return
    data = {"x0": v.normal(2), "x": v.normal(3, 2)}
    yield v.graph(
        "a state and an output", [node("Scan", "x0 x", "y z", num_scan_inputs=1, body=body)], data, ["y", "z"]
    )
    if v.opset in (9, 11):
        backwards = node(
            "Scan", "x0 x", "y z", num_scan_inputs=1, body=body, scan_input_directions=[1], scan_output_directions=[1]
        )
        yield v.graph("backwards", [backwards], data, ["y", "z"])
        across = node("Scan", "x0 x", "y z", num_scan_inputs=1, body=body, scan_input_axes=[1], scan_output_axes=[1])
        yield v.graph("other axes", [across], {"x0": v.normal(2), "x": v.normal(2, 3)}, ["y", "z"])
    if v.opset == 11:
        outer = subgraph(
            [node("Add", "a e", "t"), node("Mul", "t w", "b")],
            [value_info("b", shape=[2])],
            [value_info("a", shape=[2]), value_info("e", shape=[2])],
        )
        yield v.graph(
            "an outer value",
            [node("Scan", "x0 x", "y", num_scan_inputs=1, body=outer)],
            data,
            ["y"],
            {"w": v.normal(2)},
        )
