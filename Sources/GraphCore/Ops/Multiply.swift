import TensorCore

/// Elementwise product of two tensors of one format, broadcast where their shapes differ.
public struct Multiply: Op {
  public static let name = "multiply"

  public init() {}

  public var formatRule: FormatRule { .follows }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    [try Broadcast.outputType(inputs, Self.name)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    [try Broadcast.evaluate(inputs, Self.name) { $0 * $1 }]
  }
}
