import BenchProtocol
import BenchStatistics
import Foundation
import struct RuntimeCore.MeasuredPartition

/// One line of a record: written once, in the order in which things happened. Rows and runs are referred to by number.
public enum RecordLine: Sendable, Equatable {
  case start(Start)
  /// What an empty worker of an engine needs.
  case idle(engine: String, bytes: Double)
  /// How a row's graph is divided by what its nodes were measured to take: every process of the row runs that, also when it goes on.
  case partition(row: Int, MeasuredPartition)
  case inspected(Inspected)
  case run(RunLine)
  /// In place of a row's runs, where a record is kept for good.
  case runs(Runs)
  /// What timing found that it cannot measure of these rows, and why, by metric: once a row, or once for rows that have
  /// it in common.
  case unavailable(rows: [Int], reasons: [String: String])
  /// A row that failed after it was inspected.
  case failed(row: Int, reason: String)
  /// The record goes on after it had ended.
  case resumed(seed: UInt64)
  /// In place of latencies and single readings, where a record is kept for good.
  case summary(Summary)
  case end(End)

  public struct Start: Codable, Sendable, Equatable {
    public var schema: String
    public var version: String
    public var suite: String
    /// Digest of what a run is resumed by: configurations, their baselines and files, how processes time, the prefix.
    public var suiteDigest: String
    public var started: String
    public var command: String
    /// Of all chance in the experiment.
    public var seed: UInt64?
    /// What stood before every worker of Pacer, as an emulator or `ssh`: times are then not this machine's own.
    public var workerPrefix: [String]?
    public var environment: MachineDescription
    /// Every pass there was, in order: what "all passes" stands for.
    public var passes: [String]
    public var configurations: [PlannedConfiguration]

    public init(
      version: String, suite: String, suiteDigest: String, started: String, command: String, seed: UInt64?,
      environment: MachineDescription, passes: [String], configurations: [PlannedConfiguration]
    ) {
      schema = Record.schema
      (self.version, self.suite, self.suiteDigest, self.started) = (version, suite, suiteDigest, started)
      (self.command, self.seed, self.environment, self.passes) = (command, seed, environment, passes)
      self.configurations = configurations
    }
  }

  public struct Inspected: Codable, Sendable, Equatable {
    public var row: Int
    public var status: RowStatus
    public var reason: String?
    /// The row that stands for this one, where the record does not say so by its graph.
    public var sameAs: Int?
    public var hello: WorkerLine.Hello?
    public var prepared: WorkerLine.Prepared?
    public var notes: [String]?
    public var metrics: [String: Double]?
    public var unavailable: [String: String]?
    public var accuracy: Accuracy?
    public var output: String?
    public var expected: String?
    /// Where that comes from: an engine with its version, or a file; nil for Pacer's oracle.
    public var expectedFrom: String?

    public init(row: Int, status: RowStatus) { (self.row, self.status) = (row, status) }
  }

  public struct RunLine: Codable, Sendable, Equatable {
    public var number: Int
    public var row: Int
    public var partner: Int?
    public var round: Int?
    /// Seconds since the record began.
    public var at: Double?
    public var slicesNs: [[Int]]?
    /// In place of `slicesNs`: their medians.
    public var mediansNs: [Double]?
    /// Of records that are older than slices: a run's median, and its ratio as it was stored.
    public var medianNs: Double?
    public var ratio: Double?
    public var timed: Int?
    public var metrics: [String: Double]?

    public init(number: Int, row: Int) { (self.number, self.row) = (number, row) }
  }

  /// All runs of a row, each with its number, its partner and the medians of its slices.
  public struct Runs: Codable, Sendable, Equatable {
    public var row: Int
    /// Each but the first as the difference from the one before.
    public var numbers: [Int]
    /// A partner's number less the run's own; 0 where there is none. Nil where each is the run before.
    public var partners: [Int]?
    /// Medians of slices are whole numbers of this.
    public var unitNs: Int?
    /// Of each run the medians of its slices, each but the first as the difference from the one before.
    public var medians: [[Int]]?
    /// Of records that are older than slices: the runs' medians, and their ratios as they were stored.
    public var mediansNs: [Int]?
    public var ratios: [Double]?
    /// Processors that others kept busy beside a run, by its number, where those were enough to remark on.
    public var otherLoad: [String: Double]?

    public init(row: Int, numbers: [Int], partners: [Int]) {
      (self.row, self.numbers) = (row, numbers)
      self.partners = partners.allSatisfy { $0 == -1 } ? nil : partners
    }
  }

  public struct Summary: Codable, Sendable, Equatable {
    public var row: Int
    public var quantilesNs: [Int]
    public var timed: Int
    /// Medians over the runs.
    public var metrics: [String: Double]

