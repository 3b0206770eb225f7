import Foundation
import RuntimeCore
import TensorCore
import Yams

/// A suite file: which cells to measure and how long.
public struct Suite: Sendable {
  public var name: String
  public var summary: String
  /// Seconds for the whole run.
  public var budget: Double
  /// Seconds for one cell.
  public var cellBudget: Double
  /// Half width of the ratio's interval at which a cell needs no more visits.
  public var precision: Double
  /// Most visits of a cell.
  public var rounds: Int
  public var job: Job
  public var groups: [CellGroup]
  /// Axes in which a cell may differ from its baseline, which is the first cell that differs in nothing else; nil for the
  /// model with everything off.
  public var compares: [String]?

  public init(
    name: String, summary: String = "", budget: Double, cellBudget: Double, precision: Double = 0.02, rounds: Int = 30,
    job: Job = Job(.latency), groups: [CellGroup], compares: [String]? = nil
  ) {
    self.compares = compares
    (self.name, self.summary, self.budget, self.cellBudget) = (name, summary, budget, cellBudget)
    (self.precision, self.rounds, self.job, self.groups) = (precision, rounds, job, groups)
  }

  /// Every cell, each once, in the order of the file; a cell that is its model's baseline says so.
  public func cells(_ catalog: Catalog) throws -> [CellResult] {
    var results: [CellResult] = []
    let allPasses = catalog.passes.map(\.name)
    for group in groups {
      for cell in try group.cells(catalog) where !results.contains(where: { $0.cell == cell }) {
        results.append(CellResult(cell: cell, label: cell.label(allPasses: allPasses)))
      }
    }
    guard !results.isEmpty else { throw UserError("suite \(name) has no cells") }
    for index in results.indices {
      let cell = results[index].cell
      guard try catalog.backend(cell.backend).computesOutputs else { continue }
      if let compares {
        let baseline = results.first { other in
          cell.taking(compares, from: other.cell) == other.cell
        }
        if let baseline, baseline.cell != cell { results[index].baseline = baseline.label }
        continue
      }
      let sameInput = results.filter { $0.cell.model == cell.model && $0.cell.shape == cell.shape }
      let baseline =
        sameInput.first {
          $0.cell.passes.isEmpty && $0.cell.backend == "cpu" && $0.cell.kernels == .fast && $0.cell.engine == "pacer"
        } ?? sameInput.first { $0.cell.threads == cell.threads } ?? sameInput.first
      if let baseline, baseline.cell != cell { results[index].baseline = baseline.label }
    }
    return results
  }

  /// What a run is resumed by: its cells, and what each is held against.
  public static func digest(_ cells: [CellResult]) -> String {
    var digest = Digest()
    for cell in cells { digest.combine("\(cell.cell.id) \(cell.baseline ?? "")\n") }
    return digest.hex
  }

  /// Names of the suites in a folder.
  public static func names(in folder: URL) -> [String] {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return files.filter { $0.hasSuffix(".yaml") }.map { String($0.dropLast(5)) }.sorted()
  }

  /// A suite by name in `folder`, or by path.
  public static func load(_ name: String, in folder: URL) throws -> Suite {
    let (root, file) = try root(name, in: folder)
    return try parse(root, file: file)
  }

  /// The YAML of a suite by name in `folder`, or by path, and its file's name.
  static func root(_ name: String, in folder: URL) throws -> (root: Node, file: String) {
    let url = name.hasSuffix(".yaml") ? URL(fileURLWithPath: name) : folder.appendingPathComponent(name + ".yaml")
    guard FileManager.default.fileExists(atPath: url.path) else {
      throw UnknownName(kind: "suite", name: name, known: names(in: folder))
    }
    let text: String
    do { text = try String(contentsOf: url, encoding: .utf8) } catch {
      throw UserError("\(url.path) cannot be read: \(reason(error))")
    }
    return (try compose(text, file: url.lastPathComponent), url.lastPathComponent)
  }

