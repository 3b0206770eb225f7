import BenchModel
import BenchStatistics
import Testing

@Suite struct ProportionTests {
  /// Brown, Cai and DasGupta's tables have these.
  @Test(arguments: [
    (0, 10, 0, 0.2775), (8, 10, 0.4902, 0.9433), (10, 10, 0.7225, 1), (50, 100, 0.4038, 0.5962), (1, 1, 0.2065, 1),
  ])
  func `the interval is Wilson's`(successes: Int, count: Int, low: Double, high: Double) {
    let share = Proportion(successes, of: count)
    #expect(share.value == Double(successes) / Double(count))
    #expect(abs(share.low - low) < 1e-4 && abs(share.high - high) < 1e-4, "\(share)")
  }

  @Test(arguments: [0.5, 0.75, 0.95], [20, 100]) func `it covers the truth about as often as it says`(
    truth: Double, count: Int
  ) {
    var generator = SeededGenerator(seed: 7)
    var covered = 0
    for _ in 0..<4000 {
      let successes = (0..<count).count { _ in Double.random(in: 0..<1, using: &generator) < truth }
      let share = Proportion(successes, of: count)
      covered += share.low <= truth && truth <= share.high ? 1 : 0
    }
    // Counts are whole: at few trials it lies around 95 %, by exact sums between 92.4 and 97.8 here.
    #expect((0.915...0.985).contains(Double(covered) / 4000), "\(covered)")
  }

  @Test func `ranks, agreement and noise of outputs`() {
    var count = AccuracyCount()
    let reference: [Float] = [0, 3, 1, 2, -1, -2, -3]
    count.add(reference, reference: reference, label: 1)
    // Another first, the right one second.
    count.add([0, 2, 1, 3, -1, -2, -3], reference: reference, label: 1)
    // Equal ones count from the first: the label comes sixth.
    count.add([1, 1, 1, 1, 1, 1, 0], reference: reference, label: 5)
    count.add([.nan, 3, 1, 2, -1, -2, -3], reference: reference, label: 1)
    let row = count.row("x")
    #expect(row.top1?.successes == 1 && row.top5?.successes == 2 && row.agreement?.successes == 1)
    #expect(row.top1?.count == 4 && row.broken == 1)
    // Of three pictures: squares of 28 each, differences of 0, 2 and 1 + 4 + 0 + 1 + 4 + 9 + 9.
    #expect(abs(row.signalToNoise! - 4.4718) < 1e-3, "\(row)")

    var same = AccuracyCount()
    same.add(reference, reference: reference, label: nil)
    #expect(same.row("y").signalToNoise == nil && same.row("y").top1 == nil)
  }
}
