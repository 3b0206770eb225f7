import TensorCore

/// The same numbers in another element type (ONNX, Cast): of integers that are too large the lower bits stay; floats lose their
/// fraction towards zero, and one that is beyond an integer type becomes its limit, NaN 0; everything but 0 is true.
public struct Cast: Op {
  public static let name = "cast"

  /// Element type of the result.
  public var dtype: DType

  public init(to dtype: DType) { self.dtype = dtype }

  public var attributes: [(String, String)] { [("to", dtype.rawValue)] }
  public var elementTypes: ElementTypes { .any }
  public var formatRule: FormatRule { .follows }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "cast takes 1 input, not \(inputs.count)")
    try expect(inputs[0].quantization == nil, "cast does not know what \(inputs[0]) stands for: dequantise it")
    return [TensorType(inputs[0].shape, dtype, inputs[0].format)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    // Integers pass whole: a double holds 53 of their bits.
    if let integers = inputs[0].integers, !dtype.isFloat || inputs[0].type.dtype != .uint64 {
      return [try Tensor(inputs[0].shape, integers, dtype)]
    }
    return [try Tensor(inputs[0].shape, inputs[0].doubles, dtype)]
  }
}
