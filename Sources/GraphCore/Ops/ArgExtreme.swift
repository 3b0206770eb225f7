import TensorCore

/// Where the largest or smallest element along an axis is, as int64 (ONNX, ArgMax and ArgMin).
public struct ArgExtreme: Op {
  public static let name = "arg_extreme"

  public enum Function: String, Hashable, Sendable, Codable { case maximum, minimum }

  public var function: Function
  public var axis: Int
  /// Whether the axis stays, with an extent of 1.
  public var keepsAxis: Bool
  /// Whether the last one of several counts, rather than the first.
  public var takesLast: Bool

  public init(_ function: Function, axis: Int, keepsAxis: Bool = true, takesLast: Bool = false) {
    (self.function, self.axis, self.keepsAxis, self.takesLast) = (function, axis, keepsAxis, takesLast)
  }

  public var name: String { "arg_\(function.rawValue)" }
  public var attributes: [(String, String)] {
    [("axis", "\(axis)")] + (keepsAxis ? [] : [("keep", "false")]) + (takesLast ? [("last", "true")] : [])
  }
  public var elementTypes: ElementTypes { .numbers }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "\(name) takes 1 input, not \(inputs.count)")
    var shape = inputs[0].shape
    try expect((0..<shape.rank).contains(axis), "\(name): axis \(axis) of \(inputs[0])")
    try expect(shape[axis] > 0, "\(name): axis \(axis) of \(inputs[0]) has no elements")
    if keepsAxis { shape.extents[axis] = 1 } else { shape.extents.remove(at: axis) }
    return [TensorType(shape, .int64)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    let ((outer, inner), extent) = (inputs[0].shape.around(axis), inputs[0].shape[axis])
    func run<Element: NumberElement>(_: Element.Type) {
      let (source, target) = (inputs[0].pointer(to: Element.self), result.pointer(to: Int64.self))
      for line in 0..<(outer * inner) {
        let first = source + line / inner * extent * inner + line % inner
        var best = 0
        for i in 0..<extent {
          let (new, old) = (first[i * inner], first[best * inner])
          let isBetter = new.isUndefined ? !old.isUndefined : function == .maximum ? new > old : new < old
          if isBetter || takesLast && new == old { best = i }
        }
        target[line] = Int64(best)
      }
    }
    try withNumbers(of: inputs[0].type.dtype) { run($0) }
    withExtendedLifetime((inputs, result)) {}
    return [result]
  }
}
