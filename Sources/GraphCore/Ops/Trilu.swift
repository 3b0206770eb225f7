import TensorCore

/// The upper or lower triangle of matrices, and zeros in the other one (ONNX, Trilu).
public struct Trilu: Op {
  public static let name = "trilu"

  public var isUpper: Bool
  /// How far above the main diagonal the outermost one lies that is kept; negative below it.
  public var diagonal: Int

  public init(isUpper: Bool, diagonal: Int = 0) { (self.isUpper, self.diagonal) = (isUpper, diagonal) }

  public var attributes: [(String, String)] {
    [("keeps", isUpper ? "upper" : "lower")] + (diagonal == 0 ? [] : [("diagonal", "\(diagonal)")])
  }
  public var elementTypes: ElementTypes { .any }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "\(name) takes 1 input, not \(inputs.count)")
    try expect(inputs[0].shape.rank >= 2, "\(name) needs matrices, not \(inputs[0])")
    try expect(inputs[0].quantization == nil, "\(name) does not know what \(inputs[0]) stands for: dequantise it")
    return [TensorType(inputs[0].shape, inputs[0].dtype)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let type = try outputTypes(for: inputs.map(\.type))[0]
    let result = try Tensor(zeros: type)
    let (rows, columns) = (type.shape[type.shape.rank - 2], type.shape[type.shape.rank - 1])
    let size = type.dtype.byteCount
    guard type.shape.count > 0 else { return [result] }
    // Beyond the corners nothing changes, and sums of large numbers would not fit.
    let shift = min(max(diagonal, -rows), columns)
    for line in 0..<(type.shape.count / columns) {
      let border = min(max(line % rows + shift + (isUpper ? 0 : 1), 0), columns)
      let kept = isUpper ? border..<columns : 0..<border
      let place = (line * columns + kept.lowerBound) * size
      (result.storage.pointer + place).copyMemory(
        from: inputs[0].storage.pointer + place, byteCount: kept.count * size)
    }
    withExtendedLifetime(inputs) {}
    return [result]
  }
}
