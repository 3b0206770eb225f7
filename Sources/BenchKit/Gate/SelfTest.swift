import Foundation

/// Tries the gate on versions whose difference is known, and says how often it was right.
public struct SelfTest: Sendable {
  public struct Trial: Codable, Sendable {
    public var name: String
    public var gates = 0
    /// Gates in which a cell that is not slower beyond the margin was called a regression.
    public var alarms = 0
    /// Gates with a slowed cell in which it was called a regression, and in which it passed.
    public var slowed = 0
    public var found = 0
    public var missed = 0
    public var unresolved = 0
    public var invalid = 0
    public var layout = 0
    /// Why gates were invalid, and how many for each reason.
    public var invalidReasons: [String: Int] = [:]
    /// The change seen in every cell of every gate, in the order of the suite; nil where nothing was measured.
    public var changes: [Double?] = []
    public var verdicts: [String] = []
    public var pairs = 0
    public var seconds = 0.0
    /// Standard deviation of a pair's log ratio, one per gate and cell.
    public var sigmas: [Double] = []
  }

  public struct Outcome: Codable, Sendable {
    public var trials: [Trial]
    /// Log ratios of A/A, cell by cell in the order taken.
    public var recorded: [[Double]]
  }

  public enum Kind: String, CaseIterable, Sendable {
    case same, reordered, harmless, slower, muchSlower

    var name: String {
      switch self {
      case .same: "A/A"
      case .reordered: "A/A′: unused functions and another link order"
      case .harmless: "1 % slower in every cell"
      case .slower: "3 % slower in one cell"
      case .muchSlower: "5 % slower in one cell"
      }
    }
  }

  /// Head against itself; `reordered` is needed for the trial of the same name.
  public var session: VersionSession
  public var report: @Sendable (Trial) -> Void

  public init(_ session: VersionSession, report: @escaping @Sendable (Trial) -> Void) {
    (self.session, self.report) = (session, report)
  }

  /// - Parameter gates: how many of each kind.
  public func run(_ kinds: [Kind], gates: Int) async throws -> Outcome {
    let counted = await session.countAll()
    let timed = session.timed(counted)
    guard !timed.isEmpty else { throw UserError("no cell can be timed: \(counted.head.first?.reason ?? "")") }
    var trials = kinds.map { Trial(name: $0.name) }
    var recorded = [[Double]](repeating: [], count: timed.count)
    for gate in 0..<gates {
      for (index, kind) in kinds.enumerated() where !Task.isCancelled {
        var session = session
        var slowed: Int?
        switch kind {
        case .same: break
        case .reordered:
          guard let other = session.head.reordered else { throw UserError("there is no second link order to try") }
          session.head.workers.own = other
          // The other order for both, so that a second look changes both again.
          (session.base.reordered, session.head.reordered) = (other, session.base.workers.own)
        case .harmless: session.slowdown = Dictionary(uniqueKeysWithValues: timed.map { ($0, 0.01) })
        case .slower, .muchSlower:
          slowed = gate % timed.count
          session.slowdown = [timed[slowed!]: kind == .slower ? 0.03 : 0.05]
        }
        let comparison = await session.compareTimes(counted)
        if Task.isCancelled { break }
        note(comparison, slowed, &trials[index])
        if kind == .same {
          for (place, time) in comparison.times.enumerated() { recorded[place] += time.series.differences }
        }
        report(trials[index])
      }
    }
    return Outcome(trials: trials, recorded: recorded)
  }

  private func note(_ comparison: Comparison, _ slowed: Int?, _ trial: inout Trial) {
    trial.gates += 1
    trial.seconds += comparison.elapsed ?? 0
    trial.pairs += comparison.times.reduce(0) { $0 + $1.series.pairs.count }
    trial.changes += comparison.times.map { $0.series.pairs.isEmpty ? nil : $0.series.ratio.value - 1 }
    trial.verdicts += comparison.times.map(\.verdict)
    trial.sigmas += comparison.times.filter { !$0.series.pairs.isEmpty }.map(\.series.sigma)
    trial.layout += comparison.times.contains(where: \.isLayout) ? 1 : 0
    if slowed != nil { trial.slowed += 1 }
    if let reason = comparison.invalid {
      trial.invalid += 1
      // The same reason with another figure is the same reason.
      trial.invalidReasons[reason.replacing(#/[+-]?\d+(\.\d+)?/#, with: "…"), default: 0] += 1
      return
    }
    let verdicts = comparison.times.map(\.verdict)
    if verdicts.enumerated().contains(where: { $0 != slowed && $1 == "REGRESSION" }) { trial.alarms += 1 }
    if verdicts.contains("UNRESOLVED") { trial.unresolved += 1 }
    if let slowed {
      if verdicts[slowed] == "REGRESSION" { trial.found += 1 }
      if verdicts[slowed] == "PASS" { trial.missed += 1 }
    }
  }

  /// The rule on recorded log ratios in the order in which they were taken, each gate on a block that begins one pair
  /// after the last one's.
  /// - Parameter shift: log ratio added to every cell, or to one after the other with `inOne`.
  public static func replay(
    _ recorded: [[Double]], rule: TimeRule, shift: Double, inOne: Bool
  ) async -> (gates: Int, regressions: Int, unresolved: Int) {
    let longest = TimeRule.looks.last!
    let length = recorded.map(\.count).min() ?? 0
    var result = (gates: 0, regressions: 0, unresolved: 0)
    for start in 0..<max(0, length - longest + 1) {
      var taken = [Int](repeating: start, count: recorded.count)
      let slowed = start % recorded.count
      let decisions = await rule.decide(cells: recorded.count) { requests in
        var fresh: [Int: [Double]] = [:]
        for (cell, count) in requests {
          let change = !inOne || cell == slowed ? shift : 0
          fresh[cell] = recorded[cell][taken[cell]..<taken[cell] + count].map { $0 + change }
          taken[cell] += count
        }
        return fresh
      }
      result.gates += 1
      if decisions.contains(where: { $0.verdict == .regression }) { result.regressions += 1 }
      if decisions.contains(where: { $0.verdict == .unresolved }) { result.unresolved += 1 }
    }
    return result
  }

  public static func markdown(_ trials: [Trial]) -> String {
    func rate(_ count: Int, _ all: Int) -> String {
      guard all > 0 else { return "–" }
      let (low, high) = SignTest.interval(count, of: all)
      return String(format: "%d/%d (%.0f–%.0f%%)", count, all, low * 100, high * 100)
    }
    return Table(
      ["head", "alarms", "found", "passed", "unresolved", "invalid", "layout", "σ of a pair", "pairs", "s a gate"],
      left: 1,
      trials.map { trial in
        let each = Double(max(trial.gates, 1))
        return [
          trial.name, rate(trial.alarms, trial.gates), rate(trial.found, trial.slowed),
          rate(trial.missed, trial.slowed),
          "\(trial.unresolved)", "\(trial.invalid)", "\(trial.layout)",
          String(format: "%.1f%%", median(trial.sigmas) * 100), String(format: "%.0f", Double(trial.pairs) / each),
          String(format: "%.0f", trial.seconds / each),
        ]
      }
    ).markdown
  }
}
