#!/usr/bin/env python3
"""PyTorch's compiler as a worker of Pacer. It compiles while preparing, with the C++ compiler it finds."""
import os
import sys

folder = os.path.dirname(os.path.abspath(__file__))
sys.path = [os.path.join(folder, "lib"), os.path.join(folder, "..", "lib")] + [p for p in sys.path if p != folder]
# One process: its pool of compilers would stay while inferences are timed.
os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
from pacer_worker import Skip, serve


def load():
    import torch
    import torch._inductor.config
    from graph_module import channels_last, rebuild, settle

    def prepare(configuration, onnx, feed):
        from torch._inductor import cpp_builder, exc

        settle(configuration)
        # What it compiles is kept for the next process.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = os.path.join(os.path.dirname(onnx), f"inductor-{torch.__version__}")
        try:
            cpp_builder.get_cpp_compiler()
        except exc.InvalidCxxCompiler as error:
            raise Skip(f"Inductor needs a C++ compiler: {error}")
        # Weights are constants: batch norm is folded, and oneDNN's layouts are made beforehand.
        torch._inductor.config.freezing = True
        # C++ rather than Python from kernel to kernel: a tenth of MobileNetV2. Mode max-autotune gained nothing.
        torch._inductor.config.cpp_wrapper = True
        model = rebuild(onnx).to(memory_format=torch.channels_last)
        inputs = channels_last(feed)
        compiled = torch.compile(model, backend="inductor", fullgraph=True, dynamic=False)

        def infer():
            with torch.inference_mode():
                return [output.numpy() for output in compiled(*inputs)]

        # Compiles.
        infer()
        return infer, "cpu"

    return torch.__version__.split("+")[0], prepare


serve("torch-inductor", load, is_debug_build=lambda: bool(getattr(sys.modules["torch"].version, "debug", False)))
