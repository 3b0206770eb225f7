import TensorCore

/// What an element of a resized axis is made of.
package struct ResizeSample {
  package var taps: [(place: Int, weight: Float)]
  /// Whether it lies outside of the input.
  var isOutside: Bool
}

extension Resize {
  /// One for each element of the result along an axis of `length` elements. In single precision as ONNX Runtime computes them, so
  /// that those that lie just between two elements fall to the same side.
  package func samples(along axis: Axis, of length: Int) -> [ResizeSample] {
    (0..<axis.extent).map { index in
      let place = place(of: Float(index), along: axis, Float(length))
      return ResizeSample(
        taps: antialiases ? averaged(place, axis.scale, length) : taps(at: place, axis.scale, length),
        isOutside: place < 0 || place > Float(length - 1))
    }
  }

  private func place(of index: Float, along axis: Axis, _ length: Float) -> Float {
    let (scale, extent) = (axis.scale, Float(axis.extent))
    switch coordinates {
    case .halfPixel: return (index + 0.5) / scale - 0.5
    case .halfPixelPyTorch: return extent > 1 ? (index + 0.5) / scale - 0.5 : 0
    case .halfPixelNearest: return (index + 0.5) / scale
    case .halfPixelSymmetric:
      // The extent before it was rounded keeps its middle.
      let offset = length / 2 * (1 - extent / (scale * length))
      return Float(Double(offset) + (Double(index) + 0.5) / Double(scale) - 0.5)
    case .alignCorners: return extent > 1 ? index * (length - 1) / (extent - 1) : 0
    case .asymmetric: return index / scale
    case .crop:
      let (start, end) = (axis.region.start, axis.region.end)
      guard extent > 1 else { return Float(0.5 * Double(start + end) * Double(length - 1)) }
      return start * (length - 1) + index * (end - start) * (length - 1) / (extent - 1)
    }
  }

  private func taps(at place: Float, _ scale: Float, _ length: Int) -> [(place: Int, weight: Float)] {
    func inside(_ place: Float) -> Int { min(max(whole(place), 0), length - 1) }
    switch mode {
    case .nearest(let rounding):
      switch rounding {
      case .preferFloor: return [(inside((place - 0.5).rounded(.up)), 1)]
      case .preferCeil: return [(inside(place.rounded(.toNearestOrAwayFromZero)), 1)]
      case .floor: return [(inside(place.rounded(.down)), 1)]
      case .ceil: return [(inside(place.rounded(.up)), 1)]
      case .byScale: return [(inside(place.rounded(scale < 1 ? .up : .towardZero)), 1)]
      }
    case .linear:
      let place = min(max(place, 0), Float(length - 1))
      let first = inside(place)
      let weight = place - Float(first)
      guard first + 1 < length else { return [(first, 1)] }
      return [(first, 1 - weight), (first + 1, weight)]
    case .cubic(let a):
      let first = place.rounded(.down)
      var taps = zip(-1...2, cubicWeights(place - first, a)).map { (place: whole(first) + $0, weight: $1) }
      if excludesOutside {
        taps = taps.map { place, weight in (place, (0..<length).contains(place) ? weight : 0) }
        let sum = taps.reduce(0) { $0 + $1.weight }
        taps = taps.map { ($0.place, $0.weight / sum) }
      }
      return taps.map { (min(max($0.place, 0), length - 1), $0.weight) }
    }
  }

  /// A mean with the weights of the interpolation, stretched over all that one element of a smaller result stands for.
  private func averaged(_ place: Float, _ scale: Float, _ length: Int) -> [(place: Int, weight: Float)] {
    let stretch = max(1 / scale, 1)
    let support = (mode == .linear ? 1 : 2) * stretch
    let center = place + 0.5
    let first = max(whole((center - support + 0.5).rounded(.down)), -2 * length - 8)
    let end = min(whole((center + support + 0.5).rounded(.down)), 3 * length + 8)
    var weights = [Float](repeating: 0, count: length)
    for tap in first..<max(end, first) {
      let isInside = (0..<length).contains(tap)
      if !isInside, excludesOutside { continue }
      weights[min(max(tap, 0), length - 1)] += weight(at: (Float(tap) - center + 0.5) / stretch)
    }
    let sum = weights.reduce(0, +)
    return weights.enumerated().compactMap { $1 == 0 ? nil : ($0, sum == 0 ? $1 : $1 / sum) }
  }

  /// Of an element at a distance.
  private func weight(at distance: Float) -> Float {
    let x = distance.magnitude
    guard case .cubic(let a) = mode else { return max(1 - x, 0) }
    if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0
  }
}

/// Weights of the four elements around a place that lies a fraction behind the second of them (Keys, "Cubic convolution
/// interpolation for digital image processing", 1981).
func cubicWeights<Real: BinaryFloatingPoint>(_ fraction: Real, _ a: Real) -> [Real] {
  func near(_ x: Real) -> Real { ((a + 2) * x - (a + 3)) * x * x + 1 }
  func far(_ x: Real) -> Real { ((a * x - 5 * a) * x + 8 * a) * x - 4 * a }
  return [far(fraction + 1), near(fraction), near(1 - fraction), far(2 - fraction)]
}

/// A number without a fraction as an integer; what is far beyond every tensor is cut off.
func whole<Real: BinaryFloatingPoint>(_ number: Real) -> Int {
  number.isNaN ? -1 << 40 : Int(min(max(number, Real(-1 << 40)), Real(1 << 40)))
}
