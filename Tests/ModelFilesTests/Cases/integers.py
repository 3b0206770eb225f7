#!/usr/bin/env python3
"""Holds integer convolutions and products against the exact result, engine by engine, and counts what differs.

python integers.py BENCH_SUITE [--emulated PROCESSOR ...]

The exact result is the definition's: the sum of products in integers, times one float32 factor, rounded to the nearest
integer, halves to the even one, moved by the zero point, and held within a byte. Pacer has to give it to the bit on
each instruction set that this machine has. ONNX's reference evaluator and ONNX Runtime are counted: on this processor,
and on emulated ones, whose kernels add up two products in 16 bits.

Exit status: 0 where Pacer is exact, 1 where it is not.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

# Images, channels, height, width, outputs, kernel, stride, padding, groups.
CONVOLUTIONS = [
    (1, 3, 9, 11, 8, 3, 1, 1, 1), (1, 64, 5, 5, 32, 1, 1, 0, 1), (1, 16, 7, 7, 19, 3, 2, 1, 1),
    (1, 128, 4, 4, 64, 3, 1, 1, 1), (1, 24, 8, 8, 24, 3, 1, 1, 24), (2, 6, 7, 5, 9, 3, 1, 1, 3),
    (1, 3, 15, 15, 16, 7, 2, 3, 1),
]
# Rows, depth, columns.
PRODUCTS = [(5, 64, 33), (1, 1000, 10), (17, 96, 64)]
# Which bytes there are. Those of `small` weights are within ±64, of which two products fit into 16 bits.
KINDS = ["random", "extreme", "small"]


def draw(rng, shape, low, high, extreme):
    values = rng.choice([low, high], size=shape) if extreme else rng.integers(low, high + 1, size=shape)
    return values.astype(np.uint8 if low >= 0 else np.int8)


def rounded(sums, factor, zero):
    """What int32 sums become: one float32 product for each, halves to even."""
    real = sums.astype(np.float32) * factor.astype(np.float32)
    return np.clip(np.rint(real) + zero, 0, 255).astype(np.uint8)


def convolution(x, w, stride, padding, groups):
    """Sums of products in 64-bit integers."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    images, channels, height, width = x.shape
    outputs, depth, kernel, _ = w.shape
    rows, columns = (height - kernel) // stride + 1, (width - kernel) // stride + 1
    sums = np.zeros((images, outputs, rows, columns), np.int64)
    for output in range(outputs):
        first = output // (outputs // groups) * depth
        for y in range(kernel):
            for place in range(kernel):
                part = x[:, first : first + depth, y : y + stride * rows : stride, place : place + stride * columns : stride]
                sums[:, output] += np.einsum("nchw,c->nhw", part[:, :, :rows, :columns], w[output, :, y, place])
    return sums


