#!/usr/bin/env python3
"""Holds what `bench-suite export` writes against ONNX Runtime: each case of ops.jsonl is read, written and run there.

`roundtrip.py PROGRAM` prints what disagrees and ends with 1 where something does; `--op NAME` runs one operator's.
"""

import argparse
import base64
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, numpy_helper

CASES = Path(__file__).resolve().parent / "ops.jsonl"
# ONNX Runtime's Python does not take these.
UNUSUAL = {TensorProto.BFLOAT16, TensorProto.INT4, TensorProto.UINT4}
# What a case allows where engines sum in another order, at least.
RTOL = {np.dtype(np.float16): 4e-3}


def tensors(texts: list[str]) -> list[TensorProto]:
    result = []
    for text in texts:
        tensor = TensorProto()
        tensor.ParseFromString(base64.b64decode(text))
        result.append(tensor)
    return result


def session(path: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def difference(found: np.ndarray, expected: np.ndarray, case: dict) -> str | None:
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return f"{found.dtype} {found.shape}, not {expected.dtype} {expected.shape}"
    if expected.dtype.kind != "f":
        return None if np.array_equal(found, expected) else "another integer"
    a, b = found.astype(np.float64), expected.astype(np.float64)
    largest = np.abs(b[np.isfinite(b)]).max(initial=0)
    allowed = max(case.get("rtol", 1e-5), RTOL.get(expected.dtype, 2e-5)) * largest + case.get("atol", 1e-7)
    with np.errstate(invalid="ignore"):
        same = (a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= allowed)
    return None if same.all() else f"{a[~same][0]}, not {b[~same][0]}"


def shapes(model: Path, inputs: list[TensorProto]) -> list[str]:
    """The option that fixes the inputs' shapes, where the model leaves one open."""
    ports = onnx.load(str(model)).graph.input
    if all(extent.HasField("dim_value") for port in ports for extent in port.type.tensor_type.shape.dim):
        return []
    return ["--shape", "+".join(f"{tensor.name}={'x'.join(map(str, tensor.dims))}" for tensor in inputs)]


def run(case: dict, program: str, folder: Path) -> tuple[str, str]:
    """What became of a case, and why."""
    inputs, outputs = tensors(case["inputs"]), tensors(case["outputs"])
    if any(tensor.data_type in UNUSUAL for tensor in inputs + outputs):
        return "not run", "types that ONNX Runtime's Python does not take"
    model, written = folder / "model.onnx", folder / "written.onnx"
    model.write_bytes(base64.b64decode(case["model"]))
    command = [program, "export", model, "--output", written, *shapes(model, inputs)]
    export = subprocess.run(command, capture_output=True, text=True)
    if export.returncode:
        return "not exported", export.stderr.strip()
    try:
        onnx.checker.check_model(str(written), full_check=True)
    except Exception as error:
        return "invalid", str(error).splitlines()[0]
    try:
        engine = session(str(written))
        found = engine.run(None, {tensor.name: numpy_helper.to_array(tensor) for tensor in inputs})
    except Exception as error:
        # Where it refuses the case itself, too, that says nothing.
        refused = not case["from"].startswith("onnxruntime") or "NOT_IMPLEMENTED" in str(error)
        return ("not run" if refused else "failed"), str(error).splitlines()[0]
    if len(found) != len(outputs):
        return "differs", f"{len(found)} outputs, not {len(outputs)}"
    for place, (value, tensor) in enumerate(zip(found, outputs)):
        reason = difference(value, numpy_helper.to_array(tensor), case)
        if reason:
            return "differs", f"output {place}: {reason}"
    return "agrees", ""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("program", help="bench-suite")
    options.add_argument("--op")
    arguments = options.parse_args()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for line in CASES.read_text().splitlines():
            case = json.loads(line)
            if arguments.op and case["op"] != arguments.op:
                continue
            outcome, reason = run(case, arguments.program, Path(folder))
            counts[outcome] += 1
            if outcome not in ("agrees", "not run"):
                print(f"{outcome}: {case['op']} {case['opset']}, {case['case']}: {reason}")
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.most_common()))
    return 1 if counts["differs"] + counts["failed"] + counts["invalid"] else 0


if __name__ == "__main__":
    sys.exit(main())
