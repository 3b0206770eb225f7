import TensorCore

/// Elements of one tensor where a condition holds, and of another where not; all three are broadcast (ONNX, Where).
///
/// Inputs: bools, then two tensors of one element type.
public struct Where: Op {
  public static let name = "where"

  public init() {}

  public var elementTypes: ElementTypes { .any }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 3, "where takes 3 inputs, not \(inputs.count)")
    try expect(inputs[0].dtype == .bool, "where needs bools to choose by, not \(inputs[0])")
    try expect(
      inputs[1].dtype == inputs[2].dtype && inputs[1].quantization == inputs[2].quantization,
      "where needs one element type: \(inputs[1]) and \(inputs[2])")
    return [
      TensorType(
        try Broadcast.shape(inputs.map(\.shape), name), inputs[1].dtype, quantization: inputs[1].quantization)
    ]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let shape = try outputTypes(for: inputs.map(\.type))[0].shape
    let choices = try inputs[0].gathered(StridedView(of: inputs[0].shape, broadcastTo: shape))
    let (result, other) = (
      try inputs[1].gathered(StridedView(of: inputs[1].shape, broadcastTo: shape)),
      try inputs[2].gathered(StridedView(of: inputs[2].shape, broadcastTo: shape))
    )
    let size = result.type.dtype.byteCount
    let chosen = choices.elements(as: Bool.self)
    for i in 0..<shape.count where !chosen[i] {
      (result.storage.pointer + i * size).copyMemory(from: other.storage.pointer + i * size, byteCount: size)
    }
    withExtendedLifetime((choices, other)) {}
    return [result]
  }
}
