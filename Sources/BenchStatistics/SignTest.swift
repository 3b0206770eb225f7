import Foundation

/// The sign test: of so many independent pairs, how many went one way. It is exact, needs no seed, and assumes nothing
/// of the noise but that pairs are independent.
public enum SignTest {
  /// P(X ≥ k) for X of `n` trials with probability `p`.
  public static func upperTail(_ k: Int, of n: Int, p: Double = 0.5) -> Double {
    guard k > 0 else { return 1 }
    guard k <= n, p > 0 else { return 0 }
    guard p < 1 else { return 1 }
    return min(1, (k...n).reduce(0) { $0 + probability($1, of: n, p: p) })
  }

  /// P(X = k).
  static func probability(_ k: Int, of n: Int, p: Double) -> Double {
    let (all, some, others) = (Double(n), Double(k), Double(n - k))
    let ways: Double = lgamma(all + 1) - lgamma(some + 1) - lgamma(others + 1)
    return exp(ways + some * log(p) + others * log1p(-p))
  }

  /// The least count of `n` that a fair coin reaches with at most probability `alpha`; nil if even all `n` are too likely.
  public static func critical(of n: Int, alpha: Double) -> Int? {
    var tail = 0.0
    var least: Int?
    for k in stride(from: n, through: 0, by: -1) {
      tail += probability(k, of: n, p: 0.5)
      guard tail <= alpha else { break }
      least = k
    }
    return least
  }

  /// Two-sided p value of the hypothesis that the median difference is zero.
  public static func p(_ differences: [Double]) -> Double {
    let (above, below) = (differences.count { $0 > 0 }, differences.count { $0 < 0 })
    return min(1, 2 * upperTail(max(above, below), of: above + below))
  }

  /// The fewest pairs that find a shift with the given power, for normal noise.
  /// - Parameters:
  ///   - shift: how far the true log ratio is beyond the margin.
  ///   - sigma: standard deviation of a pair's log ratio.
  /// - Returns: nil where a thousand pairs would not do.
  public static func pairsNeeded(shift: Double, sigma: Double, alpha: Double, power: Double = 0.9) -> Int? {
    let p = normalCumulative(shift / sigma)
    return (1...1000).first { n in critical(of: n, alpha: alpha).map { upperTail($0, of: n, p: p) >= power } ?? false }
  }

  /// The least ratio that so many pairs find with 90 % power, in steps of 0.1 %; nil above a doubling.
  public static func smallestDetectable(pairs: Int, sigma: Double, margin: Double, alpha: Double) -> Double? {
    guard let critical = critical(of: pairs, alpha: alpha) else { return nil }
    return (1...1000).lazy.map { 1 + Double($0) / 1000 }.first { ratio in
      upperTail(critical, of: pairs, p: normalCumulative(log(ratio / (1 + margin)) / sigma)) >= 0.9
    }
  }

  static func normalCumulative(_ x: Double) -> Double { 0.5 * erfc(-x / 2.0.squareRoot()) }

  /// The exact (Clopper–Pearson) 95 % interval of a rate seen `count` times in `n`.
  public static func interval(_ count: Int, of n: Int) -> (low: Double, high: Double) {
    func solve(_ isBelow: (Double) -> Bool) -> Double {
      var (low, high) = (0.0, 1.0)
      for _ in 0..<60 {
        let middle = (low + high) / 2
        if isBelow(middle) { low = middle } else { high = middle }
      }
      return (low + high) / 2
    }
    // Where one end is certain, all of the 5 % lies at the other: none in 299 means under 1 %.
    let tail = count == 0 || count == n ? 0.05 : 0.025
    return (
      count == 0 ? 0 : solve { upperTail(count, of: n, p: $0) < tail },
      count == n ? 1 : solve { 1 - upperTail(count + 1, of: n, p: $0) > tail }
    )
  }
}

/// A sign test that may be looked at several times: the chance of ever rejecting a true hypothesis stays within `alpha`.
/// Its bounds come from the exact distribution of the paths that no earlier look has ended.
public struct SequentialSignTest: Sendable {
  public struct Look: Sendable, Equatable {
    public var pairs: Int
    /// Rejects when at least so many pairs of the first `pairs` went the way in question; nil if this look cannot reject.
    public var critical: Int?
  }
  public let looks: [Look]

  /// - Parameter shares: of `alpha`, for each look; what one look leaves over goes to the next.
  public init(at pairs: [Int], shares: [Double], alpha: Double) {
    var alive: [Double] = [1]
    var (taken, allowed, spent) = (0, 0.0, 0.0)
    var looks: [Look] = []
    for (count, share) in zip(pairs, shares) {
      var next = [Double](repeating: 0, count: count + 1)
      let steps = (0...(count - taken)).map { SignTest.probability($0, of: count - taken, p: 0.5) }
      for (successes, weight) in alive.enumerated() where weight > 0 {
        for (more, probability) in steps.enumerated() { next[successes + more] += weight * probability }
      }
      (taken, alive) = (count, next)
      allowed += share * alpha
      var critical: Int?
      for k in stride(from: count, through: 0, by: -1) {
        guard spent + alive[k] <= allowed else { break }
        spent += alive[k]
        alive[k] = 0
        critical = k
      }
      looks.append(Look(pairs: count, critical: critical))
    }
    self.looks = looks
  }

  /// Number of pairs at the first look that rejects; nil if none of those reached does.
  package func rejection(_ goes: [Bool]) -> Int? {
    for look in looks where look.pairs <= goes.count {
      if let critical = look.critical, goes.prefix(look.pairs).count(where: { $0 }) >= critical { return look.pairs }
    }
    return nil
  }
}

/// The median and its exact 95 % interval from the order of the values: what the sign test does not reject.
public struct MedianInterval: Codable, Sendable, Equatable {
  public var value: Double
  /// nil where there are too few values for an interval.
  public var low: Double?
  public var high: Double?
  public var count: Int

  package init(value: Double, low: Double?, high: Double?, count: Int) {
    (self.value, self.low, self.high, self.count) = (value, low, high, count)
  }

  public init(_ values: [Double]) {
    let sorted = values.sorted()
    (value, count) = (median(values), values.count)
    guard let critical = SignTest.critical(of: count, alpha: 0.025) else { return }
    (low, high) = (sorted[count - critical], sorted[critical - 1])
  }
}
