import ArgumentParser
import BenchModel
import BenchProtocol
import Foundation
import Pacer

/// Choices on one axis, or of one shorthand, as the command line has them: checked where they are read.
struct AxisChoice: Sendable {
  var key: String
  var texts: [String]

  /// - Throws: ``ValidationError`` where a value is none, with the nearest that is one.
  init(_ key: String, _ text: String) throws {
    self.key = key
    let catalog = Harness.current.catalog
    let values = catalog.axes[key]?.values ?? catalog.axes.shorthands.first { $0.key == key }?.values
    // Paths may contain commas.
    texts =
      values?.isList == false ? [text] : text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    do {
      for text in texts { try check(text, catalog) }
    } catch { throw ValidationError("\(key == Axes.model.key ? "" : "--")\(key): \(error)") }
  }

  private func check(_ text: String, _ catalog: Catalog) throws {
    guard !text.isEmpty else { throw UserError("a value is missing") }
    if let axis = catalog.axes[key] {
      _ = try axis.parse(text, catalog)
    } else if let shorthand = catalog.axes.shorthands.first(where: { $0.key == key }) {
      try shorthand.check(text, catalog)
    }
  }

  /// The shape that a text means; nil for none.
  static func shape(_ text: String?) throws -> Shape? {
    try text.flatMap { try Axes.shape.parse($0, Harness.current.catalog).first ?? nil }.flatMap {
      InputShapes(axisValue: $0)?.only
    }
  }

  /// From `key=value,key=value`: one choice on each axis that is named, on no model.
  static func configuration(_ text: String) throws -> Configuration {
    var result = Configuration(choices: [:])
    for assignment in text.split(separator: ",") {
      let choice = try AxisChoice(assignment: String(assignment), to: "--reference")
      let catalog = Harness.current.catalog
      guard let axis = catalog.axes[choice.key], let value = try axis.parse(choice.texts[0], catalog).first else {
        throw ValidationError("\(choice.key) is no axis; `list axes` names them")
      }
      try axis.choose(value, in: &result, catalog)
    }
    return result
  }

  /// From `key=value`, given to an option.
  init(assignment: String, to option: String = "--axis") throws {
    let parts = assignment.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let known = Harness.current.catalog.axes.keys
    guard parts.count == 2 else { throw ValidationError("\(option) is key=value, not \"\(assignment)\"") }
    guard known.contains(String(parts[0])) else {
      throw ValidationError("\(option): \(UnknownName(kind: "axis", name: String(parts[0]), known: known))")
    }
    try self.init(String(parts[0]), String(parts[1]))
  }
}

extension Option where Value == AxisChoice? {
  /// The option of an axis: everything about it is the axis's own.
  init(_ axis: any AxisDescription) {
    let (key, summary) = (axis.key, axis.summary)
    self.init(name: .customLong(key), help: ArgumentHelp(summary), transform: { try AxisChoice(key, $0) })
  }

  init(_ shorthand: Shorthand) {
    let (key, summary) = (shorthand.key, shorthand.summary)
    self.init(name: .customLong(key), help: ArgumentHelp(summary), transform: { try AxisChoice(key, $0) })
  }
}

