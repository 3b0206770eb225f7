#!/usr/bin/env python3
"""Writes ops.jsonl: a case a line for operators of ONNX at each of their versions since opset 7.

`make.py` writes the file anew, `make.py --check` tells whether it is what would be written, `--op NAME` only shows
what becomes of an operator's cases. The cases are in `tables`; expected values come from ONNX Runtime, and from
onnx.reference where ONNX Runtime refuses a case.
"""

import argparse
import base64
import json
import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from tables import BUILDERS, DIFFERENCES, OLDEST_OPSET, OWN_OPSETS, Case, Version, explanation  # noqa: E402

FOLDER = Path(__file__).resolve().parent
CASES_FILE = FOLDER / "ops.jsonl"
REFUSED_FILE = FOLDER / "refused.txt"
SIZE_LIMIT = 900 * 1024

ENGINE = f"onnxruntime {onnxruntime.__version__}"
REFERENCE = f"onnx reference {onnx.__version__}"

# The newest IR version that ONNX Runtime reads, and the one given to models of older opsets.
NEWEST_IR, OLDEST_IR = 13, 8
# Types that ONNX Runtime's Python does not hand over: cases of them are fed and read as float, which holds them all.
THROUGH_FLOAT = {TensorProto.BFLOAT16, TensorProto.INT4, TensorProto.UINT4}
# Relative to the largest expected value. What is not named must be the same.
TOLERANCES = {
    TensorProto.FLOAT: 1e-5,
    TensorProto.DOUBLE: 1e-5,
    TensorProto.FLOAT16: 2e-3,
    TensorProto.BFLOAT16: 1.6e-2,
}
DEFAULT_TOLERANCE = 1e-5


@dataclass
class Outcome:
    """A case with its expected values, or why it has none."""

    case: Case
    line: dict[str, Any] | None
    refusal: str | None
    disagreement: str | None
    source: str
    # Whether onnx.reference finds the same; nothing where it has no answer.
    is_confirmed: bool | None = None


# Cases


def versions(op: str) -> list[int]:
    """The first opset, from 7 on, of each version of an operator that is not withdrawn."""
    if op in OWN_OPSETS:
        return OWN_OPSETS[op]
    history = [
        schema for schema in onnx.defs.get_all_schemas_with_history() if (schema.domain, schema.name) == ("", op)
    ]
    # GroupNormalization 18 is withdrawn for another meaning, but files have it; Scatter and Upsample end there.
    kept = [schema.since_version for schema in history if not schema.deprecated or op == "GroupNormalization"]
    before = [version for version in kept if version <= OLDEST_OPSET]
    return sorted({OLDEST_OPSET for _ in before} | {version for version in kept if version > OLDEST_OPSET})


def all_cases(ops: list[str]) -> Iterator[Case]:
    for op in ops:
        for opset in versions(op):
            version = Version(op, opset)
            for builder in BUILDERS[op]:
                yield from builder(version)


# Models


def ir_version(case: Case) -> int:
    if case.ir_version:
        return case.ir_version
    return max(OLDEST_IR, helper.OP_SET_ID_VERSION_MAP[("ai.onnx", case.opset)])


def element_type(array: np.ndarray) -> int:
    return helper.np_dtype_to_tensor_dtype(array.dtype)


def input_infos(case: Case) -> list[ValueInfoProto]:
    named = dict(case.data)
    if case.lists_fixed:
        named.update(case.fixed)
    return [
        helper.make_tensor_value_info(name, element_type(value), case.declared.get(name, value.shape))
        for name, value in named.items()
    ]


