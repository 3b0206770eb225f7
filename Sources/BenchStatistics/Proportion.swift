#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// How many of some independent trials succeeded, with Wilson's 95 % interval (1927): the usual one, of a normal share, covers nothing
/// where all succeed, and too little near there.
public struct Proportion: Codable, Sendable, Equatable {
  public let successes: Int
  public let count: Int
  public let value: Double
  public let low: Double
  public let high: Double

  /// - Precondition: there is a trial, and not more successes than trials.
  public init(_ successes: Int, of count: Int) {
    precondition(count > 0 && (0...count).contains(successes), "\(successes) of \(count) are no share")
    (self.successes, self.count) = (successes, count)
    let (n, z) = (Double(count), 1.959964)
    value = Double(successes) / n
    let middle = (value + z * z / (2 * n)) / (1 + z * z / n)
    let half = z / (1 + z * z / n) * (value * (1 - value) / n + z * z / (4 * n * n)).squareRoot()
    // At the ends it reaches them, whatever rounding makes of that.
    low = successes == 0 ? 0 : middle - half
    high = successes == count ? 1 : middle + half
  }
}
