import BenchProtocol
import BenchStatistics
import Foundation

/// A result as versions before 0.9 wrote it: one JSON object with the latencies of each process and its ratio, whose
/// slices were not kept. It is read, and never written.
struct LegacyRecord: Decodable {
  /// Called a visit there.
  struct TimedRun: Decodable {
    struct Sample: Decodable {
      var firstInference: Int
      var latencies: [Int]
      var timed: Int?
    }
    var round: Int
    var at: Double
    var prepared: LegacyPrepared
    var sample: Sample
    var figures: [String: Double]
    var ratio: Double?
  }

  /// Called a cell there.
  struct Entry: Decodable {
    struct Hello: Decodable {
      var engine: String
      var version: String
      var isa: String?
      var processor: String?
      var isDebugBuild: Bool?
    }
    var configuration: LegacyConfiguration
    var label: String
    var status: RowStatus
    var reason: String?
    var sameAs: String?
    var baseline: String?
    var notes: [String]?
    var prepared: LegacyPrepared?
    var hello: Hello?
    var figures: [String: Double]
    var unavailableFigures: [String: String]?
    var accuracy: Accuracy?
    var outputDigest: String?
    var expectedDigest: String?
    var runs: [TimedRun]

    private enum CodingKeys: String, CodingKey {
      case configuration = "cell"
      case label, status, reason, sameAs, baseline, notes, prepared, hello, figures, unavailableFigures, accuracy
      case outputDigest, expectedDigest
      case runs = "visits"
    }
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
  var entries: [Entry]
  var isComplete: Bool
  var ending: Record.Ending?

  private enum CodingKeys: String, CodingKey {
    case schema, version, suite, suiteDigest, started, elapsed, command, workerPrefix, environment, idleResident, passes
    case entries = "cells"
    case isComplete, ending
  }

  static func read(_ data: Data) throws -> LegacyRecord {
    let file = try CheckedJSON.decode(LegacyRecord.self, from: data)
    guard schemas.contains(file.schema) else {
      throw UserError("it has schema \(file.schema), this version reads \(Record.schema) and \(schemas.last!)")
    }
    return file
  }

  /// The same as lines: what a run of it would have written.
  func lines() throws -> [RecordLine] {
    let configurations = entries.map(\.configuration.configuration)
    let passes = passes ?? entries.flatMap { $0.configuration.passes ?? [] }.uniqued()
    var start = RecordLine.Start(
      version: version, suite: suite, suiteDigest: suiteDigest, started: started, command: command, seed: nil,
      environment: environment, passes: passes,
      configurations: entries.indices.map { index in
        PlannedConfiguration(configuration: configurations[index], baseline: baseline(of: index))
      })
    start.workerPrefix = workerPrefix
    try Record.check(start)
    var lines: [RecordLine] = [.start(start)]
    for (engine, bytes) in (idleResident ?? [:]).sorted(by: { $0.key < $1.key }) {
      lines.append(.idle(engine: engine, bytes: bytes))
    }
    for (row, entry) in entries.enumerated() where entry.status != .pending {
      lines.append(.inspected(inspected(entry, row)))
    }
    // Pairs ran one after the other: numbers follow the time.
    let runs = entries.enumerated().flatMap { row, entry in entry.runs.map { (row: row, run: $0) } }
      .sorted { ($0.run.at, $0.row) < ($1.run.at, $1.row) }
    for (number, timed) in runs.enumerated() {
      lines.append(.run(try line(timed.run, number: number, row: timed.row)))
    }
    for (row, entry) in entries.enumerated() where !entry.runs.isEmpty {
      let latencies = entry.runs.flatMap { $0.sample.latencies.map(Double.init) }
      lines.append(
        .summary(
          .init(
            row: row, quantilesNs: quantiles(of: latencies).map { Int($0.rounded()) },
            timed: entry.runs.reduce(0) { $0 + ($1.sample.timed ?? $1.sample.latencies.count) }, metrics: [:])))
    }
    for (row, entry) in entries.enumerated() where entry.status == .failed && !entry.runs.isEmpty {
      lines.append(.failed(row: row, reason: entry.reason ?? ""))
    }
    lines.append(
      .end(
        .init(
          ending: isComplete ? nil : ending ?? .interrupted, elapsed: max(elapsed, 0), steal: environment.steal,
          throttled: environment.throttled)))
    return lines
  }

  /// What a row's ratio is to. The first schema joined by labels, which a model's rows of other inputs may share; the second
  /// by ids of its own kind.
  private func baseline(of index: Int) -> Int? {
    entries[index].baseline.flatMap { row(named: $0, like: index) }
  }

  private func row(named name: String, like index: Int) -> Int? {
    let mine = entries[index].configuration
    if schema == Self.schemas[0] {
      let named = entries.indices.filter { entries[$0].label == name && entries[$0].configuration.model == mine.model }
      let same = named.first {
        let other = entries[$0].configuration
        return other.shape == mine.shape && other.weights == mine.weights && other.input == mine.input
      }
      return same ?? named.first
    }
    return entries.indices.first { entries[$0].configuration.formerID == name }
  }

  private func inspected(_ entry: Entry, _ index: Int) -> RecordLine.Inspected {
    var line = RecordLine.Inspected(row: index, status: entry.status)
    line.sameAs = entry.sameAs.flatMap { row(named: $0, like: index) }
    (line.reason, line.notes) = (entry.reason, entry.notes)
    line.hello = entry.hello.map {
      .init(
        engine: $0.engine, version: $0.version, protocol: 1, isa: $0.isa.map { $0 == "baseline" ? "sse2" : $0 },
        processor: $0.processor, isDebugBuild: $0.isDebugBuild)
    }
    (line.prepared, line.metrics, line.unavailable) = (entry.prepared?.line, entry.figures, entry.unavailableFigures)
    (line.accuracy, line.output, line.expected) = (entry.accuracy, entry.outputDigest, entry.expectedDigest)
    return line
  }

  private func line(_ run: TimedRun, number: Int, row: Int) throws -> RecordLine.RunLine {
    try require(
      !run.sample.latencies.isEmpty && run.sample.latencies.allSatisfy { $0 > 0 }, "visits[].sample.latencies",
      "empty", "a run has latencies above 0")
    try run.prepared.line.check()
    var line = RecordLine.RunLine(number: number, row: row)
    (line.round, line.at, line.ratio) = (run.round, run.at, run.ratio)
    line.medianNs = median(run.sample.latencies.map(Double.init))
    line.timed = run.sample.timed ?? run.sample.latencies.count
    var metrics = run.figures
    metrics["peak-resident-above-idle"] = nil
    for (name, time) in [
      ("load", run.prepared.loadTime), ("optimise", run.prepared.optimiseTime),
      ("prepare", run.prepared.prepareTime), ("first-inference", run.sample.firstInference),
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
