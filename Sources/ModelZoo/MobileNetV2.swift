import GraphCore
import TensorCore

/// MobileNetV2, width 1.0, 1000 classes, with torchvision's parameter names
/// (Sandler et al. 2018, https://arxiv.org/abs/1801.04381).
@Sendable func buildMobileNetV2(_ inputShape: Shape) throws -> Graph {
  var graph = Graph(name: "mobilenet-v2")
  let input = graph.addInput("input", TensorType(inputShape))
  var x = try graph.convolutionAndNorm(input, "features.0.0", "features.0.1", from: 3, to: 32, kernel: 3, stride: 2)
  x = try graph.addNode("features.0.2", Activation(.relu6), [x])

  let stages: [(expansion: Int, channels: Int, blocks: Int, stride: Int)] = [
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
  ]
  var channels = 32
  var index = 1
  for stage in stages {
    for block in 0..<stage.blocks {
      x = try graph.invertedResidual(
        x, "features.\(index).conv", from: channels, to: stage.channels, expansion: stage.expansion,
        stride: block == 0 ? stage.stride : 1)
      channels = stage.channels
      index += 1
    }
  }

  x = try graph.convolutionAndNorm(x, "features.18.0", "features.18.1", from: channels, to: 1280, kernel: 1)
  x = try graph.addNode("features.18.2", Activation(.relu6), [x])
  x = try graph.addNode("avgpool", GlobalAveragePool(), [x])
  x = try graph.addNode("flatten", Reshape.flatten, [x])
  x = try graph.addNode("classifier.0", Dropout(probability: 0.2), [x])
  graph.setOutputs([try graph.classifier(x, "classifier.1", from: 1280, to: 1000)])
  return graph
}

extension Graph {
  /// Expand 1×1, depthwise 3×3, project 1×1; added to its input where shapes allow.
  fileprivate mutating func invertedResidual(
    _ input: ValueID, _ name: String, from inputs: Int, to outputs: Int, expansion: Int, stride: Int
  ) throws -> ValueID {
    let hidden = inputs * expansion
    var x = input
    var layer = 0
    if expansion != 1 {
      x = try convolutionAndNorm(x, "\(name).0.0", "\(name).0.1", from: inputs, to: hidden, kernel: 1)
      x = try addNode("\(name).0.2", Activation(.relu6), [x])
      layer = 1
    }
    x = try convolutionAndNorm(
      x, "\(name).\(layer).0", "\(name).\(layer).1", from: hidden, to: hidden, kernel: 3, stride: stride,
      groups: hidden)
    x = try addNode("\(name).\(layer).2", Activation(.relu6), [x])
    x = try convolutionAndNorm(x, "\(name).\(layer + 1)", "\(name).\(layer + 2)", from: hidden, to: outputs, kernel: 1)
    return stride == 1 && inputs == outputs ? try addNode("\(name).add", Binary(.add), [input, x]) : x
  }
}
