import BenchProtocol
import BenchStatistics
import Foundation
import TensorCore
import Yams

/// A suite file: which configurations to measure and how long.
public struct Suite: Sendable {
  public var name: String
  public var summary: String
  /// Seconds for the whole run.
  public var budget: Double
  /// Seconds for one configuration.
  public var configurationBudget: Double
  /// Half width of the ratio's interval at which a configuration needs no more runs: of those that the report concludes
  /// on, and of the others.
  public var targetInterval: Double
  public var otherInterval: Double
  /// Pairs that every configuration gets, however narrow its interval, if there is time.
  public var leastPairs = Estimate.runsForVerdict
  /// Most runs of a configuration.
  public var rounds: Int
  /// How a run times.
  public var job: Job
  public var groups: [ConfigurationGroup]
  /// Axes on which a configuration may differ from its baseline, which is the first that differs in nothing else; nil for
  /// the model with no passes.
  public var compares: [String]?

  public init(
    name: String, summary: String = "", budget: Double, configurationBudget: Double, targetInterval: Double = 0.02,
    otherInterval: Double? = nil, rounds: Int = 30, job: Job = Job(.latency), groups: [ConfigurationGroup],
    compares: [String]? = nil
  ) {
    (self.name, self.summary, self.budget, self.compares) = (name, summary, budget, compares)
    (self.configurationBudget, self.targetInterval) = (configurationBudget, targetInterval)
    (self.rounds, self.job, self.groups) = (rounds, job, groups)
    self.otherInterval = otherInterval ?? targetInterval
  }

  /// Every configuration, each once, in the order of the file, with what it is held against.
  public func plan(_ catalog: Catalog) throws -> [PlannedConfiguration] {
    // By identity: a model file that lies in two places is measured once.
    var seen = Set<String>()
    var configurations: [Configuration] = []
    var headlines = Set<String>()
    for group in groups {
      let all = try group.configurations(catalog)
      if group.isHeadline { headlines.formUnion(all.map(\.id)) }
      configurations += all.filter { seen.insert($0.id).inserted }
    }
    guard !configurations.isEmpty else { throw UserError("suite \(name) has no configurations") }
    return zip(configurations, baselines(of: configurations, catalog)).enumerated().map { index, entry in
      var planned = PlannedConfiguration(
        configuration: entry.0, baseline: entry.1.flatMap { $0 == index ? nil : $0 })
      if headlines.contains(entry.0.id) { planned.headline = true }
      return planned
    }
  }

  /// The plan as rows of which nothing is known yet.
  public func rows(_ catalog: Catalog) throws -> [Row] { Row.planned(try plan(catalog), catalog) }

  /// For each configuration the index of the one that its ratio is to; nil for a configuration without outputs.
  private func baselines(of configurations: [Configuration], _ catalog: Catalog) -> [Int?] {
    // What may be compared agrees in everything but the axes on which it is.
    func kind(_ configuration: Configuration) -> Configuration {
      guard let compares else { return catalog.axes.work(of: configuration) }
      return catalog.axes.taking(compares, from: Configuration(choices: [:]), in: configuration)
    }
    let kinds = configurations.map(kind)
    var first: [Configuration: Int] = [:]
    var unoptimised: [Configuration: Int] = [:]
    var firstOnThreads: [Configuration: Int] = [:]
    for (index, configuration) in configurations.enumerated() {
      var kind = kinds[index]
      // What does not run is nobody's measure.
      if let path = configuration.modelReference.path, !configuration.modelReference.isPacerFile,
        configuration[Axes.engine] == Axes.engine.standard, !ModelOperators.areKnown(path)
      {
        continue
      }
      if first[kind] == nil { first[kind] = index }
      if compares == nil, configuration[Axes.passes].isEmpty, configuration[Axes.backend] == Axes.backend.standard,
        configuration[Axes.kernels] == .fast, configuration[Axes.engine] == Axes.engine.standard,
        unoptimised[kind] == nil
      {
        unoptimised[kind] = index
      }
      kind[Axes.threads] = configuration[Axes.threads]
      if firstOnThreads[kind] == nil { firstOnThreads[kind] = index }
    }
    return configurations.indices.map { index in
      guard catalog.computesOutputs(configurations[index][Axes.backend]) else { return nil }
      var kind = kinds[index]
      if let index = unoptimised[kind] { return index }
      if compares != nil { return first[kind] }
      let fallback = first[kind]
      kind[Axes.threads] = configurations[index][Axes.threads]
      return firstOnThreads[kind] ?? fallback
    }
  }

  /// What a run is resumed by: its configurations, what each is held against, what their files hold, how a process times
  /// and what it runs under.
  public static func digest(
    _ plan: [PlannedConfiguration], _ axes: AxisTable, _ job: Job = Job(.latency), prefix: [String] = []
  ) -> String {
    var digest = Digest()
    for planned in plan {
      digest.combine("\(planned.configuration.id) \(planned.baseline ?? -1)\n")
      for path in axes.paths(of: planned.configuration) { digest.combine(FileDigest.of(path)) }
    }
    let times = [job.iterations.map { "\($0)" }, "\(job.minSeconds)", job.warmup.map { "\($0)" }].map { $0 ?? "-" }
    digest.combine((times + prefix).joined(separator: "\u{0}"))
    return digest.hex
  }

