import Foundation

/// Everything one run of a suite measured. It holds the samples, and the estimates made from them.
public struct ResultFile: Codable, Sendable {
  public static let schema = "pacer-result-2"
  /// Joined cells by labels, and had no `ending`.
  static let firstSchema = "pacer-result-1"

  /// How a run ended that did not do all it was to do.
  public enum Ending: String, Codable, Sendable {
    case interrupted
    /// Its time was spent.
    case budget
  }

  public var schema = ResultFile.schema
  public var version: String
  public var suite: String
  /// Digest of what a run is resumed by: cells, their baselines and files, how processes time, the workers' prefix.
  public var suiteDigest: String
  public var started: String
  public var elapsed: Double = 0
  public var command: String
  /// What stood before every worker of Pacer, as an emulator or `ssh`: figures are then not this machine's own.
  public var workerPrefix: [String]?
  public var environment: MachineDescription
  /// What an empty worker of each engine needs, in bytes.
  public var idleResident: [String: Double] = [:]
  /// Every pass there was, in order: what "all on" stands for. Nil in older files, where it is the passes of any cell.
  public var passes: [String]?
  public var cells: [CellResult]
  /// Whether every cell has figures, or a reason that is its own. A run that was cut short is none.
  public var isComplete = false
  public var ending: Ending?

  public init(
    version: String, suite: String, suiteDigest: String, started: String, command: String,
    environment: MachineDescription, passes: [String]? = nil, cells: [CellResult]
  ) {
    (self.version, self.suite, self.suiteDigest, self.started) = (version, suite, suiteDigest, started)
    (self.command, self.environment, self.passes, self.cells) = (command, environment, passes, cells)
  }

  public func write(to url: URL) throws {
    try writeFile(JSONEncoder.readable.encode(self), to: url)
  }

  /// The cell of an id.
  public func cell(_ id: String) -> CellResult? { cells.first { $0.cell.id == id } }
  /// What the cell of an id is called in this result.
  public func label(_ id: String) -> String { cell(id)?.label ?? id }

  /// Whether anything was timed.
  public var hasTimes: Bool { cells.contains { !$0.visits.isEmpty } }

  public static func read(_ url: URL) throws -> ResultFile {
    let data = try readFile(url)
    do {
      var file = try CheckedJSON.decode(ResultFile.self, from: data)
      guard [schema, firstSchema].contains(file.schema) else {
        throw UserError("it has schema \(file.schema), this version reads \(schema)")
      }
      if file.schema == firstSchema { file.joinById() }
      try file.check()
      return file
    } catch { throw UserError("\(url.path) is not a result file of Pacer: \(error)") }
  }

  /// A first schema's labels become ids: of the cell of the same model, and of the same input where a label is not unique.
  private mutating func joinById() {
    func id(_ label: String, like cell: Cell) -> String {
      let named = cells.filter { $0.label == label && $0.cell.model == cell.model }.map(\.cell)
      let same = named.first { $0.shape == cell.shape && $0.weights == cell.weights && $0.input == cell.input }
      return (same ?? named.first)?.id ?? label
    }
    for index in cells.indices {
      let cell = cells[index].cell
      cells[index].baseline = cells[index].baseline.map { id($0, like: cell) }
      cells[index].sameAs = cells[index].sameAs.map { id($0, like: cell) }
    }
    schema = Self.schema
    if !isComplete { ending = .interrupted }
  }

  /// - Throws: ``UserError`` that names the field which cannot be right.
  private func check() throws {
    // Both become names of files.
    try require(YAMLFields.isName(suite), "suite", suite, "a name is letters, digits and hyphens")
    try require(Version.isVersion(version), "version", version, "a version is letters, digits, dots and hyphens")
    try require(elapsed >= -1e9 && elapsed <= 1e12, "elapsed", elapsed, "seconds")
    for (index, result) in cells.enumerated() {
      func place(_ field: String) -> String { "cells[\(index)].\(field)" }
      for (name, estimate) in [("latency", result.latency), ("ratio", result.ratio)] {
        guard let estimate else { continue }
        try require(
          estimate.value > 0 && estimate.low <= estimate.high && estimate.count > 0, place(name), estimate.value,
          "an estimate is above 0 and within its interval")
      }
      for (number, visit) in result.visits.enumerated() {
        do {
          try visit.prepared.check()
          try visit.sample.check()
          try require(!visit.sample.latencies.isEmpty, "sample.latencies", "empty", "a run that timed nothing is none")
          if let ratio = visit.ratio { try require(ratio > 0, "ratio", ratio, "a ratio is above 0") }
        } catch { throw UserError("\(place("visits[\(number)]")): \(error)") }
      }
    }
  }
}

