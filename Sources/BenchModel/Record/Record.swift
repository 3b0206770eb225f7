import BenchProtocol
import BenchStatistics
import Foundation
import struct RuntimeCore.MeasuredPartition

/// One run of a suite: the sum of its lines. A record that grows and one that is read are made in the same way, line by
/// line, so that every estimate in a report follows from the file alone.
public struct Record: Sendable {
  public static let schema = "pacer-record-3"

  /// How a run ended that did not do all it was to do.
  public enum Ending: String, Codable, Sendable, CaseIterable {
    case interrupted
    /// Its time was spent.
    case budget
  }

  public let start: RecordLine.Start
  public var rows: [Row]
  public private(set) var environment: MachineDescription
  /// What an empty worker of each engine needs, in bytes.
  public private(set) var idleResident: [String: Double] = [:]
  /// How graphs are divided by measured times, by row.
  public private(set) var partitions: [Int: MeasuredPartition] = [:]
  public private(set) var elapsed = 0.0
  public private(set) var ending: Ending?
  /// Whether the last line says that all was done.
  public private(set) var hasEnded = false
  /// Whether ratios are as they were stored, and cannot be made again from the record.
  public private(set) var isAsStored = false

  private var indices: [String: Int]
  private var sliceMedians: [Int: [Double]] = [:]
  /// Rows that are held against each.
  private var dependents: [Int: [Int]] = [:]
  /// The first row of each graph with the same other choices.
  private var graphs: [String: Int] = [:]
  private var common: CommonFacts
  private var numbers = 0

  public var version: String { start.version }
  public var suite: String { start.suite }
  public var command: String { start.command }
  public var started: String { start.started }
  /// Every pass there was, in order.
  public var passes: [String] { start.passes }

  /// - Parameter catalog: names rows; what its passes are is the record's.
  public init(_ start: RecordLine.Start, _ catalog: Catalog) {
    (self.start, environment, common) = (start, start.environment, CommonFacts(catalog.axes))
    rows = Row.planned(start.configurations, catalog, passes: start.passes)
    indices = Dictionary(rows.enumerated().map { ($1.id, $0) }) { first, _ in first }
    for (index, planned) in start.configurations.enumerated() {
      if let baseline = planned.baseline { dependents[baseline, default: []].append(index) }
    }
  }

  // MARK: Lines

  /// Takes the next line in.
  /// - Throws: ``UserError`` that names the field which cannot be right.
  public mutating func apply(_ line: RecordLine) throws {
    switch line {
    case .start: throw UserError("a record starts once")
    case .idle(let engine, let bytes): idleResident[engine] = bytes
    case .partition(let row, let partition):
      try WorkerLine.partition(partition).check()
      partitions[try index(row)] = partition
    case .inspected(let line): try apply(line)
    case .run(let line): try apply(line)
    case .runs(let line): for line in try line.lines() { try apply(line) }
    case .unavailable(let rows, let reasons):
      for row in rows {
        let row = try index(row)
        // Another run could.
        let reasons = reasons.filter { self.rows[row].medianOfRuns($0.key) == nil }
        self.rows[row].unavailableMetrics.merge(reasons) { known, _ in known }
      }
    case .failed(let row, let reason):
      let row = try index(row)
      (rows[row].status, rows[row].reason) = (.failed, reason)
    case .resumed:
      (ending, hasEnded) = (nil, false)
      // What was inspected and not timed goes on where it was.
      for index in rows.indices where rows[index].status == .pending {
        (rows[index].status, rows[index].reason) = (rows[index].hello == nil ? .pending : .measured, nil)
      }
    case .summary(let line):
      let row = try index(line.row)
      try require(
        line.quantilesNs.count == 5 && line.quantilesNs.allSatisfy { $0 > 0 }, "quantilesNs", line.quantilesNs,
        "five percentiles above 0")
      try Self.check(timed: line.timed)
      (rows[row].quantilesNs, rows[row].medians) = (line.quantilesNs.map(Double.init), line.metrics)
      rows[row].timedInAll = line.timed
    case .end(let line):
      (ending, elapsed, hasEnded) = (line.ending, line.elapsed, true)
      try require(elapsed >= 0 && elapsed <= 1e12, "elapsed", elapsed, "seconds")
      (environment.steal, environment.throttled) = (line.steal, line.throttled)
      if let ending {
        for index in rows.indices where isMissing(index) {
          rows[index].status = .pending
          rows[index].reason = ending == .interrupted ? "interrupted" : "budget spent"
        }
      }
      summarise()
    }
  }

  /// Whether a row has no times, and nothing says why.
  package func isMissing(_ index: Int) -> Bool {
    rows[index].status == .pending || rows[index].status == .measured && rows[index].runs.isEmpty
  }

  private func index(_ row: Int) throws -> Int {
    try require(rows.indices.contains(row), "row", row, "the record has \(rows.count) rows")
    return row
  }

