import GraphCore
import TensorCore

/// A model with its weights and an input, ready to be optimised.
public struct ModelInput: Sendable {
  public var graph: Graph
  public var input: Tensor

  /// - Parameters:
  ///   - shape: of the input; nil for the model's own.
  ///   - weights: path of a safetensors file, or of a state dict that `torch.save` wrote; nil for seeded weights.
  ///   - picture: path of a PNG or JPEG file, for an input of 1×3×N×N; nil for a seeded input.
  /// - Throws: ``ModelError`` where the model does not work at the shape, and what reading the files throws.
  public init(
    _ model: ModelDescription, shape: Shape? = nil, weights: String? = nil, picture: String? = nil
  ) throws {
    let shape = shape ?? model.inputShape
    do { graph = try model.build(shape) } catch {
      throw ModelError("\(model.name) does not work at \(shape): \(error)")
    }
    if let weights {
      try graph.readWeights(weights)
    } else {
      try SeededWeights.fill(&graph)
    }
    guard let picture else {
      input = try SeededWeights.input(shape)
      return
    }
    guard shape.rank == 4, shape[0] == 1, shape[1] == 3, shape[2] == shape[3] else {
      throw ModelError("a picture needs an input of 1x3xNxN, not \(shape)")
    }
    input = try ImageInput.load(picture, side: shape[2])
  }
}

/// A model that cannot be built as it was asked for.
public struct ModelError: Error, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}
