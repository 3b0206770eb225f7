/// What was concluded about one thing that was compared: the one list of verdicts, whoever concludes.
public enum Verdict: String, Codable, Sendable, CaseIterable {
  /// Not worse: for a sampled metric, a change as large as the target is excluded.
  case pass = "PASS"
  /// Worse: for a sampled metric, by more than the margin.
  case regression = "REGRESSION"
  /// Better: for a sampled metric, by more than the margin.
  case improvement = "IMPROVEMENT"
  /// Neither shown.
  case unresolved = "UNRESOLVED"
  /// Different, with no better or worse to it.
  case changed = "CHANGED"
  case noData = "NO-DATA"
  /// Nothing that was measured counts: an output is wrong, or the control moved.
  case invalid = "INVALID"
  /// A worker failed.
  case failed = "FAILED"
}
