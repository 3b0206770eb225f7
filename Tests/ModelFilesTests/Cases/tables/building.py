"""What a table of cases is made of: cases, their tensors, and the versions that a table is asked for."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

OLDEST_OPSET = 7


@dataclass
class Case:
    """One model with its inputs. Expected values come later, from an engine."""

    op: str
    opset: int
    name: str
    nodes: list[NodeProto]
    data: dict[str, np.ndarray]
    fixed: dict[str, np.ndarray]
    outputs: list[str]
    # Tolerances other than the default of the output's type.
    rtol: float | None = None
    atol: float | None = None
    # Nodes that ONNX Runtime computes in place of `nodes`, where it lacks a form of the operator.
    stand_in: list[NodeProto] | None = None
    ir_version: int | None = None
    # Whether initialisers are listed among the graph's inputs as well, as before IR version 4.
    lists_fixed: bool = False
    # Shapes of inputs as the model declares them, where other than the tensors' own.
    declared: dict[str, list[str | int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Fixed:
    """An input that is an initialiser."""

    value: np.ndarray


@dataclass(frozen=True)
class FromNode:
    """An input that a Constant node gives."""

    value: np.ndarray


Input = np.ndarray | Fixed | FromNode | None
Cases = Iterator[Case]


def fixed(value: Any, dtype: Any = np.float32) -> Fixed:
    return Fixed(np.array(value, dtype=dtype))


def ints(*values: int) -> Fixed:
    """A vector of int64 as an initialiser: axes, shapes, pads, …"""
    return Fixed(np.array(values, dtype=np.int64))


def scalar(value: int) -> Fixed:
    return Fixed(np.array(value, dtype=np.int64))


def floats(*values: float) -> Fixed:
    return Fixed(np.array(values, dtype=np.float32))


def from_node(*values: int) -> FromNode:
    """A vector of int64 from a Constant node."""
    return FromNode(np.array(values, dtype=np.int64))


def array(values: Any, dtype: Any = np.float32) -> np.ndarray:
    return np.array(values, dtype=dtype)


def constant(name: str, value: np.ndarray) -> NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value))


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> NodeProto:
    """A node whose inputs and outputs are names between spaces; `_` is one left out."""
    return helper.make_node(op, split_names(inputs), split_names(outputs), **attributes)


def split_names(names: str) -> list[str]:
    return ["" if name == "_" else name for name in names.split()]


def value_info(name: str, dtype: Any = np.float32, shape: Sequence[str | int | None] | None = None) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)


def subgraph(
    nodes: list[NodeProto],
    outputs: list[ValueInfoProto],
    inputs: Sequence[ValueInfoProto] = (),
    initialisers: Sequence[TensorProto] = (),
) -> GraphProto:
    return helper.make_graph(nodes, "s", list(inputs), outputs, list(initialisers))


class Version:
    """An operator at the first opset of one version of it: makes cases, and their random numbers."""

    def __init__(self, op: str, opset: int) -> None:
        self.op = op
        self.opset = opset
        self.random = np.random.default_rng(zlib.crc32(f"{op} {opset}".encode()))

    def normal(self, *shape: int, dtype: Any = np.float32) -> np.ndarray:
        return self.random.standard_normal(shape).astype(dtype)

    def uniform(self, low: float, high: float, *shape: int, dtype: Any = np.float32) -> np.ndarray:
        return self.random.uniform(low, high, shape).astype(dtype)

    def integers(self, low: int, high: int, *shape: int, dtype: Any = np.int64) -> np.ndarray:
        """Integers from `low` up to, but without, `high`."""
        return self.random.integers(low, high, shape).astype(dtype)

    def booleans(self, *shape: int) -> np.ndarray:
        return self.random.integers(0, 2, shape).astype(np.bool_)

    def distinct(self, *shape: int, dtype: Any = np.float32) -> np.ndarray:
        """Numbers without a tie, for what picks or orders."""
        count = int(np.prod(shape))
        return (self.random.permutation(count) - count // 2).reshape(shape).astype(dtype)

    def case(
        self,
        name: str,
        inputs: Sequence[Input],
        outputs: int | str = 1,
        *,
        rtol: float | None = None,
        atol: float | None = None,
        stand_in: list[NodeProto] | None = None,
        **attributes: Any,
    ) -> Case:
        """One node. `outputs` counts them, or names them between spaces where some (`_`) are left out."""
        nodes: list[NodeProto] = []
        data: dict[str, np.ndarray] = {}
        initialisers: dict[str, np.ndarray] = {}
        names: list[str] = []
        for index, value in enumerate(inputs):
            if value is None:
                names.append("")
            elif isinstance(value, Fixed):
                names.append(f"p{index}")
                initialisers[names[-1]] = value.value
            elif isinstance(value, FromNode):
                names.append(f"c{index}")
                nodes.append(constant(names[-1], value.value))
            else:
                names.append(f"x{index}")
                data[names[-1]] = np.asarray(value)
        results = [f"y{index}" for index in range(outputs)] if isinstance(outputs, int) else split_names(outputs)
        nodes.append(helper.make_node(self.op, names, results, **attributes))
        return self.graph(
            name, nodes, data, [result for result in results if result], initialisers,
            rtol=rtol, atol=atol, stand_in=stand_in,
        )  # fmt: skip

    def graph(
        self,
        name: str,
        nodes: list[NodeProto],
        data: dict[str, np.ndarray],
        outputs: list[str],
        initialisers: dict[str, np.ndarray] | None = None,
        **options: Any,
    ) -> Case:
        return Case(self.op, self.opset, name, nodes, data, dict(initialisers or {}), outputs, **options)


Builder = Callable[[Version], Cases]
BUILDERS: dict[str, list[Builder]] = {}
# Opsets of what is no operator of the standard: pieces of models.
OWN_OPSETS: dict[str, list[int]] = {}


def table(*ops: str) -> Callable[[Builder], Builder]:
    """Marks what makes the cases of these operators, once for each version of each."""

    def register(builder: Builder) -> Builder:
        for op in ops:
            BUILDERS.setdefault(op, []).append(builder)
        return builder

    return register


def piece(name: str, *opsets: int) -> Callable[[Builder], Builder]:
    """Marks what makes cases of several nodes, at the opsets given."""

    def register(builder: Builder) -> Builder:
        BUILDERS.setdefault(name, []).append(builder)
        OWN_OPSETS[name] = list(opsets)
        return builder

    return register