  private static func compose(_ text: String, file: String) throws -> Node {
    let root: Node?
    do { root = try Yams.compose(yaml: text) } catch let error as YamlError {
      throw UserError("\(file): \(error)")
    }
    guard let root else { throw UserError("\(file): empty suite; it needs cells:") }
    return root
  }

  public static func parse(_ text: String, file: String) throws -> Suite {
    try parse(compose(text, file: file), file: file)
  }

  private static func parse(_ root: Node, file: String) throws -> Suite {
    if root.mapping?["timed"] != nil || root.mapping?["exact"] != nil {
      throw UserError("\(file) says what a gate looks at: bench-suite gate --suite \(file)")
    }
    let fields = try YAMLFields(
      root, file: file,
      known: ["name", "summary", "budget", "cell-budget", "precision", "rounds", "job", "compares", "cells"])
    var job = Job(.latency)
    if let node = fields["job"] {
      let settings = try YAMLFields(node, file: file, known: ["iterations", "min-time", "warmup"])
      job.iterations = try settings.int("iterations", atLeast: 1)
      job.warmup = try settings.int("warmup", atLeast: 0)
      job.minTime = try settings.double("min-time") ?? job.minTime
    }
    guard let list = fields["cells"]?.sequence, !list.isEmpty else {
      throw UserError("\(fields.place(root)): a suite needs a list of cells:")
    }
    let compares = try fields.strings("compares")
    let known = Cell.comparableAxes.map(\.name)
    for axis in compares ?? [] where !known.contains(axis) {
      throw UserError("\(fields.place(fields["compares"]!)): \(UnknownName(kind: "axis", name: axis, known: known))")
    }
    return Suite(
      name: fields["name"]?.string ?? file.replacingOccurrences(of: ".yaml", with: ""),
      summary: fields["summary"]?.string ?? "", budget: try fields.double("budget") ?? 170,
      cellBudget: try fields.double("cell-budget") ?? 20, precision: try fields.double("precision") ?? 0.02,
      rounds: try fields.int("rounds", atLeast: 1) ?? 30, job: job,
      groups: try list.map { try CellGroup($0, file: file) }, compares: compares)
  }
}

/// A mapping whose mistakes are reported with file and line.
struct YAMLFields {
  let file: String
  private let values: [String: Node]

  init(_ node: Node, file: String, known: [String]) throws {
    self.file = file
    guard let mapping = node.mapping else { throw UserError("\(Self.place(node, file)): expected key: value pairs") }
    var values: [String: Node] = [:]
    for (key, value) in mapping {
      let name = key.string ?? ""
      guard known.contains(name) else {
        throw UserError("\(Self.place(key, file)): \(UnknownName(kind: "key", name: name, known: known))")
      }
      values[name] = value
    }
    self.values = values
  }

  subscript(key: String) -> Node? { values[key] }
  func place(_ node: Node) -> String { Self.place(node, file) }
  static func place(_ node: Node, _ file: String) -> String { "\(file):\(node.mark?.line ?? 1)" }

  func double(_ key: String) throws -> Double? {
    guard let node = values[key] else { return nil }
    guard let value = node.float ?? node.int.map(Double.init), value > 0, value.isFinite else {
      throw UserError("\(place(node)): \(key) must be a positive number, not \"\(node.string ?? "")\"")
    }
    return value
  }

  func int(_ key: String, atLeast least: Int) throws -> Int? {
    guard let node = values[key] else { return nil }
    guard let value = node.int, value >= least else {
      throw UserError(
        "\(place(node)): \(key) must be a whole number of at least \(least), not \"\(node.string ?? "")\"")
    }
    return value
  }

  /// One value or a list of them.
  func strings(_ key: String) throws -> [String]? {
    guard let node = values[key] else { return nil }
    let nodes = node.sequence.map(Array.init) ?? [node]
    return try nodes.map { item in
      guard let text = item.string else { throw UserError("\(place(item)): \(key) must be a name or a list of names") }
      return text
    }
  }
}
