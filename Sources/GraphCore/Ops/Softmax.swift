import TensorCore

/// `exp xᵢ / Σ exp xⱼ` along an axis, or its logarithm.
public struct Softmax: Op {
  public static let name = "softmax"

  public var axis: Int
  public var isLogarithm: Bool

  public init(axis: Int, isLogarithm: Bool = false) { (self.axis, self.isLogarithm) = (axis, isLogarithm) }

  public var name: String { isLogarithm ? "log_softmax" : "softmax" }
  public var attributes: [(String, String)] { [("axis", "\(axis)")] }
  public var elementTypes: ElementTypes { .numbers }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "\(name) takes 1 input, not \(inputs.count)")
    try expect((0..<inputs[0].shape.rank).contains(axis), "\(name): axis \(axis) of \(inputs[0])")
    try expect(inputs[0].dtype.isFloat, "\(name) does not work on \(inputs[0].dtype.rawValue)")
    return inputs
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: inputs[0].type)
    if inputs[0].type.dtype == .float32 {
      compute(Float.self, inputs[0], result)
    } else {
      compute(Double.self, inputs[0], result)
    }
    return [result]
  }

  private func compute<Real: LibraryReal>(_: Real.Type, _ input: Tensor, _ result: Tensor) {
    let (outer, inner) = input.shape.around(axis)
    let count = input.shape[axis]
    let (x, y) = (
      input.storage.pointer.assumingMemoryBound(to: Real.self),
      result.storage.pointer.assumingMemoryBound(to: Real.self)
    )
    let (exp, log) = (Real.call(.exp), Real.call(.log))
    for index in 0..<outer * inner {
      let first = index / inner * count * inner + index % inner
      var largest = -Real.infinity
      for i in 0..<count { largest = max(largest, x[first + i * inner]) }
      var sum: Real = 0
      for i in 0..<count {
        let power = exp(x[first + i * inner] - largest)
        y[first + i * inner] = power
        sum += power
      }
      for i in 0..<count {
        let place = first + i * inner
        y[place] = isLogarithm ? x[place] - largest - log(sum) : y[place] / sum
      }
    }
    withExtendedLifetime((input, result)) {}
  }
}
