import TensorCore

/// Numbers as integers: `saturate(round(x / scale) + zero point)`, halves to the even one (ONNX, QuantizeLinear).
///
/// Inputs: `x` (floats or int32), scale (floats), optionally the zero point of the scale's shape and the result's type: one for
/// the whole tensor, a list for an axis, or one for each block along it; see ``ScaleGrid``.
public struct QuantizeLinear: Op {
  public static let name = "quantize_linear"

  /// Element type of the result.
  public var dtype: DType
  /// That scales belong to, where there are several.
  public var axis: Int
  /// Elements along the axis that share a scale; 0 where each index has one.
  public var blockSize: Int

  public init(to dtype: DType, axis: Int = 0, blockSize: Int = 0) {
    (self.dtype, self.axis, self.blockSize) = (dtype, axis, blockSize)
  }

  public var attributes: [(String, String)] {
    [("to", dtype.rawValue), ("axis", "\(axis)")] + (blockSize == 0 ? [] : [("block", "\(blockSize)")])
  }
  public var elementTypes: ElementTypes { .numbers }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect((2...3).contains(inputs.count), "\(name) takes 2 or 3 inputs, not \(inputs.count)")
    let (x, scale) = (inputs[0], inputs[1])
    try expect(
      (x.dtype == .float32 || x.dtype == .int32) && scale.dtype == .float32, "\(name) of \(x) by scales \(scale)")
    try expect(dtype.quantizedRange != nil, "\(name) does not make \(dtype.rawValue)")
    _ = try ScaleGrid(x.shape, scales: scale.shape, axis: axis, blockSize: blockSize, name)
    if inputs.count > 2 {
      try expect(
        inputs[2].dtype == dtype && inputs[2].shape.count == scale.shape.count,
        "\(name) to \(dtype.rawValue): zero points \(inputs[2]) for scales \(scale)")
    }
    return [TensorType(x.shape, dtype)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let type = try outputTypes(for: inputs.map(\.type))[0]
    let grid = try ScaleGrid(type.shape, scales: inputs[1].shape, axis: axis, blockSize: blockSize, name)
    let (scales, zeros) = (inputs[1].values, inputs.count > 2 ? try inputs[2].indices : nil)
    let values = inputs[0].values.enumerated().map { index, value in
      let place = grid.index(of: index)
      return dtype.quantized(value / scales[place], zeroPoint: zeros?[place] ?? 0)
    }
    return [try Tensor(type.shape, values, dtype)]
  }
}

/// Which of several scales an element of a tensor has (ONNX, QuantizeLinear): of one scale all have it; a list has one for each
/// index of an axis; scales of the tensor's own rank have one for each block along it.
struct ScaleGrid {
  private let extent: Int
  private let inner: Int
  private let blocks: Int
  private let blockSize: Int
  private let isList: Bool

  /// - Throws: ``GraphError`` where the scales do not fit.
  init(_ shape: Shape, scales: Shape, axis: Int, blockSize: Int, _ op: String) throws {
    try expect(blockSize >= 0, "\(op): blocks of \(blockSize)")
    if scales.count == 1, scales.rank <= 1, blockSize == 0 {
      (extent, inner, blocks, self.blockSize, isList) = (1, 1, 1, 1, true)
      return
    }
    try expect((0..<shape.rank).contains(axis), "\(op): axis \(axis) of \(shape)")
    var wanted: Shape = [shape[axis]]
    if blockSize > 0 {
      wanted = shape
      wanted.extents[axis] = shape[axis] / blockSize + (shape[axis] % blockSize > 0 ? 1 : 0)
    }
    try expect(scales == wanted, "\(op): scales \(scales) along axis \(axis) of \(shape) in blocks of \(blockSize)")
    (extent, inner) = (shape[axis], shape.around(axis).inner)
    (blocks, self.blockSize) = (wanted[blockSize > 0 ? axis : 0], max(blockSize, 1))
    isList = blockSize == 0
  }

  func index(of element: Int) -> Int {
    let block = element / inner % extent / blockSize
    return isList ? block : (element / (inner * extent) * blocks + block) * inner + element % inner
  }
}
