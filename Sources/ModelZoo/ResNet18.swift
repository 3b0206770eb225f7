import GraphCore
import TensorCore

/// ResNet18, 1000 classes, with torchvision's parameter names
/// (He et al. 2015, https://arxiv.org/abs/1512.03385).
@Sendable func buildResNet18(_ inputShape: Shape) throws -> Graph {
  var graph = Graph(name: "resnet-18")
  let input = graph.addInput("input", TensorType(inputShape))
  var x = try graph.convolutionAndNorm(input, "conv1", "bn1", from: 3, to: 64, kernel: 7, stride: 2)
  x = try graph.addNode("relu", Activation(.relu), [x])
  x = try graph.addNode("maxpool", MaxPool2D(Window(kernel: 3, stride: 2, padding: 1)), [x])
  var channels = 64
  for (stage, outputs) in [64, 128, 256, 512].enumerated() {
    for block in 0..<2 {
      x = try graph.basicBlock(
        x, "layer\(stage + 1).\(block)", from: channels, to: outputs, stride: stage > 0 && block == 0 ? 2 : 1)
      channels = outputs
    }
  }
  x = try graph.addNode("avgpool", GlobalAveragePool(), [x])
  x = try graph.addNode("flatten", Reshape.flatten, [x])
  graph.setOutputs([try graph.classifier(x, "fc", from: 512, to: 1000)])
  return graph
}

extension Graph {
  fileprivate mutating func basicBlock(
    _ input: ValueID, _ name: String, from inputs: Int, to outputs: Int, stride: Int
  ) throws -> ValueID {
    var x = try convolutionAndNorm(
      input, "\(name).conv1", "\(name).bn1", from: inputs, to: outputs, kernel: 3, stride: stride)
    x = try addNode("\(name).relu1", Activation(.relu), [x])
    x = try convolutionAndNorm(x, "\(name).conv2", "\(name).bn2", from: outputs, to: outputs, kernel: 3)
    var identity = input
    if stride != 1 || inputs != outputs {
      identity = try convolutionAndNorm(
        input, "\(name).downsample.0", "\(name).downsample.1", from: inputs, to: outputs, kernel: 1, stride: stride)
    }
    x = try addNode("\(name).add", Binary(.add), [x, identity])
    return try addNode("\(name).relu2", Activation(.relu), [x])
  }
}
