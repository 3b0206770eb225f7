import TensorCore

/// Numbers as uint8, with the scale and zero point that their range asks for (ONNX, DynamicQuantizeLinear).
///
/// Outputs: the integers, the scale (float32) and the zero point (uint8), one each.
public struct DynamicQuantizeLinear: Op {
  public static let name = "dynamic_quantize_linear"

  public init() {}

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "\(name) takes 1 input, not \(inputs.count)")
    return [TensorType(inputs[0].shape, .uint8), TensorType([]), TensorType([], .uint8)]
  }

  /// What numbers become integers by.
  /// - Parameters:
  ///   - low: the least of them and zero.
  ///   - high: the largest of them and zero.
  package static func grid(_ low: Float, _ high: Float) -> (scale: Float, zeroPoint: Int64) {
    let scale = low == high ? 1 : (high - low) / 255
    return (scale, DType.uint8.quantized(0 - low / scale, zeroPoint: 0))
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let numbers = DynamicNumbers(inputs[0].values)
    let integers = numbers.integers.map { $0 + numbers.zeroPoint }
    return [
      try Tensor(inputs[0].shape, integers, .uint8), try Tensor([], [numbers.scale]),
      try Tensor([], [numbers.zeroPoint], .uint8),
    ]
  }
}

/// Numbers as uint8 over their own range.
struct DynamicNumbers {
  let scale: Float
  let zeroPoint: Int64
  /// Without the zero point.
  let integers: [Int64]

  init(_ numbers: [Float]) {
    // Zero is one of the numbers.
    let (low, high) = numbers.reduce((0, 0) as (Float, Float)) { (min($0.0, $1), max($0.1, $1)) }
    let (scale, zeroPoint) = DynamicQuantizeLinear.grid(low, high)
    (self.scale, self.zeroPoint) = (scale, zeroPoint)
    integers = numbers.map { DType.uint8.quantized($0 / scale, zeroPoint: Int(zeroPoint)) - zeroPoint }
  }
}
