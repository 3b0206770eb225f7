import Foundation

/// What two versions say about each other. Two stored results give exact figures and the ratios taken within each run;
/// two programs measured side by side give exact figures and times.
public struct Comparison: Encodable, Sendable {
  /// A cell's ratio to its baseline in either run.
  public struct RatioPair: Codable, Sendable {
    public var model: String
    public var cell: String
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

  /// The time of one cell in both versions, measured in pairs.
  public struct CellTime: Encodable, Sendable {
    public var series: PairSeries
    public var decision: TimeRule.Decision
    /// Whether a slowdown or a gain went away when both versions were linked in another order.
    public var isLayout = false
    /// Pairs a whole test would need at the noise that was seen, and the least change this one could find.
    public var pairsNeeded: Int?
    public var smallestDetectable: Double?

    /// A cell whose worker failed has no times to decide on.
    public var verdict: String { series.failure != nil ? "FAILED" : isLayout ? "LAYOUT" : decision.verdict.rawValue }

    private enum Key: String, CodingKey {
      case series, decision, isLayout, pairsNeeded, smallestDetectable, verdict, ratio
    }
    public func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: Key.self)
      try container.encode(series, forKey: .series)
      try container.encode(decision, forKey: .decision)
      try container.encode(isLayout, forKey: .isLayout)
      try container.encodeIfPresent(pairsNeeded, forKey: .pairsNeeded)
      try container.encodeIfPresent(smallestDetectable, forKey: .smallestDetectable)
      try container.encode(verdict, forKey: .verdict)
      if !series.pairs.isEmpty { try container.encode(series.ratio, forKey: .ratio) }
    }
  }

  /// The comparison as JSON has it: with what follows from its figures.
  public struct Figures: Encodable, Sendable {
    public var verdict: String
    public var comparison: Comparison
  }
  public var figures: Figures { Figures(verdict: verdict, comparison: self) }

  /// One node of a cell in both versions; times are nanoseconds.
  public struct NodeDifference: Codable, Sendable {
    public var model: String
    public var cell: String
    public var node: String
    public var op: String
    public var base: Double?
    public var head: Double?
    /// Ratio head / base with its interval; nil where only one version has the node.
    public var ratio: MedianInterval?
    public var baseKernel: String?
    public var headKernel: String?
  }

  public var baseVersion: String
  public var headVersion: String
  /// Why some figures may differ for reasons outside the versions.
  public var notes: [String] = []
  public var exact: ExactComparison
  public var ratios: [RatioPair] = []
  public var times: [CellTime] = []
  public var nodes: [NodeDifference] = []
  /// Two equal pieces of work, measured like a cell; nil where nothing was timed.
  public var control: CellTime?
  /// Why times mean nothing here; nil where they do.
  public var invalid: String?
  public var environment: MachineDescription?
  /// Seconds it took.
  public var elapsed: Double?

  init(baseVersion: String, headVersion: String, exact: ExactComparison) {
    (self.baseVersion, self.headVersion, self.exact) = (baseVersion, headVersion, exact)
  }

  /// Two stored results. Times of different sessions are not compared, not even on the same machine.
  public init(base: ResultFile, head: ResultFile, catalog: Catalog) {
    exact = ExactComparison(base: base.cells, head: head.cells, catalog: catalog)
    (baseVersion, headVersion) = (base.version, head.version)
    notes = Self.notes(base.environment, head.environment)
    let heads = Dictionary(head.cells.map { ($0.cell.id, $0) }) { first, _ in first }
    for cell in base.cells where cell.hasFigures {
      guard let other = heads[cell.cell.id], other.hasFigures, let a = cell.ratio, let b = other.ratio,
        let baseline = other.baseline, cell.baseline == baseline
      else { continue }
      ratios.append(
        RatioPair(model: other.cell.model, cell: other.label, baseline: head.label(baseline), base: a, head: b))
    }
  }

  private static func notes(_ base: MachineDescription, _ head: MachineDescription) -> [String] {
    var notes: [String] = []
    let why = "figures that depend on them are no difference of the versions"
    if base.processor != head.processor || base.isa != head.isa {
      notes.append("different processors (\(base.processor), \(base.isa); \(head.processor), \(head.isa)); \(why)")
    }
    if base.compiler != head.compiler || base.libc != head.libc {
      let both = "\(base.compiler), \(base.libc); \(head.compiler), \(head.libc)"
      notes.append("different compilers or C libraries (\(both)); \(why)")
    }
    return notes
  }

  /// Whether no cell is in both.
  public var isEmpty: Bool { exact.cells == 0 && times.isEmpty }

  /// One sentence a person can repeat.
  public var verdict: String {
    guard !isEmpty else {
      guard let first = exact.failed.first else { return "Nothing to compare: no cell is measured in both." }
      let more = exact.failed.count > 1 ? ", and \(exact.failed.count - 1) more" : ""
      let reasons = first.base == first.head ? "both \(first.base)" : "base \(first.base); head \(first.head)"
      return "Nothing to compare: \(first.model), \(first.cell): \(reasons)\(more)."
    }
    if let invalid { return "INVALID: \(invalid)." }
    var parts: [String] = []
    if exact.cells > 0 {
      parts.append(
        exact.differences.isEmpty
          ? "no exact figure differs"
          : "\(exact.count(.regression)) exact figures are worse, \(exact.count(.improvement)) better, "
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
      let words: [(String, String)] = [
        ("REGRESSION", "slower"), ("IMPROVEMENT", "faster"), ("PASS", "not slower"),
        ("LAYOUT", "different by the layout of the code only"), ("UNRESOLVED", "unresolved"),
        ("FAILED", "failed"),
      ]
      let counts = words.compactMap { verdict, word in
        let count = times.count { $0.verdict == verdict }
        return count > 0 ? "\(count) \(word)" : nil
      }
      let failure = times.first { $0.series.failure != nil }.map { ": \($0.series.label), \($0.series.failure!)" } ?? ""
      parts.append("of \(Format.number(times.count, "time")), \(counts.joined(separator: ", "))\(failure)")
    }
    let cells = exact.cells > 0 ? "Of \(Format.number(exact.cells, "configuration")) in both, " : ""
    let text = parts.joined(separator: "; ")
    return cells + (cells.isEmpty ? text.prefix(1).uppercased() + text.dropFirst() : text) + "."
  }
}
