import BenchModel
import BenchProtocol
import BenchStatistics
import Foundation

/// Schedules runs, pairs them and decides when a configuration is known well enough. It computes no model: workers do.
/// Whatever it finds out is a line of the record; what it knows is what the record says.
public actor Runner {
  public enum Event: Sendable {
    case measuring(label: String, model: String, done: Int, of: Int, round: Int)
    /// A row has its first metrics, or will not have any.
    case row(Row)
    case round(Int, unresolved: Int, worst: Double)
    /// A complete record was there; it is kept under this name.
    case kept(URL)
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
  /// Seconds that inspecting a row took: two inferences, and what comes before them.
  private var inspectionTimes: [Int: Double] = [:]
  /// Iterations before the first slice: what comes after is a median.
  private static let warmup = 5

  private init(
    _ suite: Suite, _ catalog: Catalog, workers: Workers, record: Record, writer: RecordWriter,
    report: @escaping @Sendable (Event) -> Void
  ) {
    (self.suite, self.workers, self.record, self.writer) = (suite, workers, record, writer)
    (self.report, elapsedBefore) = (report, record.elapsed)
    inspector = Inspector(catalog: catalog, workers: workers)
    watch = Stopwatch(workers.clock)
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
    self.init(suite, catalog, workers: workers, record: record, writer: writer, report: report)
  }

  /// Ends the running worker and makes `run` return with what there is.
  public func interrupt() {
    isInterrupted = true
    current?()
  }

  private var elapsed: Double { elapsedBefore + watch.elapsed }
  private var left: Double { suite.budget - elapsed }
  private var goesOn: Bool { !isInterrupted && !Task.isCancelled }

  /// Measures until every row is known to the suite's interval or the time is spent.
  public func run() async throws -> Record {
    defer { writer.close() }
    for engine in record.rows.map({ $0.configuration[Axes.engine] }).uniqued()
    where record.idleResident[engine] == nil && goesOn && left > 0 {
      var empty = Configuration(choices: [:])
      empty[Axes.engine] = engine
      if let bytes = await perform(empty, Job(.idle)).reading("peak-resident") {
        try note(.idle(engine: engine, bytes: bytes))
      }
    }
    try await measureFirst()
    var round = (record.rows.flatMap(\.runs).map(\.round).max() ?? 0) + 1
    while goesOn {
      let open = record.rows.indices.filter(needsRun)
      guard !open.isEmpty, round < suite.rounds, hasTime(for: open) else { break }
      let order = workers.chance.draw { open.shuffled(using: &$0) }
      for (position, index) in order.enumerated() where goesOn && hasTime(for: [index]) {
        progress(index, position, order.count, round)
        try await time(index, round)
      }
      record.summarise()
      let widths = record.rows.filter { $0.status == .measured }.map {
        ($0.ratio ?? $0.latency)?.relativeHalfWidth ?? .infinity
      }
      report(.round(round, unresolved: widths.count { $0 > suite.targetInterval }, worst: widths.max() ?? 0))
      round += 1
    }
    try finish()
    return record
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
    if !isInterrupted { for index in missing { report(.row(record.rows[index])) } }
  }

  private func note(_ line: RecordLine) throws {
    try record.apply(line)
    if let kept = try writer.append(line) { report(.kept(kept)) }
  }

  // MARK: First metrics

  /// Deterministic metrics, output and a first time of every row, one after the other, so that a short budget leaves whole
  /// rows.
  private func measureFirst() async throws {
    for index in record.rows.indices {
      guard goesOn else { return }
      if let baseline = record.baseline(of: index) { try await inspect(baseline) }
      try await inspect(index)
      if needsRun(index), record.rows[index].runs.isEmpty, hasTime(for: [index]) {
        progress(index, index, record.rows.count, 0)
        try await time(index, 0)
      }
    }
    // A baseline beside which nothing could be timed.
    for index in record.rows.indices
    where goesOn && needsRun(index) && record.rows[index].runs.isEmpty && hasTime(for: [index]) {
      try await time(index, 0)
    }
  }

  /// Inspects a row that is not yet; finds out what cannot run and what is the same.
  private func inspect(_ index: Int) async throws {
    guard record.rows[index].status == .pending, goesOn, left > 0 else { return }
    let pending = record.rows[index]
    progress(index, index, record.rows.count, -1)
    let watch = Stopwatch(workers.clock)
    let seconds = left
    let found = await cancellable { [inspector] in await inspector.inspect(pending, within: seconds) }
    guard goesOn else { return }
    inspectionTimes[index] = watch.elapsed
    // The time was not enough.
    if found.status == .pending { return }
    try note(.inspected(.init(found, at: index)))
    if record.rows[index].status != .measured { report(.row(record.rows[index])) }
  }

  // MARK: Timing

  /// A fresh process of the row; its baseline's is interleaved with it, and is a run of the baseline too.
  private func time(_ index: Int, _ round: Int) async throws {
    let before = MachineCounters.now()
    let place = (round: round, at: elapsed)
    let seconds = max(left, 0) + 1
    guard let baseline = measuredBaseline(of: index) else {
      var job = suite.job
      job.configuration = record.rows[index].configuration
      let outcome = await perform(record.rows[index].configuration, job, within: seconds)
      return try note(outcome, index, place, partner: nil, since: before)
    }
    guard let (a, b, plan) = try await assignments(baseline, index) else { return }
    let baselineFirst = workers.chance.draw { Bool.random(using: &$0) }
    let timeout = min(workers.timeout, seconds)
    let outcomes = await cancellable { [launcher = workers.launcher] in
      await launcher.pair(a, b, aFirst: baselineFirst, plan, timeout: timeout)
    }
    guard goesOn else { return }
    if let failure = outcomes.a.failure, outcomes.b.failure == nil || outcomes.a.isLate {
      if outcomes.a.isLate && timeout < workers.timeout { return }
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
        plan = Interleaving(least: Interleaving.fewest(of: slice), seconds: suite.job.minSeconds)
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
      record.rows[index].runs.last.map { $0.medianNs * 1e-9 } ?? told ?? inspectionTimes[index].map { $0 / 2 }
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
    if record.rows[index].runs.count == 1 { report(.row(record.rows[index])) }
  }

  private func fail(_ index: Int, _ reason: String) throws {
    try note(.failed(row: index, reason: reason))
    report(.row(record.rows[index]))
  }

  private func needsRun(_ index: Int) -> Bool {
    let row = record.rows[index]
    guard row.status == .measured else { return false }
    // A baseline is timed beside the rows that are held against it.
    if record.dependents(of: index).contains(where: { [.measured, .pending].contains(record.rows[$0].status) }) {
      return false
    }
    guard Double(row.runs.count) * cost(index) < suite.configurationBudget else { return row.runs.isEmpty }
    // However narrow its interval: below that nothing is said of it.
    guard row.runs.count >= Estimate.runsForVerdict else { return true }
    return ((row.ratio ?? row.latency)?.relativeHalfWidth ?? .infinity) > suite.targetInterval
  }

  /// The row that ratios are taken against, where it and the row are measured.
  private func measuredBaseline(of index: Int) -> Int? {
    record.baseline(of: index).flatMap { record.rows[$0].status == .measured ? $0 : nil }
  }

  /// What the last run of a row took, its baseline's part included; before the first, what inspecting did.
  private func cost(_ index: Int) -> Double {
    [index, measuredBaseline(of: index)].compactMap { $0 }.reduce(0) {
      $0 + (record.rows[$1].runs.last.map(seconds) ?? inspectionTimes[$1] ?? 0.5)
    }
  }

  /// What a run cost, as far as it told.
  private func seconds(_ run: Run) -> Double {
    let before = ["load", "optimise", "prepare", "first-inference", "warm-up"].reduce(0) { $0 + (run.metrics[$1] ?? 0) }
    return (before + Double(run.timed) * run.medianNs) * 1e-9 + 0.05
  }

  private func hasTime(for indices: [Int]) -> Bool {
    elapsed + (indices.map(cost).min() ?? 0) < suite.budget
  }

  // MARK: Workers

  private func progress(_ index: Int, _ done: Int, _ all: Int, _ round: Int) {
    report(
      .measuring(
        label: record.rows[index].label, model: record.rows[index].configuration.model, done: done, of: all,
        round: round))
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
