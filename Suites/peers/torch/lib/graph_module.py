"""A model's ONNX file as the torch.nn.Module that an engineer would have written: same layers, same weights."""
import numpy
import onnx
import onnx.checker
import onnx.numpy_helper
import torch
from torch import nn

from pacer_worker import Skip


def settle(configuration):
    """What every engine made of PyTorch needs of a configuration."""
    torch.set_num_threads(configuration["threads"])
    torch.set_num_interop_threads(1)


def read_input(files):
    node = onnx.load(files["onnx"]).graph.input[0]
    shape = [d.dim_value for d in node.type.tensor_type.shape.dim]
    return torch.from_numpy(numpy.fromfile(files["input"], dtype="<f4").reshape(shape))


def rebuild(files):
    """In evaluation mode. A trace of layers rather than a class of its own: it runs as a written `forward` does."""
    model = onnx.load(files["onnx"])
    onnx.checker.check_model(model, full_check=True)
    graph = model.graph
    weights = {w.name: torch.from_numpy(onnx.numpy_helper.to_array(w).copy()) for w in graph.initializer}
    readers = [name for node in graph.node for name in node.input] + [output.name for output in graph.output]
    source = graph.input[0].name
    layers, flow = nn.Module(), torch.fx.Graph()
    values = {source: flow.placeholder("image")}

    def window(node, a):
        top, left, bottom, right = a.get("pads", [0] * 4)
        if (top, left) != (bottom, right) or a.get("auto_pad", b"NOTSET") != b"NOTSET" or a.get("ceil_mode"):
            raise Skip(f"no conversion to PyTorch for the padding of {node.name}")
        return {"stride": a.get("strides", [1, 1]), "padding": (top, left), "dilation": a.get("dilations", [1, 1])}

    def layer(node, a):
        """The layer, without memory for its weights, and the weights."""
        own = [weights.get(name) for name in node.input[1:]]
        # Where nobody else reads the tensor; torchvision's models do the same.
        inplace = readers.count(node.input[0]) == 1 and node.input[0] != source
        if node.op_type == "Conv" and own[0].ndim == 4:
            group = a.get("group", 1)
            return nn.Conv2d(own[0].shape[1] * group, own[0].shape[0], own[0].shape[2:], groups=group,
                             bias=len(own) > 1, device="meta", **window(node, a)), dict(zip(("weight", "bias"), own))
        if node.op_type == "BatchNormalization":
            names = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
            return (nn.BatchNorm2d(len(own[0]), eps=a.get("epsilon", 1e-5), device="meta"),
                    dict(zip(names, own + [torch.tensor(0)])))
        if node.op_type == "Gemm" and (a.get("alpha", 1), a.get("beta", 1), a.get("transA", 0)) == (1, 1, 0):
            matrix = own[0] if a.get("transB") else own[0].T.contiguous()
            return (nn.Linear(matrix.shape[1], matrix.shape[0], bias=len(own) > 1, device="meta"),
                    dict(zip(("weight", "bias"), [matrix] + own[1:])))
        if node.op_type == "Relu":
            return nn.ReLU(inplace), {}
        if node.op_type == "Clip" and len(own) == 2 and None not in own:
            return nn.Hardtanh(own[0].item(), own[1].item(), inplace), {}
        if node.op_type == "GlobalAveragePool":
            return nn.AdaptiveAvgPool2d(1), {}
        if node.op_type == "MaxPool":
            return nn.MaxPool2d(a["kernel_shape"], **window(node, a)), {}
        if node.op_type == "Flatten":
            return nn.Flatten(a.get("axis", 1)), {}
        raise Skip(f"no conversion to PyTorch for {node.op_type}")

    for index, node in enumerate(graph.node):
        inputs = [values.get(name) for name in node.input]
        if node.op_type in ("Identity", "Dropout"):
            values[node.output[0]] = inputs[0]
        elif node.op_type == "Add":
            if None in inputs:
                raise Skip("no conversion to PyTorch for Add of a constant")
            values[node.output[0]] = flow.call_function(torch.add, tuple(inputs))
        else:
            module, own = layer(node, {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute})
            module.load_state_dict(own, assign=True)
            layers.add_module(f"layer{index}", module)
            values[node.output[0]] = flow.call_module(f"layer{index}", (inputs[0],))
    flow.output(values[graph.output[0].name])
    return torch.fx.GraphModule(layers, flow).eval().requires_grad_(False)
