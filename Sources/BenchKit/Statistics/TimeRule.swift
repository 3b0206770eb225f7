import Foundation

/// What a comparison of times concludes about one cell.
public enum TimeVerdict: String, Codable, Sendable {
  /// A slowdown as large as the target is excluded.
  case pass = "PASS"
  /// Slower by more than the margin.
  case regression = "REGRESSION"
  /// Faster by more than the margin.
  case improvement = "IMPROVEMENT"
  /// Neither shown.
  case unresolved = "UNRESOLVED"
}

/// How times decide. Each pair of a cell gives a log ratio; the rule asks for pairs until it knows, and its errors are
/// bounded whatever the noise looks like:
///
/// - a cell that is at most `margin` slower is called REGRESSION in at most `alarms` of all gates, over all cells;
/// - a cell that is `target` slower or more is called PASS with at most probability `misses`.
///
/// More cells than `unscreened` are screened first: those whose screen already excludes the target pass, and only the
/// others share `alarms`, on new pairs.
public struct TimeRule: Codable, Sendable, Equatable {
  public var margin = 0.01
  public var target = 0.03
  public var alarms = 0.01
  public var misses = 0.02
  public var screen = 16
  public var unscreened = 4

  /// Pairs at which a cell is looked at, with each look's share of the two error rates.
  static let looks = [12, 24, 36, 48, 64, 96, 128]
  static let alarmShares = [0.10, 0.20, 0.20, 0.20, 0.15, 0.10, 0.05]
  static let missShares = [0.25, 0.25, 0.20, 0.10, 0.10, 0.05, 0.05]

  public init() {}

  /// What became of one cell.
  public struct Decision: Codable, Sendable {
    public var verdict = TimeVerdict.unresolved
    /// Log ratios of the screen; they are not used again.
    public var screened: [Double] = []
    /// Log ratios the verdict rests on, unless the screen was enough.
    public var differences: [Double] = []
  }

  /// The tests of one cell, where so many share the alarms.
  struct Tests {
    let rule: TimeRule
    let alarm: SequentialSignTest
    let miss: SequentialSignTest

    init(_ rule: TimeRule, sharing cells: Int) {
      self.rule = rule
      alarm = SequentialSignTest(at: looks, shares: alarmShares, alpha: rule.alarms / Double(max(cells, 1)))
      miss = SequentialSignTest(at: looks, shares: missShares, alpha: rule.misses)
    }

    /// What these log ratios, in the order in which they were taken, show.
    func verdict(_ differences: [Double]) -> TimeVerdict {
      let margin = log1p(rule.margin)
      let events: [(TimeVerdict, Int?)] = [
        (.regression, alarm.rejection(differences.map { $0 > margin })),
        (.improvement, alarm.rejection(differences.map { $0 < -margin })),
        (.pass, miss.rejection(differences.map { $0 < log1p(rule.target) })),
      ]
      return events.filter { $0.1 != nil }.min { $0.1! < $1.1! }?.0 ?? .unresolved
    }
  }

  /// Asks for pairs until every cell is decided or there are no more.
  /// - Parameter pairs: gives so many new pairs of each cell asked for, fewer where the time is spent.
  public func decide(
    cells: Int, pairs: ([(cell: Int, count: Int)]) async throws -> [Int: [Double]]
  ) async rethrows -> [Decision] {
    var results = [Decision](repeating: Decision(), count: cells)
    var open = Array(0..<cells)
    if cells > unscreened {
      let critical = SignTest.critical(of: screen, alpha: misses)
      let screened = try await pairs(open.map { ($0, screen) })
      for cell in open { results[cell].screened = screened[cell] ?? [] }
      open = open.filter { cell in
        let differences = results[cell].screened
        guard let critical, differences.count == screen else { return true }
        let passes = differences.count { $0 < log1p(target) } >= critical
        if passes { results[cell].verdict = .pass }
        // What seems much faster is worth confirming too.
        return !passes || differences.count { $0 < -log1p(margin) } >= critical
      }
    }
    let tests = Tests(self, sharing: open.count)
    for look in Self.looks where !open.isEmpty {
      let missing = open.map { (cell: $0, count: look - results[$0].differences.count) }
      let fresh = try await pairs(missing)
      for cell in open { results[cell].differences += fresh[cell] ?? [] }
      open = open.filter { cell in
        let verdict = tests.verdict(results[cell].differences)
        if verdict != .unresolved { results[cell].verdict = verdict }
        return verdict == .unresolved && results[cell].differences.count >= look
      }
    }
    return results
  }
}
