import TensorCore

/// Products of matrices `[…, M, K] · […, K, N]`; the axes before are broadcast, and a vector is a matrix of one row or column
/// (NumPy's `matmul`).
public struct MatMul: Op {
  public static let name = "matmul"

  public init() {}

  public var elementTypes: ElementTypes { .numbers }

  /// The shapes as matrices, and that of the result with and without the axes of vectors.
  private static func shapes(_ a: Shape, _ b: Shape) throws -> (a: Shape, b: Shape, whole: Shape, result: Shape) {
    try expect(a.rank > 0 && b.rank > 0, "matmul needs vectors or matrices: \(a) and \(b)")
    let left = a.rank == 1 ? Shape([1] + a.extents) : a
    let right = b.rank == 1 ? Shape(b.extents + [1]) : b
    let (rows, depth) = (left[left.rank - 2], left[left.rank - 1])
    try expect(depth == right[right.rank - 2], "matmul: \(a) and \(b) do not fit")
    let batch = try Broadcast.shape([Shape(left.extents.dropLast(2)), Shape(right.extents.dropLast(2))], name)
    let columns = right[right.rank - 1]
    let whole = Shape(batch.extents + [rows, columns])
    let result = batch.extents + (a.rank == 1 ? [] : [rows]) + (b.rank == 1 ? [] : [columns])
    return (left, right, whole, Shape(result))
  }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 2, "matmul takes 2 inputs, not \(inputs.count)")
    try expect(
      inputs[0].dtype == inputs[1].dtype && inputs[0].dtype != .bool,
      "matmul needs one element type of numbers: \(inputs[0]) and \(inputs[1])")
    return [TensorType(try Self.shapes(inputs[0].shape, inputs[1].shape).result, inputs[0].dtype)]
  }

  public func cost(for inputs: [TensorType]) -> Cost {
    guard let shapes = try? Self.shapes(inputs[0].shape, inputs[1].shape) else { return Cost() }
    return Cost(macs: shapes.whole.count * (shapes.a.extents.last ?? 0))
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    func integers<Whole: FixedWidthInteger & BitwiseCopyable>(_: Whole.Type) throws {
      try multiply(inputs, result, zero: 0 as Whole) { $0 &+ $1 &* $2 }
    }
    switch inputs[0].type.dtype {
    case .float32: try multiply(inputs, result, zero: 0 as Float) { $0 + $1 * $2 }
    case .float64: try multiply(inputs, result, zero: 0 as Double) { $0 + $1 * $2 }
    case .int8: try integers(Int8.self)
    case .int16: try integers(Int16.self)
    case .int32: try integers(Int32.self)
    case .int64: try integers(Int64.self)
    case .uint8: try integers(UInt8.self)
    case .uint16: try integers(UInt16.self)
    case .uint32: try integers(UInt32.self)
    case .uint64: try integers(UInt64.self)
    case .float16, .bfloat16, .bool: preconditionFailure("matmul of \(inputs[0].type)")
    }
    return [result]
  }

  private func multiply<Element: BitwiseCopyable>(
    _ inputs: [Tensor], _ result: Tensor, zero: Element, _ add: (Element, Element, Element) -> Element
  ) throws {
    let shapes = try Self.shapes(inputs[0].shape, inputs[1].shape)
    let batch = Shape(shapes.whole.extents.dropLast(2))
    let (rows, columns) = (shapes.whole[batch.rank], shapes.whole[batch.rank + 1])
    let depth = shapes.a.extents.last!
    guard rows * columns > 0 else { return }
    func matrices(_ shape: Shape) -> [Int] {
      let size = shape.extents.suffix(2).reduce(1, *)
      var places: [Int] = []
      // One more axis, so that a line is one matrix.
      var view = StridedView(of: Shape(shape.extents.dropLast(2)), broadcastTo: batch)
      (view.shape, view.strides) = (Shape(view.shape.extents + [1]), view.strides + [0])
      view.forEachLine { places.append($0 * size) }
      return places
    }
    let a = inputs[0].storage.pointer.assumingMemoryBound(to: Element.self)
    let b = inputs[1].storage.pointer.assumingMemoryBound(to: Element.self)
    var out = result.storage.pointer.assumingMemoryBound(to: Element.self)
    for (left, right) in zip(matrices(shapes.a), matrices(shapes.b)) {
      for row in 0..<rows {
        out.update(repeating: zero, count: columns)
        for k in 0..<depth {
          let (factor, line) = (a[left + row * depth + k], b + right + k * columns)
          for column in 0..<columns { out[column] = add(out[column], factor, line[column]) }
        }
        out += columns
      }
    }
    withExtendedLifetime((inputs, result)) {}
  }
}
