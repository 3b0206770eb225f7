import TensorCore

/// A tensor several times in a row along each axis (ONNX, Tile).
public struct Tile: Op {
  public static let name = "tile"

  /// How often, for each axis.
  public var repeats: [Int]

  public init(_ repeats: [Int]) { self.repeats = repeats }

  public var attributes: [(String, String)] { [("repeats", repeats.map(String.init).joined(separator: ","))] }
  public var elementTypes: ElementTypes { .any }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "tile takes 1 input, not \(inputs.count)")
    var type = inputs[0]
    try expect(
      repeats.count == type.shape.rank && repeats.allSatisfy { (0..<1 << 40).contains($0) },
      "tile: \(repeats) of \(type)")
    try expect(type.quantization?.axis == nil, "tile would lose the axis of \(type)")
    for axis in repeats.indices {
      let (extent, overflow) = type.shape[axis].multipliedReportingOverflow(by: repeats[axis])
      try expect(!overflow, "tile: \(repeats) of \(inputs[0])")
      type.shape.extents[axis] = extent
    }
    return [type]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let (shape, strides) = (inputs[0].shape, inputs[0].shape.strides)
    // Each axis as two: the repetitions, which lead to the same elements, and the elements.
    let view = StridedView(
      Shape(repeats.indices.flatMap { [repeats[$0], shape[$0]] }), strides: strides.flatMap { [0, $0] })
    return [try inputs[0].gathered(view).reshaped(to: outputTypes(for: inputs.map(\.type))[0].shape)]
  }
}
