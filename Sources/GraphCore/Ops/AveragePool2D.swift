import TensorCore

/// Mean of the values under each window position: `[N, C, H, W]`.
public struct AveragePool2D: Op {
  public static let name = "avg_pool2d"

  public var window: Window
  /// Whether padding counts as zeros; else the mean is that of the image's own values, and 0 where there are none.
  public var countsPadding: Bool

  public init(_ window: Window, countsPadding: Bool = false) {
    (self.window, self.countsPadding) = (window, countsPadding)
  }

  public var attributes: [(String, String)] {
    MaxPool2D(window).attributes + (countsPadding && window.padding != 0 ? [("counts", "padding")] : [])
  }
  public var formatRule: FormatRule { .follows }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1 && inputs[0].shape.rank == 4, "\(name) takes one rank 4 input")
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
          var sum: Float = 0
          for ky in rows {
            let line = x + (plane * height + top + ky * window.dilation.h) * width + left
            for kx in columns { sum += line[kx * window.dilation.w] }
          }
          let count = countsPadding ? window.kernel.h * window.kernel.w : rows.count * columns.count
          out[next] = count == 0 ? 0 : sum / Float(count)
          next += 1
        }
      }
    }
    withExtendedLifetime(inputs) {}
    return [result]
  }
}