    public init(row: Int, quantilesNs: [Int], timed: Int, metrics: [String: Double]) {
      (self.row, self.quantilesNs, self.timed, self.metrics) = (row, quantilesNs, timed, metrics)
    }
  }

  public struct End: Codable, Sendable, Equatable {
    public var ending: Record.Ending?
    public var elapsed: Double
    public var steal: Double?
    public var throttled: Int?

    public init(ending: Record.Ending? = nil, elapsed: Double, steal: Double? = nil, throttled: Int? = nil) {
      (self.ending, self.elapsed, self.steal, self.throttled) = (ending, elapsed, steal, throttled)
    }
  }
}

extension RecordLine: Codable {
  private enum Key: String, CodingKey { case kind, engine, bytes, row, rows, reason, reasons, seed, partition }
  private enum Kind: String, Codable {
    case start, idle, partition, inspected, run, runs, unavailable, failed, resumed, summary, end
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    switch try container.decode(Kind.self, forKey: .kind) {
    case .start: self = .start(try Start(from: decoder))
    case .idle:
      self = .idle(
        engine: try container.decode(String.self, forKey: .engine),
        bytes: try container.decode(Double.self, forKey: .bytes))
    case .partition:
      self = .partition(
        row: try container.decode(Int.self, forKey: .row),
        try container.decode(MeasuredPartition.self, forKey: .partition))
    case .inspected: self = .inspected(try Inspected(from: decoder))
    case .run: self = .run(try RunLine(from: decoder))
    case .runs: self = .runs(try Runs(from: decoder))
    case .unavailable:
      self = .unavailable(
        rows: try container.decode([Int].self, forKey: .rows),
        reasons: try container.decode([String: String].self, forKey: .reasons))
    case .failed:
      self = .failed(
        row: try container.decode(Int.self, forKey: .row), reason: try container.decode(String.self, forKey: .reason))
    case .resumed: self = .resumed(seed: try container.decode(UInt64.self, forKey: .seed))
    case .summary: self = .summary(try Summary(from: decoder))
    case .end: self = .end(try End(from: decoder))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    func put(_ kind: Kind, _ payload: any Encodable) throws {
      try container.encode(kind, forKey: .kind)
      try payload.encode(to: encoder)
    }
    switch self {
    case .start(let line): try put(.start, line)
    case .idle(let engine, let bytes):
      try container.encode(Kind.idle, forKey: .kind)
      try container.encode(engine, forKey: .engine)
      try container.encode(bytes, forKey: .bytes)
    case .partition(let row, let partition):
      try container.encode(Kind.partition, forKey: .kind)
      try container.encode(row, forKey: .row)
      try container.encode(partition, forKey: .partition)
    case .inspected(let line): try put(.inspected, line)
    case .run(let line): try put(.run, line)
    case .runs(let line): try put(.runs, line)
    case .unavailable(let rows, let reasons):
      try container.encode(Kind.unavailable, forKey: .kind)
      try container.encode(rows, forKey: .rows)
      try container.encode(reasons, forKey: .reasons)
    case .failed(let row, let reason):
      try container.encode(Kind.failed, forKey: .kind)
      try container.encode(row, forKey: .row)
      try container.encode(reason, forKey: .reason)
    case .resumed(let seed):
      try container.encode(Kind.resumed, forKey: .kind)
      try container.encode(seed, forKey: .seed)
    case .summary(let line): try put(.summary, line)
    case .end(let line): try put(.end, line)
    }
  }

  /// Whether it tells of runs.
  package var isTime: Bool {
    switch self {
    case .run, .runs: true
    default: false
    }
  }

  /// The line as a file has it, with its end.
  package var data: Data {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      return try encoder.encode(self) + Data("\n".utf8)
    }
  }
}

/// What inspected configurations have in common: a kept record says it once, and says it again where it is something else.
/// An engine's hello is one for all of them; device, weights, input and expected output are one for the same work on the
/// same backend.
struct CommonFacts {
  private var hellos: [String: WorkerLine.Hello] = [:]
  private var earlier: [[String]: RecordLine.Inspected] = [:]
  private let axes: AxisTable

  init(_ axes: AxisTable) { self.axes = axes }

  /// The line without what an earlier one says too.
  mutating func without(_ line: RecordLine.Inspected, _ configuration: Configuration) -> RecordLine.Inspected {
    combine(line, configuration, leavesOut: true)
  }

  /// The line with what an earlier one says for it.
  mutating func with(_ line: RecordLine.Inspected, _ configuration: Configuration) -> RecordLine.Inspected {
    combine(line, configuration, leavesOut: false)
  }

