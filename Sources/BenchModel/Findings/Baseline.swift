import BenchProtocol
import BenchStatistics
import Foundation

/// The deterministic metrics that the repository promises: `Suites/baselines/<suite>.json`. No times: those do not travel.
public struct Baseline: Codable, Sendable, Equatable {
  public static let schema = "pacer-baseline-2"
  /// What a row without any baseline is listed under.
  package static let allMetrics = "all metrics"

  public struct Entry: Codable, Sendable, Equatable {
    /// Metrics that every compiler and C library must give.
    public var metrics: [String: Double] = [:]
    public var identities: [String: String] = [:]
    /// Metrics by compiler and C library.
    public var toolchains: [String: [String: Double]] = [:]
  }

  public var schema = Baseline.schema
  /// By the row's id.
  public var rows: [String: Entry] = [:]

  public init() {}

  public static func read(_ url: URL) throws -> Baseline? {
    guard FileManager.default.fileExists(atPath: url.path) else { return nil }
    do {
      let baseline = try CheckedJSON.decode(Baseline.self, from: Data(contentsOf: url))
      guard baseline.schema == schema else {
        throw UserError("schema \(baseline.schema), this version reads \(schema)")
      }
      return baseline
    } catch {
      throw UserError("\(url.path) is no baseline: \(reason(error)); `gate --accept` writes a new one once it is gone")
    }
  }

  public func write(to url: URL) throws { try writeFile(data, to: url) }

  package var data: Data { get throws { try JSONEncoder.readable.encode(self) + Data("\n".utf8) } }

  /// What differs from the promise.
  /// - Parameter toolchain: compiler and C library, as ``MachineDescription/toolchain`` has them.
  public func differences(
    to results: [Row], toolchain: String, metrics: [Metric]
  ) -> [ExactComparison.Difference] {
    var list: [ExactComparison.Difference] = []
    for result in results {
      func add(_ metric: String, _ base: String, _ head: String, _ verdict: Verdict) {
        list.append(
          .init(
            model: result.configuration.model, configuration: result.label, metric: metric, base: base, head: head,
            verdict: verdict,
            id: result.id))
      }
      guard let entry = rows[result.id] else {
        add(Self.allMetrics, "not in the baseline", result.state, .noData)
        continue
      }
      guard result.hasMetrics else {
        // A row that this machine cannot run is no fault of the version; one that fails is.
        add("status", "measured", result.state, result.status == .unavailable ? .noData : .regression)
        continue
      }
      for metric in metrics {
        let head = metric.value(result)
        let base = (metric.dependsOnToolchain ? entry.toolchains[toolchain] : entry.metrics)?[metric.name]
        if base == nil && head == nil { continue }
        if let base, let head, !metric.differs(base, head) { continue }
        let isUnknown = metric.dependsOnToolchain && entry.toolchains[toolchain] == nil
        let missing = isUnknown ? "no baseline for \(toolchain)" : "–"
        let unavailable = result.unavailableMetrics[metric.name].map { "unavailable: \($0)" }
        add(
          metric.name, base.map { metric.unit.exactText($0) } ?? missing,
          head.map { metric.unit.exactText($0) } ?? unavailable ?? "–",
          base == nil || head == nil ? .noData : ExactComparison.verdict(base, head, metric))
      }
      let identities = result.identities
      for (name, base) in entry.identities.sorted(by: { $0.key < $1.key }) where identities[name] != base {
        add(name, base, identities[name] ?? "–", .changed)
      }
    }
    let known = Set(results.map(\.configuration.id))
    for id in rows.keys.sorted() where !known.contains(id) {
      let parts = id.split(separator: "/")
      list.append(
        .init(
          model: parts.first.map(String.init) ?? "", configuration: id, metric: "configuration",
          base: "in the baseline",
          head: "no longer in the suite", verdict: .changed, id: id))
    }
    return list
  }

  /// The baseline that these results would make: rows that are no longer counted are dropped, metrics of other
  /// toolchains are kept as long as nothing that this one shows has changed.
  public func accepting(_ results: [Row], toolchain: String, metrics: [Metric]) -> Baseline {
    var accepted = Baseline()
    for result in results {
      let old = rows[result.id]
      guard result.hasMetrics else {
        accepted.rows[result.id] = old
        continue
      }
      var entry = Entry()
      entry.identities = result.identities
      var own: [String: Double] = [:]
      for metric in metrics {
        guard let value = metric.value(result) else { continue }
        if metric.dependsOnToolchain {
          // Within its tolerance a metric is the same: the file stays as it is.
          let before = old?.toolchains[toolchain]?[metric.name]
          own[metric.name] = before.map { metric.differs($0, value) ? value : $0 } ?? value
        } else {
          entry.metrics[metric.name] = value
        }
      }
      let before = old?.toolchains[toolchain]
      let isSame = before == nil || before!.allSatisfy { own[$0.key] == nil || own[$0.key] == $0.value }
      if isSame { entry.toolchains = old?.toolchains ?? [:] }
      // What cannot be counted here and now keeps its value.
      entry.toolchains[toolchain] = (before ?? [:]).merging(own) { _, new in new }
      accepted.rows[result.id] = entry
    }
    return accepted
  }

}

extension MachineDescription {
  /// What metrics that depend on compiler and C library are keyed by.
  public var toolchain: String { "\(compiler), \(libc)" }
}
