import Foundation

/// What two stored results say about each other: exact figures, identities, and ratios taken within one run. Times of
/// different sessions are not compared, not even on the same machine.
public struct StoredComparison: Codable, Sendable {
  public enum Verdict: String, Codable, Sendable {
    case improvement = "IMPROVEMENT"
    case regression = "REGRESSION"
    /// Different, with no better or worse to it.
    case changed = "CHANGED"
  }

  /// One exact figure or identity of one cell that differs.
  public struct Difference: Codable, Sendable {
    public var model: String
    public var cell: String
    public var metric: String
    public var base: String
    public var head: String
    public var verdict: Verdict
  }

  /// A cell's ratio to its baseline in either run.
  public struct RatioPair: Codable, Sendable {
    public var model: String
    public var cell: String
    public var baseline: String
    public var base: Estimate
    public var head: Estimate

    /// Head's ratio over base's.
    public var change: Double { head.value / base.value }
    /// Whether the two intervals have no value in common.
    public var isResolved: Bool { base.high < head.low || head.high < base.low }
  }

  public struct Lonely: Codable, Sendable {
    public var model: String
    public var cell: String
    /// "base" or "head": the only file that has it measured.
    public var side: String
    public var reason: String
  }

  public var baseVersion: String
  public var headVersion: String
  /// Why some figures may differ for reasons outside the versions.
  public var notes: [String] = []
  /// Cells measured in both.
  public var cells = 0
  public var differences: [Difference] = []
  public var ratios: [RatioPair] = []
  public var lonely: [Lonely] = []

  public init(base: ResultFile, head: ResultFile, catalog: Catalog) {
    (baseVersion, headVersion) = (base.version, head.version)
    notes = Self.notes(base.environment, head.environment)
    let heads = Dictionary(head.cells.map { ($0.cell.id, $0) }) { first, _ in first }
    let bases = Dictionary(base.cells.map { ($0.cell.id, $0) }) { first, _ in first }
    for cell in base.cells where cell.hasFigures {
      if let other = heads[cell.cell.id], other.hasFigures {
        compare(cell, other, catalog)
      } else {
        leave(cell, "base", heads[cell.cell.id])
      }
    }
    for cell in head.cells where cell.hasFigures && bases[cell.cell.id]?.hasFigures != true {
      leave(cell, "head", bases[cell.cell.id])
    }
  }

  private static func notes(_ base: MachineDescription, _ head: MachineDescription) -> [String] {
    var notes: [String] = []
    if base.processor != head.processor || base.isa != head.isa {
      notes.append("different processors (\(base.processor), \(base.isa); \(head.processor), \(head.isa))")
    }
    if base.compiler != head.compiler || base.libc != head.libc {
      notes.append(
        "different compilers or C libraries (\(base.compiler), \(base.libc); \(head.compiler), \(head.libc))")
    }
    return notes
  }

  private mutating func leave(_ cell: CellResult, _ side: String, _ other: CellResult?) {
    let reason = other.map { "\($0.status.rawValue)\($0.reason.map { ": " + $0 } ?? "")" } ?? "no such cell"
    lonely.append(Lonely(model: cell.cell.model, cell: cell.label, side: side, reason: reason))
  }

  private mutating func compare(_ base: CellResult, _ head: CellResult, _ catalog: Catalog) {
    cells += 1
    func add(_ metric: String, _ a: String, _ b: String, _ verdict: Verdict) {
      differences.append(
        Difference(model: head.cell.model, cell: head.label, metric: metric, base: a, head: b, verdict: verdict))
    }
    for metric in catalog.metrics where metric.kind == .exact {
      let (a, b) = (metric.value(base), metric.value(head))
      guard a != b else { continue }
      // Zero is a figure; none is not.
      let (left, right) = (a.map { Format.exact($0, metric.unit) }, b.map { Format.exact($0, metric.unit) })
      let verdict: Verdict =
        if let a, let b { (b < a) == metric.lowerIsBetter ? .improvement : .regression } else { .changed }
      add(metric.name, left ?? "–", right ?? "–", verdict)
    }
    func identity(_ name: String, _ a: String?, _ b: String?) {
      if let a, let b, a != b { add(name, a, b, .changed) }
    }
    identity("graph", base.prepared?.graph, head.prepared?.graph)
    identity("weights", base.prepared?.weights, head.prepared?.weights)
    identity("input", base.prepared?.input, head.prepared?.input)
    identity("output", base.outputDigest, head.outputDigest)
    identity("expected output", base.expectedDigest, head.expectedDigest)
    identity("kernels", base.prepared.map(Self.kernels), head.prepared.map(Self.kernels))
    if let a = base.ratio, let b = head.ratio, let baseline = head.baseline, base.baseline == baseline {
      ratios.append(
        RatioPair(model: head.cell.model, cell: head.label, baseline: baseline, base: a, head: b))
    }
  }

  private static func kernels(_ prepared: WorkerLine.Prepared) -> String {
    prepared.kernels.sorted { $0.key < $1.key }.map { "\($0.value) × \($0.key)" }.joined(separator: ", ")
  }

  /// One sentence a person can repeat.
  public var verdict: String {
    guard cells > 0 else { return "Nothing to compare: no cell is measured in both." }
    func count(_ verdict: Verdict) -> Int { differences.count { $0.verdict == verdict } }
    let exact =
      differences.isEmpty
      ? "no exact figure differs"
      : "\(count(.regression)) exact figures are worse, \(count(.improvement)) better, \(count(.changed)) changed"
    let resolved = ratios.filter(\.isResolved)
    let slower = resolved.count { $0.change > 1 }
    return "Of \(cells) cells in both, \(exact); of \(ratios.count) ratios within a run, \(slower) rose and "
      + "\(resolved.count - slower) fell beyond both intervals."
  }
}

extension CellResult {
  /// Whether exact figures were taken, be it that time was measured in another cell of the same graph.
  fileprivate var hasFigures: Bool { status == .measured || status == .same }
}
