import TensorCore

/// `y = x · weightᵀ + bias` with exact sums: `x` as uint8 over the range that it has in this very inference, and weights that are int8
/// (PyTorch, `quantize_dynamic`). Inputs: `x […, I]` of float32, `weight [O, I]` of int8 around zero, optionally `bias [O]` of float32.
///
/// To the bit: `scale`, `zero` and the integers are those of ``DynamicQuantizeLinear``; `sum` is int32, of products without the zero
/// point; `y = Float(sum) · (scale · scale(weight)) + bias`, and then the activation. Each is one operation of float32.
public struct DynamicLinear: FusingOp {
  public static let name = "dynamic_linear"

  /// Applied to the result; limits of outputs of their own are not among what it may be.
  public var epilogue: Epilogue?

  public init(epilogue: Epilogue? = nil) { self.epilogue = epilogue }

  public var attributes: [(String, String)] { epilogueAttribute }
  public var elementTypes: ElementTypes { .any }
  public var parameterInputs: Range<Int> { 1..<3 }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(epilogue?.channelLimits.isEmpty != false, "\(name) clamps all outputs alike")
    for (index, type) in inputs.enumerated() where index != 1 {
      try expect(type.dtype == .float32 && type.quantization == nil, "\(name) computes on f32, not on \(type)")
    }
    if inputs.count > 1 {
      let weight = inputs[1]
      try expect(
        weight.dtype == .int8
          && weight.quantization.map { ($0.axis ?? 0) == 0 && $0.zeroPoints.allSatisfy { $0 == 0 } } == true,
        "\(name) has weights of int8 around zero, not \(weight)")
    }
    return try Linear().outputTypes(for: inputs.map(\.widened))
  }

  public func cost(for inputs: [TensorType]) -> Cost { Linear().cost(for: inputs) }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    let grid = try DynamicQuantizeLinear().evaluate([inputs[0]])
    let (x, scale, zero) = (try grid[0].allIntegers(), grid[1].values[0], try grid[2].allIntegers()[0])
    let (weight, scales) = (try inputs[1].allIntegers(), inputs[1].type.quantization!.scales)
    let bias = inputs.count > 2 ? inputs[2].values : nil
    let (outputs, depth) = (inputs[1].shape[0], inputs[1].shape[1])
    let y = result.floats.baseAddress!
    for n in 0..<(outputs > 0 ? result.shape.count / outputs : 0) {
      for o in 0..<outputs {
        var sum: Int64 = 0
        for i in 0..<depth { sum += (x[n * depth + i] - zero) * weight[o * depth + i] }
        let real = Float(Int32(truncatingIfNeeded: sum)) * (scale * scales[scales.count > 1 ? o : 0])
        y[n * outputs + o] = bias.map { real + $0[o] } ?? real
      }
    }
    if let epilogue { result.apply(epilogue) }
    return [result]
  }
}
