#!/usr/bin/env python3
"""PyTorch as a worker of Pacer, one op after the other: nothing is folded or fused."""
import os
import sys

folder = os.path.dirname(os.path.abspath(__file__))
sys.path = [os.path.join(folder, "lib"), os.path.join(folder, "..", "lib")] + [p for p in sys.path if p != folder]
from pacer_worker import serve


def load():
    import torch
    from graph_module import channels_last, rebuild, settle

    def prepare(configuration, onnx, feed):
        settle(configuration)
        # PyTorch's documentation advises it for convolutions on x86; it is also the faster one here.
        model = rebuild(onnx).to(memory_format=torch.channels_last)
        inputs = channels_last(feed)

        def infer():
            with torch.inference_mode():
                return [output.numpy() for output in model(*inputs)]

        return infer, "cpu"

    return torch.__version__.split("+")[0], prepare


serve("torch-eager", load, is_debug_build=lambda: bool(getattr(sys.modules["torch"].version, "debug", False)))
