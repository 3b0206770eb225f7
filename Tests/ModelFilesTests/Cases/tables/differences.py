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
ONE_AXIS = "the reference knows only the meaning since 13"
OWN_STATISTICS = "the reference mixes in the input's own statistics"
UNROUNDED = "the reference does not round the output's length before it aligns corners"

DIFFERENCES = [
    Difference("MaxPool", 7, 10, "SAME_LOWER", "the reference rounds the length down, the standard up"),
    Difference(
        "LpPool", 18, 21, "ceil_mode", "the reference multiplies a mean by the whole window's count at the end too"
    ),
    Difference("GlobalMaxPool", 7, 21, "1-D|3-D", "the reference reduces two axes, whatever the rank"),
    Difference("BatchNormalization", 9, 13, ".*", OWN_STATISTICS),
    Difference("Piece: convolution, batch.*", 9, 13, ".*", OWN_STATISTICS),
    Difference("LRN", 7, 28, ".*", "the reference counts images where it should count channels"),
    Difference("LpNormalization", 7, 28, "p = 1.*", "the reference sums without absolute values"),
    Difference("LSTM|GRU|RNN", 7, 13, ".*sequence_lens", NO_LENGTHS),
    Difference("LSTM|GRU|RNN", 7, 13, "clip|input_forget|activations.*", NO_OPTIONS),
    Difference("Softmax|LogSoftmax|Hardmax", 7, 12, ".*", ONE_AXIS),
    Difference("LogSoftmax", 13, 28, "far from 0", "the reference takes the logarithm of 0"),
    # ONNX Runtime's mask is all true from 12 on, as the standard has it there: nothing is dropped outside of training.
    Difference("Dropout", 10, 11, "mask", "ONNX Runtime's mask is all false, the reference's all true"),
    Difference("Resize", 13, 17, ".*, align_corners, down", UNROUNDED),
    Difference(
        "GridSample", 20, 21, "cubic, border.*", "the reference moves the point to the border, not its neighbours"
    ),
    Difference("RoiAlign", 10, 15, ".*", "the reference takes half pixels off, which begins with 16"),
    Difference("Loop", 7, 28, "no condition", "the reference takes no condition for a false one"),
    Difference("Loop", 7, 28, "the iteration's number", "the reference stacks numbers as rows"),
]


def explanation(case: Case) -> Difference | None:
    for difference in DIFFERENCES:
        is_op = re.fullmatch(difference.ops, case.op) is not None
        if is_op and difference.first <= case.opset <= difference.last and re.fullmatch(difference.names, case.name):
            return difference
    return None
