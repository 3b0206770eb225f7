#!/usr/bin/env python3
"""MNN as a worker of Pacer, in full precision or int8. Its model is made here, from the ONNX file, by its own tools."""
import json
import os
import sys
import tempfile

# This script has the engine's name: without its folder off the path it would import itself.
folder = os.path.dirname(os.path.abspath(__file__))
sys.path = [os.path.join(folder, "lib")] + [path for path in sys.path if path != folder]
from pacer_worker import Skip, apart, artefact, digest, serve


def quantize(model, feed, path):
    """
    A copy of MNN's model with int8 activations, whose ranges are found on the inputs, and int8 weights with a scale for each
    channel. Its kernels compute integers whatever precision the runtime is asked for.
    """
    import numpy
    # Without the module around it, as the converter: that one also calls it with arguments that it does not take.
    from _tools import mnnquant

    for name, array in feed.items():
        if array.dtype.kind != "f":
            raise Skip(f"MNN's quantiser reads no input of {array.dtype.name}")
        if array.shape[:1] != (1,):
            raise Skip(f"MNN's quantiser finds ranges on one sample at a time; {name} has the shape {array.shape}")
    with tempfile.TemporaryDirectory() as made:
        shapes = [{"name": name, "shape": list(array.shape)} for name, array in feed.items()]
        for name, array in feed.items():
            text = f"{made}/samples/0/{name}.txt"
            os.makedirs(os.path.dirname(text), exist_ok=True)
            numpy.savetxt(text, array.reshape(-1, array.shape[-1]), fmt="%.9g")
        with open(f"{made}/samples/0/input.json", "w") as file:
            json.dump({"inputs": shapes}, file)
        with open(f"{made}/configuration.json", "w") as file:
            # ADMM finds the symmetric range of least squared error. KL, the default, asks for hundreds of samples, and can
            # cut off most of a single one; EMA, from smallest to largest value, computes ReLU after a sum wrongly.
            json.dump({
                "path": f"{made}/samples/", "used_sample_num": 1, "input_type": "sequence", "inputs": shapes,
                "feature_quantize_method": "ADMM", "weight_quantize_method": "MAX_ABS", "quant_bits": 8}, file)
        mnnquant(["mnnquant", model, path, f"{made}/configuration.json"])
    if not os.path.exists(path):
        raise RuntimeError("MNN's quantiser wrote no model")


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
        if configuration["precision"] == "int8":
            float_model = path
            path = artefact(onnx, f"mnn-int8-{digest(feed)}", MNN.version(), ".mnn",
                            lambda path: apart(quantize, float_model, feed, path))
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


serve("mnn", load, precisions=("fp32", "int8"))
