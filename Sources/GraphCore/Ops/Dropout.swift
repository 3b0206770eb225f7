import TensorCore

/// Dropout at inference: hands its input on. Kept in the graph until a pass removes it, as PyTorch does.
public struct Dropout: Op {
  public static let name = "dropout"

  public var probability: Float

  public init(probability: Float) { self.probability = probability }

  public var attributes: [(String, String)] { [("p", "\(probability)")] }
  public var formatRule: FormatRule { .follows }

  public var elementTypes: ElementTypes { .any }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "dropout takes 1 input, not \(inputs.count)")
    return inputs
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: inputs[0].type)
    result.write(inputs[0])
    return [result]
  }
}
