import TensorCore

/// What integers stand for: `(x − zero point) · scale` (ONNX, DequantizeLinear).
///
/// Inputs: `x` (integers), scale (floats), optionally the zero point of the scale's shape and `x`'s type; how many see
/// ``QuantizeLinear``.
public struct DequantizeLinear: Op {
  public static let name = "dequantize_linear"

  /// That scales belong to, where there are several.
  public var axis: Int
  /// Elements along the axis that share a scale; 0 where each index has one.
  public var blockSize: Int

  public init(axis: Int = 0, blockSize: Int = 0) { (self.axis, self.blockSize) = (axis, blockSize) }

  public var attributes: [(String, String)] {
    [("axis", "\(axis)")] + (blockSize == 0 ? [] : [("block", "\(blockSize)")])
  }
  public var elementTypes: ElementTypes { .numbers }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect((2...3).contains(inputs.count), "\(name) takes 2 or 3 inputs, not \(inputs.count)")
    let (x, scale) = (inputs[0], inputs[1])
    try expect(
      (x.dtype.quantizedRange != nil || x.dtype == .int32) && scale.dtype == .float32,
      "\(name) of \(x) by scales \(scale)")
    _ = try ScaleGrid(x.shape, scales: scale.shape, axis: axis, blockSize: blockSize, name)
    if inputs.count > 2 {
      try expect(
        inputs[2].dtype == x.dtype && inputs[2].shape.count == scale.shape.count,
        "\(name): zero points \(inputs[2]) of \(x) for scales \(scale)")
    }
    return [TensorType(x.shape)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let type = try outputTypes(for: inputs.map(\.type))[0]
    let grid = try ScaleGrid(type.shape, scales: inputs[1].shape, axis: axis, blockSize: blockSize, name)
    let (scales, zeros) = (inputs[1].values, inputs.count > 2 ? try inputs[2].indices : nil)
    let values = try inputs[0].indices.enumerated().map { index, value in
      let place = grid.index(of: index)
      return Float(value - (zeros?[place] ?? 0)) * scales[place]
    }
    return [try Tensor(type.shape, values)]
  }
}
