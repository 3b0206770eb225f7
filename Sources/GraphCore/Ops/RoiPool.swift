import TensorCore

/// Regions of images, each brought to one size by the largest values of its parts (Fast R-CNN, "RoI pooling").
///
/// Inputs: `x [N, C, H, W]` and `regions [R, 5]` as the number of the image, left, top, right and bottom.
public struct RoiPool: Op {
  public static let name = "roi_pool"

  /// Rows and columns of the result.
  public var size: Pair
  /// Pixels of `x` for one unit of the regions.
  public var scale: Float

  public init(_ size: Pair, scale: Float = 1) { (self.size, self.scale) = (size, scale) }

  public var attributes: [(String, String)] { [("size", "\(size)"), ("scale", "\(scale)")] }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(
      inputs.count == 2 && inputs[0].shape.rank == 4 && inputs[1].shape.rank == 2 && inputs[1].shape[1] == 5,
      "\(name): \(inputs)")
    try expect(size.h > 0 && size.w > 0 && scale.isFinite, "\(name): \(size) at \(scale)")
    return [
      try TensorType([inputs[1].shape[0], inputs[0].shape[1], size.h, size.w], inputs[0].dtype).checked(name)
    ]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    let (batch, channels, height, width) = inputs[0].shape.nchw
    /// From the first row or column to before the last of a part.
    func part(_ index: Int, of parts: Int, _ first: Int, _ last: Int, _ extent: Int) -> Range<Int> {
      let step = Float(max(last - first + 1, 1)) / Float(parts)
      let start = min(max(first + whole((Float(index) * step).rounded(.down)), 0), extent)
      let end = min(max(first + whole((Float(index + 1) * step).rounded(.up)), 0), extent)
      return start..<max(start, end)
    }
    for region in 0..<result.shape[0] {
      let given = inputs[1].floats[region * 5..<region * 5 + 5]
      let image = whole(given.first!)
      try expect((0..<batch).contains(image), "\(name): image \(image) of \(batch)")
      let bounds = given.dropFirst().map { whole(($0 * scale).rounded(.toNearestOrAwayFromZero)) }
      for oy in 0..<size.h {
        let rows = part(oy, of: size.h, bounds[1], bounds[3], height)
        for ox in 0..<size.w {
          let columns = part(ox, of: size.w, bounds[0], bounds[2], width)
          for c in 0..<channels {
            let plane = inputs[0].floats.baseAddress! + (image * channels + c) * height * width
            var best: Float?
            for y in rows { for x in columns { best = max(best ?? -.infinity, plane[y * width + x]) } }
            result.floats[((region * channels + c) * size.h + oy) * size.w + ox] = best ?? 0
          }
        }
      }
    }
    withExtendedLifetime(inputs) {}
    return [result]
  }
}
