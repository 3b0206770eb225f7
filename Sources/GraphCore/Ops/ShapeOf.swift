import TensorCore

/// The extents of a tensor as int64: of one whose shape is known before a run, a constant stands in its place.
public struct ShapeOf: Op {
  public static let name = "shape"

  public init() {}

  public var elementTypes: ElementTypes { .any }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "shape takes 1 input, not \(inputs.count)")
    return [TensorType([inputs[0].shape.rank], .int64)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    [try Tensor([inputs[0].shape.rank], elements: inputs[0].shape.extents.map(Int64.init))]
  }
}
