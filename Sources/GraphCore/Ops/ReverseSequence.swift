import TensorCore

/// A batch of sequences, of each its first elements in reverse order (ONNX, ReverseSequence).
///
/// Inputs: `data`, `lengths` (int32 or int64, one for each index of the batch): how many are reversed.
public struct ReverseSequence: Op {
  public static let name = "reverse_sequence"

  public var batchAxis: Int
  public var timeAxis: Int

  public init(batchAxis: Int = 1, timeAxis: Int = 0) { (self.batchAxis, self.timeAxis) = (batchAxis, timeAxis) }

  public var attributes: [(String, String)] { [("batch", "\(batchAxis)"), ("time", "\(timeAxis)")] }
  public var elementTypes: ElementTypes { .any }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 2, "\(name) takes 2 inputs, not \(inputs.count)")
    let (data, lengths) = (inputs[0], inputs[1])
    let axes = 0..<data.shape.rank
    try expect(
      axes.contains(batchAxis) && axes.contains(timeAxis) && batchAxis != timeAxis,
      "\(name): axes \(batchAxis) and \(timeAxis) of \(data)")
    try expect(
      (lengths.dtype == .int32 || lengths.dtype == .int64) && lengths.shape == [data.shape[batchAxis]],
      "\(name): lengths \(lengths) of \(data)")
    try expect(
      data.quantization?.axis != timeAxis || data.quantization == nil, "\(name) would mix the scales of \(data)")
    return [data]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    let (shape, lengths) = (result.shape, try inputs[1].indices)
    let steps = shape[timeAxis]
    try expect(lengths.allSatisfy { (0...steps).contains($0) }, "\(name): lengths \(lengths) of \(shape)")
    let (time, batch, size) = (shape.strides[timeAxis], shape.strides[batchAxis], result.type.dtype.byteCount)
    for index in 0..<shape.count {
      let (t, length) = (index / time % steps, lengths[index / batch % shape[batchAxis]])
      let source = t < length ? index + (length - 1 - 2 * t) * time : index
      (result.storage.pointer + index * size).copyMemory(
        from: inputs[0].storage.pointer + source * size, byteCount: size)
    }
    withExtendedLifetime(inputs) {}
    return [result]
  }
}
