import BenchProtocol
import BenchStatistics
import Foundation

/// What counting says about two versions: deterministic metrics with a direction, identities without one. No statistics.
public struct ExactComparison: Codable, Sendable {
  /// One deterministic metric or identity of one row that differs.
  public struct Difference: Codable, Sendable {
    public var model: String
    public var configuration: String
    public var metric: String
    public var base: String
    public var head: String
    public var verdict: Verdict
    /// The row's id.
    public var id = ""
  }

  public struct Unmatched: Codable, Sendable {
    public var model: String
    public var configuration: String
    /// "base" or "head": the only side that has it measured.
    public var side: String
    public var reason: String
    /// Whether the row fails in the other, rather than being unknown or unavailable there.
    public var hasFailed: Bool
  }

  /// A row that neither side could do.
  public struct Failure: Codable, Sendable {
    public var model: String
    public var configuration: String
    public var base: String
    public var head: String
  }

  /// Configurations inspected in both.
  public var count = 0
  /// Configurations inspected in neither, with both reasons.
  public var failed: [Failure] = []
  public var differences: [Difference] = []
  public var unmatched: [Unmatched] = []

  public init(base: [Row], head: [Row], catalog: Catalog) {
    let heads = Dictionary(head.map { ($0.id, $0) }) { first, _ in first }
    let bases = Dictionary(base.map { ($0.id, $0) }) { first, _ in first }
    for row in base where row.hasMetrics {
      if let other = heads[row.id], other.hasMetrics {
        compare(row, other, catalog)
      } else {
        leave(row, "base", heads[row.id])
      }
    }
    for row in base where !row.hasMetrics && row.status != .pending {
      guard let other = heads[row.id], !other.hasMetrics, other.status != .pending else { continue }
      failed.append(
        Failure(model: row.configuration.model, configuration: row.label, base: row.state, head: other.state))
    }
    for row in head where row.hasMetrics && bases[row.id]?.hasMetrics != true {
      leave(row, "head", bases[row.id])
    }
  }

  /// Configurations that base measured and head fails at.
  package var failures: [Unmatched] { unmatched.filter { $0.side == "base" && $0.hasFailed } }

  public func count(_ verdict: Verdict) -> Int { differences.count { $0.verdict == verdict } }

  private mutating func leave(_ row: Row, _ side: String, _ other: Row?) {
    unmatched.append(
      Unmatched(
        model: row.configuration.model, configuration: row.label, side: side,
        reason: other?.state ?? "no such configuration",
        hasFailed: other?.status == .failed))
  }

  private mutating func add(_ row: Row, _ metric: String, _ a: String, _ b: String, _ verdict: Verdict) {
    differences.append(
      Difference(
        model: row.configuration.model, configuration: row.label, metric: metric, base: a, head: b, verdict: verdict,
        id: row.id))
  }

  private mutating func compare(_ base: Row, _ head: Row, _ catalog: Catalog) {
    count += 1
    for metric in catalog.deterministicMetrics {
      let (a, b) = (metric.value(base), metric.value(head))
      guard a != b else { continue }
      if let a, let b, !metric.differs(a, b) { continue }
      // Zero is a value; none is not.
      let (left, right) = (a.map { metric.unit.exactText($0) }, b.map { metric.unit.exactText($0) })
      add(head, metric.name, left ?? "–", right ?? "–", Self.verdict(a, b, metric))
    }
    let (left, right) = (base.identities, head.identities)
    for name in Row.identityNames {
      if let a = left[name], let b = right[name], a != b { add(head, name, a, b, .changed) }
    }
  }

  static func verdict(_ base: Double?, _ head: Double?, _ metric: Metric) -> Verdict {
    guard let base, let head else { return .changed }
    return metric.isBetter(head, than: base) ? .improvement : .regression
  }
}

extension Row {
  /// Whether deterministic metrics were taken, be it that time was measured in another row of the same graph.
  public var hasMetrics: Bool { status == .measured || status == .same }

  /// The status, with its reason.
  var state: String { status.rawValue + (reason.map { ": " + $0 } ?? "") }

  static let identityNames = ["graph", "weights", "input", "output", "expected output", "kernels", "placement"]

  /// What the row is, as far as it is known: neither better nor worse.
  var identities: [String: String] {
    let kernels = prepared?.kernels?.sorted { $0.key < $1.key }.map { "\($0.value) × \($0.key)" }
    let pairs: [(String, String?)] = [
      ("graph", prepared?.graph), ("weights", prepared?.weights), ("input", prepared?.input),
      ("output", outputDigest), ("expected output", expectedDigest), ("kernels", kernels?.joined(separator: ", ")),
      ("placement", prepared?.placement?.text),
    ]
    return Dictionary(pairs.compactMap { name, value in value.map { (name, $0) } }) { first, _ in first }
  }
}
