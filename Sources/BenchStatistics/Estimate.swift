#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The middle value; the mean of the two middle ones for an even count. NaN of nothing.
public func median(_ values: [Double]) -> Double {
  guard !values.isEmpty else { return .nan }
  let sorted = values.sorted()
  let middle = sorted.count / 2
  return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/// The 5th, 25th, 50th, 75th and 95th percentile, by linear interpolation between order statistics; NaN of nothing.
public func quantiles(of values: [Double]) -> [Double] {
  let sorted = values.sorted()
  return [0.05, 0.25, 0.5, 0.75, 0.95].map { share in
    guard !sorted.isEmpty else { return .nan }
    let position = share * Double(sorted.count - 1)
    let lower = Int(position)
    let upper = min(lower + 1, sorted.count - 1)
    return sorted[lower] + (sorted[upper] - sorted[lower]) * (position - Double(lower))
  }
}

/// A value with its 95 % confidence interval.
///
/// Whoever measures stops where the interval has become narrow enough, and so stops more often where the spread happens to
/// look small. An interval by the usual quantile then covers the truth in as few as 92 of 100 cases; with the one here it
/// covers it in 94 or more, by simulation of the whole scheduler (`SchedulerTests`).
public struct Estimate: Codable, Sendable, Equatable {
  public var value: Double
  public var low: Double
  public var high: Double
  /// Independent observations behind it.
  public var count: Int

  /// Half the interval's width over the value; infinite for a single observation.
  public var relativeHalfWidth: Double { (high - low) / 2 / value }

  /// Runs below which no interval is shown, and below which nothing is said to be faster or slower.
  package static let (runsForInterval, runsForVerdict) = (3, 5)
  package var hasInterval: Bool { count >= Self.runsForInterval && high.isFinite }

  /// What is 1 by definition.
  package static let one = Estimate(value: 1, low: 1, high: 1, count: 1)

  init(value: Double, low: Double, high: Double, count: Int) {
    (self.value, self.low, self.high, self.count) = (value, low, high, count)
  }

  /// Of Student's t at each end of the interval.
  package static let quantile = 0.985

  private static func t(_ degrees: Int) -> Double {
    degrees < quantiles.count ? quantiles[degrees] : studentT(quantile, degrees)
  }
  /// Up to so many degrees of freedom: they are asked for again and again.
  private static let quantiles = [.infinity] + (1...256).map { studentT(quantile, $0) }

  /// Geometric mean of positive values, by Student's t on their logarithms. Values must be independent: medians of
  /// fresh processes, not iterations within one.
  public init(geometric values: [Double]) {
    let logs = values.map { log($0) }
    count = logs.count
    let mean = logs.reduce(0, +) / Double(max(logs.count, 1))
    value = exp(mean)
    guard logs.count > 1 else {
      (low, high) = (0, .infinity)
      return
    }
    let variance = logs.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(logs.count - 1)
    let half = Self.t(logs.count - 1) * (variance / Double(logs.count)).squareRoot()
    (low, high) = (exp(mean - half), exp(mean + half))
  }

  /// Whether it is so by definition, and not measured.
  package var isExact: Bool { high == low && count == 1 }

  /// The standard error of the logarithm; 0 for what is exact, infinite for a single observation.
  package var logError: Double {
    guard high > low else { return 0 }
    guard high.isFinite, low > 0, count > 1 else { return .infinity }
    return (log(high) - log(low)) / 2 / Self.t(count - 1)
  }

  /// The exponential of a weighted sum of logarithms of independent estimates, with Welch and Satterthwaite's degrees of
  /// freedom.
  package static func product(_ factors: [(estimate: Estimate, power: Double)]) -> Estimate {
    let sum = factors.reduce(0) { $0 + $1.power * log($1.estimate.value) }
    let errors = factors.map { ($0.power * $0.estimate.logError, max($0.estimate.count - 1, 1)) }
    let variance = errors.reduce(0) { $0 + $1.0 * $1.0 }
    guard variance.isFinite else { return Estimate(value: exp(sum), low: 0, high: .infinity, count: 1) }
    let spread = errors.reduce(0) { $0 + pow($1.0, 4) / Double($1.1) }
    let degrees = spread > 0 ? max(1, Int(min(variance * variance / spread, 1000) + 1e-6)) : 1000
    let half = variance > 0 ? Self.t(degrees) * variance.squareRoot() : 0
    return Estimate(value: exp(sum), low: exp(sum - half), high: exp(sum + half), count: degrees + 1)
  }

  package func over(_ other: Estimate) -> Estimate { Self.product([(self, 1), (other, -1)]) }

  /// The same ratio the other way round, of as many pairs.
  package var inverse: Estimate {
    var inverse = Self.product([(self, -1)])
    inverse.count = count
    return inverse
  }

  // JSON has no infinity: an open interval is written without its ends.
  private enum CodingKeys: String, CodingKey { case value, low, high, count }
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    value = try container.decode(Double.self, forKey: .value)
    low = try container.decodeIfPresent(Double.self, forKey: .low) ?? 0
    high = try container.decodeIfPresent(Double.self, forKey: .high) ?? .infinity
    count = try container.decode(Int.self, forKey: .count)
  }
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(value, forKey: .value)
    if high.isFinite {
      try container.encode(low, forKey: .low)
      try container.encode(high, forKey: .high)
    }
    try container.encode(count, forKey: .count)
  }
}

/// A quantile of Student's t above the median, by bisection of its distribution function.
func studentT(_ probability: Double, _ degrees: Int) -> Double {
  var (low, high) = (0.0, 1000.0)
  for _ in 0..<60 {
    let middle = (low + high) / 2
    if studentTCumulative(middle, degrees) < probability { low = middle } else { high = middle }
  }
  return (low + high) / 2
}

/// P(T ≤ t) for t ≥ 0, by the finite series for whole degrees of freedom
/// (Abramowitz and Stegun, 26.7.3 and 26.7.4).
package func studentTCumulative(_ t: Double, _ degrees: Int) -> Double {
  let n = Double(degrees)
  let angle = atan(t / n.squareRoot())
  let (sine, cosine) = (sin(angle), cos(angle))
  let area: Double
  if degrees == 1 {
    area = 2 * angle / .pi
  } else {
    let isOdd = degrees % 2 == 1
    var term = isOdd ? cosine : 1.0
    var sum = term
    var k = isOdd ? 3 : 2
    while k < degrees {
      term *= Double(k - 1) / Double(k) * cosine * cosine
      sum += term
      k += 2
    }
    area = isOdd ? 2 / .pi * (angle + sine * sum) : sine * sum
  }
  return 0.5 + area / 2
}
