import TensorCore

/// `[N, …]` to `[N, rest]`, in NCHW order.
public struct Flatten: Op {
  public static let name = "flatten"

  public init() {}

  public var elementTypes: ElementTypes { .any }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1 && inputs[0].shape.rank >= 1, "flatten takes one input")
    try expect(inputs[0].format == .nchw, "flatten needs nchw, not \(inputs[0].format)")
    let shape = inputs[0].shape
    try expect(inputs[0].quantization?.axis == nil, "flatten would lose the axis of \(inputs[0])")
    return [
      TensorType(
        [shape[0], shape.extents.dropFirst().reduce(1, *)], inputs[0].dtype, quantization: inputs[0].quantization)
    ]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    result.storage.pointer.copyMemory(from: inputs[0].storage.pointer, byteCount: result.type.byteCount)
    return [result]
  }
}
