#!/usr/bin/env python3
"""LiteRT, once TensorFlow Lite, as a worker of Pacer, with XNNPACK. Its model is made here, from the ONNX file."""
import os
import sys

# This script has the engine's name: without its folder off the path it would import itself.
folder = os.path.dirname(os.path.abspath(__file__))
sys.path = [os.path.join(folder, "lib")] + [path for path in sys.path if path != folder]
from pacer_worker import Skip, apart, artefact, serve

# Ops that are one op of LiteRT, with nothing to choose.
PLAIN = {"Sigmoid": "LOGISTIC", "Tanh": "TANH", "HardSwish": "HARD_SWISH", "Sqrt": "SQRT", "Exp": "EXP", "Neg": "NEG",
         "Abs": "ABS", "Floor": "FLOOR"}
# Those of two operands, and their options, where an activation may be part of them.
BINARY = {"Add": ("ADD", "AddOptions"), "Sub": ("SUB", "SubOptions"), "Mul": ("MUL", "MulOptions"),
          "Div": ("DIV", "DivOptions"), "Max": ("MAXIMUM", None), "Min": ("MINIMUM", None)}
# The clamps that an op of LiteRT can end with, by their bounds.
CLAMPS = {(0, float("inf")): "RELU", (0, 6): "RELU6", (-1, 1): "RELU_N1_TO_1"}


