#!/usr/bin/env python3
"""ncnn as a worker of Pacer, on the CPU and on Vulkan. Its model is made here, from the ONNX file, by pnnx."""
import importlib.util
import json
import os
import re
import subprocess
import sys

folder = os.path.dirname(os.path.abspath(__file__))
sys.path = [os.path.join(folder, "lib")] + [path for path in sys.path if path != folder]
from pacer_worker import Skip, artefact, serve


def convert(made, onnx, feed):
    """Writes the files of a net into a folder, and where each of its inputs and outputs has its batch's axis."""
    import ncnn
    import onnx as format
    from onnx.external_data_helper import uses_external_data

    os.mkdir(made)
    # pnnx writes beside what it reads, and does not read weights from other files.
    link = os.path.join(made, "model.onnx")
    if any(uses_external_data(weight) for weight in format.load(onnx, load_external_data=False).graph.initializer):
        format.save(format.load(onnx), link)
    else:
        os.symlink(os.path.abspath(onnx), link)
    # The program itself: the module around it imports PyTorch.
    program = os.path.join(importlib.util.find_spec("pnnx").submodule_search_locations[0], "pnnx")
    for array in feed.values():
        if array.dtype.name != "float32":
            raise Skip(f"ncnn is given arrays of float32 here, and not of {array.dtype.name}")
    shapes = [f"[{','.join(map(str, array.shape))}]" for array in feed.values()]
    run = subprocess.run([program, link, f"inputshape={','.join(shapes)}", "fp16=0"], cwd=made,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    base = os.path.join(made, "model.ncnn")
    if run.returncode != 0 or not os.path.exists(base + ".param"):
        raise Skip(f"pnnx cannot convert this model to ncnn (it ended with {run.returncode})")
    # Ops that ncnn does not have are left under the names of PyTorch's or ONNX's.
    with open(base + ".param") as file:
        foreign = {line.split()[0] for line in list(file)[2:]}
    foreign = sorted(kind for kind in foreign if ncnn.layer_to_index(kind) < 0)
    if foreign:
        raise Skip(f"no conversion to ncnn for {', '.join(foreign)}")
    # Only the example that it writes says which axis it took for the batch's; 233 is none.
    with open(os.path.join(made, "model_ncnn.py")) as file:
        axes = re.findall(r"(\w+)\.numpy\(.*?batch_index=(\d+)\)", file.read())
    with open(os.path.join(made, "axes.json"), "w") as file:
        json.dump({name: int(axis) for name, axis in axes}, file)


def load():
    import ncnn
    import numpy
    if importlib.util.find_spec("pnnx") is None:
        raise ImportError("No module named 'pnnx'")

    def prepare(configuration, onnx, feed):
        net = ncnn.Net()
        device = "cpu"
        if configuration["backend"] == "vulkan":
            names = [ncnn.get_gpu_info(i).device_name() for i in range(ncnn.get_gpu_count())]
            wanted = configuration.get("device")
            if wanted is None:
                found = [ncnn.get_default_gpu_index()] if names else []
            else:
                found = [i for i, name in enumerate(names) if wanted == str(i) or wanted.lower() in name.lower()]
            if not found:
                raise Skip(f"ncnn finds no such Vulkan device; it has {names}")
            net.opt.use_vulkan_compute = True
            net.set_vulkan_device(found[0])
            device = names[found[0]]
        net.opt.num_threads = configuration["threads"]
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = configuration["precision"] != "fp32"
        net.opt.use_fp16_arithmetic = configuration["precision"] == "fp16-arithmetic"
        net.opt.use_bf16_storage = False
        made = artefact(onnx, "ncnn", ncnn.__version__, "", lambda made: convert(made, onnx, feed))
        base = os.path.join(made, "model.ncnn")
        with open(os.path.join(made, "axes.json")) as file:
            axes = json.load(file)
        if net.load_param(base + ".param") != 0 or net.load_model(base + ".bin") != 0:
            raise RuntimeError("ncnn cannot load the converted model")
        # A Mat borrows the array's memory and does not keep it alive: its clone does not need it.
        inputs = [(f"in{i}", ncnn.Mat(numpy.ascontiguousarray(array), batch_index=axes[f"in{i}"]).clone())
                  for i, array in enumerate(feed.values())]
        outputs = [(name, axis) for name, axis in axes.items() if name.startswith("out")]

        def infer():
            extractor = net.create_extractor()
            for name, data in inputs:
                extractor.input(name, data)
            arrays = []
            for name, axis in outputs:
                code, output = extractor.extract(name)
                if code != 0:
                    raise RuntimeError(f"ncnn returned {code}")
                arrays.append(numpy.array(output.numpy(batch_index=axis)))
            return arrays

        return infer, device

    return ncnn.__version__, prepare


serve("ncnn", load, backends=("cpu", "vulkan"), precisions=("fp32", "fp16", "fp16-arithmetic"))
