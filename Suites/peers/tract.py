#!/usr/bin/env python3
"""tract as a worker of Pacer. It computes on one thread."""
import os
import sys

# This script has the engine's name: without its folder off the path it would import itself.
folder = os.path.dirname(os.path.abspath(__file__))
sys.path = [os.path.join(folder, "lib")] + [path for path in sys.path if path != folder]
from pacer_worker import Skip, serve


def load():
    import tract

    def prepare(configuration, onnx, feed):
        if configuration["threads"] != 1:
            raise Skip("tract computes on one thread")
        runnable = tract.onnx().load(onnx).into_model().into_runnable()
        inputs = [tract.Tensor.from_numpy(array) for array in feed.values()]
        return lambda: [output.to_numpy() for output in runnable.run(inputs)], "cpu"

    return tract.version(), prepare


serve("tract", load)
