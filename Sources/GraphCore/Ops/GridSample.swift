import TensorCore

/// What lies in images at given places, read between their elements (PyTorch's `grid_sample`).
///
/// Inputs: `x [N, C, …]` of two axes or three, and `grid [N, …, axes]` of places, the last axis first: −1 is the beginning of the
/// image and 1 its end.
public struct GridSample: Op {
  public static let name = "grid_sample"

  public enum Mode: String, Sendable, Codable {
    case nearest, linear
    /// Of images of two axes.
    case cubic
  }

  /// What lies outside.
  public enum Outside: String, Sendable, Codable {
    case zeros, border, reflection
  }

  public var mode: Mode
  public var outside: Outside
  /// Whether the beginning of an image is the middle of its first element; else it is half an element before that.
  public var alignsCorners: Bool

  public init(_ mode: Mode = .linear, outside: Outside = .zeros, alignsCorners: Bool = false) {
    (self.mode, self.outside, self.alignsCorners) = (mode, outside, alignsCorners)
  }

  public var attributes: [(String, String)] {
    [("mode", mode.rawValue), ("outside", outside.rawValue)] + (alignsCorners ? [("corners", "aligned")] : [])
  }
  public var elementTypes: ElementTypes { .numbers }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 2, "\(name) takes 2 inputs, not \(inputs.count)")
    try expectReals(inputs, name)
    let (x, grid) = (inputs[0].shape, inputs[1].shape)
    try expect(
      (4...5).contains(x.rank) && grid.rank == x.rank && grid[0] == x[0] && grid.extents.last == x.rank - 2,
      "\(name): \(x) at the places \(grid)")
    try expect(mode != .cubic || x.rank == 4, "\(name): cubic interpolation of \(x)")
    let type = try TensorType(Shape([x[0], x[1]] + grid.extents[1..<grid.rank - 1]), inputs[0].dtype).checked(name)
    try expect(type.shape.count == 0 || x.count > 0, "\(name): there is nothing in \(x)")
    return [type]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    withReals(of: result.type.dtype) { compute($0, inputs, result) }
    return [result]
  }

  private func compute<Real: LibraryReal>(_: Real.Type, _ inputs: [Tensor], _ result: Tensor) {
    let (x, grid, out) = (
      inputs[0].pointer(to: Real.self), inputs[1].pointer(to: Real.self), result.pointer(to: Real.self)
    )
    let image = Array(inputs[0].shape.extents[2...])
    let (pixels, points) = (Shape(image).count, result.shape.extents[2...].reduce(1, *))
    for n in 0..<result.shape[0] {
      for point in 0..<points {
        var taps: [(place: Int, weight: Real)] = [(0, 1)]
        for (axis, extent) in image.enumerated() {
          let given = grid[(n * points + point) * image.count + image.count - 1 - axis]
          let along = self.taps(at: given, extent)
          taps = taps.flatMap { place, weight in along.map { (place * extent + $0.place, weight * $0.weight) } }
        }
        for c in 0..<result.shape[1] {
          let plane = n * result.shape[1] + c
          out[plane * points + point] = taps.reduce(0) { $0 + x[plane * pixels + $1.place] * $1.weight }
        }
      }
    }
    withExtendedLifetime((inputs, result)) {}
  }

  /// Places along an axis, those within it, and their weights.
  private func taps<Real: BinaryFloatingPoint>(at given: Real, _ extent: Int) -> [(place: Int, weight: Real)] {
    let length = Real(extent)
    let place = alignsCorners ? (given + 1) / 2 * (length - 1) : ((given + 1) * length - 1) / 2
    let taps: [(Int, Real)]
    switch mode {
    case .nearest: taps = [(whole(place.rounded(.toNearestOrEven)), 1)]
    case .linear:
      let first = place.rounded(.down)
      taps = [(whole(first), 1 - (place - first)), (whole(first) + 1, place - first)]
    case .cubic:
      let first = place.rounded(.down)
      taps = zip(-1...2, cubicWeights(place - first, -0.75)).map { (whole(first) + $0, $1) }
    }
    return taps.compactMap { place, weight in inside(place, extent).map { ($0, weight) } }
  }

  /// Nil where nothing lies.
  private func inside(_ place: Int, _ extent: Int) -> Int? {
    if (0..<extent).contains(place) { return place }
    switch outside {
    case .zeros: return nil
    case .border: return min(max(place, 0), extent - 1)
    case .reflection:
      // At the middle of the outermost elements, or at their outer edges.
      let period = alignsCorners ? 2 * (extent - 1) : 2 * extent
      guard period > 0 else { return 0 }
      let rest = (place % period + period) % period
      return rest < extent ? rest : alignsCorners ? period - rest : period - 1 - rest
    }
  }
}