def convert(source, target):
    """Writes an ONNX model as a .tflite file: images channels last, batch norm folded, activations fused, as LiteRT's
    own converters do."""
    import flatbuffers
    import numpy
    import onnx
    import onnx.numpy_helper
    import onnx.shape_inference
    from ai_edge_litert import schema_py_generated as schema

    model = onnx.shape_inference.infer_shapes(onnx.load(source), strict_mode=True, data_prop=True)
    graph = model.graph
    nodes = [n for n in graph.node if n.op_type != "Constant"]
    weights = {w.name: onnx.numpy_helper.to_array(w) for w in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            weights[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
    inputs = [i for i in graph.input if i.name not in weights]
    shapes = {name: list(array.shape) for name, array in weights.items()}
    for value in [*graph.input, *graph.value_info, *graph.output]:
        shapes[value.name] = [d.dim_value for d in value.type.tensor_type.shape.dim]
    for value in [*inputs, *graph.output]:
        if value.type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
            kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
            raise Skip(f"no conversion to LiteRT for {value.name}, whose numbers are {kind}")
    readers = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for value in graph.output:
        readers.setdefault(value.name, []).append(None)

    net = schema.SubGraphT()
    net.tensors, net.operators = [], []
    codes, buffers = [], [schema.BufferT()]
    # The tensor of each value, and the values of no negative number.
    tensors, positive, done = {}, set(), set()

    def last(shape):
        """A shape of ONNX as it is here, where whatever has four axes is a batch of images."""
        return [shape[i] for i in (0, 2, 3, 1)] if len(shape) == 4 else list(shape)

    def tensor(name, shape, data=None):
        made = schema.TensorT()
        made.name, made.shape = name, [int(size) for size in shape]
        made.type = schema.TensorType.FLOAT32 if data is None or data.dtype == "f4" else schema.TensorType.INT32
        made.buffer = 0
        if data is not None:
            made.buffer = len(buffers)
            buffers.append(schema.BufferT(data=numpy.ascontiguousarray(data).reshape(-1).view("u1")))
        net.tensors.append(made)
        return len(net.tensors) - 1

    def constant(data, kind="<f4"):
        data = numpy.asarray(data, dtype=kind)
        return tensor(f"constant{len(net.tensors)}", data.shape, data)

    def op(kind, sources, name, shape, options=None, **fields):
        """One op, its result a new tensor."""
        code = getattr(schema.BuiltinOperator, kind)
        if code not in codes:
            codes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex = codes.index(code)
        made.inputs, made.outputs = sources, [tensor(name, shape)]
        if options:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            made.builtinOptions = getattr(schema, options + "T")()
            for field, value in fields.items():
                setattr(made.builtinOptions, field, value)
        net.operators.append(made)
        return made.outputs[0]

    def read(name, rank=0):
        """A value's tensor; a constant's may get axes of one, for what it is combined with."""
        if name in tensors:
            return tensors[name]
        if name not in weights or weights[name].dtype.kind != "f":
            raise Skip(f"no conversion to LiteRT for {name}, a constant that is not of floats or is missing")
        array = weights[name]
        array = array.reshape([1] * (rank - array.ndim) + list(array.shape))
        return constant(array.transpose(0, 2, 3, 1) if array.ndim == 4 else array)

    def reordered(name):
        """Whether the numbers of a value lie in another order than ONNX's."""
        shape = shapes[name]
        return len(shape) == 4 and shape[1] > 1 and shape[2] * shape[3] > 1

    def bounds(node):
        if node.op_type == "Relu":
            return 0, float("inf")
        own = {a.name: a.f for a in node.attribute}
        for name, at in (("min", 1), ("max", 2)):
            if len(node.input) > at and node.input[at]:
                if node.input[at] not in weights:
                    raise Skip("no conversion to LiteRT for Clip with computed bounds")
                own[name] = float(weights[node.input[at]])
        return own.get("min", -float("inf")), own.get("max", float("inf"))

    def follower(name, kinds):
        after = readers.get(name, [])
        return after[0] if len(after) == 1 and after[0] and after[0].op_type in kinds else None

    def fused(name):
        """The activation that an op ends with, and the name of what comes out."""
        after = follower(name, ("Relu", "Clip"))
        if after is None or bounds(after) not in CLAMPS:
            return schema.ActivationFunctionType.NONE, name
        done.add(after.output[0])
        if bounds(after)[0] >= 0:
            positive.add(after.output[0])
        return getattr(schema.ActivationFunctionType, CLAMPS[bounds(after)]), after.output[0]

    def normalisation(node):
        """Batch norm as a factor and a summand."""
        gamma, beta, mean, variance = (weights[name].astype("f8") for name in node.input[1:5])
        epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        factor = gamma / numpy.sqrt(variance + epsilon)
        return factor, beta - mean * factor

    def window(node, a, kernel, source, fill):
        """The padding of a convolution or pooling, its own or in an op before it, and its other options."""
        shape, out = shapes[node.input[0]], shapes[node.output[0]]
        strides, dilations = a.get("strides", [1, 1]), a.get("dilations", [1, 1])
        auto = a.get("auto_pad", b"NOTSET")
        pads, same = [], []
        for axis in (0, 1):
            wanted = (out[2 + axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1 - shape[2 + axis]
            total = max(wanted, 0)
            same.append(-(-shape[2 + axis] // strides[axis]) == out[2 + axis] and [total // 2, total - total // 2])
            if auto == b"NOTSET":
                before, after = (a.get("pads", [0] * 4)[i] for i in (axis, axis + 2))
                # Where `ceil_mode` lets a window begin inside and end outside.
                pads.append([before, max(after, wanted - before) if a.get("ceil_mode") else after])
            else:
                before = total // 2 if auto != b"SAME_LOWER" else total - total // 2
                pads.append([before, total - before])
        options = {"padding": schema.Padding.VALID, "strideH": strides[0], "strideW": strides[1]}
        if pads == same:
            options["padding"] = schema.Padding.SAME
        elif any(pads[0] + pads[1]):
            if fill is None:
                raise Skip(f"no conversion to LiteRT for the padding of {node.op_type}")
            padded = [shape[0], shape[2] + sum(pads[0]), shape[3] + sum(pads[1]), shape[1]]
            amounts = constant([[0, 0], *pads, [0, 0]], "<i4")
            # XNNPACK has the first of these and not the second.
            source = (op("PAD", [source, amounts], f"{node.output[0]}/pad", padded, "PadOptions") if fill == 0 else
                      op("PADV2", [source, amounts, constant(fill)], f"{node.output[0]}/pad", padded, "PadV2Options"))
        return source, options

    def layer(node):
        """A convolution or a matrix product with what follows it."""
        a = attributes(node)
        name, weight = node.output[0], weights.get(node.input[1])
        bias = weights.get(node.input[2]) if len(node.input) > 2 and node.input[2] else numpy.zeros(1)
        if weight is None or bias is None or node.op_type == "Conv" and weight.ndim != 4 or \
                node.op_type == "Gemm" and (a.get("alpha", 1), a.get("beta", 1), a.get("transA", 0)) != (1, 1, 0):
            raise Skip(f"no conversion to LiteRT for {node.op_type} with such operands")
        if node.op_type == "Gemm" and not a.get("transB") or node.op_type == "MatMul":
            weight = weight.T
        bias = numpy.broadcast_to(bias.reshape(-1), weight.shape[0])
        norm = follower(name, ["BatchNormalization"])
        if norm is not None:
            factor, summand = normalisation(norm)
            weight = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
            bias = bias * factor + summand
            name = norm.output[0]
            done.add(name)
        activation, name = fused(name)
        source, shape = read(node.input[0]), last(shapes[name])
        if node.op_type != "Conv":
            tensors[name] = op("FULLY_CONNECTED", [source, constant(weight), constant(bias)], name, shape,
                               "FullyConnectedOptions", fusedActivationFunction=activation, keepNumDims=len(shape) > 2)
            return
        source, options = window(node, a, weight.shape[2:], source, 0)
        options["dilationHFactor"], options["dilationWFactor"] = a.get("dilations", [1, 1])
        if weight.shape[1] == 1 and a.get("group", 1) > 1:
            kind = "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions"
            weight = weight.transpose(1, 2, 3, 0)
            options["depthMultiplier"] = weight.shape[3] // a["group"]
        else:
            kind = "CONV_2D", "Conv2DOptions"
            weight = weight.transpose(0, 2, 3, 1)
        tensors[name] = op(kind[0], [source, constant(weight), constant(bias)], name, shape, kind[1],
                           fusedActivationFunction=activation, **options)

    def attributes(node):
        return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}

    def binary(kind, left, right, name, shape):
        made, options = BINARY[kind]
        if options is None:
            tensors[name] = op(made, [left, right], name, shape, "MaximumMinimumOptions")
        else:
            activation, name = fused(name)
            tensors[name] = op(made, [left, right], name, shape, options, fusedActivationFunction=activation)

    for value in inputs:
        tensors[value.name] = tensor(value.name, last(shapes[value.name]))
    sources = list(tensors.values())

    for node in nodes:
        kind, name = node.op_type, node.output[0]
        if name in done:
            continue
        if name not in shapes or 0 in shapes[name] or node.domain not in ("", "ai.onnx"):
            raise Skip(f"no conversion to LiteRT for {kind} of unknown shape")
        a, shape, rank = attributes(node), last(shapes[name]), len(shapes[name])
        first = node.input[0]
        if kind in ("Conv", "Gemm") or kind == "MatMul" and weights.get(node.input[1], numpy.zeros(0)).ndim == 2 \
                and len(shapes[first]) < 4:
            layer(node)
        elif kind in ("Identity", "Dropout"):
            tensors[name] = read(first)
            positive.update([name] if first in positive else [])
        elif kind == "BatchNormalization" and rank in (2, 4):
            factor, summand = normalisation(node)
            part = op("MUL", [read(first), constant(factor)], f"{name}/factor", shape, "MulOptions")
            binary("Add", part, constant(summand), name, shape)
        elif kind in ("Relu", "Clip"):
            low, high = bounds(node)
            if (low, high) in CLAMPS:
                tensors[name] = op(CLAMPS[low, high], [read(first)], name, shape)
            else:
                tensors[name] = read(first)
                for made, bound in (("MAXIMUM", low), ("MINIMUM", high)):
                    if abs(bound) != float("inf"):
                        tensors[name] = op(made, [tensors[name], constant(bound)], f"{name}/{made}", shape,
                                           "MaximumMinimumOptions")
            positive.update([name] if low >= 0 else [])
        elif kind == "HardSigmoid":
            alpha, beta = a.get("alpha", 0.2), a.get("beta", 0.5)
            after = follower(name, ["Mul"])
            if abs(alpha * 6 - 1) < 1e-6 and beta == 0.5 and after and sorted(after.input) == sorted([first, name]):
                tensors[after.output[0]] = op("HARD_SWISH", [read(first)], after.output[0], shape, "HardSwishOptions")
                done.add(after.output[0])
                continue
            # Its clamp is one at six, a sixth of it afterwards: that one is fused.
            part = read(first)
            if abs(alpha * 6 - 1) >= 1e-6:
                part = op("MUL", [part, constant(alpha * 6)], f"{name}/factor", shape, "MulOptions")
            part = op("ADD", [part, constant(beta * 6)], f"{name}/clamp", shape, "AddOptions",
                      fusedActivationFunction=schema.ActivationFunctionType.RELU6)
            tensors[name] = op("MUL", [part, constant(1 / 6)], name, shape, "MulOptions")
        elif kind in PLAIN:
            tensors[name] = op(PLAIN[kind], [read(first)], name, shape)
        elif kind == "LeakyRelu":
            tensors[name] = op("LEAKY_RELU", [read(first)], name, shape, "LeakyReluOptions", alpha=a.get("alpha", 0.01))
        elif kind in BINARY and len(node.input) == 2:
            if any(len(shapes[i]) not in (0, rank) and rank == 4 and i not in weights for i in node.input):
                raise Skip(f"no conversion to LiteRT for {kind} of images and something else")
            left, right = (read(i, rank) for i in node.input)
            binary(kind, left, right, name, shape)
        elif kind == "GlobalAveragePool" and rank == 4 or kind == "ReduceMean" and len(shapes[first]) == 4:
            axes = weights[node.input[1]].tolist() if len(node.input) > 1 else a.get("axes", [2, 3])
            if sorted(axis % 4 for axis in axes) != [2, 3]:
                raise Skip(f"no conversion to LiteRT for {kind} over axes {axes}")
            tensors[name] = op("MEAN", [read(first), constant([1, 2], "<i4")], name, shape, "ReducerOptions",
                               keepDims=rank == 4)
        elif kind in ("MaxPool", "AveragePool") and rank == 4 and len(node.output) == 1 and \
                a.get("dilations", [1, 1]) == [1, 1]:
            # What lies outside of the image is smaller than all in it. Averages do not count it.
            fill = None if kind == "AveragePool" else 0 if first in positive else numpy.finfo("f4").min
            if kind == "AveragePool" and (a.get("count_include_pad") or a.get("ceil_mode")) and any(a.get("pads", [])):
                raise Skip("no conversion to LiteRT for the padding of AveragePool")
            height, width = a["kernel_shape"]
            source, options = window(node, a, a["kernel_shape"], read(first), fill)
            tensors[name] = op("MAX_POOL_2D" if kind == "MaxPool" else "AVERAGE_POOL_2D", [source], name, shape,
                               "Pool2DOptions", filterHeight=height, filterWidth=width, **options)
            positive.update([name] if first in positive else [])
        elif kind == "Concat":
            axis = a["axis"] % rank
            tensors[name] = op("CONCATENATION", [read(i) for i in node.input], name, shape, "ConcatenationOptions",
                               axis=[0, 3, 1, 2][axis] if rank == 4 else axis)
        elif kind == "Softmax" and a.get("axis", -1) % rank == (1 if rank == 4 else rank - 1):
            # Before opset 13 it was over all axes from that one on.
            if rank == 4 and model.opset_import[0].version < 13 and shape[1] * shape[2] > 1:
                raise Skip("no conversion to LiteRT for Softmax over several axes")
            tensors[name] = op("SOFTMAX", [read(first)], name, shape, "SoftmaxOptions", beta=1.0)
        elif kind in ("Flatten", "Reshape", "Squeeze", "Unsqueeze"):
            source, straight = read(first), last(shapes[first])
            if reordered(first):
                source = op("TRANSPOSE", [source, constant([0, 3, 1, 2], "<i4")], f"{name}/straight", shapes[first],
                            "TransposeOptions")
                straight = shapes[first]
            back = reordered(name)
            target_shape = shapes[name] if back else shape
            if target_shape != straight:
                source = op("RESHAPE", [source, constant(target_shape, "<i4")], f"{name}/plain" if back else name,
                            target_shape, "ReshapeOptions", newShape=target_shape)
            if back:
                source = op("TRANSPOSE", [source, constant([0, 2, 3, 1], "<i4")], name, shape, "TransposeOptions")
            tensors[name] = source
        else:
            raise Skip(f"no conversion to LiteRT for {kind}")

    net.inputs = sources
    net.outputs = [read(value.name) for value in graph.output]
    made = schema.ModelT()
    made.version, made.subgraphs, made.buffers, made.operatorCodes = 3, [net], buffers, []
    for code in codes:
        known = schema.OperatorCodeT()
        # The older field is of a byte.
        known.builtinCode, known.deprecatedBuiltinCode, known.version = code, min(code, 127), 1
        made.operatorCodes.append(known)

    class Builder(flatbuffers.Builder):
        def StartVector(self, size, count, alignment):
            """Tensors' numbers are vectors of bytes, and lie at multiples of 16 of them."""
            return super().StartVector(size, count, 16 if size == 1 else alignment)

    builder = Builder(sum(b.data.size for b in buffers[1:]) + (1 << 20))
    builder.Finish(made.Pack(builder), b"TFL3")
    with open(target, "wb") as file:
        file.write(builder.Output())


def load():
    import ai_edge_litert
    import numpy
    from ai_edge_litert.interpreter import Interpreter

    def prepare(configuration, onnx, feed):
        path = artefact(
            onnx, "litert", ai_edge_litert.__version__, ".tflite", lambda path: apart(convert, onnx, path))
        # XNNPACK, which takes over all ops it knows, is its default.
        interpreter = Interpreter(model_path=path, num_threads=configuration["threads"])
        interpreter.allocate_tensors()
        for place, array in zip(interpreter.get_input_details(), feed.values()):
            interpreter.set_tensor(place["index"], array.transpose(0, 2, 3, 1) if array.ndim == 4 else array)
        outputs = [(place["index"], len(place["shape"])) for place in interpreter.get_output_details()]

        def infer():
            interpreter.invoke()
            arrays = [interpreter.get_tensor(index) for index, _ in outputs]
            return [array.transpose(0, 3, 1, 2) if rank == 4 else array for array, (_, rank) in zip(arrays, outputs)]

        return infer, "cpu"

    return ai_edge_litert.__version__, prepare


serve("litert", load)
