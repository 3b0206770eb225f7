import TensorCore

/// `relu`, `relu6` or any other clamp as an op of its own.
public struct Activation: Op {
  public static let name = "activation"

  public var clamp: Clamp

  public init(_ clamp: Clamp) { self.clamp = clamp }

  public var attributes: [(String, String)] { [("clamp", "\(clamp)")] }
  public var formatRule: FormatRule { .follows }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "activation takes 1 input, not \(inputs.count)")
    return inputs
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: inputs[0].type)
    let (x, out) = (inputs[0].floats.baseAddress!, result.floats.baseAddress!)
    let clamp = clamp
    for i in 0..<result.shape.count { out[i] = clamp(x[i]) }
    return [result]
  }
}