  /// Names of the suites in a folder.
  public static func names(in folder: URL) -> [String] {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return files.filter { $0.hasSuffix(".yaml") }.map { String($0.dropLast(5)) }.sorted()
  }

  /// A suite by name in one of the folders, the first that has it, or by path.
  public static func load(_ name: String, in folders: [URL], _ catalog: Catalog) throws -> Suite {
    let (root, file) = try root(name, in: folders)
    return try parse(root, file: file, catalog)
  }

  /// The YAML of a suite by name in one of the folders, or by path, and its file's name.
  static func root(_ name: String, in folders: [URL]) throws -> (root: Node, file: String) {
    let isPath = name.hasSuffix(".yaml") || name.hasSuffix(".yml")
    let candidates = isPath ? [URL(fileURLWithPath: name)] : folders.map { $0.appendingPathComponent(name + ".yaml") }
    guard let url = candidates.first(where: { FileManager.default.fileExists(atPath: $0.path) }) else {
      if isPath { throw UserError("\(name) cannot be read: no such file") }
      throw UnknownName(kind: "suite", name: name, known: folders.flatMap(names).uniqued().sorted())
    }
    guard let text = String(data: try readFile(url), encoding: .utf8) else {
      throw UserError("\(url.path) cannot be read: it is no text in UTF-8")
    }
    return (try compose(text, file: url.lastPathComponent), url.lastPathComponent)
  }

  private static func compose(_ text: String, file: String) throws -> Node {
    let root: Node?
    do { root = try Yams.compose(yaml: text) } catch let error as YamlError {
      throw UserError("\(file): \(error)")
    }
    guard let root else { throw UserError("\(file): empty suite; it needs configurations:") }
    return root
  }

  public static func parse(_ text: String, file: String, _ catalog: Catalog) throws -> Suite {
    try parse(compose(text, file: file), file: file, catalog)
  }

  /// Keys of a suite file, each with the name it had in version 0.8, which goes on to be understood.
  package static let keys: [(key: String, former: String?)] = [
    ("name", nil), ("summary", nil), ("budget", nil), ("configuration-budget", "cell-budget"),
    ("target-interval", "precision"), ("other-interval", nil), ("least-pairs", nil), ("rounds", nil),
    ("job", nil), ("compares", nil), ("configurations", "cells"),
  ]
  package static let jobKeys = ["iterations", "min-time", "warmup"]

  private static func parse(_ root: Node, file: String, _ catalog: Catalog) throws -> Suite {
    if root.mapping?["timed"] != nil || root.mapping?["exact"] != nil {
      throw UserError("\(file) says what a gate looks at: bench-suite gate --suite \(file)")
    }
    let fields = try YAMLFields(root, file: file, known: keys.map(\.key), former: keys)
    var job = Job(.latency)
    if let node = fields["job"] {
      let settings = try YAMLFields(node, file: file, known: jobKeys)
      job.iterations = try settings.int("iterations", 1...Limits.iterations)
      job.warmup = try settings.int("warmup", 0...Limits.iterations)
      job.minSeconds = try settings.double("min-time") ?? job.minSeconds
    }
    guard let list = try fields.list("configurations"), !list.isEmpty else {
      throw UserError("\(fields.place(root)): a suite needs a list of configurations:")
    }
    let compares = try fields.strings("compares")
    let known = catalog.axes.axes.map(\.key).filter { $0 != Axes.model.key }
    for axis in compares ?? [] where !known.contains(axis) {
      throw UserError("\(fields.place(fields["compares"]!)): \(UnknownName(kind: "axis", name: axis, known: known))")
    }
    var suite = Suite(
      name: try fields.name(), summary: try fields.text("summary") ?? "", budget: try fields.double("budget") ?? 170,
      configurationBudget: try fields.double("configuration-budget") ?? 20,
      targetInterval: try fields.double("target-interval") ?? 0.02,
      otherInterval: try fields.double("other-interval"),
      rounds: try fields.int("rounds", 1...Limits.rounds) ?? 30, job: job,
      groups: try list.map { try ConfigurationGroup($0, file: file, catalog.axes) }, compares: compares)
    suite.leastPairs = try fields.int("least-pairs", 1...Limits.rounds) ?? suite.leastPairs
    return suite
  }
}

/// A configuration of a plan, and the index in it of what its ratio is to.
public struct PlannedConfiguration: Codable, Sendable, Equatable {
  public var configuration: Configuration
  /// Nil for what is nobody's ratio: a baseline, and what has no outputs.
  public var baseline: Int?
  /// True for one that the report concludes on; in a plan without any, each is one.
  public var headline: Bool?

  public init(configuration: Configuration, baseline: Int? = nil) {
    (self.configuration, self.baseline) = (configuration, baseline)
  }
}
