import TensorCore

/// Elementwise sum of two tensors of one shape and format.
public struct Add: Op {
  public static let name = "add"

  /// Set by fusion; applied to the sum.
  public var activation: Clamp?

  public init(activation: Clamp? = nil) { self.activation = activation }

  public var attributes: [(String, String)] { activation.map { [("activation", "\($0)")] } ?? [] }
  public var formatRule: FormatRule { .follows }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 2, "add takes 2 inputs, not \(inputs.count)")
    try expect(inputs[0] == inputs[1], "add needs equal types: \(inputs[0]) and \(inputs[1])")
    return [inputs[0]]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: inputs[0].type)
    let (a, b, out) = (inputs[0].floats.baseAddress!, inputs[1].floats.baseAddress!, result.floats.baseAddress!)
    let clamp = activation ?? .none
    for i in 0..<result.shape.count { out[i] = clamp(a[i] + b[i]) }
    return [result]
  }
}
