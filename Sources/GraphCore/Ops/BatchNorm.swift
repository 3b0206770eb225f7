import TensorCore

/// Batch normalisation with running statistics: `(x − mean) / √(var + ε) · weight + bias` per channel.
///
/// Inputs: `x [N, C, …]`, then `weight`, `bias`, `running_mean`, `running_var`, each `[C]`.
public struct BatchNorm: Op {
  public static let name = "batch_norm"

  public var epsilon: Float

  public init(epsilon: Float = 1e-5) { self.epsilon = epsilon }

  public var attributes: [(String, String)] { epsilon == 1e-5 ? [] : [("eps", "\(epsilon)")] }
  public var parameterInputs: Range<Int> { 1..<5 }
  public var formatRule: FormatRule { .follows }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 5, "batch_norm takes 5 inputs, not \(inputs.count)")
    try expect(inputs[0].shape.rank >= 2, "batch_norm needs channels along a second axis, not \(inputs[0].shape)")
    for parameter in inputs[1...] {
      try expect(
        parameter.shape == [inputs[0].shape[1]], "batch_norm parameter \(parameter.shape) for input \(inputs[0].shape)")
    }
    return [inputs[0]]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: inputs[0].type)
    let (x, out) = (inputs[0].floats.baseAddress!, result.floats.baseAddress!)
    let (batch, channels) = (result.shape[0], result.shape[1])
    let pixels = result.shape.extents[2...].reduce(1, *)
    for n in 0..<batch {
      for c in 0..<channels {
        let (weight, bias) = (inputs[1].floats[c], inputs[2].floats[c])
        let (mean, variance) = (inputs[3].floats[c], inputs[4].floats[c])
        let scale = weight / (variance + epsilon).squareRoot()
        let start = (n * channels + c) * pixels
        for i in start..<(start + pixels) { out[i] = (x[i] - mean) * scale + bias }
      }
    }
    return [result]
  }
}
