import BenchModel
import BenchProtocol
import BenchStatistics
import Foundation

/// Schedules runs, pairs them and decides when a configuration is known well enough. It computes no model: workers do.
/// Whatever it finds out is a line of the record; what it knows is what the record says.
public actor Runner {
  public enum Event: Sendable {
    /// A row, by its place, is being inspected or timed.
    case measuring(row: Int, Progress)
    /// Something more is known of a row.
    case row(Int, Row)
    /// A complete record was there; it is kept under this name.
    case kept(URL)
  }

  /// How far a run is.
  public struct Progress: Sendable {
    /// Whether the row is timed, rather than inspected.
    public var isTiming: Bool
    public var seconds: Double
    public var budget: Double
    public var pairs: Int
    /// Rows that are timed, and those of them whose interval is as narrow as it is wanted.
    public var timed: Int
    public var resolved: Int
  }

  private let suite: Suite
  private let workers: Workers
  private let inspector: Inspector
  private let report: @Sendable (Event) -> Void
  private var record: Record
  private var writer: RecordWriter
  private var isInterrupted = false
  private var current: (() -> Void)?
  private let watch: Stopwatch
  private let elapsedBefore: Double
  private let counters = MachineCounters.now()
  private let scheduler = Scheduler()
  private var costs: [Cost]
  private var pairs = 0
  /// Iterations before the first slice: what comes after is a median.
  private static let warmup = 5

  /// Seconds that a row took until now.
  private struct Cost {
    /// Two inferences, and what comes before them.
    var inspection: Double?
    /// The last pair, and what of it was not spent on timed iterations.
    var pair: Double?
    var overhead: Double?
    var allPairs = 0.0
  }

  private init(
    _ suite: Suite, _ catalog: Catalog, workers: Workers, record: Record, writer: RecordWriter,
    report: @escaping @Sendable (Event) -> Void
  ) {
    (self.suite, self.workers, self.record, self.writer) = (suite, workers, record, writer)
    (self.report, elapsedBefore) = (report, record.elapsed)
    inspector = Inspector(catalog: catalog, workers: workers)
    watch = Stopwatch(workers.clock)
    // What a record that goes on took, as far as its runs tell.
    costs = record.rows.map { row in
      var cost = Cost()
      if row.baseline != nil { cost.allPairs = row.runs.reduce(0) { $0 + 2 * Self.seconds($1) } }
      return cost
    }
  }

  /// A new record.
  /// - Throws: ``UserError`` where it cannot be written.
  public init(
    suite: Suite, _ catalog: Catalog, start: RecordLine.Start, workers: Workers, to url: URL,
    report: @escaping @Sendable (Event) -> Void
  ) throws {
    var writer = try RecordWriter(url, continues: false)
    _ = try writer.append(.start(start))
    self.init(suite, catalog, workers: workers, record: Record(start, catalog), writer: writer, report: report)
  }

  /// A record that was cut short and goes on.
  /// - Throws: ``UserError`` where it cannot be read or written.
  public init(
    suite: Suite, _ catalog: Catalog, resuming record: Record, workers: Workers, to url: URL,
    report: @escaping @Sendable (Event) -> Void
  ) throws {
    var (record, writer) = (record, try RecordWriter(url, continues: true))
    let line = RecordLine.resumed(seed: workers.chance.seed)
    _ = try writer.append(line)
    try record.apply(line)
    for (row, partition) in record.partitions { workers.adopt(partition, for: record.rows[row].configuration) }
    self.init(suite, catalog, workers: workers, record: record, writer: writer, report: report)
  }

  /// Ends the running worker and makes `run` return with what there is.
  public func interrupt() {
    isInterrupted = true
    current?()
  }

  private var elapsed: Double { elapsedBefore + watch.elapsed }
  /// Of the budget, which every call has anew: what was cut short goes on.
  private var left: Double { suite.budget - watch.elapsed }
  private var goesOn: Bool { !isInterrupted && !Task.isCancelled }

  /// Measures until every row is known to the suite's interval or the time is spent.
  public func run() async throws -> Record {
    defer { writer.close() }
    for isHeadline in [true, false] {
      // First figures of a row at once, so that a short budget leaves whole rows.
      for index in record.rows.indices where record.rows[index].isHeadline == isHeadline && goesOn {
        if let baseline = record.baseline(of: index) { try await inspect(baseline) }
        try await inspect(index)
        if needsRun(index), record.rows[index].runs.isEmpty, hasTime(for: index) { try await time(index) }
      }
      try await timeWhile { isHeadline ? $0.isHeadline && $0.lacksPairs : true }
    }
    try finish()
    return record
  }

  /// Times rows as long as the one that is next is one of those.
  private func timeWhile(_ isWanted: (Scheduler.Candidate) -> Bool) async throws {
    while goesOn {
      let open = record.rows.indices.filter(needsRun)
      let candidates = open.map(candidate)
      guard
        let next = workers.chance.draw({ [scheduler, left] in scheduler.next(candidates, left: left, using: &$0) }),
        isWanted(candidates[next])
      else { return }
      try await time(open[next])
    }
  }

  private func candidate(_ index: Int) -> Scheduler.Candidate {
    let row = record.rows[index]
    return Scheduler.Candidate(
      isHeadline: row.isHeadline, pairs: row.runs.count, least: suite.leastPairs,
      halfWidth: (row.ratio ?? row.latency)?.relativeHalfWidth ?? .infinity,
      target: row.isHeadline ? suite.targetInterval : suite.otherInterval, seconds: cost(index),
      spent: costs[index].allPairs)
  }

  /// Ends the record, and tells of what was left out.
  private func finish() throws {
    let missing = record.rows.indices.filter(record.isMissing)
    var environment = record.environment
    environment.noteDisturbances(since: counters)
    try note(
      .end(
        .init(
          ending: isInterrupted ? .interrupted : missing.isEmpty ? nil : .budget, elapsed: elapsed,
          steal: environment.steal, throttled: environment.throttled)))
    if !isInterrupted { for index in missing { report(.row(index, record.rows[index])) } }
  }

  private func note(_ line: RecordLine) throws {
    try record.apply(line)
    if let kept = try writer.append(line) { report(.kept(kept)) }
  }

  // MARK: First metrics

  /// Inspects a row that is not yet; finds out what cannot run and what is the same.
  private func inspect(_ index: Int) async throws {
    guard record.rows[index].status == .pending, goesOn, left > 0 else { return }
    let pending = record.rows[index]
    progress(index, isTiming: false)
    try await measureIdle(pending.configuration[Axes.engine])
    let watch = Stopwatch(workers.clock)
    let seconds = left
    let found = await cancellable { [inspector] in await inspector.inspect(pending, within: seconds) }
    guard goesOn else { return }
    costs[index].inspection = watch.elapsed
    if record.partitions[index] == nil, let partition = workers.measuredPartition(of: pending.configuration) {
      try note(.partition(row: index, partition))
    }
    // The time was not enough.
    if found.status == .pending { return }
    try note(.inspected(.init(found, at: index)))
    report(.row(index, record.rows[index]))
  }

  /// What an empty worker of an engine needs, once.
  private func measureIdle(_ engine: String) async throws {
    guard record.idleResident[engine] == nil, goesOn, left > 0 else { return }
    var empty = Configuration(choices: [:])
    empty[Axes.engine] = engine
    if let bytes = await perform(empty, Job(.idle)).reading("peak-resident") {
      try note(.idle(engine: engine, bytes: bytes))
    }
  }

  // MARK: Timing

  /// A fresh process of the row; its baseline's is interleaved with it, and is a run of the baseline too.
  private func time(_ index: Int) async throws {
    progress(index, isTiming: true)
    let watch = Stopwatch(workers.clock)
    defer {
      let seconds = watch.elapsed
      pairs += 1
      let timed = [index, measuredBaseline(of: index)].compactMap { $0.flatMap { record.rows[$0].runs.last } }
      costs[index].pair = seconds
      costs[index].overhead = max(0, seconds - timed.reduce(0) { $0 + $1.timedNs * 1e-9 })
      costs[index].allPairs += seconds
      for row in [measuredBaseline(of: index), index].compactMap({ $0 }) { report(.row(row, record.rows[row])) }
    }
    let before = MachineCounters.now()
    let place = (round: record.rows[index].runs.count, at: elapsed)
    let seconds = max(left, 0) + 1
    guard let baseline = measuredBaseline(of: index) else {
      var job = suite.job
      job.configuration = record.rows[index].configuration
      let outcome = await perform(record.rows[index].configuration, job, within: seconds)
      return try note(outcome, index, place, partner: nil, since: before)
    }
    guard let (a, b, plan) = try await assignments(baseline, index) else { return }
    let baselineFirst = workers.chance.draw { Bool.random(using: &$0) }
    let timeout = min(workers.timeout + 3 * (plan?.seconds ?? 0), seconds)
    let outcomes = await cancellable { [launcher = workers.launcher] in
      await launcher.pair(a, b, aFirst: baselineFirst, plan, timeout: timeout)
    }
    guard goesOn else { return }
    if let failure = outcomes.a.failure, outcomes.b.failure == nil || outcomes.a.isLate {
      if outcomes.a.isLate && timeout == seconds { return }
      return try fail(index, "its baseline, beside it: \(failure)")
    }
    let number = record.nextNumber
    var partner: Int?
    if outcomes.b.problem == nil && !outcomes.b.samples.isEmpty {
      try note(outcomes.a, baseline, place, number: number, partner: number + 1, since: before)
      partner = number
    }
    try note(outcomes.b, index, place, number: number + 1, partner: partner, since: before)
  }

  /// What the baseline and the row are to do in one pair; nil, and the row failed, where that cannot be found out.
  private func assignments(_ baseline: Int, _ index: Int) async throws -> (
    a: Assignment, b: Assignment, plan: Interleaving?
  )? {
    let rows = [baseline, index].map { record.rows[$0] }
    let isInterleaved = rows.allSatisfy { $0.hello?.interleaves == true }
    var jobs = rows.map { row in
      var job = suite.job
      job.configuration = row.configuration
      return job
    }
    var plan: Interleaving?
    if isInterleaved {
      if let iterations = suite.job.iterations {
        let count = (1...Interleaving.fewest).last { iterations % $0 == 0 && ($0 % 2 == 0 || $0 == 1) }!
        plan = Interleaving(least: count)
        for side in jobs.indices { jobs[side].iterations = iterations / count }
      } else {
        // Slices of the same length, so that both have timed enough at about the same time.
        let paces = [baseline, index].map(pace)
        let slice = paces.map(\.slice).max()!
        let overhead = costs[index].overhead ?? max(costs[baseline].inspection ?? 0, costs[index].inspection ?? 0)
        plan = Interleaving(
          least: Interleaving.fewest(of: slice),
          seconds: scheduler.timedSeconds(least: suite.job.minSeconds, overhead: overhead))
        for (side, pace) in paces.enumerated() {
          jobs[side].iterations = pace.iterations(in: slice)
          jobs[side].warmup = suite.job.warmup ?? pace.warmup(within: suite.job.minSeconds / 2)
        }
      }
      // The same processors for both; where one needs fewer, some of them.
      let threads = rows.map { $0.configuration[Axes.threads] }
      let processors = workers.chance.processors(threads.max()!)
      for side in jobs.indices { jobs[side].processors = processors.map { Array($0.prefix(threads[side])) } }
    }
    do {
      return (
        try await workers.assignment(rows[0].configuration, jobs[0]),
        try await workers.assignment(rows[1].configuration, jobs[1]), plan
      )
    } catch {
      try fail(index, "\(error)")
      return nil
    }
  }

  /// How fast a row is: as it was when last timed, as its worker said when inspected, or at most as slow as that was.
  private func pace(of index: Int) -> Interleaving.Pace {
    let told = record.rows[index].metrics["steady-latency"].map { $0 * 1e-9 }
    let latency =
      record.rows[index].runs.last.map { $0.medianNs * 1e-9 } ?? told ?? costs[index].inspection.map { $0 / 2 }
    return Interleaving.Pace(latency: max(latency ?? 0.1, 1e-9), warmup: Self.warmup)
  }

  private func note(
    _ outcome: JobOutcome, _ index: Int, _ place: (round: Int, at: Double), number: Int? = nil, partner: Int?,
    since before: MachineCounters?
  ) throws {
    guard goesOn else { return }
    // The budget ended it, not what it did.
    if outcome.isLate && left < 0 { return }
    guard outcome.failure == nil, let prepared = outcome.prepared, !outcome.samples.isEmpty else {
      return try fail(index, outcome.problem ?? "the worker gave no samples")
    }
    var line = RecordLine.RunLine(number: number ?? record.nextNumber, row: index)
    (line.partner, line.round, line.at) = (partner, place.round, place.at)
    line.slicesNs = outcome.samples.map(\.latenciesNs)
    let timed = outcome.samples.reduce(0) { $0 + ($1.timed ?? $1.latenciesNs.count) }
    line.timed = timed > outcome.samples.reduce(0) { $0 + $1.latenciesNs.count } ? timed : nil
    var metrics: [String: Double] = [:]
    for reading in outcome.readings { metrics[reading.name] = reading.value }
    metrics["load"] = Double(prepared.loadNs)
    metrics["optimise"] = prepared.optimiseNs.map(Double.init)
    metrics["prepare"] = Double(prepared.prepareNs)
    if let warmed = outcome.warmed {
      metrics["first-inference"] = Double(warmed.firstInferenceNs)
      metrics["warm-up"] = Double(warmed.timeNs)
    }
    if let before, let now = MachineCounters.now() { metrics["other-load"] = before.othersLoad(until: now) }
    line.metrics = metrics
    try note(.run(line))
    // Every run says so, and the record once.
    let row = record.rows[index]
    let reasons = outcome.readings.compactMap { reading -> (String, String)? in
      guard row.unavailableMetrics[reading.name] == nil, row.medianOfRuns(reading.name) == nil else { return nil }
      return reading.unavailable.map { (reading.name, Format.plain($0)) }
    }
    if !reasons.isEmpty {
      try note(.unavailable(rows: [index], reasons: Dictionary(reasons) { first, _ in first }))
    }
  }

  private func fail(_ index: Int, _ reason: String) throws {
    try note(.failed(row: index, reason: reason))
  }

  private func needsRun(_ index: Int) -> Bool {
    let row = record.rows[index]
    guard row.status == .measured else { return false }
    // A baseline is timed beside the rows that are held against it.
    if record.dependents(of: index).contains(where: { [.measured, .pending].contains(record.rows[$0].status) }) {
      return false
    }
    guard row.runs.count < suite.rounds else { return false }
    return row.runs.isEmpty || costs[index].allPairs + cost(index) <= suite.configurationBudget
  }

  /// The row that ratios are taken against, where it and the row are measured.
  private func measuredBaseline(of index: Int) -> Int? {
    record.baseline(of: index).flatMap { record.rows[$0].status == .measured ? $0 : nil }
  }

  /// What a pair of a row takes: as the last did, as its runs told, or before the first as inspecting did.
  private func cost(_ index: Int) -> Double {
    if let last = costs[index].pair { return last }
    // Inspecting may have compiled what is kept from then on: what does not fit after all is cut short.
    let most = record.rows[index].runs.isEmpty ? Self.longestGuess : .infinity
    return min(
      most,
      [index, measuredBaseline(of: index)].compactMap { $0 }.reduce(0) {
        $0 + (record.rows[$1].runs.last.map(Self.seconds) ?? costs[$1].inspection ?? 0.5)
      })
  }

  /// Seconds that a pair which was never run is expected to take at most.
  private static let longestGuess = 5.0

  /// What a run cost, as far as it told.
  private static func seconds(_ run: Run) -> Double {
    let before = ["load", "optimise", "prepare", "first-inference", "warm-up"].reduce(0) { $0 + (run.metrics[$1] ?? 0) }
    return (before + run.timedNs) * 1e-9 + 0.05
  }

  /// Whether its pair is expected to fit in what is left. Until there is a run of any row it is tried in any case, and cut short
  /// where it does not fit: the guess comes of inspecting, which compiles and checks, and a record without a figure is of no use.
  private func hasTime(for index: Int) -> Bool {
    cost(index) < left || (left > 0 && record.rows.allSatisfy(\.runs.isEmpty))
  }

  // MARK: Workers

  private func progress(_ index: Int, isTiming: Bool) {
    let timed = record.rows.indices.filter { !record.rows[$0].runs.isEmpty && record.rows[$0].baseline != nil }
    report(
      .measuring(
        row: index,
        Progress(
          isTiming: isTiming, seconds: watch.elapsed, budget: suite.budget, pairs: pairs, timed: timed.count,
          resolved: timed.count { candidate($0).isDone })))
  }

  private func perform(_ configuration: Configuration, _ job: Job, within seconds: Double? = nil) async -> JobOutcome {
    let seconds = seconds ?? max(left, 0.01)
    return await cancellable { [workers] in await workers.perform(configuration, job, within: seconds) }
  }

  /// The value of `body`, which `interrupt` cancels.
  private func cancellable<Value: Sendable>(_ body: @escaping @Sendable () async -> Value) async -> Value {
    let task = Task { await body() }
    current = { task.cancel() }
    defer { current = nil }
    return await task.value
  }
}
