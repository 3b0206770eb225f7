/// What the integers of a tensor stand for: `real = scale · (stored − zeroPoint)`, for the whole tensor or for each index of
/// one axis (ONNX, QuantizeLinear).
public struct Quantization: Hashable, Sendable, Codable, CustomStringConvertible {
  /// One, or one for each index of `axis`.
  public let scales: [Float]
  /// As many as scales.
  public let zeroPoints: [Int32]
  /// Axis of the shape that the scales belong to; nil where there is one for all.
  public let axis: Int?

  /// One scale for the whole tensor.
  public init(scale: Float, zeroPoint: Int32 = 0) { (scales, zeroPoints, axis) = ([scale], [zeroPoint], nil) }

  /// - Parameter zeroPoints: nil for zeros.
  public init(scales: [Float], zeroPoints: [Int32]? = nil, axis: Int) {
    (self.scales, self.zeroPoints) = (scales, zeroPoints ?? scales.map { _ in 0 })
    self.axis = axis
  }

  /// What is wrong with it for a tensor; nil where nothing is.
  public func fault(for shape: Shape, _ dtype: DType) -> String? {
    guard [.int8, .uint8, .int16, .uint16, .int32].contains(dtype) else { return "\(dtype.rawValue) is not quantised" }
    guard scales.count == zeroPoints.count else { return "\(scales.count) scales and \(zeroPoints.count) zero points" }
    guard scales.allSatisfy({ $0 > 0 && $0.isFinite }) else { return "scales are above 0 and finite" }
    let range: ClosedRange<Int32> =
      switch dtype {
      case .int8: -128...127
      case .uint8: 0...255
      case .int16: -32768...32767
      case .uint16: 0...65535
      default: Int32.min...Int32.max
      }
    guard zeroPoints.allSatisfy(range.contains) else { return "zero points of \(dtype.rawValue) are in \(range)" }
    guard let axis else { return scales.count == 1 ? nil : "\(scales.count) scales without an axis" }
    guard (0..<shape.rank).contains(axis) else { return "axis \(axis) of \(shape)" }
    return scales.count == shape[axis] ? nil : "\(scales.count) scales for \(shape[axis]) along axis \(axis)"
  }

  /// How many scales there are, and elements from one to the next: element `i` in NCHW order has scale `i / inner % extent`.
  func grid(of shape: Shape) -> (extent: Int, inner: Int) {
    guard let axis else { return (1, 1) }
    return (max(shape[axis], 1), max(shape.extents[(axis + 1)...].reduce(1, *), 1))
  }

  /// Every number of it, for digests.
  package var whole: String { "\(scales) \(zeroPoints) \(axis.map(String.init) ?? "all")" }

  public var description: String {
    // Of whatever a file said, sound or not: see ``fault(for:_:)``.
    guard let axis else {
      return "scale=\(scales.first.map { "\($0)" } ?? "none")"
        + (zeroPoints.first.map { $0 == 0 ? "" : " zero=\($0)" } ?? "")
    }
    return "scales=\(scales.count) axis=\(axis)" + (zeroPoints.allSatisfy { $0 == 0 } ? "" : " zeros")
  }
}
