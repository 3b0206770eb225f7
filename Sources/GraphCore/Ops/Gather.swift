import TensorCore

/// Slices of a tensor along an axis, chosen by index (ONNX, Gather).
///
/// Inputs: `data`, `indices` (int32 or int64, of any shape; negative ones count from the end). The result has the indices' axes in
/// the place of the chosen one.
public struct Gather: Op {
  public static let name = "gather"

  public var axis: Int

  public init(axis: Int) { self.axis = axis }

  public var attributes: [(String, String)] { axis == 0 ? [] : [("axis", "\(axis)")] }
  public var elementTypes: ElementTypes { .any }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 2, "gather takes 2 inputs, not \(inputs.count)")
    let (data, indices) = (inputs[0], inputs[1])
    try expect((0..<data.shape.rank).contains(axis), "gather: axis \(axis) of \(data)")
    try expect(indices.dtype == .int32 || indices.dtype == .int64, "gather: \(indices) are no indices")
    try expect(data.quantization?.axis == nil, "gather would lose the axis of \(data)")
    let extents = data.shape.extents
    return [
      TensorType(
        Shape(extents[..<axis] + indices.shape.extents + extents[(axis + 1)...]), data.dtype,
        quantization: data.quantization)
    ]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    let (outer, inner) = inputs[0].shape.around(axis)
    let (extent, size) = (inputs[0].shape[axis], inner * result.type.dtype.byteCount)
    var target = result.storage.pointer
    let indices = try inputs[1].indices.map { try place($0, of: extent, "gather") }
    for index in 0..<outer {
      for place in indices {
        target.copyMemory(from: inputs[0].storage.pointer + (index * extent + place) * size, byteCount: size)
        target += size
      }
    }
    withExtendedLifetime(inputs) {}
    return [result]
  }
}

/// An index that may count from the end.
/// - Throws: ``GraphError`` where there is nothing.
package func place(_ index: Int, of extent: Int, _ op: String) throws -> Int {
  try expect((-extent..<extent).contains(index), "\(op): index \(index) of \(extent)")
  return index < 0 ? index + extent : index
}
