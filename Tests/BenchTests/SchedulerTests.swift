import Foundation
import PacerBench
import Testing

@testable import BenchRunner
@testable import BenchStatistics

/// The whole scheduler on noise that is known: what it stops at must be true as often as it says.
@Suite struct SchedulerTests {
  /// A row as the simulation knows it.
  private struct TrueRow {
    var ratio: Double
    /// Standard deviation of a pair's log ratio where nothing disturbs the machine.
    var sigma: Double
    /// Seconds of a pair.
    var seconds: Double
    var isHeadline: Bool
    var ratios: [Double] = []
    var estimate: Estimate? { ratios.isEmpty ? nil : Estimate(geometric: ratios) }
  }

  /// Calm that is broken by bursts, in which a pair's deviation is 25 %.
  private struct Machine {
    var hasBursts: Bool
    var isBurst = false
    var until = 0.0

    mutating func sigma(_ own: Double, at now: Double, _ generator: inout SeededGenerator) -> Double {
      guard hasBursts else { return own }
      while now >= until {
        isBurst.toggle()
        until += (isBurst ? 8 : 60) * -log(Double.random(in: 1e-9..<1, using: &generator))
      }
      return isBurst ? max(own, 0.25) : own
    }
  }

  private func run(
    _ plan: [TrueRow], budget: Double, hasBursts: Bool, seed: UInt64
  ) -> (rows: [TrueRow], elapsed: Double, fiveAt: Double?) {
    var (rows, now, fiveAt) = (plan, 0.0, Double?.none)
    var (noise, chance) = (SeededGenerator(seed: seed), SeededGenerator(seed: seed &+ 1))
    var machine = Machine(hasBursts: hasBursts, isBurst: true)
    let scheduler = Scheduler()
    func candidate(_ row: TrueRow) -> Scheduler.Candidate {
      Scheduler.Candidate(
        isHeadline: row.isHeadline, pairs: row.ratios.count, halfWidth: row.estimate?.relativeHalfWidth ?? .infinity,
        target: row.isHeadline ? 0.03 : 0.05, seconds: row.seconds, spent: row.seconds * Double(row.ratios.count))
    }
    while let next = scheduler.next(rows.map(candidate), left: budget - now, using: &chance) {
      now += rows[next].seconds
      let sigma = machine.sigma(rows[next].sigma, at: now, &noise)
      rows[next].ratios.append(rows[next].ratio * exp(sigma * noise.normal()))
      if fiveAt == nil, rows.allSatisfy({ !$0.isHeadline || $0.ratios.count >= 5 }) { fiveAt = now }
    }
    return (rows, now, fiveAt)
  }

  /// The rows of `default`: eight that the report concludes on, two of them slow, and fourteen others.
  private func plan(sigma: Double) -> [TrueRow] {
    (0..<22).map { index in
      TrueRow(
        ratio: 0.3 + 0.1 * Double(index), sigma: sigma * (index % 3 == 0 ? 1.5 : 1),
        seconds: [3, 7].contains(index) ? 2.5 : 0.6, isHeadline: index < 8)
    }
  }

  @Test(arguments: [0.02, 0.04, 0.08, 0.15, 0.25], [false, true])
  func `intervals at the stop cover the truth as often as they say`(sigma: Double, hasBursts: Bool) {
    var (covered, intervals) = (0, 0)
    for seed in 0..<400 {
      for row in run(plan(sigma: sigma), budget: 300, hasBursts: hasBursts, seed: UInt64(seed) * 31).rows {
        guard let estimate = row.estimate, estimate.hasInterval else { continue }
        intervals += 1
        covered += estimate.low <= row.ratio && row.ratio <= estimate.high ? 1 : 0
      }
    }
    let share = Double(covered) / Double(intervals)
    #expect(share >= 0.94, "\(share) of \(intervals)")
  }

  @Test func `a single row that stops when it may covers too`() {
    for sigma in [0.01, 0.03, 0.05, 0.08] {
      let row = TrueRow(ratio: 0.7, sigma: sigma, seconds: 1, isHeadline: true)
      let covered = (0..<4000).count { seed in
        let estimate = run([row], budget: 200, hasBursts: false, seed: UInt64(seed) * 17).rows[0].estimate!
        return estimate.low <= 0.7 && 0.7 <= estimate.high
      }
      #expect(Double(covered) / 4000 >= 0.94, "σ \(sigma): \(covered)")
    }
  }

  @Test func `nothing is done before five pairs, and what is wanted is reached first where the report concludes`() {
    for seed in 0..<50 {
      let (rows, elapsed, fiveAt) = run(plan(sigma: 0.02), budget: 300, hasBursts: false, seed: UInt64(seed))
      #expect(rows.allSatisfy { $0.ratios.count >= Estimate.runsForVerdict })
      #expect((fiveAt ?? .infinity) < 60 && elapsed <= 300)
      #expect(rows.allSatisfy { $0.estimate!.relativeHalfWidth <= ($0.isHeadline ? 0.03 : 0.05) })
    }
    let bare = Scheduler.Candidate(
      isHeadline: false, pairs: 4, halfWidth: 1e-6, target: 0.05, seconds: 1, spent: 4)
    #expect(!bare.isDone)
  }

  @Test func `a slow starter does not eat the others' budget, and works longer once it runs`() {
    var rows = plan(sigma: 0.03)
    rows[3].seconds = 60
    let (after, _, _) = run(rows, budget: 300, hasBursts: false, seed: 5)
    for (index, row) in after.enumerated() where index != 3 && row.isHeadline {
      #expect(row.ratios.count >= Estimate.runsForVerdict, "row \(index)")
    }
    #expect(after[3].ratios.count < 5)
    let scheduler = Scheduler()
    #expect(scheduler.timedSeconds(least: 0.1, overhead: 0.2) == 0.1)
    #expect(scheduler.timedSeconds(least: 0.1, overhead: 10) == 2)
    #expect(scheduler.timedSeconds(least: 0.1, overhead: 100) == 5)
  }

  @Test func `the next pair goes where it narrows most a second`() {
    var generator = SeededGenerator(seed: 1)
    func row(_ halfWidth: Double, target: Double = 0.03, pairs: Int = 5, seconds: Double = 1) -> Scheduler.Candidate {
      Scheduler.Candidate(
        isHeadline: true, pairs: pairs, halfWidth: halfWidth, target: target, seconds: seconds, spent: 1)
    }
    func next(_ rows: [Scheduler.Candidate], left: Double = 100) -> Int? {
      Scheduler().next(rows, left: left, using: &generator)
    }
    #expect(next([row(0.04), row(0.08), row(0.05)]) == 1)
    #expect(next([row(0.08, target: 0.05), row(0.06)]) == 1)
    #expect(next([row(0.08, pairs: 20), row(0.06)]) == 1)
    #expect(next([row(0.08, seconds: 3), row(0.06)]) == 1)
    #expect(next([row(0.02), row(0.03)]) == nil)
    #expect(next([row(0.08, seconds: 3)], left: 2) == nil)
  }
}
