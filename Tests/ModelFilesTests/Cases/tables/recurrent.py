"""Recurrent layers."""

from collections.abc import Sequence

import numpy as np
from onnx import NodeProto

from .building import Cases, Fixed, Version, array, node, table

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
STEPS, BATCH, WIDTH, HIDDEN = 3, 2, 2, 2


def weights(v: Version, directions: int) -> list[Fixed]:
    rows = GATES[v.op] * HIDDEN
    return [
        Fixed(v.normal(directions, rows, WIDTH)),
        Fixed(v.normal(directions, rows, HIDDEN)),
        Fixed(v.normal(directions, 2 * rows)),
    ]


def states(v: Version, directions: int) -> list[np.ndarray]:
    return [v.normal(directions, BATCH, HIDDEN) for _ in range(2 if v.op == "LSTM" else 1)]


def inputs(v: Version) -> np.ndarray:
    return v.normal(STEPS, BATCH, WIDTH)


@table("LSTM", "GRU", "RNN")
def recurrent(v: Version) -> Cases:
    outputs = 3 if v.op == "LSTM" else 2
    yield v.case("forward", [inputs(v), *weights(v, 1)], outputs, hidden_size=HIDDEN)
    if v.opset == 22:
        return
    both = {"hidden_size": HIDDEN, "direction": "bidirectional"}
    yield v.case("bidirectional", [inputs(v), *weights(v, 2)], outputs, **both)
    if v.opset == 14:
        yield from batch_first(v)
        return
    yield v.case("reverse", [inputs(v), *weights(v, 1)], outputs, hidden_size=HIDDEN, direction="reverse")
    yield v.case("no bias, last state only", [inputs(v), *weights(v, 1)[:2]], "_ y1", hidden_size=HIDDEN)
    yield v.case("first output only", [inputs(v), *weights(v, 1)], 1, hidden_size=HIDDEN)
    yield v.case("initial states", [inputs(v), *weights(v, 1), None, *states(v, 1)], outputs, hidden_size=HIDDEN)
    yield v.case("bidirectional, initial states", [inputs(v), *weights(v, 2), None, *states(v, 2)], outputs, **both)
    lengths = Fixed(array([3, 2], np.int32))
    yield v.case("sequence_lens", [inputs(v), *weights(v, 1), lengths], outputs, hidden_size=HIDDEN)
    yield v.case("bidirectional, sequence_lens", [inputs(v), *weights(v, 2), lengths], outputs, **both)
    reverse = {"hidden_size": HIDDEN, "direction": "reverse"}
    yield v.case("reverse, sequence_lens", [inputs(v), *weights(v, 1), lengths], outputs, **reverse)
    yield v.case("clip", [inputs(v) * 3, *weights(v, 1)], outputs, hidden_size=HIDDEN, clip=0.5)
    yield from activations(v, outputs)
    if v.op == "LSTM":
        yield from lstm_only(v)
    if v.op == "GRU":
        for direction, count in [("forward", 1), ("bidirectional", 2)]:
            yield v.case(
                f"{direction}, linear_before_reset",
                [inputs(v), *weights(v, count), None, *states(v, count)], outputs,
                hidden_size=HIDDEN, direction=direction, linear_before_reset=1,
            )  # fmt: skip


def activations(v: Version, outputs: int) -> Cases:
    """Activations other than the default ones, with and without parameters."""
    chosen: dict[str, Sequence[str]] = {
        "RNN": ["Relu"],
        "GRU": ["HardSigmoid", "Softsign"],
        "LSTM": ["HardSigmoid", "Softsign", "Relu"],
    }
    yield v.case("activations", [inputs(v), *weights(v, 1)], outputs, hidden_size=HIDDEN, activations=chosen[v.op])
    scaled = {"RNN": ["Affine"], "GRU": ["HardSigmoid", "LeakyRelu"], "LSTM": ["HardSigmoid", "ScaledTanh", "Tanh"]}
    alphas = {"RNN": [0.5], "GRU": [0.3, 0.1], "LSTM": [0.3, 1.5]}
    betas = {"RNN": [0.25], "GRU": [0.4], "LSTM": [0.4, 0.5]}
    yield v.case(
        "activations with alpha and beta",
        [inputs(v), *weights(v, 1)], outputs,
        hidden_size=HIDDEN, activations=scaled[v.op],
        activation_alpha=alphas[v.op], activation_beta=betas[v.op],
    )  # fmt: skip
    twice = {"RNN": ["Tanh", "Sigmoid"], "GRU": ["Sigmoid", "Tanh"] * 2, "LSTM": ["Sigmoid", "Tanh", "Tanh"] * 2}
    yield v.case(
        "bidirectional, activations of each direction",
        [inputs(v), *weights(v, 2)], outputs,
        hidden_size=HIDDEN, direction="bidirectional", activations=twice[v.op],
    )  # fmt: skip


def lstm_only(v: Version) -> Cases:
    peepholes = Fixed(v.normal(1, 3 * HIDDEN))
    yield v.case(
        "peepholes",
        [inputs(v), *weights(v, 1), None, *states(v, 1), peepholes], 3,
        hidden_size=HIDDEN,
    )  # fmt: skip
    yield v.case(
        "bidirectional, peepholes",
        [inputs(v), *weights(v, 2), None, *states(v, 2), Fixed(v.normal(2, 3 * HIDDEN))], 3,
        hidden_size=HIDDEN, direction="bidirectional",
    )  # fmt: skip
    yield v.case("input_forget", [inputs(v), *weights(v, 1)], 3, hidden_size=HIDDEN, input_forget=1)
    yield v.case("cell state only", [inputs(v), *weights(v, 1)], "_ _ y2", hidden_size=HIDDEN)


def batch_first(v: Version) -> Cases:
    """layout = 1, which ONNX Runtime lacks: it computes layout = 0 between transpositions instead."""
    for direction, count in [("forward", 1), ("bidirectional", 2)]:
        state_count = 2 if v.op == "LSTM" else 1
        first = v.normal(BATCH, STEPS, WIDTH)
        initial = [v.normal(BATCH, count, HIDDEN) for _ in range(state_count)]
        yield v.case(
            f"{direction}, layout = 1",
            [first, *weights(v, count), None, *initial], 1 + state_count,
            hidden_size=HIDDEN, direction=direction, layout=1,
            stand_in=by_transpositions(v.op, direction, state_count),
        )  # fmt: skip


def by_transpositions(op: str, direction: str, state_count: int) -> list[NodeProto]:
    initial = [f"x{5 + index}" for index in range(state_count)]
    results = [f"y{1 + index}" for index in range(state_count)]
    swapped = " ".join(f"{name}t" for name in initial)
    nodes = [node("Transpose", "x0", "x0t", perm=[1, 0, 2])]
    nodes += [node("Transpose", name, f"{name}t", perm=[1, 0, 2]) for name in initial]
    middle = "y0t " + " ".join(f"{name}t" for name in results)
    nodes.append(node(op, f"x0t p1 p2 p3 _ {swapped}", middle, hidden_size=HIDDEN, direction=direction))
    # [steps, directions, batch, hidden] to [batch, steps, directions, hidden]
    nodes.append(node("Transpose", "y0t", "y0", perm=[2, 0, 1, 3]))
    nodes += [node("Transpose", f"{name}t", name, perm=[1, 0, 2]) for name in results]
    return nodes
