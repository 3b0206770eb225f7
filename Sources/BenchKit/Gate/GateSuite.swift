import Foundation
import Yams

/// What a gate looks at and how strictly: `Suites/gate.yaml`.
public struct GateSuite: Sendable {
  public var name: String
  public var summary: String
  public var rule: TimeRule
  /// Seconds for the times.
  public var budget: Double
  /// Cells that are counted and held against the committed baseline.
  public var exact: [CellGroup]
  /// Cells whose instructions are counted.
  public var instructions: [CellGroup]
  /// Cells that are timed against another version.
  public var timed: [CellGroup]

  public static func load(_ name: String, in folders: URL...) throws -> GateSuite { try load(name, in: folders) }

  public static func load(_ name: String, in folders: [URL]) throws -> GateSuite {
    let (root, file) = try Suite.root(name, in: folders)
    let fields = try YAMLFields(
      root, file: file,
      known: [
        "name", "summary", "margin", "target", "alarms", "misses", "time-budget", "exact", "instructions", "timed",
      ])
    func groups(_ key: String) throws -> [CellGroup] {
      try (fields.list(key) ?? []).map { try CellGroup($0, file: file) }
    }
    var rule = TimeRule()
    rule.margin = try fields.double("margin") ?? rule.margin
    rule.target = try fields.double("target") ?? rule.target
    rule.alarms = try fields.double("alarms") ?? rule.alarms
    rule.misses = try fields.double("misses") ?? rule.misses
    guard rule.margin < rule.target, rule.target < 1, rule.alarms < 0.5, rule.misses < 0.5 else {
      throw UserError("\(fields.place(root)): margin must be below target, target below 1, alarms and misses below 0.5")
    }
    let suite = GateSuite(
      name: try fields.name(), summary: try fields.text("summary") ?? "", rule: rule,
      budget: try fields.double("time-budget") ?? 120,
      exact: try groups("exact"), instructions: try groups("instructions"), timed: try groups("timed"))
    guard !(suite.exact + suite.instructions + suite.timed).isEmpty else {
      throw UserError("\(fields.place(root)): a gate needs cells under exact:, instructions: or timed:")
    }
    return suite
  }

  /// Every cell of some groups, each once, not measured yet.
  public static func cells(_ groups: [CellGroup], _ catalog: Catalog) throws -> [CellResult] {
    groups.isEmpty ? [] : try Suite(name: "gate", budget: 1, cellBudget: 1, groups: groups).cells(catalog)
  }
}
