import Foundation

/// How sampled metrics decide. A series is one metric of one configuration; each of its pairs gives a log ratio, head over
/// base, of which less is better. The rule asks for pairs until it knows, and its errors are bounded whatever the noise
/// looks like:
///
/// - a series that is at most `margin` worse is called REGRESSION in at most `falsePositives` of all gates, over all series;
/// - a series that is `target` worse or more is called PASS with at most probability `falseNegatives`.
///
/// More series than `unscreened` are screened first: those whose screen already excludes the target pass, and only the
/// others share `falsePositives`, on new pairs.
public struct TimeRule: Codable, Sendable, Equatable {
  public var margin = 0.01
  public var target = 0.03
  public var falsePositives = 0.01
  public var falseNegatives = 0.02
  public var screen = 16
  public var unscreened = 4

  /// Pairs at which a series is looked at, with each look's share of the two error rates.
  package static let looks = [12, 24, 36, 48, 64, 96, 128]
  static let falsePositiveShares = [0.10, 0.20, 0.20, 0.20, 0.15, 0.10, 0.05]
  static let falseNegativeShares = [0.25, 0.25, 0.20, 0.10, 0.10, 0.05, 0.05]

  public init() {}

  /// What became of one series.
  public struct Decision: Codable, Sendable {
    public var verdict = Verdict.unresolved
    /// Log ratios of the screen; they are not used again.
    public var screened: [Double] = []
    /// Log ratios the verdict rests on, unless the screen was enough.
    public var differences: [Double] = []

    public init() {}
  }

  /// The tests of one series, where so many share the false positives.
  package struct Tests {
    let rule: TimeRule
    let falsePositive: SequentialSignTest
    let falseNegative: SequentialSignTest

    package init(_ rule: TimeRule, sharing series: Int) {
      self.rule = rule
      falsePositive = SequentialSignTest(
        at: looks, shares: falsePositiveShares, alpha: rule.falsePositives / Double(max(series, 1)))
      falseNegative = SequentialSignTest(at: looks, shares: falseNegativeShares, alpha: rule.falseNegatives)
    }

    /// What these log ratios, in the order in which they were taken, show.
    package func verdict(_ differences: [Double]) -> Verdict {
      let margin = log1p(rule.margin)
      let events: [(Verdict, Int?)] = [
        (.regression, falsePositive.rejection(differences.map { $0 > margin })),
        (.improvement, falsePositive.rejection(differences.map { $0 < -margin })),
        (.pass, falseNegative.rejection(differences.map { $0 < log1p(rule.target) })),
      ]
      return events.filter { $0.1 != nil }.min { $0.1! < $1.1! }?.0 ?? .unresolved
    }
  }

  /// Asks for pairs until every series is decided or there are no more.
  /// - Parameter pairs: gives so many new pairs of each series asked for, fewer where the time is spent.
  public func decide(
    series: Int, pairs: ([(series: Int, count: Int)]) async throws -> [Int: [Double]]
  ) async rethrows -> [Decision] {
    var results = [Decision](repeating: Decision(), count: series)
    var open = Array(0..<series)
    if series > unscreened {
      let critical = SignTest.critical(of: screen, alpha: falseNegatives)
      let screened = try await pairs(open.map { ($0, screen) })
      for one in open { results[one].screened = screened[one] ?? [] }
      open = open.filter { one in
        let differences = results[one].screened
        guard let critical, differences.count == screen else { return true }
        let passes = differences.count { $0 < log1p(target) } >= critical
        if passes { results[one].verdict = .pass }
        // What seems much faster is worth confirming too.
        return !passes || differences.count { $0 < -log1p(margin) } >= critical
      }
    }
    let tests = Tests(self, sharing: open.count)
    for look in Self.looks where !open.isEmpty {
      let missing = open.map { (series: $0, count: look - results[$0].differences.count) }
      let fresh = try await pairs(missing)
      for one in open { results[one].differences += fresh[one] ?? [] }
      open = open.filter { one in
        let verdict = tests.verdict(results[one].differences)
        if verdict != .unresolved { results[one].verdict = verdict }
        return verdict == .unresolved && results[one].differences.count >= look
      }
    }
    return results
  }
}