def model_of(case: Case, nodes: list[NodeProto], outputs: list[ValueInfoProto]) -> ModelProto:
    initialisers = [numpy_helper.from_array(value, name) for name, value in case.fixed.items()]
    graph = helper.make_graph(nodes, "g", input_infos(case), outputs, initialisers)
    imports = [helper.make_opsetid("", case.opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version(case))


def inferred_outputs(case: Case) -> list[ValueInfoProto]:
    """What a reader can know of the outputs before it computes."""
    untyped = [ValueInfoProto(name=name) for name in case.outputs]
    model = onnx.shape_inference.infer_shapes(model_of(case, case.nodes, untyped), data_prop=True)
    for info in model.graph.output:
        if not info.type.tensor_type.elem_type:
            # Nothing is inferred for a function such as GroupNormalization; engines' results are compared with this.
            info.type.tensor_type.elem_type = element_type(next(iter(case.data.values())))
    return list(model.graph.output)


def is_withdrawn(case: Case) -> bool:
    """Whether onnx neither checks nor infers the operator, which files have all the same."""
    return (case.op, case.opset) == ("GroupNormalization", 18)


def declared_outputs(inferred: list[ValueInfoProto], values: list[np.ndarray]) -> list[ValueInfoProto]:
    """Outputs with the type and the dimensions inferred.

    What depends on the data, or was inferred wrongly, has a name in place of a number.
    """
    infos = []
    for index, (info, value) in enumerate(zip(inferred, values, strict=True)):
        tensor = info.type.tensor_type
        known = [dimension.dim_value for dimension in tensor.shape.dim] if tensor.HasField("shape") else []
        known = known if len(known) == value.ndim else [0] * value.ndim
        shape = [
            size if size == known_size else f"n{index}{axis}"
            for axis, (size, known_size) in enumerate(zip(value.shape, known, strict=True))
        ]
        infos.append(helper.make_tensor_value_info(info.name, tensor.elem_type, shape))
    return infos


def is_inferable(case: Case) -> bool:
    """Whether onnx infers shapes.

    It fails in its own function for MeanVarianceNormalization, and refuses constants of integers before opset 9,
    which files have and ONNX Runtime reads.
    """
    if case.opset < 9 and any(is_constant_of_integers(node) for node in case.nodes):
        return False
    return (case.op, case.opset, case.name) != ("MeanVarianceNormalization", 13, "default axes")


def is_constant_of_integers(node: NodeProto) -> bool:
    return node.op_type == "Constant" and node.attribute[0].t.data_type in (TensorProto.INT64, TensorProto.INT32)


# Engines


def run_engine(case: Case, types: list[int]) -> list[np.ndarray]:
    """Expected values from ONNX Runtime, which computes each node as it stands."""
    infos = input_infos(case)
    nodes = list(case.stand_in or case.nodes)
    feed = dict(case.data)
    before, after, names = [], [], []
    for info in infos:
        kind = info.type.tensor_type.elem_type
        if kind in THROUGH_FLOAT and info.name in feed:
            info.type.tensor_type.elem_type = TensorProto.FLOAT
            feed[info.name] = feed[info.name].astype(np.float32)
            before.append(helper.make_node("Cast", [info.name], [f"{info.name}_typed"], to=kind))
            nodes = [renamed(node, info.name, f"{info.name}_typed") for node in nodes]
    for name, kind in zip(case.outputs, types, strict=True):
        if kind in THROUGH_FLOAT:
            after.append(helper.make_node("Cast", [name], [f"{name}_float"], to=TensorProto.FLOAT))
            names.append(f"{name}_float")
        else:
            names.append(name)
    initialisers = [numpy_helper.from_array(value, name) for name, value in case.fixed.items()]
    outputs = [ValueInfoProto(name=name) for name in names]
    graph = helper.make_graph(before + nodes + after, "g", infos, outputs, initialisers)
    imports = [helper.make_opsetid("", case.opset)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=min(NEWEST_IR, ir_version(case)))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    values = session.run(None, feed)
    return [typed(value, kind) for value, kind in zip(values, types, strict=True)]


def renamed(node: NodeProto, old: str, new: str) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [new if name == old else name for name in node.input]
    return copy


def typed(value: Any, kind: int) -> np.ndarray:
    """A result as an array of the type it has in the model."""
    array = np.asarray(value)
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    if array.dtype == dtype:
        return array
    if kind in THROUGH_FLOAT and array.dtype == np.float32:
        return array.astype(dtype)
    raise ValueError(f"a result is of {array.dtype}, not of {dtype}")


def run_reference(model: ModelProto, case: Case, types: list[int]) -> list[np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = ReferenceEvaluator(model).run(None, dict(case.data))
    return [typed(value, kind) for value, kind in zip(values, types, strict=True)]


def tolerance(case: Case, kind: int) -> tuple[float, float]:
    if kind not in TOLERANCES:
        return 0.0, 0.0
    return TOLERANCES[kind] if case.rtol is None else case.rtol, case.atol or 0.0


def difference(expected: np.ndarray, found: np.ndarray, relative: float, absolute: float) -> str | None:
    """How a result differs from what is expected; nothing where it does not."""
    if expected.shape != found.shape:
        return f"shape {list(found.shape)} in place of {list(expected.shape)}"
    a, b = expected.astype(np.float64), found.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return None
    finite = np.isfinite(a)
    largest = np.abs(a[finite]).max(initial=0.0)
    with np.errstate(invalid="ignore"):
        apart = np.where(same, 0.0, np.abs(a - b))
    apart[np.isnan(apart)] = np.inf
    if apart.max() <= absolute + relative * largest:
        return None
    return f"{apart.max():.3g} apart where the largest is {largest:.3g}"


def reason(error: Exception) -> str:
    """An engine's message without places of files and machines."""
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : ", "", str(error).strip())
    text = re.sub(r"\S*/\S+:\d+ .*?(?=\) |\]) ?\)? ?", "", text.splitlines()[0] if text else type(error).__name__)
    text = re.sub(r"^(\w+ : )?.*Opset (\d+) is under development.*", r"opset \2 is not supported", text)
    return text.replace(" with name ''", "").strip()[:160]


# Lines


def encoded(message: Any) -> str:
    return base64.b64encode(message.SerializeToString(deterministic=True)).decode()


def tensors(values: dict[str, np.ndarray]) -> list[str]:
    return [
        encoded(numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name))
        for name, value in values.items()
    ]


def compute(case: Case) -> Outcome:
    inferred = inferred_outputs(case)
    types = [info.type.tensor_type.elem_type for info in inferred]
    refusal, disagreement = None, None
    values, reference = None, None
    try:
        values = run_engine(case, types)
    except Exception as error:  # noqa: BLE001 - whatever an engine raises is a refusal
        refusal = reason(error)
    shapeless = [
        helper.make_tensor_value_info(info.name, kind, None) for info, kind in zip(inferred, types, strict=True)
    ]
    try:
        reference = run_reference(model_of(case, case.nodes, shapeless), case, types)
    except Exception as error:  # noqa: BLE001
        if values is None:
            return Outcome(case, None, f"{refusal}; reference: {reason(error)}", None, "nothing")
    if values is not None and reference is not None:
        for expected, found, kind in zip(values, reference, types, strict=True):
            disagreement = disagreement or difference(expected, found, *tolerance(case, kind))
    source = ENGINE if values is not None else REFERENCE
    is_confirmed = None if reference is None or source == REFERENCE else disagreement is None
    values = reference if values is None else values
    model = model_of(case, case.nodes, declared_outputs(inferred, values))
    if not is_withdrawn(case):
        onnx.checker.check_model(model, full_check=is_inferable(case))
    line: dict[str, Any] = {
        "op": case.op,
        "opset": case.opset,
        "case": case.name,
        "model": encoded(model),
        "inputs": tensors(case.data),
        "outputs": tensors(dict(zip(case.outputs, values, strict=True))),
        "from": source,
    }
    relative = max(tolerance(case, kind)[0] for kind in types)
    if case.rtol is not None or relative not in (0.0, DEFAULT_TOLERANCE):
        line["rtol"] = relative
    if case.atol is not None:
        line["atol"] = case.atol
    return Outcome(case, line, refusal, disagreement, source, is_confirmed)


def render(outcomes: list[Outcome]) -> str:
    lines = [json.dumps(outcome.line, separators=(",", ":")) for outcome in outcomes if outcome.line]
    return "".join(f"{line}\n" for line in lines)


def render_refusals(outcomes: list[Outcome]) -> str:
    refused = [outcome for outcome in outcomes if outcome.refusal]
    lines = [
        f"{outcome.case.op} {outcome.case.opset}, {outcome.case.name}: from {outcome.source}: {outcome.refusal}\n"
        for outcome in refused
    ]
    return f"What {ENGINE} refuses, and where the expected values come from instead.\n\n" + "".join(lines)


# Reports


def summary(outcomes: list[Outcome]) -> str:
    counts = Counter((outcome.case.op, outcome.case.opset) for outcome in outcomes if outcome.line)
    by_op: dict[str, list[str]] = {}
    for (op, opset), count in counts.items():
        by_op.setdefault(op, []).append(f"{opset}: {count}")
    rows = [f"{op:26} {', '.join(parts)}" for op, parts in by_op.items()]
    sources = Counter(outcome.source for outcome in outcomes)
    rows.append(f"{sum(counts.values())} cases, {len(by_op)} operators and pieces, {len(counts)} versions")
    rows += [f"from {source}: {count}" for source, count in sorted(sources.items())]
    confirmed = Counter(outcome.is_confirmed for outcome in outcomes if outcome.source == ENGINE)
    rows.append(
        f"the reference agrees: {confirmed[True]}, disagrees: {confirmed[False]}, has no answer: {confirmed[None]}"
    )
    return "\n".join(rows)


def disagreements(outcomes: list[Outcome], is_whole: bool) -> list[str]:
    """Where the engines disagree. What has no explanation, and an explanation of nothing, comes with an exclamation."""
    rows = []
    unused = set(DIFFERENCES) if is_whole else set()
    for outcome in outcomes:
        if not outcome.disagreement:
            continue
        why = explanation(outcome.case)
        unused -= {why}
        text = why.why if why else "NOT EXPLAINED!"
        rows.append(f"{outcome.case.op} {outcome.case.opset}, {outcome.case.name}: {outcome.disagreement}: {text}")
    return rows + [f"{difference.ops}, {difference.names}: NO DISAGREEMENT!" for difference in unused]


def check(outcomes: list[Outcome]) -> list[str]:
    """What in the files is not as it would be written; expected values may differ within their tolerance."""
    problems = []
    if REFUSED_FILE.read_text() != render_refusals(outcomes):
        problems.append(f"{REFUSED_FILE.name} differs")
    written = [json.loads(line) for line in CASES_FILE.read_text().splitlines()]
    made = [outcome.line for outcome in outcomes if outcome.line]
    if len(written) != len(made):
        return [*problems, f"{len(written)} cases are written, {len(made)} would be"]
    for old, new in zip(written, made, strict=True):
        label = f"{new['op']} {new['opset']}, {new['case']}"
        if {**old, "outputs": []} != {**new, "outputs": []}:
            problems.append(f"{label}: differs")
            continue
        for left, right in zip(old["outputs"], new["outputs"], strict=True):
            a, b = (TensorProto.FromString(base64.b64decode(text)) for text in (left, right))
            is_exact = a.data_type not in TOLERANCES
            limits = (0.0, 0.0) if is_exact else (new.get("rtol", DEFAULT_TOLERANCE), new.get("atol", 0.0))
            apart = difference(numpy_helper.to_array(a), numpy_helper.to_array(b), *limits)
            if a.data_type != b.data_type or apart:
                problems.append(f"{label}: {apart or 'another type'}")
    return problems


def main() -> int:
    onnxruntime.set_default_logger_severity(4)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the files in place of writing them")
    parser.add_argument("--op", action="append", help="only show what becomes of this operator's cases")
    arguments = parser.parse_args()
    outcomes = []
    names: set[tuple[str, int, str]] = set()
    for case in all_cases(arguments.op or list(BUILDERS)):
        label = (case.op, case.opset, case.name)
        if label in names:
            raise ValueError(f"{label} is there twice")
        names.add(label)
        try:
            outcomes.append(compute(case))
        except Exception as error:
            raise RuntimeError(f"{case.op} {case.opset}, {case.name}") from error
    if arguments.check:
        problems = check(outcomes)
        same = CASES_FILE.read_text() == render(outcomes)
        print("\n".join(problems) or ("the same, byte for byte" if same else "the same within tolerances"))
        return 1 if problems else 0
    print(render_refusals(outcomes))
    print(f"Where {REFERENCE} computes something else:\n")
    print("\n".join(disagreements(outcomes, not arguments.op)), end="\n\n")
    print(summary(outcomes))
    text = render(outcomes)
    print(f"{len(text)} bytes")
    if len(text) > SIZE_LIMIT:
        print(f"more than {SIZE_LIMIT} bytes")
        return 1
    if not arguments.op:
        CASES_FILE.write_text(text)
        REFUSED_FILE.write_text(render_refusals(outcomes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
