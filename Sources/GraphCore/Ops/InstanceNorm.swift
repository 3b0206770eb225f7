import TensorCore

/// Each channel of each image with a mean of 0 and a variance of 1, then scaled: `(x − mean) / √(var + ε) · scale + bias`.
///
/// Inputs: `x [N, C, …]`, then `scale` and `bias`, each `[C]`.
public struct InstanceNorm: Op {
  public static let name = "instance_norm"

  public var epsilon: Float

  public init(epsilon: Float = 1e-5) { self.epsilon = epsilon }

  public var attributes: [(String, String)] { epsilon == 1e-5 ? [] : [("eps", "\(epsilon)")] }
  public var elementTypes: ElementTypes { .numbers }
  public var parameterInputs: Range<Int> { 1..<3 }
  public var formatRule: FormatRule { .follows }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 3, "\(name) takes 3 inputs, not \(inputs.count)")
    try expectReals(inputs, name)
    try expect(inputs[0].shape.rank > 2, "\(name) takes images, not \(inputs[0])")
    for parameter in inputs[1...] {
      try expect(parameter.shape == [inputs[0].shape[1]], "\(name): parameter \(parameter) for input \(inputs[0])")
    }
    return [inputs[0]]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: inputs[0].type)
    withReals(of: result.type.dtype) { compute($0, inputs, result) }
    return [result]
  }

  private func compute<Real: LibraryReal>(_: Real.Type, _ inputs: [Tensor], _ result: Tensor) {
    let (x, out) = (inputs[0].pointer(to: Real.self), result.pointer(to: Real.self))
    let (scale, bias) = (inputs[1].pointer(to: Real.self), inputs[2].pointer(to: Real.self))
    let (shape, pixels) = (result.shape, result.shape.extents[2...].reduce(1, *))
    for plane in 0..<shape[0] * shape[1] {
      let (first, channel) = (plane * pixels, plane % shape[1])
      let (mean, variance) = moments(UnsafeBufferPointer(start: x + first, count: pixels))
      let factor = Double(scale[channel]) / (variance + Double(epsilon)).squareRoot()
      for i in first..<first + pixels { out[i] = Real((Double(x[i]) - mean) * factor + Double(bias[channel])) }
    }
    withExtendedLifetime((inputs, result)) {}
  }
}

/// Mean and variance, in double precision.
func moments<Real: LibraryReal>(_ values: UnsafeBufferPointer<Real>) -> (mean: Double, variance: Double) {
  let count = Double(values.count)
  let mean = values.reduce(0) { $0 + Double($1) } / count
  return (mean, values.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / count)
}
