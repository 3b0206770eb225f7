/// Seconds since it was made, by a clock that nobody sets: budgets and times of a run never follow the wall clock.
public struct Stopwatch: Sendable {
  private let start = monotonicNanoseconds()
  public init() {}
  public var elapsed: Double { Double(monotonicNanoseconds() - start) * 1e-9 }
}
