import TensorCore

/// Elementwise sum of two tensors of one format, broadcast where their shapes differ.
public struct Add: Op {
  public static let name = "add"

  /// Set by fusion; applied to the sum.
  public var activation: Clamp?

  public init(activation: Clamp? = nil) { self.activation = activation }

  public var attributes: [(String, String)] { activation.map { [("activation", "\($0)")] } ?? [] }
  public var formatRule: FormatRule { .follows }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    [try Broadcast.outputType(inputs, Self.name)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let clamp = activation ?? .none
    return [try Broadcast.evaluate(inputs, Self.name) { clamp($0 + $1) }]
  }
}
