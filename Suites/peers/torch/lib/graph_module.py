"""A model's ONNX file as the torch.nn.Module that an engineer would have written: same layers, same weights."""
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


def channels_last(feed):
    """The inputs, images in the order of a model that was made channels last."""
    given = [torch.from_numpy(array) for array in feed.values()]
    return [image.to(memory_format=torch.channels_last) if image.ndim == 4 else image for image in given]


def rebuild(path):
    """
    In evaluation mode. A trace of layers rather than a class of its own: it runs as a written `forward` does.
    It takes the graph's inputs and returns a tuple of its outputs.
    """
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    graph = model.graph
    weights = {w.name: torch.from_numpy(onnx.numpy_helper.to_array(w).copy()) for w in graph.initializer}
    readers = [name for node in graph.node for name in node.input] + [output.name for output in graph.output]
    sources = [value.name for value in graph.input if value.name not in weights]
    layers, flow = nn.Module(), torch.fx.Graph()
    values = {name: flow.placeholder(f"input{index}") for index, name in enumerate(sources)}

    def is_standard(gate):
        """Whether a HardSigmoid has PyTorch's slope, which is not ONNX's default, and offset."""
        a = {a.name: a.f for a in gate.attribute}
        return abs(a.get("alpha", 0.2) - 1 / 6) < 1e-6 and a.get("beta", 0.5) == 0.5

    def window(node, a):
        top, left, bottom, right = a.get("pads", [0] * 4)
        if (top, left) != (bottom, right) or a.get("auto_pad", b"NOTSET") != b"NOTSET" or a.get("ceil_mode"):
            raise Skip(f"no conversion to PyTorch for the padding of {node.op_type}")
        return {"stride": a.get("strides", [1, 1]), "padding": (top, left), "dilation": a.get("dilations", [1, 1])}

    def layer(node, a):
        """The layer, without memory for its weights, and the weights."""
        own = [weights.get(name) for name in node.input[1:] if name or node.op_type == "Clip"]
        if None in own and node.op_type != "Clip":
            raise Skip(f"no conversion to PyTorch for {node.op_type} with computed weights")
        # Where nobody else reads the tensor; torchvision's models do the same.
        inplace = readers.count(node.input[0]) == 1 and node.input[0] not in sources
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
        if node.op_type == "HardSwish":
            return nn.Hardswish(inplace), {}
        if node.op_type == "HardSigmoid" and is_standard(node):
            return nn.Hardsigmoid(inplace), {}
        if node.op_type == "GlobalAveragePool":
            return nn.AdaptiveAvgPool2d(1), {}
        if node.op_type == "MaxPool":
            return nn.MaxPool2d(a["kernel_shape"], **window(node, a)), {}
        if node.op_type == "Flatten":
            return nn.Flatten(a.get("axis", 1)), {}
        raise Skip(f"no conversion to PyTorch for {node.op_type}")

    # Before opset 14, which has HardSwish, it is a gate, and the product of that and its input.
    nodes = list(graph.node)
    for gate in [node for node in nodes if node.op_type == "HardSigmoid" and is_standard(node)]:
        product = next((node for node in nodes if gate.output[0] in node.input), None)
        if product is not None and product.op_type == "Mul" and readers.count(gate.output[0]) == 1 and \
                sorted(product.input) == sorted([gate.input[0], gate.output[0]]):
            readers.remove(gate.input[0])
            product.op_type, product.input[:] = "HardSwish", gate.input
            nodes.remove(gate)

    for index, node in enumerate(nodes):
        inputs = [values.get(name) for name in node.input]
        if node.op_type in ("Identity", "Dropout"):
            values[node.output[0]] = inputs[0]
        elif node.op_type in ("Add", "Mul"):
            if None in inputs:
                raise Skip(f"no conversion to PyTorch for {node.op_type} of a constant")
            function = torch.add if node.op_type == "Add" else torch.mul
            values[node.output[0]] = flow.call_function(function, tuple(inputs))
        else:
            module, own = layer(node, {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute})
            module.load_state_dict(own, assign=True)
            layers.add_module(f"layer{index}", module)
            values[node.output[0]] = flow.call_module(f"layer{index}", (inputs[0],))
    flow.output(tuple(values[output.name] for output in graph.output))
    return torch.fx.GraphModule(layers, flow).eval().requires_grad_(False)
