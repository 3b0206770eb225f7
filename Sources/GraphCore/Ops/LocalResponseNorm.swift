import TensorCore

/// Each element divided by what lies in the channels around it: `x / (bias + α / size · Σ x²)^β` (ONNX, LRN): `[N, C, …]`.
public struct LocalResponseNorm: Op {
  public static let name = "local_response_norm"

  /// Channels that are summed up: as many before an element's own as behind it, of an even number one more behind.
  public var size: Int
  public var alpha: Float
  public var beta: Float
  public var bias: Float

  public init(size: Int, alpha: Float = 1e-4, beta: Float = 0.75, bias: Float = 1) {
    (self.size, self.alpha, self.beta, self.bias) = (size, alpha, beta, bias)
  }

  public var attributes: [(String, String)] {
    [("size", "\(size)"), ("alpha", "\(alpha)"), ("beta", "\(beta)"), ("bias", "\(bias)")]
  }
  public var elementTypes: ElementTypes { .numbers }
  public var formatRule: FormatRule { .follows }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1 && inputs[0].shape.rank > 1, "\(name) takes one input with channels")
    try expectReals(inputs, name)
    try expect((1...1 << 28).contains(size), "\(name): size \(size)")
    return inputs
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: inputs[0].type)
    withReals(of: result.type.dtype) { compute($0, inputs[0], result) }
    return [result]
  }

  private func compute<Real: LibraryReal>(_: Real.Type, _ input: Tensor, _ result: Tensor) {
    let (x, out) = (input.pointer(to: Real.self), result.pointer(to: Real.self))
    let (channels, pixels) = (input.shape[1], input.shape.extents[2...].reduce(1, *))
    for n in 0..<input.shape[0] {
      for c in 0..<channels {
        let before = min(c, (size - 1) / 2)
        let behind = min(channels - 1 - c, size / 2)
        for i in 0..<pixels {
          let place = (n * channels + c) * pixels + i
          var sum: Real = 0
          for other in -before...behind { sum += x[place + other * pixels] * x[place + other * pixels] }
          out[place] = x[place] / Real.power(Real(bias) + Real(alpha) / Real(size) * sum, Real(beta))
        }
      }
    }
    withExtendedLifetime((input, result)) {}
  }
}
