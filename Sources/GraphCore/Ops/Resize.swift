import TensorCore

/// Images of other extents: what lies at each place of the result is read between the elements of the input, along each axis that
/// changes (ONNX, Resize).
public struct Resize: Op {
  public static let name = "resize"

  /// An axis that changes.
  public struct Axis: Hashable, Sendable, Codable {
    public var axis: Int
    /// Of the result.
    public var extent: Int
    /// Result over input, as coordinates are computed with: `extent` may be rounded.
    public var scale: Float
    /// The part of the input that is read, where coordinates are those of ``Coordinates/crop``: 0 is the middle of the first
    /// element and 1 that of the last.
    public var region: ClosedRegion

    public init(_ axis: Int, extent: Int, scale: Float, region: ClosedRegion = ClosedRegion(0, 1)) {
      (self.axis, self.extent, self.scale, self.region) = (axis, extent, scale, region)
    }
  }

  /// From a first place to a last one, which may lie before it.
  public struct ClosedRegion: Hashable, Sendable, Codable {
    public var start: Float
    public var end: Float
    public init(_ start: Float, _ end: Float) { (self.start, self.end) = (start, end) }
  }

  public enum Mode: Hashable, Sendable, Codable {
    case nearest(Rounding)
    case linear
    /// Keys' cubic convolution; `a` is the slope that its weights have at distance 1.
    case cubic(a: Float)
  }

  /// Which element is the nearest.
  public enum Rounding: String, Sendable, Codable {
    case preferFloor = "round_prefer_floor"
    case preferCeil = "round_prefer_ceil"
    case floor
    case ceil
    /// Down where the result is larger, up where it is smaller (ONNX before version 11).
    case byScale = "by_scale"
  }

  /// Where a place of the result lies in the input; by ONNX's names.
  public enum Coordinates: String, Sendable, Codable {
    case halfPixel = "half_pixel"
    case halfPixelSymmetric = "half_pixel_symmetric"
    case halfPixelPyTorch = "pytorch_half_pixel"
    case halfPixelNearest = "tf_half_pixel_for_nn"
    case alignCorners = "align_corners"
    case asymmetric
    case crop = "tf_crop_and_resize"
  }

  /// Each once.
  public var axes: [Axis]
  public var mode: Mode
  public var coordinates: Coordinates
  /// Whether what lies outside of the input has no weight; else it is as the border.
  public var excludesOutside: Bool
  /// Whether a result that is smaller is the mean of all that it stands for.
  public var antialiases: Bool
  /// What lies outside of the input where coordinates are those of ``Coordinates/crop``.
  public var extrapolation: Float

  public init(
    _ axes: [Axis], _ mode: Mode, _ coordinates: Coordinates = .halfPixel, excludesOutside: Bool = false,
    antialiases: Bool = false, extrapolation: Float = 0
  ) {
    (self.axes, self.mode, self.coordinates) = (axes, mode, coordinates)
    (self.excludesOutside, self.antialiases, self.extrapolation) = (excludesOutside, antialiases, extrapolation)
  }

  public var attributes: [(String, String)] {
    var list = axes.map { axis in
      var text = "\(axis.extent) (×\(axis.scale)"
      if coordinates == .crop { text += " of \(axis.region.start)…\(axis.region.end)" }
      return ("axis\(axis.axis)", text + ")")
    }
    switch mode {
    case .nearest(let rounding): list.append(("nearest", rounding.rawValue))
    case .linear: list.append(("mode", "linear"))
    case .cubic(let a): list.append(("cubic", "\(a)"))
    }
    list.append(("coordinates", coordinates.rawValue))
    if excludesOutside { list.append(("outside", "excluded")) }
    if antialiases { list.append(("antialias", "true")) }
    if coordinates == .crop { list.append(("extrapolation", "\(extrapolation)")) }
    return list
  }
  public var elementTypes: ElementTypes { .numbers }
  public var formatRule: FormatRule { .follows }

  private var isNearest: Bool { if case .nearest = mode { true } else { false } }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "\(name) takes 1 input, not \(inputs.count)")
    var type = inputs[0]
    try expect(Set(axes.map(\.axis)).count == axes.count, "\(name): an axis is there twice")
    try expect(!isNearest || !antialiases, "\(name): the nearest element is no mean")
    try expect(isNearest || type.dtype != .bool, "\(name) does not work on bool")
    for axis in axes {
      try expect((0..<type.shape.rank).contains(axis.axis), "\(name): axis \(axis.axis) of \(type)")
      try expect(
        axis.scale > 0 && axis.scale.isFinite && axis.region.start.isFinite && axis.region.end.isFinite
          && (0...1 << 30).contains(axis.extent),
        "\(name): \(type) to \(axis)")
      try expect(
        axis.extent == 0 || type.shape[axis.axis] > 0, "\(name): there is nothing along axis \(axis.axis) of \(type)")
      type.shape.extents[axis.axis] = axis.extent
    }
    return [try type.checked(name)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let type = try outputTypes(for: inputs.map(\.type))[0]
    let input = inputs[0]
    if isNearest, let integers = input.integers {
      // A double would not hold all of their bits.
      return [try Tensor(type.shape, resized(integers, input.shape, Int64(whole(extrapolation)), pick), type.dtype)]
    }
    let values = try resized(input.doubles, input.shape, Double(extrapolation)) { values, sample, first, stride in
      if isNearest { return pick(values, sample, first, stride) }
      let sum = sample.taps.reduce(0) { $0 + values[first + $1.place * stride] * Double($1.weight) }
      return antialiases && !type.dtype.isFloat ? (sum + 0.5).rounded(.down) : sum
    }
    return [try Tensor(type.shape, values, type.dtype)]
  }

  private func pick<Number>(_ values: [Number], _ sample: ResizeSample, _ first: Int, _ stride: Int) -> Number {
    values[first + sample.taps[0].place * stride]
  }

  /// One axis at a time, the last one first.
  private func resized<Number>(
    _ values: [Number], _ shape: Shape, _ outside: Number,
    _ read: ([Number], ResizeSample, _ first: Int, _ stride: Int) -> Number
  ) throws -> [Number] {
    var (values, shape) = (values, shape)
    let axes = axes.sorted { $0.axis > $1.axis }
    let all = axes.map { samples(along: $0, of: shape[$0.axis]) }
    for (axis, samples) in zip(axes, all) {
      let ((outer, inner), length) = (shape.around(axis.axis), shape[axis.axis])
      var result: [Number] = []
      result.reserveCapacity(outer * axis.extent * inner)
      for o in 0..<outer {
        for sample in samples {
          for i in 0..<inner { result.append(read(values, sample, o * length * inner + i, inner)) }
        }
      }
      values = result
      shape.extents[axis.axis] = axis.extent
    }
    guard coordinates == .crop else { return values }
    for (axis, samples) in zip(axes, all) {
      let inner = shape.around(axis.axis).inner
      for index in values.indices where samples[index / inner % axis.extent].isOutside {
        values[index] = outside
      }
    }
    return values
  }
}
