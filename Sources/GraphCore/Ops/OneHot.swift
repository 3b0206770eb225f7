import TensorCore

/// Along a new axis one of two values at the place that an index names, and the other one elsewhere (ONNX, OneHot).
///
/// Inputs: `indices` of any numbers, negative ones count from the end, and those outside name no place; `values`: two elements,
/// off and on.
public struct OneHot: Op {
  public static let name = "one_hot"

  /// Position of the new axis in the result.
  public var axis: Int
  /// Its extent.
  public var depth: Int

  public init(axis: Int, depth: Int) { (self.axis, self.depth) = (axis, depth) }

  public var attributes: [(String, String)] { [("axis", "\(axis)"), ("depth", "\(depth)")] }
  public var elementTypes: ElementTypes { .any }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 2, "\(name) takes 2 inputs, not \(inputs.count)")
    let (indices, values) = (inputs[0], inputs[1])
    try expect(
      (0...indices.shape.rank).contains(axis) && depth >= 0, "\(name): axis \(axis) of \(depth) in \(indices)")
    try expect(indices.quantization == nil, "\(name): \(indices) are no indices")
    try expect(values.shape == [2], "\(name): \(values) are no two values")
    var extents = indices.shape.extents
    extents.insert(depth, at: axis)
    return [TensorType(Shape(extents), values.dtype, quantization: values.quantization)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let type = try outputTypes(for: inputs.map(\.type))[0]
    let off = StridedView(type.shape, strides: type.shape.extents.map { _ in 0 })
    let result = try inputs[1].gathered(off)
    let indices = inputs[0].integers?.map(Int.init) ?? inputs[0].doubles.map { Int(Int64(nearest: $0)) }
    let (inner, size) = (type.shape.around(axis).inner, type.dtype.byteCount)
    for (position, index) in indices.enumerated() where index >= -depth && index < depth {
      let place = (position / inner * depth + (index < 0 ? index + depth : index)) * inner + position % inner
      (result.storage.pointer + place * size).copyMemory(
        from: inputs[1].storage.pointer + size, byteCount: size)
    }
    withExtendedLifetime((inputs, result)) {}
    return [result]
  }
}
