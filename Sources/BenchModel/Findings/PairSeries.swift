import BenchStatistics
import Foundation

/// A fresh process of each version, interleaved on the same processors.
public struct Pair: Codable, Sendable {
  /// Medians of one inference, in nanoseconds.
  public var base: Double
  public var head: Double
  /// ln(head / base), from their slices.
  public var difference: Double
  public var baseFirst: Bool
  public var processors: [Int]?
  /// What else both read, by name.
  public var readings: [String: Readings] = [:]

  public struct Readings: Codable, Sendable, Equatable {
    public var base: Double
    public var head: Double
    public init(base: Double, head: Double) { (self.base, self.head) = (base, head) }
  }

  package init(base: Double, head: Double, difference: Double, baseFirst: Bool, processors: [Int]? = nil) {
    (self.base, self.head, self.difference) = (base, head, difference)
    (self.baseFirst, self.processors) = (baseFirst, processors)
  }
}

/// All pairs of one configuration, or of the control.
public struct PairSeries: Codable, Sendable {
  public var label: String
  public var model: String
  /// Iterations in a slice, slices, and iterations before the first.
  public var iterations = 1
  public var slices = 1
  public var warmup = 2
  /// Whether the processes were interleaved; otherwise they ran one after the other.
  public var isInterleaved = true
  public var pairs: [Pair] = []
  /// Why there are no more pairs.
  public var failure: String?

  package init(label: String, model: String) { (self.label, self.model) = (label, model) }

  /// ln(head / base) of the latency, pair by pair.
  public var differences: [Double] { pairs.map(\.difference) }
  public var sigma: Double { PairedMetric(self, latencyMetric).sigma }

  /// ln(head / base) of a metric, pair by pair, of which less is better; pairs that lack it are left out. Of two values
  /// that are both zero it is 0, of one that is it has no end.
  package func differences(of metric: Metric) -> [Double] {
    if metric.name == latencyMetric.name { return differences }
    let sign = metric.direction == .lowerIsBetter ? 1.0 : -1.0
    return pairs.compactMap { $0.readings[metric.name] }.map { pair in
      pair.base == pair.head ? 0 : sign * (log(pair.head) - log(pair.base))
    }
  }
}

/// One metric of a series: what is decided on, and reported.
package struct PairedMetric: Sendable {
  package let base: Estimate
  package let head: Estimate
  /// The ratio head over base and its exact 95 % interval.
  package let ratio: MedianInterval
  /// Standard deviation of a pair's log ratio, from the median distance to the median.
  package let sigma: Double
  package let differences: [Double]

  package init(_ series: PairSeries, _ metric: Metric) {
    differences = series.differences(of: metric)
    let isLatency = metric.name == latencyMetric.name
    let sides = isLatency ? [] : series.pairs.compactMap { $0.readings[metric.name] }
    base = Estimate(geometric: isLatency ? series.pairs.map(\.base) : sides.map(\.base))
    head = Estimate(geometric: isLatency ? series.pairs.map(\.head) : sides.map(\.head))
    let sign = metric.direction == .lowerIsBetter ? 1.0 : -1.0
    ratio = MedianInterval(differences.map { exp(sign * $0) })
    let finite = differences.filter(\.isFinite)
    let middle = median(finite)
    sigma = 1.4826 * median(finite.map { abs($0 - middle) })
  }
}
