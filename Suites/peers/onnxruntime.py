#!/usr/bin/env python3
"""ONNX Runtime as a worker of Pacer."""
import os
import sys

# This script has the engine's name: without its folder off the path it would import itself.
folder = os.path.dirname(os.path.abspath(__file__))
sys.path = [os.path.join(folder, "lib")] + [path for path in sys.path if path != folder]
from pacer_worker import serve


def load():
    import onnxruntime

    def prepare(configuration, onnx, feed):
        if configuration["precision"] == "int8":
            from int8 import quantized
            onnx = quantized(onnx, feed, onnxruntime.__version__)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = configuration["threads"]
        options.inter_op_num_threads = 1
        # Its threads spin within an inference, not after it.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, feed), "cpu"

    return onnxruntime.__version__, prepare


serve("onnxruntime", load, precisions=("fp32", "int8"))
