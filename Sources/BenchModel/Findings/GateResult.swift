import BenchStatistics
import Foundation

/// What a gate found, and how it ends.
public struct GateResult: Encodable, Sendable {
  /// How strictly the findings are judged.
  public struct Policy: Codable, Sendable {
    /// Changed identities and unresolved times fail too.
    public var isStrict = false
    /// An improvement ends with a status of its own.
    public var reportsImprovement = false
    public init(isStrict: Bool = false, reportsImprovement: Bool = false) {
      (self.isStrict, self.reportsImprovement) = (isStrict, reportsImprovement)
    }
  }

  public var version: String
  public var policy: Policy
  /// A row that was counted.
  public struct Counted: Encodable, Sendable {
    public var id: String
    public var model: String
    public var configuration: String
    public init(_ result: Row) { (id, model, configuration) = (result.id, result.configuration.model, result.label) }
  }

  public var rows: [Counted] = []
  /// How many were inspected, and what differs from the committed baseline.
  public var counted: Int { rows.count }
  public var differences: [ExactComparison.Difference] = []
  /// A row whose output is wrong.
  public var wrong: String?
  /// Side by side with another version; nil where nothing was timed.
  public var comparison: Comparison?
  /// Why nothing was timed though it should have been.
  public var timingProblem: String?
  /// Why there was nothing to time.
  public var note: String?
  /// Whether the baseline was changed to hold what was found.
  public var isAccepted = false
  /// Seconds it took.
  public var elapsed = 0.0

  public init(version: String, policy: Policy) { (self.version, self.policy) = (version, policy) }

  func count(_ verdict: Verdict) -> Int { differences.count { $0.verdict == verdict } }

  private func times(_ verdict: Verdict) -> Int { comparison?.times.count { $0.verdict == verdict } ?? 0 }

  public var verdict: Verdict {
    if wrong != nil { return .invalid }
    let exactRegressions = isAccepted ? 0 : count(.regression) + (comparison?.exact.count(.regression) ?? 0)
    if exactRegressions > 0 { return .regression }
    if comparison?.exact.failures.isEmpty == false { return .regression }
    if comparison?.invalid != nil || times(.failed) > 0 { return .invalid }
    if times(.regression) > 0 { return .regression }
    if policy.isStrict && !isAccepted && count(.changed) + (comparison?.exact.count(.changed) ?? 0) > 0 {
      return .regression
    }
    if timingProblem != nil { return .noData }
    // A row that is held against nothing is not gated.
    if !isAccepted && differences.contains(where: { $0.metric == Baseline.allMetrics }) { return .noData }
    let known = counted - Set(differences.filter { $0.verdict == .noData }.map(\.id)).count
    if !isAccepted && known <= 0 && comparison.map({ $0.times.allSatisfy { $0.pairs.isEmpty } }) != false {
      return .noData
    }
    if times(.unresolved) > 0 { return .unresolved }
    if policy.reportsImprovement && count(.improvement) + times(.improvement) > 0 { return .improvement }
    return .pass
  }

  /// 0 pass (unresolved times pass with a warning), 2 regression, 3 invalid, 4 improvement where asked for, 5 no data,
  /// 6 unresolved where that is strict.
  public var exitStatus: Int32 {
    switch verdict {
    case .pass: 0
    case .regression: 2
    case .invalid: 3
    case .improvement: 4
    case .noData: 5
    case .unresolved: policy.isStrict ? 6 : 0
    // A gate concludes none of these.
    case .changed, .failed: 1
    }
  }

  /// One sentence a person can repeat.
  public var sentence: String {
    var parts: [String] = []
    if let wrong { parts.append(wrong) }
    if counted > 0 {
      let counts: [(Verdict, String)] = [
        (.regression, "worse"), (.improvement, "better"), (.changed, "changed"), (.noData, "without data"),
      ]
      let words = counts.compactMap { verdict, word in count(verdict) > 0 ? "\(count(verdict)) \(word)" : nil }
      let found =
        words.isEmpty
        ? "all deterministic metrics match the baseline" : "deterministic metrics " + words.joined(separator: ", ")
      parts.append(
        "\(Format.number(counted, "configuration")) counted: \(found)"
          + (isAccepted && !words.isEmpty ? " (accepted)" : ""))
      let missing = isAccepted ? 0 : differences.count { $0.metric == Baseline.allMetrics }
      if missing > 0 {
        parts.append("\(missing) of them not in the baseline: `bench-suite gate --accept` puts what is right there")
      }
    }
    if let comparison { parts.append("against \(comparison.baseVersion): " + comparison.verdict) }
    if let problem = timingProblem ?? note { parts.append("no times: \(problem)") }
    return "\(verdict.rawValue): " + parts.joined(separator: "; ")
  }

  /// The gate as JSON has it: with what follows from its findings.
  public struct Summary: Encodable, Sendable {
    public var verdict: Verdict
    public var exitStatus: Int32
    public var sentence: String
    public var gate: GateResult
  }
  public var summary: Summary {
    Summary(verdict: verdict, exitStatus: exitStatus, sentence: sentence, gate: self)
  }
}
