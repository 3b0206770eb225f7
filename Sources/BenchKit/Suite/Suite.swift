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
    var seen = Set<Cell>()
    var cells: [Cell] = []
    for group in groups { cells += try group.cells(catalog).filter { seen.insert($0).inserted } }
    guard !cells.isEmpty else { throw UserError("suite \(name) has no cells") }
    let labels = Labels.of(cells, catalog.passes.map(\.name)) { try? catalog.model($0).inputShape }
    let baselines = try baselines(of: cells, catalog)
    return cells.indices.map { index in
      var result = CellResult(cell: cells[index], label: labels[index])
      result.baseline = baselines[index].flatMap { $0 == index ? nil : cells[$0].id }
      return result
    }
  }

  /// For each cell the place of the one that its ratio is to; nil for a cell without outputs.
  private func baselines(of cells: [Cell], _ catalog: Catalog) throws -> [Int?] {
    // Cells that may be compared agree in everything but the axes on which they are.
    func kind(_ cell: Cell) -> Cell {
      if let compares { return cell.taking(compares, from: Cell(model: cell.model)) }
      var kind = Cell(model: cell.model)
      (kind.shape, kind.weights, kind.input) = (cell.shape, cell.weights, cell.input)
      return kind
    }
    var first: [Cell: Int] = [:]
    var unoptimised: [Cell: Int] = [:]
    var firstOnThreads: [Cell: Int] = [:]
    for (index, cell) in cells.enumerated() {
      var kind = kind(cell)
      if first[kind] == nil { first[kind] = index }
      if compares == nil, cell.passes.isEmpty, cell.backend == "cpu", cell.kernels == .fast, cell.engine == "pacer",
        unoptimised[kind] == nil
      {
        unoptimised[kind] = index
      }
      kind.threads = cell.threads
      if firstOnThreads[kind] == nil { firstOnThreads[kind] = index }
    }
    return try cells.map { cell in
      guard try catalog.backend(cell.backend).computesOutputs else { return nil }
      var kind = kind(cell)
      if let index = unoptimised[kind] { return index }
      if compares != nil { return first[kind] }
      let fallback = first[kind]
      kind.threads = cell.threads
      return firstOnThreads[kind] ?? fallback
    }
  }

  /// What a run is resumed by: its cells, what each is held against, what their files hold, how a process times and what
  /// it runs under.
  public static func digest(_ cells: [CellResult], _ job: Job = Job(.latency), prefix: [String] = []) -> String {
    var digest = Digest()
    for cell in cells {
      digest.combine("\(cell.cell.id) \(cell.baseline ?? "")\n")
      for path in [cell.cell.weights, cell.cell.input].compactMap({ $0 }) { digest.combine(FileDigest.of(path)) }
    }
    let times = [job.iterations.map { "\($0)" }, "\(job.minTime)", job.warmup.map { "\($0)" }].map { $0 ?? "-" }
    digest.combine((times + prefix).joined(separator: "\u{0}"))
    return digest.hex
  }

  /// Names of the suites in a folder.
  public static func names(in folder: URL) -> [String] {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return files.filter { $0.hasSuffix(".yaml") }.map { String($0.dropLast(5)) }.sorted()
  }

  /// A suite by name in one of the folders, the first that has it, or by path.
  public static func load(_ name: String, in folders: URL...) throws -> Suite { try load(name, in: folders) }

  public static func load(_ name: String, in folders: [URL]) throws -> Suite {
    let (root, file) = try root(name, in: folders)
    return try parse(root, file: file)
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
      job.iterations = try settings.int("iterations", 1...Limits.iterations)
      job.warmup = try settings.int("warmup", 0...Limits.iterations)
      job.minTime = try settings.double("min-time") ?? job.minTime
    }
    guard let list = try fields.list("cells"), !list.isEmpty else {
      throw UserError("\(fields.place(root)): a suite needs a list of cells:")
    }
    let compares = try fields.strings("compares")
    let known = Cell.comparableAxes.map(\.name)
    for axis in compares ?? [] where !known.contains(axis) {
      throw UserError("\(fields.place(fields["compares"]!)): \(UnknownName(kind: "axis", name: axis, known: known))")
    }
    return Suite(
      name: try fields.name(), summary: try fields.text("summary") ?? "", budget: try fields.double("budget") ?? 170,
      cellBudget: try fields.double("cell-budget") ?? 20, precision: try fields.double("precision") ?? 0.02,
      rounds: try fields.int("rounds", 1...Limits.rounds) ?? 30, job: job,
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
      guard values.updateValue(value, forKey: name) == nil else {
        throw UserError("\(Self.place(key, file)): \(name) is there twice")
      }
    }
    self.values = values
  }

  subscript(key: String) -> Node? { values[key] }
  func place(_ node: Node) -> String { Self.place(node, file) }
  static func place(_ node: Node, _ file: String) -> String { "\(file):\(node.mark?.line ?? 1)" }

  func double(_ key: String) throws -> Double? {
    guard let node = values[key] else { return nil }
    guard let value = node.float ?? node.int.map(Double.init), Limits.seconds.contains(value) else {
      throw UserError(
        "\(place(node)): \(key) must be a positive number of at most \(Int(Limits.seconds.upperBound)), not "
          + "\"\(node.string ?? "")\"")
    }
    return value
  }

  func int(_ key: String, _ range: ClosedRange<Int>) throws -> Int? {
    guard let node = values[key] else { return nil }
    guard let value = node.int, range.contains(value) else {
      throw UserError(
        "\(place(node)): \(key) must be a whole number from \(range.lowerBound) to \(range.upperBound), not "
          + "\"\(node.string ?? "")\"")
    }
    return value
  }

  func text(_ key: String) throws -> String? {
    guard let node = values[key] else { return nil }
    guard let text = node.string else { throw UserError("\(place(node)): \(key) must be a text") }
    return text
  }

  /// The name under which results are kept: what `name:` says, or what the file is called.
  func name() throws -> String {
    guard let node = values["name"] else {
      let stem = (file as NSString).deletingPathExtension
      let plain = stem.split { !Self.isPartOfName($0) }.joined(separator: "-")
      return plain.isEmpty ? "suite" : plain
    }
    guard let name = node.string, Self.isName(name) else {
      throw UserError(
        "\(place(node)): a name is letters, digits and hyphens, such as my-suite, not \"\(node.string ?? "")\"")
    }
    return name
  }

  /// Whether a name can be that of a file, and of nothing else.
  static func isName(_ text: String) -> Bool {
    !text.isEmpty && text.count <= 100 && text.allSatisfy(isPartOfName) && text.first != "-"
  }
  private static func isPartOfName(_ character: Character) -> Bool {
    character.isASCII && (character.isLetter || character.isNumber || character == "-" || character == "_")
  }

  /// A list; nil where the key is not there.
  /// - Throws: ``UserError`` where it is there and no list, or an empty one: what it should name would be left out.
  func list(_ key: String) throws -> [Node]? {
    guard let node = values[key] else { return nil }
    guard let list = node.sequence else {
      throw UserError("\(place(node)): \(key) must be a list of cells, each behind a dash")
    }
    guard !list.isEmpty else { throw UserError("\(place(node)): \(key) is an empty list") }
    return Array(list)
  }

  /// One value or a list of them.
  func strings(_ key: String) throws -> [String]? {
    guard let node = values[key] else { return nil }
    let nodes = node.sequence.map(Array.init) ?? [node]
    guard !nodes.isEmpty else { throw UserError("\(place(node)): \(key) is an empty list: name a value") }
    return try nodes.map { item in
      guard let text = item.string, !text.isEmpty else {
        throw UserError("\(place(item)): \(key) must be a name or a list of names")
      }
      return text
    }
  }
}

/// What a number of a suite or of the command line may be: larger ones are slips, and would overflow somewhere.
public enum Limits {
  /// Up to a hundred days.
  public static let seconds = 1e-9...8_640_000.0
  public static let iterations = 10_000_000
  public static let rounds = 1_000_000
}
