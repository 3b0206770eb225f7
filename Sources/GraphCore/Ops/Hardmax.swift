import TensorCore

/// 1 for the largest element along an axis, the first of several, and 0 for the others.
public struct Hardmax: Op {
  public static let name = "hardmax"

  public var axis: Int

  public init(axis: Int) { self.axis = axis }

  public var attributes: [(String, String)] { [("axis", "\(axis)")] }
  public var elementTypes: ElementTypes { .numbers }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "\(name) takes 1 input, not \(inputs.count)")
    try expectReals(inputs, name)
    try expect((0..<inputs[0].shape.rank).contains(axis), "\(name): axis \(axis) of \(inputs[0])")
    return inputs
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(zeros: inputs[0].type)
    withReals(of: result.type.dtype) { compute($0, inputs[0], result) }
    return [result]
  }

  private func compute<Real: LibraryReal>(_: Real.Type, _ input: Tensor, _ result: Tensor) {
    let (x, out) = (input.pointer(to: Real.self), result.pointer(to: Real.self))
    let ((outer, inner), count) = (input.shape.around(axis), input.shape[axis])
    guard count > 0 else { return }
    for index in 0..<outer * inner {
      let first = index / inner * count * inner + index % inner
      var best = 0
      for i in 1..<count where x[first + i * inner] > x[first + best * inner] { best = i }
      out[first + best * inner] = 1
    }
    withExtendedLifetime((input, result)) {}
  }
}