def cases():
    for number, sizes in enumerate(CONVOLUTIONS + PRODUCTS):
        for kind in KINDS:
            rng = np.random.default_rng(number * 10 + KINDS.index(kind))
            limit = 64 if kind == "small" else 127
            x_scale, x_zero = np.float32(0.02), np.uint8([0, 255, 117][number % 3])
            y_zero = np.uint8([128, 0, 77][number % 3])
            if len(sizes) == 9:
                images, channels, height, width, outputs, kernel, stride, padding, groups = sizes
                depth = channels // groups * kernel * kernel
                x = draw(rng, (images, channels, height, width), 0, 255, kind == "extreme")
                w = draw(rng, (outputs, channels // groups, kernel, kernel), -limit, limit, kind == "extreme")
                w_scale = (0.002 + 0.0001 * np.arange(outputs)).astype(np.float32)
                bias = rng.integers(-9999, 10000, size=outputs).astype(np.int32)
                sums = convolution(x.astype(np.int64) - int(x_zero), w.astype(np.int64), stride, padding, groups)
                sums += bias.astype(np.int64)[None, :, None, None]
                op, attributes = "QLinearConv", {"strides": [stride] * 2, "pads": [padding] * 4, "group": groups}
                shape_of_factor = (1, outputs, 1, 1)
            else:
                rows, depth, columns = sizes
                x = draw(rng, (rows, depth), 0, 255, kind == "extreme")
                w = draw(rng, (depth, columns), -limit, limit, kind == "extreme")
                w_scale, bias, shape_of_factor = np.float32([0.003]), None, (1, 1)
                sums = (x.astype(np.int64) - int(x_zero)) @ w.astype(np.int64)
                op, attributes = "QLinearMatMul", {}
            y_scale = np.float32(x_scale * w_scale.mean() * max(np.abs(sums).max(), 1) / 200)
            # As float32 computes it: what the sums are multiplied by is rounded once for each of its steps.
            factor = (x_scale * w_scale) / y_scale
            exact = rounded(sums, factor.reshape(shape_of_factor), int(y_zero))
            names = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"] + (["b"] if bias is not None else [])
            per_channel = bias is not None
            constants = [
                ("xs", x_scale), ("xz", x_zero), ("w", w), ("ws", w_scale if per_channel else w_scale[0]),
                ("wz", np.zeros(len(w_scale) if per_channel else (), np.int8)), ("ys", y_scale), ("yz", y_zero),
            ] + ([("b", bias)] if per_channel else [])
            graph = helper.make_graph(
                [helper.make_node(op, names, ["y"], **attributes)], op,
                [helper.make_tensor_value_info("x", TensorProto.UINT8, x.shape)],
                [helper.make_tensor_value_info("y", TensorProto.UINT8, exact.shape)],
                [numpy_helper.from_array(np.asarray(value), name) for name, value in constants],
            )
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9)
            yield f"{op} {'x'.join(map(str, sizes))} {kind}", model, x, exact


def counted(found, exact):
    """How many differ, of how many, and by how much at most."""
    off = np.abs(found.astype(int) - exact.astype(int))
    return int((off > 0).sum()), off.size, int(off.max())


def onnx_runtime():
    """For each case what ONNX Runtime gives, of what stands on the input: printed for whoever asked."""
    import onnxruntime

    for name, model, x, exact in cases():
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        print(json.dumps([name, *counted(session.run(None, {"x": x})[0], exact)]))


def table(title, rows):
    by_kind = {}
    for name, differing, count, most in rows:
        entry = by_kind.setdefault((name.split()[0], name.split()[-1]), [0, 0, 0])
        by_kind[(name.split()[0], name.split()[-1])] = [entry[0] + differing, entry[1] + count, max(entry[2], most)]
    print(f"\n{title}\n")
    print("| op            | bytes   | differ       | at most |\n| ------------- | ------- | -----------: | ------: |")
    for (op, kind), (differing, count, most) in by_kind.items():
        print(f"| {op:13} | {kind:7} | {f'{differing} of {count}':>12} | {most:7} |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bench_suite", nargs="?")
    parser.add_argument("--emulated", action="append", default=[])
    parser.add_argument("--onnx-runtime", action="store_true")
    arguments = parser.parse_args()
    if arguments.onnx_runtime:
        return onnx_runtime()
    sets = subprocess.run([arguments.bench_suite, "list", "backends"], capture_output=True, text=True).stdout
    sets = next(line for line in sets.splitlines() if line.startswith("instruction sets: "))[18:].split(", ")
    failed, reference = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, model, x, exact in cases():
            place = pathlib.Path(folder) / name.replace(" ", "-")
            data = place / "test_data_set_0"
            data.mkdir(parents=True)
            onnx.save(model, place / "model.onnx")
            (data / "input_0.pb").write_bytes(numpy_helper.from_array(x, "x").SerializeToString())
            (data / "output_0.pb").write_bytes(numpy_helper.from_array(exact, "y").SerializeToString())
            reference.append([name, *counted(ReferenceEvaluator(model).run(None, {"x": x})[0], exact)])
        for isa in sets:
            run = subprocess.run(
                [arguments.bench_suite, "verify", folder, "--isa", isa, "--rtol", "0", "--atol", "0"], capture_output=True,
                text=True)
            print(f"Pacer, {isa}: {'not ' if run.returncode else ''}exact in all of {len(reference)} cases")
            if run.returncode:
                failed.append(isa)
                print(run.stdout + run.stderr)
    table("ONNX's reference evaluator", reference)
    own = [sys.executable, __file__, "--onnx-runtime"]
    for title, prefix in [("ONNX Runtime, here", [])] + [
        (f"ONNX Runtime, on an emulated {name}", ["qemu-x86_64", "-cpu", name]) for name in arguments.emulated
    ]:
        run = subprocess.run(prefix + own, capture_output=True, text=True)
        if run.returncode:
            print(f"\n{title}: not run: {(run.stderr.strip().splitlines() or ['it failed'])[-1]}")
        else:
            table(title, [json.loads(line) for line in run.stdout.splitlines()])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