public enum CellStatus: String, Codable, Sendable {
  case pending
  case measured
  /// Cannot run here; the reason says why.
  case unavailable
  case failed
  /// The output is wrong, so no time is shown.
  case invalid
  /// There is nothing to hold the output against, so no time is shown.
  case unchecked
  /// Runs the same code as another cell; measured there.
  case same
}

public struct CellResult: Codable, Sendable {
  public var cell: Cell
  public var label: String
  public var status = CellStatus.pending
  public var reason: String?
  /// Id of the cell that stands for this one.
  public var sameAs: String?
  /// Id of the cell that ratios are taken against; nil for that cell itself.
  public var baseline: String?
  /// What throws doubt on its times, each once, in sentences.
  public var notes: [String]?
  public var prepared: WorkerLine.Prepared?
  public var hello: WorkerLine.Hello?
  public var figures: [String: Double] = [:]
  public var unavailableFigures: [String: String] = [:]
  public var accuracy: Accuracy?
  public var outputDigest: String?
  /// Of the reference output that the accuracy is taken against.
  public var expectedDigest: String?
  public var visits: [Visit] = []
  public var latency: Estimate?
  public var ratio: Estimate?

  public init(cell: Cell, label: String) {
    self.cell = cell
    self.label = label
  }

  /// What is wrong with its output; nil where nothing is known to be.
  public var wrongOutput: String? {
    status == .invalid ? "\(cell.model): \(label): \(reason ?? "the output is wrong")" : nil
  }

  /// Time over the baseline's: exactly 1 for the baseline itself; nil where there is none. A cell without output, such as
  /// the null backend's, is nobody's baseline.
  var relativeTime: Estimate? { baseline == nil && accuracy != nil ? .one : ratio }

  /// Whether the times of both are relative to the same baseline.
  func hasBaseline(of other: CellResult) -> Bool { (baseline ?? cell.id) == (other.baseline ?? other.cell.id) }

  mutating func add(notes more: [String]) {
    for note in more where notes?.contains(note) != true { notes = (notes ?? []) + [note] }
  }

  func medianOfVisits(_ value: (Visit) -> Double?) -> Double? {
    let values = visits.compactMap(value)
    return values.isEmpty ? nil : median(values)
  }

  /// All samples of all visits, in nanoseconds.
  public var samples: [Double] { visits.flatMap { $0.sample.latencies.map(Double.init) } }
}

/// One fresh process that timed a cell.
public struct Visit: Codable, Sendable {
  public var round: Int
  /// Seconds since the run began.
  public var at: Double
  public var prepared: WorkerLine.Prepared
  public var sample: WorkerLine.Sample
  public var figures: [String: Double]
  /// Time over that of the baseline's process that took turns with this one; nil for the baseline itself.
  public var ratio: Double?

  public var median: Double { BenchKit.median(sample.latencies.map(Double.init)) }
}

/// How far an output is from the reference.
public struct Accuracy: Codable, Sendable, Equatable {
  public var absolute: Double
  /// Largest difference over the largest reference value.
  public var relative: Double
  public var cosine: Double
  public var top1: Bool
  /// How many of the reference's five best are among the output's five best.
  public var top5: Int

  /// What a runtime must keep of the largest value. Another engine's float32 is not held to Pacer's care.
  static func tolerance(for cell: Cell) -> Double {
    cell.precision == .fp32 ? (cell.engine == "pacer" ? 1e-4 : 1e-3) : 1e-2
  }

  /// nil where either has a NaN or their lengths differ.
  public init?(_ output: [Float], reference: [Float]) {
    guard output.count == reference.count, !output.isEmpty else { return nil }
    var (largest, difference, dot, a2, b2) = (0.0, 0.0, 0.0, 0.0, 0.0)
    for (a, b) in zip(output, reference) {
      let (a, b) = (Double(a), Double(b))
      guard a.isFinite, b.isFinite else { return nil }
      difference = max(difference, abs(a - b))
      largest = max(largest, abs(b))
      dot += a * b
      a2 += a * a
      b2 += b * b
    }
    absolute = difference
    relative = largest > 0 ? difference / largest : difference
    cosine = a2 > 0 && b2 > 0 ? dot / (a2.squareRoot() * b2.squareRoot()) : (a2 == b2 ? 1 : 0)
    func best(_ values: [Float]) -> [Int] {
      Array(values.indices.sorted { (-values[$0], $0) < (-values[$1], $1) }.prefix(5))
    }
    let (ours, theirs) = (best(output), best(reference))
    top1 = ours[0] == theirs[0]
    top5 = Set(ours).intersection(theirs).count
  }
}
