#!/usr/bin/env python3
"""ONNX Runtime as a worker of Pacer: one job (JSON) on standard input, JSON lines on standard output.

Needs onnxruntime==1.31.1 and numpy, in Suites/peers/.venv or in the python3 that is found:
  python3 -m venv Suites/peers/.venv && Suites/peers/.venv/bin/pip install onnxruntime==1.31.1 numpy
"""
import base64
import json
import os
import resource
import statistics
import sys
import time

# This script has the engine's name: without this line it would import itself.
sys.path.remove(os.path.dirname(os.path.abspath(__file__)))

# The protocol keeps a descriptor of its own; whatever a library prints goes to standard error.
lines = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)


def emit(kind, **fields):
    lines.write(json.dumps({"kind": kind, **fields}) + "\n")


def peak_resident():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                emit("figure", name="peak-resident", value=int(line.split()[1]) * 1024)


def main():
    job = json.loads(sys.stdin.readline())
    start = time.perf_counter_ns()
    try:
        import numpy
        import onnxruntime
    except ImportError as error:
        emit("hello", engine="onnxruntime", version="none", protocol=1)
        emit("skipped", reason=f"{error}; install with: python3 -m venv Suites/peers/.venv && "
             "Suites/peers/.venv/bin/pip install onnxruntime==1.31.1 numpy")
        return
    emit("hello", engine="onnxruntime", version=onnxruntime.__version__, protocol=1, takesTurns=True)
    if job["action"] == "idle":
        return peak_resident()
    cell = job["cell"]
    threads = cell["threads"]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    loaded = time.perf_counter_ns()
    session = onnxruntime.InferenceSession(job["files"]["onnx"], options, providers=["CPUExecutionProvider"])
    prepared = time.perf_counter_ns()
    node = session.get_inputs()[0]
    data = numpy.fromfile(job["files"]["input"], dtype="<f4").reshape(node.shape)
    feed = {node.name: data}
    emit("prepared", loadTime=loaded - start, optimiseTime=0, prepareTime=prepared - loaded, passes=[],
         kernels={"onnxruntime": 1}, device="cpu")

    def run():
        begin = time.perf_counter_ns()
        result = session.run(None, feed)
        return time.perf_counter_ns() - begin, result

    if job["action"] == "counts":
        output = numpy.ascontiguousarray(run()[1][0], dtype="<f4")
        emit("output", shape=list(output.shape), data=base64.b64encode(output.tobytes()).decode())
        return

    def warm_up():
        first = run()[0]
        warm = []
        steady = False
        if job.get("warmup") is not None:
            warm = [run()[0] for _ in range(job["warmup"])]
        else:
            while not steady and first + sum(warm) < 5e8:
                warm.append(run()[0])
                if len(warm) >= 10:
                    last, before = statistics.median(warm[-5:]), statistics.median(warm[-10:-5])
                    steady = abs(last - before) <= 0.02 * before
        return {"firstInference": first, "warmup": len(warm), "warmupTime": sum(warm), "steady": steady}, warm

    if job.get("processors"):
        for task in os.listdir("/proc/self/task"):
            os.sched_setaffinity(int(task), job["processors"])
    cpu, faults, timed = 0.0, 0, 0

    def measure(sample, count):
        nonlocal cpu, faults, timed
        before = resource.getrusage(resource.RUSAGE_SELF)
        latencies = [run()[0] for _ in range(count)]
        after = resource.getrusage(resource.RUSAGE_SELF)
        cpu += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        faults += after.ru_minflt - before.ru_minflt
        timed += count
        emit("sample", **sample, latencies=latencies)

    if job.get("takesTurns"):
        # A line on standard input is a turn; the first is the warm-up.
        if not sys.stdin.readline():
            return
        sample, _ = warm_up()
        emit("sample", **sample, latencies=[])
        while sys.stdin.readline():
            measure(sample, job["iterations"])
    else:
        sample, warm = warm_up()
        typical = max(min(warm[-5:] or [sample["firstInference"]]), 1)
        measure(sample, job.get("iterations") or max(1, min(20000, int(job["minTime"] * 1e9 / typical))))
    if timed:
        emit("figure", name="cpu-time", value=cpu * 1e9 / timed)
        emit("figure", name="minor-faults", value=faults / timed)
    peak_resident()


try:
    main()
except Exception as error:  # the runner shows the reason as this visit's failure
    emit("failed", reason=f"{type(error).__name__}: {error}")
    sys.exit(1)
