import TensorCore

/// Convolution over images of any number of axes; those of two are ``Conv2D``'s. Padding is zeros.
///
/// Inputs: `x [N, C, …]`, `weight [O, C/groups, …]`, optionally `bias [O]`.
public struct ConvolutionND: Op {
  public static let name = "conv"

  /// Of the weight's kernel.
  public var window: WindowND
  public var groups: Int

  public init(_ window: WindowND, groups: Int = 1) { (self.window, self.groups) = (window, groups) }

  public var attributes: [(String, String)] { window.attributes + (groups == 1 ? [] : [("groups", "\(groups)")]) }
  public var elementTypes: ElementTypes { .numbers }
  public var parameterInputs: Range<Int> { 1..<3 }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect((2...3).contains(inputs.count), "\(name) takes 2 or 3 inputs, not \(inputs.count)")
    try expectReals(inputs, name)
    let (x, weight) = (inputs[0].shape, inputs[1].shape)
    try expect(x.rank > 2 && weight.rank == x.rank, "\(name): input \(x), weight \(weight)")
    try expect(
      groups > 0 && x[1] / groups == weight[1] && x[1] % groups == 0 && weight[0] % groups == 0,
      "\(name) weight \(weight) with \(groups) groups does not fit input \(x)")
    try expect(
      window.kernel == Array(weight.extents[2...]), "\(name): a window of \(listed(window.kernel)) for weight \(weight)"
    )
    if inputs.count > 2 {
      try expect(inputs[2].shape == [weight[0]], "\(name) bias \(inputs[2].shape) for \(weight[0]) channels")
    }
    let positions = try window.positions(on: Array(x.extents[2...]), name)
    return [try TensorType(Shape([x[0], weight[0]] + positions), inputs[0].dtype).checked(name)]
  }

  public func cost(for inputs: [TensorType]) -> Cost {
    guard let output = try? outputTypes(for: inputs)[0].shape, inputs[1].shape[0] > 0 else { return Cost() }
    return Cost(macs: output.count * inputs[1].shape.count / inputs[1].shape[0])
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    withReals(of: result.type.dtype) { compute($0, inputs, result) }
    return [result]
  }

  private func compute<Real: LibraryReal>(_: Real.Type, _ inputs: [Tensor], _ result: Tensor) {
    let (x, weight, out) = (
      inputs[0].pointer(to: Real.self), inputs[1].pointer(to: Real.self), result.pointer(to: Real.self)
    )
    let bias = inputs.count > 2 ? inputs[2].pointer(to: Real.self) : nil
    let (image, positions) = (Array(inputs[0].shape.extents[2...]), Array(result.shape.extents[2...]))
    let (channels, outputs, depth) = (inputs[0].shape[1], result.shape[1], inputs[1].shape[1])
    let (pixels, count, kernel) = (Shape(image).count, Shape(positions).count, Shape(window.kernel).count)
    let perGroup = outputs / groups
    window.forEachPosition(positions, on: image) { position, taps in
      for n in 0..<result.shape[0] {
        for o in 0..<outputs {
          var sum = bias?[o] ?? 0
          for c in 0..<depth {
            let plane = x + (n * channels + o / perGroup * depth + c) * pixels
            let filter = weight + (o * depth + c) * kernel
            for (tap, place) in taps { sum += filter[tap] * plane[place] }
          }
          out[(n * outputs + o) * count + position] = sum
        }
      }
    }
    withExtendedLifetime((inputs, result)) {}
  }
}
