#!/usr/bin/env python3
"""OpenVINO as a worker of Pacer."""
import os
import sys

# This script has the engine's name: without its folder off the path it would import itself.
folder = os.path.dirname(os.path.abspath(__file__))
sys.path = [os.path.join(folder, "lib")] + [path for path in sys.path if path != folder]
from pacer_worker import serve


def load():
    import openvino

    def prepare(configuration, onnx, feed):
        if configuration["precision"] == "int8":
            from int8 import quantized
            onnx = quantized(onnx, feed, openvino.__version__.split("-")[0])
        # Its kernels are oneDNN's, which look when the first of them is made.
        if configuration.get("isa"):
            os.environ["ONEDNN_MAX_CPU_ISA"] = configuration["isa"].upper()
        core = openvino.Core()
        # One inference at a time, as fast as it goes. The default precision may be lower than float32.
        compiled = core.compile_model(onnx, "CPU", {
            "CACHE_DIR": os.path.join(os.path.dirname(onnx), f"openvino-{openvino.__version__}"),
            "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": str(configuration["threads"])})
        request = compiled.create_infer_request()
        for name, array in feed.items():
            request.set_tensor(name, openvino.Tensor(array, shared_memory=True))
        outputs = range(len(compiled.outputs))

        # The tensors look into the arrays: these live as long as the function.
        def infer(kept=feed):
            request.infer(share_outputs=True)
            return [request.get_output_tensor(i).data for i in outputs]

        return infer, "cpu"

    return openvino.__version__.split("-")[0], prepare


serve("openvino", load, isas=("avx2",), precisions=("fp32", "int8"))
