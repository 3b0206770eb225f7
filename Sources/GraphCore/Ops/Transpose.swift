import TensorCore

/// Axes in another order: axis `a` of the result is axis `order[a]` of the input.
public struct Transpose: Op {
  public static let name = "transpose"

  public var order: [Int]

  public init(_ order: [Int]) { self.order = order }

  public var attributes: [(String, String)] { [("order", order.map(String.init).joined(separator: ","))] }
  public var elementTypes: ElementTypes { .any }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "transpose takes 1 input, not \(inputs.count)")
    let input = inputs[0]
    try expect(order.sorted() == Array(0..<input.shape.rank), "transpose of \(input) in the order \(order)")
    try expect(input.quantization?.axis == nil, "transpose would lose the axis of \(input)")
    return [TensorType(Shape(order.map { input.shape[$0] }), input.dtype, quantization: input.quantization)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let shape = try outputTypes(for: inputs.map(\.type))[0].shape
    let strides = inputs[0].shape.strides
    return [try inputs[0].gathered(StridedView(shape, strides: order.map { strides[$0] }))]
  }
}
