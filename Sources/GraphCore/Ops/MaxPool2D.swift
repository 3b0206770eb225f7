import TensorCore

/// Largest value under each window position; padding never wins.
public struct MaxPool2D: Op {
  public static let name = "max_pool2d"

  public var window: Window

  public init(_ window: Window) { self.window = window }

  public var attributes: [(String, String)] {
    var list = [("kernel", "\(window.kernel)"), ("stride", "\(window.stride)")]
    if window.padding != 0 { list.append(("padding", "\(window.padding)")) }
    if window.dilation != 1 { list.append(("dilation", "\(window.dilation)")) }
    return list
  }
  public var formatRule: FormatRule { .follows }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1 && inputs[0].shape.rank == 4, "max_pool2d takes one rank 4 input")
    let x = inputs[0].shape
    let size = try window.outputSize(Pair(x[2], x[3]))
    return [try TensorType([x[0], x[1], size.h, size.w], inputs[0].dtype, inputs[0].format).checked(name)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    let (x, out) = (inputs[0].floats.baseAddress!, result.floats.baseAddress!)
    let (_, _, height, width) = inputs[0].shape.nchw
    let (batch, channels, outHeight, outWidth) = result.shape.nchw
    var next = 0
    for plane in 0..<(batch * channels) {
      for oy in 0..<outHeight {
        let top = oy * window.stride.h - window.padding.top
        let rows = validTaps(top, window.dilation.h, window.kernel.h, height)
        for ox in 0..<outWidth {
          let left = ox * window.stride.w - window.padding.left
          let columns = validTaps(left, window.dilation.w, window.kernel.w, width)
          var best = -Float.infinity
          for ky in rows {
            let line = x + (plane * height + top + ky * window.dilation.h) * width + left
            for kx in columns { best = max(best, line[kx * window.dilation.w]) }
          }
          out[next] = best
          next += 1
        }
      }
    }
    return [result]
  }
}
