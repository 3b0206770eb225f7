import TensorCore

/// A height and a width.
public struct Pair: Hashable, Sendable, Codable, ExpressibleByIntegerLiteral, CustomStringConvertible {
  public var h: Int
  public var w: Int

  public init(_ h: Int, _ w: Int) {
    self.h = h
    self.w = w
  }
  public init(integerLiteral value: Int) { self.init(value, value) }

  public var description: String { h == w ? "\(h)" : "\(h)x\(w)" }
}

/// Rows above and below an image and columns beside it that a window may reach.
public struct Padding: Hashable, Sendable, Codable, ExpressibleByIntegerLiteral, CustomStringConvertible {
  /// Rows above and below, columns to the left and to the right; each is 0 or more.
  public var top: Int
  public var left: Int
  public var bottom: Int
  public var right: Int

  public init(top: Int, left: Int, bottom: Int, right: Int) {
    (self.top, self.left, self.bottom, self.right) = (top, left, bottom, right)
  }
  /// So many rows above and below, and columns on either side.
  public init(_ h: Int, _ w: Int) { self.init(top: h, left: w, bottom: h, right: w) }
  public init(integerLiteral value: Int) { self.init(value, value) }

  /// What lies before the image: where the first window begins.
  public var before: Pair { Pair(top, left) }
  /// Rows and columns that are added to the image altogether.
  public var total: Pair { Pair(top + bottom, left + right) }

  public var description: String {
    top == bottom && left == right ? "\(before)" : "\(top),\(left),\(bottom),\(right)"
  }
}

/// The window that convolution and pooling move over an image.
public struct Window: Hashable, Sendable, Codable {
  public var kernel: Pair
  public var stride: Pair
  public var padding: Padding
  public var dilation: Pair

  public init(kernel: Pair, stride: Pair = 1, padding: Padding = 0, dilation: Pair = 1) {
    self.kernel = kernel
    self.stride = stride
    self.padding = padding
    self.dilation = dilation
  }

  /// Number of window positions on an image of `size`, rounded down.
  public func outputSize(_ size: Pair) throws -> Pair {
    // Of more no tensor could be, and sums of a few stay far from overflow.
    let limit = 1 << 28
    try expect(
      [kernel.h, kernel.w, stride.h, stride.w, dilation.h, dilation.w].allSatisfy { (1...limit).contains($0) }
        && [padding.top, padding.left, padding.bottom, padding.right].allSatisfy { (0...limit).contains($0) },
      "window \(self) is not valid")
    let reach = Pair(
      size.h + padding.total.h - dilation.h * (kernel.h - 1) - 1,
      size.w + padding.total.w - dilation.w * (kernel.w - 1) - 1)
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
