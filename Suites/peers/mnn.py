#!/usr/bin/env python3
"""MNN as a worker of Pacer, in full precision. Its model is made here, from the ONNX file, by its own converter."""
import json
import os
import sys

# This script has the engine's name: without its folder off the path it would import itself.
folder = os.path.dirname(os.path.abspath(__file__))
sys.path = [os.path.join(folder, "lib")] + [path for path in sys.path if path != folder]
from pacer_worker import Skip, artefact, serve


def load():
    import MNN
    import numpy
    from MNN import expr
    # The converter without the module around it: `MNN.tools` installs a package of its own accord, to report its use.
    from _tools import mnnconvert

    # MNN computes whole numbers and truth values in 32 bits.
    kinds = {"f4": expr.float, "u1": expr.uint8, "i4": expr.int}
    narrower = {"i8": "i4", "b1": "i4", "f8": "f4"}

    def variable(array):
        array = array.astype(narrower.get(array.dtype.str[1:], array.dtype))
        if array.dtype.str[1:] not in kinds:
            raise Skip(f"MNN takes no input of {array.dtype.name}")
        return expr.const(array, list(array.shape), expr.NCHW, kinds[array.dtype.str[1:]])

    def prepare(configuration, onnx, feed):
        inputs = [variable(array) for array in feed.values()]
        def list_outputs(path):
            import onnx as format
            graph = format.load(onnx, load_external_data=False).graph
            with open(path, "w") as file:
                json.dump([value.name for value in graph.output], file)

        # Kept too: reading the whole model would count as MNN's memory.
        with open(artefact(onnx, "mnn", MNN.version(), ".json", list_outputs)) as file:
            outputs = json.load(file)
        path = artefact(onnx, "mnn", MNN.version(), ".mnn", lambda path: mnnconvert(
            ["mnnconvert", "-f", "ONNX", "--modelFile", onnx, "--MNNModel", path, "--bizCode", "pacer"]))
        # "normal" precision may be lower than float32; one inference at a time, as fast as it goes.
        manager = MNN.nn.create_runtime_manager(({
            "backend": "CPU", "precision": "high", "power": "high", "memory": "normal",
            "numThread": configuration["threads"]},))
        net = MNN.nn.load_module_from_file(path, list(feed), outputs, runtime_manager=manager, shape_mutable=False)

        # The manager lives as long as the function.
        def infer(kept=manager):
            # Reading is what waits for the result.
            return [numpy.array(output.read()) for output in net.forward(inputs)]

        return infer, "cpu"

    return MNN.version(), prepare


serve("mnn", load)
