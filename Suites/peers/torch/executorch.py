#!/usr/bin/env python3
"""ExecuTorch as a worker of Pacer, with XNNPACK. Its program is made here, from the ONNX file."""
import os
import sys

# This script has the engine's name: without its folder off the path it would import itself.
folder = os.path.dirname(os.path.abspath(__file__))
sys.path = [os.path.join(folder, "lib"), os.path.join(folder, "..", "lib")] + [p for p in sys.path if p != folder]
from pacer_worker import apart, artefact, serve


def export(onnx, feed, program):
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from graph_module import rebuild

    exported = torch.export.export(rebuild(onnx), tuple(torch.from_numpy(array) for array in feed.values()))
    lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    with open(program, "wb") as file:
        lowered.to_executorch().write_to_file(file)


def load():
    import executorch.version
    # First: it loads the libraries that the runtime is linked with. `executorch.runtime` wraps the same functions, and
    # takes six seconds of imports for a warning that they are experimental.
    import torch
    from executorch.extension.pybindings import _C as runtime
    from graph_module import settle

    version = executorch.version.__version__.split("+")[0]

    def prepare(configuration, onnx, feed):
        settle(configuration)
        # It takes half a minute.
        program = artefact(onnx, "executorch", version, ".pte", lambda path: apart(export, onnx, feed, path))
        # The pool has as many threads as there are processors, whatever the affinity or OMP_NUM_THREADS, and this
        # alone changes it, before a program is loaded.
        runtime._unsafe_reset_threadpool(configuration["threads"])
        module = runtime._load_for_executorch(program)
        inputs = [torch.from_numpy(array) for array in feed.values()]
        return lambda: [output.numpy() for output in module.forward(inputs)], "cpu"

    return version, prepare


serve("executorch", load, is_debug_build=lambda: bool(getattr(sys.modules["torch"].version, "debug", False)))
