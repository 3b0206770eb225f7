"""Where onnx.reference computes something else than ONNX Runtime, whose values the cases have, and why."""

import re
from dataclasses import dataclass

from .building import Case


@dataclass(frozen=True)
class Difference:
    ops: str
    first: int
    last: int
    names: str
    why: str


NO_LENGTHS = "the reference does not read sequence_lens"
NO_OPTIONS = "the reference does not read clip, activations or input_forget"
ONE_AXIS = "the reference takes one axis, as from 13 on, for all axes from it on"

DIFFERENCES = [
    Difference("MaxPool", 7, 10, "SAME_LOWER", "the reference rounds the shape down; the standard says up"),
    Difference("LpPool", 18, 21, "ceil_mode", "the reference does not cut off a window at the edge"),
    Difference("GlobalMaxPool", 7, 21, "1-D|3-D", "the reference reduces two axes, whatever the rank"),
    Difference("BatchNormalization", 7, 13, ".*", "the reference mixes in the input's own statistics"),
    Difference("LRN", 7, 28, ".*", "the reference counts images where it should count channels"),
    Difference("LpNormalization", 7, 28, "p = 1.*", "the reference sums without absolute values"),
    Difference("LSTM|GRU|RNN", 7, 13, ".*sequence_lens", NO_LENGTHS),
    Difference("LSTM|GRU|RNN", 7, 13, "clip|input_forget|activations.*", NO_OPTIONS),
    Difference("Softmax|LogSoftmax|Hardmax", 7, 12, ".*", ONE_AXIS),
    Difference("LogSoftmax", 13, 28, "far from 0", "the reference takes the logarithm of a 0"),
    Difference("Dropout", 10, 11, "mask", "the reference's mask is all false"),
    Difference("Loop", 7, 28, "no condition", "the reference counts another number of iterations"),
    Difference("Loop", 7, 28, "the iteration's number", "the reference's number is a vector"),
]


def why_different(case: Case) -> str | None:
    for difference in DIFFERENCES:
        is_op = re.fullmatch(difference.ops, case.op) is not None
        if is_op and difference.first <= case.opset <= difference.last and re.fullmatch(difference.names, case.name):
            return difference.why
    return None
