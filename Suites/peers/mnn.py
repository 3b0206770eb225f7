#!/usr/bin/env python3
"""MNN as a worker of Pacer, in full precision. Its model is made here, from the ONNX file, by its own converter."""
import os
import sys

# This script has the engine's name: without its folder off the path it would import itself.
folder = os.path.dirname(os.path.abspath(__file__))
sys.path = [os.path.join(folder, "lib")] + [path for path in sys.path if path != folder]
from pacer_worker import serve


def load():
    import MNN
    import numpy
    import onnx
    from MNN import expr
    # The converter without the module around it: `MNN.tools` installs a package of its own accord, to report its use.
    from _tools import mnnconvert

    def prepare(configuration, files):
        graph = onnx.load(files["onnx"], load_external_data=False).graph
        base = f"{files['onnx'][:-5]}.{os.getpid()}.mnn"
        try:
            mnnconvert(["mnnconvert", "-f", "ONNX", "--modelFile", files["onnx"], "--MNNModel", base, "--bizCode", "pacer"])
            # "normal" precision may be lower than float32; one inference at a time, as fast as it goes.
            manager = MNN.nn.create_runtime_manager(({
                "backend": "CPU", "precision": "high", "power": "high", "memory": "normal",
                "numThread": configuration["threads"]},))
            net = MNN.nn.load_module_from_file(
                base, [graph.input[0].name], [graph.output[0].name], runtime_manager=manager, shape_mutable=False)
        finally:
            if os.path.exists(base):
                os.remove(base)
        shape = [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim]
        image = numpy.fromfile(files["input"], dtype="<f4").reshape(shape)
        data = expr.const(image, shape, expr.NCHW)

        # The manager and the image live as long as the function.
        def infer(kept=(manager, image)):
            # Reading is what waits for the result.
            return numpy.array(net.forward(data).read())

        return infer, "cpu"

    return MNN.version(), prepare


serve("mnn", load)
