import TensorCore

/// Tensors of one element type and format, one behind the other along an axis.
public struct Concat: Op {
  public static let name = "concat"

  public var axis: Int

  public init(axis: Int) { self.axis = axis }

  public var attributes: [(String, String)] { [("axis", "\(axis)")] }
  public var elementTypes: ElementTypes { .any }
  public var formatRule: FormatRule { .follows }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    guard var type = inputs.first else { throw GraphError("concat takes 1 input at least") }
    try expect((0..<type.shape.rank).contains(axis), "concat: axis \(axis) of \(type)")
    try expect(type.quantization?.axis == nil, "concat would lose the axis of \(type)")
    for other in inputs.dropFirst() {
      var fitting = other
      fitting.shape.extents = type.shape.extents
      try expect(
        other.shape.rank == type.shape.rank && fitting == type
          && other.shape.extents.indices.allSatisfy { $0 == axis || other.shape[$0] == type.shape[$0] },
        "concat along axis \(axis): \(type) and \(other)")
      type.shape.extents[axis] += other.shape[axis]
    }
    return [type]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    let (outer, inner) = result.shape.around(axis)
    let size = inner * result.type.dtype.byteCount
    let row = result.shape[axis] * size
    var place = 0
    for input in inputs {
      let own = input.shape[axis] * size
      for index in 0..<outer {
        (result.storage.pointer + index * row + place).copyMemory(
          from: input.storage.pointer + index * own, byteCount: own)
      }
      place += own
    }
    withExtendedLifetime(inputs) {}
    return [result]
  }
}
