import Foundation

/// How the range that integers are to cover is chosen from the values that a tensor was seen to have.
public enum RangeObserver: String, Sendable, Codable, CaseIterable, CustomStringConvertible {
  /// The part whose integers are closest to the values: of least squared error, as PyTorch's `HistogramObserver` reckons it.
  case histogram
  /// Everything from the smallest to the largest value.
  case minMax = "min-max"
  /// All but a ten-thousandth of the values at each end. Large values count for more in a network than in a squared error: of trained
  /// MobileNetV2 this was measured to lose least.
  case percentile
  /// What an inference's own values reach from end to end, found as it runs: nothing is learned before. Of linear and recurrent layers alone.
  case dynamic

  public var description: String { rawValue }

  /// - Parameter levels: integers less one.
  package func range(of histogram: Histogram, levels: Int) -> ClosedRange<Float> {
    switch self {
    case .minMax, .dynamic: histogram.range
    case .percentile: histogram.quantile(1e-4)...histogram.quantile(1 - 1e-4)
    case .histogram: histogram.closest(levels: levels)
    }
  }
}

/// How often a tensor's values fell into each of 2048 parts of their range.
package struct Histogram: Sendable {
  package static let bins = 2048
  package let range: ClosedRange<Float>
  private(set) var counts = [Double](repeating: 0, count: bins)

  package init(_ range: ClosedRange<Float>) { self.range = range }

  private var width: Double { (Double(range.upperBound) - Double(range.lowerBound)) / Double(Self.bins) }

  package mutating func add(_ values: some Sequence<Float>) {
    guard width > 0 else { return counts[0] += 1 }
    let scale = 1 / width
    let low = Double(range.lowerBound)
    for value in values where value.isFinite {
      counts[min(max(Int((Double(value) - low) * scale), 0), Self.bins - 1)] += 1
    }
  }

  private func edge(_ bin: Int) -> Float { Float(Double(range.lowerBound) + width * Double(bin)) }

  /// The upper edge of the part up to which a share of the values lies; for shares under a half, the lower one of the part behind.
  func quantile(_ share: Double) -> Float {
    let total = counts.reduce(0, +)
    var sum = 0.0
    for (bin, count) in counts.enumerated() {
      sum += count
      if sum > share * total { return edge(share < 0.5 ? bin : bin + 1) }
    }
    return range.upperBound
  }

  /// The part of least expected squared error: the error of PyTorch's `HistogramObserver`, whose own search gives up at the first step
  /// that is no better.
  func closest(levels: Int) -> ClosedRange<Float> {
    guard width > 0, counts.contains(where: { $0 > 0 }) else { return range }
    // What integers cover reaches to zero in any case.
    let zero = min(max(Int(-Double(range.lowerBound) / width), 0), Self.bins - 1)
    var (first, last) = (0, Self.bins - 1)
    var least = squaredError(first, last, levels)
    // One end after the other, from far apart to close by.
    for step in [32, 4, 1] {
      var isBetter = true
      while isBetter {
        isBetter = false
        for cut in candidates(around: last, step) where cut >= zero {
          let error = squaredError(first, cut, levels)
          if error < least { (least, last, isBetter) = (error, cut, true) }
        }
        for cut in candidates(around: first, step) where cut <= zero {
          let error = squaredError(cut, last, levels)
          if error < least { (least, first, isBetter) = (error, cut, true) }
        }
      }
    }
    return edge(first)...edge(last + 1)
  }

  /// Parts an end may be moved to: far apart all there are, else those that are near.
  private func candidates(around end: Int, _ step: Int) -> [Int] {
    let reach = step == 32 ? Self.bins : 8 * step
    return stride(from: end % step, to: Self.bins, by: step).filter { ($0 - end).magnitude <= reach && $0 != end }
  }

  /// Expected squared error of integers that cover parts `first` to `last`, with values spread evenly in each part.
  private func squaredError(_ first: Int, _ last: Int, _ levels: Int) -> Double {
    let step = width * Double(last - first + 1) / Double(levels + 1)
    guard step > 0 else { return 0 }
    func integral(_ begin: Double, _ end: Double, _ density: Double) -> Double {
      density * (end * end * end - begin * begin * begin) / 3
    }
    var error = 0.0
    for (bin, count) in counts.enumerated() where count > 0 {
      let density = count / width
      let begin = Double(bin - first) * width
      let end = begin + width
      let (from, to) = (level(begin, step, levels), level(end, step, levels))
      error += integral(begin - (from + 0.5) * step, step / 2, density)
      error += (to - from - 1) * integral(-step / 2, step / 2, density)
      error += integral(-step / 2, end - (to + 0.5) * step, density)
    }
    return error
  }

  private func level(_ value: Double, _ step: Double, _ levels: Int) -> Double {
    min(max((value / step).rounded(.down), 0), Double(levels))
  }
}
