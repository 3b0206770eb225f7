import BenchModel
import BenchProtocol
import BenchStatistics
import Foundation

/// Tries the gate on versions whose difference is known, and says how often it was right.
public struct SelfTest: Sendable {
  public typealias Trial = SelfTestOutcome.Trial

  public enum Kind: String, CaseIterable, Sendable {
    case same, reordered, harmless, slower, muchSlower

    var name: String {
      switch self {
      case .same: "A/A"
      case .reordered: "A/A′: unused functions and another link order"
      case .harmless: "1 % slower in every row"
      case .slower: "3 % slower in one row"
      case .muchSlower: "5 % slower in one row"
      }
    }
  }

  /// Head against itself.
  public var session: SideBySide
  /// Head linked in another order, for the trial of that name.
  public var reordered: WorkerCommand?
  public var report: @Sendable (Trial) -> Void

  public init(_ session: SideBySide, reordered: WorkerCommand?, report: @escaping @Sendable (Trial) -> Void) {
    (self.session, self.reordered, self.report) = (session, reordered, report)
  }

  /// - Parameter gates: how many of each kind.
  public func run(_ kinds: [Kind], gates: Int) async throws -> SelfTestOutcome {
    let counted = await session.inspectAll()
    let timed = session.timed(counted)
    guard !timed.isEmpty else { throw UserError("no row can be timed: \(counted.head.first?.reason ?? "")") }
    var trials = kinds.map { Trial(name: $0.name) }
    var recorded = [[Double]](repeating: [], count: timed.count)
    for gate in 0..<gates {
      for (index, kind) in kinds.enumerated() where !Task.isCancelled {
        var session = session
        // One series for each row: what is known of them is their latency.
        session.metrics = [latencyMetric]
        var slowed: Int?
        switch kind {
        case .same: break
        case .reordered:
          guard let reordered else { throw UserError("there is no second link order to try") }
          session.head.workers.own = reordered
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
    return SelfTestOutcome(trials: trials, recorded: recorded)
  }

  private func note(_ comparison: Comparison, _ slowed: Int?, _ trial: inout Trial) {
    trial.gates += 1
    trial.seconds += comparison.elapsed ?? 0
    trial.pairs += comparison.times.reduce(0) { $0 + $1.pairs.count }
    trial.changes += comparison.times.map { $0.pairs.isEmpty ? nil : $0.paired.ratio.value - 1 }
    trial.verdicts += comparison.times.map(\.verdict)
    trial.sigmas += comparison.times.filter { !$0.pairs.isEmpty }.map(\.paired.sigma)
    if slowed != nil { trial.slowed += 1 }
    if let reason = comparison.invalid {
      trial.invalid += 1
      // The same reason with another number is the same reason.
      trial.invalidReasons[reason.replacing(#/[+-]?\d+(\.\d+)?/#, with: "…"), default: 0] += 1
      return
    }
    let verdicts = comparison.times.map(\.verdict)
    if verdicts.enumerated().contains(where: { $0 != slowed && $1 == .regression }) { trial.falsePositives += 1 }
    if verdicts.contains(.unresolved) { trial.unresolved += 1 }
    if let slowed {
      if verdicts[slowed] == .regression { trial.found += 1 }
      if verdicts[slowed] == .pass { trial.missed += 1 }
    }
  }

  /// The rule on recorded log ratios in the order in which they were taken, each gate on a block that begins one pair
  /// after the last one's.
  /// - Parameter shift: log ratio added to every row, or to one after the other with `inOne`.
  public static func replay(
    _ recorded: [[Double]], rule: TimeRule, shift: Double, inOne: Bool
  ) async -> (gates: Int, regressions: Int, unresolved: Int) {
    let longest = TimeRule.looks.last!
    let length = recorded.map(\.count).min() ?? 0
    var result = (gates: 0, regressions: 0, unresolved: 0)
    for start in 0..<max(0, length - longest + 1) {
      var taken = [Int](repeating: start, count: recorded.count)
      let slowed = start % recorded.count
      let decisions = await rule.decide(series: recorded.count) { requests in
        var fresh: [Int: [Double]] = [:]
        for (row, count) in requests {
          let change = !inOne || row == slowed ? shift : 0
          fresh[row] = recorded[row][taken[row]..<taken[row] + count].map { $0 + change }
          taken[row] += count
        }
        return fresh
      }
      result.gates += 1
      if decisions.contains(where: { $0.verdict == .regression }) { result.regressions += 1 }
      if decisions.contains(where: { $0.verdict == .unresolved }) { result.unresolved += 1 }
    }
    return result
  }
}