  private mutating func apply(_ line: RecordLine.Inspected) throws {
    let index = try index(line.row)
    try line.prepared?.check()
    var row = rows[index]
    let line = common.with(line, row.configuration)
    (row.status, row.reason, row.hello, row.prepared) = (line.status, line.reason, line.hello, line.prepared)
    (row.notes, row.metrics) = (line.notes ?? [], line.metrics ?? [:])
    (row.unavailableMetrics, row.accuracy) = (line.unavailable ?? [:], line.accuracy)
    (row.outputDigest, row.expectedDigest) = (line.output, line.expected)
    row.expectedFrom = line.expectedFrom
    row.sameAs = line.sameAs.flatMap { rows.indices.contains($0) ? rows[$0].id : nil }
    rows[index] = row
    noteGraph(index)
  }

  /// A row that runs the graph of an earlier one, all else alike, is measured there.
  private mutating func noteGraph(_ index: Int) {
    guard rows[index].status == .measured, let graph = rows[index].prepared?.graph else { return }
    var others = rows[index].configuration
    others[Axes.passes] = []
    let key = graph + others.id
    if let other = graphs[key], other != index {
      (rows[index].status, rows[index].sameAs) = (.same, rows[other].id)
    } else {
      graphs[key] = index
    }
  }

  private static func check(timed: Int) throws {
    try require((0...1 << 44).contains(timed), "timed", timed, "iterations are from 0 to 2⁴⁴")
  }

  private mutating func apply(_ line: RecordLine.RunLine) throws {
    let index = try index(line.row)
    let medians = line.sliceMedians
    try require(
      medians.allSatisfy { $0 > 0 && $0.isFinite } && (line.medianNs ?? 1) > 0, "slices", line.number,
      "the latencies of a run are above 0")
    try require(!medians.isEmpty || line.medianNs != nil, "slices", "none", "a run that timed nothing is none")
    try line.timed.map(Self.check)
    try require((line.ratio ?? 1) > 0, "ratio", line.ratio ?? 1, "a ratio is above 0")
    var metrics = line.metrics ?? [:]
    if let peak = metrics["peak-resident"] {
      let idle = idleResident[rows[index].configuration[Axes.engine]]
      metrics["peak-resident"] = idle.flatMap { peak >= $0 ? peak - $0 : nil }
    }
    let run = Run(
      number: line.number, partner: line.partner, round: line.round ?? 0, at: line.at ?? 0,
      slicesNs: line.slicesNs ?? [], sliceMediansNs: medians, medianNs: line.medianNs,
      timed: line.timed ?? (line.slicesNs ?? []).reduce(0) { $0 + $1.count }, metrics: metrics, ratio: line.ratio)
    if medians.isEmpty { isAsStored = true }
    sliceMedians[line.number] = medians
    // A record that was cut off has no end, and has lasted at least until here.
    elapsed = max(elapsed, min(line.at ?? 0, 1e12))
    rows[index].runs.append(run)
    for name in metrics.keys { rows[index].unavailableMetrics[name] = nil }
    numbers = max(numbers, line.number + 1)
    summarise(index)
  }

  // MARK: Estimates

  /// Makes every estimate anew.
  package mutating func summarise() {
    // Baselines first: others' latencies are seen from theirs.
    for index in rows.indices where rows[index].baseline == nil { summarise(index) }
    for index in rows.indices where rows[index].baseline != nil { summarise(index) }
  }

  /// A row's ratio is that of its pairs, and its latency the baseline's times that ratio: times, ratios and the order of
  /// both come from the same pairs and cannot contradict each other.
  private mutating func summarise(_ index: Int) {
    if rows[index].baseline != nil {
      // A partner's line may come after its own.
      for run in rows[index].runs.indices where rows[index].runs[run].ratio == nil {
        guard let partner = rows[index].runs[run].partner.flatMap({ sliceMedians[$0] }) else { continue }
        rows[index].runs[run].ratio = Run.ratio(of: rows[index].runs[run].sliceMediansNs, to: partner)
      }
    }
    let row = rows[index]
    guard !row.runs.isEmpty else { return }
    rows[index].latency = Estimate(geometric: row.runs.map(\.medianNs))
    let ratios = row.runs.compactMap(\.ratio)
    guard !ratios.isEmpty else { return }
    let ratio = Estimate(geometric: ratios)
    rows[index].ratio = ratio
    if let latency = row.baseline.flatMap({ indices[$0] }).flatMap({ rows[$0].latency }) {
      var seen = Estimate.product([(latency, 1), (ratio, 1)])
      seen.count = ratio.count
      rows[index].latency = seen
    }
  }

  // MARK: Looking things up

  /// The row of an id.
  public func row(_ id: String) -> Row? { indices[id].map { rows[$0] } }
  /// What the row of an id is called in this record.
  public func label(_ id: String) -> String { row(id)?.label ?? id }
  /// The index of the row that ratios of another are to.
  package func baseline(of index: Int) -> Int? { rows[index].baseline.flatMap { indices[$0] } }
  package func dependents(of index: Int) -> [Int] { dependents[index] ?? [] }
  /// A number that no run has yet.
  package var nextNumber: Int { numbers }

  /// Names of the models, in the order of the rows.
  public var models: [String] { rows.map(\.configuration.model).uniqued() }
  /// Whether anything was timed.
  public var hasTimes: Bool { rows.contains { !$0.runs.isEmpty } }
  /// Whether every row has metrics, or a reason that is its own. A run that was cut short has not.
  public var isComplete: Bool { hasEnded && ending == nil }
}
