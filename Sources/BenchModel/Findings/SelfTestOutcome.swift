import BenchStatistics

/// How often a gate was right on versions whose difference is known.
public struct SelfTestOutcome: Codable, Sendable {
  public struct Trial: Codable, Sendable {
    public var name: String
    public var gates = 0
    /// Gates in which a row that is not slower beyond the margin was called a regression.
    public var falsePositives = 0
    /// Gates with a slowed row in which it was called a regression, and in which it passed.
    public var slowed = 0
    public var found = 0
    public var missed = 0
    public var unresolved = 0
    public var invalid = 0
    /// Why gates were invalid, and how many for each reason.
    public var invalidReasons: [String: Int] = [:]
    /// The change seen in every row of every gate, in the order of the suite; nil where nothing was measured.
    public var changes: [Double?] = []
    public var verdicts: [Verdict] = []
    public var pairs = 0
    public var seconds = 0.0
    /// Standard deviation of a pair's log ratio, one per gate and row.
    public var sigmas: [Double] = []

    package init(name: String) { self.name = name }
  }

  public var trials: [Trial]
  /// Log ratios of A/A, row by row in the order taken.
  public var recorded: [[Double]]

  package init(trials: [Trial], recorded: [[Double]]) { (self.trials, self.recorded) = (trials, recorded) }
}
