import Foundation
import ModelZoo
import RuntimeCore
import TensorCore

/// Schedules visits, pairs them and decides when a cell is known well enough. It computes no model: workers do.
public actor Runner {
  public enum Event: Sendable {
    case measuring(label: String, model: String, done: Int, of: Int, round: Int)
    /// A cell has its first figures, or will not have any.
    case row(CellResult)
    case round(Int, unresolved: Int, worst: Double)
  }

  private let suite: Suite
  private let workers: Workers
  private let counter: CellCounter
  private let resultURL: URL
  private let report: @Sendable (Event) -> Void
  private var file: ResultFile
  private var isInterrupted = false
  private var current: (() -> Void)?
  private let start = Date()
  private let elapsedBefore: Double
  private let counters = MachineCounters.now()
  private var generator = SystemRandomNumberGenerator()
  /// Seconds that counting a cell took: two inferences, and what comes before them.
  private var countingTimes: [Int: Double] = [:]
  /// Inferences before the first turn: what comes after is a median.
  private static let warmup = 5

  public init(
    catalog: Catalog, suite: Suite, file: ResultFile, workers: Workers, resultURL: URL,
    report: @escaping @Sendable (Event) -> Void
  ) {
    self.suite = suite
    self.file = file
    self.workers = workers
    self.counter = CellCounter(catalog: catalog, workers: workers)
    self.resultURL = resultURL
    self.report = report
    self.elapsedBefore = file.elapsed
  }

  /// Ends the running worker and makes `run` return with what there is.
  public func interrupt() {
    isInterrupted = true
    current?()
  }

  private var elapsed: Double { -start.timeIntervalSinceNow }

  /// Measures until every cell is known to the suite's precision or the time is spent.
  public func run() async throws -> ResultFile {
    for engine in file.cells.map(\.cell.engine).uniqued() where file.idleResident[engine] == nil {
      var empty = Cell(model: "")
      empty.engine = engine
      let idle = await perform(empty, Job(.idle))
      file.idleResident[engine] = idle.figures.first { $0.name == "peak-resident" }?.value
    }
    try await countAll()
    try save()
    var round = (file.cells.flatMap(\.visits).map(\.round).max() ?? -1) + 1
    while !isInterrupted {
      let open = file.cells.indices.filter { needsVisit($0) }
      guard !open.isEmpty, round < suite.rounds, hasTime(for: open) else { break }
      let order = open.shuffled(using: &generator)
      for (position, index) in order.enumerated() where !isInterrupted && hasTime(for: [index]) {
        report(
          .measuring(
            label: file.cells[index].label, model: file.cells[index].cell.model, done: position, of: order.count,
            round: round))
        await visit(index, round)
        try save()
      }
      summarise()
      try save()
      let widths = file.cells.filter { $0.status == .measured }.map {
        ($0.ratio ?? $0.latency)?.relativeHalfWidth ?? .infinity
      }
      report(.round(round, unresolved: widths.count { $0 > suite.precision }, worst: widths.max() ?? 0))
      round += 1
    }
    summarise()
    file.isComplete = !isInterrupted
    try save()
    return file
  }

  // MARK: Counting

  /// One visit of every cell for exact figures and outputs; finds out what cannot run and what is the same.
  private func countAll() async throws {
    var seen: [String: Int] = [:]
    for index in file.cells.indices where !isInterrupted {
      let result = file.cells[index]
      if result.status == .pending {
        report(
          .measuring(
            label: result.label, model: result.cell.model, done: index, of: file.cells.count, round: -1))
        await count(index)
        try save()
      }
      if file.cells[index].status == .measured, let graph = file.cells[index].prepared?.graph {
        var axes = file.cells[index].cell
        axes.passes = []
        let key = graph + axes.id
        if let other = seen[key] {
          file.cells[index].status = .same
          file.cells[index].sameAs = file.cells[other].label
        } else {
          seen[key] = index
        }
      }
      if file.cells[index].status != .measured { report(.row(file.cells[index])) }
    }
  }

  private func count(_ index: Int) async {
    let pending = file.cells[index]
    let before = Date()
    let counted = await cancellable { [counter] in await counter.count(pending) }
    countingTimes[index] = -before.timeIntervalSinceNow
    if !isInterrupted { file.cells[index] = counted }
  }

  // MARK: Timing

  /// A fresh process of the cell; its baseline's takes turns with it, and is a visit of the baseline too.
  private func visit(_ index: Int, _ round: Int) async {
    guard let baseline = baseline(of: index) else {
      var job = suite.job
      job.cell = file.cells[index].cell
      let at = elapsedBefore + elapsed
      note(await perform(file.cells[index].cell, job), index, (round, at))
      return
    }
    guard let (a, b, turns) = jobs(baseline, index) else { return }
    let place = (round: round, at: elapsedBefore + elapsed)
    let baselineFirst = Bool.random(using: &generator)
    let outcomes = await cancellable { [workers] in
      await WorkerCommand.pair(a, b, aFirst: baselineFirst, turns: turns, timeout: workers.timeout)
    }
    guard !isInterrupted else { return }
    if let reason = outcomes.a.failure, outcomes.b.failure == nil {
      return fail(index, "its baseline, beside it: \(reason)")
    }
    let differences = zip(outcomes.a.turns, outcomes.b.turns).map { log($1 / $0) }
    if outcomes.b.failure == nil { note(outcomes.a, baseline, place) }
    note(outcomes.b, index, place, ratio: differences.isEmpty ? nil : exp(median(differences)))
  }

  /// What the baseline and the cell are to do in one visit; nil, and the cell failed, where that cannot be found out.
  private func jobs(_ baseline: Int, _ index: Int) -> (
    a: WorkerCommand.Assignment, b: WorkerCommand.Assignment, turns: Int?
  )? {
    let cells = [baseline, index].map { file.cells[$0] }
    let takeTurns = cells.allSatisfy { $0.hello?.takesTurns == true }
    var jobs = cells.map { result in
      var job = suite.job
      job.cell = result.cell
      return job
    }
    var turns: Int?
    if takeTurns {
      if let iterations = suite.job.iterations {
        turns = (1...Turns.fewest).last { iterations % $0 == 0 }
        for side in jobs.indices { jobs[side].iterations = iterations / turns! }
      } else {
        let paces = [baseline, index].map(pace)
        turns = Turns.count(paces, seconds: suite.job.minTime)
        for (side, pace) in paces.enumerated() {
          jobs[side].iterations = pace.iterations
          jobs[side].warmup = suite.job.warmup ?? pace.warmup(within: suite.job.minTime / 2)
        }
      }
      // The same processors for both; where one needs fewer, some of them.
      let processors = Processors.choose(cells.map(\.cell.threads).max()!)
      for side in jobs.indices { jobs[side].processors = processors.map { Array($0.prefix(cells[side].cell.threads)) } }
    }
    do {
      let sides = try zip(cells, jobs).map { try workers.resolve($0.cell, $1) }
      return (sides[0], sides[1], turns)
    } catch {
      fail(index, "\(error)")
      return nil
    }
  }

  /// How fast a cell is: as it was when last visited, or at most as slow as counting it was.
  private func pace(of index: Int) -> Turns.Pace {
    let latency = file.cells[index].visits.last.map { $0.median * 1e-9 } ?? countingTimes[index].map { $0 / 2 }
    return Turns.Pace(latency: latency ?? 0.1, warmup: Self.warmup)
  }

  private func note(_ outcome: JobOutcome, _ index: Int, _ place: (round: Int, at: Double), ratio: Double? = nil) {
    guard !isInterrupted else { return }
    let samples = outcome.samples.filter { !$0.latencies.isEmpty }
    guard outcome.failure == nil, let prepared = outcome.prepared, var sample = samples.first else {
      return fail(index, outcome.failure ?? outcome.skipped ?? "the worker gave no samples")
    }
    sample.latencies = samples.flatMap(\.latencies)
    var figures: [String: Double] = [:]
    for figure in outcome.figures { figures[figure.name] = figure.value }
    if let peak = figures["peak-resident"], let idle = file.idleResident[file.cells[index].cell.engine] {
      figures["peak-resident-above-idle"] = peak - idle
    }
    file.cells[index].visits.append(
      Visit(
        round: place.round, at: place.at, prepared: prepared, sample: sample, figures: figures, ratio: ratio))
    summarise(index)
    if file.cells[index].visits.count == 1 { report(.row(file.cells[index])) }
  }

  private func fail(_ index: Int, _ reason: String) {
    file.cells[index].status = .failed
    file.cells[index].reason = reason
    report(.row(file.cells[index]))
  }

  private func needsVisit(_ index: Int) -> Bool {
    let result = file.cells[index]
    guard result.status == .measured else { return false }
    // A baseline is visited beside the cells that are held against it.
    let isVisitedBeside = file.cells.indices.contains { $0 != index && baseline(of: $0) == index }
    if isVisitedBeside { return false }
    guard Double(result.visits.count) * cost(index) < suite.cellBudget else { return false }
    guard result.visits.count >= 3 else { return true }
    return ((result.ratio ?? result.latency)?.relativeHalfWidth ?? .infinity) > suite.precision
  }

  /// The cell that ratios are taken against, where it and the cell are measured.
  private func baseline(of index: Int) -> Int? {
    guard file.cells[index].status == .measured else { return nil }
    return file.cells[index].baseline.flatMap { find($0, like: index) }
  }

  /// What the last visit of a cell took, its baseline's part included; before the first, what counting did.
  private func cost(_ index: Int) -> Double {
    [index, baseline(of: index)].compactMap { $0 }.reduce(0) {
      $0 + (file.cells[$1].visits.last.map(seconds) ?? countingTimes[$1] ?? 0.5)
    }
  }

  /// What a visit cost, as far as it told.
  private func seconds(_ visit: Visit) -> Double {
    let inside =
      visit.prepared.loadTime + visit.prepared.optimiseTime + visit.prepared.prepareTime + visit.sample.firstInference
      + visit.sample.warmupTime + visit.sample.latencies.reduce(0, +)
    return Double(inside) * 1e-9 + 0.05
  }

  private func hasTime(for indices: [Int]) -> Bool {
    let shortest = indices.map(cost).min() ?? 0
    return elapsedBefore + elapsed + shortest < suite.budget
  }

  private func find(_ label: String, like index: Int) -> Int? {
    file.cells.firstIndex {
      $0.label == label && $0.cell.model == file.cells[index].cell.model && $0.status == .measured
    }
  }

  private func summarise() { for index in file.cells.indices { summarise(index) } }

  private func summarise(_ index: Int) {
    let result = file.cells[index]
    guard !result.visits.isEmpty else { return }
    file.cells[index].latency = Estimate(geometric: result.visits.map(\.median))
    let ratios = result.visits.compactMap(\.ratio)
    if !ratios.isEmpty { file.cells[index].ratio = Estimate(geometric: ratios) }
  }

  // MARK: Workers

  private func perform(_ cell: Cell, _ job: Job) async -> JobOutcome {
    await cancellable { [workers] in await workers.perform(cell, job) }
  }

  /// The value of `body`, which `interrupt` cancels.
  private func cancellable<Value: Sendable>(_ body: @escaping @Sendable () async -> Value) async -> Value {
    let task = Task { await body() }
    current = { task.cancel() }
    defer { current = nil }
    return await task.value
  }

  private func save() throws {
    file.elapsed = elapsedBefore + elapsed
    file.environment.noteDisturbances(since: counters)
    try file.write(to: resultURL)
  }
}
