#!/usr/bin/env python3
"""ONNX Runtime as a worker of Pacer."""
import os
import sys

# This script has the engine's name: without its folder off the path it would import itself.
folder = os.path.dirname(os.path.abspath(__file__))
sys.path = [os.path.join(folder, "lib")] + [path for path in sys.path if path != folder]
from pacer_worker import serve


def load():
    import numpy
    import onnxruntime

    def prepare(configuration, files):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = configuration["threads"]
        options.inter_op_num_threads = 1
        # Its threads spin within an inference, not after it.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        session = onnxruntime.InferenceSession(files["onnx"], options, providers=["CPUExecutionProvider"])
        node = session.get_inputs()[0]
        feed = {node.name: numpy.fromfile(files["input"], dtype="<f4").reshape(node.shape)}
        return lambda: session.run(None, feed)[0], "cpu"

    return onnxruntime.__version__, prepare


serve("onnxruntime", load)
