import GraphCore
import ModelZoo
import RuntimeCore
import TensorCore

/// Everything a harness offers, as a value: whoever builds one decides what is in it.
public struct Catalog: Sendable {
  public var version: String
  public var models: [ModelDescription]
  public var backends: [any Backend]
  /// In the order in which they run.
  public var passes: [any Pass]
  public var metrics: [Metric]
  public var reports: [any Report]
  /// Instruction sets with kernels, those this machine can run, and the processor's name.
  public var instructionSets: [String]
  public var availableInstructionSets: [String]
  public var processorName: String
  /// Counts calls of the C library's allocator; nil where the process has no such counter.
  public var heapCounter: HeapCounter?

  public init(
    version: String, models: [ModelDescription], backends: [any Backend], passes: [any Pass],
    metrics: [Metric] = standardMetrics, reports: [any Report] = standardReports, instructionSets: [String] = [],
    availableInstructionSets: [String] = [], processorName: String = "", heapCounter: HeapCounter? = nil
  ) {
    self.version = version
    self.models = models
    self.backends = backends
    self.passes = passes
    self.metrics = metrics
    self.reports = reports
    self.instructionSets = instructionSets
    self.availableInstructionSets = availableInstructionSets
    self.processorName = processorName
    self.heapCounter = heapCounter
  }

  public func model(_ name: String) throws -> ModelDescription {
    if let model = models.first(where: { $0.name == name || $0.aliases.contains(name) }) { return model }
    throw UnknownName(kind: "model", name: name, known: models.map(\.name))
  }
  public func backend(_ name: String) throws -> any Backend {
    if let backend = backends.first(where: { $0.name == name }) { return backend }
    throw UnknownName(kind: "backend", name: name, known: backends.map(\.name))
  }
  /// Figures that are the same in every run of the same code.
  public var exactMetrics: [Metric] { metrics.filter { $0.kind == .exact } }

  /// The passes of these names, in the order in which they run.
  public func passes(_ names: [String]) throws -> [any Pass] {
    for name in names where !passes.contains(where: { $0.name == name }) {
      throw UnknownName(kind: "pass", name: name, known: passes.map(\.name))
    }
    return passes.filter { names.contains($0.name) }
  }
}

/// Switches counting on, and says what was counted since.
public struct HeapCounter: Sendable {
  public var start: @Sendable () -> Void
  public var stop: @Sendable () -> (allocations: Int, bytes: Int)
  /// Why it cannot count in this process; nil where it can.
  public var unavailable: @Sendable () -> String?

  public init(
    start: @escaping @Sendable () -> Void, stop: @escaping @Sendable () -> (allocations: Int, bytes: Int),
    unavailable: @escaping @Sendable () -> String?
  ) {
    self.start = start
    self.stop = stop
    self.unavailable = unavailable
  }
}

/// Something the user can mend. The text says what is wrong and what to do next.
public struct UserError: Error, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// A name that is in no list.
public struct UnknownName: Error, CustomStringConvertible {
  public let description: String

  public init(kind: String, name: String, known: [String]) {
    let nearest = known.map { ($0, editDistance(name, $0)) }.min { $0.1 < $1.1 }
    let hint = nearest.flatMap { $0.1 <= max(2, name.count / 3) ? "; did you mean \($0.0)?" : nil } ?? ""
    description = "unknown \(kind) \"\(name)\"\(hint) Known: \(known.joined(separator: ", "))"
  }
}

/// Insertions, deletions and substitutions that turn one text into the other.
func editDistance(_ a: String, _ b: String) -> Int {
  let (a, b) = (Array(a), Array(b))
  var row = Array(0...b.count)
  for i in a.indices {
    var diagonal = row[0]
    row[0] = i + 1
    for j in b.indices {
      let substitution = diagonal + (a[i] == b[j] ? 0 : 1)
      diagonal = row[j + 1]
      row[j + 1] = min(substitution, row[j] + 1, row[j + 1] + 1)
    }
  }
  return row[b.count]
}
