import Foundation

/// What counting says about two versions: exact figures with a direction, identities without one. No statistics.
public struct ExactComparison: Codable, Sendable {
  public enum Verdict: String, Codable, Sendable {
    case improvement = "IMPROVEMENT"
    case regression = "REGRESSION"
    /// Different, with no better or worse to it.
    case changed = "CHANGED"
    case noData = "NO-DATA"
  }

  /// One exact figure or identity of one cell that differs.
  public struct Difference: Codable, Sendable {
    public var model: String
    public var cell: String
    public var metric: String
    public var base: String
    public var head: String
    public var verdict: Verdict
    /// The cell's id.
    public var id = ""
  }

  public struct Lonely: Codable, Sendable {
    public var model: String
    public var cell: String
    /// "base" or "head": the only side that has it measured.
    public var side: String
    public var reason: String
    /// Whether the cell fails in the other, rather than being unknown or unavailable there.
    public var hasFailed: Bool
  }

  /// A cell that neither side could do.
  public struct Failure: Codable, Sendable {
    public var model: String
    public var cell: String
    public var base: String
    public var head: String
  }

  /// Cells counted in both.
  public var cells = 0
  /// Cells counted in neither, with both reasons.
  public var failed: [Failure] = []
  public var differences: [Difference] = []
  public var lonely: [Lonely] = []

  public init(base: [CellResult], head: [CellResult], catalog: Catalog) {
    let heads = Dictionary(head.map { ($0.cell.id, $0) }) { first, _ in first }
    let bases = Dictionary(base.map { ($0.cell.id, $0) }) { first, _ in first }
    for cell in base where cell.hasFigures {
      if let other = heads[cell.cell.id], other.hasFigures {
        compare(cell, other, catalog)
      } else {
        leave(cell, "base", heads[cell.cell.id])
      }
    }
    for cell in base where !cell.hasFigures && cell.status != .pending {
      guard let other = heads[cell.cell.id], !other.hasFigures, other.status != .pending else { continue }
      failed.append(
        Failure(model: cell.cell.model, cell: cell.label, base: cell.state, head: other.state))
    }
    for cell in head where cell.hasFigures && bases[cell.cell.id]?.hasFigures != true {
      leave(cell, "head", bases[cell.cell.id])
    }
  }

  /// Cells that base measured and head fails at.
  var failures: [Lonely] { lonely.filter { $0.side == "base" && $0.hasFailed } }

  public func count(_ verdict: Verdict) -> Int { differences.count { $0.verdict == verdict } }

  private mutating func leave(_ cell: CellResult, _ side: String, _ other: CellResult?) {
    lonely.append(
      Lonely(
        model: cell.cell.model, cell: cell.label, side: side, reason: other?.state ?? "no such cell",
        hasFailed: other?.status == .failed))
  }

  private mutating func add(_ cell: CellResult, _ metric: String, _ a: String, _ b: String, _ verdict: Verdict) {
    differences.append(
      Difference(
        model: cell.cell.model, cell: cell.label, metric: metric, base: a, head: b, verdict: verdict,
        id: cell.cell.id))
  }

  private mutating func compare(_ base: CellResult, _ head: CellResult, _ catalog: Catalog) {
    cells += 1
    for metric in catalog.exactMetrics {
      let (a, b) = (metric.value(base), metric.value(head))
      guard a != b else { continue }
      if let a, let b, !metric.differs(a, b) { continue }
      // Zero is a figure; none is not.
      let (left, right) = (a.map { Format.exact($0, metric.unit) }, b.map { Format.exact($0, metric.unit) })
      add(head, metric.name, left ?? "–", right ?? "–", Self.verdict(a, b, metric))
    }
    let (left, right) = (base.identities, head.identities)
    for name in CellResult.identityNames {
      if let a = left[name], let b = right[name], a != b { add(head, name, a, b, .changed) }
    }
  }

  static func verdict(_ base: Double?, _ head: Double?, _ metric: Metric) -> Verdict {
    guard let base, let head else { return .changed }
    return (head < base) == metric.lowerIsBetter ? .improvement : .regression
  }
}

extension CellResult {
  /// Whether exact figures were taken, be it that time was measured in another cell of the same graph.
  public var hasFigures: Bool { status == .measured || status == .same }

  /// The status, with its reason.
  var state: String { status.rawValue + (reason.map { ": " + $0 } ?? "") }

  static let identityNames = ["graph", "weights", "input", "output", "expected output", "kernels"]

  /// What the cell is, as far as it is known: neither better nor worse.
  var identities: [String: String] {
    let kernels = prepared?.kernels.sorted { $0.key < $1.key }.map { "\($0.value) × \($0.key)" }
    let pairs: [(String, String?)] = [
      ("graph", prepared?.graph), ("weights", prepared?.weights), ("input", prepared?.input),
      ("output", outputDigest), ("expected output", expectedDigest), ("kernels", kernels?.joined(separator: ", ")),
    ]
    return Dictionary(pairs.compactMap { name, value in value.map { (name, $0) } }) { first, _ in first }
  }
}
