#!/usr/bin/env python3
"""ExecuTorch as a worker of Pacer, with XNNPACK. Its program is made here, from the ONNX file."""
import os
import sys

# This script has the engine's name: without its folder off the path it would import itself.
folder = os.path.dirname(os.path.abspath(__file__))
sys.path = [os.path.join(folder, "lib"), os.path.join(folder, "..", "lib")] + [p for p in sys.path if p != folder]
from pacer_worker import apart, artefact, digest, serve


def quantize(model, inputs):
    """
    The model with int8 activations, ranges from smallest to largest value on the inputs, and int8 weights with a scale for
    each channel, as XNNPACK wants it. Batch norms are folded into the convolutions before them.
    """
    import dataclasses
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer, get_symmetric_quantization_config)
    from torchao.quantization.pt2e import MinMaxObserver
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    recipe = get_symmetric_quantization_config(is_per_channel=True)
    # Its own histograms would be another calibration than the other engines'.
    activations = dataclasses.replace(
        recipe.input_activation, observer_or_fake_quant_ctr=MinMaxObserver.with_args(eps=2**-12))
    recipe = dataclasses.replace(recipe, input_activation=activations, output_activation=activations)
    prepared = prepare_pt2e(torch.export.export(model, inputs).module(), XNNPACKQuantizer().set_global(recipe))
    prepared(*inputs)
    return convert_pt2e(prepared)


def export(onnx, feed, precision, program):
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from graph_module import rebuild

    model, inputs = rebuild(onnx), tuple(torch.from_numpy(array) for array in feed.values())
    if precision == "int8":
        model = quantize(model, inputs)
    lowered = to_edge_transform_and_lower(torch.export.export(model, inputs), partitioner=[XnnpackPartitioner()])
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
        precision = configuration["precision"]
        name = f"executorch-int8-{digest(feed)}" if precision == "int8" else "executorch"
        # It takes half a minute.
        program = artefact(onnx, name, version, ".pte", lambda path: apart(export, onnx, feed, precision, path))
        # The pool has as many threads as there are processors, whatever the affinity or OMP_NUM_THREADS, and this
        # alone changes it, before a program is loaded.
        runtime._unsafe_reset_threadpool(configuration["threads"])
        module = runtime._load_for_executorch(program)
        inputs = [torch.from_numpy(array) for array in feed.values()]
        return lambda: [output.numpy() for output in module.forward(inputs)], "cpu"

    return version, prepare


serve("executorch", load, precisions=("fp32", "int8"),
      is_debug_build=lambda: bool(getattr(sys.modules["torch"].version, "debug", False)))
