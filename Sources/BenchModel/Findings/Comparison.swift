import BenchProtocol
import BenchStatistics
import Foundation

/// What two versions say about each other. Two stored results give deterministic metrics and the ratios taken within each run;
/// two programs measured side by side give deterministic metrics and times.
public struct Comparison: Encodable, Sendable {
  /// A row's ratio to its baseline in either run.
  public struct RatioPair: Codable, Sendable {
    public var model: String
    public var configuration: String
    public var baseline: String
    public var base: Estimate
    public var head: Estimate

    /// Head's ratio over base's.
    public var change: Double { head.value / base.value }
    /// Whether the two intervals have no value in common, and are of enough runs to say so.
    public var isResolved: Bool {
      min(base.count, head.count) >= Estimate.runsForVerdict && (base.high < head.low || head.high < base.low)
    }
  }

  /// One sampled metric of one configuration in both versions, measured in pairs.
  public struct Timing: Encodable, Sendable {
    public var series: PairSeries
    /// Name of the metric.
    public var metric: String
    public var decision: TimeRule.Decision
    /// Pairs a whole test would need at the noise that was seen, and the least change this one could find.
    public var pairsNeeded: Int?
    public var smallestDetectable: Double?
    package let paired: PairedMetric
    package let unit: Unit

    package init(_ series: PairSeries, _ metric: Metric, _ decision: TimeRule.Decision) {
      (self.series, self.metric, self.decision, unit) = (series, metric.name, decision, metric.unit)
      paired = PairedMetric(series, metric)
    }

    /// Pairs in which both versions have the metric.
    package var pairs: [Double] { paired.differences }

    /// A configuration whose worker failed has nothing to decide on.
    public var verdict: Verdict { series.failure != nil ? .failed : decision.verdict }

