import TensorCore

/// The transposed convolution over images of any number of axes; those of two are ``ConvTranspose2D``'s. Each element of the input
/// adds the kernel, as often as it says, to the output where the window of a convolution would read from there.
///
/// Inputs: `x [N, C, …]`, `weight [C, O/groups, …]`, optionally `bias [O]`.
public struct ConvTransposeND: Op {
  public static let name = "conv_transpose"

  /// Of the weight's kernel, over the output: its padding is cut off.
  public var window: WindowND
  public var groups: Int
  /// What is added to the output's extents at their ends.
  public var outputPadding: [Int]

  public init(_ window: WindowND, groups: Int = 1, outputPadding: [Int]? = nil) {
    (self.window, self.groups) = (window, groups)
    self.outputPadding = outputPadding ?? window.kernel.map { _ in 0 }
  }

  public var attributes: [(String, String)] {
    window.attributes + (groups == 1 ? [] : [("groups", "\(groups)")])
      + (outputPadding.allSatisfy { $0 == 0 } ? [] : [("output_padding", listed(outputPadding))])
  }
  public var elementTypes: ElementTypes { .numbers }
  public var parameterInputs: Range<Int> { 1..<3 }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect((2...3).contains(inputs.count), "\(name) takes 2 or 3 inputs, not \(inputs.count)")
    try expectReals(inputs, name)
    let (x, weight) = (inputs[0].shape, inputs[1].shape)
    try expect(x.rank > 2 && weight.rank == x.rank, "\(name): input \(x), weight \(weight)")
    let axes = x.rank - 2
    try window.check(axes: axes, name)
    try expect(
      groups > 0 && groups < 1 << 30 && x[1] == weight[0] && x[1] % groups == 0
        && window.kernel == Array(weight.extents[2...]),
      "\(name) weight \(weight) with \(groups) groups does not fit input \(x)")
    try expect(weight[1] < 1 << 30, "\(name) of weight \(weight)")
    try expect(
      outputPadding.count == axes && outputPadding.allSatisfy { (0...1 << 30).contains($0) },
      "\(name): output padding \(outputPadding)")
    let outputs = weight[1] * groups
    if inputs.count > 2 {
      try expect(inputs[2].shape == [outputs], "\(name) bias \(inputs[2].shape) for \(outputs) channels")
    }
    let extents = try (0..<axes).map { axis in
      let steps = window.strides[axis].multipliedReportingOverflow(by: max(x[axis + 2] - 1, 0))
      try expect(!steps.overflow && steps.partialValue < 1 << 40, "\(name): \(x) with strides \(window.strides)")
      let whole = x[axis + 2] == 0 ? 0 : steps.partialValue + window.reach(axis)
      let extent = whole + outputPadding[axis] - window.before[axis] - window.after[axis]
      try expect(extent >= 0, "\(name): the padding of \(window) is more than there is of \(x)")
      return extent
    }
    return [try TensorType(Shape([x[0], outputs] + extents), inputs[0].dtype).checked(name)]
  }

  public func cost(for inputs: [TensorType]) -> Cost {
    guard (try? outputTypes(for: inputs)) != nil, inputs[1].shape[0] > 0 else { return Cost() }
    return Cost(macs: inputs[0].shape.count * inputs[1].shape.count / inputs[1].shape[0])
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
    let (positions, image) = (Array(inputs[0].shape.extents[2...]), Array(result.shape.extents[2...]))
    let (batch, channels, outputs) = (result.shape[0], inputs[0].shape[1], result.shape[1])
    let (count, pixels, kernel) = (Shape(positions).count, Shape(image).count, Shape(window.kernel).count)
    let (depth, perGroup) = (channels / groups, outputs / groups)
    for plane in 0..<batch * outputs {
      let bias = inputs.count > 2 ? inputs[2].pointer(to: Real.self)[plane % outputs] : 0
      (out + plane * pixels).update(repeating: bias, count: pixels)
    }
    window.forEachPosition(positions, on: image) { position, taps in
      for n in 0..<batch {
        for c in 0..<channels {
          let value = x[(n * channels + c) * count + position]
          for o in 0..<perGroup {
            let plane = out + (n * outputs + c / depth * perGroup + o) * pixels
            let filter = weight + (c * perGroup + o) * kernel
            for (tap, place) in taps { plane[place] += value * filter[tap] }
          }
        }
      }
    }
    withExtendedLifetime((inputs, result)) {}
  }
}
