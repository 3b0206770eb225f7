import TensorCore

/// Mean over all pixels of each channel: `[N, C, H, W]` to `[N, C, 1, 1]`, PyTorch's `adaptive_avg_pool2d(1)`.
public struct GlobalAveragePool: Op {
  public static let name = "global_avg_pool2d"

  public init() {}

  public var formatRule: FormatRule { .follows }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1 && inputs[0].shape.rank == 4, "global_avg_pool2d takes one rank 4 input")
    return [TensorType([inputs[0].shape[0], inputs[0].shape[1], 1, 1], inputs[0].dtype, inputs[0].format)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    let (x, out) = (inputs[0].floats.baseAddress!, result.floats.baseAddress!)
    let pixels = inputs[0].shape[2] * inputs[0].shape[3]
    for plane in 0..<result.shape.count {
      var sum: Float = 0
      for i in 0..<pixels { sum += x[plane * pixels + i] }
      out[plane] = sum / Float(pixels)
    }
    return [result]
  }
}
