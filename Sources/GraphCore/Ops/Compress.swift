import TensorCore

/// The slices along an axis for which a condition holds (ONNX, Compress). How many there are is known only when it ran.
///
/// Inputs: `data`, `condition` (bools of one axis): what it is too short for is left out.
public struct Compress: Op {
  public static let name = "compress"

  public var axis: Int

  public init(axis: Int) { self.axis = axis }

  public var attributes: [(String, String)] { [("axis", "\(axis)")] }
  public var elementTypes: ElementTypes { .any }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 2, "\(name) takes 2 inputs, not \(inputs.count)")
    var type = inputs[0]
    let condition = inputs[1]
    try expect((0..<type.shape.rank).contains(axis), "\(name): axis \(axis) of \(type)")
    try expect(condition.dtype == .bool && condition.shape.rank == 1, "\(name): \(condition) is no condition")
    try expect(type.quantization?.axis == nil, "\(name) would lose the axis of \(type)")
    type.shape.extents[axis] = min(type.shape[axis], condition.shape[0])
    type.isUpperBound = true
    return [type]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let condition = try inputs[1].indices
    let kept = condition.indices.prefix(inputs[0].shape[axis]).filter { condition[$0] != 0 }
    let indices = try Tensor([kept.count], elements: kept.map(Int64.init))
    return try Gather(axis: axis).evaluate([inputs[0], indices])
  }
}
