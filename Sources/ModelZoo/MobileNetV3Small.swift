import GraphCore
import TensorCore

/// MobileNetV3-small, 1000 classes, with torchvision's parameter names
/// (Howard et al. 2019, https://arxiv.org/abs/1905.02244).
@Sendable func buildMobileNetV3Small(_ inputShape: Shape) throws -> Graph {
  var graph = Graph(name: "mobilenet-v3-small")
  let input = graph.addInput("input", TensorType(inputShape))
  var x = try graph.convolutionNormActivation(
    input, "features.0", from: 3, to: 16, kernel: 3, stride: 2, activation: .hardSwish)

  let blocks: [(kernel: Int, hidden: Int, channels: Int, squeezes: Bool, activation: Epilogue, stride: Int)] = [
    (3, 16, 16, true, .relu, 2), (3, 72, 24, false, .relu, 2), (3, 88, 24, false, .relu, 1),
    (5, 96, 40, true, .hardSwish, 2), (5, 240, 40, true, .hardSwish, 1), (5, 240, 40, true, .hardSwish, 1),
    (5, 120, 48, true, .hardSwish, 1), (5, 144, 48, true, .hardSwish, 1), (5, 288, 96, true, .hardSwish, 2),
    (5, 576, 96, true, .hardSwish, 1), (5, 576, 96, true, .hardSwish, 1),
  ]
  var channels = 16
  for (index, block) in blocks.enumerated() {
    let name = "features.\(index + 1).block"
    let start = x
    var layer = 0
    func next() -> String {
      defer { layer += 1 }
      return "\(name).\(layer)"
    }
    if block.hidden != channels {
      x = try graph.convolutionNormActivation(
        x, next(), from: channels, to: block.hidden, kernel: 1, activation: block.activation)
    }
    x = try graph.convolutionNormActivation(
      x, next(), from: block.hidden, to: block.hidden, kernel: block.kernel, stride: block.stride,
      groups: block.hidden, activation: block.activation)
    if block.squeezes { x = try graph.squeezeExcitation(x, next(), channels: block.hidden) }
    x = try graph.convolutionNormActivation(x, next(), from: block.hidden, to: block.channels, kernel: 1)
    if block.stride == 1, channels == block.channels { x = try graph.addNode("\(name).add", Binary(.add), [start, x]) }
    channels = block.channels
  }

  x = try graph.convolutionNormActivation(x, "features.12", from: 96, to: 576, kernel: 1, activation: .hardSwish)
  x = try graph.addNode("avgpool", GlobalAveragePool(), [x])
  x = try graph.addNode("flatten", Reshape.flatten, [x])
  x = try graph.classifier(x, "classifier.0", from: 576, to: 1024)
  x = try graph.addNode("classifier.1", Activation(.hardSwish), [x])
  x = try graph.addNode("classifier.2", Dropout(probability: 0.2), [x])
  graph.setOutputs([try graph.classifier(x, "classifier.3", from: 1024, to: 1000)])
  return graph
}

extension Graph {
  /// torchvision's `Conv2dNormActivation`, whose batch norms have an ε of 0.001 here.
  fileprivate mutating func convolutionNormActivation(
    _ x: ValueID, _ name: String, from inputs: Int, to outputs: Int, kernel: Int, stride: Int = 1, groups: Int = 1,
    activation: Epilogue? = nil
  ) throws -> ValueID {
    let sum = try convolutionAndNorm(
      x, "\(name).0", "\(name).1", from: inputs, to: outputs, kernel: kernel, stride: stride, groups: groups,
      epsilon: 1e-3)
    return try activation.map { try addNode("\(name).2", Activation($0), [sum]) } ?? sum
  }

  /// Each channel times a number between 0 and 1 that the means of all channels give.
  fileprivate mutating func squeezeExcitation(_ x: ValueID, _ name: String, channels: Int) throws -> ValueID {
    // A quarter, the nearest multiple of 8 that is not more than a tenth less.
    let nearest = max(8, (channels / 4 + 4) / 8 * 8)
    let squeezed = 10 * nearest < 9 * (channels / 4) ? nearest + 8 : nearest
    func pointwise(_ x: ValueID, _ layer: String, _ inputs: Int, _ outputs: Int) throws -> ValueID {
      let weight = addParameter("\(name).\(layer).weight", TensorType([outputs, inputs, 1, 1]))!
      let bias = addParameter("\(name).\(layer).bias", TensorType([outputs]))!
      return try addNode("\(name).\(layer)", Conv2D(), [x, weight, bias])
    }
    let means = try addNode("\(name).avgpool", GlobalAveragePool(), [x])
    let hidden = try addNode(
      "\(name).activation", Activation(.relu), [try pointwise(means, "fc1", channels, squeezed)])
    let scales = try addNode(
      "\(name).scale_activation", Activation(.hardSigmoid), [try pointwise(hidden, "fc2", squeezed, channels)])
    return try addNode("\(name).scale", Binary(.multiply), [x, scales])
  }
}
