import BenchProtocol
import BenchStatistics
import Foundation

/// A result as versions before 0.9 wrote it: one JSON object with the latencies of each process and its ratio, whose
/// slices were not kept. It is read, and never written.
struct LegacyRecord: Decodable {
  struct Visit: Decodable {
    struct Prepared: Decodable {
      var loadTime: Int
      var optimiseTime: Int
      var prepareTime: Int
      var passes: [WorkerLine.Prepared.PassResult]?
      var graph: String?
      var weights: String?
      var input: String?
      var nodes: Int?
      var macs: Int?
      var weightBytes: Int?
      var originalWeightBytes: Int?
      var kernels: [String: Int]?
      var device: String?

      var line: WorkerLine.Prepared {
        var line = WorkerLine.Prepared(loadNs: loadTime, optimiseNs: optimiseTime, prepareNs: prepareTime)
        (line.passes, line.graph, line.weights, line.input) = (passes, graph, weights, input)
        (line.nodes, line.macs, line.weightBytes) = (nodes, macs, weightBytes)
        (line.originalWeightBytes, line.kernels, line.device) = (originalWeightBytes, kernels, device)
        return line
      }
    }
    struct Sample: Decodable {
      var firstInference: Int
      var latencies: [Int]
      var timed: Int?
    }
    var round: Int
    var at: Double
    var prepared: Prepared
    var sample: Sample
    var figures: [String: Double]
    var ratio: Double?
  }

  struct Cell: Decodable {
    struct Hello: Decodable {
      var engine: String
      var version: String
      var isa: String?
      var processor: String?
      var isDebugBuild: Bool?
    }
    var cell: LegacyConfiguration
    var label: String
    var status: RowStatus
    var reason: String?
    var sameAs: String?
    var baseline: String?
    var notes: [String]?
    var prepared: Visit.Prepared?
    var hello: Hello?
    var figures: [String: Double]
    var unavailableFigures: [String: String]?
    var accuracy: Accuracy?
    var outputDigest: String?
    var expectedDigest: String?
    var visits: [Visit]
  }

  static let schemas = ["pacer-result-1", "pacer-result-2"]

  var schema: String
  var version: String
  var suite: String
  var suiteDigest: String
  var started: String
  var elapsed: Double
  var command: String
  var workerPrefix: [String]?
  var environment: MachineDescription
  var idleResident: [String: Double]?
  var passes: [String]?
  var cells: [Cell]
  var isComplete: Bool
  var ending: Record.Ending?

  static func read(_ data: Data) throws -> LegacyRecord {
    let file = try CheckedJSON.decode(LegacyRecord.self, from: data)
    guard schemas.contains(file.schema) else {
      throw UserError("it has schema \(file.schema), this version reads \(Record.schema) and \(schemas.last!)")
    }
    return file
  }

  /// The same as lines: what a run of it would have written.
  func lines() throws -> [RecordLine] {
    let configurations = cells.map(\.cell.configuration)
    let passes = passes ?? cells.flatMap { $0.cell.passes ?? [] }.uniqued()
    var start = RecordLine.Start(
      version: version, suite: suite, suiteDigest: suiteDigest, started: started, command: command, seed: nil,
      environment: environment, passes: passes,
      configurations: cells.indices.map { index in
        PlannedConfiguration(configuration: configurations[index], baseline: baseline(of: index))
      })
    start.workerPrefix = workerPrefix
    try Record.check(start)
    var lines: [RecordLine] = [.start(start)]
    for (engine, bytes) in (idleResident ?? [:]).sorted(by: { $0.key < $1.key }) {
      lines.append(.idle(engine: engine, bytes: bytes))
    }
    for (row, cell) in cells.enumerated() where cell.status != .pending {
      lines.append(.inspected(inspected(cell, row)))
    }
    // Pairs ran one after the other: numbers follow the time.
    let runs = cells.enumerated().flatMap { row, cell in cell.visits.map { (row: row, visit: $0) } }
      .sorted { ($0.visit.at, $0.row) < ($1.visit.at, $1.row) }
    for (number, run) in runs.enumerated() { lines.append(.run(try line(run.visit, number: number, row: run.row))) }
    for (row, cell) in cells.enumerated() where !cell.visits.isEmpty {
      let latencies = cell.visits.flatMap { $0.sample.latencies.map(Double.init) }
      lines.append(
        .summary(
          .init(
            row: row, quantilesNs: quantiles(of: latencies).map { Int($0.rounded()) },
            timed: cell.visits.reduce(0) { $0 + ($1.sample.timed ?? $1.sample.latencies.count) }, metrics: [:])))
    }
    for (row, cell) in cells.enumerated() where cell.status == .failed && !cell.visits.isEmpty {
      lines.append(.failed(row: row, reason: cell.reason ?? ""))
    }
    lines.append(
      .end(
        .init(
          ending: isComplete ? nil : ending ?? .interrupted, elapsed: max(elapsed, 0), steal: environment.steal,
          throttled: environment.throttled)))
    return lines
  }

