import TensorCore

/// Regions of images, each brought to one size by sampling it (Mask R-CNN, "RoIAlign").
///
/// Inputs: `x [N, C, H, W]`, `regions [R, 4]` as left, top, right and bottom, and `images [R]`, the number of each one's image.
public struct RoiAlign: Op {
  public static let name = "roi_align"

  /// Rows and columns of the result.
  public var size: Pair
  /// Samples along each axis of an element of the result; 0 for as many as there are pixels.
  public var samples: Int
  /// Pixels of `x` for one unit of the regions.
  public var scale: Float
  /// Whether an element is the largest share that a pixel has in its samples, which is what ONNX Runtime and ONNX's own reference
  /// mean by the maximum of them; else their mean.
  public var takesMaximum: Bool
  /// Whether a pixel's middle lies at a half; else at a whole number, and regions are one pixel large at least.
  public var isHalfPixel: Bool

  public init(_ size: Pair, samples: Int = 0, scale: Float = 1, takesMaximum: Bool = false, isHalfPixel: Bool = true) {
    (self.size, self.samples, self.scale) = (size, samples, scale)
    (self.takesMaximum, self.isHalfPixel) = (takesMaximum, isHalfPixel)
  }

  public var attributes: [(String, String)] {
    [("size", "\(size)"), ("samples", "\(samples)"), ("scale", "\(scale)"), ("half_pixel", "\(isHalfPixel)")]
      + (takesMaximum ? [("of", "maximum")] : [])
  }
  public var elementTypes: ElementTypes { .numbers }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 3, "\(name) takes 3 inputs, not \(inputs.count)")
    try expectReals(inputs[..<2], name)
    let (x, regions, images) = (inputs[0].shape, inputs[1].shape, inputs[2])
    try expect(
      x.rank == 4 && regions.rank == 2 && regions[1] == 4 && images.shape == [regions[0]]
        && (images.dtype == .int64 || images.dtype == .int32),
      "\(name): regions \(inputs[1]) of \(inputs[0]) in the images \(images)")
    try expect(
      size.h > 0 && size.w > 0 && (0...1 << 12).contains(samples) && scale.isFinite,
      "\(name): \(size) of \(samples) samples at \(scale)")
    try expect(x[2] > 0 && x[3] > 0, "\(name): there is nothing in \(x)")
    return [try TensorType([regions[0], x[1], size.h, size.w], inputs[0].dtype).checked(name)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    try withReals(of: result.type.dtype) { try compute($0, inputs, result) }
    return [result]
  }

  private func compute<Real: LibraryReal>(_: Real.Type, _ inputs: [Tensor], _ result: Tensor) throws {
    let (x, regions, out) = (
      inputs[0].pointer(to: Real.self), inputs[1].pointer(to: Real.self), result.pointer(to: Real.self)
    )
    let (batch, channels, height, width) = inputs[0].shape.nchw
    let (scale, offset): (Real, Real) = (Real(scale), isHalfPixel ? 0.5 : 0)
    for (region, image) in try inputs[2].indices.enumerated() {
      try expect((0..<batch).contains(image), "\(name): image \(image) of \(batch)")
      let bounds = (0..<4).map { regions[region * 4 + $0] * scale - offset }
      try expect(
        bounds.allSatisfy { $0.isFinite && $0.magnitude < 16_777_216 }, "\(name): region \(region) lies at \(bounds)")
      var (w, h) = (bounds[2] - bounds[0], bounds[3] - bounds[1])
      if !isHalfPixel { (w, h) = (max(w, 1), max(h, 1)) }
      let (stepX, stepY) = (w / Real(size.w), h / Real(size.h))
      let taken = samples > 0 ? Pair(samples, samples) : Pair(whole(stepY.rounded(.up)), whole(stepX.rounded(.up)))
      let rows = (0..<size.h).map { Self.samples($0, bounds[1], stepY, taken.h, height) }
      let columns = (0..<size.w).map { Self.samples($0, bounds[0], stepX, taken.w, width) }
      for c in 0..<channels {
        let plane = x + (image * channels + c) * height * width
        for oy in 0..<size.h {
          for ox in 0..<size.w {
            out[((region * channels + c) * size.h + oy) * size.w + ox] = reduced(plane, width, rows[oy], columns[ox])
          }
        }
      }
    }
    withExtendedLifetime((inputs, result)) {}
  }

  /// What an element of the result is made of, sample by sample.
  private func reduced<Real: LibraryReal>(
    _ plane: UnsafeMutablePointer<Real>, _ width: Int, _ rows: [[Tap<Real>]], _ columns: [[Tap<Real>]]
  ) -> Real {
    var (sum, largest): (Real, Real?) = (0, nil)
    for row in rows {
      for column in columns {
        for y in row {
          for x in column {
            let value = y.weight * x.weight * plane[y.place * width + x.place]
            sum += value
            largest = max(largest ?? value, value)
          }
        }
      }
    }
    return takesMaximum ? largest ?? 0 : sum / Real(max(rows.count * columns.count, 1))
  }

  private typealias Tap<Real> = (place: Int, weight: Real)

  /// The samples of one element along an axis, each as the pixels it lies between.
  private static func samples<Real: LibraryReal>(
    _ index: Int, _ start: Real, _ step: Real, _ count: Int, _ extent: Int
  ) -> [[Tap<Real>]] {
    (0..<max(count, 0)).map { taps(at: start + (Real(index) + (Real($0) + 0.5) / Real(count)) * step, extent) }
  }

  /// The two pixels between which a place lies along an axis; without weight for what is more than one pixel outside.
  private static func taps<Real: LibraryReal>(at place: Real, _ extent: Int) -> [Tap<Real>] {
    guard place >= -1, place <= Real(extent) else { return [(0, 0)] }
    let place = max(place, 0)
    let first = whole(place.rounded(.down))
    guard first < extent - 1 else { return [(extent - 1, 1), (extent - 1, 0)] }
    return [(first, 1 - (place - Real(first))), (first + 1, place - Real(first))]
  }
}
