import TensorCore

/// The same numbers, stored as its node says: float32 to integers that stand for numbers, back, or from one scale to another.
public struct Requantize: Op {
  public static let name = "requantize"

  public init() {}

  public var formatRule: FormatRule { .follows }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "requantize takes 1 input, not \(inputs.count)")
    return inputs
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] { inputs }
}
