import Foundation

/// How the range that integers are to cover is chosen from the values that a tensor was seen to have.
public enum RangeObserver: String, Sendable, Codable, CaseIterable, CustomStringConvertible {
  /// The part whose integers are closest to the values, as PyTorch's `HistogramObserver` searches for it: ends are cut off, a
  /// hundred-thousandth of the values at a time, while the expected squared error falls.
  case histogram
  /// Everything from the smallest to the largest value.
  case minMax = "min-max"
  /// All but a ten-thousandth of the values at each end.
  case percentile

  public var description: String { rawValue }

  /// - Parameter levels: integers less one.
  package func range(of histogram: Histogram, levels: Int) -> ClosedRange<Float> {
    switch self {
    case .minMax: histogram.range
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

  /// What PyTorch's search finds (`_non_linear_param_search`, torch/ao/quantization/observer.py).
  func closest(levels: Int) -> ClosedRange<Float> {
    let total = counts.reduce(0, +)
    guard width > 0, total > 0 else { return range }
    var below: [Double] = []
    for count in counts { below.append((below.last ?? 0) + count) }
    let step = 1e-5
    var (alpha, beta, first, last) = (0.0, 1.0, 0, Self.bins - 1)
    var least = Double.infinity
    while alpha < beta {
      let (nextAlpha, nextBeta) = (alpha + step, beta - step)
      var (left, right) = (first, last)
      while left < last, below[left] < nextAlpha * total { left += 1 }
      while right > first, below[right] > nextBeta * total { right -= 1 }
      var (nextFirst, nextLast) = (first, last)
      // The end that more is cut off from.
      if left - first > last - right {
        (nextFirst, alpha) = (left, nextAlpha)
      } else {
        (nextLast, beta) = (right, nextBeta)
      }
      if nextFirst == first, nextLast == last { continue }
      let error = squaredError(nextFirst, nextLast, levels)
      if error > least { break }
      (least, first, last) = (error, nextFirst, nextLast)
    }
    return edge(first)...edge(last + 1)
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
