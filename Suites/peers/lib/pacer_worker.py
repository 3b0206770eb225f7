"""Pacer's worker protocol, for engines with a Python interface: one job (JSON) on standard input, JSON lines out.

A peer is a script that calls `serve` with its name and a function that loads the engine. What it imports is in
requirements.txt in its folder, and installed into .venv there.
"""
import base64
import hashlib
import json
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time

# The protocol keeps a descriptor of its own; whatever a library prints goes to standard error.
lines = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)


def emit(kind, **fields):
    lines.write(json.dumps({"kind": kind, **fields}) + "\n")


class Skip(Exception):
    """The configuration cannot run here; the text says why."""


def artefact(onnx, engine, version, ending, make):
    """
    The path of what an engine compiled from a model: made by `make(path)` where no earlier process of this version did, so
    that a slow start is paid for once. It lies beside the model, whose folder is that of one content.
    """
    # What converts counts too: this script, and the packages that it names.
    made_by = hashlib.sha256()
    for name in (sys.argv[0], os.path.join(os.path.dirname(sys.argv[0]), "requirements.txt")):
        with open(name, "rb") as file:
            made_by.update(file.read())
    path = os.path.join(os.path.dirname(onnx), f"{engine}-{version}-{made_by.hexdigest()[:8]}{ending}")
    if not os.path.exists(path):
        # Elsewhere until it is whole: another process may be making it too, and then one of both is as good.
        with tempfile.TemporaryDirectory(dir=os.path.dirname(onnx)) as made:
            part = os.path.join(made, f"part{ending}")
            make(part)
            try:
                os.replace(part, path)
            except OSError:
                if not os.path.exists(path):
                    raise
    return path


def digest(feed, *files):
    """Of inputs, and of files that count too: for the name of an artefact that was made with them."""
    made_with = hashlib.sha256()
    for name in files:
        with open(name, "rb") as file:
            made_with.update(file.read())
    for name, array in sorted(feed.items()):
        made_with.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return made_with.hexdigest()[:12]


def _answer(function, arguments, done):
    try:
        done.send((function(*arguments), None))
    except Exception as error:
        # Not every library's exception survives a pipe.
        done.send((None, error if isinstance(error, Skip) else RuntimeError(f"{type(error).__name__}: {error}")))


def apart(function, *arguments):
    """What a function returns, run in a process of its own: what it needs is not the engine's memory."""
    fork = multiprocessing.get_context("fork")
    outcome, done = fork.Pipe(duplex=False)
    child = fork.Process(target=_answer, args=(function, arguments, done))
    child.start()
    done.close()
    try:
        value, error = outcome.recv()
    except EOFError:
        child.join()
        raise RuntimeError(f"{function.__name__} ended with {child.exitcode}") from None
    child.join()
    if error is not None:
        raise error
    return value


def peak_resident():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                emit("metric", name="peak-resident", value=int(line.split()[1]) * 1024)


def feed(files):
    """The inputs by name, in the model's order, as arrays of the types that it declares."""
    if "inputs" not in files:
        return {}
    import numpy
    with open(files["inputs"]) as file:
        return {entry["name"]: numpy.fromfile(entry["file"], dtype=entry["type"]).reshape(entry["shape"])
                for entry in json.load(file)}


def warm_up(run, wanted):
    """Until the median of five inferences agrees with that of the five before, or half a second is over."""
    first = run()
    warm = []
    steady = False
    if wanted is not None:
        warm = [run() for _ in range(wanted)]
    else:
        while not steady and first + sum(warm) < 5e8:
            warm.append(run())
            if len(warm) >= 10:
                last, before = statistics.median(warm[-5:]), statistics.median(warm[-10:-5])
                steady = abs(last - before) <= 0.02 * before
    return {"firstInferenceNs": first, "iterations": len(warm), "timeNs": sum(warm), "steady": steady}, warm


# Axes that are obeyed, or whose choice is in the files.
AXES = {"model", "engine", "backend", "device", "precision", "threads", "isa", "shape", "weights", "input"}


