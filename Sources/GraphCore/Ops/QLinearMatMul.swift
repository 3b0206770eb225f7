import TensorCore

/// Products of matrices of int8 or uint8 that stand for numbers, rounded to such integers again (ONNX, QLinearMatMul): shapes
/// as ``MatMul``.
///
/// Inputs: `a`, its scale and zero point, `b`, its scale and zero point, scale and zero point of the result; one each, or one
/// for each row of `a` and column of `b`. Sums are int32.
public struct QLinearMatMul: Op {
  public static let name = "qlinear_matmul"

  public init() {}

  public var elementTypes: ElementTypes { .numbers }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 8, "\(name) takes 8 inputs, not \(inputs.count)")
    let (a, b, result) = (inputs[0], inputs[3], inputs[7])
    let type = try MatMulInteger.type(a, b, zero: [inputs[2], inputs[5]], name)
    for index in [1, 4, 6] {
      try expect(inputs[index].dtype == .float32, "\(name): \(inputs[index]) is no scale")
    }
    try expect(
      inputs[6].shape.count == 1 && result.shape.count == 1 && (result.dtype == .int8 || result.dtype == .uint8),
      "\(name) to a scale \(inputs[6]) and a zero point \(result)")
    for (scale, matrix, isRow) in [(inputs[1], a, true), (inputs[4], b, false)] {
      _ = try eachLine(scale.shape, of: matrix.shape, isRow: isRow, name)
    }
    // What there is for each row needs rows in the result.
    let isOne = [inputs[1], inputs[4]].allSatisfy { $0.shape.count == 1 }
    try expect(isOne || a.shape.rank > 1 && b.shape.rank > 1, "\(name): scales for lines of \(a) and \(b)")
    return [TensorType(type.shape, result.dtype)]
  }

  public func cost(for inputs: [TensorType]) -> Cost {
    inputs.count == 8 ? MatMulInteger().cost(for: [inputs[0], inputs[3]]) : Cost()
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let type = try outputTypes(for: inputs.map(\.type))[0]
    let sums = try MatMulInteger().evaluate([inputs[0], inputs[3], inputs[2], inputs[5]])[0]
    func scales(_ index: Int, _ matrix: Int, isRow: Bool) throws -> Tensor {
      let shape = try eachLine(inputs[index].shape, of: inputs[matrix].shape, isRow: isRow, name)
      return try inputs[index].reshaped(to: shape)
    }
    let both = try Binary(.multiply).evaluate([scales(1, 0, isRow: true), scales(4, 3, isRow: false)])[0]
    let scale = try Binary(.divide).evaluate([both, inputs[6].reshaped(to: [])])[0]
    let numbers = try Binary(.multiply).evaluate([sums.rounded(to: .float32), scale])[0]
    let zero = try inputs[7].indices[0]
    return [try Tensor(type.shape, numbers.values.map { type.dtype.quantized($0, zeroPoint: zero) }, type.dtype)]
  }
}
