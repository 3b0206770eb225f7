import TensorCore

/// The same elements under another shape, in NCHW order.
public struct Reshape: Op {
  public static let name = "reshape"

  /// An extent of the result.
  public enum Extent: Hashable, Sendable, Codable, CustomStringConvertible {
    case fixed(Int)
    /// That of an axis of the input.
    case axis(Int)
    /// What is left of the elements; once at most.
    case rest

    public var description: String {
      switch self {
      case .fixed(let extent): "\(extent)"
      case .axis(let axis): "axis\(axis)"
      case .rest: "rest"
      }
    }
  }

  public var extents: [Extent]

  public init(_ extents: [Extent]) { self.extents = extents }
  public init(to shape: Shape) { extents = shape.extents.map(Extent.fixed) }

  /// `[N, …]` to `[N, rest]`.
  public static let flatten = Reshape([.axis(0), .rest])

  public var attributes: [(String, String)] { [("to", extents.map(\.description).joined(separator: ","))] }
  public var elementTypes: ElementTypes { .any }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "reshape takes 1 input, not \(inputs.count)")
    let input = inputs[0]
    try expect(input.format == .nchw, "reshape needs nchw, not \(input.format)")
    try expect(input.quantization?.axis == nil, "reshape would lose the axis of \(input)")
    return [TensorType(try shape(for: input.shape), input.dtype, quantization: input.quantization)]
  }

  private func shape(for input: Shape) throws -> Shape {
    var (known, rest) = (1, [Int]())
    var result: [Int] = []
    for (position, extent) in extents.enumerated() {
      switch extent {
      case .fixed(let number): result.append(number)
      case .axis(let axis):
        try expect((0..<input.rank).contains(axis), "reshape: \(input) has no axis \(axis)")
        result.append(input[axis])
      case .rest:
        rest.append(position)
        result.append(1)
      }
    }
    guard let count = Shape(result).elementCount else {
      throw GraphError("reshape to \(Shape(result)) is not possible")
    }
    known = count
    if let position = rest.first {
      try expect(rest.count == 1, "reshape: only one extent may be what is left")
      try expect(
        known > 0 && input.count % known == 0,
        "reshape: \(input.count) elements of \(input) are no multiple of \(known)")
      result[position] = input.count / known
      known *= result[position]
    }
    try expect(known == input.count, "reshape: \(input) has not the \(known) elements of \(Shape(result))")
    return Shape(result)
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    result.storage.pointer.copyMemory(from: inputs[0].storage.pointer, byteCount: result.type.byteCount)
    withExtendedLifetime(inputs) {}
    return [result]
  }
}
