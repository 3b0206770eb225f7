#!/usr/bin/env python3
"""ncnn as a worker of Pacer, on the CPU and on Vulkan. Its model is made here, from the ONNX file."""
import os
import sys

folder = os.path.dirname(os.path.abspath(__file__))
sys.path = [os.path.join(folder, "lib")] + [path for path in sys.path if path != folder]
from pacer_worker import Skip, serve


def convert(path, numpy, onnx):
    """The text and the weights of an ncnn net: batch norm folded, activations fused, as ncnn's own optimiser does."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    graph = model.graph
    weights = {w.name: onnx.numpy_helper.to_array(w) for w in graph.initializer}
    nodes = list(graph.node)

    def attributes(node):
        return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}

    def users(name):
        return [n for n in nodes if name in n.input] + [o for o in graph.output if o.name == name]

    layers, data, alias = [], [], {}
    done = set()
    for node in nodes:
        if node.output[0] in done:
            continue
        inputs = [alias.get(i, i) for i in node.input if i and i not in weights]
        output = node.output[0]
        a = attributes(node)

        def follower(kind):
            after = users(output)
            return after[0] if len(after) == 1 and getattr(after[0], "op_type", None) in kind else None

        if node.op_type in ("Conv", "Gemm"):
            weight = weights[node.input[1]].astype("<f4")
            bias = (weights[node.input[2]] if len(node.input) > 2 else numpy.zeros(weight.shape[0])).astype("<f4")
            norm = follower(["BatchNormalization"])
            if norm is not None:
                gamma, beta, mean, variance = (weights[i] for i in norm.input[1:5])
                scale = gamma / numpy.sqrt(variance + attributes(norm).get("epsilon", 1e-5))
                weight = (weight * scale.reshape(-1, *[1] * (weight.ndim - 1))).astype("<f4")
                bias = ((bias - mean) * scale + beta).astype("<f4")
                done.add(norm.output[0])
                output = norm.output[0]
            activation, text = follower(["Relu", "Clip"]), ""
            if activation is not None:
                done.add(activation.output[0])
                output = activation.output[0]
                if activation.op_type == "Relu":
                    text = " 9=1"
                else:
                    low, high = (float(weights[i]) for i in activation.input[1:3])
                    text = f" 9=3 -23310=2,{low:e},{high:e}"
            if node.op_type == "Gemm":
                assert a.get("transB") == 1
                parameters = f"0={weight.shape[0]} 1=1 2={weight.size}{text}"
                kind = "InnerProduct"
            else:
                kh, kw = weight.shape[2:]
                sh, sw = a.get("strides", [1, 1])
                dh, dw = a.get("dilations", [1, 1])
                top, left, bottom, right = a.get("pads", [0] * 4)
                group = a.get("group", 1)
                parameters = (f"0={weight.shape[0]} 1={kw} 11={kh} 2={dw} 12={dh} 3={sw} 13={sh} 4={left} 14={top} "
                              f"15={right} 16={bottom} 5=1 6={weight.size}{text}" + (f" 7={group}" if group > 1 else ""))
                kind = "ConvolutionDepthWise" if group > 1 else "Convolution"
            # A zero word before the weights: they are plain float32.
            data += [b"\0\0\0\0", weight.tobytes(), bias.tobytes()]
        elif node.op_type == "Relu":
            kind, parameters = "ReLU", ""
        elif node.op_type == "Clip":
            kind, parameters = "Clip", f"0={float(weights[node.input[1]])} 1={float(weights[node.input[2]])}"
        elif node.op_type == "Add":
            kind, parameters = "BinaryOp", "0=0"
        elif node.op_type == "GlobalAveragePool":
            kind, parameters = "Pooling", "0=1 4=1"
        elif node.op_type == "MaxPool":
            kh, kw = a["kernel_shape"]
            sh, sw = a.get("strides", [1, 1])
            top, left, bottom, right = a.get("pads", [0] * 4)
            kind = "Pooling"
            parameters = f"0=0 1={kw} 11={kh} 2={sw} 12={sh} 3={left} 13={top} 14={right} 15={bottom} 5=1"
        elif node.op_type in ("Flatten", "Identity", "Dropout", "Reshape"):
            # After the global pool, images of one pixel: ncnn's blobs have no batch axis to keep.
            alias[output] = inputs[0]
            continue
        else:
            raise Skip(f"no conversion to ncnn for {node.op_type}")
        layers.append((kind, inputs, output, parameters))

    # ncnn wants a layer that hands a blob to each of its readers.
    source = graph.input[0].name
    names, text, readers = {}, [], {}
    for _, inputs, _, _ in layers:
        for name in inputs:
            readers[name] = readers.get(name, 0) + 1
    blobs = 0

    def declare(kind, name, inputs, output, parameters):
        nonlocal blobs
        copies = readers.get(output, 1)
        text.append(f"{kind} {name} {len(inputs)} 1 {' '.join(inputs + [output])} {parameters}".replace("  ", " "))
        blobs += 1
        if copies > 1:
            parts = [f"{output}_{i}" for i in range(copies)]
            text.append(f"Split split_{name} 1 {copies} {output} {' '.join(parts)}")
            blobs += copies
            names[output] = parts
        else:
            names[output] = [output]

    declare("Input", "input", [], source, "")
    for index, (kind, inputs, output, parameters) in enumerate(layers):
        declare(kind, f"layer{index}", [names[i].pop(0) for i in inputs], output, parameters)
    result = layers[-1][2]
    return f"7767517\n{len(text)} {blobs}\n" + "\n".join(text) + "\n", b"".join(data), source, result


def load():
    import ncnn
    import numpy
    import onnx
    import onnx.checker
    import onnx.numpy_helper

    def prepare(configuration, files):
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
        # Where it writes them: a net is read from files.
        text, data, source, result = convert(files["onnx"], numpy, onnx)
        base = f"{files['onnx'][:-5]}.ncnn.{os.getpid()}"
        try:
            with open(base + ".param", "w") as file:
                file.write(text)
            with open(base + ".bin", "wb") as file:
                file.write(data)
            if net.load_param(base + ".param") != 0 or net.load_model(base + ".bin") != 0:
                raise RuntimeError("ncnn cannot load the converted model")
        finally:
            for end in (".param", ".bin"):
                if os.path.exists(base + end):
                    os.remove(base + end)
        shape = [d.dim_value for d in onnx.load(files["onnx"]).graph.input[0].type.tensor_type.shape.dim]
        if shape[0] != 1:
            raise Skip("ncnn takes one image at a time")
        # A Mat borrows the array's memory and does not keep it alive: the name does, until it is copied.
        array = numpy.fromfile(files["input"], dtype="<f4").reshape(shape[1:])
        data = ncnn.Mat(array).clone()

        def infer():
            extractor = net.create_extractor()
            extractor.input(source, data)
            code, output = extractor.extract(result)
            if code != 0:
                raise RuntimeError(f"ncnn returned {code}")
            return numpy.array(output).reshape(1, -1)

        return infer, device

    return ncnn.__version__, prepare


serve("ncnn", load, backends=("cpu", "vulkan"), precisions=("fp32", "fp16", "fp16-arithmetic"))
