import TensorCore

/// Values put back to where maximum pooling found them, among zeros (ONNX, MaxUnpool).
///
/// Inputs: values, and as many places in the whole result as int64.
public struct MaxUnpool: Op {
  public static let name = "max_unpool"

  /// Of the result.
  public var shape: Shape

  public init(to shape: Shape) { self.shape = shape }

  public var attributes: [(String, String)] { [("to", "\(shape)")] }
  public var elementTypes: ElementTypes { .numbers }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(
      inputs.count == 2 && inputs[1].dtype == .int64 && inputs[0].shape == inputs[1].shape,
      "\(name) takes values and as many places, not \(inputs)")
    return [try TensorType(shape, inputs[0].dtype).checked(name)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(zeros: outputTypes(for: inputs.map(\.type))[0])
    let size = result.type.dtype.byteCount
    for (index, place) in inputs[1].elements(as: Int64.self).enumerated() {
      guard place >= 0, place < shape.count else { throw GraphError("\(name): place \(place) in \(shape)") }
      (result.storage.pointer + Int(place) * size).copyMemory(
        from: inputs[0].storage.pointer + index * size, byteCount: size)
    }
    withExtendedLifetime(inputs) {}
    return [result]
  }
}