/// The options of every command that takes configurations: one for each axis. A comma list means each of them.
struct AxisOptions: ParsableArguments {
  @OptionGroup var model: ModelOptions
  @Option(Axes.input) var input: AxisChoice?
  @Option(Axes.expect) var expect: AxisChoice?
  @Option(Axes.preset) var preset: AxisChoice?
  @Option(Axes.backend) var backend: AxisChoice?
  @Option(Axes.device) var device: AxisChoice?
  @Option(Axes.driver) var driver: AxisChoice?
  @Option(Axes.explicitDevice) var explicitDevice: AxisChoice?
  @Option(Axes.partition) var partition: AxisChoice?
  @Option(Axes.preference) var preference: AxisChoice?
  @Option(Axes.relaxFloat32) var relaxFloat32: AxisChoice?
  @Option(Axes.driverTimeout) var driverTimeout: AxisChoice?
  @Option(Axes.loopTimeout) var loopTimeout: AxisChoice?
  @Option(Axes.execution) var execution: AxisChoice?
  @Option(Axes.priority) var priority: AxisChoice?
  @Option(Axes.fallback) var fallback: AxisChoice?
  @Option(Axes.kernels) var kernels: AxisChoice?
  @Option(Axes.passes) var passes: AxisChoice?
  @Option(.disable) var disable: AxisChoice?
  @Option(.format) var format: AxisChoice?
  @Option(Axes.precision) var precision: AxisChoice?
  @Option(Axes.observer) var observer: AxisChoice?
  @Option(Axes.weightScales) var weightScales: AxisChoice?
  @Option(Axes.prepareInt8) var prepareInt8: AxisChoice?
  @Option(Axes.activationBits) var activationBits: AxisChoice?
  @Option(Axes.weightBits) var weightBits: AxisChoice?
  @Option(Axes.correctBias) var correctBias: AxisChoice?
  @Option(Axes.keepFloat) var keepFloat: AxisChoice?
  @Option(Axes.calibrate) var calibrate: AxisChoice?
  @Option(Axes.storage) var storage: AxisChoice?
  @Option(Axes.pipelineCache) var pipelineCache: AxisChoice?
  @Option(Axes.allocator) var allocator: AxisChoice?
  @Option(Axes.inPlace) var inPlace: AxisChoice?
  @Option(Axes.hugePages) var hugePages: AxisChoice?
  @Option(Axes.inputBuffer) var inputBuffer: AxisChoice?
  @Option(Axes.threads) var threads: AxisChoice?
  @Option(Axes.isa) var isa: AxisChoice?
  @Option(Axes.engine) var engine: AxisChoice?
  @Option(
    name: .customLong("axis"), help: "Another axis: key=value, as `list axes` names them; may be given several times.",
    transform: { try AxisChoice(assignment: $0) })
  var others: [AxisChoice] = []

  /// Every option that was given.
  private var named: [AxisChoice] {
    model.choices + Mirror(reflecting: self).children.compactMap { ($0.value as? Option<AxisChoice?>)?.wrappedValue }
      + others
  }

  func validate() throws {
    var seen = Set<String>()
    for choice in named {
      guard seen.insert(choice.key).inserted else { throw ValidationError("\(choice.key) is given twice") }
    }
  }

  /// The axes that were named, as a suite's group of configurations has them.
  /// - Parameter models: a comma list.
  func choices(models: String?) throws -> [String: [String]] {
    let choices = named + (try models.map { [try AxisChoice(Axes.model.key, $0)] } ?? [])
    var texts = Dictionary(choices.map { ($0.key, $0.texts) }) { first, _ in first }
    model.addExtents(to: &texts)
    return texts
  }

  /// The configurations that the options mean.
  func group(models: String?) throws -> ConfigurationGroup {
    ConfigurationGroup(choices: try choices(models: models), place: "command line")
  }
}

/// How workers are started and records kept.
struct RunnerOptions: ParsableArguments {
  @Option(
    help: "A command before every worker, such as 'qemu-x86_64 -cpu Nehalem'; quotes as in a shell.",
    transform: Values.command)
  var workerPrefix: [String] = []
  @Option(help: "Record to write, JSON lines; reports go beside it (default: Results/local/VERSION/SUITE.jsonl).")
  var output: String?
  @Flag(help: "Go on with a run that was cut short.")
  var resume = false
  @Option(
    help: "Most memory that weights and tensors may take, such as 2GiB (default: what the machine has).",
    transform: Values.bytes)
  var maxMemory: Int?
  @Option(help: "Kill a worker that takes this many seconds longer than it is to time.", transform: Values.seconds)
  var timeout: Double = 300
  @Option(help: "Seed of all chance (default: drawn, and written in the record).", transform: Values.seed)
  var seed: UInt64?
  @Flag(help: "Print rows with their estimates as JSON instead of a table.")
  var json = false

  func validate() throws { if let output { _ = try OutputName(output, [Record.fileExtension]) } }
}
