import TensorCore

/// A tensor repeated to the shape in which it meets another one (ONNX, Expand).
public struct Expand: Op {
  public static let name = "expand"

  public var shape: Shape

  public init(to shape: Shape) { self.shape = shape }

  public var attributes: [(String, String)] { [("to", "\(shape)")] }
  public var elementTypes: ElementTypes { .any }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "expand takes 1 input, not \(inputs.count)")
    try expect(inputs[0].quantization?.axis == nil, "expand would lose the axis of \(inputs[0])")
    return [
      TensorType(
        try Broadcast.shape([inputs[0].shape, shape], name), inputs[0].dtype, quantization: inputs[0].quantization)
    ]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let shape = try outputTypes(for: inputs.map(\.type))[0].shape
    return [try inputs[0].gathered(StridedView(of: inputs[0].shape, broadcastTo: shape))]
  }
}
