import TensorCore

/// Sums or products of all elements up to each along an axis (ONNX, CumSum and CumProd).
public struct Cumulative: Op {
  public static let name = "cumulative"

  public enum Function: String, Hashable, Sendable, Codable { case sum, product }

  public var function: Function
  public var axis: Int
  /// Whether the element itself is left out.
  public var isExclusive: Bool
  /// Whether they begin at the end.
  public var isReverse: Bool

  public init(_ function: Function, axis: Int, isExclusive: Bool = false, isReverse: Bool = false) {
    (self.function, self.axis, self.isExclusive, self.isReverse) = (function, axis, isExclusive, isReverse)
  }

  public var name: String { "cumulative_\(function.rawValue)" }
  public var attributes: [(String, String)] {
    [("axis", "\(axis)")] + (isExclusive ? [("exclusive", "true")] : []) + (isReverse ? [("reverse", "true")] : [])
  }
  public var elementTypes: ElementTypes { .numbers }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "\(name) takes 1 input, not \(inputs.count)")
    try expect(
      (0..<inputs[0].shape.rank).contains(axis) && inputs[0].dtype != .bool, "\(name): axis \(axis) of \(inputs[0])")
    return inputs
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    let ((outer, inner), extent) = (result.shape.around(axis), result.shape[axis])
    func run<Element: NumberElement>(_: Element.Type) {
      let (source, target) = (inputs[0].pointer(to: Element.self), result.pointer(to: Element.self))
      for line in 0..<(outer * inner) {
        var total: Element = function == .sum ? 0 : 1
        let first = line / inner * extent * inner + line % inner
        for i in 0..<extent {
          let place = first + (isReverse ? extent - 1 - i : i) * inner
          let next = function == .sum ? Element.sum(total, source[place]) : Element.product(total, source[place])
          target[place] = isExclusive ? total : next
          total = next
        }
      }
    }
    try withNumbers(of: result.type.dtype) { run($0) }
    withExtendedLifetime((inputs, result)) {}
    return [result]
  }
}
