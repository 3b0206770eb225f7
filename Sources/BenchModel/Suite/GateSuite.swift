import BenchProtocol
import BenchStatistics
import Foundation
import TensorCore
import Yams

/// What a gate looks at and how strictly: `Suites/gate.yaml`.
public struct GateSuite: Sendable {
  public var name: String
  public var summary: String
  public var rule: TimeRule
  /// Seconds for the times.
  public var budget: Double
  /// Sampled metrics that decide; latency unless others are named.
  public var metrics: [Metric]
  /// Configurations that are inspected and held against the committed baseline.
  public var exact: [ConfigurationGroup]
  /// Configurations whose instructions are counted.
  public var instructions: [ConfigurationGroup]
  /// Configurations that are timed against another version.
  public var timed: [ConfigurationGroup]

  /// Keys of a gate's file, each with the name it had in version 0.8, which goes on to be understood.
  package static let keys: [(key: String, former: String?)] = [
    ("name", nil), ("summary", nil), ("margin", nil), ("target", nil), ("false-positives", "alarms"),
    ("false-negatives", "misses"), ("time-budget", nil), ("metrics", nil), ("exact", nil), ("instructions", nil),
    ("timed", nil),
  ]

  public static func load(_ name: String, in folders: [URL], _ catalog: Catalog) throws -> GateSuite {
    let (root, file) = try Suite.root(name, in: folders)
    let fields = try YAMLFields(root, file: file, known: keys.map(\.key), former: keys)
    func groups(_ key: String) throws -> [ConfigurationGroup] {
      try (fields.list(key) ?? []).map { try ConfigurationGroup($0, file: file, catalog.axes) }
    }
    var rule = TimeRule()
    rule.margin = try fields.double("margin") ?? rule.margin
    rule.target = try fields.double("target") ?? rule.target
    rule.falsePositives = try fields.double("false-positives") ?? rule.falsePositives
    rule.falseNegatives = try fields.double("false-negatives") ?? rule.falseNegatives
    guard rule.margin < rule.target, rule.target < 1, rule.falsePositives < 0.5, rule.falseNegatives < 0.5 else {
      throw UserError(
        "\(fields.place(root)): margin must be below target, target below 1, false-positives and false-negatives below 0.5"
      )
    }
    let metrics = try (fields.strings("metrics") ?? [latencyMetric.name]).map { name in
      do { return try Self.sampled(name, catalog) } catch {
        throw UserError("\(fields.place(fields["metrics"]!)): \(error)")
      }
    }
    let suite = GateSuite(
      name: try fields.name(), summary: try fields.text("summary") ?? "", rule: rule,
      budget: try fields.double("time-budget") ?? 120, metrics: metrics,
      exact: try groups("exact"), instructions: try groups("instructions"), timed: try groups("timed"))
    guard !(suite.exact + suite.instructions + suite.timed).isEmpty else {
      throw UserError("\(fields.place(root)): a gate needs configurations under exact:, instructions: or timed:")
    }
    return suite
  }

  /// A metric that pairs can decide on.
  /// - Throws: ``UnknownName``.
  public static func sampled(_ name: String, _ catalog: Catalog) throws -> Metric {
    let known = catalog.metrics.filter { $0.kind == .sampled }
    if let metric = known.first(where: { $0.name == name }) { return metric }
    throw UnknownName(kind: "sampled metric", name: name, known: known.map(\.name))
  }

  /// Every configuration of some groups, each once, not measured yet.
  public static func rows(_ groups: [ConfigurationGroup], _ catalog: Catalog) throws -> [Row] {
    groups.isEmpty ? [] : try Suite(name: "gate", budget: 1, configurationBudget: 1, groups: groups).rows(catalog)
  }
}
