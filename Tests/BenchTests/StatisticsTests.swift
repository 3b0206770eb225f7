import PacerBench
import Testing

@testable import BenchModel
@testable import BenchReport
@testable import BenchRunner
@testable import BenchStatistics
@testable import BenchWorker

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

@Suite struct StatisticsTests {
  @Test(arguments: [2, 7, 8, 11])
  func `who goes first in a slice takes nothing from the ratio`(slices: Int) {
    // The process that goes second finds its data in the cache, 20 % faster: each in every second slice.
    let (cold, warm) = (1.2, 1.0)
    let base = (0..<slices).map { $0 % 2 == 0 ? warm : cold }
    let head = (0..<slices).map { 1.03 * ($0 % 2 == 0 ? cold : warm) }
    #expect(abs(interleavedLogRatio(base: base, head: head) - log(1.03)) < 1e-12)
    #expect(abs(interleavedLogRatio(base: head, head: base) + log(1.03)) < 1e-12)
  }

  @Test func `a burst over two slices takes nothing from the ratio either`() {
    var head = [Double](repeating: 1.03, count: 8)
    (head[2], head[3]) = (9, 9)
    #expect(abs(interleavedLogRatio(base: [Double](repeating: 1, count: 8), head: head) - log(1.03)) < 1e-12)
    #expect(interleavedLogRatio(base: [], head: []).isNaN)
    #expect(interleavedLogRatio(base: [2], head: [3]) == log(1.5))
  }

  @Test(arguments: [(1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (9, 2.262), (30, 2.042)])
  func `quantiles of Student's t are those of the tables`(degrees: Int, expected: Double) {
    #expect(abs(studentT(0.975, degrees) - expected) < 0.001)
  }

  @Test(arguments: [3, 5, 10], [0.01, 0.1])
  func `of a number of processes that was fixed before, the interval holds the truth by its quantile`(
    count: Int, sigma: Double
  ) {
    var generator = SeededGenerator(seed: UInt64(count) * 1000 + UInt64(sigma * 100))
    let trials = 4000
    var hits = 0
    for _ in 0..<trials {
      let estimate = Estimate(geometric: (0..<count).map { _ in 0.8 * exp(sigma * generator.normal()) })
      if estimate.low <= 0.8 && 0.8 <= estimate.high { hits += 1 }
    }
    // Where processes end when it is narrow enough, it holds it in 95 %: see the simulation of the scheduler.
    let level = 2 * Estimate.quantile - 1
    // Four standard deviations of a binomial.
    let bound = 4 * (level * (1 - level) / Double(trials)).squareRoot()
    #expect(abs(Double(hits) / Double(trials) - level) < bound)
  }

  @Test func `a single process has no interval`() {
    #expect(!Estimate(geometric: [3]).relativeHalfWidth.isFinite)
    #expect(Format.spread(Estimate(geometric: [3])) == "?")
  }

  @Test func `outputs without elements agree, and of several the worst counts`() {
    #expect(Accuracy([], reference: [])?.relative == 0 && Accuracy([], reference: [1]) == nil)
    let outputs = [Accuracy([1, 2], reference: [1, 2]), Accuracy([1, 3], reference: [1, 2])]
    #expect(Accuracy(worstOf: outputs)?.relative == 0.5 && Accuracy(worstOf: outputs + [nil]) == nil)
    #expect(Accuracy(worstOf: []) == nil)
  }

  @Test func `the median of few values`() {
    #expect(median([3, 1, 2]) == 2 && median([4, 1, 2, 3]) == 2.5 && median([]).isNaN)
  }

  @Test func `warm-up ends when two windows agree and not before`() {
    #expect(!Sampler.isSteady([100, 100, 100, 100, 100, 100, 100, 100, 100]))
    #expect(Sampler.isSteady([200, 100, 100, 100, 100, 100, 101, 101, 101, 101]))
    #expect(!Sampler.isSteady([100, 100, 100, 100, 100, 90, 90, 90, 90, 90]))
  }
}

@Suite struct AccuracyTests {
  @Test func `differences are measured against the largest reference value`() throws {
    let accuracy = try #require(Accuracy([1, 2, 3, 4, 5.5], reference: [1, 2, 3, 4, 5]))
    #expect(accuracy.absolute == 0.5 && accuracy.relative == 0.1 && accuracy.top1 && accuracy.top5 == 5)
  }
  @Test func `NaN and a wrong length are no accuracy at all`() {
    #expect(Accuracy([.nan], reference: [1]) == nil)
    #expect(Accuracy([1, 2], reference: [1]) == nil)
  }
}
