import TensorCore

/// The largest or smallest elements along an axis, and where they are (ONNX, TopK): in order, of equal ones the first is first.
///
/// Outputs: the elements, and their indices (int64).
public struct TopK: Op {
  public static let name = "top_k"

  public var count: Int
  public var axis: Int
  public var isLargest: Bool

  public init(_ count: Int, axis: Int, isLargest: Bool = true) {
    (self.count, self.axis, self.isLargest) = (count, axis, isLargest)
  }

  public var attributes: [(String, String)] {
    [("count", "\(count)"), ("axis", "\(axis)")] + (isLargest ? [] : [("smallest", "true")])
  }
  public var elementTypes: ElementTypes { .numbers }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "\(name) takes 1 input, not \(inputs.count)")
    var type = inputs[0]
    try expect((0..<type.shape.rank).contains(axis), "\(name): axis \(axis) of \(type)")
    try expect((0...type.shape[axis]).contains(count), "\(name): \(count) of \(type.shape[axis]) along axis \(axis)")
    type.shape.extents[axis] = count
    return [type, TensorType(type.shape, .int64)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let results = try outputTypes(for: inputs.map(\.type)).map { try Tensor(uninitialized: $0) }
    let ((outer, inner), extent) = (inputs[0].shape.around(axis), inputs[0].shape[axis])
    func run<Element: NumberElement>(_: Element.Type) {
      let (source, values) = (inputs[0].pointer(to: Element.self), results[0].pointer(to: Element.self))
      let indices = results[1].pointer(to: Int64.self)
      for line in 0..<(outer * inner) {
        let (row, column) = (line / inner, line % inner)
        let first = source + row * extent * inner + column
        let order = (0..<extent).sorted { a, b in
          let (x, y) = (first[a * inner], first[b * inner])
          if isLargest ? Element.isOrdered(y, before: x) : Element.isOrdered(x, before: y) { return true }
          if isLargest ? Element.isOrdered(x, before: y) : Element.isOrdered(y, before: x) { return false }
          return a < b
        }
        for i in 0..<count {
          let place = (row * count + i) * inner + column
          values[place] = first[order[i] * inner]
          indices[place] = Int64(order[i])
        }
      }
    }
    try withNumbers(of: inputs[0].type.dtype) { run($0) }
    withExtendedLifetime((inputs, results)) {}
    return results
  }
}
