#!/usr/bin/env python3
"""tract as a worker of Pacer. It computes on one thread."""
import os
import sys

# This script has the engine's name: without its folder off the path it would import itself.
folder = os.path.dirname(os.path.abspath(__file__))
sys.path = [os.path.join(folder, "lib")] + [path for path in sys.path if path != folder]
from pacer_worker import Skip, serve


def load():
    import numpy
    import onnx
    import tract

    def prepare(configuration, files):
        if configuration["threads"] != 1:
            raise Skip("tract computes on one thread")
        runnable = tract.onnx().load(files["onnx"]).into_model().into_runnable()
        graph = onnx.load(files["onnx"], load_external_data=False).graph
        shape = [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim]
        image = tract.Tensor.from_numpy(numpy.fromfile(files["input"], dtype="<f4").reshape(shape))
        return lambda: runnable.run([image])[0].to_numpy(), "cpu"

    return tract.version(), prepare


serve("tract", load)
