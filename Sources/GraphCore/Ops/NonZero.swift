import TensorCore

/// Where a tensor is not zero (ONNX, NonZero): int64 `[rank, count]`, an index along each axis for each such element, in order.
/// How many there are is known only when it ran. A scalar counts as a list of one, as in ONNX Runtime.
public struct NonZero: Op {
  public static let name = "non_zero"

  public init() {}

  public var elementTypes: ElementTypes { .numbers }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "\(name) takes 1 input, not \(inputs.count)")
    var type = TensorType([max(inputs[0].shape.rank, 1), inputs[0].shape.count], .int64)
    type.isUpperBound = true
    return [type]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    var found: [Int] = []
    func run<Element: NumberElement>(_: Element.Type) {
      let source = inputs[0].pointer(to: Element.self)
      for i in 0..<inputs[0].shape.count where source[i] != 0 { found.append(i) }
    }
    try withNumbers(of: inputs[0].type.dtype) { run($0) }
    withExtendedLifetime(inputs) {}
    let shape = inputs[0].shape.rank > 0 ? inputs[0].shape : [1]
    let rows = zip(shape.strides, shape.extents).flatMap { stride, extent in
      found.map { Int64($0 / stride % extent) }
    }
    return [try Tensor([shape.rank, found.count], elements: rows)]
  }
}