    private enum Key: String, CodingKey {
      case series, metric, decision, pairsNeeded, smallestDetectable, verdict, ratio
    }
    public func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: Key.self)
      try container.encode(series, forKey: .series)
      try container.encode(metric, forKey: .metric)
      try container.encode(decision, forKey: .decision)
      try container.encodeIfPresent(pairsNeeded, forKey: .pairsNeeded)
      try container.encodeIfPresent(smallestDetectable, forKey: .smallestDetectable)
      try container.encode(verdict, forKey: .verdict)
      if !pairs.isEmpty, pairs.allSatisfy(\.isFinite) { try container.encode(paired.ratio, forKey: .ratio) }
    }
  }

  /// The comparison as JSON has it: with what follows from its findings.
  public struct Summary: Encodable, Sendable {
    public var verdict: String
    public var comparison: Comparison
  }
  public var summary: Summary { Summary(verdict: verdict, comparison: self) }

  /// One node of a row in both versions; times are nanoseconds.
  public struct NodeDifference: Codable, Sendable {
    public var model: String
    public var configuration: String
    public var node: String
    public var op: String
    public var base: Double?
    public var head: Double?
    /// Ratio head / base with its interval; nil where only one version has the node.
    public var ratio: MedianInterval?
    public var baseKernel: String?
    public var headKernel: String?

    package init(
      model: String, configuration: String, node: String, op: String, baseKernel: String?, headKernel: String?
    ) {
      (self.model, self.configuration, self.node, self.op) = (model, configuration, node, op)
      (self.baseKernel, self.headKernel) = (baseKernel, headKernel)
    }
  }

  public var baseVersion: String
  public var headVersion: String
  /// Why some metrics may differ for reasons outside the versions.
  public var notes: [String] = []
  public var exact: ExactComparison
  public var ratios: [RatioPair] = []
  public var times: [Timing] = []
  public var nodes: [NodeDifference] = []
  /// Two equal pieces of work, measured like a row; nil where nothing was timed.
  public var control: Timing?
  /// Why times mean nothing here; nil where they do.
  public var invalid: String?
  public var environment: MachineDescription?
  /// Of all chance in it; nil where nothing was measured.
  public var seed: UInt64?
  /// Seconds it took.
  public var elapsed: Double?

  package init(baseVersion: String, headVersion: String, exact: ExactComparison) {
    (self.baseVersion, self.headVersion, self.exact) = (baseVersion, headVersion, exact)
  }

  /// Two stored results. Times of different sessions are not compared, not even on the same machine.
  public init(base: Record, head: Record, catalog: Catalog) {
    exact = ExactComparison(base: base.rows, head: head.rows, catalog: catalog)
    (baseVersion, headVersion) = (base.version, head.version)
    notes = Self.notes(base.environment, head.environment)
    let heads = Dictionary(head.rows.map { ($0.id, $0) }) { first, _ in first }
    for row in base.rows where row.hasMetrics {
      guard let other = heads[row.id], other.hasMetrics, let a = row.ratio, let b = other.ratio,
        let baseline = other.baseline, row.baseline == baseline
      else { continue }
      ratios.append(
        RatioPair(
          model: other.configuration.model, configuration: other.label, baseline: head.label(baseline), base: a, head: b
        ))
    }
  }

  private static func notes(_ base: MachineDescription, _ head: MachineDescription) -> [String] {
    var notes: [String] = []
    let why = "metrics that depend on them are no difference of the versions"
    if base.processor != head.processor || base.isa != head.isa {
      notes.append("different processors (\(base.processor), \(base.isa); \(head.processor), \(head.isa)); \(why)")
    }
    if base.compiler != head.compiler || base.libc != head.libc {
      let both = "\(base.compiler), \(base.libc); \(head.compiler), \(head.libc)"
      notes.append("different compilers or C libraries (\(both)); \(why)")
    }
    return notes
  }

  /// Whether no row is in both.
  public var isEmpty: Bool { exact.count == 0 && times.isEmpty }

  /// One sentence a person can repeat.
  public var verdict: String {
    guard !isEmpty else {
      guard let first = exact.failed.first else { return "Nothing to compare: no configuration is measured in both." }
      let more = exact.failed.count > 1 ? ", and \(exact.failed.count - 1) more" : ""
      let reasons = first.base == first.head ? "both \(first.base)" : "base \(first.base); head \(first.head)"
      return "Nothing to compare: \(first.model), \(first.configuration): \(reasons)\(more)."
    }
    if let invalid { return "INVALID: \(invalid)." }
    var parts: [String] = []
    if exact.count > 0 {
      parts.append(
        exact.differences.isEmpty
          ? "no deterministic metric differs"
          : "\(exact.count(.regression)) deterministic metrics are worse, \(exact.count(.improvement)) better, "
            + "\(exact.count(.changed)) changed")
    }
    if !ratios.isEmpty {
      let resolved = ratios.filter(\.isResolved)
      let slower = resolved.count { $0.change > 1 }
      parts.append(
        "of \(ratios.count) ratios within a run, \(slower) rose and \(resolved.count - slower) fell beyond both intervals"
      )
    }
    if !times.isEmpty {
      let words: [(Verdict, String)] = [
        (.regression, "worse"), (.improvement, "better"), (.pass, "not worse"), (.unresolved, "unresolved"),
        (.failed, "failed"),
      ]
      let counts = words.compactMap { verdict, word in
        let count = times.count { $0.verdict == verdict }
        return count > 0 ? "\(count) \(word)" : nil
      }
      let failure = times.first { $0.series.failure != nil }.map { ": \($0.series.label), \($0.series.failure!)" } ?? ""
      parts.append("of \(Format.number(times.count, "sampled metric")), \(counts.joined(separator: ", "))\(failure)")
    }
    let rows = exact.count > 0 ? "Of \(Format.number(exact.count, "configuration")) in both, " : ""
    let text = parts.joined(separator: "; ")
    return rows + (rows.isEmpty ? text.prefix(1).uppercased() + text.dropFirst() : text) + "."
  }
}
