import TensorCore

/// Two-dimensional convolution (cross-correlation, as PyTorch's `conv2d`).
///
/// Inputs: `x [N, C, H, W]`, `weight [O, C/groups, kh, kw]`, optionally `bias [O]`, and behind a bias optionally a
/// residual of the output's shape and format, which is added before the activation. Padding is zeros.
public struct Conv2D: FusingOp {
  public static let name = "conv2d"

  public var stride: Pair
  public var padding: Padding
  public var dilation: Pair
  public var groups: Int
  public var epilogue: Epilogue?
  /// How kernels compute it; its own `evaluate` always goes directly.
  public var algorithm = Algorithm.direct
  /// Whether kernels may multiply in 16-bit floats, sum a few such products in 16 bits and those sums in 32; its own `evaluate`
  /// does not.
  public var multipliesFloat16 = false

  public enum Algorithm: String, Sendable, Codable {
    case direct
    /// Winograd's F(4×4, 3×3): a quarter of the multiplications, and more rounding.
    case winograd
  }

  public init(
    stride: Pair = 1, padding: Padding = 0, dilation: Pair = 1, groups: Int = 1, epilogue: Epilogue? = nil
  ) {
    self.stride = stride
    self.padding = padding
    self.dilation = dilation
    self.groups = groups
    self.epilogue = epilogue
  }

  public var parameterInputs: Range<Int> { 1..<3 }
  public var formatRule: FormatRule { .follows }

  public var attributes: [(String, String)] {
    var list: [(String, String)] = []
    if stride != 1 { list.append(("stride", "\(stride)")) }
    if padding != 0 { list.append(("padding", "\(padding)")) }
    if dilation != 1 { list.append(("dilation", "\(dilation)")) }
    if groups != 1 { list.append(("groups", "\(groups)")) }
    list += epilogueAttribute
    if multipliesFloat16 { list.append(("multiplies", "f16")) }
    if algorithm != .direct { list.append(("algorithm", algorithm.rawValue)) }
    return list
  }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect((2...4).contains(inputs.count), "conv2d takes 2 to 4 inputs, not \(inputs.count)")
    let x = inputs[0].shape
    let weight = inputs[1].shape
    try expect(x.rank == 4 && weight.rank == 4, "conv2d needs rank 4: input \(x), weight \(weight)")
    try expect(
      groups > 0 && x[1] % groups == 0 && x[1] / groups == weight[1] && weight[0] % groups == 0,
      "conv2d weight \(weight) with \(groups) groups does not fit input \(x)")
    if inputs.count > 2 {
      try expect(inputs[2].shape == [weight[0]], "conv2d bias \(inputs[2].shape) for \(weight[0]) channels")
    }
    try epilogue?.check(channels: weight[0], Self.name)
    let window = Window(kernel: Pair(weight[2], weight[3]), stride: stride, padding: padding, dilation: dilation)
    let size = try window.outputSize(Pair(x[2], x[3]))
    let output = try TensorType([x[0], weight[0], size.h, size.w], inputs[0].dtype, inputs[0].format).checked(name)
    if inputs.count > 3 {
      try expect(inputs[3] == output, "conv2d residual \(inputs[3]) for an output \(output)")
    }
    return [output]
  }

  public func cost(for inputs: [TensorType]) -> Cost {
    guard let output = try? outputTypes(for: inputs)[0].shape, inputs[1].shape[0] > 0 else { return Cost() }
    return Cost(macs: output.count * inputs[1].shape.count / inputs[1].shape[0])
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    let x = inputs[0].floats.baseAddress!
    let w = inputs[1].floats.baseAddress!
    let bias = inputs.count > 2 ? inputs[2].floats.baseAddress : nil
    let residual = inputs.count > 3 ? inputs[3].floats.baseAddress : nil
    let out = result.floats.baseAddress!
    let (batch, channels, height, width) = inputs[0].shape.nchw
    let (_, outputs, outHeight, outWidth) = result.shape.nchw
    let (_, depth, kh, kw) = inputs[1].shape.nchw
    let (stride, padding, dilation, perGroup) = (stride, padding, dilation, outputs / groups)
    for n in 0..<batch {
      for o in 0..<outputs {
        let image = x + (n * channels + o / perGroup * depth) * height * width
        let filter = w + o * depth * kh * kw
        let finish = epilogue?.function(channel: o)
        for oy in 0..<outHeight {
          let row = out + ((n * outputs + o) * outHeight + oy) * outWidth
          row.update(repeating: bias?[o] ?? 0, count: outWidth)
          for c in 0..<depth {
            for ky in 0..<kh {
              let y = oy * stride.h - padding.top + ky * dilation.h
              if y < 0 || y >= height { continue }
              for kx in 0..<kw {
                let shift = kx * dilation.w - padding.left
                let line = image + (c * height + y) * width + shift
                let tap = filter[(c * kh + ky) * kw + kx]
                for ox in validPositions(shift, stride.w, width, outWidth) { row[ox] += tap * line[ox * stride.w] }
              }
            }
          }
          if let added = residual.map({ $0 + (row - out) }) {
            for ox in 0..<outWidth { row[ox] += added[ox] }
          }
          if let finish { for ox in 0..<outWidth { row[ox] = finish(row[ox]) } }
        }
      }
    }
    return [result]
  }
}

extension Conv2D {
  /// Whether it can be computed by Winograd's F(4×4, 3×3).
  package func allowsWinograd(_ weight: Shape) -> Bool {
    weight[2] == 3 && weight[3] == 3 && stride == 1 && dilation == 1 && groups == 1
  }

  /// Whether it multiplies each pixel alone.
  package func isPointwise(_ weight: Shape) -> Bool {
    weight[2] == 1 && weight[3] == 1 && padding == 0 && stride == 1
  }

  /// Whether each channel is convolved with a filter of its own.
  package func isDepthwise(_ input: Shape, _ weight: Shape) -> Bool {
    groups == input[1] && groups > 1 && weight[0] == groups && weight[1] == 1
  }
}

/// Positions `p` in `0..<count` for which `p · stride + shift` lies inside `0..<size`.
@inline(__always)
func validPositions(_ shift: Int, _ stride: Int, _ size: Int, _ count: Int) -> Range<Int> {
  let lower = min(count, shift < 0 ? (stride - 1 - shift) / stride : 0)
  let upper = shift >= size ? 0 : min(count, (size - 1 - shift) / stride + 1)
  return lower..<max(lower, upper)
}

/// Taps of a window that starts at `start` and fall inside `0..<size`.
@inline(__always)
func validTaps(_ start: Int, _ dilation: Int, _ taps: Int, _ size: Int) -> Range<Int> {
  let lower = start < 0 ? (dilation - 1 - start) / dilation : 0
  let upper = start >= size ? 0 : min(taps, (size - 1 - start) / dilation + 1)
  return min(lower, max(upper, 0))..<max(upper, 0)
}
