import TensorCore

/// Numbers that are equally far from each other (ONNX, Range).
///
/// Inputs: the first one, and how far the next is; each one element, of one type.
public struct NumberRange: Op {
  public static let name = "range"

  /// How many there are.
  public var count: Int

  public init(count: Int) { self.count = count }

  public var attributes: [(String, String)] { [("count", "\(count)")] }
  public var elementTypes: ElementTypes { .numbers }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 2, "range takes 2 inputs, not \(inputs.count)")
    try expect(
      inputs.allSatisfy { $0.shape.count == 1 } && inputs[0].dtype == inputs[1].dtype && inputs[0].dtype != .bool,
      "range: \(inputs[0]) and \(inputs[1]) are no numbers of one type")
    try expect(count >= 0, "range of \(count)")
    return [TensorType([count], inputs[0].dtype)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    func fill<Element: NumberElement>(_: Element.Type) {
      let (start, step) = (inputs[0].pointer(to: Element.self)[0], inputs[1].pointer(to: Element.self)[0])
      let target = result.pointer(to: Element.self)
      for i in 0..<count {
        let index = start.integer == nil ? Element(nearest: Double(i)) : Element(integer: Int64(i))
        target[i] = .sum(start, .product(index, step))
      }
    }
    try withNumbers(of: result.type.dtype) { fill($0) }
    withExtendedLifetime((inputs, result)) {}
    return [result]
  }
}