  /// What a row's ratio is to. The first schema joined by labels, which a model's rows of other inputs may share; the second by ids of its own kind,
  /// which are joined by what they stood for.
  private func baseline(of index: Int) -> Int? {
    cells[index].baseline.flatMap { row(named: $0, like: index) }
  }

  private func row(named name: String, like index: Int) -> Int? {
    let mine = cells[index].cell
    if schema == Self.schemas[0] {
      let named = cells.indices.filter { cells[$0].label == name && cells[$0].cell.model == mine.model }
      let same = named.first {
        let other = cells[$0].cell
        return other.shape == mine.shape && other.weights == mine.weights && other.input == mine.input
      }
      return same ?? named.first
    }
    return cells.indices.first { cells[$0].cell.formerID == name }
  }

  private func inspected(_ cell: Cell, _ index: Int) -> RecordLine.Inspected {
    var line = RecordLine.Inspected(row: index, status: cell.status)
    line.sameAs = cell.sameAs.flatMap { row(named: $0, like: index) }
    (line.reason, line.notes) = (cell.reason, cell.notes)
    line.hello = cell.hello.map {
      .init(
        engine: $0.engine, version: $0.version, protocol: 1, isa: $0.isa.map { $0 == "baseline" ? "sse2" : $0 },
        processor: $0.processor, isDebugBuild: $0.isDebugBuild)
    }
    (line.prepared, line.metrics, line.unavailable) = (cell.prepared?.line, cell.figures, cell.unavailableFigures)
    (line.accuracy, line.output, line.expected) = (cell.accuracy, cell.outputDigest, cell.expectedDigest)
    return line
  }

  private func line(_ visit: Visit, number: Int, row: Int) throws -> RecordLine.RunLine {
    try require(
      !visit.sample.latencies.isEmpty && visit.sample.latencies.allSatisfy { $0 > 0 }, "visits[].sample.latencies",
      "empty", "a run has latencies above 0")
    try visit.prepared.line.check()
    var line = RecordLine.RunLine(number: number, row: row)
    (line.round, line.at, line.ratio) = (visit.round, visit.at, visit.ratio)
    line.medianNs = median(visit.sample.latencies.map(Double.init))
    line.timed = visit.sample.timed ?? visit.sample.latencies.count
    var metrics = visit.figures
    metrics["peak-resident-above-idle"] = nil
    for (name, time) in [
      ("load", visit.prepared.loadTime), ("optimise", visit.prepared.optimiseTime),
      ("prepare", visit.prepared.prepareTime), ("first-inference", visit.sample.firstInference),
    ] {
      metrics[name] = Double(time)
    }
    line.metrics = metrics
    return line
  }
}

extension LegacyConfiguration {
  /// The id that version 0.8 gave it.
  package var formerID: String {
    var parts = [engine ?? "pacer", model, backend ?? "cpu", kernels ?? "fast"]
    parts += ["passes=" + (passes ?? []).joined(separator: "+"), precision ?? "fp32", allocator ?? "system"]
    parts += ["\(threads ?? 1)t", isa ?? "best"]
    if let shape { parts.append("\(shape)") }
    func put(_ name: String, _ value: String?) { if let value { parts.append("\(name)=\(value)") } }
    func word(_ flag: Bool?) -> String? { flag.map { $0 ? "on" : "off" } }
    put("weights", weights)
    put("input", input)
    put("device", device)
    put("storage", storage)
    put("pipeline-cache", word(pipelineCache))
    put("preset", preset)
    put("in-place", word(inPlace))
    put("huge-pages", word(hugePages))
    put("input-buffer", inputBuffer)
    return parts.joined(separator: "/")
  }
}