def processors():
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def work(name, load, backends, isas, precisions, is_debug_build):
    job = json.loads(sys.stdin.readline())
    # A choice that is missing is the axis's standard one.
    configuration = {"backend": "cpu", "precision": "fp32", "threads": 1, **job.get("configuration", {})}
    start = time.perf_counter_ns()
    try:
        version, prepare = load()
    except ImportError as error:
        emit("hello", engine=name, version="none", protocol=2)
        folder = os.path.relpath(os.path.dirname(os.path.abspath(sys.argv[0])))
        with open(f"{folder}/requirements.txt") as file:
            option = "--no-deps " if "--no-deps" in file.readline() else ""
        return emit("skipped", reason=f"{error}; install with: python3 -m venv {folder}/.venv && "
                    f"{folder}/.venv/bin/pip install {option}-r {folder}/requirements.txt")
    emit("hello", engine=name, version=version, protocol=2, interleaves=True, obeysSlowdown=True,
         isDebugBuild=hasattr(sys, "gettotalrefcount") or is_debug_build())
    if job["action"] == "idle":
        return peak_resident()
    if job["action"] not in ("inspect", "latency"):
        return emit("skipped", reason=f"{name} is not asked for {job['action']} here")
    unknown = sorted(set(configuration) - AXES)
    if unknown:
        return emit("skipped", reason=f"{name} knows no {', '.join(unknown)}")
    if configuration["backend"] not in backends:
        return emit("skipped", reason=f"{name} is compared on {' and '.join(backends)}, not on {configuration['backend']}")
    if configuration["precision"] not in precisions:
        return emit("skipped", reason=f"{name} is compared in {' and '.join(precisions)}, not in {configuration['precision']}")
    if configuration.get("isa") not in (None, *isas):
        return emit("skipped", reason=f"{name} cannot be held to {configuration['isa']}")
    loaded = time.perf_counter_ns()
    try:
        infer, device = prepare(configuration, job["files"].get("onnx"), feed(job["files"]))
    except Skip as reason:
        return emit("skipped", reason=str(reason))
    prepared = time.perf_counter_ns()
    emit("prepared", loadNs=loaded - start, prepareNs=prepared - loaded, kernels={name: 1}, device=device)

    if job["action"] == "inspect":
        threads = configuration["threads"]
        if threads > processors():
            emit("note", text=f"{threads} threads share {processors()} processor{'s' if processors() > 1 else ''}")
        outputs = infer()
        # How fast it is, for the runner to choose how many iterations make a slice.
        steady = []
        while len(steady) < 3 or len(steady) < 50 and sum(steady) < 5e7:
            begin = time.perf_counter_ns()
            infer()
            steady.append(time.perf_counter_ns() - begin)
        emit("metric", name="steady-latency", value=min(steady))
        for output in outputs if isinstance(outputs, (list, tuple)) else [outputs]:
            data = base64.b64encode(output.astype("<f4").tobytes()).decode()
            emit("output", shape=list(output.shape), data=data)
        return

    # A share by which every inference is made longer, to see what a comparison would find.
    longer = 1 + (job.get("slowdown") or 0)

    def run():
        begin = time.perf_counter_ns()
        infer()
        elapsed = time.perf_counter_ns() - begin
        if longer > 1:
            end = begin + int(elapsed * longer)
            while elapsed < end - begin:
                elapsed = time.perf_counter_ns() - begin
        return max(elapsed, 1)

    if job.get("processors"):
        for task in os.listdir("/proc/self/task"):
            os.sched_setaffinity(int(task), job["processors"])
    cpu, faults, timed = 0.0, 0, 0

    def measure(count, least=0):
        nonlocal cpu, faults, timed
        before = resource.getrusage(resource.RUSAGE_SELF)
        latencies = [run() for _ in range(count)]
        spent = sum(latencies)
        while spent < least:
            latencies.append(run())
            spent += latencies[-1]
        after = resource.getrusage(resource.RUSAGE_SELF)
        cpu += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        faults += after.ru_minflt - before.ru_minflt
        timed += len(latencies)
        emit("sample", latenciesNs=latencies)

    interleaved = job.get("interleaved")
    if interleaved:
        # A line on standard input starts the warm-up, and each one after it a slice.
        emit("ready")
        if not sys.stdin.readline():
            return
    warmed, warm = warm_up(run, job.get("warmup"))
    emit("warmed", **warmed)
    if interleaved:
        while sys.stdin.readline():
            measure(job["iterations"])
    elif job.get("iterations"):
        measure(job["iterations"])
    else:
        typical = max(min(warm[-5:] or [warmed["firstInferenceNs"]]), 1)
        measure(max(1, int(job["minSeconds"] * 1e9 / typical)), job["minSeconds"] * 1e9)
    if timed:
        emit("metric", name="cpu-time", value=cpu * 1e9 / timed)
        emit("metric", name="minor-faults", value=faults / timed)
    peak_resident()


def serve(name, load, backends=("cpu",), isas=(), precisions=("fp32",), is_debug_build=lambda: False):
    """
    load: imports the engine and returns its version and `prepare(configuration, onnx, feed)`, which gets the path of the model
    and its inputs as arrays by name, and returns a function that infers once and gives the outputs as arrays in the model's
    order, and the device's name; raises ImportError where the engine is missing.
    isas: instruction sets it can be held to, where `prepare` does that.
    precisions: those that it is compared in, where `prepare` obeys them.
    is_debug_build: whether the engine was built without optimisation; asked after it was loaded.
    """
    try:
        work(name, load, backends, isas, precisions, is_debug_build)
    except Exception as error:  # the runner shows the reason as this run's failure
        emit("failed", reason=f"{type(error).__name__}: {error}")
        sys.exit(1)
