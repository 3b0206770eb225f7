import TensorCore

/// Slices of a tensor, each named by the first of its indices (ONNX, GatherND).
///
/// Inputs: `data`, `indices` (int32 or int64, negative ones count from the end) `[…, depth]`: the last axis holds an index for
/// each of `depth` axes of the data behind the first `batchAxes`, which both have. The result has the indices' axes but the
/// last, then those of a slice.
public struct GatherND: Op {
  public static let name = "gather_nd"

  public var batchAxes: Int

  public init(batchAxes: Int = 0) { self.batchAxes = batchAxes }

  public var attributes: [(String, String)] { batchAxes == 0 ? [] : [("batch", "\(batchAxes)")] }
  public var elementTypes: ElementTypes { .any }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 2, "\(name) takes 2 inputs, not \(inputs.count)")
    let (data, indices) = (inputs[0], inputs[1])
    try expect(data.quantization?.axis == nil, "\(name) would lose the axis of \(data)")
    let slice = try sliceShape(of: data, indices, batchAxes, name)
    return [
      TensorType(
        Shape(indices.shape.extents.dropLast() + slice.extents), data.dtype, quantization: data.quantization)
    ]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    let slice = try sliceShape(of: inputs[0].type, inputs[1].type, batchAxes, name).count
    let size = slice * result.type.dtype.byteCount
    for (index, place) in try slicePlaces(inputs[1], of: inputs[0].shape, batchAxes, name).enumerated() {
      (result.storage.pointer + index * size).copyMemory(
        from: inputs[0].storage.pointer + place * result.type.dtype.byteCount, byteCount: size)
    }
    withExtendedLifetime(inputs) {}
    return [result]
  }
}

/// What an index of several axes names.
/// - Throws: ``GraphError`` where there are no such indices.
func sliceShape(of data: TensorType, _ indices: TensorType, _ batchAxes: Int, _ op: String) throws -> Shape {
  try expect(indices.dtype == .int32 || indices.dtype == .int64, "\(op): \(indices) are no indices")
  try expect(
    batchAxes >= 0 && indices.shape.rank > batchAxes && data.shape.rank > batchAxes
      && data.shape.extents[..<batchAxes] == indices.shape.extents[..<batchAxes],
    "\(op): \(indices) and \(data) share no \(batchAxes) axes")
  let depth = indices.shape.extents.last!
  try expect(batchAxes + depth <= data.shape.rank, "\(op): indices of \(depth) axes into \(data)")
  return Shape(Array(data.shape.extents[(batchAxes + depth)...]))
}

/// Where the slices begin that indices of several axes name.
/// - Throws: ``GraphError`` where there is nothing.
func slicePlaces(_ indices: Tensor, of shape: Shape, _ batchAxes: Int, _ op: String) throws -> [Int] {
  let (all, depth, strides) = (try indices.indices, indices.shape.extents.last!, shape.strides)
  let count = indices.shape.extents.dropLast().reduce(1, *)
  let batches = shape.extents[..<batchAxes].reduce(1, *)
  let perBatch = batches > 0 ? count / batches : 0
  let batch = shape.extents[batchAxes...].reduce(1, *)
  return try (0..<count).map { index in
    var start = index / perBatch * batch
    for axis in 0..<depth {
      let extent = shape[batchAxes + axis]
      start += strides[batchAxes + axis] * (try place(all[index * depth + axis], of: extent, op))
    }
    return start
  }
}
