import Foundation
import PacerBench
import Testing

@testable import BenchModel
@testable import BenchReport
@testable import BenchRunner
@testable import BenchStatistics
@testable import BenchWorker

@Suite struct SignTestTests {
  private let shift = log(1.03 / 1.01)

  @Test func `pairs for 90 % power are those of the exact binomial table`() {
    let sigmas = [0.005, 0.01, 0.02, 0.03, 0.04]
    let table: [(alpha: Double, pairs: [Int])] = [
      (0.01, [7, 11, 27, 52, 89]), (0.0005, [11, 15, 42, 83, 142]), (0.01 / 64, [13, 17, 48, 96, 163]),
    ]
    for row in table {
      #expect(sigmas.map { SignTest.pairsNeeded(shift: shift, sigma: $0, alpha: row.alpha) } == row.pairs)
    }
    #expect(
      [0.01, 0.015, 0.02, 0.03].map { SignTest.pairsNeeded(shift: shift, sigma: $0, alpha: 0.0025) } == [
        13, 22, 33, 68,
      ])
  }

  @Test func `tails and critical counts`() {
    #expect(abs(SignTest.upperTail(9, of: 12) - 299 / 4096) < 1e-12)
    #expect(SignTest.critical(of: 16, alpha: 0.04) == 12 && SignTest.critical(of: 5, alpha: 0.01) == nil)
    #expect(abs(SignTest.p([1, 2, 3, -1]) - 0.625) < 1e-12 && SignTest.p([]) == 1)
  }

  @Test func `no false positive in 299 gates means less than one in a hundred`() {
    #expect(SignTest.interval(0, of: 299).high < 0.01 && SignTest.interval(0, of: 298).high > 0.00999)
    let (low, high) = SignTest.interval(36, of: 40)
    #expect(abs(low - 0.7634) < 1e-3 && abs(high - 0.9721) < 1e-3)
  }

  @Test func `the median's interval covers it as often as it says`() {
    var generator = SeededGenerator(seed: 1)
    let covered = (0..<4000).count { _ in
      let interval = MedianInterval((0..<25).map { _ in generator.normal() })
      return interval.low! <= 0 && 0 <= interval.high!
    }
    // Exact: 1 − 2 P(X ≥ 18 of 25) = 0.9567.
    #expect((3780...3880).contains(covered), "\(covered)")
    #expect(MedianInterval([1, 2, 3]).low == nil)
  }

  @Test func `looking several times keeps the error`() {
    let test = SequentialSignTest(at: [16, 32, 48, 64], shares: [0.1, 0.2, 0.3, 0.4], alpha: 0.01)
    var generator = SeededGenerator(seed: 2)
    let rejected = (0..<20_000).count { _ in
      test.rejection((0..<64).map { _ in Bool.random(using: &generator) }) != nil
    }
    // At most 0.01, and most of it used: five standard deviations below 200 are 130.
    #expect((130...270).contains(rejected), "\(rejected)")
  }
}

/// The rule that decides, on noise that is known.
@Suite struct TimeRuleTests {
  /// Gates of rows whose true ratios are given, each on fresh noise.
  private func simulate(
    gates: Int, ratios: [Double], sigma: Double, seed: UInt64, heavyTails: Bool = false
  ) async -> (falsePositives: Int, found: Int, passed: Int, pairs: Double) {
    var generator = SeededGenerator(seed: seed)
    var (falsePositives, found, passed, pairs) = (0, 0, 0, 0)
    for _ in 0..<gates {
      let results = await TimeRule().decide(series: ratios.count) { requests in
        var fresh: [Int: [Double]] = [:]
        for (series, count) in requests {
          pairs += count
          fresh[series] = (0..<count).map { _ in
            let wild = heavyTails && Double.random(in: 0..<1, using: &generator) < 0.1 ? 10.0 : 1
            return log(ratios[series]) + sigma * wild * generator.normal()
          }
        }
        return fresh
      }
      falsePositives += zip(results, ratios).contains { $0.verdict == .regression && $1 <= 1.01 } ? 1 : 0
      found += zip(results, ratios).contains { $0.verdict == .regression && $1 > 1.01 } ? 1 : 0
      passed += zip(results, ratios).contains { $0.verdict == .pass && $1 >= 1.03 } ? 1 : 0
    }
    return (falsePositives, found, passed, Double(pairs) / Double(gates))
  }

  @Test(arguments: [0.005, 0.01, 0.02, 0.03])
  func `equal versions and harmless ones raise fewer false positives than promised`(sigma: Double) async {
    for (ratio, rows) in [(1.0, 4), (1.01, 4), (1.01, 64)] {
      for heavyTails in [false, true] {
        let gates = rows == 4 ? 1000 : 100
        let result = await simulate(
          gates: gates, ratios: Array(repeating: ratio, count: rows), sigma: sigma, seed: 3, heavyTails: heavyTails)
        #expect(SignTest.interval(result.falsePositives, of: gates).low <= 0.01, "\(ratio) × \(rows): \(result)")
      }
    }
  }

  @Test(arguments: [(0.005, 0.99), (0.01, 0.99), (0.015, 0.99), (0.02, 0.98), (0.03, 0.96)])
  func `a slowdown of 3 % in one of four rows is found, and hardly ever passed`(sigma: Double, power: Double) async {
    let gates = 1000
    let result = await simulate(gates: gates, ratios: [1, 1.03, 1, 1], sigma: sigma, seed: 4)
    #expect(SignTest.interval(result.found, of: gates).high >= power, "\(result)")
    #expect(SignTest.interval(result.passed, of: gates).low <= 0.02, "\(result)")
  }

  @Test(arguments: [(0.01, 0.96), (0.02, 0.96), (0.03, 0.92)])
  func `one of sixty-four rows is found too`(sigma: Double, power: Double) async {
    let gates = 200
    let result = await simulate(
      gates: gates, ratios: [1.03] + Array(repeating: 1, count: 63), sigma: sigma, seed: 5)
    #expect(SignTest.interval(result.found, of: gates).high >= power, "\(result)")
  }

  @Test func `without pairs nothing is decided`() async {
    let results = await TimeRule().decide(series: 2) { _ in [:] }
    #expect(results.allSatisfy { $0.verdict == .unresolved })
    let screened = await TimeRule().decide(series: 8) { _ in [:] }
    #expect(screened.allSatisfy { $0.verdict == .unresolved })
  }
}
