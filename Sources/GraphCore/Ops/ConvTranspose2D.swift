import TensorCore

/// Two-dimensional transposed convolution (as PyTorch's `conv_transpose2d`): the output of a convolution with the same window is as
/// large as this one's input.
///
/// Inputs: `x [N, C, H, W]`, `weight [C, O/groups, kh, kw]`, optionally `bias [O]`.
public struct ConvTranspose2D: FusingOp {
  public static let name = "conv_transpose2d"

  public var stride: Pair
  /// What is cut off from the output.
  public var padding: Padding
  public var dilation: Pair
  public var groups: Int
  /// Rows below the output and columns to its right that are added to it: of an output that is larger than the kernels reach, the
  /// bias alone.
  public var outputPadding: Pair
  public var epilogue: Epilogue?

  public init(
    stride: Pair = 1, padding: Padding = 0, dilation: Pair = 1, groups: Int = 1, outputPadding: Pair = 0,
    epilogue: Epilogue? = nil
  ) {
    (self.stride, self.padding, self.dilation, self.groups) = (stride, padding, dilation, groups)
    (self.outputPadding, self.epilogue) = (outputPadding, epilogue)
  }

  public var parameterInputs: Range<Int> { 1..<3 }
  public var formatRule: FormatRule { .follows }

  public var attributes: [(String, String)] {
    var list: [(String, String)] = []
    if stride != 1 { list.append(("stride", "\(stride)")) }
    if padding != 0 { list.append(("padding", "\(padding)")) }
    if dilation != 1 { list.append(("dilation", "\(dilation)")) }
    if groups != 1 { list.append(("groups", "\(groups)")) }
    if outputPadding != 0 { list.append(("output_padding", "\(outputPadding)")) }
    return list + epilogueAttribute
  }

  /// The same as the general op, without the activation.
  private func general(_ weight: Shape) throws -> ConvTransposeND {
    try expect(weight.rank == 4, "\(name) needs weights of rank 4, not \(weight)")
    let window = Window(
      kernel: Pair(weight[2], weight[3]), stride: stride, padding: padding, dilation: dilation)
    return ConvTransposeND(WindowND(window), groups: groups, outputPadding: [outputPadding.h, outputPadding.w])
  }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect((2...3).contains(inputs.count), "\(name) takes 2 or 3 inputs, not \(inputs.count)")
    var type = try general(inputs[1].shape).outputTypes(for: inputs)[0]
    type.format = inputs[0].format
    try epilogue?.check(channels: type.shape[1], name)
    return [type]
  }

  public func cost(for inputs: [TensorType]) -> Cost {
    (try? general(inputs[1].shape).cost(for: inputs)) ?? Cost()
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let results = try general(inputs[1].shape).evaluate(inputs)
    if let epilogue { results[0].apply(epilogue) }
    return results
  }
}
