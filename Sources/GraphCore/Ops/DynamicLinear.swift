import TensorCore

/// `y = x · weightᵀ + bias` with exact sums: `x` as uint8 over the range that it has in this very inference, and weights that are int8.
/// ONNX computes the same as DynamicQuantizeLinear and MatMulInteger; PyTorch's `quantize_dynamic` is of this kind. Inputs: `x […, I]` of
/// float32, `weight [O, I]` of int8 around zero, optionally `bias [O]` of float32.
///
/// `scale`, `zero` and the integers are those of ``DynamicQuantizeLinear``; `sum` is int32, of products without the zero point; `y =
/// Float(sum) · (scale · scale(weight)) + bias`, each one operation of float32, and then the activation. Kernels give the same to the bit,
/// but for the sign of zero and for activations that are more than limits. NaN becomes the lowest integer; an infinite number, or a range
/// that float32 cannot hold, makes every sum infinite or NaN.
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
    if inputs.count > 1 { try Self.expectWeight(inputs[1], name) }
    return try Linear().outputTypes(for: inputs.map(\.widened))
  }

  public func cost(for inputs: [TensorType]) -> Cost { Linear().cost(for: inputs) }

  /// That a weight is int8 around zero, of one scale or one for each output.
  static func expectWeight(_ type: TensorType, _ op: String) throws {
    try expect(
      type.dtype == .int8
        && type.quantization.map { ($0.axis ?? 0) == 0 && $0.zeroPoints.allSatisfy { $0 == 0 } } == true,
      "\(op) has weights of int8 around zero, not \(type)")
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    let (numbers, weight) = (DynamicNumbers(inputs[0].values), try DynamicWeight(inputs[1]))
    let (outputs, y) = (inputs[1].shape[0], result.floats.baseAddress!)
    let bias = inputs.count > 2 ? inputs[2].values : nil
    for n in 0..<(outputs > 0 ? result.shape.count / outputs : 0) {
      let row = weight.products(of: numbers, from: n * weight.depth, 0..<outputs, bias, from: 0)
      for o in 0..<outputs { y[n * outputs + o] = row[o] }
    }
    if let epilogue { result.apply(epilogue) }
    return [result]
  }
}
