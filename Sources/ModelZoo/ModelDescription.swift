import GraphCore
import TensorCore

/// A model that Pacer can build.
public struct ModelDescription: Sendable {
  public let name: String
  /// Other spellings that are accepted, torchvision's among them.
  public let aliases: [String]
  public let inputShape: Shape
  /// Whether it is left out where a suite names no model.
  public let isOptional: Bool
  /// The graph without weights, for inputs of a given shape.
  public let build: @Sendable (Shape) throws -> Graph

  public init(
    name: String, aliases: [String] = [], inputShape: Shape, isOptional: Bool = false,
    build: @escaping @Sendable (Shape) throws -> Graph
  ) {
    self.name = name
    self.aliases = aliases
    self.inputShape = inputShape
    self.isOptional = isOptional
    self.build = build
  }

  public static let mobileNetV2 = ModelDescription(
    name: "mobilenet-v2", aliases: ["mobilenet_v2", "mobilenetv2"], inputShape: [1, 3, 224, 224],
    build: buildMobileNetV2)

  public static let mobileNetV3Small = ModelDescription(
    name: "mobilenet-v3-small", aliases: ["mobilenet_v3_small"], inputShape: [1, 3, 224, 224],
    isOptional: true,
    build: buildMobileNetV3Small)

  public static let resNet18 = ModelDescription(
    name: "resnet-18", aliases: ["resnet18", "resnet_18"], inputShape: [1, 3, 224, 224], build: buildResNet18)
}

extension Graph {
  /// A convolution without bias and the batch norm behind it, with torchvision's parameter names.
  mutating func convolutionAndNorm(
    _ x: ValueID, _ convolution: String, _ norm: String, from inputs: Int, to outputs: Int, kernel: Int,
    stride: Int = 1, groups: Int = 1, epsilon: Float = 1e-5
  ) throws -> ValueID {
    let weight = addParameter(convolution + ".weight", TensorType([outputs, inputs / groups, kernel, kernel]))!
    let op = Conv2D(
      stride: Pair(stride, stride), padding: Padding((kernel - 1) / 2, (kernel - 1) / 2), groups: groups)
    let sum = try addNode(convolution, op, [x, weight])
    let statistics = ["weight", "bias", "running_mean", "running_var"].map {
      addParameter("\(norm).\($0)", TensorType([outputs]))!
    }
    addParameter(norm + ".num_batches_tracked", TensorType([], .int64), isRead: false)
    return try addNode(norm, BatchNorm(epsilon: epsilon), [sum] + statistics)
  }

  mutating func classifier(_ x: ValueID, _ name: String, from inputs: Int, to outputs: Int) throws -> ValueID {
    let weight = addParameter(name + ".weight", TensorType([outputs, inputs]))!
    let bias = addParameter(name + ".bias", TensorType([outputs]))!
    return try addNode(name, Linear(), [x, weight, bias])
  }
}
