import TensorCore

/// Elements of a tensor, each from another place along an axis (ONNX, GatherElements).
///
/// Inputs: `data`, `indices` (int32 or int64, negative ones count from the end) of the same rank, and no larger than the data
/// along the other axes. The result has the indices' shape.
public struct GatherElements: Op {
  public static let name = "gather_elements"

  public var axis: Int

  public init(axis: Int) { self.axis = axis }

  public var attributes: [(String, String)] { [("axis", "\(axis)")] }
  public var elementTypes: ElementTypes { .any }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 2, "\(name) takes 2 inputs, not \(inputs.count)")
    let (data, indices) = (inputs[0], inputs[1])
    try checkElementIndices(indices, of: data, axis, name)
    try expect(data.quantization?.axis == nil, "\(name) would lose the axis of \(data)")
    return [TensorType(indices.shape, data.dtype, quantization: data.quantization)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    let places = try elementPlaces(inputs[1], of: inputs[0].shape, axis, name)
    let size = result.type.dtype.byteCount
    for (index, place) in places.enumerated() {
      (result.storage.pointer + index * size).copyMemory(
        from: inputs[0].storage.pointer + place * size, byteCount: size)
    }
    withExtendedLifetime(inputs) {}
    return [result]
  }
}

/// - Throws: ``GraphError`` where indices of single elements along an axis do not fit their tensor.
func checkElementIndices(_ indices: TensorType, of data: TensorType, _ axis: Int, _ op: String) throws {
  try expect((0..<data.shape.rank).contains(axis), "\(op): axis \(axis) of \(data)")
  try expect(indices.dtype == .int32 || indices.dtype == .int64, "\(op): \(indices) are no indices")
  try expect(
    indices.shape.rank == data.shape.rank
      && indices.shape.extents.indices.allSatisfy { $0 == axis || indices.shape[$0] <= data.shape[$0] },
    "\(op) along axis \(axis): indices \(indices) into \(data)")
}

/// Where the elements lie that indices along an axis name, each by its own place along the others.
/// - Throws: ``GraphError`` where there is nothing.
func elementPlaces(_ indices: Tensor, of shape: Shape, _ axis: Int, _ op: String) throws -> [Int] {
  var view = StridedView(indices.shape, strides: shape.strides)
  let step = shape.strides[axis]
  view.strides[axis] = 0
  let (count, stride) = (view.shape.extents.last ?? 1, view.strides.last ?? 0)
  let all = try indices.indices
  var places: [Int] = []
  places.reserveCapacity(all.count)
  try view.forEachLine { line in
    for i in 0..<count {
      places.append(line + i * stride + step * (try place(all[places.count], of: shape[axis], op)))
    }
  }
  return places
}