  private mutating func combine(
    _ line: RecordLine.Inspected, _ configuration: Configuration, leavesOut: Bool
  ) -> RecordLine.Inspected {
    guard var prepared = line.prepared else { return line }
    func pick<Value: Equatable>(_ value: Value?, _ before: Value?) -> Value? {
      leavesOut ? (value == before ? nil : value) : value ?? before
    }
    var result = line
    let engine = configuration[Axes.engine]
    result.hello = pick(line.hello, hellos[engine])
    hellos[engine] = hellos[engine] ?? line.hello
    let key = [engine, configuration[Axes.backend], axes.work(of: configuration).id]
    if let before = earlier[key], let told = before.prepared {
      prepared.device = pick(prepared.device, told.device)
      prepared.weights = pick(prepared.weights, told.weights)
      prepared.input = pick(prepared.input, told.input)
      prepared.originalWeightBytes = pick(prepared.originalWeightBytes, told.originalWeightBytes)
      prepared.macs = pick(prepared.macs, told.macs)
      result.expected = pick(line.expected, before.expected)
    } else {
      earlier[key] = line
    }
    result.prepared = prepared
    return result
  }
}

extension RecordLine.RunLine {
  /// The median of each slice, in nanoseconds; empty where the line is older than slices.
  var sliceMedians: [Double] { slicesNs.map { $0.map { median($0.map(Double.init)) } } ?? mediansNs ?? [] }
}

extension RecordLine.Runs {
  /// Digits that are kept of a median: parts of the least of a row's.
  private static let parts = 1000.0

  /// A row's runs with the medians of their slices alone.
  init(_ row: Int, _ runs: [Run]) {
    let numbers = runs.map(\.number)
    self.init(
      row: row, numbers: zip(numbers, [0] + numbers).map { $0 - $1 },
      partners: runs.map { run in run.partner.map { $0 - run.number } ?? 0 })
    if runs.allSatisfy({ !$0.sliceMediansNs.isEmpty }) {
      let unit = max(1, Int((runs.flatMap(\.sliceMediansNs).min() ?? 1) / Self.parts))
      unitNs = unit
      medians = runs.map { run in
        let whole = run.sliceMediansNs.map { Int(($0 / Double(unit)).rounded()) }
        return zip(whole, [0] + whole).map { $0 - $1 }
      }
    } else {
      mediansNs = runs.map { Int($0.medianNs.rounded()) }
      ratios = runs.allSatisfy { $0.ratio == nil } ? nil : runs.map { (($0.ratio ?? 0) * 1e6).rounded() / 1e6 }
    }
    let loads = runs.compactMap { run -> (String, Double)? in
      let load = run.metrics["other-load"] ?? 0
      return load > Row.OtherWork.least ? ("\(run.number)", (load * 100).rounded() / 100) : nil
    }
    otherLoad = loads.isEmpty ? nil : Dictionary(loads) { first, _ in first }
  }

  /// The runs one by one.
  /// - Throws: ``UserError`` where the lists are not of one length.
  func lines() throws -> [RecordLine.RunLine] {
    for (name, count) in [
      ("partners", partners?.count ?? numbers.count), ("medians", medians?.count ?? numbers.count),
      ("mediansNs", mediansNs?.count ?? numbers.count), ("ratios", ratios?.count ?? numbers.count),
    ] {
      try require(count == numbers.count, "\(name), its length", count, "one for each of \(numbers.count) runs")
    }
    // Sums of what a file says must not overflow.
    for (name, values, limit) in [
      ("numbers", numbers, 1 << 40), ("partners", partners ?? [], 1 << 40), ("unitNs", [unitNs ?? 1], 1 << 40),
      ("medians", medians?.flatMap { $0 } ?? [], 1 << 40),
    ] {
      let wrong = values.first { !(-limit...limit).contains($0) }
      try require(wrong == nil, name, wrong ?? 0, "from −\(limit) to \(limit)")
    }
    try require((unitNs ?? 1) > 0, "unitNs", unitNs ?? 1, "nanoseconds above 0")
    var number = 0
    return try numbers.indices.map { index in
      number += numbers[index]
      var line = RecordLine.RunLine(number: number, row: row)
      let partner = partners?[index] ?? -1
      line.partner = partner == 0 ? nil : number + partner
      var sum = 0
      line.mediansNs = try medians?[index].map { difference in
        sum += difference
        let median = Double(sum) * Double(unitNs ?? 1)
        try require(abs(median) <= CheckedJSON.largest, "medians", median, "of nanoseconds that an integer can hold")
        return median
      }
      line.medianNs = mediansNs.map { Double($0[index]) }
      line.ratio = ratios.flatMap { $0[index] > 0 ? $0[index] : nil }
      line.metrics = otherLoad?["\(number)"].map { ["other-load": $0] }
      return line
    }
  }
}
