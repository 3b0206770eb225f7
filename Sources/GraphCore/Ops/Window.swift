import TensorCore

/// A height and a width.
public struct Pair: Hashable, Sendable, ExpressibleByIntegerLiteral, CustomStringConvertible {
  public var h: Int
  public var w: Int

  public init(_ h: Int, _ w: Int) {
    self.h = h
    self.w = w
  }
  public init(integerLiteral value: Int) { self.init(value, value) }

  public var description: String { h == w ? "\(h)" : "\(h)x\(w)" }
}

/// The window that convolution and pooling move over an image.
public struct Window: Hashable, Sendable {
  public var kernel: Pair
  public var stride: Pair
  public var padding: Pair
  public var dilation: Pair

  public init(kernel: Pair, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1) {
    self.kernel = kernel
    self.stride = stride
    self.padding = padding
    self.dilation = dilation
  }

  /// Number of window positions on an image of `size`, rounded down.
  public func outputSize(_ size: Pair) throws -> Pair {
    try expect(
      kernel.h > 0 && kernel.w > 0 && stride.h > 0 && stride.w > 0 && dilation.h > 0 && dilation.w > 0
        && padding.h >= 0 && padding.w >= 0, "window \(self) is not valid")
    let reach = Pair(
      size.h + 2 * padding.h - dilation.h * (kernel.h - 1) - 1, size.w + 2 * padding.w - dilation.w * (kernel.w - 1) - 1
    )
    try expect(reach.h >= 0 && reach.w >= 0, "window of \(kernel) does not fit an image of \(size)")
    return Pair(reach.h / stride.h + 1, reach.w / stride.w + 1)
  }
}

extension Shape {
  /// The four extents of an image batch or a convolution weight.
  package var nchw: (Int, Int, Int, Int) { (self[0], self[1], self[2], self[3]) }
}

func expect(_ condition: Bool, _ message: @autoclosure () -> String) throws {
  if !condition { throw GraphError(message()) }
}
