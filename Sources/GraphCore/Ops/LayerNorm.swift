import TensorCore

/// The elements along the last axes with a mean of 0 and a variance of 1, then scaled: `(x − mean) / √(var + ε) · scale + bias`; or
/// only divided by the root of their mean square, `x / √(mean x² + ε) · scale`.
///
/// Inputs: `x`, optionally `scale` and, behind a scale, `bias`, both of the shape that is normalised. Outputs: of `x`'s shape and,
/// if asked for, `mean` and `1 / √(var + ε)`, whose normalised axes have an extent of 1.
public struct LayerNorm: Op {
  public static let name = "layer_norm"

  /// The first axis that is normalised.
  public var axis: Int
  public var epsilon: Float
  /// Whether the mean stays, and the mean square stands for the variance.
  public var isRootMeanSquare: Bool
  public var givesStatistics: Bool

  public init(axis: Int, epsilon: Float = 1e-5, isRootMeanSquare: Bool = false, givesStatistics: Bool = false) {
    (self.axis, self.epsilon) = (axis, epsilon)
    (self.isRootMeanSquare, self.givesStatistics) = (isRootMeanSquare, givesStatistics)
  }

  public var name: String { isRootMeanSquare ? "rms_norm" : "layer_norm" }
  public var attributes: [(String, String)] {
    [("axis", "\(axis)")] + (epsilon == 1e-5 ? [] : [("eps", "\(epsilon)")])
      + (givesStatistics ? [("statistics", "true")] : [])
  }
  public var elementTypes: ElementTypes { .numbers }
  public var parameterInputs: Range<Int> { 1..<3 }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(
      (1...(isRootMeanSquare ? 2 : 3)).contains(inputs.count), "\(name) does not take \(inputs.count) inputs")
    try expectReals(inputs, name)
    let x = inputs[0]
    try expect((0..<x.shape.rank).contains(axis), "\(name): axis \(axis) of \(x)")
    for parameter in inputs[1...] {
      try expect(
        parameter.shape.extents == Array(x.shape.extents[axis...]), "\(name): parameter \(parameter) for \(x)")
    }
    let statistics = Shape(x.shape.extents[..<axis] + x.shape.extents[axis...].map { _ in 1 })
    let type = TensorType(statistics, x.dtype)
    return givesStatistics ? [x, type, type] : [x]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let results = try outputTypes(for: inputs.map(\.type)).map { try Tensor(uninitialized: $0) }
    withReals(of: inputs[0].type.dtype) { compute($0, inputs, results) }
    return results
  }

  private func compute<Real: LibraryReal>(_: Real.Type, _ inputs: [Tensor], _ results: [Tensor]) {
    let (x, out) = (inputs[0].pointer(to: Real.self), results[0].pointer(to: Real.self))
    let parameters = inputs[1...].map { $0.pointer(to: Real.self) }
    let shape = inputs[0].shape
    let (rows, count) = (shape.extents[..<axis].reduce(1, *), shape.extents[axis...].reduce(1, *))
    for row in 0..<rows {
      let line = UnsafeBufferPointer(start: x + row * count, count: count)
      var (mean, variance) = moments(line)
      if isRootMeanSquare { (mean, variance) = (0, variance + mean * mean) }
      let inverse = 1 / (variance + Double(epsilon)).squareRoot()
      for i in 0..<count {
        var value = (Double(line[i]) - mean) * inverse
        if parameters.count > 0 { value *= Double(parameters[0][i]) }
        if parameters.count > 1 { value += Double(parameters[1][i]) }
        out[row * count + i] = Real(value)
      }
      if givesStatistics {
        results[1].pointer(to: Real.self)[row] = Real(mean)
        results[2].pointer(to: Real.self)[row] = Real(inverse)
      }
    }
    withExtendedLifetime((inputs, results)) {}
  }
}
