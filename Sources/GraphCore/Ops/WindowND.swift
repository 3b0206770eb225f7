import TensorCore

/// The window that convolution and pooling move over images of any number of axes. Its lists have an entry for each of them.
public struct WindowND: Hashable, Sendable, Codable {
  public var kernel: [Int]
  public var strides: [Int]
  public var dilations: [Int]
  /// Elements before the image that a window may reach, and behind it; each is 0 or more.
  public var before: [Int]
  public var after: [Int]

  public init(
    kernel: [Int], strides: [Int]? = nil, dilations: [Int]? = nil, before: [Int]? = nil, after: [Int]? = nil
  ) {
    self.kernel = kernel
    self.strides = strides ?? kernel.map { _ in 1 }
    self.dilations = dilations ?? kernel.map { _ in 1 }
    self.before = before ?? kernel.map { _ in 0 }
    self.after = after ?? kernel.map { _ in 0 }
  }

  public init(_ window: Window) {
    self.init(
      kernel: [window.kernel.h, window.kernel.w], strides: [window.stride.h, window.stride.w],
      dilations: [window.dilation.h, window.dilation.w], before: [window.padding.top, window.padding.left],
      after: [window.padding.bottom, window.padding.right])
  }

  /// Largest entry of a list: of more no tensor could be, and sums of a few stay far from overflow.
  private static let limit = 1 << 28

  /// - Throws: ``GraphError`` where it is no window over images of so many axes.
  func check(axes: Int, _ op: String) throws {
    try expect(
      axes > 0 && [kernel, strides, dilations, before, after].allSatisfy { $0.count == axes }
        && (kernel + strides + dilations).allSatisfy { (1...Self.limit).contains($0) }
        && (before + after).allSatisfy { (0...Self.limit).contains($0) } && Shape(kernel).elementCount != nil,
      "\(op): \(self) is no window over \(axes) axes")
  }

  /// Elements from the first tap to the last along an axis.
  func reach(_ axis: Int) -> Int { dilations[axis] * (kernel[axis] - 1) + 1 }

  /// Number of window positions on an image along each axis, rounded down.
  public func positions(on image: [Int], _ op: String) throws -> [Int] {
    try check(axes: image.count, op)
    return try image.indices.map { axis in
      let rest = image[axis] + before[axis] + after[axis] - reach(axis)
      try expect(rest >= 0, "\(op): a window of \(listed(kernel)) does not fit an image of \(Shape(image))")
      return rest / strides[axis] + 1
    }
  }

  /// Calls with each position in order, and with those taps there that lie inside the image: their numbers in the kernel, and
  /// their places in the image.
  func forEachPosition(
    _ positions: [Int], on image: [Int], _ body: (_ position: Int, _ taps: [(tap: Int, place: Int)]) throws -> Void
  ) rethrows {
    try forEachIndex(of: Shape(positions)) { position, index in
      var taps = [(tap: 0, place: 0)]
      for axis in image.indices {
        let start = index[axis] * strides[axis] - before[axis]
        let inside = validTaps(start, dilations[axis], kernel[axis], image[axis])
        taps = taps.flatMap { tap, place in
          inside.map { (tap * kernel[axis] + $0, place * image[axis] + start + $0 * dilations[axis]) }
        }
      }
      try body(position, taps)
    }
  }

  var attributes: [(String, String)] {
    var list = [("kernel", listed(kernel))]
    if strides.contains(where: { $0 != 1 }) { list.append(("strides", listed(strides))) }
    if dilations.contains(where: { $0 != 1 }) { list.append(("dilations", listed(dilations))) }
    if (before + after).contains(where: { $0 != 0 }) {
      list.append(("padding", listed(before) + (before == after ? "" : ";" + listed(after))))
    }
    return list
  }
}

/// Calls with each element's place and index, in order.
func forEachIndex(of shape: Shape, _ body: (_ place: Int, _ index: [Int]) throws -> Void) rethrows {
  var index = [Int](repeating: 0, count: shape.rank)
  for place in 0..<shape.count {
    try body(place, index)
    var axis = shape.rank - 1
    while axis >= 0 {
      index[axis] += 1
      if index[axis] < shape[axis] { break }
      index[axis] = 0
      axis -= 1
    }
  }
}
