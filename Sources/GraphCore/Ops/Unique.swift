import TensorCore

/// The different elements of a tensor, or its different slices along an axis (ONNX, Unique). How many there are is known only
/// when it ran.
///
/// Outputs: the elements `[count]`, or the tensor with the slices that differ; for each of them the index where it is first,
/// for each element or slice of the input its place in the result, and for each of the result how often it is there (int64 all
/// three).
public struct Unique: Op {
  public static let name = "unique"

  /// Nil for single elements.
  public var axis: Int?
  /// Whether they are in ascending order, rather than in that of the input.
  public var isSorted: Bool

  public init(axis: Int? = nil, isSorted: Bool = true) { (self.axis, self.isSorted) = (axis, isSorted) }

  public var attributes: [(String, String)] {
    (axis.map { [("axis", "\($0)")] } ?? []) + (isSorted ? [] : [("sorted", "false")])
  }
  public var elementTypes: ElementTypes { .numbers }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "\(name) takes 1 input, not \(inputs.count)")
    var type = inputs[0]
    if let axis {
      try expect((0..<type.shape.rank).contains(axis), "\(name): axis \(axis) of \(type)")
    } else {
      type.shape = [type.shape.count]
    }
    let count = type.shape[axis ?? 0]
    var list = TensorType([count], .int64)
    let inverse = list
    (type.isUpperBound, list.isUpperBound) = (true, true)
    return [type, list, inverse, list]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let data = axis == nil ? try inputs[0].reshaped(to: [inputs[0].shape.count]) : inputs[0]
    let along = axis ?? 0
    let ((outer, inner), extent) = (data.shape.around(along), data.shape[along])
    /// Positions of the first ones, for each position the place of its first among them, and how many there are of each.
    func run<Element: NumberElement>(_: Element.Type) -> (firsts: [Int], inverse: [Int], counts: [Int]) {
      let source = data.pointer(to: Element.self)
      /// Below 0 where a slice comes before another one, above where behind it.
      func compare(_ a: Int, _ b: Int) -> Int {
        for i in 0..<(outer * inner) {
          let first = source + i / inner * extent * inner + i % inner
          let (x, y) = (first[a * inner], first[b * inner])
          if Element.isOrdered(x, before: y) { return -1 }
          if Element.isOrdered(y, before: x) { return 1 }
        }
        return 0
      }
      let order = (0..<extent).sorted { a, b in
        let difference = compare(a, b)
        return difference < 0 || difference == 0 && a < b
      }
      var groups: [[Int]] = []
      for position in order {
        if let last = groups.last?[0], compare(last, position) == 0 {
          groups[groups.count - 1].append(position)
        } else {
          groups.append([position])
        }
      }
      if !isSorted { groups.sort { $0[0] < $1[0] } }
      var inverse = [Int](repeating: 0, count: extent)
      for (place, group) in groups.enumerated() { for position in group { inverse[position] = place } }
      return (groups.map { $0[0] }, inverse, groups.map(\.count))
    }
    let found = try withNumbers(of: data.type.dtype) { run($0) }
    withExtendedLifetime((inputs, data)) {}
    func list(_ values: [Int]) throws -> Tensor { try Tensor([values.count], elements: values.map(Int64.init)) }
    let firsts = try list(found.firsts)
    return try Gather(axis: along).evaluate([data, firsts]) + [firsts, list(found.inverse), list(found.counts)]
  }
}
