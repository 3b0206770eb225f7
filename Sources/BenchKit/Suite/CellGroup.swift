import RuntimeCore
import TensorCore
import Yams

/// Lists of choices on every axis; stands for all their combinations.
public struct CellGroup: Sendable {
  public static let keys = [
    "engine", "model", "weights", "input", "shape", "preset", "backend", "device", "kernels", "passes", "disable",
    "format", "precision", "storage", "pipeline-cache", "allocator", "in-place", "huge-pages", "input-buffer",
    "threads", "isa",
  ]

  /// What presets settle.
  private static let ofPresets = ["passes", "disable", "format", "kernels", "allocator", "in-place"]

  public var choices: [String: [String]]
  /// Where the group stands, for messages.
  public var place: String

  public init(choices: [String: [String]], place: String) {
    self.choices = choices
    self.place = place
  }

  init(_ node: Node, file: String) throws {
    let fields = try YAMLFields(node, file: file, known: Self.keys)
    place = fields.place(node)
    choices = [:]
    for key in Self.keys { choices[key] = try fields.strings(key) }
  }

  public func cells(_ catalog: Catalog) throws -> [Cell] {
    do { return try expand(catalog) } catch { throw UserError("\(place): \(error)") }
  }

  private func expand(_ catalog: Catalog) throws -> [Cell] {
    // An empty list would drop every cell without a word.
    for (key, values) in choices where values.isEmpty { throw UserError("\(key) is an empty list: name a value") }
    let models = try (choices["model"] ?? catalog.models.map(\.name)).map { try catalog.model($0).name }
    let passSets = try passSets(catalog)
    if choices["preset"] != nil, let other = Self.ofPresets.first(where: { choices[$0] != nil }) {
      throw UserError("preset already sets \(other): leave one of the two out")
    }
    var cells: [Cell] = []
    for model in models {
      for passes in passSets {
        var partial = [Cell(model: model)]
        partial[0].passes = passes
        func vary(_ key: String, _ apply: (inout Cell, String) throws -> Void) throws {
          guard let values = choices[key] else { return }
          partial = try partial.flatMap { cell in
            try values.map { value in
              var copy = cell
              try apply(&copy, value)
              return copy
            }
          }
        }
        try vary("engine") { $0.engine = $1 }
        try vary("weights") { $0.weights = $1 }
        try vary("input") { $0.input = $1 }
        try vary("shape") { $0.shape = try Self.shape($1) }
        try vary("preset") { try catalog.preset($1).apply(to: &$0) }
        try vary("backend") { $0.backend = try catalog.backend($1).name }
        try vary("device") { $0.device = $1 }
        try vary("kernels") { $0.kernels = try Self.choice($1, "kernel family") }
        try vary("precision") { $0.precision = try Self.choice($1, "precision") }
        try vary("storage") { $0.storage = try Self.choice($1, "storage") as TensorStorage }
        try vary("pipeline-cache") { $0.pipelineCache = try Self.isOn($1, "pipeline-cache") }
        try vary("allocator") { $0.allocator = try Self.choice($1, "allocator") }
        try vary("in-place") { $0.inPlace = try Self.isOn($1, "in-place") ? nil : false }
        try vary("huge-pages") { $0.hugePages = try Self.isOn($1, "huge-pages") ? nil : false }
        try vary("input-buffer") { $0.inputBuffer = try Self.choice($1, "input buffer") as Cell.InputBuffer }
        try vary("threads") { cell, value in
          guard let threads = Int(value), (1...256).contains(threads) else {
            throw UserError("threads must be 1 to 256, not \"\(value)\"")
          }
          cell.threads = threads
        }
        try vary("isa") { cell, value in
          guard value != "best" else { return }
          guard catalog.instructionSets.contains(value) else {
            throw UnknownName(kind: "instruction set", name: value, known: catalog.instructionSets)
          }
          cell.isa = value
        }
        cells += partial
      }
    }
    return cells
  }

  /// `passes:` is none, all, ladder, each-alone, every-pair, all-but-one, every-combination, or names joined with +.
  private func passSets(_ catalog: Catalog) throws -> [[String]] {
    let all = catalog.passes.map(\.name)
    var sets: [[String]] = []
    for text in choices["passes"] ?? ["all"] {
      switch text {
      case "none": sets.append([])
      case "all": sets.append(all)
      case "ladder": sets += (0...all.count).map { Array(all.prefix($0)) }
      case "each-alone": sets += all.map { [$0] }
      case "every-pair":
        sets += all.indices.flatMap { first in all.indices.dropFirst(first + 1).map { [all[first], all[$0]] } }
      case "all-but-one": sets += all.map { left in all.filter { $0 != left } }
      case "every-combination":
        sets += (0..<(1 << all.count)).map { bits in all.indices.filter { bits >> $0 & 1 == 1 }.map { all[$0] } }
      default:
        sets.append(try catalog.passes(text.split(separator: "+").map(String.init)).map(\.name))
      }
    }
    for name in choices["disable"] ?? [] {
      _ = try catalog.passes([name])
      sets = sets.map { $0.filter { $0 != name } }
    }
    guard let formats = choices["format"] else { return sets }
    return try sets.flatMap { set in
      try formats.map { format in
        switch format {
        case "nhwc": all.filter { set.contains($0) || $0 == "channels-last" }
        case "nchw": set.filter { $0 != "channels-last" }
        default: throw UnknownName(kind: "memory format", name: format, known: ["nchw", "nhwc"])
        }
      }
    }
  }

  private static func choice<Choice: RawRepresentable & CaseIterable>(_ text: String, _ kind: String) throws -> Choice
  where Choice.RawValue == String {
    if let value = Choice(rawValue: text) { return value }
    throw UnknownName(kind: kind, name: text, known: Choice.allCases.map(\.rawValue))
  }

  private static func isOn(_ text: String, _ key: String) throws -> Bool {
    guard ["on", "off", "true", "false"].contains(text) else {
      throw UserError("\(key) is on or off, not \"\(text)\"")
    }
    return ["on", "true"].contains(text)
  }

  static func shape(_ text: String) throws -> Shape {
    let parts = text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
    guard !parts.isEmpty, parts.allSatisfy({ $0.map { (1...65536).contains($0) } ?? false }) else {
      throw UserError("shape must look like 1x3x224x224, not \"\(text)\"")
    }
    let shape = Shape(parts.compactMap { $0 })
    guard shape.elementCount.map({ $0 <= 1 << 30 }) == true else {
      throw UserError("shape \(text) is larger than 4 GiB")
    }
    return shape
  }
}
